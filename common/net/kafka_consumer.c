#include "net/kafka.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/kafka_rd.h"

#define FULL_PAUSE_MS  1000  /* a window full for so long pauses its partition */
#define COMMIT_MS      2000  /* limit for the commit of a partition that goes */
#define CLOSE_MS       4000  /* limit for leaving the group, commit included */
#define PARTITIONS_MAX 65536 /* more than any cluster allows; a bound for what the broker says */
#define NO_SLOT        INT32_C(-1)

/* One partition; its number is its slot.  A slot outlives the assignment, because the epoch of
 * its window is what recognises late tickets. */
struct part {
    struct offwin win;
    struct offwin_slot *slots;
    mono_t *since;              /* by sequence number: when the message was handed out */
    rd_kafka_message_t *parked; /* came when the window was full; the next to hand out */
    mono_t parked_at;
    bool assigned, paused;
};

struct kafka_consumer {
    struct kafka_link link; /* first: the library's opaque */
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_message_t *handed; /* borrowed by the caller until the next kafka_next() */
    struct kafka_header headers[KAFKA_HEADERS_MAX]; /* of it */
    char *topic;
    uint32_t window;
    struct part *parts;
    size_t n_parts;
    struct part *stuck; /* not paused and parked: nothing is taken from the queue */
    bool drained;       /* the last kafka_next() found nothing */
    bool watcher;       /* no group */
    struct kafka_watch watch;
};

/* ---- partitions ---------------------------------------------------------------------------- */

static struct part *part_get(struct kafka_consumer *c, int32_t partition)
{
    assert(partition >= 0 && partition < PARTITIONS_MAX);
    size_t need = (size_t)partition + 1;
    if (need > c->n_parts) {
        c->parts = xrealloc(c->parts, need * sizeof *c->parts);
        for (size_t i = c->n_parts; i < need; i++)
            c->parts[i] = (struct part){ 0 };
        c->n_parts = need;
    }
    struct part *p = &c->parts[partition];
    if (p->slots == NULL) {
        p->slots = xcalloc(c->window, sizeof *p->slots);
        p->since = xcalloc(c->window, sizeof *p->since);
        offwin_init(&p->win, p->slots, c->window);
    }
    return p;
}

static void position_store(struct kafka_consumer *c, int32_t partition, int64_t position)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, c->topic, partition)->offset = position;
    rd_kafka_resp_err_t code = rd_kafka_offsets_store(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && kafka_link_may_log(&c->link))
        LOG(WARN, "kafka.position_not_stored", F_STR("topic", c->topic),
            F_INT("partition", partition), F_STR("error", rd_kafka_err2name(code)));
}

/* Pausing drops what was fetched ahead for the partition; resuming fetches it again from behind
 * the last message that the library handed out, parked ones included. */
static void part_pause(struct kafka_consumer *c, struct part *p, bool pause)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int32_t partition = (int32_t)(p - c->parts);
    rd_kafka_topic_partition_list_add(list, c->topic, partition);
    if (pause)
        rd_kafka_pause_partitions(c->rk, list);
    else
        rd_kafka_resume_partitions(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    p->paused = pause;
    LOG(INFO, pause ? "kafka.partition_paused" : "kafka.partition_resumed",
        F_STR("topic", c->topic), F_INT("partition", partition));
}

/* Forgets the partition: what is in flight will come again to whoever gets it next. */
static void part_drop(struct kafka_consumer *c, struct part *p)
{
    if (p->parked != NULL)
        rd_kafka_message_destroy(p->parked);
    p->parked = NULL;
    if (p->paused)
        part_pause(c, p, false);
    if (c->stuck == p)
        c->stuck = NULL;
    metric_add(&kafka_rows[KAFKA_IN_FLIGHT], -(int64_t)offwin_in_flight(&p->win));
    offwin_reset(&p->win);
    p->assigned = false;
}

/* ---- rebalances (called from rd_kafka_consumer_poll() and on closing) ---------------------- */

static void log_rebalance(const struct kafka_consumer *c, const char *event,
                          const rd_kafka_topic_partition_list_t *list)
{
    LOG(INFO, event, F_STR("topic", c->topic), F_INT("partitions", list->cnt),
        F_INT("first", list->cnt > 0 ? list->elems[0].partition : -1));
    metric_add(&kafka_rows[KAFKA_REBALANCES], 1);
}

