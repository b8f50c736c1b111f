/* redis.h - atomic scripts on Redis, many callers over one connection.
 *
 * Home of hiredis.  One op is one script call; the ops of all callers that wait are sent
 * together and answered in order, so the cost of a round trip is shared.  Loops submit and call
 * redis_turn() once a turn; threads without a loop call redis_await(), where the first waiter
 * does the turn for all of them.
 *
 * A script that is unknown to the server (restart, failover) is loaded and called again, once.
 * Errors   ERR_TIMEOUT  unknown: it may have run.  Repeat only what is safe to repeat, which
 *                       every script of ours is.
 *          ERR_IO       no connection; it did not run, or its answer is lost
 *          ERR_FULL     server out of memory, read-only, loading or busy: later
 *          ERR_REMOTE   the server refused it for good; logged here with its text
 *          ERR_DENIED   a plain command that this server or user does not have
 * Thread   the program ignores SIGPIPE
 * Source   RESP2; EVALSHA and NOSCRIPT in the Redis documentation of scripting.
 */
#ifndef NET_REDIS_H
#define NET_REDIS_H

#include <limits.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/metric.h"
#include "base/str.h"

struct redis;
struct redis_val; /* one value of an answer; borrowed until done() returns */

struct redis_conf {
    char *url;          /* redis://[user:password@]host:port/db */
    int64_t timeout_ms; /* for one turn: send, run, answer */
    int durability;     /* enum redis_durability */
};
extern const struct conf_key redis_conf_keys[3];
extern const struct metric_set redis_metrics, redis_link_metrics;

struct redis_script {
    const char *name, *body; /* name: for messages */
};

#define REDIS_KEYS_MAX 8U
#define REDIS_ARGS_MAX 80U
#define REDIS_PLAIN    UINT_MAX /* in the place of a script: arg holds a command's words */

struct redis_op {    /* one script call; the caller's until done() */
    unsigned script; /* index in the table given to redis_open(), or REDIS_PLAIN */
    bool replicate;  /* done() waits up to 50 ms for a replica to have it, and comes all the same */
    uint8_t nkeys, nargs;
    struct str key[REDIS_KEYS_MAX], arg[REDIS_ARGS_MAX]; /* borrowed until done() */
    mono_t deadline; /* ERR_TIMEOUT without being sent once past */
    void (*done)(struct redis_op *, enum err, const struct redis_val *); /* exactly once */

    /* redis's own */
    struct redis_op *next;
    void *held;    /* its answer, until a replica has what it wrote */
    sem_t *wake;   /* of the thread that sleeps on it, or NULL */
    bool finished; /* its done() has returned */
};

/* Does not connect yet: that is the first turn's work, and a server that is down is waited for
 * (with growing pauses, calls failing at once with ERR_IO meanwhile). */
MUSTUSE enum err redis_open(struct redis **out, const struct redis_conf *c,
                            const struct redis_script *scripts, size_t n_scripts,
                            struct errbuf *eb);
/* Ops not yet sent get ERR_CLOSED.  NULL is fine. */
void redis_close(struct redis *r);

/* Any thread; never blocks. */
void redis_submit(struct redis *r, struct redis_op *op);
/* Sends everything submitted, waits for the answers and calls done() for each, on this thread;
 * at most timeout_ms.  What done() submits waits for the next turn.  One thread at a time. */
void redis_turn(struct redis *r);
bool redis_pending(struct redis *r); /* something is submitted and not yet sent */
/* Submits and sleeps until done() has returned; any number of threads. */
void redis_await(struct redis *r, struct redis_op *op);

bool redis_up(struct redis *r); /* the last turn had a connection */

/* One plain command, for what a script cannot do (XREAD BLOCK, PING), on a connection that this
 * thread has for itself; waits block_ms longer than timeout_ms.  done() only on ERR_OK, and it
 * must not call redis. */
enum err redis_command(struct redis *r, const struct str *argv, size_t n, int64_t block_ms,
                       void (*done)(void *arg, const struct redis_val *), void *arg);

/* ---- reading an answer */
enum redis_type { REDIS_NIL, REDIS_INT, REDIS_TEXT, REDIS_LIST };
enum redis_type redis_type(const struct redis_val *v);
int64_t redis_int(const struct redis_val *v);     /* also of a text with digits; else 0 */
struct str redis_text(const struct redis_val *v); /* STR_NONE for anything but text */
size_t redis_len(const struct redis_val *v);      /* items of a list; else 0 */
const struct redis_val *redis_at(const struct redis_val *v, size_t i); /* past the end: a nil */

#endif
