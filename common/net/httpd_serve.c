#include "net/httpd_serve.h"

#include <civetweb.h>
#include <string.h>

#include "base/enc.h"
#include "base/rand.h"
#include "net/httpd_call.h"
#include "net/httpd_check.h"

#define LINGER_MS         200    /* silence after which an unread body is no longer drained */
#define WATCHED_BYTES     65536U /* a smaller answer fits the socket's buffer */
#define REQUEST_ID_RANDOM 16U

/* ---- metrics ----------------------------------------------------------------------------- */

enum refused_by { BY_HEAD, BY_ROUTE, BY_BODY, BY_BUSY, BY_LATE, BY_N };
enum { ROW_CLASS = 0, ROW_REFUSED = 4, ROW_BUSY = ROW_REFUSED + BY_N };

#define REQUESTS(label)                                                                            \
    { .name = "labelwire_httpd_requests_total",                                                    \
      .labels = "class=\"" label "\"",                                                             \
      .help = "Answered HTTP requests by class of status.",                                        \
      .kind = METRIC_COUNTER }
#define REFUSED(label)                                                                             \
    { .name = "labelwire_httpd_refused_total",                                                     \
      .labels = "by=\"" label "\"",                                                                \
      .help = "Requests answered without a handler's reply, by the rule that refused them.",       \
      .kind = METRIC_COUNTER }

static struct metric rows[] = {
    REQUESTS("2xx"),
    REQUESTS("3xx"),
    REQUESTS("4xx"),
    REQUESTS("5xx"),
    REFUSED("head"),
    REFUSED("route"),
    REFUSED("body"),
    REFUSED("busy"),
    REFUSED("late"),
    { .name = "labelwire_httpd_busy", .help = "Handlers running now.", .kind = METRIC_GAUGE },
};
struct metric_set httpd_metrics = { rows, N_OF(rows) };

_Static_assert(N_OF(rows) == ROW_BUSY + 1, "rows and their indices");

/* ---- one request ------------------------------------------------------------------------- */

struct exchange {
    struct httpd *d;
    struct httpd_worker *w;
    struct mg_connection *conn;
    const struct mg_request_info *ri;
    struct http_call *c;
    struct httpd_facts facts;
    struct httpd_refusal no;
    enum refused_by by;
    bool body_unread;
    bool parsed; /* by civetweb; else its query_string is of an earlier request */
};

static enum err refuse(struct exchange *x, enum refused_by by, int status, const char *code,
                       enum err e)
{
    x->by = by;
    x->no.status = status;
    x->no.code = code;
    return e;
}

/* Limit for n bytes in either direction. */
static mono_t transfer_deadline(const struct httpd *d, uint64_t n)
{
    return mono_after_ms(mono_now(), d->conf.body_ms + (int64_t)(n * 1000 / HTTPD_BODY_RATE));
}

static struct httpd_watch watch(const struct exchange *x, int how, mono_t deadline)
{
    return (struct httpd_watch){ .remote = x->ri->remote_addr,
                                 .remote_port = (uint16_t)x->ri->remote_port,
                                 .local_port = (uint16_t)x->ri->server_port,
                                 .how = how,
                                 .deadline = deadline };
}

static struct str random_id(struct http_call *c)
{
    unsigned char raw[REQUEST_ID_RANDOM];
    char hex[2 * sizeof raw];
    rand_bytes(raw, sizeof raw);
    enc_hex(hex, raw, sizeof raw);
    return httpd_call_keep(c, (struct str){ hex, sizeof hex });
}

/* Copies the head into the thread's call and judges it. */
static enum err take_head(struct exchange *x)
{
    if (x->w->call == NULL)
        x->w->call = httpd_call_new();
    struct http_call *c = x->c = x->w->call;
    httpd_call_reset(c, x->d->conf.app, x->d->conf.cors);
    struct httpd_head *h = &c->head;
    const struct mg_request_info *ri = x->ri;
    h->method = httpd_call_keep(c, str_of(ri->request_method));
    h->path = httpd_call_keep(c, str_of(ri->request_uri));
    h->query = httpd_call_keep(c, x->parsed ? str_of(ri->query_string) : STR_NONE);
    h->http_10 = ri->http_version != NULL && strcmp(ri->http_version, "1.0") == 0;
    for (int i = 0; i < ri->num_headers && h->n_hdrs < HTTPD_HEADERS_SEEN; i++)
        c->hdrs[h->n_hdrs++] = (struct http_hdr){
            httpd_call_keep(c, str_of(ri->http_headers[i].name)).p,
            httpd_call_keep(c, str_of(ri->http_headers[i].value)),
        };
    c->is_head = str_eq(h->method, S("HEAD"));
    c->remote = httpd_call_keep(c, str_of(ri->remote_addr));
    x->by = BY_HEAD;
    enum err e = httpd_check_head(h, &x->facts, &x->no);
    c->request_id = x->facts.request_id.n > 0 ? x->facts.request_id : random_id(c);
    c->cors_headers = x->facts.cors_headers;
    x->body_unread = x->facts.length > 0 || x->facts.chunked;
    return e;
}

