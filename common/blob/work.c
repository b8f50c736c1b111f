#include "blob/work.h"

#include "base/log.h"

enum { M_POISON };
static struct metric metrics[] = {
    [M_POISON] = { "labelwire_work_poison_total", NULL, "Messages that are no work item.",
                   METRIC_COUNTER, 0 },
};
const struct metric_set work_metrics = { metrics, N_OF(metrics) };

bool work_next(struct kafka_consumer *c, struct event_work *out, struct kafka_ticket *ticket)
{
    struct kafka_msg msg;
    while (kafka_next(c, &msg)) {
        struct errbuf eb = { "" };
        enum err e = event_read_work(out, msg.value, &eb);
        if (e == ERR_OK) {
            *ticket = msg.ticket;
            return true;
        }
        if (e == ERR_RANGE) {
            LOG(ERROR, "work.too_new", F_STR("reason", eb.text), F_INT("offset", msg.offset));
            continue;
        }
        metric_add(&metrics[M_POISON], 1);
        LOG(WARN, "work.unreadable", F_STR("reason", eb.text), F_INT("partition", msg.partition),
            F_INT("offset", msg.offset));
        kafka_done(c, msg.ticket);
    }
    return false;
}
