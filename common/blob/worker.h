/* worker.h - what recognizer and dispatcher have in common: work items from a topic, each led to
 * a stored transition, many at a time on one loop.
 *
 *   worker_turn():  items from Kafka ─▶ take() ─▶ … repo, http … ─▶ worker_done()
 *
 * What is no work item becomes a dead letter; an item of a version that this program does not
 * know is left unfinished, with an alarm in the log, for a newer program.
 * Thread   one, the loop's.
 */
#ifndef BLOB_WORKER_H
#define BLOB_WORKER_H

#include "base/metric.h"
#include "blob/dead.h"
#include "blob/event.h"
#include "blob/repo.h"
#include "net/httpc.h"
#include "net/kafka.h"

struct worker {
    struct repo repo;
    struct httpc *http;
    struct kafka_consumer *work;
    int work_fd; /* readable when work arrives */
    struct dead dead;
    unsigned busy, busy_max; /* items and letters in progress; the caller sets busy_max */
    /* Begins with one item, which ends with worker_done(), now or later. */
    void (*take)(struct worker *w, const struct event_work *item, struct kafka_ticket ticket);
    /* Milliseconds until the next item may be begun with, 0: now; until then it waits in Kafka.
     * May be NULL. */
    int64_t (*hold_ms)(struct worker *w, mono_t now);
    /* Moves on what waits for its time, once a turn; returns milliseconds until the next is due.
     * May be NULL. */
    int64_t (*move_on)(struct worker *w, mono_t now);
};

extern const struct metric_set worker_metrics;

struct worker_conf {
    const char *source; /* name of the service, for events */
    const char *group, *topic;
    const struct repo_conf *repo;
    const struct life_policy *policy; /* borrowed while w is open */
    const struct kafka_conf *kafka;
    struct httpc_conf http;
};
MUSTUSE enum err worker_open(struct worker *w, const struct worker_conf *c, struct errbuf *eb);
/* Gives up what is in progress: it comes again.  Safe on a zeroed struct. */
void worker_close(struct worker *w);

/* One turn of the loop; sleeps at most a second.  stopping: no new items.  Returns how the look
 * at Redis went, as repo_watch(). */
MUSTUSE enum err worker_turn(struct worker *w, int stop_fd, bool stopping, struct errbuf *eb);

/* The item has ended, e being what repo said last: it is finished when its transition is stored
 * or does not apply; also, with an alarm in the log, when the record cannot be read or written: it
 * must not hold up the others, and the blob's own timer says it again.  ERR_CLOSED leaves it. */
void worker_done(struct worker *w, struct kafka_ticket ticket, enum err e);

#endif