static bool answers(const struct http_route *r, struct str method)
{
    return str_eq(method, str_of(r->method)) ||
           (str_eq(method, S("HEAD")) && strcmp(r->method, "GET") == 0);
}

/* The route at or behind `from` with this path and method; any method when method is NULL. */
static size_t next_route(const struct http_call *c, const struct httpd_conf *conf, size_t from,
                         const char *method)
{
    struct str ignored[HTTPD_PARAMS_MAX];
    while (from < conf->n_routes &&
           ((method != NULL && strcmp(conf->routes[from].method, method) != 0) ||
            !httpd_check_match(conf->routes[from].path, c->head.path, ignored)))
        from++;
    return from;
}

/* The methods of a path, for Allow.  Empty: no route has this path. */
static void list_methods(struct http_call *c, const struct httpd_conf *conf)
{
    struct buf list = BUF_INIT(256);
    for (size_t i = next_route(c, conf, 0, NULL); i < conf->n_routes;
         i = next_route(c, conf, i + 1, NULL)) {
        const struct http_route *r = &conf->routes[i];
        if (next_route(c, conf, 0, r->method) < i)
            continue; /* two patterns fit */
        if (list.n > 0)
            buf_put(&list, S(", "));
        buf_puts(&list, r->method);
        if (strcmp(r->method, "GET") == 0)
            buf_put(&list, S(", HEAD"));
    }
    if (conf->cors && list.n > 0)
        buf_put(&list, S(", OPTIONS"));
    c->allow = httpd_call_keep(c, buf_str(&list));
    buf_fini(&list);
}

static const struct http_route preflight = { "OPTIONS", "", 0, 0, httpd_call_preflight };

static enum err find_route(struct exchange *x)
{
    struct http_call *c = x->c;
    const struct httpd_conf *conf = &x->d->conf;
    bool sound = httpd_check_path(c->head.path);
    for (size_t i = 0; sound && i < conf->n_routes; i++)
        if (answers(&conf->routes[i], c->head.method) &&
            httpd_check_match(conf->routes[i].path, c->head.path, c->param)) {
            c->route = &conf->routes[i];
            return ERR_OK;
        }
    if (sound)
        list_methods(c, conf);
    if (c->allow.n == 0)
        return refuse(x, BY_ROUTE, 404, "not_found",
                      errbuf_set(&x->no.detail, ERR_MISSING, "there is nothing at this path"));
    if (conf->cors && str_eq(c->head.method, S("OPTIONS"))) {
        c->route = &preflight;
        return ERR_OK;
    }
    return refuse(
        x, BY_ROUTE, 405, "method_not_allowed",
        errbuf_set(&x->no.detail, ERR_INVAL, "this path answers " STR_FMT, STR_ARG(c->allow)));
}

static enum err read_body(struct exchange *x)
{
    size_t want = (size_t)x->facts.length, got = 0;
    if (want == 0)
        return ERR_OK;
    char *at = buf_reserve(&x->c->body, want);
    if (at == NULL)
        return refuse(x, BY_BODY, 503, "out_of_memory",
                      errbuf_set(&x->no.detail, ERR_FULL, "no memory for the body; try again"));
    static const struct str go_on = S("HTTP/1.1 100 Continue\r\n\r\n");
    if (x->facts.wants_continue)
        mg_write(x->conn, go_on.p, go_on.n);
    struct httpd_watch w = watch(x, SHUT_RD, transfer_deadline(x->d, want));
    httpd_guard_enter(x->d->guard, &w);
    while (got < want) {
        int n = mg_read(x->conn, at + got, want - got);
        if (n > 0)
            got += (size_t)n;
        else if (n < 0 || mono_until_ms(mono_now(), w.deadline) == 0)
            break; /* 0 is silence for HEAD_MS; the deadline may be later */
    }
    bool late = httpd_guard_leave(x->d->guard, &w) || mono_until_ms(mono_now(), w.deadline) == 0;
    x->body_unread = false;
    buf_grew(&x->c->body, got);
    if (got == want)
        return ERR_OK;
    if (late)
        return refuse(x, BY_BODY, 408, "request_timeout",
                      errbuf_set(&x->no.detail, ERR_TIMEOUT,
                                 "%zu of %zu bytes of the body came within the time limit", got,
                                 want));
    return refuse(
        x, BY_BODY, 400, "incomplete_body",
        errbuf_set(&x->no.detail, ERR_IO, "the body ended after %zu of %zu bytes", got, want));
}

