/* metric.h - counters and gauges in the Prometheus text format.
 *
 * A module keeps its metrics as one static table; the service hands the tables it uses to
 * svc_main().  Any thread; relaxed atomics.
 * Source   https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4)
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
    const char *name;   /* labelwire_<module>_<what>_<unit>[_total] */
    const char *labels; /* e.g. "class=\"timeout\"", or NULL; rows of one name stand together */
    const char *help;   /* on the first row of a name */
    enum metric_kind kind;
    _Atomic int64_t value;
};

struct metric_set {
    struct metric *rows;
    size_t n;
};

void metric_add(struct metric *m, int64_t n);
void metric_set(struct metric *m, int64_t value);
void metric_format(struct buf *out, const struct metric_set *sets, size_t n);

#endif
