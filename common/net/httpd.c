#include "net/httpd.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "net/httpd_call.h"
#include "net/httpd_serve.h"

#define HEAD_MS  "2000" /* request_timeout_ms: limit for the head; silence within civetweb */
#define QUIET_MS 20     /* no call for so long: the accepted connections are served */

/* ---- civetweb's callbacks ---------------------------------------------------------------- */

/* In the thread that is in mg_start2(): its first complaint, which names the cause. */
static _Thread_local struct errbuf *starting;

static int on_log(const struct mg_connection *conn, const char *text)
{
    static _Atomic int64_t quiet_until_ms; /* hostile clients must not fill the log */
    (void)conn;
    if (starting != NULL) {
        if (starting->text[0] == '\0')
            (void)errbuf_set(starting, ERR_CONFIG, "%s", text);
        return 1;
    }
    int64_t now_ms = mono_now().ns / 1000000, until = atomic_load(&quiet_until_ms);
    if (now_ms >= until && atomic_compare_exchange_strong(&quiet_until_ms, &until, now_ms + 1000))
        LOG(WARN, "httpd.civetweb_said", F_STR("text", text));
    return 1; /* not to its own log */
}

static void *on_thread_start(const struct mg_context *ctx, int type)
{
    (void)ctx;
    return type == 1 ? xcalloc(1, sizeof(struct httpd_worker)) : NULL; /* 1: serves connections */
}

static void on_thread_end(const struct mg_context *ctx, int type, void *worker)
{
    (void)ctx;
    if (type != 1)
        return;
    struct httpd_worker *w = worker;
    httpd_call_free(w->call);
    free(w);
}

/* ---- open and close ---------------------------------------------------------------------- */

static enum err parse_listen(struct httpd *d, struct errbuf *eb)
{
    struct str rest = str_of(d->conf.listen), host;
    size_t colon = rest.n;
    while (colon > 0 && rest.p[colon - 1] != ':')
        colon--;
    uint64_t port = UINT64_MAX;
    char text[INET6_ADDRSTRLEN];
    bool v6 = false, good = colon > 1 && str_to_u64(str_from(rest, colon), &port) == ERR_OK;
    if (good) {
        host = str_head(rest, colon - 1);
        v6 = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
        if (v6)
            host = (struct str){ host.p + 1, host.n - 2 };
        good = port <= UINT16_MAX && str_copy(text, sizeof text, host) == ERR_OK;
    }
    d->addr.sa.sa_family = v6 ? AF_INET6 : AF_INET;
    void *to = v6 ? (void *)&d->addr.in6.sin6_addr : (void *)&d->addr.in.sin_addr;
    if (!good || inet_pton(d->addr.sa.sa_family, text, to) != 1)
        return errbuf_set(eb, ERR_CONFIG,
                          "listen address %s: want an IPv4 address or an IPv6 address in "
                          "brackets, then a colon and a port, like 127.0.0.1:8080",
                          d->conf.listen == NULL ? "(none)" : d->conf.listen);
    if (v6 && !mg_check_feature(MG_FEATURES_IPV6))
        return errbuf_set(eb, ERR_CONFIG,
                          "listen address %s: this civetweb was built without IPv6 (Debian 12's "
                          "is); use an IPv4 address",
                          d->conf.listen);
    return ERR_OK;
}

/* Debian 12 and 13 build civetweb for OpenSSL 1.1 but ship 3: see net/shim/openssl11.c. */
static enum err start_tls(const struct httpd *d, struct errbuf *eb)
{
    if (access(d->conf.tls_cert, R_OK) != 0)
        return errbuf_set(eb, ERR_CONFIG, "certificate %s cannot be read", d->conf.tls_cert);
    if (mg_init_library(MG_FEATURES_TLS) & MG_FEATURES_TLS)
        return ERR_OK;
    mg_exit_library();
    return errbuf_set(eb, ERR_CONFIG,
                      "TLS on %s: civetweb finds no libssl.so and libcrypto.so with the OpenSSL "
                      "1.1 functions it wants; put our lib/ beside bin/, or unset the certificate "
                      "and end TLS in a proxy",
                      d->conf.listen);
}

