/* httpd_serve.h - serves one request: head, route, body, handler, answer.
 *
 * Internal to httpd.  Both functions are civetweb's callbacks and run on its server threads.
 */
#ifndef NET_HTTPD_SERVE_H
#define NET_HTTPD_SERVE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "net/httpd.h"
#include "net/httpd_guard.h"

struct mg_connection;
struct mg_context;

struct httpd {
    struct httpd_conf conf;
    struct mg_context *ctx;
    struct httpd_guard *guard;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } addr;
    int quiet;                /* eventfd that takes the listener's place when closing */
    atomic_uint busy;         /* handlers running */
    atomic_uint calls, begun; /* requests in progress; ever */
    atomic_bool closing;
    pthread_mutex_t lock; /* with finished: for waiting until calls is 0 */
    pthread_cond_t finished;
};

/* What mg_get_thread_pointer() gives: one for each server thread. */
struct httpd_worker {
    struct http_call *call; /* used again for each request; NULL: none yet */
};

/* begin_request: answers, and returns the status. */
int httpd_serve(struct mg_connection *conn);
/* http_error: a request that civetweb refuses: not HTTP, cut off, or with a length or coding
 * that it does not like.  Answers and returns 0. */
int httpd_serve_error(struct mg_connection *conn, int status, const char *text);

#endif
