/* repo.h - the records in Redis: create, read, move on, claim timers.
 *
 * The only user of lua/.  Decisions come from life.h; here they are written atomically with the
 * timer and with what must be said (the outbox), or not at all.
 *
 * Threads  functions that sleep may be called from many threads; the others belong to one loop,
 *          which calls repo_turn() once a turn, and their done() runs in there.  While Redis is
 *          away their calls wait and are repeated, so that an item of work ends only when its
 *          transition is stored (or the repo is closed: ERR_CLOSED).
 * Errors   those of redis.h, and
 *          ERR_MISSING   there is no such blob
 *          ERR_CONFLICT  the event does not apply (any more); .b is the record as it is
 */
#ifndef BLOB_REPO_H
#define BLOB_REPO_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/metric.h"
#include "base/rand.h"
#include "blob/blob.h"
#include "blob/event.h"
#include "blob/keys.h"
#include "blob/life.h"
#include "net/redis.h"

#define REPO_SHARDS_MAX 64U
#define REPO_OUTBOX_MAX 200000U /* rows of a shard; past it, creating is refused */
#define REPO_CLAIM_MAX  64U     /* timers claimed by one call */

struct repo_conf {
    struct redis_conf redis;
    int64_t shards;
};
extern const struct conf_key repo_conf_keys[1];
extern const struct metric_set repo_metrics;

enum repo_epoch_state {
    REPO_EPOCH_UNSEEN, /* not looked at yet */
    REPO_EPOCH_NONE,   /* no data was ever there, as far as this process knows */
    REPO_EPOCH_GOOD,
    REPO_EPOCH_LOST,    /* another than the one seen before, or none any more */
    REPO_EPOCH_FOREIGN, /* see repo_say_foreign() */
};

struct repo {
    struct redis *redis;
    unsigned shards;
    const struct life_policy *policy; /* borrowed */
    const char *source;               /* name of the service, for events */

    atomic_bool checked;  /* this is the right Redis, as of the last look; else nothing is done */
    atomic_bool crowded;  /* its memory runs out: nothing new is begun */
    atomic_uint replicas; /* that new blobs should reach before they are acknowledged */
    char epoch[UUID_LEN + 1]; /* of the data that it held when first seen; "": not seen yet */

    /* repo's own */
    int durability;
    bool foreign;
    bool accepted; /* the first look found nothing to refuse */
    enum repo_epoch_state epoch_state;
    mono_t next_check, next_profile;
    enum err last_check;
    struct errbuf last_why, last_profile_why;
    bool told_unknown;
    struct redis_op *waiting; /* calls that Redis could not take; repo_turn() repeats them */
    mono_t resume;
};

MUSTUSE enum err repo_open(struct repo *r, const struct repo_conf *c, const struct life_policy *p,
                           const char *source, struct errbuf *eb);
void repo_close(struct repo *r); /* safe on a zeroed struct */

/* Sends what was submitted, takes the answers and calls done(); sleeps for the round trips. */
void repo_turn(struct repo *r, mono_t now);
/* How long the loop may sleep before the next repo_turn(), at most `at_most_ms`. */
int64_t repo_wait_ms(struct repo *r, mono_t now, int64_t at_most_ms);

/* To be called every turn, from the service's main loop: once a second it asks Redis, sleeping
 * for the answer, for what all services must agree on, and returns how that went.
 * ERR_CONFIG: another number of shards or another schema is in use, or, at the first look, the
 * clocks differ by more than 2 s or Redis is not as durable as LW_REDIS_DURABILITY says; eb says.
 * ERR_MISSING: it does not hold our data (not yet, or it was lost): wait; when it holds it again,
 * all goes on.  Other errors: Redis is not there now, or takes no writes. */
MUSTUSE enum err repo_watch(struct repo *r, mono_t now, struct errbuf *eb);

/* From who knows better (the upload-watcher asks the bucket): this is not the right Redis, whatever
 * it held before, or it is. */
void repo_say_foreign(struct repo *r, bool foreign);

/* ---- the epoch: a UUID in the facts and in every shard, so that lost data is told from blobs that
 * never were.  These sleep. */

