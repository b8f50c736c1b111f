#include "svc/admin.h"

#define METRICS_MAX_BYTES (1U << 20)

static void answer(struct http_call *c, bool good, const char *state)
{
    struct buf body = BUF_INIT(1024);
    buf_puts(&body, "{\"status\":");
    buf_json(&body, str_of(state));
    buf_puts(&body, "}\n");
    http_reply_json(c, good ? 200 : 503, buf_str(&body));
    buf_fini(&body);
}

static void livez(struct http_call *c)
{
    bool live = svc_is_live(http_app(c));
    answer(c, live, live ? "live" : "the main loop hangs");
}

static void readyz(struct http_call *c)
{
    struct buf why = BUF_INIT(512);
    bool ready = svc_is_ready(http_app(c), &why);
    answer(c, ready, ready ? "ready" : why.p);
    buf_fini(&why);
}

static void metrics(struct http_call *c)
{
    struct buf body = BUF_INIT(METRICS_MAX_BYTES);
    svc_metrics(http_app(c), &body);
    const struct http_hdr type = { "Content-Type", S("text/plain; version=0.0.4") };
    http_reply(c, 200, &type, 1, buf_str(&body));
    buf_fini(&body);
}

enum err admin_open(struct httpd **out, struct svc *s, const char *listen, struct errbuf *eb)
{
    static const struct http_route routes[] = {
        { "GET", "/livez", 0, 0, livez },
        { "GET", "/readyz", 0, 0, readyz },
        { "GET", "/metrics", 0, 0, metrics },
    };
    const struct httpd_conf conf = { .listen = listen,
                                     .threads = 3,
                                     .max_busy = 3,
                                     .routes = routes,
                                     .n_routes = N_OF(routes),
                                     .app = s };
    enum err e = httpd_open(out, &conf, eb);
    return e == ERR_OK ? e : errbuf_wrap(eb, e, "LW_ADMIN_LISTEN");
}
