/* blobs.c - the original contract: POST /blobs and GET /blobs/{id}. */
#include <stdio.h>

#include "api-gateway/gateway.h"
#include "api-gateway/request.h"
#include "base/enc.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "blob/render.h"

#define BODY_MAX       8192U
#define ANSWER_MAX     16384U
#define MAX_LABELS     10
#define MIN_CONFIDENCE 50

static void refuse(struct http_call *c, const char *error, struct str sent_url)
{
    struct buf body = BUF_INIT(ANSWER_MAX);
    buf_puts(&body, "{\"error\":");
    buf_json(&body, str_of(error));
    buf_puts(&body, ",\"description\":");
    struct buf sentence = BUF_INIT(512);
    buf_printf(&sentence, "%s.", error);
    buf_json(&body, buf_str(&sentence));
    buf_puts(&body, ",\"payload\":{");
    if (sent_url.n > 0) {
        buf_puts(&body, "\"callback_url\":");
        buf_put(&body, sent_url);
    }
    buf_puts(&body, "}}");
    http_reply_json(c, 400, buf_str(&body));
    buf_fini(&sentence);
    buf_fini(&body);
}

static void unavailable(struct http_call *c, enum err e)
{
    if (e == ERR_FULL)
        http_reply_problem(c, 503, "overloaded",
                           "More is kept or waiting than there is room for; try again later.");
    else
        http_reply_problem(c, 503, "store_unavailable",
                           "The record store does not answer; try again in a moment.");
}

/* The caller's trace goes on; without one it begins here. */
static void set_trace(struct blob *b, struct str given)
{
    unsigned char raw[24];
    char hex[48];
    if (request_is_traceparent(given) &&
        str_copy(b->traceparent, sizeof b->traceparent, given) == ERR_OK)
        return;
    rand_bytes(raw, sizeof raw);
    enc_hex(hex, raw, sizeof raw);
    (void)snprintf(b->traceparent, sizeof b->traceparent, "00-%.32s-%.16s-01", hex, hex + 32);
}

static void new_blob(struct blob *b, const struct gateway *g, const struct create_request *rq,
                     const struct http_call *c)
{
    *b = (struct blob){ .owner = "public",
                        .window_ms = g->upload_window_ms,
                        .max_labels = MAX_LABELS,
                        .min_confidence = MIN_CONFIDENCE };
    rand_uuid(b->id);
    (void)snprintf(b->object_key, sizeof b->object_key, OBJECT_PREFIX "%s", b->id);
    (void)snprintf(b->callback_url, sizeof b->callback_url, "%s", rq->callback_url);
    set_trace(b, http_header(c, "traceparent"));
}

static void reply_created(struct http_call *c, const struct blob *b, struct str upload_url)
{
    struct buf body = BUF_INIT(ANSWER_MAX);
    buf_printf(&body, "{\"blob_id\":\"%s\",\"callback_url\":", b->id);
    if (b->callback_url[0] != '\0')
        buf_json(&body, str_of(b->callback_url));
    else
        buf_puts(&body, "null");
    buf_puts(&body, ",\"upload_url\":");
    buf_json(&body, upload_url);
    buf_putc(&body, '}');
    http_reply_json(c, 201, buf_str(&body));
    buf_fini(&body);
}

static void create(struct http_call *c)
{
    struct gateway *g = http_app(c);
    struct create_request rq;
    struct blob b;
    struct str sent;
    struct errbuf eb = { "" };
    enum err e = request_parse(&rq, http_body(c), &sent, &eb);
    if (e == ERR_DENIED) {
        LOG(DEBUG, "callback_url.refused", F_STR("reason", eb.text));
        refuse(c, "Invalid callback url supplied", sent);
        return;
    }
    if (e != ERR_OK) {
        refuse(c, eb.text, STR_NONE);
        return;
    }
    new_blob(&b, g, &rq, c);
    struct buf url = BUF_INIT(ANSWER_MAX / 2);
    e = s3_presign(&g->s3, "PUT", str_of(b.object_key), b.window_ms / 1000, wall_now(), &url);
    FAILPOINT("create.store");
    if (e == ERR_OK)
        e = atomic_load(&g->repo.checked) ? repo_create(&g->repo, &b) : ERR_IO;
    FAILPOINT("create.answer");
    if (e == ERR_OK)
        reply_created(c, &b, buf_str(&url));
    else
        unavailable(c, e);
    buf_fini(&url);
}

static void get(struct http_call *c)
{
    struct gateway *g = http_app(c);
    struct str id = http_param(c, 0);
    struct blob b;
    struct buf labels = BUF_INIT(RENDER_MAX_BYTES), body = BUF_INIT(RENDER_MAX_BYTES + 1024);
    enum err e = ERR_MISSING; /* anything but an id of ours is unknown without asking */
    if (uuid_is_canonical(id))
        e = atomic_load(&g->repo.checked) ? repo_read(&g->repo, id, &b, &labels) : ERR_IO;
    if (e == ERR_OK) {
        int status = render_blob(&body, &b, buf_str(&labels));
        http_reply_json(c, status, buf_str(&body));
    } else if (e == ERR_MISSING) {
        render_status_body(&body, str_head(id, 64), STATUS_NOT_FOUND);
        http_reply_json(c, 404, buf_str(&body));
    } else {
        unavailable(c, e);
    }
    buf_fini(&labels);
    buf_fini(&body);
}

static void front(struct http_call *c)
{
    static const struct http_hdr type = { "Content-Type", S("text/plain; charset=utf-8") };
    http_reply(c, 200, &type, 1,
               S("Labelwire: upload a picture, its labels arrive at your URL.\n\n"
                 "  POST /blobs        {\"callback_url\": \"https://…\"} -> blob_id, upload_url\n"
                 "  PUT  <upload_url>  the JPEG or PNG\n"
                 "  GET  /blobs/{id}   its labels, or where it stands\n"));
}

const struct http_route blobs_routes[] = {
    { "GET", "/", 0, 0, front },
    { "POST", "/blobs", BODY_MAX, HTTP_LENGTH_OPTIONAL, create },
    { "GET", "/blobs/{id}", 0, 0, get },
};
const size_t blobs_routes_n = N_OF(blobs_routes);
