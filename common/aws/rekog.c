#include "aws/rekog.h"

#include <string.h>

#define BODY_MAX (16U << 10) /* of a request besides the image */

const struct conf_key rekog_conf_keys[4] = {
    { "LW_REKOGNITION_ENDPOINT", CONF_TEXT, offsetof(struct rekog_conf, endpoint), .def = "",
      .check = url_check_endpoint,
      .doc = "Where Rekognition's API is called, e.g. https://127.0.0.1:7443 for "
             "rekognition-local. Empty: https://rekognition.<region>.amazonaws.com." },
    { "LW_REKOGNITION_IMAGE", CONF_CHOICE, offsetof(struct rekog_conf, image), .def = "auto",
      .choices = "auto|s3|bytes",
      .doc = "How the image gets there: by naming its S3 object (15 MiB, same region) or by "
             "sending the bytes (5 MiB). auto: by name when LW_S3_ENDPOINT is AWS' own." },
    { "LW_REKOGNITION_TIMEOUT", CONF_MS, offsetof(struct rekog_conf, timeout_ms), .def = "15s",
      .min = 500, .max = 120000,
      .doc = "Limit for one call, from DNS lookup to the last byte of the answer." },
    { "LW_REKOGNITION_RATE", CONF_INT, offsetof(struct rekog_conf, rate), .def = "1000", .min = 1,
      .max = 100000,
      .doc = "Calls per second that one recognizer makes at most. Below it the rate that "
             "Rekognition takes is found by itself; AWS' default quotas are 50 (us-east-1, "
             "us-west-2, eu-west-1) or 5 for all processes of an account together." },
};

/* ---- where to call */

