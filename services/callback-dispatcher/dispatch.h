/* dispatch.h - from "tell its owner" to the answer of the callback URL: many at a time.
 *
 *   work item ─▶ start ─▶ read the result ─▶ POST to the callback URL ─▶ store how it went
 */
#ifndef CALLBACK_DISPATCHER_DISPATCH_H
#define CALLBACK_DISPATCHER_DISPATCH_H

#include "base/metric.h"
#include "blob/repo.h"
#include "blob/work.h"
#include "net/httpc.h"
#include "net/kafka.h"
#include "net/netguard.h"

#define DISPATCH_BUSY_MAX 256U /* deliveries in progress */

struct dispatch {
    struct repo repo;
    struct httpc *http;
    struct netguard guard;
    struct kafka_consumer *work;
    int work_fd; /* readable when work arrives */
    int64_t timeout_ms;
    unsigned busy;
};

extern const struct metric_set dispatch_metrics;

/* Takes work while there is room. */
void dispatch_admit(struct dispatch *d);

#endif
