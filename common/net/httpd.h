/* httpd.h - the HTTP server: a table of routes, every request within limits, one answer each.
 *
 * Home of civetweb, which needs care: it is given no document root, its form handler is never
 * called, bodies are read under our own deadline, and the connection is closed after every
 * answer.  Requests that the table or the limits refuse are answered here with an
 * application/problem+json body; a handler only sees sound requests.
 *
 * Threads  a handler runs on a server thread, many at once.  http_reply() may be called from
 *          any thread, exactly once for each call; the server thread waits for it (at most
 *          HTTPD_REPLY_MS, then 503, and the late reply is dropped).
 * Memory   what the accessors return is borrowed and lives until http_reply() is called by
 *          whoever has the call, also when the client has been given up meanwhile.
 * Source   RFC 9110, RFC 9112 (framing), RFC 9457 (problem details).
 */
#ifndef NET_HTTPD_H
#define NET_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metric.h"
#include "base/str.h"

#define HTTPD_HEADERS_MAX  60U     /* header lines of a request; more is 431 */
#define HTTPD_HEADER_BYTES 4096U   /* one header value; more is 431.  A head over 16 KiB is 400 */
#define HTTPD_TARGET_BYTES 2048U   /* path and query; more is 414 */
#define HTTPD_PARAMS_MAX   8U      /* {…} segments of a route */
#define HTTPD_BODY_MS      3000    /* from the head to the last byte of the body; later is 408 … */
#define HTTPD_BODY_RATE    262144U /* … plus the time it takes at so many bytes a second */
#define HTTPD_REPLY_MS     65000   /* longest a handler may keep its client waiting */
#define HTTPD_REPLY_BYTES  67108864U /* one answer; more is our fault and becomes 500 */

struct httpd;
struct http_call;

struct http_hdr {
    const char *name;
    struct str value;
};

enum http_route_flag {
    HTTP_JSON_ONLY = 1,       /* Content-Type of a body must be application/json or absent: 415 */
    HTTP_LENGTH_OPTIONAL = 2, /* a POST without Content-Length is an empty body, not 411 */
};

/* path: literal segments and {name} for one segment, e.g. "/blobs/{id}".  The first row that
 * fits wins, so literal rows stand before rows with parameters.  GET rows answer HEAD too. */
struct http_route {
    const char *method, *path;
    uint32_t max_body; /* bytes; more is 413 */
    unsigned flags;
    void (*handle)(struct http_call *);
};

struct httpd_conf {
    const char *listen;   /* "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:8080"; port 0: any free one */
    const char *tls_cert; /* PEM with certificate and key; NULL or "": plain HTTP */
    unsigned threads;     /* connections served at a time */
    unsigned max_busy;    /* handlers running at a time; more are answered 503 at once */
    const struct http_route *routes; /* static */
    size_t n_routes;
    bool cors;    /* answer preflights and send Access-Control-Allow-Origin: * */
    int body_ms;  /* 0: HTTPD_BODY_MS */
    int reply_ms; /* 0: HTTPD_REPLY_MS */
    void *app;    /* http_app() */
};

/* ERR_CONFIG: the address or the certificate cannot be used; eb says which and what to do. */
MUSTUSE enum err httpd_open(struct httpd **out, const struct httpd_conf *c, struct errbuf *eb);
uint16_t httpd_port(const struct httpd *d); /* the one it listens on */
/* Stops accepting, waits for the calls in progress, frees.  NULL is fine. */
void httpd_close(struct httpd *d);

extern struct metric_set httpd_metrics; /* of all servers of the process */

void *http_app(const struct http_call *c);
struct str http_method(const struct http_call *c);
struct str http_path(const struct http_call *c);  /* as sent, undecoded, no query */
struct str http_query(const struct http_call *c); /* after '?', undecoded; may be empty */
struct str http_param(const struct http_call *c, unsigned nth);      /* the nth {…}, undecoded */
struct str http_header(const struct http_call *c, const char *name); /* STR_NONE when absent */
size_t http_headers(const struct http_call *c, const struct http_hdr **out); /* all, in order */
struct str http_body(const struct http_call *c);
struct str http_remote(const struct http_call *c);     /* peer address in text */
struct str http_request_id(const struct http_call *c); /* the client's, if sound, or ours */

/* Sends the whole answer with one write: status line, Content-Length, Date, X-Request-Id, the
 * given headers, body.  Once per call, any thread; it copies and never waits for the client. */
void http_reply(struct http_call *c, int status, const struct http_hdr *hdrs, size_t n_hdrs,
                struct str body);
/* The same with body application/json. */
void http_reply_json(struct http_call *c, int status, struct str body);
/* An RFC 9457 problem: code is a stable word ("body_too_large"), detail one sentence that says
 * what to do.  503 carries Retry-After: 1. */
void http_reply_problem(struct http_call *c, int status, const char *code, const char *detail);

#endif
