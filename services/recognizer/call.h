/* call.h - calls of DetectLabels: paced, signed, and tried again where that helps.
 *
 *   call_reserve() ─▶ … ─▶ call_start() ─▶ answered ─▶ done()
 *                              ▲              │ throttled or in trouble for a moment: after a pause
 *                              └── caller_turn() ◀─┘ wrong clock or expired keys: corrected, once
 *
 * Every attempt has a token of the pace, so what is too much waits in Kafka.  All state is of
 * this process and found anew after a start.
 *
 * Thread   the loop's.
 */
#ifndef RECOGNIZER_CALL_H
#define RECOGNIZER_CALL_H

#include "aws/cred.h"
#include "aws/pace.h"
#include "aws/rekog.h"
#include "aws/retry.h"
#include "base/metric.h"

struct call;

struct caller {
    struct rekog rekog;
    struct cred *cred;   /* borrowed, as is the text of region */
    struct httpc **http; /* where it will be once the worker is open */
    struct str region;
    struct pace pace;
    struct retry_quota retries;
    struct sigv4_key key; /* of the day, made from keys of this version */
    unsigned key_version;
    int64_t skew_ms;      /* Rekognition's clock is so much ahead of ours */
    struct call *waiting; /* for their next attempt; each is an item in progress */
    mono_t next_alarm;
    mono_t through; /* the last call that was answered */
};

extern const struct metric_set call_metrics;

void caller_init(struct caller *p, double rate_max);
/* Gives up what waits: done() with ERR_CLOSED. */
void caller_close(struct caller *p);
/* Milliseconds until a call may be reserved. */
int64_t caller_wait_ms(const struct caller *p, mono_t now);
/* Sends what is due; returns milliseconds until the next is. */
int64_t caller_turn(struct caller *p, mono_t now);

struct call { /* zeroed before call_reserve() */
    /* Exactly once after call_start(), never within it.  ERR_OK: .verdict and .error tell;
     * ERR_CLOSED: given up; else it could not be sent. */
    void (*done)(struct call *, enum err);
    void *owner;
    struct rekog_req rq;
    enum rekog_verdict verdict;
    struct rekog_error error;

    /* call's own */
    struct caller *p;
    struct retry retry;
    bool has_token;
    bool corrected, renewed; /* the clock, the keys: once each */
    unsigned key_version;
    mono_t again;  /* when the next attempt is due */
    mono_t latest; /* and when it is too late for one */
    struct call *next;
};

/* Takes a token; caller_wait_ms() is 0. */
void call_reserve(struct call *c, struct caller *p);
/* lease_end: all is to be over by then.  Errors as rekog_prepare() and rekog_sign(); done() does
 * not follow then. */
MUSTUSE enum err call_start(struct call *c, const struct rekog_ask *ask, mono_t lease_end);
void call_fini(struct call *c); /* gives back an unused token; not while in flight */

#endif
