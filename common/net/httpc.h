/* httpc.h - many HTTP requests in flight on one thread.
 *
 * Home of libcurl.  A request belongs to its caller, who fills it and gets it back through
 * done(); in between httpc only borrows it.  Redirects are never followed, proxies of the
 * environment are ignored, bodies and headers have caps, and the time limit is absolute: a peer
 * that drips a byte a second does not stretch it, nor does a name that takes long to resolve.
 *
 * A connection that was kept and turns out to be closed by the peer is replaced once, in
 * silence, so a request may arrive twice unless it is fresh.
 *
 * Thread   everything on the thread that opened it, done() included; httpc_wake() from any.
 *          The program ignores SIGPIPE.
 * Errors   done() gets ERR_OK for any complete HTTP answer (look at .status), else
 *          ERR_TIMEOUT  connect or total time over (unknown whether the peer acted)
 *          ERR_IO       refused, reset, name not found, TLS failure; text in .why
 *          ERR_DENIED   the guard refused the peer's address
 *          ERR_TOOBIG   the answer passed max_answer or HTTPC_HEADERS_MAX
 *          ERR_REMOTE   not HTTP, or a broken answer (also: cut off once it had begun)
 *          ERR_INVAL    URL or header lines are unusable; nothing was sent
 *          ERR_CLOSED   given up by httpc_close()
 */
#ifndef NET_HTTPC_H
#define NET_HTTPC_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#define HTTPC_HEADERS_MAX 16384U /* bytes of all response header lines together, 1xx included */
#define HTTPC_INTERIM_MAX 5U     /* 1xx answers before the real one */
#define HTTPC_FDS_MAX     16U    /* foreign fds in one httpc_poll() */

struct httpc;

struct httpc_conf {
    const char *ca_bundle;  /* PEM file of trusted roots; NULL or "": the system's bundle */
    const char *user_agent; /* static text */
    unsigned max_idle;      /* connections kept; at least as many as are in flight, or the
                               surplus is closed after its request */
};

struct httpc_req { /* zeroed before the first use */
    /* filled by the caller, borrowed until done() */
    const char *method;      /* "GET" "HEAD" "PUT" "POST" "DELETE" */
    const char *url;         /* complete and already percent-encoded; no user-info */
    const char *const *hdrs; /* lines "Name: value", NULL-terminated; may be NULL */
    struct str body;         /* for PUT and POST, always sent with Content-Length */
    int64_t connect_ms;      /* limit for name, connect and TLS */
    int64_t total_ms;        /* limit for everything */
    size_t max_answer;       /* bytes of body kept; more is ERR_TOOBIG */
    bool cut_answer;         /* keep the first max_answer bytes and end well instead */
    bool fresh;              /* a connection of its own, closed afterwards */
    /* Asked about the address of every new connection, and again before each request on a kept
     * one; NULL allows all.  One forbidden address of a name refuses the request. */
    bool (*guard)(const void *guard_arg, const struct sockaddr *peer);
    const void *guard_arg;
    /* Uploads; may be NULL.  Must not call httpc. */
    void (*progress)(struct httpc_req *, uint64_t sent, uint64_t total);
    /* Exactly once, from httpc_poll(), httpc_perform() or httpc_close().  May start requests
     * (but not when told ERR_CLOSED) and may free this one. */
    void (*done)(struct httpc_req *, enum err);
    void *owner; /* the caller's, untouched */

    /* the result, valid from done() until httpc_req_fini() or the next start */
    int status;         /* 0 when there was no complete answer */
    struct buf headers; /* raw header lines of the final answer; read with httpc_header() */
    struct buf answer;  /* body */
    int64_t took_us;
    char why[128]; /* for people; never holds the URL's query */
    bool tls;      /* ERR_IO: the handshake failed, or the peer's certificate was not believed */
    void *handle;  /* httpc's own; not NULL while in flight */
};

/* ERR_CONFIG: the given bundle cannot be read. */
MUSTUSE enum err httpc_open(struct httpc **out, const struct httpc_conf *c, struct errbuf *eb);
/* Gives up what is in flight (done() with ERR_CLOSED), then frees.  NULL is fine. */
void httpc_close(struct httpc *h);

void httpc_start(struct httpc *h, struct httpc_req *rq);
size_t httpc_in_flight(const struct httpc *h);

/* Waits until a transfer moves, one of the fds is ready (revents are filled in), httpc_wake()
 * is called or timeout_ms is over; then moves all transfers on and calls done() for those that
 * ended. */
void httpc_poll(struct httpc *h, struct pollfd *fds, unsigned n_fds, int64_t timeout_ms);
void httpc_wake(struct httpc *h);

/* Starts one request and waits for its end; for programs without a loop.  done may be NULL. */
enum err httpc_perform(struct httpc *h, struct httpc_req *rq);

/* The value of the last response header of that name (lower or upper case); STR_NONE. */
struct str httpc_header(const struct httpc_req *rq, struct str name);

/* Releases the result (not what the caller filled).  Safe on a zeroed struct. */
void httpc_req_fini(struct httpc_req *rq);

#endif
