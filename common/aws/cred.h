/* cred.h - who we are towards AWS: keys from the configuration, region, trusted roots.
 *
 * AWS's own variable names, so that a shell which runs the AWS CLI runs us.  The only source of
 * keys so far is the configuration; they do not change while the process lives.
 */
#ifndef AWS_CRED_H
#define AWS_CRED_H

#include "aws/sigv4.h"
#include "base/conf.h"

struct aws_conf {
    char *access_key, *secret_key;
    char *session_token; /* "" with long-lived keys */
    char *region;
    char *ca_bundle; /* for httpc_conf.ca_bundle; "" is the system's */
};
extern const struct conf_key aws_conf_keys[5];

/* Views into c. */
struct aws_creds aws_creds(const struct aws_conf *c);

#endif
