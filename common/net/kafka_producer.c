#include "net/kafka.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/kafka_rd.h"

#define PURGE_MS 1000

/* Everything below runs on the owner's thread: the library calls on_report() from poll and
 * flush. */
struct kafka_producer {
    struct kafka_link link; /* first: the library's opaque */
    rd_kafka_t *rk;
    rd_kafka_queue_t *reports; /* while it wakes somebody */
    unsigned failed;           /* messages given up since the last flush that told */
    char first[160];           /* why the first of them failed */
};

static enum err outcome(rd_kafka_t *rk, rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ERR_OK;
    if (code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ||
        rd_kafka_fatal_error(rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return ERR_CLOSED;
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? ERR_TOOBIG : ERR_REMOTE;
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka_producer *p = opaque;
    struct kafka_delivery *delivery = m->_private;
    bool well = m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (well)
        kafka_link_set(&p->link, true, "");
    metric_add(&kafka_rows[well ? KAFKA_PRODUCED : KAFKA_PRODUCE_FAILED], 1);
    if (delivery != NULL)
        delivery->done(delivery, outcome(rk, m->err));
    else if (!well && p->failed++ == 0)
        snprintf(p->first, sizeof p->first, "topic %s: %s", rd_kafka_topic_name(m->rkt),
                 rd_kafka_err2str(m->err));
}

enum err kafka_producer_open(struct kafka_producer **out, const struct kafka_conf *c,
                             struct errbuf *eb)
{
    static const struct kafka_setting settings[] = {
        { "enable.idempotence", "true", false }, /* also: acks=all, order kept */
        { "message.timeout.ms", "0", false },    /* a message waits for its broker for ever */
        /* A topic that is missing for so long is missing: setup made them before. */
        { "topic.metadata.propagation.max.ms", "5000", false },
        { "linger.ms", "1", false },               /* the caller has a batch ready already */
        { "message.max.bytes", "1048588", false }, /* a broker's default for its topics */
        { "queue.buffering.max.messages", "10000", false },
        { "queue.buffering.max.kbytes", "65536", false },
        { "compression.codec", "lz4", true },
    };
    struct kafka_producer *p = xcalloc(1, sizeof *p);
    rd_kafka_conf_t *conf;
    enum err e = kafka_rd_conf(&conf, c, p, settings, N_OF(settings), eb);
    if (e == ERR_OK) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_report);
        e = kafka_rd_new(&p->rk, RD_KAFKA_PRODUCER, conf, eb);
    }
    if (e != ERR_OK) {
        free(p);
        p = NULL;
    }
    *out = p;
    return e;
}

void kafka_producer_close(struct kafka_producer *p)
{
    if (p == NULL)
        return;
    if (p->reports != NULL) {
        rd_kafka_queue_io_event_enable(p->reports, -1, NULL, 0);
        rd_kafka_queue_destroy(p->reports);
    }
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(p->rk, PURGE_MS); /* nothing waits any more: tells the deliveries */
    rd_kafka_destroy(p->rk);
    free(p);
}

void kafka_producer_wake(struct kafka_producer *p, int wake_fd)
{
    const uint64_t one = 1;
    p->reports = rd_kafka_queue_get_main(p->rk);
    rd_kafka_queue_io_event_enable(p->reports, wake_fd, &one, sizeof one);
}

static enum err fatal(struct kafka_producer *p, struct errbuf *eb)
{
    char text[160];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(p->rk, text, sizeof text);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ERR_OK;
    return errbuf_set(eb, ERR_CLOSED, "kafka producer: %s: %s", rd_kafka_err2name(code), text);
}

static rd_kafka_headers_t *make_headers(const struct kafka_record *r)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(r->n_headers);
    for (size_t i = 0; i < r->n_headers; i++) {
        const struct kafka_header *h = &r->headers[i];
        rd_kafka_header_add(headers, h->name.p, (ssize_t)h->name.n, h->value.p,
                            (ssize_t)h->value.n);
    }
    return headers;
}

enum err kafka_send(struct kafka_producer *p, const struct kafka_record *r, struct errbuf *eb)
{
    /* Copied, not changed. */
    void *key = (void *)(uintptr_t)r->key.p, *value = (void *)(uintptr_t)r->value.p;
    rd_kafka_headers_t *headers = r->n_headers > 0 ? make_headers(r) : NULL;
    rd_kafka_resp_err_t code = rd_kafka_producev(
        p->rk, RD_KAFKA_V_TOPIC(r->topic), RD_KAFKA_V_KEY(key, r->key.n),
        RD_KAFKA_V_VALUE(value, r->value.n), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE(r->delivery), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ERR_OK;
    if (headers != NULL)
        rd_kafka_headers_destroy(headers);
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        return fatal(p, eb);
    enum err e = code == RD_KAFKA_RESP_ERR__QUEUE_FULL          ? ERR_FULL
                 : code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? ERR_TOOBIG
                                                                : ERR_REMOTE;
    return errbuf_set(eb, e, "kafka topic %s: %s", r->topic, rd_kafka_err2str(code));
}

void kafka_poll(struct kafka_producer *p)
{
    rd_kafka_poll(p->rk, 0);
}

enum err kafka_flush(struct kafka_producer *p, int64_t timeout_ms, struct errbuf *eb)
{
    int wait_ms = timeout_ms < 0 ? 0 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    rd_kafka_resp_err_t code = rd_kafka_flush(p->rk, wait_ms);
    enum err e = fatal(p, eb);
    if (e != ERR_OK)
        return e;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return errbuf_set(eb, ERR_TIMEOUT, "kafka: %d messages are not acknowledged yet",
                          rd_kafka_outq_len(p->rk));
    if (p->failed == 0)
        return ERR_OK;
    e = errbuf_set(eb, ERR_REMOTE, "kafka refused %u messages; the first: %s", p->failed, p->first);
    p->failed = 0;
    return e;
}
