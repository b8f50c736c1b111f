#include "net/httpd_call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#define PROBLEM_BYTES 4096U
#define KEEP_BYTES    262144U /* a larger buffer is not kept for the next request */

struct http_call *httpd_call_new(void)
{
    struct http_call *c = xcalloc(1, sizeof *c);
    buf_init(&c->body, SIZE_MAX / 2); /* the routes cap it */
    buf_init(&c->out, HTTPD_REPLY_BYTES);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->answered, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void httpd_call_free(struct http_call *c)
{
    if (c == NULL)
        return;
    buf_fini(&c->body);
    buf_fini(&c->out);
    pthread_cond_destroy(&c->answered);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void httpd_call_reset(struct http_call *c, void *app, bool cors)
{
    c->app = app;
    c->cors = cors;
    c->is_head = false;
    c->route = NULL;
    c->head = (struct httpd_head){ .hdrs = c->hdrs };
    c->remote = c->request_id = c->allow = c->cors_headers = STR_NONE;
    buf_clear(&c->body);
    buf_clear(&c->out);
    c->status = 0;
    c->state = CALL_OPEN;
    c->text_n = 0;
}

void httpd_call_trim(struct http_call *c)
{
    if (c->body.room > KEEP_BYTES)
        buf_fini(&c->body);
    if (c->out.room > KEEP_BYTES)
        buf_fini(&c->out);
}

struct str httpd_call_keep(struct http_call *c, struct str s)
{
    assert(s.n < sizeof c->text - c->text_n);
    char *at = c->text + c->text_n;
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    at[s.n] = '\0';
    c->text_n += s.n + 1;
    return (struct str){ at, s.n };
}

bool httpd_call_await(struct http_call *c, int64_t ms)
{
    pthread_mutex_lock(&c->lock);
    if (c->state == CALL_OPEN) {
        mono_t end = mono_after_ms(mono_now(), ms);
        struct timespec ts = { end.ns / 1000000000, end.ns % 1000000000 };
        while (c->state == CALL_OPEN && pthread_cond_timedwait(&c->answered, &c->lock, &ts) == 0)
            ;
    }
    bool answered = c->state == CALL_ANSWERED;
    if (!answered)
        c->state = CALL_ABANDONED;
    pthread_mutex_unlock(&c->lock);
    return answered;
}

/* ---- what a handler reads ---------------------------------------------------------------- */

void *http_app(const struct http_call *c)
{
    return c->app;
}

struct str http_method(const struct http_call *c)
{
    return c->head.method;
}

struct str http_path(const struct http_call *c)
{
    return c->head.path;
}

struct str http_query(const struct http_call *c)
{
    return c->head.query;
}

struct str http_param(const struct http_call *c, unsigned nth)
{
    assert(nth < HTTPD_PARAMS_MAX);
    return c->param[nth];
}

struct str http_header(const struct http_call *c, const char *name)
{
    struct str wanted = str_of(name);
    for (size_t i = 0; i < c->head.n_hdrs; i++)
        if (str_eq_nocase(str_of(c->hdrs[i].name), wanted))
            return c->hdrs[i].value;
    return STR_NONE;
}

size_t http_headers(const struct http_call *c, const struct http_hdr **out)
{
    *out = c->hdrs;
    return c->head.n_hdrs;
}

struct str http_body(const struct http_call *c)
{
    return buf_str(&c->body);
}

struct str http_remote(const struct http_call *c)
{
    return c->remote;
}

struct str http_request_id(const struct http_call *c)
{
    return c->request_id;
}

/* ---- the answer -------------------------------------------------------------------------- */

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 422, "Unprocessable Content" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        if (rows[i].status == status)
            return rows[i].text;
    return status < 400 ? "OK" : "Error";
}

/* Formatting a date costs more than the rest of the head: once a second is enough. */
static void put_date(struct http_call *c, struct buf *o)
{
    int64_t now_s = wall_now().ms / 1000;
    if (now_s != c->date_s) {
        wall_to_http((wall_t){ now_s * 1000 }, c->date);
        c->date_s = now_s;
    }
    buf_put(o, S("\r\nDate: "));
    buf_puts(o, c->date);
}

/* A value that came from outside must not start a header of its own. */
static void put_value(struct buf *o, struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f) {
            buf_put(o, str_head(value, i));
            value = str_from(value, i + 1);
            i = (size_t)-1;
        }
    buf_put(o, value);
}

static bool has_date(const struct http_hdr *hdrs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(str_of(hdrs[i].name), S("date")))
            return true;
    return false;
}

