/* kafka_rd.h - what the kafka*.c files share.  Private to them: the only header that includes
 * librdkafka's.
 *
 * Every client (producer, consumer, admin) carries one kafka_link as the FIRST member of the
 * struct it gives to librdkafka as opaque; the callbacks for logs, errors and statistics live
 * in kafka.c and know nothing but the link.
 */
#ifndef NET_KAFKA_RD_H
#define NET_KAFKA_RD_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "net/kafka.h"

enum kafka_metric {
    KAFKA_CONSUMED,
    KAFKA_DONE,
    KAFKA_LATE,
    KAFKA_IN_FLIGHT,
    KAFKA_HEAD_AGE,
    KAFKA_REBALANCES,
    KAFKA_PRODUCED,
    KAFKA_PRODUCE_FAILED,
    KAFKA_NMETRICS,
};
extern struct metric kafka_rows[KAFKA_NMETRICS];

/* Any thread: librdkafka logs from its own. */
struct kafka_link {
    atomic_bool up;
    _Atomic int64_t log_period; /* number of the period that log_lines counts */
    _Atomic int64_t log_lines;
};

void kafka_link_set(struct kafka_link *l, bool up, const char *why);
bool kafka_link_may_log(struct kafka_link *l); /* false: too many lines lately */

struct kafka_setting {
    const char *name, *value;
    bool optional; /* this build or version of the library may lack it */
};

/* The common settings, then these.  ERR_CONFIG. */
MUSTUSE enum err kafka_rd_conf(rd_kafka_conf_t **out, const struct kafka_conf *c, void *opaque,
                               const struct kafka_setting *settings, size_t n, struct errbuf *eb);
/* Takes conf, also on failure.  ERR_CONFIG. */
MUSTUSE enum err kafka_rd_new(rd_kafka_t **out, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                              struct errbuf *eb);

#endif
