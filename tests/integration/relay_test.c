/* The relay between a real redis-server and librdkafka's mock cluster: every row arrives, those of
 * a shard in order, whatever Kafka does meanwhile, and what arrived is forgotten. */
#include "upload-watcher/watcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "redis_server.h"

#define SHARDS   4
#define TOPIC    "rows"
#define PATIENCE 30000
#define PRODUCE  0 /* ApiKeys, see the Kafka protocol guide */
#define BROKERS  2

static struct redis_server server;
static struct {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *mock;
    struct kafka_conf conf;
    struct kafka_consumer *reader;
    int fd;
} kafka;
static struct relay *relay;
static int written[SHARDS], arrived[SHARDS]; /* numbers of rows */

/* ---- rows --------------------------------------------------------------------------------- */

static void add(int shard, const char *topic, const char *value)
{
    char key[32], who[8];
    snprintf(key, sizeof key, "lw:{%d}:outbox", shard);
    snprintf(who, sizeof who, "%d", shard);
    redis_server_ask(&server, "XADD", key, "*", "t", topic, "k", who, "v", value, NULL);
}

static void write_rows(int shard, int n)
{
    char value[16];
    while (n-- > 0) {
        snprintf(value, sizeof value, "%d", written[shard]++);
        add(shard, TOPIC, value);
    }
}

static void write_everywhere(int n)
{
    for (int shard = 0; shard < SHARDS; shard++)
        write_rows(shard, n);
}

/* A row may come twice, but never before one that was written earlier. */
static void take_one(const struct kafka_msg *m)
{
    char key[8], value[16];
    assert_int_equal(str_copy(key, sizeof key, m->key), ERR_OK);
    assert_int_equal(str_copy(value, sizeof value, m->value), ERR_OK);
    int shard = atoi(key), number = atoi(value);
    if (number > arrived[shard])
        fail_msg("shard %d: row %d came before row %d", shard, number, arrived[shard]);
    arrived[shard] += number == arrived[shard];
}

static bool all_arrived(int shard)
{
    return arrived[shard] == written[shard];
}

static void wait_shard(int shard)
{
    mono_t limit = mono_after_ms(mono_now(), PATIENCE);
    struct pollfd fd = { .fd = kafka.fd, .events = POLLIN };
    struct kafka_msg m;
    while (!all_arrived(shard)) {
        if (mono_until_ms(mono_now(), limit) == 0)
            fail_msg("shard %d: %d of %d rows came", shard, arrived[shard], written[shard]);
        if (kafka_next(kafka.reader, &m))
            take_one(&m);
        else
            poll(&fd, 1, 100);
        wake_drain(kafka.fd);
    }
}

static const char *rows_left(int shard)
{
    char key[32];
    snprintf(key, sizeof key, "lw:{%d}:outbox", shard);
    return redis_server_ask(&server, "XLEN", key, NULL);
}

static void wait_forgotten(int shard, const char *left)
{
    mono_t limit = mono_after_ms(mono_now(), PATIENCE);
    while (strcmp(rows_left(shard), left) != 0)
        if (!redis_server_look_again(limit))
            fail_msg("shard %d: %s rows are left", shard, rows_left(shard));
}

static void wait_everywhere(void)
{
    for (int shard = 0; shard < SHARDS; shard++) {
        wait_shard(shard);
        wait_forgotten(shard, "0");
    }
}

/* ---- set-up ------------------------------------------------------------------------------- */

static void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void kafka_open(void)
{
    char text[256];
    struct errbuf eb = { "" };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, quiet);
    kafka.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    kafka.mock = rd_kafka_mock_cluster_new(kafka.rk, BROKERS);
    rd_kafka_mock_topic_create(kafka.mock, TOPIC, 1, BROKERS);
    kafka.conf.brokers = xstrdup(rd_kafka_mock_cluster_bootstraps(kafka.mock));
    kafka.fd = wake_open();
    assert_int_equal(kafka_consumer_open(&kafka.reader, &kafka.conf, NULL, TOPIC, 2, kafka.fd, &eb),
                     ERR_OK);
    kafka_watch_from_start(kafka.reader);
}

static void relay_begin(void)
{
    struct errbuf eb = { "" };
    const struct repo_conf conf = { .redis = { .url = server.url, .timeout_ms = 5000 },
                                    .shards = SHARDS };
    static const atomic_bool may = true;
    if (relay_start(&relay, &conf, &kafka.conf, &may, &eb) != ERR_OK)
        fail_msg("%s", eb.text);
}

static int set_up(void **state)
{
    (void)state;
    log_open("relay_test", LOG_NOTHING);
    redis_server_start(&server, NULL);
    kafka_open();
    relay_begin();
    write_everywhere(10);
    wait_everywhere();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    relay_stop(relay);
    kafka_consumer_close(kafka.reader);
    close(kafka.fd);
    rd_kafka_mock_cluster_destroy(kafka.mock);
    rd_kafka_destroy(kafka.rk);
    free(kafka.conf.brokers);
    redis_server_free(&server);
    return 0;
}

