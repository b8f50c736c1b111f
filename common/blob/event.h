/* event.h - what is said on Kafka: transitions as CloudEvents, and work items.  Pure.
 *
 * An event names the blob, the transition, the phase and the flat status; it carries no labels
 * and no URLs.  A work item says "look at this blob": the record decides what is to be done.
 * Source   CloudEvents 1.0 JSON format; W3C Trace Context.
 */
#ifndef BLOB_EVENT_H
#define BLOB_EVENT_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "blob/blob.h"
#include "blob/life.h"

#define EVENT_MAX_BYTES    2048U
#define EVENT_WORK_VERSION 1

void event_put_transition(struct buf *out, const struct life_step *step, const char *source,
                          wall_t now);

void event_put_work(struct buf *out, const struct blob *b);

struct event_work {
    char id[UUID_LEN + 1];
    int64_t seq; /* of the transition that said it */
};
/* ERR_INVAL: not a work item, eb says why.  ERR_RANGE: of a version that this program does not
 * know. */
MUSTUSE enum err event_read_work(struct event_work *out, struct str text, struct errbuf *eb);

#endif