static void on_assign(struct kafka_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    kafka_link_set(&c->link, true, "");
    c->stuck = NULL; /* part_get() may move the parts */
    for (int i = 0; i < list->cnt; i++) {
        struct part *p = part_get(c, list->elems[i].partition);
        part_drop(c, p);
        p->assigned = true;
    }
    log_rebalance(c, "kafka.partitions_assigned", list);
    rd_kafka_assign(c->rk, list);
}

static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                      rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_consumer *c = opaque;
    (void)rk;
    (void)list;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__NO_OFFSET &&
        kafka_link_may_log(&c->link))
        LOG(WARN, "kafka.commit_failed", F_STR("topic", c->topic),
            F_STR("error", rd_kafka_err2name(code)));
}

/* Like rd_kafka_commit() in step, which would wait for a lost coordinator as long as it likes. */
static void commit_and_wait(struct kafka_consumer *c)
{
    rd_kafka_queue_t *answer = rd_kafka_queue_new(c->rk);
    rd_kafka_commit_queue(c->rk, NULL, answer, on_commit, c);
    rd_kafka_queue_poll_callback(answer, COMMIT_MS);
    rd_kafka_queue_destroy(answer);
}

static void on_revoke(struct kafka_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    bool lost = rd_kafka_assignment_lost(c->rk); /* others may read already: too late to commit */
    if (!lost)
        commit_and_wait(c);
    for (int i = 0; i < list->cnt; i++)
        part_drop(c, part_get(c, list->elems[i].partition));
    log_rebalance(c, lost ? "kafka.partitions_lost" : "kafka.partitions_revoked", list);
    rd_kafka_assign(c->rk, NULL);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_consumer *c = opaque;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assign(c, list);
    else if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        on_revoke(c, list);
    else
        rd_kafka_assign(rk, NULL);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static enum err subscribe(struct kafka_consumer *c, struct errbuf *eb)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, c->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ERR_OK;
    return errbuf_set(eb, ERR_CONFIG, "kafka topic %s: %s", c->topic, rd_kafka_err2str(code));
}

static enum err connect_client(struct kafka_consumer *c, const struct kafka_conf *conf,
                               const char *group, struct errbuf *eb)
{
    const struct kafka_setting settings[] = {
        /* The library wants a name even where no group is joined. */
        { "group.id", group != NULL ? group : "labelwire-watch", false },
        { "partition.assignment.strategy", "range", false },
        { "enable.auto.commit", group != NULL ? "true" : "false", false },
        { "auto.commit.interval.ms", "1000", false },
        { "enable.auto.offset.store", "false", false },
        { "auto.offset.reset", "earliest", false },
        { "session.timeout.ms", "6000", false },
        { "heartbeat.interval.ms", "2000", false },
        { "max.poll.interval.ms", "300000", false },
        { "statistics.interval.ms", "1000", false }, /* is a broker connected? */
        { "enable.partition.eof", group != NULL ? "false" : "true", false },
        /* Fetching ahead stops by size, not by number: meeting the number costs 2.0 a second. */
        { "queued.max.messages.kbytes", "8192", false },
        { "queued.min.messages", "50000", false },
        { "fetch.queue.backoff.ms", "50", true },
    };
    rd_kafka_conf_t *rc;
    enum err e = kafka_rd_conf(&rc, conf, c, settings, N_OF(settings), eb);
    if (e != ERR_OK)
        return e;
    rd_kafka_conf_set_rebalance_cb(rc, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(rc, on_commit);
    return kafka_rd_new(&c->rk, RD_KAFKA_CONSUMER, rc, eb);
}

enum err kafka_consumer_open(struct kafka_consumer **out, const struct kafka_conf *conf,
                             const char *group, const char *topic, uint32_t window, int wake_fd,
                             struct errbuf *eb)
{
    const uint64_t one = 1;
    struct kafka_consumer *c = xcalloc(1, sizeof *c);
    c->topic = xstrdup(topic);
    c->window = window;
    c->watcher = group == NULL;
    c->watch.from = RD_KAFKA_OFFSET_END;
    enum err e = connect_client(c, conf, group, eb);
    if (e == ERR_OK) {
        rd_kafka_poll_set_consumer(c->rk);
        c->queue = rd_kafka_queue_get_consumer(c->rk);
        rd_kafka_queue_io_event_enable(c->queue, wake_fd, &one, sizeof one);
        if (!c->watcher)
            e = subscribe(c, eb);
    }
    if (e != ERR_OK) {
        kafka_consumer_close(c);
        c = NULL;
    }
    *out = c;
    return e;
}

/* rd_kafka_consumer_close() has no limit, so the same is done by hand: the library leaves the
 * group in the background and needs its last rebalance served. */
static void leave(struct kafka_consumer *c)
{
    mono_t limit = mono_after_ms(mono_now(), CLOSE_MS);
    rd_kafka_queue_t *last = rd_kafka_queue_new(c->rk); /* takes the place of the consumer's */
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(c->rk, last);
    if (error != NULL)
        rd_kafka_error_destroy(error);
    while (!rd_kafka_consumer_closed(c->rk) && mono_until_ms(mono_now(), limit) > 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(c->rk, 100);
        if (m != NULL)
            rd_kafka_message_destroy(m);
    }
    if (!rd_kafka_consumer_closed(c->rk))
        LOG(WARN, "kafka.close_cut_short", F_STR("topic", c->topic));
    rd_kafka_queue_destroy(last);
}

void kafka_consumer_close(struct kafka_consumer *c)
{
    if (c == NULL)
        return;
    if (c->handed != NULL)
        rd_kafka_message_destroy(c->handed);
    if (c->queue != NULL) {
        rd_kafka_queue_io_event_enable(c->queue, -1, NULL, 0);
        leave(c);
        rd_kafka_queue_destroy(c->queue);
    }
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].slots != NULL)
            part_drop(c, &c->parts[i]);
    if (c->rk != NULL)
        rd_kafka_destroy_flags(c->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    for (size_t i = 0; i < c->n_parts; i++) {
        free(c->parts[i].slots);
        free(c->parts[i].since);
    }
    free(c->parts);
    free(c->watch.ended);
    free(c->topic);
    free(c);
}

