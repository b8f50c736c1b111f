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

/* The partitions of a consumer without a group, all assigned at once (kafka_watch.c). */
struct kafka_watch {
    int64_t from; /* offset, or one of the library's names for one */
    mono_t retry;
    bool *ended; /* by partition; NULL: not assigned yet */
    size_t n, n_ended;
};
/* Asks for the partitions, now and then, and takes them. */
void kafka_watch_try(struct kafka_watch *w, rd_kafka_t *rk, const char *topic,
                     struct kafka_link *l);
void kafka_watch_ended(struct kafka_watch *w, int32_t partition);

/* The message's first headers, borrowed from it; how many. */
size_t kafka_rd_headers(struct kafka_header out[KAFKA_HEADERS_MAX], const rd_kafka_message_t *m);

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
