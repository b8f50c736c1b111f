/* The reading half of s3.h: what an answer means, and what it tells about the object. */
#include <string.h>

#include "aws/s3.h"

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

struct str s3_error_code(const struct httpc_req *rq)
{
    struct str open = S("<Code>"), text = str_head(buf_str(&rq->answer), S3_ERROR_MAX);
    const char *at = rq->status < 300 ? NULL : memmem(text.p, text.n, open.p, open.n);
    if (at == NULL)
        return STR_NONE;
    struct str rest = str_from(text, (size_t)(at - text.p) + open.n);
    size_t n = 0;
    while (n < rest.n && is_letter_or_digit(rest.p[n]))
        n++;
    bool whole = n > 0 && n <= S3_ERROR_CODE_MAX && str_starts(str_from(rest, n), S("</Code>"));
    return whole ? str_head(rest, n) : STR_NONE;
}

static enum s3_verdict verdict_of_status(const struct httpc_req *rq)
{
    int status = rq->status;
    if (status >= 200 && status < 300)
        return S3_OK;
    if (status == 404 && strcmp(rq->method, "HEAD") == 0)
        return S3_ABSENT; /* a 404 that does not come from S3 has no code, and is a fault */
    if (status == 412 || status == 416)
        return S3_CHANGED;
    if (status == 501) /* what this S3 cannot do today it cannot do tomorrow */
        return S3_DENIED;
    return status >= 500 || status == 408 || status == 429 ? S3_RETRY : S3_DENIED;
}

enum s3_verdict s3_verdict(const struct httpc_req *rq, enum err e)
{
    static const struct {
        const char *code;
        enum s3_verdict verdict;
    } codes[] = {
        { "NoSuchKey", S3_ABSENT },
        { "NoSuchVersion", S3_ABSENT },
        { "SlowDown", S3_RETRY }, /* these come with various statuses, 400 and 403 too */
        { "RequestTimeout", S3_RETRY },
        { "RequestLimitExceeded", S3_RETRY },
        { "BandwidthLimitExceeded", S3_RETRY },
        { "Throttling", S3_RETRY },
        { "ThrottlingException", S3_RETRY },
        { "TooManyRequests", S3_RETRY },
        { "OperationAborted", S3_RETRY },
        { "BadDigest", S3_RETRY },
        { "IncompleteBody", S3_RETRY },
        { "BucketAlreadyOwnedByYou", S3_OK },
    };
    if (e == ERR_TOOBIG)
        return S3_CHANGED;
    if (e != ERR_OK)
        return e == ERR_DENIED || e == ERR_INVAL || rq->tls ? S3_DENIED : S3_RETRY;
    struct str code = s3_error_code(rq);
    for (size_t i = 0; i < N_OF(codes) && code.n > 0; i++)
        if (str_eq(code, str_of(codes[i].code)))
            return codes[i].verdict;
    return verdict_of_status(rq);
}

const char *s3_hint(const struct httpc_req *rq, enum err e)
{
    if (rq->tls)
        return AWS_TLS_HINT;
    if (e == ERR_OK && rq->status == 404)
        return "is there a bucket LW_S3_BUCKET at LW_S3_ENDPOINT? `labelwire setup bucket` makes "
               "it";
    if (s3_verdict(rq, e) == S3_DENIED)
        return "check the AWS_ variables, LW_S3_BUCKET and the clock; s3:ListBucket is needed to "
               "tell a missing object from a forbidden one";
    return "it is tried again; if it stays, is it S3 that answers at LW_S3_ENDPOINT?";
}

static struct str without_quotes(struct str etag)
{
    if (str_starts(etag, S("W/")))
        etag = str_from(etag, 2);
    bool quoted = etag.n >= 2 && etag.p[0] == '"' && etag.p[etag.n - 1] == '"';
    return quoted ? (struct str){ etag.p + 1, etag.n - 2 } : etag;
}

enum err s3_object(const struct httpc_req *rq, struct s3_object *out)
{
    *out = (struct s3_object){
        .etag = without_quotes(httpc_header(rq, S("etag"))),
        .content_type = httpc_header(rq, S("content-type")),
    };
    struct str size = httpc_header(rq, S("content-length")), before;
    if (rq->status == 206) { /* "bytes 0-9/1234" */
        size = httpc_header(rq, S("content-range"));
        (void)str_cut(&size, '/', &before);
    }
    if (size.n == 0 || size.p[0] == '-' || str_to_i64(size, &out->size) != ERR_OK)
        return ERR_REMOTE;
    return ERR_OK;
}