/* ---- handing out and finishing ------------------------------------------------------------- */

static bool can_unpark(const struct part *p)
{
    return p->parked != NULL && !offwin_full(&p->win);
}

static bool can_resume(const struct kafka_consumer *c, const struct part *p)
{
    return p->paused && p->parked == NULL && offwin_in_flight(&p->win) <= c->window / 2;
}

/* A parked message whose window has room again; paused partitions come back on the way. */
static rd_kafka_message_t *take_parked(struct kafka_consumer *c)
{
    for (size_t i = 0; i < c->n_parts; i++) {
        struct part *p = &c->parts[i];
        if (can_resume(c, p))
            part_pause(c, p, false);
        if (!can_unpark(p))
            continue;
        rd_kafka_message_t *m = p->parked;
        p->parked = NULL;
        if (c->stuck == p)
            c->stuck = NULL;
        return m;
    }
    return NULL;
}

/* True: a window is full and its message parked, so the queue is left alone. */
static bool is_stuck(struct kafka_consumer *c)
{
    if (c->stuck == NULL)
        return false;
    if (mono_since_us(mono_now(), c->stuck->parked_at) < FULL_PAUSE_MS * 1000)
        return true;
    part_pause(c, c->stuck, true);
    c->stuck = NULL;
    return false;
}

static rd_kafka_message_t *take_queued(struct kafka_consumer *c, bool room)
{
    rd_kafka_message_t *m;
    while ((m = rd_kafka_consumer_poll(c->rk, 0)) != NULL) {
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
                kafka_watch_ended(&c->watch, m->partition);
            else if (kafka_link_may_log(&c->link))
                LOG(WARN, "kafka.consumer_warned", F_STR("topic", c->topic),
                    F_STR("error", rd_kafka_err2name(m->err)),
                    F_STR("text", rd_kafka_message_errstr(m)));
            rd_kafka_message_destroy(m);
            continue;
        }
        if (c->watcher)
            return m;
        struct part *p = part_get(c, m->partition);
        assert(p->assigned && p->parked == NULL); /* else it would be skipped */
        if (room && !offwin_full(&p->win))
            return m;
        p->parked = m;
        p->parked_at = mono_now();
        c->stuck = p;
        return NULL;
    }
    return NULL;
}

