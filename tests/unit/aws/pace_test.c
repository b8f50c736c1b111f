#include "aws/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"

#define MS         INT64_C(1000000)
#define CALLS_MAX  1024U /* in flight; further ones wait */
#define LATENCY_MS 150
#define WORK_MS    60 /* from the token to the call: the object is read and looked at */

/* A peer with a quota: a bucket of one second's calls. */
struct server {
    double quota, tokens;
    bool out; /* answers nothing but errors */
    unsigned answered, throttled, failed;
};

/* A process that always has work. */
struct client {
    struct pace pace;
    struct {
        int64_t sent_ms, back_ms; /* 0: free */
        int outcome;
    } calls[CALLS_MAX];
    double demand, due; /* calls per second that there is work for; 0: endless */
};
enum { ON_ITS_WAY, ANSWERED, THROTTLED, FAILED };

static mono_t at_ms(int64_t ms)
{
    return (mono_t){ ms * MS };
}

static int serve(struct server *s)
{
    if (s->out) {
        s->failed++;
        return FAILED;
    }
    if (s->tokens < 1) {
        s->throttled++;
        return THROTTLED;
    }
    s->tokens -= 1;
    s->answered++;
    return ANSWERED;
}

static void send_calls(struct client *c, int64_t ms)
{
    for (size_t i = 0; i < CALLS_MAX; i++) {
        if (c->calls[i].back_ms != 0)
            continue;
        if ((c->demand > 0 && c->due < 1) || pace_wait_ms(&c->pace, at_ms(ms)) > 0)
            return;
        assert_true(pace_take(&c->pace, at_ms(ms)));
        c->due -= 1;
        c->calls[i].sent_ms = ms + WORK_MS;
        c->calls[i].back_ms = ms + WORK_MS + LATENCY_MS;
        c->calls[i].outcome = ON_ITS_WAY;
    }
}

static void client_turn(struct client *c, struct server *s, int64_t ms)
{
    for (size_t i = 0; i < CALLS_MAX; i++) {
        if (c->calls[i].back_ms != 0 && c->calls[i].sent_ms == ms)
            c->calls[i].outcome = serve(s);
        if (c->calls[i].back_ms == 0 || c->calls[i].back_ms != ms)
            continue;
        c->calls[i].back_ms = 0;
        if (c->calls[i].outcome == ANSWERED)
            pace_succeeded(&c->pace, at_ms(ms));
        else if (c->calls[i].outcome == THROTTLED)
            pace_throttled(&c->pace, at_ms(ms));
        else
            pace_failed(&c->pace, at_ms(ms));
    }
    c->due += c->demand / 1000;
    send_calls(c, ms);
}

static void run(struct server *s, struct client *clients, size_t n, int64_t *ms, int64_t for_ms)
{
    s->answered = s->throttled = s->failed = 0;
    for (int64_t end = *ms + for_ms; *ms < end; (*ms)++) {
        s->tokens += s->quota / 1000;
        if (s->tokens > s->quota)
            s->tokens = s->quota;
        for (size_t i = 0; i < n; i++)
            client_turn(&clients[i], s, *ms);
    }
}

static struct client clients[2];

static void begin(struct server *s, double quota, double max)
{
    *s = (struct server){ .quota = quota, .tokens = quota };
    for (size_t i = 0; i < N_OF(clients); i++) {
        clients[i] = (struct client){ .demand = 0 };
        pace_init(&clients[i].pace, max, at_ms(1));
    }
}

/* ---- a quota that nobody tells */

/* Per quota, what two processes that share it get of it in ten minutes. */
static void two_share_a_quota(void **state)
{
    (void)state;
    static const struct {
        double quota, throttled_max, used_min;
    } rows[] = {
        { 50, 0.02, 0.95 },  /* AWS' default in three regions */
        { 5, 0.06, 0.95 },   /* in the others */
        { 500, 0.02, 0.95 }, /* raised on request */
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct server s;
        int64_t ms = 1;
        begin(&s, rows[i].quota, 1000);
        run(&s, clients, 2, &ms, 600000);
        double calls = s.answered + s.throttled;
        double throttled = s.throttled / calls, used = s.answered / (600 * rows[i].quota);
        print_message("quota %.0f: %.2f %% throttled, %.1f %% used\n", rows[i].quota,
                      100 * throttled, 100 * used);
        assert_true(throttled <= rows[i].throttled_max && used >= rows[i].used_min);
    }
}

static void slow_start(void **state)
{
    (void)state;
    struct server s;
    int64_t ms = 1;
    begin(&s, 400, 1000);
    run(&s, clients, 1, &ms, 1000);
    assert_in_range(s.answered, 3, 15); /* it begins with 5 a second */
    run(&s, clients, 1, &ms, 9000);
    assert_true(clients[0].pace.rate > 200);
}

