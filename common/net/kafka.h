/* kafka.h - topics, an in-order producer, and a consumer whose items finish out of order.
 *
 * Home of librdkafka.  Moves bytes and keys and does not know what a blob is.
 *
 * Consumer: kafka_next() hands out messages while the windows have room; each is finished by
 * kafka_done() in any order, and the stored position follows the lowest unfinished one, so a
 * crash repeats at most a window and never skips.  When a window is full, draining stops; a
 * partition that stays full for a second is paused, so that the others flow on, and resumed
 * when its window is half empty.
 *
 * Thread   one per consumer and one per producer; kafka_up() from any.
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
extern const struct conf_key kafka_conf_keys[1];
extern const struct metric_set kafka_metrics;

/* Creates what is missing; an existing topic is fine.  For set-up programs; waits for a broker
 * that is still starting, at most deadline_ms from now.
 * ERR_TIMEOUT: no broker answered.  ERR_REMOTE: the broker refused; eb says. */
struct kafka_topic {
    const char *name;
    int partitions;
    int replicas;    /* -1: the broker's default */
    int64_t keep_ms; /* a new topic keeps each message so long, and all of them; 0: as the broker
                        wishes */
};
MUSTUSE enum err kafka_create_topics(const struct kafka_conf *c, const struct kafka_topic *topics,
                                     size_t n, int64_t deadline_ms, struct errbuf *eb);

/* ---- producer: idempotent, acks=all, order kept */
struct kafka_producer;
MUSTUSE enum err kafka_producer_open(struct kafka_producer **out, const struct kafka_conf *c,
                                     struct errbuf *eb);
/* Drops what is not acknowledged yet.  NULL is fine. */
void kafka_producer_close(struct kafka_producer *p);
/* wake_fd (base/wake.h) is signalled when kafka_poll() has outcomes to tell; it may be a
 * consumer's too, and is closed after the producer. */
void kafka_producer_wake(struct kafka_producer *p, int wake_fd);

#define KAFKA_HEADERS_MAX 24U /* of one message; what comes with more shows the first ones */
struct kafka_header {
    struct str name, value;
};
/* Told once what became of a message, from kafka_poll(), kafka_flush() or
 * kafka_producer_close(), on the producer's thread:
 * ERR_OK: acknowledged.  ERR_TOOBIG: larger than the topic takes.  ERR_REMOTE: refused for
 * another reason.  ERR_CLOSED: the producer was closed or is beyond repair. */
struct kafka_delivery {
    void (*done)(struct kafka_delivery *, enum err);
    void *owner;
};
struct kafka_record {
    const char *topic;
    struct str key, value; /* STR_NONE: none */
    const struct kafka_header *headers;
    size_t n_headers;
    struct kafka_delivery *delivery; /* lives until it is told; NULL: kafka_flush() tells */
};
/* Queues one message; all of it is copied.  On an error the delivery is not told.
 * ERR_FULL: flush first.  ERR_TOOBIG.  ERR_REMOTE: no such topic.  ERR_CLOSED: as below. */
MUSTUSE enum err kafka_send(struct kafka_producer *p, const struct kafka_record *r,
                            struct errbuf *eb);
/* Tells the outcomes that are known; never waits. */
void kafka_poll(struct kafka_producer *p);
/* Waits until everything sent since the last flush is acknowledged or told.
 * ERR_TIMEOUT: not yet; the messages stay queued, flush again.
 * ERR_REMOTE:  the broker refused one for good (eb says which topic and why); the rest went.
 *              Messages with a delivery of their own do not count here.
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
    struct str topic, key, value; /* borrowed until the next kafka_next(); .p NULL: none */
    const struct kafka_header *headers;
    size_t n_headers;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    struct kafka_ticket ticket;
};
/* window: messages in flight for each partition, a power of two.  wake_fd (base/wake.h) is
 * signalled when messages arrive and about once a second; the caller polls and drains it, and
 * closes it after the consumer.
 * group NULL: for those who watch.  No group, all partitions from the end, nothing stored, no
 * window, kafka_done() not needed; a topic that does not exist yet is waited for. */
MUSTUSE enum err kafka_consumer_open(struct kafka_consumer **out, const struct kafka_conf *c,
                                     const char *group, const char *topic, uint32_t window,
                                     int wake_fd, struct errbuf *eb);
/* Before the first kafka_next() of a consumer without a group: from the first message on. */
void kafka_watch_from_start(struct kafka_consumer *c);
/* Of a consumer without a group: its topic was found; every partition was read to the end that it
 * had at some moment since. */
bool kafka_watching(const struct kafka_consumer *c);
bool kafka_at_end(const struct kafka_consumer *c);
/* Commits the position, leaves the group, frees.  Some seven seconds when no broker answers.  NULL
 * is fine. */
void kafka_consumer_close(struct kafka_consumer *c);
/* Also serves rebalances and waits for the commit of a partition that goes away, so call it at
 * least once a second even when busy.  False: nothing now, or no room. */
bool kafka_next(struct kafka_consumer *c, struct kafka_msg *out);
/* Instead of kafka_next() while the caller has no room: serves rebalances and keeps the group's
 * patience; what arrives is kept for later. */
void kafka_serve(struct kafka_consumer *c);
/* kafka_next() would go on although the fd is quiet: take more, if there is room for it, before
 * sleeping. */
bool kafka_more(const struct kafka_consumer *c);
/* A ticket from before a rebalance is counted and ignored: the message comes again, here or
 * elsewhere.  So is one from before the topic was deleted and made anew. */
void kafka_done(struct kafka_consumer *c, struct kafka_ticket t);
bool kafka_up(const struct kafka_consumer *c);             /* a broker was connected a second ago */
int64_t kafka_head_age_ms(const struct kafka_consumer *c); /* age of the oldest unfinished */

#endif
