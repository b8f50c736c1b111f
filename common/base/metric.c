#include "base/metric.h"

#include <string.h>

void metric_add(struct metric *m, int64_t n)
{
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t value)
{
    atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

static void format_set(struct buf *out, const struct metric_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        struct metric *m = &set->rows[i];
        if (i == 0 || strcmp(set->rows[i - 1].name, m->name) != 0)
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
                       m->kind == METRIC_COUNTER ? "counter" : "gauge");
        buf_puts(out, m->name);
        if (m->labels != NULL)
            buf_printf(out, "{%s}", m->labels);
        buf_printf(out, " %lld\n",
                   (long long)atomic_load_explicit(&m->value, memory_order_relaxed));
    }
}

void metric_format(struct buf *out, const struct metric_set *sets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        format_set(out, &sets[i]);
}