struct repo_epoch {
    char facts[UUID_LEN + 1]; /* "": none */
    unsigned differing;       /* shards that do not hold the same */
};
MUSTUSE enum err repo_epoch(struct repo *r, struct repo_epoch *out);
/* Gives a Redis without data its epoch, a new one or that of whoever began before; may be
 * repeated. */
MUSTUSE enum err repo_establish(struct repo *r);

/* Stores b as a new blob; sleeps.  ERR_FULL: the outbox is full, or Redis' memory is scarce.  On
 * ERR_OK *b becomes the record; else it stays as it is, and the call may be repeated with it. */
MUSTUSE enum err repo_create(struct repo *r, struct blob *b);

/* Reads record and labels (empty: none); sleeps. */
MUSTUSE enum err repo_read(struct repo *r, struct str id, struct blob *b, struct buf *labels);

/* One event applied to one blob.  The caller fills the first part, calls repo_apply() and gets
 * it back through done(). */
struct repo_change {
    struct blob b;        /* the record; with seq 0 only .id is set and it is read first */
    struct life_event ev; /* what it points to is borrowed until done() */
    struct str labels;    /* stored with LIFE_LABELED; borrowed */
    void (*done)(struct repo_change *, enum err);
    void *owner;

    /* repo's own */
    struct repo *repo;
    struct redis_op op;
    struct life_step step;
    struct key keys[8];
    struct blob_field fields[BLOB_FIELDS_MAX];
    struct buf event, work;
    char seq[24], updated[24], delay[24];
    bool repeated; /* the write was sent before, and its answer did not come */
};
void repo_apply(struct repo *r, struct repo_change *c);

/* Reads record, labels and timer as of one moment. */
struct repo_lookup {
    char id[UUID_LEN + 1];
    struct blob b;
    struct buf labels; /* empty: none; the caller's to buf_fini() */
    int64_t timer_ms;  /* Redis time at which the blob's timer is due */
    void (*done)(struct repo_lookup *, enum err);
    void *owner;

    /* repo's own */
    struct repo *repo;
    struct redis_op op;
    struct key keys[4];
};
void repo_look_up(struct repo *r, struct repo_lookup *l);

/* Claims due timers of one shard, moving each hold_ms forward. */
struct repo_claim {
    unsigned shard;
    void (*done)(struct repo_claim *, enum err, size_t n); /* ids[0..n) are claimed */
    void *owner;
    char ids[REPO_CLAIM_MAX][UUID_LEN + 1];
    int64_t due;     /* due in all, these included */
    int64_t late_ms; /* how late the oldest is */
    /* What the timers were moved to.  One that shows another time in repo_look_up() was set
     * anew by a transition since: it is not due any more. */
    int64_t held_until_ms;

    /* repo's own */
    struct redis_op op;
    struct key key;
    char hold[24];
};
void repo_claim(struct repo *r, struct repo_claim *c, int64_t hold_ms);

/* How many blobs of a shard are in a phase, and for how long the first of them; done() gets an
 * error while Redis is away.  With PHASE_FINISHED the blobs in all phases, and by how much the
 * first timer is late (negative: until it is due). */
struct repo_count {
    unsigned shard;
    enum blob_phase phase;
    void (*done)(struct repo_count *, enum err);
    void *owner;
    int64_t n, oldest_ms;

    /* repo's own */
    struct redis_op op;
    struct key key;
};
void repo_count(struct repo *r, struct repo_count *c);

/* ---- the relay's steps; they sleep */

/* ERR_CONFLICT: another relay leads this shard. */
MUSTUSE enum err repo_lead(struct repo *r, unsigned shard, struct str who, int64_t lease_ms);
struct repo_outbox_state {
    int64_t rows, oldest_ms; /* left in the outbox, and the age of the oldest */
};
/* Forgets rows up to last_id.  ERR_CONFLICT: the lease went to another. */
MUSTUSE enum err repo_trim(struct repo *r, unsigned shard, struct str who, struct str last_id,
                           struct repo_outbox_state *left);

#endif
