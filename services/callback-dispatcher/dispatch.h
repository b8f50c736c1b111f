/* dispatch.h - from "tell its owner" to the answer of the callback URL: many at a time.
 *
 *   work item ─▶ start ─▶ read the result ─▶ POST to the callback URL ─▶ store how it went
 */
#ifndef CALLBACK_DISPATCHER_DISPATCH_H
#define CALLBACK_DISPATCHER_DISPATCH_H

#include "blob/worker.h"
#include "net/netguard.h"

#define DISPATCH_BUSY_MAX 256U /* deliveries in progress */

struct dispatch {
    struct worker worker; /* first: a worker of ours is one of these */
    struct netguard guard;
    int64_t timeout_ms;
};

extern const struct metric_set dispatch_metrics;

/* worker.take */
void dispatch_take(struct worker *w, const struct event_work *work, struct kafka_ticket ticket);

#endif
