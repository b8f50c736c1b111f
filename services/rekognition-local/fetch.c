#include "rekognition-local/fetch.h"

#include <string.h>

#include "base/clock.h"
#include "net/httpc.h"

#define CONNECT_MS 2000
#define TOTAL_MS   10000

static enum err no_object(struct fault *f)
{
    return fault_set(f, "InvalidS3ObjectException",
                     "Unable to get object metadata from S3. Check object key, region and/or "
                     "access permissions.");
}

/* What the store answered, in Rekognition's words. */
static enum err judge(const struct httpc_req *rq, enum err e, struct fault *f)
{
    if (e == ERR_TOOBIG)
        return fault_set(f, "ImageTooLargeException",
                         "The input image size exceeds the allowed limit of %u bytes",
                         FETCH_BYTES_MAX);
    switch (s3_verdict(rq, e)) {
    case S3_OK:
        return ERR_OK;
    case S3_ABSENT:
    case S3_CHANGED:
    case S3_DENIED:
        return no_object(f);
    case S3_RETRY:
        break;
    }
    return fault_set(f, "InternalServerError", "the object store cannot be reached: %s", rq->why);
}

static enum err get(struct ask *a, struct s3 *s3, const struct aws_conf *aws, struct fault *f)
{
    const struct httpc_conf conf = { .ca_bundle = aws->ca_bundle,
                                     .user_agent = "labelwire-rekognition-local",
                                     .max_idle = 1 };
    const struct s3_ask what = { .method = "GET", .key = str_of(a->name) };
    struct s3_req rq = {
        .http = { .connect_ms = CONNECT_MS, .total_ms = TOTAL_MS, .max_answer = FETCH_BYTES_MAX }
    };
    struct httpc *http = NULL;
    struct errbuf eb = { "" };
    if (httpc_open(&http, &conf, &eb) != ERR_OK)
        return fault_set(f, "InternalServerError", "%s", eb.text);
    enum err e = s3_request(s3, &rq, &what, wall_now());
    if (e != ERR_OK) {
        e = no_object(f);
    } else {
        e = judge(&rq.http, httpc_perform(http, &rq.http), f);
        if (e == ERR_OK) { /* the bytes change hands */
            buf_fini(&a->image);
            a->image = rq.http.answer;
            memset(&rq.http.answer, 0, sizeof rq.http.answer);
        }
    }
    s3_req_fini(&rq);
    httpc_close(http);
    return e;
}

enum err fetch_object(struct ask *a, const struct s3_conf *s3, const struct aws_conf *aws,
                      struct cred *cred, struct fault *f)
{
    struct s3_conf conf = *s3;
    struct s3 site;
    struct errbuf eb = { "" };
    conf.bucket = a->bucket; /* the request's, which need not be ours */
    if (a->version[0] != '\0')
        return fault_set(f, "InvalidParameterException",
                         "rekognition-local reads no object versions (image.s3Object.version)");
    if (s3_init(&site, &conf, str_of(aws->region), cred, &eb) != ERR_OK)
        return no_object(f);
    enum err e = get(a, &site, aws, f);
    s3_fini(&site);
    return e;
}
