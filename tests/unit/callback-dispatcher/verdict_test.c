/* What the outcome of a callback request means: only 204 is success, and every failure has a
 * class, a code and a wish for the next attempt. */
#include "callback-dispatcher/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    enum err e;
    int status;
    enum blob_delivery class;
    const char *code;
    bool gone;
} rows[] = {
    { ERR_OK, 200, DELIVERY_FAILURE, "http_200", false }, /* 204 alone is success */
    { ERR_OK, 201, DELIVERY_FAILURE, "http_201", false },
    { ERR_OK, 202, DELIVERY_FAILURE, "http_202", false },
    { ERR_OK, 205, DELIVERY_FAILURE, "http_205", false },
    { ERR_OK, 301, DELIVERY_FAILURE, "http_301", false }, /* and no redirect is followed */
    { ERR_OK, 302, DELIVERY_FAILURE, "http_302", false },
    { ERR_OK, 308, DELIVERY_FAILURE, "http_308", false },
    { ERR_OK, 400, DELIVERY_FAILURE, "http_400", false },
    { ERR_OK, 404, DELIVERY_FAILURE, "http_404", false },
    { ERR_OK, 408, DELIVERY_FAILURE, "http_408", false }, /* their word for it is no time-out */
    { ERR_OK, 410, DELIVERY_FAILURE, "http_410", true },
    { ERR_OK, 429, DELIVERY_FAILURE, "http_429", false },
    { ERR_OK, 500, DELIVERY_FAILURE, "http_500", false },
    { ERR_OK, 503, DELIVERY_FAILURE, "http_503", false },
    { ERR_OK, 504, DELIVERY_FAILURE, "http_504", false },
    { ERR_OK, 999, DELIVERY_FAILURE, "http_999", false },
    { ERR_TIMEOUT, 0, DELIVERY_TIMEOUT, "timeout", false },
    { ERR_IO, 0, DELIVERY_CONNECTION, "connection_failed", false },
    { ERR_DENIED, 0, DELIVERY_CONNECTION, "blocked_address", false },
    { ERR_REMOTE, 0, DELIVERY_FAILURE, "bad_answer", false },
    { ERR_TOOBIG, 0, DELIVERY_FAILURE, "bad_answer", false },
    { ERR_INVAL, 0, DELIVERY_FAILURE, "bad_answer", false },
    /* a status without a complete answer means nothing */
    { ERR_REMOTE, 204, DELIVERY_FAILURE, "bad_answer", false },
    { ERR_TIMEOUT, 204, DELIVERY_TIMEOUT, "timeout", false },
    { ERR_TOOBIG, 410, DELIVERY_FAILURE, "bad_answer", false },
};

static void every_failure_has_a_class_and_a_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct verdict v;
        struct life_event ev = verdict_of(&v, rows[i].e, rows[i].status, STR_NONE);
        print_message("%s, %d\n", err_name(rows[i].e), rows[i].status);
        assert_int_equal(ev.type, LIFE_DELIVERY_FAILED);
        assert_int_equal(ev.delivery, rows[i].class);
        assert_string_equal(v.code, rows[i].code);
        assert_true(str_eq(ev.code, str_of(rows[i].code)));
        assert_ptr_equal(ev.code.p, v.code);
        assert_int_equal(ev.gone, rows[i].gone);
        assert_int_equal(ev.retry_after_ms, 0);
        assert_int_equal(ev.fence, 0); /* the dispatcher's business */
    }
}

static void no_content_alone_is_success(void **state)
{
    (void)state;
    for (int status = 100; status < 600; status++) {
        struct verdict v;
        struct life_event ev = verdict_of(&v, ERR_OK, status, S("7"));
        assert_int_equal(ev.type, status == 204 ? LIFE_DELIVERED : LIFE_DELIVERY_FAILED);
        assert_int_equal(v.code[0] == '\0', status == 204);
        assert_int_equal(ev.gone, status == 410);
    }
}

static const struct {
    const char *why;
    struct str header;
    int64_t want_ms;
} wishes[] = {
    { "none", STR_NONE, 0 },
    { "empty", S(""), 0 },
    { "seconds", S("120"), 120000 },
    { "blanks around", S(" 120\t"), 120000 },
    { "at once", S("0"), 0 },
    { "zeros first", S("0007"), 7000 },
    { "a day", S("86400"), VERDICT_RETRY_AFTER_MAX_MS },
    { "a second more", S("86401"), VERDICT_RETRY_AFTER_MAX_MS },
    { "would wrap in ms", S("18446744073709552"), VERDICT_RETRY_AFTER_MAX_MS },
    { "largest number", S("18446744073709551615"), VERDICT_RETRY_AFTER_MAX_MS },
    { "past every number", S("99999999999999999999999999"), VERDICT_RETRY_AFTER_MAX_MS },
    { "negative", S("-5"), 0 },
    { "plus", S("+5"), 0 },
    { "fraction", S("1.5"), 0 },
    { "exponent", S("1e3"), 0 },
    { "unit", S("5s"), 0 },
    { "two numbers", S("5, 6"), 0 },
    { "a date", S("Wed, 21 Oct 2026 07:28:00 GMT"), 0 },
    { "text", S("soon"), 0 },
    { "NUL", S("5\0"), 0 },
};

static void the_receivers_wish(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(wishes); i++) {
        static const int statuses[] = { 429, 503, 500, 410 };
        for (size_t s = 0; s < N_OF(statuses); s++) {
            struct verdict v;
            struct life_event ev = verdict_of(&v, ERR_OK, statuses[s], wishes[i].header);
            if (ev.retry_after_ms != wishes[i].want_ms)
                fail_msg("row %zu (%s): %lld", i, wishes[i].why, (long long)ev.retry_after_ms);
        }
    }
}

/* What happens to the blob then; life_next() honours the wish between once and twice its own. */
static void gone_ends_the_attempts(void **state)
{
    (void)state;
    const struct life_policy policy = { .callback_attempts = 9,
                                        .callback_lease_ms = 20000,
                                        .retention_ms = 86400000 };
    const struct blob b = { .owner = "acme",
                            .phase = PHASE_ATTEMPTING,
                            .result = RESULT_LABELS,
                            .seq = 5,
                            .callback_url = "https://receiver.example/hook" };
    struct verdict v;
    struct life_step step;
    struct life_event ev = verdict_of(&v, ERR_OK, 410, STR_NONE);
    life_next(&b, &ev, &policy, 0, &step);
    assert_int_equal(step.next.phase, PHASE_FINISHED);
    assert_int_equal(step.next.delivery, DELIVERY_FAILURE);
    ev = verdict_of(&v, ERR_OK, 503, S("99999999999999999999999999"));
    life_next(&b, &ev, &policy, 0, &step);
    assert_int_equal(step.next.phase, PHASE_HOLDING);
    assert_int_equal(step.delay_ms, 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_has_a_class_and_a_code),
        cmocka_unit_test(no_content_alone_is_success),
        cmocka_unit_test(the_receivers_wish),
        cmocka_unit_test(gone_ends_the_attempts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
