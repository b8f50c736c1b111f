/* httpd_call.h - one request and its answer, between the server thread and whoever replies.
 *
 * Internal to httpd.  Strings are copied out of civetweb's buffer, so a call that outlives its
 * connection (the reply came after HTTPD_REPLY_MS) still holds what its handler may read.
 *
 * Owner    the server thread, which uses one call again and again, until httpd_call_await()
 *          gives up: then http_reply() owns and frees it.
 */
#ifndef NET_HTTPD_CALL_H
#define NET_HTTPD_CALL_H

#include <pthread.h>

#include "base/buf.h"
#include "net/httpd.h"
#include "net/httpd_check.h"

#define HTTPD_HEADERS_SEEN 64U    /* all that civetweb shows */
#define HTTPD_HEAD_BYTES   16384U /* max_request_size: a longer head is refused by civetweb */

enum httpd_call_state { CALL_OPEN, CALL_ANSWERED, CALL_ABANDONED };

struct http_call {
    void *app;
    bool cors, is_head;
    const struct http_route *route;
    struct httpd_head head;
    struct str remote, request_id;
    struct http_hdr hdrs[HTTPD_HEADERS_SEEN];
    struct str param[HTTPD_PARAMS_MAX];
    struct str allow;        /* methods of the path: in 405 and preflights */
    struct str cors_headers; /* what a preflight asked for */
    struct buf body;

    struct buf out; /* the whole answer, once answered */
    int status;

    pthread_mutex_t lock; /* of state */
    pthread_cond_t answered;
    enum httpd_call_state state;

    int64_t date_s; /* second that date[] was made for */
    char date[40];
    size_t text_n;
    char text[HTTPD_HEAD_BYTES + 1024];
};

struct http_call *httpd_call_new(void);
void httpd_call_free(struct http_call *c); /* NULL is fine */
/* Forgets the previous request. */
void httpd_call_reset(struct http_call *c, void *app, bool cors);
/* Gives back the memory of an unusually large body or answer. */
void httpd_call_trim(struct http_call *c);
/* A copy that lives as long as the call is not reset; ends in a NUL that is not counted. */
struct str httpd_call_keep(struct http_call *c, struct str s);

/* Answers with a problem; Allow is added when c->allow is set and status is 405. */
void httpd_call_refuse(struct http_call *c, const struct httpd_refusal *no);
/* Answers 204 to OPTIONS. */
void httpd_call_preflight(struct http_call *c);

/* Waits for the answer.  False: it did not come, and the call is no longer the caller's. */
MUSTUSE bool httpd_call_await(struct http_call *c, int64_t ms);

#endif
