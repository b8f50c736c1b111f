/* rekog.h - calling Rekognition's DetectLabels, and what its errors mean.  Pure: the caller sends
 * the filled request with httpc_start() and asks for the verdict in done().
 *
 * Thread   the one that owns the httpc; a struct rekog may be shared, it never changes.
 * Source   Rekognition developer guide, "Error handling" and API_DetectLabels; AWS JSON 1.1;
 *          botocore data/_retry.json (codes that mean "slow down").
 *          A throttle is usually HTTP 400, so the code decides and the status only helps out.
 */
#ifndef AWS_REKOG_H
#define AWS_REKOG_H

#include <stdbool.h>
#include <stdint.h>

#include "aws/sigv4.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/str.h"
#include "net/httpc.h"
#include "net/url.h"

#define REKOG_BYTES_MAX  5242880  /* image sent in the request */
#define REKOG_OBJECT_MAX 15728640 /* image named by its S3 object */
#define REKOG_SIDE_MIN   80       /* pixels, both sides */
#define REKOG_SIDE_MAX   10000
#define REKOG_MAX_LABELS 1000
#define REKOG_ANSWER_MAX (1U << 20) /* bytes of an answer; more is a broken one */
#define REKOG_CONNECT_MS 3000
#define REKOG_REGION_MAX 32U
#define REKOG_CODE_MAX   64U

/* ---- configuration */

enum rekog_image { REKOG_IMAGE_AUTO, REKOG_IMAGE_S3, REKOG_IMAGE_BYTES };

struct rekog_conf {
    char *endpoint;
    int image; /* enum rekog_image */
    int64_t timeout_ms;
    int64_t rate; /* calls per second at most */
};
extern const struct conf_key rekog_conf_keys[4];

/* Where and how to call, worked out once. */
struct rekog {
    char url[URL_AUTHORITY_MAX + 16]; /* "https://rekognition.us-east-1.amazonaws.com/" */
    char host[URL_AUTHORITY_MAX];     /* as it is signed */
    bool by_reference;                /* name the S3 object; else send the bytes */
    int64_t timeout_ms;
};
/* s3_endpoint: LW_S3_ENDPOINT, empty for AWS'.  ERR_CONFIG: the endpoint or region is unusable. */
MUSTUSE enum err rekog_init(struct rekog *r, const struct rekog_conf *c, struct str region,
                            struct str s3_endpoint, struct errbuf *eb);

/* ---- one call */

struct rekog_ask {
    struct str bucket, key, version; /* the object; version may be empty */
    struct str image;                /* or, with an empty bucket, the bytes themselves */
    int64_t max_labels;              /* 0 to REKOG_MAX_LABELS */
    double min_confidence;           /* 0 to 100 */
};

/* Appends the request body.  A full out is failed. */
void rekog_put_request(struct buf *out, const struct rekog_ask *ask);

struct rekog_req {
    struct httpc_req http; /* .done, .owner and .guard are the caller's */
    struct buf body;
    char payload_hash[SHA256_HEX_LEN + 1];
    struct buf lines; /* header lines that vary, one after the other, each with its NUL */
    const char *hdrs[8];
};

/* Fills a zeroed rq: body, address, limits.  ask is not needed afterwards.
 * ERR_TOOBIG: the image passes REKOG_BYTES_MAX, or there is no memory for it. */
MUSTUSE enum err rekog_prepare(struct rekog_req *rq, const struct rekog *r,
                               const struct rekog_ask *ask);
/* Puts the headers, signed for `now`: just before sending, and again before sending again
 * (after httpc_req_fini()).  k: service "rekognition".  Errors as sigv4_authorization(). */
MUSTUSE enum err rekog_sign(struct rekog_req *rq, const struct rekog *r, const struct sigv4_key *k,
                            wall_t now);
void rekog_req_fini(struct rekog_req *rq); /* httpc's result too; safe on a zeroed struct */

/* ---- the outcome */

enum rekog_verdict {
    REKOG_OK,                  /* .http.answer holds the labels */
    REKOG_INVALID_IMAGE,       /* not a picture that it reads; final */
    REKOG_TOO_LARGE,           /* bytes or pixels; final */
    REKOG_THROTTLED,           /* slow down, then again */
    REKOG_TRANSIENT,           /* again after a pause */
    REKOG_NO_OBJECT,           /* the S3 object is gone, elsewhere, or not ours to read */
    REKOG_DENIED,              /* credentials, permission or configuration: nobody's blob will do */
    REKOG_EXPIRED_CREDENTIALS, /* refresh them, then again */
    REKOG_CLOCK_SKEW,          /* correct by the Date header, then again once */
    REKOG_BROKEN,              /* not understood, or our request was found wrong */
};
const char *rekog_verdict_name(enum rekog_verdict v); /* "throttled"; static */

struct rekog_error {
    char code[REKOG_CODE_MAX]; /* "ThrottlingException"; "" when there was none */
    char message[192];         /* for people */
};

/* Reads an answer that is complete.  error_type: its x-amzn-ErrorType header, or STR_NONE. */
enum rekog_verdict rekog_read_error(struct rekog_error *out, int status, struct str error_type,
                                    struct str body);

/* The whole outcome, e being what done() got. */
enum rekog_verdict rekog_verdict(struct rekog_error *out, const struct rekog_req *rq, enum err e);

#endif