/* Runs the handler and waits for its reply. */
static enum err run(struct exchange *x)
{
    struct httpd *d = x->d;
    struct http_call *c = x->c;
    if (atomic_fetch_add(&d->busy, 1) >= d->conf.max_busy) {
        atomic_fetch_sub(&d->busy, 1);
        return refuse(x, BY_BUSY, 503, "busy",
                      errbuf_set(&x->no.detail, ERR_FULL, "%u requests are being served; try again",
                                 d->conf.max_busy));
    }
    metric_add(&rows[ROW_BUSY], 1);
    char id[HTTPD_REQUEST_ID_MAX + 1];
    enum err copied = str_copy(id, sizeof id, c->request_id);
    c->route->handle(c);
    bool replied = httpd_call_await(c, d->conf.reply_ms);
    metric_add(&rows[ROW_BUSY], -1);
    atomic_fetch_sub(&d->busy, 1);
    if (replied)
        return ERR_OK;
    x->w->call = NULL; /* the late replier's now */
    if (take_head(x) == ERR_OK && copied == ERR_OK)
        x->c->request_id = httpd_call_keep(x->c, str_of(id));
    x->body_unread = false;
    return refuse(x, BY_LATE, 503, "late",
                  errbuf_set(&x->no.detail, ERR_TIMEOUT,
                             "no answer within %d ms; it may still be carried out",
                             d->conf.reply_ms));
}

static enum err check_body(struct exchange *x)
{
    x->by = BY_BODY;
    return httpd_check_body(&x->c->head, &x->facts, x->c->route, &x->no);
}

static void send_answer(struct exchange *x)
{
    struct str out = buf_str(&x->c->out);
    if (out.n <= WATCHED_BYTES) {
        mg_write(x->conn, out.p, out.n);
        return;
    }
    struct httpd_watch w = watch(x, SHUT_RDWR, transfer_deadline(x->d, out.n));
    httpd_guard_enter(x->d->guard, &w);
    mg_write(x->conn, out.p, out.n);
    httpd_guard_leave(x->d->guard, &w);
}

/* A socket closed with unread data resets the connection, and the client may lose the answer
 * that it has not read yet.  So what is still coming is read for a while and thrown away. */
static void linger(struct exchange *x)
{
    mono_t end = mono_after_ms(mono_now(), x->d->conf.body_ms);
    char sink[8192];
    int n = 1;
    for (bool late = false; n > 0 && !late && mono_until_ms(mono_now(), end) > 0;) {
        struct httpd_watch w = watch(x, SHUT_RD, mono_after_ms(mono_now(), LINGER_MS));
        httpd_guard_enter(x->d->guard, &w);
        n = mg_read(x->conn, sink, sizeof sink);
        late = httpd_guard_leave(x->d->guard, &w);
    }
}

static void finish(struct exchange *x, enum err e)
{
    if (e != ERR_OK) {
        httpd_call_refuse(x->c, &x->no);
        metric_add(&rows[ROW_REFUSED + x->by], 1);
    }
    int class = x->c->status / 100;
    metric_add(&rows[ROW_CLASS + (class < 2 || class > 5 ? 3 : class - 2)], 1);
    send_answer(x);
    httpd_call_trim(x->c);
    if (e != ERR_OK && x->body_unread)
        linger(x);
    mg_disable_connection_keep_alive(x->conn); /* else civetweb reads the rest of the body */
    struct httpd *d = x->d;
    if (atomic_fetch_sub(&d->calls, 1) == 1 && atomic_load(&d->closing)) {
        pthread_mutex_lock(&d->lock);
        pthread_cond_signal(&d->finished);
        pthread_mutex_unlock(&d->lock);
    }
}

static struct exchange begin(struct mg_connection *conn, bool parsed)
{
    struct exchange x = {
        .d = mg_get_user_context_data(conn),
        .w = mg_get_thread_pointer(conn),
        .conn = conn,
        .ri = mg_get_request_info(conn),
        .parsed = parsed,
    };
    atomic_fetch_add(&x.d->begun, 1);
    atomic_fetch_add(&x.d->calls, 1);
    return x;
}

int httpd_serve(struct mg_connection *conn)
{
    struct exchange x = begin(conn, true);
    enum err e = take_head(&x);
    if (e == ERR_OK)
        e = find_route(&x);
    if (e == ERR_OK)
        e = check_body(&x);
    if (e == ERR_OK)
        e = read_body(&x);
    if (e == ERR_OK)
        e = run(&x);
    finish(&x, e);
    return x.c->status;
}

/* In the case of a length or coding that civetweb does not like the headers are there and say
 * more than it does. */
int httpd_serve_error(struct mg_connection *conn, int status, const char *text)
{
    (void)text;
    struct exchange x = begin(conn, false);
    enum err e = take_head(&x);
    if (x.ri->num_headers > 0 && e != ERR_OK)
        ; /* as judged */
    else if (status == 505)
        e = refuse(&x, BY_HEAD, 505, "bad_version",
                   errbuf_set(&x.no.detail, ERR_INVAL, "only HTTP/1.1 and HTTP/1.0 are spoken"));
    else
        e = refuse(&x, BY_HEAD, 400, "bad_request",
                   errbuf_set(&x.no.detail, ERR_INVAL,
                              "not a complete HTTP/1.1 request head of at most %u bytes",
                              HTTPD_HEAD_BYTES));
    x.body_unread = false;
    finish(&x, e);
    return 0;
}