/* ---- what Kafka does ---------------------------------------------------------------------- */

static void test_brokers_down(void **state)
{
    (void)state;
    for (int i = 1; i <= BROKERS; i++)
        rd_kafka_mock_broker_set_down(kafka.mock, i);
    write_everywhere(100);
    mono_t limit = mono_after_ms(mono_now(), PATIENCE);
    while (relay_up(relay))
        assert_true(redis_server_look_again(limit));
    assert_string_equal(rows_left(0), "100");
    for (int i = 1; i <= BROKERS; i++)
        rd_kafka_mock_broker_set_up(kafka.mock, i);
    wait_everywhere();
    assert_true(relay_up(relay));
}

static void test_leader_changes(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        write_everywhere(50);
        rd_kafka_mock_partition_set_leader(kafka.mock, TOPIC, 0, 1 + i % BROKERS);
        rd_kafka_mock_push_request_errors(kafka.mock, PRODUCE, 1,
                                          RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
        write_everywhere(50);
    }
    wait_everywhere();
}

static const rd_kafka_resp_err_t errors[] = {
    RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    RD_KAFKA_RESP_ERR__TRANSPORT,                   /* the answer never comes */
    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, /* fatal: a new producer sends them again */
    RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
    RD_KAFKA_RESP_ERR_INVALID_RECORD, /* refused: sent again after a pause */
};

static void test_produce_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(errors); i++) {
        rd_kafka_mock_push_request_errors(kafka.mock, PRODUCE, 1, errors[i]);
        write_everywhere(20);
        wait_everywhere();
    }
}

/* Stays until somebody takes it away; the others do not wait for it. */
static void test_refused_row(void **state)
{
    (void)state;
    char *big = xcalloc(1, (2 << 20) + 1);
    memset(big, 'x', 2 << 20);
    write_rows(1, 5);
    add(1, TOPIC, big);
    write_rows(1, 5);
    written[1] -= 5;
    free(big);
    for (int round = 0; round < 3; round++)
        for (int shard = 0; shard < SHARDS; shard++)
            if (shard != 1) {
                write_rows(shard, 20);
                wait_shard(shard);
                wait_forgotten(shard, "0");
            }
    wait_shard(1);
    wait_forgotten(1, "6");
    assert_true(relay_up(relay));
    written[1] += 5;
    redis_server_ask(&server, "EVAL",
                     "redis.call('XDEL', KEYS[1], redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT',"
                     " 1)[1][1])",
                     "1", "lw:{1}:outbox", NULL);
    wait_everywhere();
}

static int64_t gauge(const char *name)
{
    for (size_t i = 0; i < relay_metrics.n; i++)
        if (str_eq(str_of(relay_metrics.rows[i].name), str_of(name)))
            return relay_metrics.rows[i].value;
    fail_msg("no metric %s", name);
    return 0;
}

static void wait_gauge(const char *name, int64_t value)
{
    mono_t limit = mono_after_ms(mono_now(), PATIENCE);
    while (gauge(name) != value)
        if (!redis_server_look_again(limit))
            fail_msg("%s stays at %lld", name, (long long)gauge(name));
}

/* Rows of a shard that another leads are no longer told here. */
static void test_gauges_follow_the_lease(void **state)
{
    (void)state;
    char *big = xcalloc(1, (2 << 20) + 1);
    memset(big, 'x', 2 << 20);
    add(1, TOPIC, big);
    free(big);
    wait_gauge("labelwire_relay_outbox_rows", 1);
    for (int shard = 0; shard < SHARDS; shard++) {
        char key[32];
        snprintf(key, sizeof key, "lw:{%d}:relay", shard);
        redis_server_ask(&server, "SET", key, "another", NULL);
    }
    wait_gauge("labelwire_relay_leading_shards", 0);
    wait_gauge("labelwire_relay_outbox_rows", 0);
    redis_server_ask(&server, "DEL", "lw:{1}:outbox", NULL);
    for (int shard = 0; shard < SHARDS; shard++) {
        char key[32];
        snprintf(key, sizeof key, "lw:{%d}:relay", shard);
        redis_server_ask(&server, "DEL", key, NULL);
    }
    wait_gauge("labelwire_relay_leading_shards", SHARDS);
    wait_gauge("labelwire_relay_outbox_rows", 0);
    write_everywhere(10);
    wait_everywhere();
}

/* Another takes over what this one was about to send. */
static void test_successor(void **state)
{
    (void)state;
    for (int i = 1; i <= BROKERS; i++)
        rd_kafka_mock_broker_set_down(kafka.mock, i);
    write_everywhere(50);
    relay_stop(relay);
    for (int i = 1; i <= BROKERS; i++)
        rd_kafka_mock_broker_set_up(kafka.mock, i);
    relay_begin();
    wait_everywhere();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brokers_down),
        cmocka_unit_test(test_leader_changes),
        cmocka_unit_test(test_produce_errors),
        cmocka_unit_test(test_refused_row),
        cmocka_unit_test(test_gauges_follow_the_lease),
        cmocka_unit_test(test_successor),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