static void quota_that_shrinks(void **state)
{
    (void)state;
    struct server s;
    int64_t ms = 1;
    begin(&s, 400, 1000);
    run(&s, clients, 1, &ms, 60000);
    s.quota = s.tokens = 20;
    run(&s, clients, 1, &ms, 15000);
    run(&s, clients, 1, &ms, 60000);
    assert_true(s.throttled < 0.03 * (s.answered + s.throttled));
    assert_true(s.answered > 0.85 * 60 * 20);
}

/* Somebody else used all of it for a while: what was learnt then is soon outdated. */
static void quota_that_comes_back(void **state)
{
    (void)state;
    struct server s;
    int64_t ms = 1;
    begin(&s, 50, 1000);
    run(&s, clients, 1, &ms, 60000);
    s.quota = s.tokens = 0.5;
    run(&s, clients, 1, &ms, 30000);
    assert_true(clients[0].pace.rate <= 2);
    s.quota = s.tokens = 50;
    run(&s, clients, 1, &ms, 40000);
    run(&s, clients, 1, &ms, 10000);
    assert_true(s.answered > 0.85 * 500);
}

/* ---- an outage */

static void outage(void **state)
{
    (void)state;
    struct server s;
    int64_t ms = 1;
    begin(&s, 50, 1000);
    run(&s, clients, 2, &ms, 120000);
    s.out = true;
    run(&s, clients, 2, &ms, 20000);
    run(&s, clients, 2, &ms, 60000);
    assert_in_range(s.failed, 100, 130); /* one a second from each: it is asked, not hammered */
    s.out = false;
    s.tokens = s.quota;
    run(&s, clients, 2, &ms, 8000);
    run(&s, clients, 2, &ms, 10000);
    print_message("after an outage: %u of 500 calls in seconds 8 to 18, %u throttled\n", s.answered,
                  s.throttled);
    assert_true(s.answered >= 0.85 * 500);
}

static void one_failure_is_forgotten_at_once(void **state)
{
    (void)state;
    struct server s;
    int64_t ms = 1;
    begin(&s, 50, 1000);
    run(&s, clients, 1, &ms, 60000);
    double before = clients[0].pace.rate;
    pace_failed(&clients[0].pace, at_ms(ms));
    assert_true(clients[0].pace.rate < before);
    run(&s, clients, 1, &ms, 3000);
    assert_true(clients[0].pace.rate >= 0.9 * before);
}

/* ---- bounds */

static void never_above_the_bound(void **state)
{
    (void)state;
    static const double bounds[] = { 1, 3, 20, 300 };
    for (size_t i = 0; i < N_OF(bounds); i++) {
        struct server s;
        int64_t ms = 1;
        begin(&s, 100000, bounds[i]);
        for (int second = 0; second < 60; second++) {
            run(&s, clients, 1, &ms, 1000);
            double saved = bounds[i] / 4 > 1 ? bounds[i] / 4 : 1;
            assert_true(s.answered <= bounds[i] + saved + 1);
            assert_true(clients[0].pace.rate <= bounds[i]);
        }
        assert_true(s.answered >= 0.95 * bounds[i] - 1);
    }
}

/* What is hardly used is not believed to be more. */
static void does_not_grow_unused(void **state)
{
    (void)state;
    struct server s;
    int64_t ms = 1;
    begin(&s, 50, 1000);
    clients[0].demand = 10;
    run(&s, clients, 1, &ms, 3600000);
    assert_int_equal(s.throttled, 0);
    assert_true(clients[0].pace.rate <= 30);
    clients[0].demand = 0;
    run(&s, clients, 1, &ms, 60000);
    assert_true(s.throttled < 0.04 * (s.answered + s.throttled)); /* with the search for 50 */
}

static void bursts_are_small(void **state)
{
    (void)state;
    struct pace p;
    pace_init(&p, 1000, at_ms(0));
    p.rate = 40;
    unsigned n = 0;
    while (pace_take(&p, at_ms(3600000)))
        n++;
    assert_int_equal(n, 10); /* a quarter of a second */
    assert_int_equal(pace_wait_ms(&p, at_ms(3600000)), 25);
    assert_false(pace_take(&p, at_ms(3600024)));
    assert_true(pace_take(&p, at_ms(3600025)));
    pace_give_back(&p);
    assert_int_equal(pace_wait_ms(&p, at_ms(3600025)), 0);
    for (int i = 0; i < 100; i++)
        pace_give_back(&p);
    for (n = 0; pace_take(&p, at_ms(3600025)); n++)
        continue;
    assert_int_equal(n, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_share_a_quota),
        cmocka_unit_test(slow_start),
        cmocka_unit_test(quota_that_shrinks),
        cmocka_unit_test(quota_that_comes_back),
        cmocka_unit_test(outage),
        cmocka_unit_test(one_failure_is_forgotten_at_once),
        cmocka_unit_test(never_above_the_bound),
        cmocka_unit_test(does_not_grow_unused),
        cmocka_unit_test(bursts_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
