/* The watcher's claims on a real redis-server with more shards than there is room for at once. */
#include "upload-watcher/watcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/log.h"
#include "redis_server.h"

#define SHARDS    16
#define TURNS_MAX 100

static struct redis_server server;
static struct watcher watcher;

static void ask_shards(const char *command, const char *key, const char *a, const char *b)
{
    char full[32];
    for (int shard = 0; shard < SHARDS; shard++) {
        snprintf(full, sizeof full, "lw:{%d}:%s", shard, key);
        redis_server_ask(&server, command, full, a, b, NULL);
    }
}

static int set_up(void **state)
{
    (void)state;
    struct errbuf eb = { "" };
    static const struct life_policy policy = { .retention_ms = 1000 };
    log_open("timers_test", LOG_NOTHING);
    redis_server_start(&server, NULL);
    ask_shards("SET", "epoch", "e", NULL);
    const struct repo_conf conf = { .redis = { .url = server.url, .timeout_ms = 5000 },
                                    .shards = SHARDS };
    if (repo_open(&watcher.repo, &conf, &policy, "upload-watcher", &eb) != ERR_OK)
        fail_msg("%s", eb.text);
    watcher.timers = timers_new(&watcher);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    repo_close(&watcher.repo);
    timers_free(watcher.timers);
    redis_server_free(&server);
    return 0;
}

static int64_t metric_of(const char *name)
{
    for (size_t i = 0; i < timers_metrics.n; i++)
        if (str_eq(str_of(timers_metrics.rows[i].name), str_of(name)))
            return timers_metrics.rows[i].value;
    fail_msg("no metric %s", name);
    return 0;
}

/* Turns of the loop, in which no time goes by, until it may sleep; how many. */
static int turns(mono_t now)
{
    int n = 0;
    do {
        if (++n > TURNS_MAX)
            fail_msg("it never sleeps");
        timers_claim(watcher.timers, now);
        while (redis_pending(watcher.repo.redis))
            repo_turn(&watcher.repo, now);
    } while (timers_wait_ms(watcher.timers, now) == 0);
    return n;
}

static void test_sleeps_when_nothing_is_due(void **state)
{
    (void)state;
    mono_t now = mono_now();
    assert_in_range(turns(now), SHARDS * REPO_CLAIM_MAX / WATCHER_BUSY_MAX, SHARDS);
    assert_in_range(timers_wait_ms(watcher.timers, now), 1, 1000);
}

static void test_every_shard_in_a_round(void **state)
{
    (void)state;
    mono_t now = mono_after_ms(mono_now(), 1000);
    int64_t before = metric_of("labelwire_timers_claimed_total");
    ask_shards("ZADD", "timers", "1", "2f1c0a52-94c8-4b7e-8a39-5e0f6c1d7b24");
    (void)turns(now);
    assert_int_equal(metric_of("labelwire_timers_claimed_total") - before, SHARDS);
    assert_int_equal(watcher.timers_busy, 0);
    (void)turns(mono_after_ms(now, 1000));
    assert_int_equal(metric_of("labelwire_timers_due"), SHARDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sleeps_when_nothing_is_due),
        cmocka_unit_test(test_every_shard_in_a_round),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