static void compose(struct http_call *c, int status, const struct http_hdr *hdrs, size_t n_hdrs,
                    struct str body)
{
    struct buf *o = &c->out;
    buf_clear(o);
    buf_put(o, S("HTTP/1.1 "));
    buf_u64(o, (uint64_t)status);
    buf_putc(o, ' ');
    buf_puts(o, reason(status));
    buf_put(o, S("\r\nConnection: close"));
    if (!has_date(hdrs, n_hdrs))
        put_date(c, o);
    buf_put(o, S("\r\nX-Request-Id: "));
    buf_put(o, c->request_id);
    bool has_body = status != 204 && status != 304;
    if (has_body) {
        buf_put(o, S("\r\nContent-Length: "));
        buf_u64(o, body.n);
    }
    if (c->cors)
        buf_put(o, S("\r\nAccess-Control-Allow-Origin: *"
                     "\r\nAccess-Control-Expose-Headers: Location, ETag, X-Request-Id, "
                     "Retry-After"));
    for (size_t i = 0; i < n_hdrs; i++) {
        buf_put(o, S("\r\n"));
        buf_puts(o, hdrs[i].name);
        buf_put(o, S(": "));
        put_value(o, hdrs[i].value);
    }
    buf_put(o, S("\r\n\r\n"));
    if (has_body && !c->is_head)
        buf_put(o, body);
    c->status = status;
}

static void answer(struct http_call *c, int status, const struct http_hdr *hdrs, size_t n_hdrs,
                   struct str body)
{
    compose(c, status, hdrs, n_hdrs, body);
    if (buf_failed(&c->out)) {
        buf_fini(&c->out);
        compose(c, 500, NULL, 0, STR_NONE);
    }
    pthread_mutex_lock(&c->lock);
    assert(c->state != CALL_ANSWERED); /* replied twice */
    bool abandoned = c->state == CALL_ABANDONED;
    if (!abandoned) {
        c->state = CALL_ANSWERED;
        pthread_cond_signal(&c->answered);
    }
    pthread_mutex_unlock(&c->lock);
    if (abandoned)
        httpd_call_free(c);
}

void http_reply(struct http_call *c, int status, const struct http_hdr *hdrs, size_t n_hdrs,
                struct str body)
{
    answer(c, status, hdrs, n_hdrs, body);
}

void http_reply_json(struct http_call *c, int status, struct str body)
{
    const struct http_hdr type = { "Content-Type", S("application/json") };
    answer(c, status, &type, 1, body);
}

void http_reply_problem(struct http_call *c, int status, const char *code, const char *detail)
{
    struct buf body = BUF_INIT(PROBLEM_BYTES);
    buf_put(&body, S("{\"type\":\"about:blank\",\"title\":"));
    buf_json(&body, str_of(reason(status)));
    buf_put(&body, S(",\"status\":"));
    buf_u64(&body, (uint64_t)status);
    buf_put(&body, S(",\"code\":"));
    buf_json(&body, str_of(code));
    buf_put(&body, S(",\"detail\":"));
    buf_json(&body, str_head(str_of(detail), 512));
    buf_put(&body, S(",\"request_id\":"));
    buf_json(&body, c->request_id);
    buf_putc(&body, '}');
    struct http_hdr hdrs[3] = { { "Content-Type", S("application/problem+json") } };
    size_t n = 1;
    if (status == 503)
        hdrs[n++] = (struct http_hdr){ "Retry-After", S("1") };
    if (status == 405 && c->allow.n > 0)
        hdrs[n++] = (struct http_hdr){ "Allow", c->allow };
    answer(c, status, hdrs, n, buf_str(&body));
    buf_fini(&body);
}

void httpd_call_refuse(struct http_call *c, const struct httpd_refusal *no)
{
    http_reply_problem(c, no->status, no->code, no->detail.text);
}

void httpd_call_preflight(struct http_call *c)
{
    struct str asked = c->cors_headers.n > 0
                           ? c->cors_headers
                           : S("Authorization, Content-Type, Idempotency-Key, If-Match, "
                               "If-None-Match, Prefer, Last-Event-ID, X-Request-Id");
    const struct http_hdr hdrs[] = {
        { "Allow", c->allow },
        { "Access-Control-Allow-Methods", c->allow },
        { "Access-Control-Allow-Headers", asked },
        { "Access-Control-Max-Age", S("7200") },
    };
    answer(c, 204, hdrs, N_OF(hdrs), STR_NONE);
}
