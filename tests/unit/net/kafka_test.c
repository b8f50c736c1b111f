/* kafka against librdkafka's own mock cluster.
 *
 * The first join of a group costs about 3 s there, so the consumers of all tests are opened
 * together in the set-up; the tests find them joined.  Waiting is always for a condition, with
 * a limit, on the consumers' fds. */
#include "net/kafka.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <assert.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"

#define PATIENCE_MS 20000
#define PRODUCE     0 /* ApiKey, see the Kafka protocol guide */

/* ---- a cluster, and what many tests need --------------------------------------------------- */

struct cluster {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *mock;
    struct kafka_conf conf;
};

static void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void cluster_open(struct cluster *k)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, quiet);
    k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(k->rk);
    k->mock = rd_kafka_mock_cluster_new(k->rk, 1);
    assert_non_null(k->mock);
    k->conf.brokers = xstrdup(rd_kafka_mock_cluster_bootstraps(k->mock));
}

static void cluster_close(struct cluster *k)
{
    rd_kafka_mock_cluster_destroy(k->mock);
    rd_kafka_destroy(k->rk);
    free(k->conf.brokers);
}

static struct kafka_producer *open_producer(const struct cluster *k)
{
    struct kafka_producer *p;
    struct errbuf eb = { "" };
    if (kafka_producer_open(&p, &k->conf, &eb) != ERR_OK)
        fail_msg("%s", eb.text);
    return p;
}

static enum err send_one(struct kafka_producer *p, const char *topic, struct str key,
                         struct str value, struct errbuf *eb)
{
    return kafka_send(p, &(struct kafka_record){ .topic = topic, .key = key, .value = value }, eb);
}

static void send_numbers(struct kafka_producer *p, const char *topic, int from, int n)
{
    char text[16];
    for (int i = from; i < from + n; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(send_one(p, topic, str_of(text), str_of(text), NULL), ERR_OK);
    }
}

static void flush(struct kafka_producer *p)
{
    struct errbuf eb = { "" };
    if (kafka_flush(p, PATIENCE_MS, &eb) != ERR_OK)
        fail_msg("%s", eb.text);
}

/* Puts messages into one partition, which our producer leaves to the key. */
static void put(const struct cluster *k, const char *topic, int partition, int n)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", k->conf.brokers, text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    for (int i = 0; i < n; i++)
        assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
                                           RD_KAFKA_V_PARTITION(partition),
                                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                           RD_KAFKA_V_VALUE(text, 1), RD_KAFKA_V_END),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(rk, PATIENCE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(rk);
}

/* What the group has committed; -1: nothing. */
static int64_t committed(const struct cluster *k, const char *group, const char *topic,
                         int partition)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", k->conf.brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "group.id", group, text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    assert_int_equal(rd_kafka_committed(rk, list, PATIENCE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    int64_t position = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return position < 0 ? -1 : position;
}

/* ---- consumers ----------------------------------------------------------------------------- */

struct reader {
    struct kafka_consumer *c;
    int fd;
};

static struct reader open_reader(const struct cluster *k, const char *group, const char *topic,
                                 uint32_t window)
{
    struct reader r = { .fd = wake_open() };
    struct errbuf eb = { "" };
    if (kafka_consumer_open(&r.c, &k->conf, group, topic, window, r.fd, &eb) != ERR_OK)
        fail_msg("%s", eb.text);
    return r;
}

static void close_reader(struct reader *r)
{
    kafka_consumer_close(r->c);
    close(r->fd);
    r->c = NULL;
}

static void wait_readers(struct reader *r, size_t n)
{
    struct pollfd fds[8];
    bool more = false;
    for (size_t i = 0; i < n; i++) {
        fds[i] = (struct pollfd){ .fd = r[i].fd, .events = POLLIN };
        more |= kafka_more(r[i].c);
    }
    poll(fds, n, more ? 0 : 1000);
    for (size_t i = 0; i < n; i++)
        wake_drain(r[i].fd);
}

/* The next message, waiting for it; false after PATIENCE_MS. */
static bool next(struct reader *r, struct kafka_msg *m)
{
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (!kafka_next(r->c, m)) {
        if (mono_until_ms(mono_now(), limit) == 0)
            return false;
        wait_readers(r, 1);
    }
    return true;
}

