/* cred.h - who we are towards AWS: keys and where they come from, region, trusted roots.
 *
 * AWS's own variable names, so that a shell which runs the AWS CLI runs us.  Keys come from the
 * environment, or else from a shared credentials file, which is read again when it has changed
 * and when an answer says that its keys have expired.  What is asked of a source is cred_hold()
 * and cred_renew().
 *
 * Thread   any; a set of keys never changes and lives as long as somebody holds it.
 */
#ifndef AWS_CRED_H
#define AWS_CRED_H

#include <stdatomic.h>

#include "aws/sigv4.h"
#include "base/conf.h"

#define CRED_FILE_MAX 65536U

struct aws_conf {
    char *access_key, *secret_key;
    char *session_token; /* "" with long-lived keys */
    char *credentials_file, *profile;
    char *region;
    char *ca_bundle; /* for httpc_conf.ca_bundle; "" is the system's */
};
extern const struct conf_key aws_conf_keys[7];
/* Adds a line when no keys are given, or half of them. */
void aws_conf_check(const struct aws_conf *c, struct buf *problems);

/* For operators, when httpc_req.tls says what failed. */
#define AWS_TLS_HINT                                                                               \
    "does the endpoint speak https, with a certificate for this host name? if an authority of "    \
    "your own signed that, AWS_CA_BUNDLE must name it"

struct cred_keys {
    struct aws_creds creds;
    unsigned version; /* another set, another number; from 1 */

    /* cred's own */
    atomic_uint holders;
    struct buf text; /* what creds points into */
};

struct cred;
/* c is borrowed.  ERR_CONFIG: no keys; the file cannot be read or has no such profile. */
MUSTUSE enum err cred_open(struct cred **out, const struct aws_conf *c, struct errbuf *eb);
void cred_close(struct cred *c); /* NULL is fine */

/* The keys to sign with now. */
struct cred_keys *cred_hold(struct cred *c);
void cred_release(struct cred_keys *k); /* NULL is fine */

/* An answer says that the keys of this version have expired.  True: there are others now, try
 * them.  False, with an ERROR in the log once a minute: there are none yet. */
bool cred_renew(struct cred *c, unsigned version);

#endif
