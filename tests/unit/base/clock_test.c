#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"

static void formats(void **state)
{
    static const struct {
        int64_t ms;
        const char *rfc3339, *amz;
    } rows[] = {
        { 0, "1970-01-01T00:00:00.000Z", "19700101T000000Z" },
        { 1, "1970-01-01T00:00:00.001Z", "19700101T000000Z" },
        { 999, "1970-01-01T00:00:00.999Z", "19700101T000000Z" },
        { INT64_C(951782400000), "2000-02-29T00:00:00.000Z", "20000229T000000Z" },
        { INT64_C(1795229307123), "2026-11-21T02:48:27.123Z", "20261121T024827Z" },
        { INT64_C(2147483648000), "2038-01-19T03:14:08.000Z", "20380119T031408Z" },
        { INT64_C(4107542399999), "2100-02-28T23:59:59.999Z", "21000228T235959Z" },
        { INT64_C(253402300799999), "9999-12-31T23:59:59.999Z", "99991231T235959Z" },
        { INT64_C(253402300800000), "9999-12-31T23:59:59.999Z", "99991231T235959Z" },
        { INT64_MAX, "9999-12-31T23:59:59.999Z", "99991231T235959Z" },
        { -1, "1970-01-01T00:00:00.000Z", "19700101T000000Z" },
        { INT64_MIN, "1970-01-01T00:00:00.000Z", "19700101T000000Z" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        char rfc3339[CLOCK_RFC3339_LEN + 1], amz[CLOCK_AMZ_LEN + 1];
        wall_t back = { -7 };
        wall_to_rfc3339((wall_t){ rows[i].ms }, rfc3339);
        wall_to_amz((wall_t){ rows[i].ms }, amz);
        if (strcmp(rfc3339, rows[i].rfc3339) != 0 || strcmp(amz, rows[i].amz) != 0)
            fail_msg("row %zu: got %s and %s", i, rfc3339, amz);
        if (wall_from_amz(str_of(amz), &back) != ERR_OK)
            fail_msg("row %zu: %s cannot be read back", i, amz);
        wall_to_amz(back, rfc3339);
        assert_string_equal(rfc3339, amz);
    }
}

static void reads_amz(void **state)
{
    static const struct {
        const char *in;
        enum err want;
        int64_t ms;
    } rows[] = {
        { "19700101T000000Z", ERR_OK, 0 },
        { "20240229T235959Z", ERR_OK, INT64_C(1709251199000) },
        { "20150830T123600Z", ERR_OK, INT64_C(1440938160000) },
        { "", ERR_INVAL, 0 },
        { "20150830T123600", ERR_INVAL, 0 },
        { "20150830T123600ZZ", ERR_INVAL, 0 },
        { "20150830t123600Z", ERR_INVAL, 0 },
        { "20150830T123600z", ERR_INVAL, 0 },
        { "20150830 123600Z", ERR_INVAL, 0 },
        { "2015-8-30T12360Z", ERR_INVAL, 0 },
        { "2015083 T123600Z", ERR_INVAL, 0 },
        { "+0150830T123600Z", ERR_INVAL, 0 },
        { "20150030T123600Z", ERR_INVAL, 0 },
        { "20151330T123600Z", ERR_INVAL, 0 },
        { "20150800T123600Z", ERR_INVAL, 0 },
        { "20150832T123600Z", ERR_INVAL, 0 },
        { "20150431T000000Z", ERR_INVAL, 0 }, /* no such day */
        { "20150229T000000Z", ERR_INVAL, 0 },
        { "21000229T000000Z", ERR_INVAL, 0 },
        { "20150830T243600Z", ERR_INVAL, 0 },
        { "20150830T126000Z", ERR_INVAL, 0 },
        { "20150830T123660Z", ERR_INVAL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        wall_t t = { 0 };
        enum err e = wall_from_amz(str_of(rows[i].in), &t);
        if (e != rows[i].want || t.ms != rows[i].ms)
            fail_msg("row %zu '%s': %s, %lld", i, rows[i].in, err_name(e), (long long)t.ms);
    }
}

static void reads_http(void **state)
{
    static const struct {
        const char *in;
        enum err want;
        int64_t ms;
    } rows[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", ERR_OK, INT64_C(784111777000) }, /* RFC 9110 */
        { "Thu, 01 Jan 1970 00:00:00 GMT", ERR_OK, 0 },
        { "Sat, 21 Nov 2026 02:48:27 GMT", ERR_OK, INT64_C(1795229307000) },
        { "Thu, 29 Feb 2024 23:59:59 GMT", ERR_OK, INT64_C(1709251199000) },
        { "Sat, 21 Nov 2026 02:48:27 UTC", ERR_INVAL, 0 },
        { "Sat, 21 Nov 2026 02:48:27 GMT ", ERR_INVAL, 0 },
        { "Sun, 21 Nov 2026 02:48:27 GMT", ERR_INVAL, 0 }, /* it was a Saturday */
        { "Sat, 21 nov 2026 02:48:27 GMT", ERR_INVAL, 0 },
        { "Sat, 21 Nox 2026 02:48:27 GMT", ERR_INVAL, 0 },
        { "Sat, 2a Nov 2026 02:48:27 GMT", ERR_INVAL, 0 },
        { "Sat, 00 Nov 2026 02:48:27 GMT", ERR_INVAL, 0 },
        { "Tue, 31 Nov 2026 02:48:27 GMT", ERR_INVAL, 0 }, /* no such day */
        { "Sat, 21 Nov 2026 24:00:00 GMT", ERR_INVAL, 0 },
        { "Sat, 21 Nov 2026 02:48:60 GMT", ERR_INVAL, 0 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", ERR_INVAL, 0 }, /* the obsolete forms */
        { "Sun Nov  6 08:49:37 1994", ERR_INVAL, 0 },
        { "", ERR_INVAL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        wall_t t = { 0 };
        enum err e = wall_from_http(str_of(rows[i].in), &t);
        if (e != rows[i].want || t.ms != rows[i].ms)
            fail_msg("row %zu '%s': %s, %lld", i, rows[i].in, err_name(e), (long long)t.ms);
        char again[CLOCK_HTTP_LEN + 1];
        wall_to_http(t, again);
        if (e == ERR_OK)
            assert_string_equal(again, rows[i].in);
    }
}

static void durations(void **state)
{
    static const struct {
        int64_t now_ns, t_ns, until_ms;
    } rows[] = {
        { 0, 0, 0 },
        { 5, 4, 0 },
        { 0, 1, 1 }, /* rounded up, so that nobody wakes too early */
        { 0, 1000000, 1 },
        { 0, 1000001, 2 },
        { 0, INT64_MAX, INT64_C(9223372036855) },
        { INT64_MIN, INT64_MAX, INT64_C(18446744073710) },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        int64_t got = mono_until_ms((mono_t){ rows[i].now_ns }, (mono_t){ rows[i].t_ns });
        if (got != rows[i].until_ms)
            fail_msg("row %zu: %lld ms", i, (long long)got);
    }
    assert_int_equal(mono_after_ms((mono_t){ 7 }, 2).ns, 2000007);
    assert_int_equal(mono_after_ms((mono_t){ 7 }, -1).ns, -999993);
    assert_true(mono_after_ms((mono_t){ 7 }, INT64_MAX).ns == INT64_MAX);
    assert_true(mono_after_ms((mono_t){ INT64_MAX - 1 }, 1).ns == INT64_MAX);
    assert_true(mono_after_ms((mono_t){ -2 }, INT64_MIN).ns == INT64_MIN);
    assert_int_equal(mono_since_us((mono_t){ 5999 }, (mono_t){ 1000 }), 4);
}

static void now_moves_forward(void **state)
{
    (void)state;
    mono_t a = mono_now(), b = mono_now();
    assert_true(b.ns >= a.ns);
    assert_true(wall_now().ms > INT64_C(1700000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),           cmocka_unit_test(reads_amz),
        cmocka_unit_test(reads_http),        cmocka_unit_test(durations),
        cmocka_unit_test(now_moves_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
