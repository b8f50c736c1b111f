/* life.h - the life of a blob as one pure function.
 *
 *   awaiting ──uploaded──▶ queued ──start──▶ recognizing ──labels or rejected──▶ delivering ──▶ …
 *      │ absent              ▲ ▲ timer           │ transient                        │ start
 *      ▼                     │ └──── resting ◀───┤                                  ▼
 *   finished ──again─────────┘ └──── parked  ◀───┘ over the cap                 attempting
 *      │ retention over                                  ┌── holding ◀── failed ────┤
 *      ▼                                                 └──▶ delivering            ▼ answered
 *   erasing ──▶ gone                                                            finished
 *
 * Every blob owns exactly one timer until it is erased; what a due timer means is the phase:
 *
 *   awaiting                look whether the object came (life_wants_look)
 *   queued, delivering      the hand-off got lost: say it again, each time later
 *   recognizing, attempting the lease is over: the worker died.  Again at once; after the second
 *                           death only in a while, each blob at its own time, so that one that
 *                           kills does not take along those that are at work beside it
 *   resting, parked,        try again now
 *   holding
 *   finished                a timed-out upload gets one late look; then the retention is over
 *   erasing                 delete the object; once more when the upload URL is over, because
 *                           until then it may come again
 *
 * Pure: no I/O, no clock (it returns delays), no dice (they are an argument).  The scripts only
 * compare and write what is decided here.
 */
#ifndef BLOB_LIFE_H
#define BLOB_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/err.h"
#include "base/str.h"
#include "blob/blob.h"

#define LIFE_STARTS_MAX 5 /* this start without an end before it fails the blob */
#define LIFE_NO_TIMER   INT64_C(-1)

struct life_policy { /* configuration of every service that moves blobs on */
    int64_t upload_grace_ms;
    int64_t recognize_lease_ms;
    int64_t recognize_tries;
    int64_t callback_attempts;
    int64_t callback_lease_ms;
    bool callback_on_failure;
    int64_t retention_ms;
};
extern const struct conf_key life_conf_keys[7];

enum life_event_type {
    LIFE_UPLOADED,  /* the object is there: S3 event or a look.  etag, size */
    LIFE_ABSENT,    /* a look found nothing */
    LIFE_TIMER_DUE, /* in every phase that needs no look */
    LIFE_RECOGNIZE_START,
    LIFE_PROBED,    /* type and dimensions read, before the paid call */
    LIFE_LABELED,   /* labels go with the transition.  model */
    LIFE_REJECTED,  /* final: result, code, detail */
    LIFE_TRANSIENT, /* not now: code, detail, ours */
    LIFE_OVER_CAP,  /* the owner's spend cap is met */
    LIFE_DELIVER_START,
    LIFE_DELIVERED,
    LIFE_DELIVERY_FAILED, /* delivery (the class), code, detail, gone */
    LIFE_RECOGNIZE_AGAIN,
    LIFE_REDELIVER,
    LIFE_DELETE,
    LIFE_ERASED, /* the object is deleted: the record may go.  url_left_ms */
    LIFE_EVENT_N,
};

struct life_event {
    enum life_event_type type;
    int64_t fence; /* seq of the start this event ends; 0: any */
    struct str etag, content_type, code, detail, model; /* borrowed */
    int64_t size, width, height;
    enum blob_result result;
    enum blob_delivery delivery;
    bool hearsay;           /* told by an event, which may be late; not seen by a look */
    bool ours;              /* the trouble is ours, not the blob's: it never uses up the last try */
    bool gone;              /* the receiver answered 410: no further attempt */
    int64_t retry_after_ms; /* the peer's wish; honoured between once and twice the own delay */
    int64_t url_left_ms; /* how long, when the deletion began, a PUT could still bring an object */
};

enum life_says { /* what must be said with the transition; every one is also an event */
                 LIFE_SAYS_RECOGNIZE = 1,
                 LIFE_SAYS_DELIVER = 2,
};

struct life_step {
    bool changed;     /* false: the event does not apply here; the rest is unset */
    bool erased;      /* the record and all that belongs to it go */
    struct blob next; /* seq grown by one */
    int64_t delay_ms; /* until the blob's timer is due, or LIFE_NO_TIMER when erased */
    unsigned says;
    const char *event; /* name of the transition, e.g. "upload.seen" */
};

/* A new blob: `b` holds what the client asked for; sets phase, counters and the first step. */
void life_create(const struct blob *b, const struct life_policy *p, struct life_step *out);

/* What the event does to the blob.  dice: 64 random bits, for the jitter. */
void life_next(const struct blob *b, const struct life_event *ev, const struct life_policy *p,
               uint64_t dice, struct life_step *out);

/* The due timer of this blob asks whether its object is there; the answer is LIFE_UPLOADED or
 * LIFE_ABSENT instead of LIFE_TIMER_DUE. */
bool life_wants_look(const struct blob *b);

/* Until when an upload may still land: the end of its URL, and the grace for a slow one. */
int64_t life_uploads_until_ms(const struct blob *b, const struct life_policy *p);

/* Milliseconds from the end of attempt n (1, 2, …) to the next, without jitter. */
int64_t life_callback_delay_ms(int64_t attempt);

/* Delivery attempts that this blob gets; anonymous owners get fewer. */
int64_t life_callback_attempts(const struct blob *b, const struct life_policy *p);

#endif
