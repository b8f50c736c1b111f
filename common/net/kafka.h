/* kafka.h - topics, an in-order producer, and a consumer whose items finish out of order.
 *
 * Home of librdkafka.  Moves bytes and keys and does not know what a blob is.
 *
 * Consumer: kafka_next() hands out messages while the windows have room; each is finished by
 * kafka_done() in any order, and the stored position follows the lowest unfinished one, so a
 * crash repeats at most a window and never skips.  When a window is full, draining stops (the
 * partition is not paused); kafka_more() says that messages wait although the fd is quiet.
 *
 * Thread   one per consumer and one per producer; a producer's sends come from one thread.
 * Errors   a broker that is down is not an error: the library reconnects, kafka_up() tells.
 * Source   librdkafka INTRODUCTION.md, "At-least-once processing"; KIP-98 (idempotence).
 */
#ifndef NET_KAFKA_H
#define NET_KAFKA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/metric.h"
#include "base/str.h"
#include "net/offwin.h"

struct kafka_conf {
    char *brokers; /* "host:port,host:port" */
};
extern const struct conf_key kafka_conf_keys[];
extern const size_t kafka_conf_n;
extern struct metric_set kafka_metrics;

/* Creates what is missing; an existing topic is fine.  For set-up programs; blocks until
 * deadline_ms.  ERR_TIMEOUT: no broker answered.  ERR_REMOTE: the broker refused; eb says. */
struct kafka_topic {
    const char *name;
    int partitions;
    int replicas; /* -1: the broker's default */
};
MUSTUSE enum err kafka_create_topics(const struct kafka_conf *c, const struct kafka_topic *topics,
                                     size_t n, int64_t deadline_ms, struct errbuf *eb);

/* ---- producer: idempotent, acks=all, order kept */
struct kafka_producer;
MUSTUSE enum err kafka_producer_open(struct kafka_producer **out, const struct kafka_conf *c,
                                     struct errbuf *eb);
void kafka_producer_close(struct kafka_producer *p); /* does not wait; NULL is fine */
/* Queues one message; key and value are copied.  ERR_FULL: flush first. */
MUSTUSE enum err kafka_send(struct kafka_producer *p, const char *topic, struct str key,
                            struct str value, struct errbuf *eb);
/* Waits until everything sent since the last flush is acknowledged.
 * ERR_TIMEOUT: not yet; the messages stay queued, flush again.
 * ERR_REMOTE:  the broker refused one for good (eb says which topic and why); the rest went.
 * ERR_CLOSED:  the producer is beyond repair (fatal idempotence error): close it, open another
 *              and send again what was not acknowledged. */
MUSTUSE enum err kafka_flush(struct kafka_producer *p, int64_t timeout_ms, struct errbuf *eb);

/* ---- consumer */
struct kafka_consumer;
struct kafka_ticket {
    int32_t slot; /* which assigned partition; the consumer's own */
    struct offwin_ticket at;
};
struct kafka_msg {
    struct str topic, key, value; /* borrowed until the next kafka_next() */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    struct kafka_ticket ticket;
};
/* window: messages in flight for each partition, a power of two.  wake_fd (base/wake.h) is
 * signalled when messages arrive; the caller polls it.  group NULL: no group, all partitions,
 * from the end, nothing stored (for people who watch). */
MUSTUSE enum err kafka_consumer_open(struct kafka_consumer **out, const struct kafka_conf *c,
                                     const char *group, const char *topic, uint32_t window,
                                     int wake_fd, struct errbuf *eb);
/* Stores and commits the position, leaves the group, frees.  NULL is fine. */
void kafka_consumer_close(struct kafka_consumer *c);
/* Also serves rebalances, so call it at least every few seconds even when busy.
 * False: nothing now (or no room). */
bool kafka_next(struct kafka_consumer *c, struct kafka_msg *out);
bool kafka_more(const struct kafka_consumer *c);
void kafka_done(struct kafka_consumer *c, struct kafka_ticket t);
bool kafka_up(const struct kafka_consumer *c);       /* a broker is connected and answered */
int64_t kafka_head_age_ms(const struct kafka_consumer *c); /* age of the oldest unfinished */

#endif