static bool is_region(struct str s)
{
    if (s.n == 0 || s.n > REKOG_REGION_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

static bool is_aws(struct str endpoint)
{
    struct url u;
    return endpoint.n == 0 ||
           (url_parse_endpoint(&u, endpoint, NULL) == ERR_OK &&
            (str_ends(u.host, S(".amazonaws.com")) || str_ends(u.host, S(".amazonaws.com.cn"))));
}

enum err rekog_init(struct rekog *r, const struct rekog_conf *c, struct str region,
                    struct str s3_endpoint, struct errbuf *eb)
{
    struct buf url = BUF_INIT(sizeof r->url - 1);
    struct url u;
    if (!is_region(region))
        return errbuf_set(eb, ERR_CONFIG, "AWS_REGION: want a name such as us-east-1");
    buf_puts(&url, c->endpoint);
    if (url.n == 0)
        buf_printf(&url, "https://rekognition.%.*s.amazonaws.com", STR_ARG(region));
    enum err e = url_parse_endpoint(&u, buf_str(&url), eb);
    if (e == ERR_OK) {
        url_authority(&u, r->host);
        if (!str_ends(buf_str(&url), S("/")))
            buf_putc(&url, '/');
        e = buf_failed(&url) ? errbuf_set(eb, ERR_CONFIG, "too long")
                             : str_copy(r->url, sizeof r->url, buf_str(&url));
    }
    buf_fini(&url);
    r->timeout_ms = c->timeout_ms;
    r->by_reference =
        c->image == REKOG_IMAGE_S3 || (c->image == REKOG_IMAGE_AUTO && is_aws(s3_endpoint));
    return e == ERR_OK ? e : errbuf_wrap(eb, ERR_CONFIG, "LW_REKOGNITION_ENDPOINT");
}

/* ---- the request */

void rekog_put_request(struct buf *out, const struct rekog_ask *ask)
{
    if (ask->bucket.n > 0) {
        buf_puts(out, "{\"Image\":{\"S3Object\":{\"Bucket\":");
        buf_json(out, ask->bucket);
        buf_puts(out, ",\"Name\":");
        buf_json(out, ask->key);
        if (ask->version.n > 0) {
            buf_puts(out, ",\"Version\":");
            buf_json(out, ask->version);
        }
        buf_puts(out, "}}");
    } else {
        buf_puts(out, "{\"Image\":{\"Bytes\":\"");
        enc_base64(out, ask->image);
        buf_puts(out, "\"}");
    }
    buf_printf(out, ",\"MaxLabels\":%lld,\"MinConfidence\":%.10g}", (long long)ask->max_labels,
               ask->min_confidence);
}

enum err rekog_prepare(struct rekog_req *rq, const struct rekog *r, const struct rekog_ask *ask)
{
    if (ask->bucket.n == 0 && ask->image.n > REKOG_BYTES_MAX)
        return ERR_TOOBIG;
    buf_fini(&rq->body);
    buf_init(&rq->body, BODY_MAX + (ask->image.n + 2) / 3 * 4);
    /* In one piece, so that a large image is not copied while the buffer grows. */
    if (ask->bucket.n == 0)
        (void)buf_reserve(&rq->body, rq->body.cap);
    rekog_put_request(&rq->body, ask);
    if (buf_failed(&rq->body))
        return ERR_TOOBIG;
    sha256_hex(rq->payload_hash, buf_str(&rq->body));
    rq->http.method = "POST";
    rq->http.url = r->url;
    rq->http.body = buf_str(&rq->body);
    rq->http.connect_ms = REKOG_CONNECT_MS < r->timeout_ms ? REKOG_CONNECT_MS : r->timeout_ms;
    rq->http.total_ms = r->timeout_ms;
    rq->http.max_answer = REKOG_ANSWER_MAX;
    return ERR_OK;
}

#define CONTENT_TYPE "application/x-amz-json-1.1"
#define TARGET       "RekognitionService.DetectLabels"

enum err rekog_sign(struct rekog_req *rq, const struct rekog *r, const struct sigv4_key *k,
                    wall_t now)
{
    char date[CLOCK_AMZ_LEN + 1];
    struct str token = k->creds.session_token;
    wall_to_amz(now, date);
    const struct sigv4_pair headers[] = {
        { S("content-type"), S(CONTENT_TYPE) }, { S("host"), str_of(r->host) },
        { S("x-amz-date"), str_of(date) },      { S("x-amz-target"), S(TARGET) },
        { S("x-amz-security-token"), token },
    };
    const struct sigv4_req signing = {
        .method = S("POST"),
        .path = S("/"),
        .headers = headers,
        .n_headers = N_OF(headers) - (token.n == 0 ? 1 : 0),
        .payload_hash = str_of(rq->payload_hash),
    };
    buf_fini(&rq->lines);
    buf_init(&rq->lines, BODY_MAX);
    struct buf *lines = &rq->lines;
    size_t at[3], n = 0;
    at[n++] = lines->n;
    buf_printf(lines, "X-Amz-Date: %s%c", date, '\0');
    if (token.n > 0) {
        at[n++] = lines->n;
        buf_printf(lines, "X-Amz-Security-Token: %.*s%c", STR_ARG(token), '\0');
    }
    at[n++] = lines->n;
    buf_puts(lines, "Authorization: ");
    enum err e = sigv4_authorization(lines, k, &signing, now);
    if (e == ERR_OK && buf_failed(lines))
        e = ERR_TOOBIG;
    if (e != ERR_OK)
        return e;
    size_t h = 0;
    rq->hdrs[h++] = "Content-Type: " CONTENT_TYPE;
    rq->hdrs[h++] = "X-Amz-Target: " TARGET;
    for (size_t i = 0; i < n; i++)
        rq->hdrs[h++] = lines->p + at[i];
    rq->hdrs[h] = NULL;
    rq->http.hdrs = rq->hdrs;
    return ERR_OK;
}

void rekog_req_fini(struct rekog_req *rq)
{
    httpc_req_fini(&rq->http);
    buf_fini(&rq->body);
    buf_fini(&rq->lines);
}
