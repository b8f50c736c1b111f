#include "aws/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"

#define LONG 60000

static void pauses(void **state)
{
    (void)state;
    static const struct {
        unsigned retries;
        int64_t quota;
        enum retry_reason why;
        int64_t hint_ms, left_ms;
        uint64_t dice;
        int64_t pause_ms, quota_after;
    } rows[] = {
        { 0, 500, RETRY_TRANSIENT, RETRY_NO_HINT, LONG, 0, 0, 486 },
        { 0, 500, RETRY_TRANSIENT, RETRY_NO_HINT, LONG, 50, 50, 486 }, /* the most */
        { 0, 500, RETRY_TRANSIENT, RETRY_NO_HINT, LONG, 51, 0, 486 },
        { 1, 500, RETRY_TRANSIENT, RETRY_NO_HINT, LONG, 100, 100, 486 },
        { 0, 500, RETRY_THROTTLED, RETRY_NO_HINT, LONG, 1000, 1000, 495 },
        { 1, 500, RETRY_THROTTLED, RETRY_NO_HINT, LONG, 2000, 2000, 495 },
        { 2, 500, RETRY_THROTTLED, RETRY_NO_HINT, LONG, 0, RETRY_GIVE_UP, 500 }, /* 3 attempts */
        { 0, 13, RETRY_TRANSIENT, RETRY_NO_HINT, LONG, 0, RETRY_GIVE_UP, 13 },
        { 0, 14, RETRY_TRANSIENT, RETRY_NO_HINT, LONG, 0, 0, 0 },
        { 0, 13, RETRY_THROTTLED, RETRY_NO_HINT, LONG, 7, 7, 8 },
        { 0, 4, RETRY_THROTTLED, RETRY_NO_HINT, LONG, 7, RETRY_GIVE_UP, 4 },
        { 0, 500, RETRY_TRANSIENT, 1500, LONG, 20, 1500, 486 }, /* the peer's wish */
        { 0, 500, RETRY_TRANSIENT, 3600000, LONG, 20, 5020, 486 },
        { 0, 500, RETRY_TRANSIENT, INT64_MAX, LONG, 20, 5020, 486 },
        { 0, 500, RETRY_TRANSIENT, 10, LONG, 20, 20, 486 },
        { 0, 500, RETRY_THROTTLED, RETRY_NO_HINT, 300, 301, RETRY_GIVE_UP, 500 }, /* no time */
        { 0, 500, RETRY_THROTTLED, RETRY_NO_HINT, 300, 300, 300, 495 },
        { 0, 500, RETRY_THROTTLED, RETRY_NO_HINT, -1, 0, RETRY_GIVE_UP, 500 },
        { 0, 500, RETRY_TRANSIENT, 1500, 1499, 20, RETRY_GIVE_UP, 500 },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct retry_quota q = { rows[i].quota };
        struct retry r = { .retries = rows[i].retries };
        int64_t pause =
            retry_pause_ms(&q, &r, rows[i].why, rows[i].hint_ms, rows[i].left_ms, rows[i].dice);
        if (pause != rows[i].pause_ms || q.left != rows[i].quota_after ||
            r.retries != rows[i].retries + (pause != RETRY_GIVE_UP))
            fail_msg("row %zu: %lld ms, quota %lld", i, (long long)pause, (long long)q.left);
    }
}

static void successes_fill_the_quota(void **state)
{
    (void)state;
    struct retry_quota q = { 480 };
    struct retry first = { .retries = 0 }, second = first;
    retry_succeeded(&q, &first);
    assert_int_equal(q.left, 481);
    assert_true(retry_pause_ms(&q, &second, RETRY_TRANSIENT, RETRY_NO_HINT, LONG, 0) >= 0);
    assert_true(retry_pause_ms(&q, &second, RETRY_THROTTLED, RETRY_NO_HINT, LONG, 0) >= 0);
    assert_int_equal(q.left, 462);
    retry_succeeded(&q, &second); /* the last cost comes back */
    assert_int_equal(q.left, 467);
    q.left = RETRY_QUOTA;
    retry_succeeded(&q, &first);
    assert_int_equal(q.left, RETRY_QUOTA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses),
        cmocka_unit_test(successes_fill_the_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
