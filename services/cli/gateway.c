#include "cli/gateway.h"

#include <string.h>

#include "aws/s3.h"
#include "base/enc.h"
#include "svc/svc.h"

#define CONNECT_MS      5000
#define REQUEST_MS      10000 /* for an answer of the gateway */
#define ANSWER_MAX      (1U << 20)
#define DESCRIPTION_MAX 4096U
#define BUSY_MS         1000 /* when a busy answer does not say how long */
#define BUSY_MIN_MS     100
#define LEAST_MS        1000 /* for a request that begins when the deadline is near */

const struct conf_key gateway_conf_keys[1] = {
    { "LW_GATEWAY", CONF_TEXT, offsetof(struct gateway_conf, url), .def = "http://127.0.0.1:8080",
      .check = url_check_endpoint, .doc = "Where the gateway answers." },
};

enum err gateway_open(struct gateway *g, const struct gateway_conf *c, struct errbuf *eb)
{
    struct url u;
    char authority[URL_AUTHORITY_MAX];
    *g = (struct gateway){ 0 };
    enum err e = url_parse_endpoint(&u, str_of(c->url), eb);
    if (e != ERR_OK)
        return e;
    url_authority(&u, authority);
    struct buf base = BUF_INIT(sizeof g->base - 1);
    buf_printf(&base, "%s://%s", u.https ? "https" : "http", authority);
    e = str_copy(g->base, sizeof g->base, buf_str(&base));
    buf_fini(&base);
    const struct httpc_conf http = { .max_idle = 4, .user_agent = "labelwire-cli/" SVC_VERSION };
    return e == ERR_OK ? httpc_open(&g->http, &http, eb) : e;
}

void gateway_close(struct gateway *g)
{
    httpc_close(g->http);
    g->http = NULL;
}

/* ---- waiting and sending ------------------------------------------------------------------- */

void gateway_pause(struct gateway *g, int64_t ms)
{
    mono_t until = mono_after_ms(mono_now(), ms);
    if (until.ns > g->deadline.ns)
        until = g->deadline;
    int64_t left;
    while ((left = mono_until_ms(mono_now(), until)) > 0) {
        bool ticks = g->tick != NULL && left > GATEWAY_TICK_MS;
        if (g->tick != NULL)
            g->tick(g->tick_arg);
        httpc_poll(g->http, NULL, 0, ticks ? GATEWAY_TICK_MS : left);
    }
}

/* How long a busy server wants to be left alone; 0: it is not busy. */
static int64_t busy_ms(const struct httpc_req *rq)
{
    uint64_t seconds;
    bool store_failed = rq->status == 500 && strcmp(rq->method, "PUT") == 0; /* S3: try again */
    if (rq->status != 429 && (rq->status < 502 || rq->status > 504) && !store_failed)
        return 0;
    if (str_to_u64(httpc_header(rq, S("retry-after")), &seconds) != ERR_OK || seconds > 86400)
        return BUSY_MS;
    return seconds == 0 ? BUSY_MIN_MS : (int64_t)seconds * 1000;
}

/* ERR_FULL: still busy when the deadline is near; rq has the last answer. */
static enum err send_until_heard(struct gateway *g, struct httpc_req *rq, int64_t most_ms)
{
    for (;;) {
        int64_t left = mono_until_ms(mono_now(), g->deadline);
        rq->connect_ms = CONNECT_MS;
        rq->total_ms = left < LEAST_MS ? LEAST_MS : left < most_ms ? left : most_ms;
        enum err e = httpc_perform(g->http, rq);
        int64_t pause_ms = e == ERR_OK ? busy_ms(rq) : 0;
        if (pause_ms == 0)
            return e;
        if (pause_ms >= mono_until_ms(mono_now(), g->deadline))
            return ERR_FULL;
        gateway_pause(g, pause_ms);
    }
}

/* ---- what went wrong ----------------------------------------------------------------------- */

