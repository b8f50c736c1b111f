/* watcher.h - what the parts of the upload-watcher share.
 *
 *   uploads.c  S3 events from Kafka  → transitions
 *   timers.c   due timers            → a look at the bucket → transitions
 *   look.c     one question to S3
 *   phases.c   how many blobs are where, for operators
 *   epoch.c    is this Redis the bucket's?
 *   relay.c    the outbox            → Kafka; a thread of its own
 *
 * All but the relay live on the main loop's thread.
 */
#ifndef UPLOAD_WATCHER_WATCHER_H
#define UPLOAD_WATCHER_WATCHER_H

#include "aws/s3.h"
#include "base/metric.h"
#include "blob/dead.h"
#include "blob/repo.h"
#include "net/httpc.h"
#include "net/kafka.h"

#define WATCHER_BUSY_MAX  256U /* blobs in progress, of events and timers each */
#define WATCHER_LOOKS_MAX 128U /* of these, waiting for S3: the others go on beside them */

struct asking {      /* of S3 */
    unsigned n;      /* under way */
    unsigned failed; /* in a row */
    mono_t pause;
};

struct watcher {
    struct repo repo;
    struct cred *cred;
    struct s3 s3;
    struct str bucket;
    struct httpc *http;
    struct kafka_consumer *uploads;
    int uploads_fd; /* readable when events arrive */
    unsigned uploads_busy, timers_busy;
    struct asking looks, erasures; /* one may be forbidden while the other is not */
    mono_t bucket_is_there;        /* until then */
    struct record *resting;        /* of uploads.c: their looks failed */
    mono_t look_again;
    struct dead dead; /* letters of S3 events */
    struct timers *timers;
    struct phases *phases;
    struct epoch *epoch;
};

extern const struct metric_set phases_metrics, relay_metrics, timers_metrics, uploads_metrics;

/* Takes as many S3 events as may be in progress. */
void uploads_admit(struct watcher *w);
bool uploads_have_room(const struct watcher *w);
/* Looks again for those whose look failed, once a second. */
void uploads_look_again(struct watcher *w, mono_t now);
/* Their messages come again, to the next process: only when this one ends. */
void uploads_give_up(struct watcher *w);

struct timers *timers_new(struct watcher *w);
void timers_free(struct timers *t);
/* Claims what is due, on every shard, a few times a second. */
void timers_claim(struct timers *t, mono_t now);
int64_t timers_wait_ms(const struct timers *t, mono_t now);

struct phases *phases_new(struct watcher *w);
void phases_free(struct phases *ph);
/* Counts the blobs of each phase, every few seconds. */
void phases_count(struct phases *ph, mono_t now);

/* Asks S3 for the object of b, then tells what it found: LIFE_UPLOADED with etag and size,
 * LIFE_ABSENT (in a bucket that is there), or ERR_IO when S3 could not say, ERR_FULL when too many
 * are asking, or S3 is in trouble. */
struct look {
    struct watcher *w;
    struct asking *among;
    struct s3_req request;
    mono_t deadline;
    char etag[130];
    struct life_event found;
    void (*done)(struct look *, enum err);
    void *owner;
};
void look_start(struct watcher *w, struct look *l, struct str object_key);
/* Deletes the object; ERR_OK also when it was not there. */
void look_erase(struct watcher *w, struct look *l, struct str object_key);

struct epoch *epoch_new(struct watcher *w);
void epoch_free(struct epoch *e); /* not while w->http is open.  NULL is fine. */
/* To be called every turn in which Redis answered. */
void epoch_turn(struct epoch *e, mono_t now);

struct relay;
/* Relays while *may is true. */
MUSTUSE enum err relay_start(struct relay **out, const struct repo_conf *rc,
                             const struct kafka_conf *kc, const atomic_bool *may,
                             struct errbuf *eb);
/* Ends the thread and frees; rows not yet relayed stay in the outbox.  NULL is fine. */
void relay_stop(struct relay *r);
bool relay_up(const struct relay *r); /* Kafka took what it was last given */

#endif
