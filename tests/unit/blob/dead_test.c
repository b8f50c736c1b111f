/* dead against librdkafka's own mock cluster: a message is let go only when its letter is there. */
#include "blob/dead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "blob/keys.h"
#include "blob/letter.h"

#define PATIENCE_MS 20000
#define PRODUCE     0 /* ApiKey, see the Kafka protocol guide */

struct fixture {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *mock;
    struct kafka_conf conf;
    struct dead dead;
    int fd;
    unsigned done, closed; /* letters told */
};

static void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static int set_up(void **state)
{
    char text[256];
    struct fixture *f = xcalloc(1, sizeof *f);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, quiet);
    f->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    f->mock = rd_kafka_mock_cluster_new(f->rk, 1);
    f->conf.brokers = xstrdup(rd_kafka_mock_cluster_bootstraps(f->mock));
    rd_kafka_mock_topic_create(f->mock, TOPIC_DEAD, 1, 1);
    f->fd = wake_open();
    dead_init(&f->dead, &f->conf, "recognizer", TOPIC_RECOGNIZE, f->fd);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dead_close(&f->dead);
    rd_kafka_mock_cluster_destroy(f->mock);
    rd_kafka_destroy(f->rk);
    close(f->fd);
    free(f->conf.brokers);
    free(f);
    return 0;
}

static void told(void *owner, struct kafka_ticket source, enum err e)
{
    struct fixture *f = owner;
    assert_int_equal(source.slot, 7);
    if (e == ERR_OK)
        f->done++;
    else
        f->closed++;
}

static void put(struct fixture *f, struct str key, struct str value, int64_t offset)
{
    const struct kafka_msg m = { .topic = S(TOPIC_RECOGNIZE),
                                 .key = key,
                                 .value = value,
                                 .offset = offset,
                                 .timestamp_ms = 5,
                                 .ticket = { .slot = 7 } };
    dead_put(&f->dead, &m, LETTER_NO_WORK, "why", told, f);
}

/* Turns until n letters are told; false after some time. */
static bool turn_until(struct fixture *f, unsigned n, int64_t patience_ms)
{
    struct pollfd fd = { .fd = f->fd, .events = POLLIN };
    mono_t limit = mono_after_ms(mono_now(), patience_ms);
    while (f->done < n && mono_until_ms(mono_now(), limit) > 0) {
        dead_turn(&f->dead, mono_now());
        if (f->done < n)
            poll(&fd, 1, 100);
        wake_drain(f->fd);
    }
    return f->done >= n;
}

struct reader {
    struct kafka_consumer *c;
    int fd;
};

static struct reader open_reader(const struct fixture *f)
{
    struct reader r = { .fd = wake_open() };
    assert_int_equal(kafka_consumer_open(&r.c, &f->conf, NULL, TOPIC_DEAD, 2, r.fd, NULL), ERR_OK);
    kafka_watch_from_start(r.c);
    return r;
}

static struct letter next(struct reader *r, struct kafka_msg *m)
{
    struct letter l = { 0 };
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (!kafka_next(r->c, m)) {
        struct pollfd fd = { .fd = r->fd, .events = POLLIN };
        assert_true(mono_until_ms(mono_now(), limit) > 0);
        poll(&fd, 1, 1000);
        wake_drain(r->fd);
    }
    for (size_t i = 0; i < m->n_headers; i++)
        letter_take(&l, m->headers[i].name, m->headers[i].value);
    return l;
}

static void close_reader(struct reader *r)
{
    kafka_consumer_close(r->c);
    close(r->fd);
}

static void letters_arrive_as_the_messages_were(void **state)
{
    struct fixture *f = *state;
    char borrowed[] = "{broken";
    assert_null(f->dead.producer);
    put(f, S("key"), str_of(borrowed), 17);
    memset(borrowed, 'x', sizeof borrowed); /* it was copied */
    put(f, STR_NONE, STR_NONE, 18);
    put(f, S(""), S(""), 19);
    assert_true(turn_until(f, 3, PATIENCE_MS));
    assert_int_equal(f->dead.n, 0);

    struct reader r = open_reader(f);
    struct kafka_msg m;
    struct letter l = next(&r, &m);
    assert_true(str_eq(m.key, S("key")));
    assert_true(str_eq(m.value, S("{broken")));
    assert_true(str_eq(l.field[LETTER_REASON], S(LETTER_NO_WORK)));
    assert_true(str_eq(l.field[LETTER_DETAIL], S("why")));
    assert_true(str_eq(l.field[LETTER_TOPIC], S(TOPIC_RECOGNIZE)));
    assert_true(str_eq(l.field[LETTER_OFFSET], S("17")));
    assert_null(l.field[LETTER_FULL_SIZE].p);
    (void)next(&r, &m);
    assert_null(m.key.p);
    assert_null(m.value.p);
    (void)next(&r, &m);
    assert_non_null(m.value.p);
    assert_int_equal(m.value.n, 0);
    close_reader(&r);
}

static void what_is_refused_is_sent_again(void **state)
{
    struct fixture *f = *state;
    rd_kafka_mock_push_request_errors(f->mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_MSG);
    put(f, STR_NONE, S("v"), 1);
    assert_true(turn_until(f, 1, PATIENCE_MS));
    /* beyond repair: with a new producer */
    rd_kafka_mock_push_request_errors(f->mock, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    put(f, STR_NONE, S("v"), 2);
    assert_true(turn_until(f, 2, PATIENCE_MS));
}

static void what_is_too_large_is_cut(void **state)
{
    struct fixture *f = *state;
    size_t n = 1048000;
    char *big = xcalloc(1, n);
    put(f, STR_NONE, (struct str){ big, n }, 1);
    assert_true(turn_until(f, 1, PATIENCE_MS));
    rd_kafka_mock_push_request_errors(f->mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    put(f, STR_NONE, (struct str){ big, 900000 }, 2); /* a topic that takes less */
    assert_true(turn_until(f, 2, PATIENCE_MS));
    free(big);

    struct reader r = open_reader(f);
    struct kafka_msg m;
    struct letter l = next(&r, &m);
    assert_int_equal(m.value.n, 1040000);
    assert_true(str_eq(l.field[LETTER_FULL_SIZE], S("1048000")));
    l = next(&r, &m);
    assert_int_equal(m.value.n, 520000);
    assert_true(str_eq(l.field[LETTER_FULL_SIZE], S("900000")));
    close_reader(&r);
}

static void without_kafka_nothing_is_let_go(void **state)
{
    struct fixture *f = *state;
    rd_kafka_mock_broker_set_down(f->mock, 1);
    for (int64_t i = 0; i < DEAD_LETTERS_MAX; i++) {
        assert_false(dead_full(&f->dead));
        put(f, STR_NONE, S("v"), i);
    }
    assert_true(dead_full(&f->dead));
    assert_false(turn_until(f, 1, 1500));
    rd_kafka_mock_broker_set_up(f->mock, 1);
    assert_true(turn_until(f, DEAD_LETTERS_MAX, PATIENCE_MS));
    assert_false(dead_full(&f->dead));

    rd_kafka_mock_broker_set_down(f->mock, 1);
    put(f, STR_NONE, S("sent"), 100);
    dead_turn(&f->dead, mono_now());
    put(f, STR_NONE, S("waiting"), 101);
    dead_close(&f->dead);
    assert_int_equal(f->closed, 2);
    dead_init(&f->dead, &f->conf, "recognizer", TOPIC_RECOGNIZE, f->fd);
}

int main(void)
{
    log_open("dead_test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(letters_arrive_as_the_messages_were, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_refused_is_sent_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_kafka_nothing_is_let_go, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