static int64_t counter(const char *name)
{
    for (size_t i = 0; i < kafka_metrics.n; i++)
        if (strcmp(kafka_metrics.rows[i].name, name) == 0)
            return kafka_metrics.rows[i].value;
    fail_msg("no metric %s", name);
    return 0;
}

/* xorshift64*: the same order on every run. */
static uint32_t rnd(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return (uint32_t)((*s * UINT64_C(2685821657736338717)) >> 32);
}

/* ---- set-up -------------------------------------------------------------------------------- */

enum { RANDOM, FULL, REVOKE, NREADERS };
#define FIRST_WINDOW 256U

static struct {
    struct cluster k;
    struct reader readers[NREADERS];
} all;

static const struct {
    const char *topic;
    int partitions;
    uint32_t window;
} groups[NREADERS] = {
    [RANDOM] = { "random", 1, FIRST_WINDOW },
    [FULL] = { "full", 2, 4 },
    [REVOKE] = { "revoke", 4, FIRST_WINDOW },
};

/* Everybody has got and finished one message of the partition 0. */
static int set_up(void **state)
{
    (void)state;
    log_open("kafka_test", LOG_ERROR);
    cluster_open(&all.k);
    for (size_t i = 0; i < NREADERS; i++) {
        rd_kafka_mock_topic_create(all.k.mock, groups[i].topic, groups[i].partitions, 1);
        put(&all.k, groups[i].topic, 0, 1);
        all.readers[i] = open_reader(&all.k, groups[i].topic, groups[i].topic, groups[i].window);
    }
    bool joined[NREADERS] = { false };
    size_t n = 0;
    struct kafka_msg m;
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (n < NREADERS && mono_until_ms(mono_now(), limit) > 0) {
        wait_readers(all.readers, NREADERS);
        for (size_t i = 0; i < NREADERS; i++)
            if (!joined[i] && kafka_next(all.readers[i].c, &m)) {
                kafka_done(all.readers[i].c, m.ticket);
                joined[i] = true;
                n++;
            }
    }
    return n == NREADERS ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < NREADERS; i++)
        if (all.readers[i].c != NULL)
            close_reader(&all.readers[i]);
    cluster_close(&all.k);
    return 0;
}

/* ---- producer ------------------------------------------------------------------------------ */

static void check_numbers(struct reader *r, int n)
{
    struct kafka_msg m;
    char want[16];
    for (int i = 0; i < n; i++) {
        assert_true(next(r, &m));
        snprintf(want, sizeof want, "%d", i);
        if (!str_eq(m.value, str_of(want)) || !str_eq(m.key, m.value) || m.offset != i)
            fail_msg("message %d: offset %lld, value " STR_FMT, i, (long long)m.offset,
                     STR_ARG(m.value));
        assert_true(m.timestamp_ms > 0);
    }
}

static void test_produce_in_order(void **state)
{
    (void)state;
    rd_kafka_mock_topic_create(all.k.mock, "order", 1, 1);
    int64_t before = counter("labelwire_kafka_messages_produced_total");
    struct kafka_producer *p = open_producer(&all.k);
    send_numbers(p, "order", 0, 500);
    flush(p);
    send_numbers(p, "order", 500, 500);
    flush(p);
    flush(p); /* nothing to wait for */
    assert_int_equal(counter("labelwire_kafka_messages_produced_total"), before + 1000);
    kafka_producer_close(p);
    kafka_producer_close(NULL);

    struct reader r = open_reader(&all.k, NULL, "order", 2);
    kafka_watch_from_start(r.c);
    check_numbers(&r, 1000);
    close_reader(&r);
}

static void test_empty_key_and_value(void **state)
{
    (void)state;
    rd_kafka_mock_topic_create(all.k.mock, "empty", 1, 1);
    struct kafka_producer *p = open_producer(&all.k);
    assert_int_equal(send_one(p, "empty", STR_NONE, S("no key"), NULL), ERR_OK);
    assert_int_equal(send_one(p, "empty", S(""), S(""), NULL), ERR_OK);
    flush(p);
    kafka_producer_close(p);
    struct reader r = open_reader(&all.k, NULL, "empty", 2);
    kafka_watch_from_start(r.c);
    struct kafka_msg m;
    assert_true(next(&r, &m));
    assert_null(m.key.p);
    assert_true(str_eq(m.value, S("no key")));
    assert_true(next(&r, &m));
    assert_int_equal(m.key.n, 0);
    assert_int_equal(m.value.n, 0);
    close_reader(&r);
}

