/* The checking half of sigv4.h: read what the client claims, sign the same request with our key,
 * compare. */
#include "aws/sigv4.h"

#define ALGORITHM    "AWS4-HMAC-SHA256"
#define TERMINATOR   "aws4_request"
#define DAY_LEN      8U
#define EXPECTED_MAX 16384U /* an Authorization value */

/* The Authorization value, in parts. */
struct claim {
    struct str access_key, day, region, service;
    struct str signed_names, signature;
};

static enum err refuse(struct errbuf *eb, const char *code, const char *why)
{
    return errbuf_set(eb, ERR_DENIED, "%s: %s", code, why);
}

static enum err wrong_signature(struct errbuf *eb, const char *why)
{
    return refuse(eb, "InvalidSignatureException", why);
}

static enum err incomplete(struct errbuf *eb, const char *why)
{
    return refuse(eb, "IncompleteSignatureException", why);
}

/* "key/day/region/service/aws4_request" */
static bool claim_credential(struct claim *c, struct str value)
{
    struct str end = STR_NONE;
    return str_cut(&value, '/', &c->access_key) && str_cut(&value, '/', &c->day) &&
           str_cut(&value, '/', &c->region) && str_cut(&value, '/', &c->service) &&
           str_cut(&value, '/', &end) && value.p == NULL && str_eq(end, S(TERMINATOR));
}

static enum err claim_parse(struct claim *c, struct str value, struct errbuf *eb)
{
    *c = (struct claim){ .access_key = STR_NONE };
    if (!str_starts(value, S(ALGORITHM " ")))
        return incomplete(eb, "Authorization must begin with " ALGORITHM);
    struct str rest = str_from(value, sizeof ALGORITHM), part, name;
    bool credential = false;
    while (str_cut(&rest, ',', &part)) {
        struct str text = str_trim(part);
        bool named = str_cut(&text, '=', &name) && text.p != NULL;
        if (named && str_eq(name, S("Credential")) && !credential)
            credential = claim_credential(c, text);
        else if (named && str_eq(name, S("SignedHeaders")) && c->signed_names.p == NULL)
            c->signed_names = text;
        else if (named && str_eq(name, S("Signature")) && c->signature.p == NULL)
            c->signature = text;
        else
            return incomplete(eb, "Authorization has an unknown, empty or repeated part");
    }
    if (!credential)
        return incomplete(eb, "Credential must be key/date/region/service/aws4_request");
    if (c->signed_names.n == 0 || c->signature.n == 0)
        return incomplete(eb, "Authorization needs SignedHeaders and Signature");
    return ERR_OK;
}

static bool is_signed(const struct claim *c, struct str header)
{
    struct str rest = c->signed_names, name;
    while (str_cut(&rest, ';', &name))
        if (str_eq_nocase(name, header))
            return true;
    return false;
}

/* The value of a header that may come once; *n counts. */
static struct str only_header(const struct sigv4_req *rq, struct str name, size_t *n)
{
    struct str value = STR_NONE;
    *n = 0;
    for (size_t i = 0; i < rq->n_headers; i++)
        if (str_eq_nocase(rq->headers[i].name, name)) {
            value = str_trim(rq->headers[i].value);
            ++*n;
        }
    return value;
}

static enum err check_identity(const struct sigv4_key *k, const struct sigv4_req *rq,
                               const struct claim *c, struct errbuf *eb)
{
    size_t n;
    struct str token = only_header(rq, S("x-amz-security-token"), &n);
    if (n > 1 || !enc_equal_secret(token, k->creds.session_token) ||
        !str_eq(c->access_key, k->creds.access_key))
        return refuse(eb, "UnrecognizedClientException",
                      "The security token included in the request is invalid");
    if (!str_eq(c->region, k->region))
        return wrong_signature(eb, "Credential should be scoped to another region");
    if (!str_eq(c->service, k->service))
        return wrong_signature(eb, "Credential should be scoped to another service");
    return ERR_OK;
}

static enum err check_date(const struct sigv4_req *rq, const struct claim *c, wall_t now,
                           int64_t max_skew_ms, wall_t *when, struct errbuf *eb)
{
    size_t n;
    struct str date = only_header(rq, S("x-amz-date"), &n);
    if (n != 1 || wall_from_amz(date, when) != ERR_OK || !is_signed(c, S("x-amz-date")))
        return incomplete(eb, "X-Amz-Date must be sent once, be a date, and be signed");
    if (!str_eq(c->day, str_head(date, DAY_LEN)))
        return wrong_signature(eb, "Date in Credential scope does not match X-Amz-Date");
    if (when->ms < now.ms - max_skew_ms)
        return wrong_signature(eb, "Signature expired: X-Amz-Date is too old");
    if (when->ms > now.ms + max_skew_ms)
        return wrong_signature(eb, "Signature not yet current: X-Amz-Date is in the future");
    return ERR_OK;
}

/* The Authorization value that a client with our key would have sent. */
static enum err put_expected(struct buf *out, const struct sigv4_key *k, const struct sigv4_req *rq,
                             const struct claim *c, wall_t when)
{
    struct sigv4_pair covered[SIGV4_PARAMS_MAX];
    struct sigv4_req as_signed = *rq;
    as_signed.headers = covered;
    as_signed.n_headers = 0;
    for (size_t i = 0; i < rq->n_headers; i++) {
        if (!is_signed(c, rq->headers[i].name))
            continue;
        if (as_signed.n_headers == N_OF(covered))
            return ERR_TOOBIG;
        covered[as_signed.n_headers++] = rq->headers[i];
    }
    struct sigv4_key of_that_day = *k; /* around midnight the client's day may not be ours */
    if (!sigv4_key_is_for(k, when))
        sigv4_key_init(&of_that_day, &k->creds, k->region, k->service, when);
    return sigv4_authorization(out, &of_that_day, &as_signed, when);
}

static enum err check_signature(const struct sigv4_key *k, const struct sigv4_req *rq,
                                const struct claim *c, wall_t when, struct errbuf *eb)
{
    struct buf expected = BUF_INIT(EXPECTED_MAX);
    enum err e = put_expected(&expected, k, rq, c, when);
    struct str signature = buf_str(&expected);
    signature =
        str_from(signature, signature.n < SHA256_HEX_LEN ? 0 : signature.n - SHA256_HEX_LEN);
    bool same = e == ERR_OK && enc_equal_secret(c->signature, signature);
    buf_fini(&expected);
    if (e == ERR_INVAL)
        return wrong_signature(eb, "Host must be signed");
    if (e != ERR_OK)
        return errbuf_set(eb, e, "more headers or parameters than can be checked");
    return same ? ERR_OK
                : wrong_signature(eb, "The request signature we calculated does not match the "
                                      "signature you provided");
}

enum err sigv4_verify(const struct sigv4_key *k, const struct sigv4_req *rq, wall_t now,
                      int64_t max_skew_ms, struct errbuf *eb)
{
    size_t n;
    struct str authorization = only_header(rq, S("authorization"), &n);
    if (n == 0)
        return refuse(eb, "MissingAuthenticationTokenException",
                      "Request is missing Authentication Token");
    if (n > 1)
        return incomplete(eb, "Authorization was sent more than once");
    struct claim c;
    wall_t when = { 0 };
    enum err e = claim_parse(&c, authorization, eb);
    if (e == ERR_OK)
        e = check_identity(k, rq, &c, eb);
    if (e == ERR_OK)
        e = check_date(rq, &c, now, max_skew_ms, &when, eb);
    if (e == ERR_OK)
        e = check_signature(k, rq, &c, when, eb);
    return e;
}
