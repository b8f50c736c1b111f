/* work.h - taking work items from their topic.
 *
 * What is no work item is logged, counted and done with; an item of a version that this program
 * does not know is left unfinished, with an alarm in the log, for a newer program.
 * Thread   the consumer's.
 */
#ifndef BLOB_WORK_H
#define BLOB_WORK_H

#include "base/metric.h"
#include "blob/event.h"
#include "net/kafka.h"

extern const struct metric_set work_metrics;

/* The next item; finished by kafka_done() with the ticket, once its transition is stored.
 * False: nothing now. */
bool work_next(struct kafka_consumer *c, struct event_work *out, struct kafka_ticket *ticket);

#endif