static void hand_out(struct kafka_consumer *c, rd_kafka_message_t *m, struct kafka_msg *out)
{
    rd_kafka_timestamp_type_t type;
    *out = (struct kafka_msg){
        .topic = str_of(rd_kafka_topic_name(m->rkt)),
        .key = { m->key, m->key_len },
        .value = { m->payload, m->len },
        .headers = c->headers,
        .n_headers = kafka_rd_headers(c->headers, m),
        .partition = m->partition,
        .offset = m->offset,
        .timestamp_ms = rd_kafka_message_timestamp(m, &type),
        .ticket = { .slot = NO_SLOT },
    };
    c->handed = m;
    metric_add(&kafka_rows[KAFKA_CONSUMED], 1);
    if (c->watcher)
        return;
    struct part *p = part_get(c, m->partition);
    if (m->offset <= offwin_last(&p->win)) { /* the topic was deleted and made anew */
        LOG(WARN, "kafka.offsets_began_anew", F_STR("topic", c->topic),
            F_INT("partition", m->partition), F_INT("offset", m->offset));
        part_drop(c, p);
        p->assigned = true;
    }
    out->ticket.slot = m->partition;
    out->ticket.at = offwin_begin(&p->win, m->offset);
    p->since[out->ticket.at.seq & (c->window - 1)] = mono_now();
    metric_add(&kafka_rows[KAFKA_IN_FLIGHT], 1);
}

static void publish_head_age(const struct kafka_consumer *c)
{
    metric_set(&kafka_rows[KAFKA_HEAD_AGE], kafka_head_age_ms(c));
}

bool kafka_next(struct kafka_consumer *c, struct kafka_msg *out)
{
    if (c->handed != NULL)
        rd_kafka_message_destroy(c->handed);
    c->handed = NULL;
    if (c->watcher && c->watch.ended == NULL)
        kafka_watch_try(&c->watch, c->rk, c->topic, &c->link);
    rd_kafka_message_t *m = take_parked(c);
    if (m == NULL && !is_stuck(c))
        m = take_queued(c, true);
    c->drained = m == NULL;
    if (m == NULL) {
        publish_head_age(c);
        return false;
    }
    hand_out(c, m, out);
    return true;
}

void kafka_serve(struct kafka_consumer *c)
{
    publish_head_age(c);
    if (!is_stuck(c))
        (void)take_queued(c, false);
}

bool kafka_more(const struct kafka_consumer *c)
{
    if (!c->drained)
        return true;
    for (size_t i = 0; i < c->n_parts; i++)
        if (can_unpark(&c->parts[i]) || can_resume(c, &c->parts[i]))
            return true;
    return false;
}

void kafka_done(struct kafka_consumer *c, struct kafka_ticket t)
{
    if (t.slot == NO_SLOT)
        return;
    assert(t.slot >= 0 && (size_t)t.slot < c->n_parts);
    struct part *p = &c->parts[t.slot];
    if (!offwin_done(&p->win, t.at)) {
        metric_add(&kafka_rows[KAFKA_LATE], 1);
        return;
    }
    metric_add(&kafka_rows[KAFKA_DONE], 1);
    uint32_t before = offwin_in_flight(&p->win);
    int64_t position = offwin_advance(&p->win);
    if (position == OFFWIN_NONE)
        return;
    metric_add(&kafka_rows[KAFKA_IN_FLIGHT], (int64_t)offwin_in_flight(&p->win) - (int64_t)before);
    position_store(c, t.slot, position);
}

void kafka_watch_from_start(struct kafka_consumer *c)
{
    assert(c->watcher && c->watch.ended == NULL);
    c->watch.from = RD_KAFKA_OFFSET_BEGINNING;
}

bool kafka_watching(const struct kafka_consumer *c)
{
    return c->watch.ended != NULL;
}

bool kafka_at_end(const struct kafka_consumer *c)
{
    return c->watch.ended != NULL && c->watch.n_ended == c->watch.n;
}

bool kafka_up(const struct kafka_consumer *c)
{
    return atomic_load(&c->link.up);
}

int64_t kafka_head_age_ms(const struct kafka_consumer *c)
{
    mono_t now = mono_now();
    int64_t oldest_us = 0;
    for (size_t i = 0; i < c->n_parts; i++) {
        const struct part *p = &c->parts[i];
        if (p->slots == NULL || offwin_in_flight(&p->win) == 0)
            continue;
        int64_t age_us = mono_since_us(now, p->since[p->win.head & (c->window - 1)]);
        if (age_us > oldest_us)
            oldest_us = age_us;
    }
    return oldest_us / 1000;
}