static enum err start(struct httpd *d, bool tls, struct errbuf *eb)
{
    struct buf ports = BUF_INIT(80), threads = BUF_INIT(16);
    buf_printf(&ports, "%s%s", d->conf.listen, tls ? "s" : "");
    buf_u64(&threads, d->conf.threads);
    /* clang-format off */
    const char *options[] = {
        "listening_ports", buf_str(&ports).p,
        "num_threads", buf_str(&threads).p,
        "enable_keep_alive", "no",
        "tcp_nodelay", "1",
        "listen_backlog", "1024",
        "connection_queue", "512",
        "request_timeout_ms", HEAD_MS,
        "max_request_size", "16384",       /* HTTPD_HEAD_BYTES */
        "decode_url", "no",                /* it would cut the path at %00 */
        "decode_query_string", "no",
        "enable_auth_domain_check", "no",
        "enable_directory_listing", "no",
        "ssl_protocol_version", "4",       /* TLS 1.2 and up */
        tls ? "ssl_certificate" : NULL, d->conf.tls_cert,
        NULL,
    };
    /* clang-format on */
    const struct mg_callbacks callbacks = {
        .begin_request = httpd_serve,
        .http_error = httpd_serve_error,
        .log_message = on_log,
        .init_thread = on_thread_start,
        .exit_thread = on_thread_end,
    };
    struct mg_init_data init = { &callbacks, d, options };
    char text[160] = "";
    struct mg_error_data error = { .text = text, .text_buffer_size = sizeof text };
    struct errbuf why = { "" };
    starting = &why;
    d->ctx = mg_start2(&init, &error);
    starting = NULL;
    buf_fini(&ports);
    buf_fini(&threads);
    if (d->ctx == NULL)
        return errbuf_set(eb, ERR_CONFIG,
                          "cannot listen on %s: %s; free the address or choose another one",
                          d->conf.listen, why.text[0] != '\0' ? why.text : text);
    if (why.text[0] != '\0')
        LOG(WARN, "httpd.civetweb_said", F_STR("text", why.text));
    struct mg_server_port listening[1];
    if (mg_get_server_ports(d->ctx, 1, listening) == 1)
        d->addr.in.sin_port = htons((uint16_t)listening[0].port); /* where sin6_port is, too */
    return ERR_OK;
}

static void destroy(struct httpd *d)
{
    if (d->quiet >= 0)
        close(d->quiet);
    if (d->guard != NULL)
        httpd_guard_close(d->guard);
    pthread_cond_destroy(&d->finished);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

enum err httpd_open(struct httpd **out, const struct httpd_conf *c, struct errbuf *eb)
{
    *out = NULL;
    struct httpd *d = xcalloc(1, sizeof *d);
    d->conf = *c;
    d->conf.body_ms = c->body_ms > 0 ? c->body_ms : HTTPD_BODY_MS;
    d->conf.reply_ms = c->reply_ms > 0 ? c->reply_ms : HTTPD_REPLY_MS;
    d->quiet = wake_open();
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->finished, &attr);
    pthread_condattr_destroy(&attr);
    bool tls = c->tls_cert != NULL && c->tls_cert[0] != '\0';
    enum err e = parse_listen(d, eb);
    if (e == ERR_OK && tls)
        e = start_tls(d, eb);
    else if (e == ERR_OK)
        (void)mg_init_library(MG_FEATURES_DEFAULT);
    if (e != ERR_OK) {
        destroy(d);
        return e;
    }
    d->guard = httpd_guard_open();
    e = start(d, tls, eb);
    if (e != ERR_OK) {
        mg_exit_library();
        destroy(d);
        return e;
    }
    d->conf.listen = d->conf.tls_cert = NULL; /* the caller's, and no longer needed */
    *out = d;
    return ERR_OK;
}

uint16_t httpd_port(const struct httpd *d)
{
    return ntohs(d->addr.in.sin_port);
}

/* With the lock held; wakes are of no interest. */
static void wait_ms(struct httpd *d, int64_t ms)
{
    mono_t until = mono_after_ms(mono_now(), ms);
    struct timespec ts = { until.ns / 1000000000, until.ns % 1000000000 };
    while (pthread_cond_timedwait(&d->finished, &d->lock, &ts) == 0)
        ;
}

/* Until no call is left and none came out of civetweb's queue for QUIET_MS.
 *
 * civetweb cannot stop accepting without dropping the calls in progress, so the caller has
 * shut the listening socket down.  civetweb's accepting thread finds it readable from then on
 * and turns round without a pause: if there are calls to wait for, an eventfd takes the number
 * of the socket.  By then the thread has left the poll() in which it slept on the socket, and
 * which the eventfd could not wake any more. */
static void wait_for_calls(struct httpd *d, int listener)
{
    pthread_mutex_lock(&d->lock);
    for (bool idle = false; !idle;) {
        unsigned begun = atomic_load(&d->begun);
        wait_ms(d, QUIET_MS);
        idle = atomic_load(&d->calls) == 0 && atomic_load(&d->begun) == begun;
        if (!idle && listener >= 0) {
            (void)dup3(d->quiet, listener, O_CLOEXEC);
            listener = -1;
        }
        while (atomic_load(&d->calls) > 0)
            pthread_cond_wait(&d->finished, &d->lock);
    }
    pthread_mutex_unlock(&d->lock);
}

void httpd_close(struct httpd *d)
{
    if (d == NULL)
        return;
    atomic_store(&d->closing, true);
    int listener = httpd_guard_listener(&d->addr.sa);
    if (listener >= 0) /* always, or mg_stop() would take its two seconds */
        (void)shutdown(listener, SHUT_RDWR);
    wait_for_calls(d, listener);
    wake_signal(d->quiet);
    mg_stop(d->ctx);
    mg_exit_library();
    destroy(d);
}
