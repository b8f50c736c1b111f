/* s3.h - objects of one bucket: links for clients, requests for httpc, what the answers mean.
 *
 * S3 is met at two addresses: LW_S3_ENDPOINT, where our own requests go, and
 * LW_S3_PUBLIC_ENDPOINT, which stands in presigned links.  At amazonaws.com the bucket is part
 * of the host name; anywhere else, and for a bucket with a dot (which AWS's wildcard
 * certificate does not cover), it is the first part of the path.
 *
 * Thread   s3_presign() and s3_request() on any thread; the key of the day is guarded inside.
 * Source   Amazon S3 API reference; error codes in "Error responses" of the same.
 */
#ifndef AWS_S3_H
#define AWS_S3_H

#include <pthread.h>
#include <stdint.h>

#include "aws/cred.h"
#include "aws/sigv4.h"
#include "base/conf.h"
#include "net/httpc.h"
#include "net/url.h"

#define S3_KEY_MAX        1024U /* bytes of UTF-8 */
#define S3_BUCKET_MAX     63U
#define S3_ERROR_MAX      8192U /* bytes of an error's body that are kept */
#define S3_ERROR_CODE_MAX 64U
#define S3_TIMEOUT_MAX_MS                                                                          \
    10000 /* a timer is held for longer than a look takes, and so is a drain */

struct s3_conf {
    char *endpoint, *public_endpoint, *bucket;
    int64_t timeout_ms; /* of a request that sets no limit of its own */
};
extern const struct conf_key s3_conf_keys[4];

/* conf_key.check of a bucket's name. */
MUSTUSE enum err s3_check_bucket(struct str name, struct errbuf *eb);

struct s3_site { /* one address of the bucket */
    bool https;
    char host[S3_BUCKET_MAX + 1 + URL_AUTHORITY_MAX]; /* as it is signed */
    char prefix[S3_BUCKET_MAX + 2];                   /* "/bucket", or "" */
};

struct s3 {
    struct s3_site inner, outer;
    struct cred *cred;
    struct str region;
    int64_t timeout_ms;
    pthread_mutex_t lock; /* over the rest */
    struct sigv4_key key; /* of the day, made from keys of this version */
    unsigned key_version;
};

/* conf, region and cred are borrowed and outlive s.  ERR_CONFIG. */
MUSTUSE enum err s3_init(struct s3 *s, const struct s3_conf *conf, struct str region,
                         struct cred *cred, struct errbuf *eb);
void s3_fini(struct s3 *s);

/* Appends a link with which anybody may do `method` on the key until expires_s from now.  It
 * signs the host only, so a client needs no particular header.
 * ERR_INVAL: no key, or longer than S3_KEY_MAX.  ERR_RANGE: expires_s outside 1 to
 * SIGV4_EXPIRES_MAX_S.  ERR_TOOBIG: url is full.  After an error url holds a part of it. */
MUSTUSE enum err s3_presign(struct s3 *s, const char *method, struct str key, int64_t expires_s,
                            wall_t now, struct buf *url);

/* ---- requests */

struct s3_ask {          /* what to ask; the rest empty */
    const char *method;  /* "HEAD" "GET" "PUT" "DELETE" */
    struct str key;      /* decoded; STR_NONE: the bucket itself */
    struct str range;    /* "bytes=0-65535" */
    struct str if_match; /* an etag without quotes: S3_CHANGED when it is another object now */
    struct str content_type;
    struct str body; /* for PUT; borrowed until done() */
};

#define S3_HEADERS_MAX 7U

/* Stays where it is while it is in use: http points into it. */
struct s3_req {
    struct httpc_req http; /* to httpc_start() or httpc_perform() */
    struct buf url, lines, made_body;
    const char *hdrs[S3_HEADERS_MAX + 1];
    unsigned key_version; /* of the keys that signed it, for cred_renew() */
};

/* Signs the request for now and fills in out->http: method, url, hdrs and body; connect_ms and
 * total_ms where they are zero; max_answer (for a GET the most that the object may have) where it
 * is below S3_ERROR_MAX.  done, owner and what else the caller has set stay.  *out is zeroed
 * before its first use; for another attempt it is filled again, because a signature is only good
 * for minutes.
 * ERR_INVAL: the key is too long, or a value cannot stand in a header line. */
MUSTUSE enum err s3_request(struct s3 *s, struct s3_req *out, const struct s3_ask *ask, wall_t now);
/* The same for making the bucket.  S3_OK also when it is ours already. */
MUSTUSE enum err s3_create_bucket(struct s3 *s, struct s3_req *out, wall_t now);
void s3_req_fini(struct s3_req *r); /* safe on a zeroed struct; not while in flight */

/* ---- answers, in s3_answer.c; pure */

enum s3_verdict {
    S3_OK,
    S3_ABSENT,  /* no such object */
    S3_CHANGED, /* not the object that was asked for: if_match, range or max_answer do not fit */
    S3_RETRY,   /* overload, time-out, lost connection: later */
    S3_DENIED,  /* keys, clock, region, bucket or TLS are wrong: alarm, no user can help it */
};

/* e is what done() was told.  A HEAD has no error body, so for it a missing bucket is S3_ABSENT
 * (a HEAD of the bucket itself tells); and AWS answers 403 for a missing object to those who may
 * not list the bucket. */
enum s3_verdict s3_verdict(const struct httpc_req *rq, enum err e);

/* What an operator can do about an answer that is neither S3_OK nor S3_ABSENT.  Static. */
const char *s3_hint(const struct httpc_req *rq, enum err e);

/* The <Code> of an error, letters and digits only, such as "SlowDown"; STR_NONE when there is
 * none.  Borrowed from rq->answer. */
struct str s3_error_code(const struct httpc_req *rq);

struct s3_object {
    int64_t size;            /* of the whole object, also when only a range came */
    struct str etag;         /* opaque, without quotes; STR_NONE when not sent */
    struct str content_type; /* as the uploader said; STR_NONE when not sent */
};
/* From the headers of a HEAD or GET that is S3_OK; borrowed from rq.  ERR_REMOTE: no size. */
MUSTUSE enum err s3_object(const struct httpc_req *rq, struct s3_object *out);

#endif