/* The sentence in an error's body, whichever of our error shapes it has. */
static void put_reason(struct buf *out, struct str body)
{
    static const struct str names[] = { { "description", 11 }, { "detail", 6 }, { "error", 5 } };
    struct json root, v;
    if (json_parse(&root, body, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < N_OF(names) && out->n == 0; i++)
        if (json_get(root, names[i], &v))
            json_text(out, v);
}

/* Why the gateway's answer is not what was hoped for. */
static enum err explain(const struct gateway *g, const struct httpc_req *rq, enum err e,
                        struct errbuf *eb)
{
    if (e == ERR_IO || e == ERR_TIMEOUT)
        return errbuf_set(eb, ERR_IO, "%s cannot be reached (%s); is it up? try `make up`", g->base,
                          rq->why);
    if (e != ERR_OK && e != ERR_FULL)
        return errbuf_set(eb, ERR_REMOTE, "%s did not give a usable answer: %s", g->base, rq->why);
    struct buf reason = BUF_INIT(ANSWER_MAX);
    put_reason(&reason, buf_str(&rq->answer));
    if (reason.n > 160)
        reason.p[160] = '\0';
    (void)errbuf_set(eb, e, "%s answered %d%s%s%s", g->base, rq->status,
                     reason.n > 0    ? ": "
                     : e == ERR_FULL ? ""
                                     : "; is it a Labelwire gateway?",
                     reason.n > 0 ? reason.p : "", e == ERR_FULL ? "; try again later" : "");
    buf_fini(&reason);
    return e == ERR_FULL ? e : ERR_REMOTE;
}

/* ---- create -------------------------------------------------------------------------------- */

static enum err read_created(struct gateway_blob *out, struct str body)
{
    struct json root, v;
    if (json_parse(&root, body, NULL) != ERR_OK || !json_get(root, S("blob_id"), &v) ||
        json_copy(out->id, sizeof out->id, v) != ERR_OK || out->id[0] == '\0')
        return ERR_REMOTE;
    return json_get(root, S("upload_url"), &v)
               ? json_copy(out->upload_url, sizeof out->upload_url, v)
               : ERR_REMOTE;
}

enum err gateway_create(struct gateway *g, struct str callback, struct gateway_blob *out,
                        struct errbuf *eb)
{
    static const char *const hdrs[] = { "Content-Type: application/json", NULL };
    struct buf url = BUF_INIT(GATEWAY_URL_MAX), body = BUF_INIT(GATEWAY_URL_MAX);
    buf_printf(&url, "%s/blobs", g->base);
    buf_puts(&body, callback.n > 0 ? "{\"callback_url\":" : "{");
    if (callback.n > 0)
        buf_json(&body, callback);
    buf_putc(&body, '}');
    struct httpc_req rq = { .method = "POST",
                            .url = url.p,
                            .hdrs = hdrs,
                            .body = buf_str(&body),
                            .max_answer = ANSWER_MAX };
    *out = (struct gateway_blob){ "", "" };
    enum err e = send_until_heard(g, &rq, REQUEST_MS);
    if (e != ERR_OK || rq.status != 201 || read_created(out, buf_str(&rq.answer)) != ERR_OK)
        e = explain(g, &rq, e, eb);
    httpc_req_fini(&rq);
    buf_fini(&url);
    buf_fini(&body);
    return e;
}

/* ---- upload -------------------------------------------------------------------------------- */

enum err gateway_upload(struct gateway *g, const char *url, struct str bytes,
                        void (*progress)(struct httpc_req *, uint64_t, uint64_t), void *owner,
                        struct errbuf *eb)
{
    struct url u;
    char where[URL_AUTHORITY_MAX];
    if (url_parse(&u, str_of(url), NULL) != ERR_OK)
        return errbuf_set(eb, ERR_REMOTE, "%s gave an upload URL that is none", g->base);
    url_authority(&u, where);
    struct httpc_req rq = { .method = "PUT",
                            .url = url,
                            .body = bytes,
                            .progress = progress,
                            .owner = owner,
                            .max_answer = S3_ERROR_MAX,
                            .cut_answer = true };
    enum err e = send_until_heard(g, &rq, INT64_MAX);
    struct str code = s3_error_code(&rq);
    if (e == ERR_IO || e == ERR_TIMEOUT)
        e = errbuf_set(eb, ERR_IO, "the upload to %s failed: %s", where, rq.why);
    else if (e != ERR_OK && e != ERR_FULL)
        e = errbuf_set(eb, ERR_REMOTE, "the upload to %s failed: %s", where, rq.why);
    else if (e == ERR_FULL || rq.status < 200 || rq.status > 299)
        e = errbuf_set(eb, e == ERR_OK ? ERR_REMOTE : e, "%s refused the upload: %d%s" STR_FMT "%s",
                       where, rq.status, code.n > 0 ? " " : "", STR_ARG(code),
                       e == ERR_FULL ? "; try again later" : "");
    httpc_req_fini(&rq);
    return e;
}

/* ---- look ---------------------------------------------------------------------------------- */

/* Fills in *out with views into the body. */
static enum err read_answer(struct gateway_answer *out, const struct httpc_req *rq)
{
    struct json root, payload, v;
    if (json_parse(&root, buf_str(&rq->answer), NULL) != ERR_OK)
        return ERR_REMOTE;
    if (rq->status == 200) {
        if (!json_get(root, S("labels"), &out->labels) || out->labels.type != JSON_ARRAY)
            return ERR_REMOTE;
        return str_copy(out->status, sizeof out->status, S("success"));
    }
    if (rq->status != 404 || !json_get(root, S("payload"), &payload) ||
        !json_get(payload, S("status"), &v) ||
        json_copy(out->status, sizeof out->status, v) != ERR_OK || out->status[0] == '\0')
        return ERR_REMOTE;
    out->description.cap = DESCRIPTION_MAX;
    if (json_get(root, S("description"), &v))
        json_text(&out->description, v);
    return ERR_OK;
}

enum err gateway_look(struct gateway *g, struct str id, struct gateway_answer *out,
                      struct errbuf *eb)
{
    struct buf url = BUF_INIT(GATEWAY_URL_MAX);
    buf_printf(&url, "%s/blobs/", g->base);
    enc_percent(&url, id, false);
    struct httpc_req rq = { .method = "GET", .url = url.p, .max_answer = ANSWER_MAX };
    gateway_answer_fini(out);
    enum err e = send_until_heard(g, &rq, REQUEST_MS);
    if (e == ERR_OK && read_answer(out, &rq) == ERR_OK) {
        out->body = rq.answer; /* moved, so that the views stay */
        rq.answer = (struct buf){ 0 };
    } else {
        gateway_answer_fini(out);
        e = explain(g, &rq, e, eb);
    }
    httpc_req_fini(&rq);
    buf_fini(&url);
    return e;
}

void gateway_answer_fini(struct gateway_answer *a)
{
    buf_fini(&a->description);
    buf_fini(&a->body);
    *a = (struct gateway_answer){ 0 };
}