static void test_broker_down_and_up(void **state)
{
    (void)state;
    struct cluster k;
    cluster_open(&k);
    rd_kafka_mock_topic_create(k.mock, "down", 1, 1);
    struct kafka_producer *p = open_producer(&k);
    send_numbers(p, "down", 0, 10);
    flush(p);
    rd_kafka_mock_broker_set_down(k.mock, 1);
    send_numbers(p, "down", 10, 90);
    struct errbuf eb = { "" };
    assert_int_equal(kafka_flush(p, 200, &eb), ERR_TIMEOUT);
    assert_non_null(strstr(eb.text, "90"));
    assert_int_equal(kafka_flush(p, 0, &eb), ERR_TIMEOUT);
    rd_kafka_mock_broker_set_up(k.mock, 1);
    flush(p);
    send_numbers(p, "down", 100, 10);
    flush(p);
    kafka_producer_close(p);

    struct reader r = open_reader(&k, NULL, "down", 2);
    kafka_watch_from_start(r.c);
    check_numbers(&r, 110); /* each once, in order */
    struct kafka_msg m;
    assert_false(kafka_next(r.c, &m));
    close_reader(&r);
    cluster_close(&k);
}

static void test_errors_that_pass(void **state)
{
    (void)state;
    rd_kafka_mock_topic_create(all.k.mock, "pass", 1, 1);
    struct kafka_producer *p = open_producer(&all.k);
    send_numbers(p, "pass", 0, 10);
    flush(p);
    rd_kafka_mock_push_request_errors(
        all.k.mock, PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    send_numbers(p, "pass", 10, 10);
    flush(p);
    kafka_producer_close(p);
    struct reader r = open_reader(&all.k, NULL, "pass", 2);
    kafka_watch_from_start(r.c);
    check_numbers(&r, 20);
    close_reader(&r);
}

static void test_refused_for_good(void **state)
{
    (void)state;
    rd_kafka_mock_topic_create(all.k.mock, "refused", 1, 1);
    int64_t before = counter("labelwire_kafka_produce_failed_total");
    struct kafka_producer *p = open_producer(&all.k);
    rd_kafka_mock_push_request_errors(all.k.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    struct errbuf eb = { "" };
    send_numbers(p, "refused", 0, 1);
    assert_int_equal(kafka_flush(p, PATIENCE_MS, &eb), ERR_REMOTE);
    assert_non_null(strstr(eb.text, "topic refused"));
    assert_int_equal(counter("labelwire_kafka_produce_failed_total"), before + 1);
    send_numbers(p, "refused", 1, 5); /* the fault was told once; things go on */
    flush(p);
    kafka_producer_close(p);
}

static void test_fatal(void **state)
{
    (void)state;
    rd_kafka_mock_topic_create(all.k.mock, "fatal", 1, 1);
    struct kafka_producer *p = open_producer(&all.k);
    send_numbers(p, "fatal", 0, 1);
    flush(p);
    rd_kafka_mock_push_request_errors(all.k.mock, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    struct errbuf eb = { "" };
    send_numbers(p, "fatal", 1, 1);
    assert_int_equal(kafka_flush(p, PATIENCE_MS, &eb), ERR_CLOSED);
    assert_true(eb.text[0] != '\0');
    assert_int_equal(send_one(p, "fatal", S("k"), S("v"), &eb), ERR_CLOSED);
    assert_int_equal(kafka_flush(p, 0, &eb), ERR_CLOSED);
    kafka_producer_close(p);

    p = open_producer(&all.k);
    send_numbers(p, "fatal", 1, 1);
    flush(p);
    kafka_producer_close(p);
}

/* ---- headers and deliveries ---------------------------------------------------------------- */

struct told {
    struct kafka_delivery delivery; /* first */
    int times;
    enum err e;
};

static void told_done(struct kafka_delivery *d, enum err e)
{
    struct told *t = (struct told *)d;
    t->times++;
    t->e = e;
}

static enum err send_told(struct kafka_producer *p, const char *topic, struct told *t)
{
    *t = (struct told){ .delivery = { .done = told_done } };
    const struct kafka_record r = { .topic = topic, .value = S("v"), .delivery = &t->delivery };
    return kafka_send(p, &r, NULL);
}

static void test_headers(void **state)
{
    (void)state;
    rd_kafka_mock_topic_create(all.k.mock, "headers", 1, 1);
    struct kafka_header many[KAFKA_HEADERS_MAX + 5];
    for (size_t i = 0; i < N_OF(many); i++)
        many[i] = (struct kafka_header){ S("name"), S("x") };
    many[0] = (struct kafka_header){ S("reason"), { "a\0b", 3 } };
    many[1] = (struct kafka_header){ S("empty"), S("") };
    struct kafka_producer *p = open_producer(&all.k);
    struct kafka_record r = { .topic = "headers", .key = S("k"), .headers = many, .n_headers = 2 };
    assert_int_equal(kafka_send(p, &r, NULL), ERR_OK);
    r.n_headers = N_OF(many);
    r.value = S("v");
    assert_int_equal(kafka_send(p, &r, NULL), ERR_OK);
    r.n_headers = 0;
    assert_int_equal(kafka_send(p, &r, NULL), ERR_OK);
    flush(p);
    kafka_producer_close(p);

    struct reader w = open_reader(&all.k, NULL, "headers", 2);
    kafka_watch_from_start(w.c);
    struct kafka_msg m;
    assert_true(next(&w, &m));
    assert_null(m.value.p); /* a tombstone stays one */
    assert_int_equal(m.n_headers, 2);
    assert_true(str_eq(m.headers[0].name, S("reason")));
    assert_true(str_eq(m.headers[0].value, (struct str){ "a\0b", 3 }));
    assert_true(str_eq(m.headers[1].name, S("empty")));
    assert_int_equal(m.headers[1].value.n, 0);
    assert_true(next(&w, &m));
    assert_int_equal(m.n_headers, KAFKA_HEADERS_MAX);
    assert_true(next(&w, &m));
    assert_int_equal(m.n_headers, 0);
    close_reader(&w);
}

/* Acknowledged while the loop sleeps on the fd; then refused, which flush does not tell again. */
static void test_deliveries(void **state)
{
    (void)state;
    rd_kafka_mock_topic_create(all.k.mock, "told", 1, 1);
    struct told a, b, c;
    struct errbuf eb = { "" };
    struct kafka_producer *p = open_producer(&all.k);
    struct pollfd fd = { .fd = wake_open(), .events = POLLIN };
    kafka_producer_wake(p, fd.fd);
    assert_int_equal(send_told(p, "told", &a), ERR_OK);
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (a.times == 0 && mono_until_ms(mono_now(), limit) > 0) {
        assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
        wake_drain(fd.fd);
        kafka_poll(p);
    }
    assert_int_equal(a.times, 1);
    assert_int_equal(a.e, ERR_OK);

    rd_kafka_mock_push_request_errors(all.k.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal(send_told(p, "told", &b), ERR_OK);
    flush(p);
    assert_int_equal(b.e, ERR_TOOBIG);
    rd_kafka_mock_push_request_errors(all.k.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_MSG);
    assert_int_equal(send_told(p, "told", &b), ERR_OK);
    flush(p);
    assert_int_equal(b.e, ERR_REMOTE);
    assert_int_equal(b.times, 1);

    rd_kafka_mock_push_request_errors(all.k.mock, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(send_told(p, "told", &b), ERR_OK);
    assert_int_equal(kafka_flush(p, PATIENCE_MS, &eb), ERR_CLOSED);
    assert_int_equal(send_told(p, "told", &c), ERR_CLOSED);
    kafka_producer_close(p);
    assert_int_equal(b.times, 1); /* also when nothing can be sent any more */
    assert_int_equal(b.e, ERR_CLOSED);
    assert_int_equal(c.times, 0); /* it was never taken */
    close(fd.fd);
}

/* Closing tells of everything that is still out, queued or on its way. */
static void test_close_tells(void **state)
{
    (void)state;
    struct cluster k;
    static struct told out[300];
    cluster_open(&k);
    rd_kafka_mock_topic_create(k.mock, "out", 1, 1);
    struct kafka_producer *p = open_producer(&k);
    send_numbers(p, "out", 0, 1);
    flush(p);
    rd_kafka_mock_broker_set_rtt(k.mock, 1, 60000); /* the answers do not come */
    for (size_t i = 0; i < N_OF(out); i++) {
        assert_int_equal(send_told(p, i % 2 == 0 ? "out" : "nowhere", &out[i]), ERR_OK);
        if (i == 100) {
            struct errbuf eb;
            assert_int_equal(kafka_flush(p, 100, &eb), ERR_TIMEOUT);
        }
    }
    kafka_producer_close(p);
    for (size_t i = 0; i < N_OF(out); i++) {
        assert_int_equal(out[i].times, 1);
        assert_int_equal(out[i].e, ERR_CLOSED);
    }
    cluster_close(&k);
}

/* A watcher knows when it has read all that there was, of every partition, also empty ones. */
static void test_the_end(void **state)
{
    (void)state;
    rd_kafka_mock_topic_create(all.k.mock, "ends", 3, 1);
    put(&all.k, "ends", 0, 20);
    put(&all.k, "ends", 2, 1);
    struct reader r = open_reader(&all.k, NULL, "ends", 2);
    kafka_watch_from_start(r.c);
    struct kafka_msg m;
    int n = 0;
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (!kafka_at_end(r.c) && mono_until_ms(mono_now(), limit) > 0) {
        while (kafka_next(r.c, &m))
            n++;
        if (!kafka_at_end(r.c))
            wait_readers(&r, 1);
    }
    assert_true(kafka_watching(r.c) && kafka_at_end(r.c));
    assert_int_equal(n, 21);
    close_reader(&r);
}

static void test_producer_limits(void **state)
{
    (void)state;
    char nowhere[] = "127.0.0.1:1";
    struct kafka_conf nobody = { .brokers = nowhere };
    struct kafka_producer *p;
    struct errbuf eb = { "" };
    assert_int_equal(kafka_producer_open(&p, &nobody, &eb), ERR_OK);
    char *big = xcalloc(1, 2 << 20);
    assert_int_equal(send_one(p, "t", STR_NONE, (struct str){ big, 2 << 20 }, &eb), ERR_TOOBIG);
    free(big);
    enum err e = ERR_OK;
    int n = 0;
    while (e == ERR_OK && n < 1000000) {
        e = send_one(p, "t", STR_NONE, S("v"), &eb);
        n++;
    }
    assert_int_equal(e, ERR_FULL);
    assert_non_null(strstr(eb.text, "topic t"));
    assert_int_equal(kafka_flush(p, 0, &eb), ERR_TIMEOUT);
    kafka_producer_close(p); /* does not wait for what is queued */
}

/* ---- consumer ------------------------------------------------------------------------------ */

#define N_RANDOM   2000
#define N_FINISHED 1800

struct held {
    struct kafka_ticket ticket;
    int64_t offset;
};

/* Finishes one of the held at random. */
static void finish_one(struct reader *r, struct held *held, size_t *n, bool *finished,
                       uint64_t *seed)
{
    assert(*n > 0);
    size_t i = rnd(seed) % *n;
    kafka_done(r->c, held[i].ticket);
    assert_false(finished[held[i].offset]);
    finished[held[i].offset] = true;
    held[i] = held[--*n];
}

static int64_t lowest_unfinished(const bool *finished)
{
    int64_t i = 0;
    while (finished[i])
        i++;
    return i;
}

/* The position is right at a stop in the middle.  The second consumer then joins while other
 * tests run. */
static int64_t resume_at;

static void test_random_order(void **state)
{
    (void)state;
    struct reader *r = &all.readers[RANDOM];
    static bool finished[N_RANDOM + 2];
    struct held held[FIRST_WINDOW];
    size_t n = 0;
    int64_t expect = 1; /* the message of the set-up was finished */
    uint64_t seed = 42;
    finished[0] = true;
    put(&all.k, "random", 0, N_RANDOM);
    for (int done = 0; done < N_FINISHED || n < 2;) {
        struct kafka_msg m;
        bool take = n == 0 || (n < N_OF(held) && rnd(&seed) % 2 == 0);
        if (take && (n == 0 ? next(r, &m) : kafka_next(r->c, &m))) {
            assert_int_equal(m.offset, expect++);
            held[n++] = (struct held){ m.ticket, m.offset };
        } else {
            assert_true(n > 0);
            finish_one(r, held, &n, finished, &seed);
            done++;
        }
    }
    resume_at = lowest_unfinished(finished);
    assert_true(resume_at < expect);
    assert_int_equal(counter("labelwire_kafka_window_in_flight"), expect - resume_at);
    close_reader(r);
    assert_int_equal(counter("labelwire_kafka_window_in_flight"), 0);
    assert_int_equal(committed(&all.k, "random", "random", 0), resume_at);
    *r = open_reader(&all.k, "random", "random", FIRST_WINDOW);
}

static void test_resume(void **state)
{
    (void)state;
    struct reader *r = &all.readers[RANDOM];
    assert_true(resume_at > 0);
    for (int64_t position = resume_at; position <= N_RANDOM; position++) {
        struct kafka_msg m;
        assert_true(next(r, &m));
        assert_int_equal(m.offset, position);
        kafka_done(r->c, m.ticket);
    }
    close_reader(r);
    assert_int_equal(committed(&all.k, "random", "random", 0), N_RANDOM + 1);
}

#define N_FULL 50

/* Takes the next n messages of a partition, which come in order and without a gap; finishes
 * them at once unless they are to be held. */
static void take(struct reader *r, int partition, int64_t *expect, struct held *held, size_t n)
{
    struct kafka_msg m;
    for (size_t i = 0; i < n; i++) {
        assert_true(next(r, &m));
        assert_int_equal(m.partition, partition);
        assert_int_equal(m.offset, (*expect)++);
        if (held != NULL)
            held[i] = (struct held){ m.ticket, m.offset };
        else
            kafka_done(r->c, m.ticket);
    }
}

/* Nothing is handed out although more than enough time goes by for it to arrive. */
static void stay_full(struct reader *r)
{
    struct kafka_msg m;
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (kafka_head_age_ms(r->c) < 400 && mono_until_ms(mono_now(), limit) > 0) {
        assert_false(kafka_next(r->c, &m));
        assert_false(kafka_more(r->c));
        wait_readers(r, 1);
    }
    assert_true(kafka_head_age_ms(r->c) >= 400);
}

/* A consumer that is only served, because there is no room for more, still tells how long. */
static void serve_only(struct reader *r)
{
    static const char age[] = "labelwire_kafka_window_head_age_ms";
    struct kafka_msg m;
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    assert_false(kafka_next(r->c, &m));
    assert_true(counter(age) < 200);
    while (counter(age) < 200 && mono_until_ms(mono_now(), limit) > 0) {
        kafka_serve(r->c);
        wait_readers(r, 1);
    }
    assert_true(counter(age) >= 200);
}

/* The partition 0 stays full: it stops, nothing of it is skipped, and after a second it no
 * longer holds up the partition 1. */
static void test_full_window(void **state)
{
    (void)state;
    struct reader *r = &all.readers[FULL];
    struct held head[4];
    struct kafka_msg m;
    int64_t expect0 = 1, expect1 = 0;
    put(&all.k, "full", 0, N_FULL);
    take(r, 0, &expect0, head, 4);
    serve_only(r);
    stay_full(r);
    kafka_done(r->c, head[1].ticket); /* not the oldest: no room yet */
    assert_false(kafka_more(r->c));
    assert_false(kafka_next(r->c, &m));
    kafka_done(r->c, head[0].ticket);
    kafka_done(r->c, head[2].ticket);
    assert_true(kafka_more(r->c)); /* the parked one */
    take(r, 0, &expect0, head, 3); /* head[3] is the oldest now */
    assert_false(kafka_next(r->c, &m));

    put(&all.k, "full", 1, N_FULL);
    take(r, 1, &expect1, NULL, N_FULL);
    assert_true(kafka_head_age_ms(r->c) >= 900);

    for (size_t i = 0; i < N_OF(head); i++)
        kafka_done(r->c, head[i].ticket);
    assert_true(kafka_more(r->c)); /* the parked one */
    take(r, 0, &expect0, NULL, (size_t)(N_FULL + 1 - expect0));
    assert_int_equal(kafka_head_age_ms(r->c), 0);
    close_reader(r);
    assert_int_equal(committed(&all.k, "full", "full", 0), N_FULL + 1);
    assert_int_equal(committed(&all.k, "full", "full", 1), N_FULL);
}

#define N_REVOKE 20

struct share {
    bool finished[4][N_REVOKE + 1]; /* and committed before the second member came */
    bool seen[4][N_REVOKE + 1];     /* after it had come */
    int n_seen;
    int by[2]; /* messages that each member got then */
};

static void take_share(struct reader *pair, size_t n, struct share *s)
{
    struct kafka_msg m;
    wait_readers(pair, n);
    for (size_t i = 0; i < n; i++)
        while (kafka_next(pair[i].c, &m)) {
            s->by[i]++;
            kafka_done(pair[i].c, m.ticket);
            if (m.offset > N_REVOKE)
                continue;
            if (s->finished[m.partition][m.offset])
                fail_msg("partition %d: %lld came again", m.partition, (long long)m.offset);
            s->n_seen += !s->seen[m.partition][m.offset];
            s->seen[m.partition][m.offset] = true;
        }
}

/* The mock, unlike a broker, takes no commit while a rebalance is going on, so that revoking
 * cannot commit there; this waits until the timer has. */
static void wait_committed(struct reader *pair, size_t n, struct share *s, int64_t want)
{
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    for (int partition = 0; partition < 4; partition++) {
        int64_t position = want + (partition == 0); /* there one more came in the set-up */
        while (committed(&all.k, "revoke", "revoke", partition) < position &&
               mono_until_ms(mono_now(), limit) > 0)
            take_share(pair, n, s);
        assert_true(committed(&all.k, "revoke", "revoke", partition) >= position);
    }
}

/* A second member joins: work in flight of the first is late and comes again, what was committed
 * does not, and nothing is lost. */
static void test_revoke(void **state)
{
    (void)state;
    struct reader pair[2] = { all.readers[REVOKE] };
    struct share s = { .finished = { { true } } };
    struct held held[4][N_REVOKE + 1];
    int taken[4] = { 0 };
    struct kafka_msg m;
    for (int partition = 0; partition < 4; partition++)
        put(&all.k, "revoke", partition, N_REVOKE);
    for (int n = 0; n < 4 * N_REVOKE; n++) {
        assert_true(next(&pair[0], &m));
        held[m.partition][taken[m.partition]++] = (struct held){ m.ticket, m.offset };
    }
    for (int partition = 0; partition < 4; partition++) /* the first half */
        for (int i = 0; i < N_REVOKE / 2; i++) {
            kafka_done(pair[0].c, held[partition][i].ticket);
            s.finished[partition][held[partition][i].offset] = true;
        }
    wait_committed(pair, 1, &s, N_REVOKE / 2);
    assert_int_equal(s.by[0], 0);

    pair[1] = open_reader(&all.k, "revoke", "revoke", FIRST_WINDOW);
    int64_t late = counter("labelwire_kafka_messages_late_total");
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (s.n_seen < 4 * N_REVOKE / 2 && mono_until_ms(mono_now(), limit) > 0)
        take_share(pair, 2, &s);
    assert_int_equal(s.n_seen, 4 * N_REVOKE / 2);
    kafka_done(pair[0].c, held[0][N_REVOKE - 1].ticket); /* the old work ends now: too late */
    assert_int_equal(counter("labelwire_kafka_messages_late_total"), late + 1);

    wait_committed(pair, 2, &s, N_REVOKE);
    while ((s.by[0] == 0 || s.by[1] == 0) && mono_until_ms(mono_now(), limit) > 0) {
        for (int partition = 0; partition < 4; partition++)
            put(&all.k, "revoke", partition, 1);
        take_share(pair, 2, &s);
    }
    assert_true(s.by[0] > 0 && s.by[1] > 0);
    close_reader(&pair[0]);
    close_reader(&pair[1]);
    all.readers[REVOKE].c = NULL;
}

/* ---- watchers and links -------------------------------------------------------------------- */

static void wait_up(struct reader *r, bool want)
{
    struct kafka_msg m;
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (kafka_up(r->c) != want && mono_until_ms(mono_now(), limit) > 0) {
        wait_readers(r, 1);
        kafka_next(r->c, &m);
    }
    assert_int_equal(kafka_up(r->c), want);
}

/* Opened while nobody is there, from the end, through an outage, closed during another. */
static void test_watcher(void **state)
{
    (void)state;
    struct cluster k;
    cluster_open(&k);
    rd_kafka_mock_topic_create(k.mock, "watch", 2, 1);
    put(&k, "watch", 0, 5);
    rd_kafka_mock_broker_set_down(k.mock, 1);
    struct reader r = open_reader(&k, NULL, "watch", 2);
    assert_false(kafka_up(r.c));
    rd_kafka_mock_broker_set_up(k.mock, 1);
    wait_up(&r, true);

    struct kafka_msg m = { .partition = -1 };
    bool got = false; /* "from the end" begins some time after the start: ask until it does */
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (!got && mono_until_ms(mono_now(), limit) > 0) {
        put(&k, "watch", 1, 1);
        wait_readers(&r, 1);
        got = kafka_next(r.c, &m);
    }
    assert_true(got);
    assert_int_equal(m.partition, 1); /* the five old ones of partition 0 are not wanted */
    assert_int_equal(m.ticket.slot, -1);
    kafka_done(r.c, m.ticket);
    assert_int_equal(kafka_head_age_ms(r.c), 0);

    rd_kafka_mock_broker_set_down(k.mock, 1);
    wait_up(&r, false);
    mono_t begun = mono_now();
    close_reader(&r);
    assert_true(mono_since_us(mono_now(), begun) < 10000000);
    cluster_close(&k);
}

static void test_create_topics_without_broker(void **state)
{
    (void)state;
    char nowhere[] = "127.0.0.1:1";
    struct kafka_conf nobody = { .brokers = nowhere };
    const struct kafka_topic topics[] = { { "a", 1, 1, 0 }, { "b", 2, -1, 1000 } };
    const struct kafka_topic bad[] = { { "a", 1000000, 1, 0 } };
    struct errbuf eb = { "" };
    mono_t begun = mono_now();
    assert_int_equal(kafka_create_topics(&nobody, topics, 2, 300, &eb), ERR_TIMEOUT);
    assert_true(mono_since_us(mono_now(), begun) < 3000000);
    assert_true(eb.text[0] != '\0');
    assert_int_equal(kafka_create_topics(&nobody, bad, 1, 300, &eb), ERR_INVAL);
    assert_int_equal(kafka_create_topics(&nobody, NULL, 0, 300, &eb), ERR_OK);
}

/* ---- configuration ------------------------------------------------------------------------- */

static const struct {
    const char *line;
    bool fine;
} brokers[] = {
    { "LW_KAFKA_BROKERS=a:1", true },        { "LW_KAFKA_BROKERS=a.b:9092,c:65535", true },
    { "LW_KAFKA_BROKERS=[::1]:9092", true }, { "LW_KAFKA_BROKERS=a", false },
    { "LW_KAFKA_BROKERS=a:", false },        { "LW_KAFKA_BROKERS=:9092", false },
    { "LW_KAFKA_BROKERS=a:0", false },       { "LW_KAFKA_BROKERS=a:65536", false },
    { "LW_KAFKA_BROKERS=a:1,", false },      { "LW_KAFKA_BROKERS=a:1,,b:1", false },
    { "LW_KAFKA_BROKERS=a:1 ,b:1", false },
};

static void test_conf(void **state)
{
    (void)state;
    const struct conf_group group = { "Kafka", kafka_conf_keys, N_OF(kafka_conf_keys), 0 };
    for (size_t i = 0; i < N_OF(brokers); i++) {
        char line[64];
        char *environment[] = { line, NULL };
        struct kafka_conf c = { NULL };
        struct buf problems = BUF_INIT(4096);
        snprintf(line, sizeof line, "%s", brokers[i].line);
        enum err e = conf_load(&c, &group, 1, environment, &problems);
        if (e != (brokers[i].fine ? ERR_OK : ERR_CONFIG))
            fail_msg("%s: %s", line, err_name(e));
        conf_fini(&c, &group, 1);
        buf_fini(&problems);
    }
}

static void test_bad_settings(void **state)
{
    (void)state;
    struct kafka_consumer *c;
    struct errbuf eb = { "" };
    int fd = wake_open();
    assert_int_equal(kafka_consumer_open(&c, &all.k.conf, "g", "", 2, fd, &eb), ERR_CONFIG);
    assert_null(c);
    assert_true(eb.text[0] != '\0');
    kafka_consumer_close(NULL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conf),
        cmocka_unit_test(test_bad_settings),
        cmocka_unit_test(test_full_window),
        cmocka_unit_test(test_random_order),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_produce_in_order),
        cmocka_unit_test(test_empty_key_and_value),
        cmocka_unit_test(test_broker_down_and_up),
        cmocka_unit_test(test_errors_that_pass),
        cmocka_unit_test(test_refused_for_good),
        cmocka_unit_test(test_fatal),
        cmocka_unit_test(test_producer_limits),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_deliveries),
        cmocka_unit_test(test_close_tells),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_watcher),
        cmocka_unit_test(test_create_topics_without_broker),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
