/* sigv4.h - AWS Signature Version 4: headers, presigned URLs, and checking either.  Pure.
 *
 * The caller gives the request in decoded form; this file owns every encoding rule.  Nothing is
 * read from the clock: the time is an argument, so that signing happens when sending.
 *
 * Memory   everything is borrowed; results go into the caller's buffers.
 * Source   AWS "Signature Version 4 signing process"; S3 API "Authenticating Requests".
 *          S3 encodes the path once and never normalises it; a service called at "/" has
 *          nothing to encode.
 */
#ifndef AWS_SIGV4_H
#define AWS_SIGV4_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/str.h"

#define SIGV4_UNSIGNED_PAYLOAD S("UNSIGNED-PAYLOAD")
#define SIGV4_EXPIRES_MAX_S    604800
#define SIGV4_PARAMS_MAX       64U /* headers, and likewise query parameters */

struct aws_creds {
    struct str access_key, secret_key;
    struct str session_token; /* STR_NONE: long-lived keys */
};

/* The key of one day, region and service: four HMACs, worth keeping (6 us against 1). */
struct sigv4_key {
    struct aws_creds creds; /* borrowed: outlives the key */
    struct str region, service;
    char day[9]; /* "20261121" */
    unsigned char key[SHA256_LEN];
};
void sigv4_key_init(struct sigv4_key *k, const struct aws_creds *c, struct str region,
                    struct str service, wall_t now);
bool sigv4_key_is_for(const struct sigv4_key *k, wall_t now); /* still the same UTC day */

struct sigv4_pair {
    struct str name, value;
};

struct sigv4_req {
    struct str method;
    struct str path; /* decoded, begins with '/'; empty is "/" */
    bool normalize;  /* drop "." and ".." and double slashes: for services other than S3 */
    const struct sigv4_pair *query; /* decoded */
    size_t n_query;
    const struct sigv4_pair *headers; /* all that are to be signed; host must be among them */
    size_t n_headers;
    struct str payload_hash; /* hex SHA-256 of the body, or SIGV4_UNSIGNED_PAYLOAD */
};

/* The canonical path and query as they must stand on the wire. */
void sigv4_put_path(struct buf *out, struct str path, bool normalize);
void sigv4_put_query(struct buf *out, const struct sigv4_pair *query, size_t n);

/* Appends the value of the Authorization header.  The caller has put x-amz-date (the same time,
 * wall_to_amz) and, with temporary credentials, x-amz-security-token among the headers.
 * ERR_TOOBIG: more than SIGV4_PARAMS_MAX headers or parameters, or out is full.
 * ERR_INVAL: no host header, or the key is of another day than now. */
MUSTUSE enum err sigv4_authorization(struct buf *out, const struct sigv4_key *k,
                                     const struct sigv4_req *rq, wall_t now);

/* Appends the signed query (without '?'): rq's own parameters and the X-Amz-* ones.  The token
 * of temporary credentials is signed with them unless token_unsigned (then appended last).
 * ERR_RANGE: expires_s outside 1 to SIGV4_EXPIRES_MAX_S; else as sigv4_authorization(). */
MUSTUSE enum err sigv4_presign(struct buf *out, const struct sigv4_key *k,
                               const struct sigv4_req *rq, wall_t now, int64_t expires_s,
                               bool token_unsigned);

/* For tests and for error reports. */
MUSTUSE enum err sigv4_canonical_request(struct buf *out, const struct sigv4_req *rq);

/* Checks a header-signed request as a server does (in sigv4_verify.c).  rq->headers holds every
 * header received; those named by the Authorization value are used, and host and x-amz-date must
 * be among them.  The key may be of any day.  ERR_DENIED with AWS' error code in eb
 * ("InvalidSignatureException: …", also when the date is more than max_skew_ms off or the region
 * or service is another; "IncompleteSignatureException" for a malformed value;
 * "MissingAuthenticationTokenException"; "UnrecognizedClientException").  ERR_TOOBIG as above. */
MUSTUSE enum err sigv4_verify(const struct sigv4_key *k, const struct sigv4_req *rq, wall_t now,
                              int64_t max_skew_ms, struct errbuf *eb);

#endif
