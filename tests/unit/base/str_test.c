#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"

static void number_rows(void **state)
{
    static const struct {
        struct str in;
        enum err u64, i64;
        int64_t want;
    } rows[] = {
        { { "0", 1 }, ERR_OK, ERR_OK, 0 },
        { { "7", 1 }, ERR_OK, ERR_OK, 7 },
        { { "007", 3 }, ERR_OK, ERR_OK, 7 },
        { { "", 0 }, ERR_INVAL, ERR_INVAL, 0 },
        { { NULL, 0 }, ERR_INVAL, ERR_INVAL, 0 },
        { { " 1", 2 }, ERR_INVAL, ERR_INVAL, 0 },
        { { "1 ", 2 }, ERR_INVAL, ERR_INVAL, 0 },
        { { "+1", 2 }, ERR_INVAL, ERR_INVAL, 0 },
        { { "-", 1 }, ERR_INVAL, ERR_INVAL, 0 },
        { { "--1", 3 }, ERR_INVAL, ERR_INVAL, 0 },
        { { "0x1", 3 }, ERR_INVAL, ERR_INVAL, 0 },
        { { "1\0", 2 }, ERR_INVAL, ERR_INVAL, 0 },
        { { "-5", 2 }, ERR_INVAL, ERR_OK, -5 },
        { { "9223372036854775807", 19 }, ERR_OK, ERR_OK, INT64_MAX },
        { { "9223372036854775808", 19 }, ERR_OK, ERR_RANGE, INT64_MIN },
        { { "-9223372036854775808", 20 }, ERR_INVAL, ERR_OK, INT64_MIN },
        { { "-9223372036854775809", 20 }, ERR_INVAL, ERR_RANGE, 0 },
        { { "18446744073709551615", 20 }, ERR_OK, ERR_RANGE, -1 },
        { { "18446744073709551616", 20 }, ERR_RANGE, ERR_RANGE, 0 },
        { { "99999999999999999999999", 23 }, ERR_RANGE, ERR_RANGE, 0 },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        uint64_t u = 42;
        int64_t v = 42;
        enum err eu = str_to_u64(rows[i].in, &u), ei = str_to_i64(rows[i].in, &v);
        if (eu != rows[i].u64 || u != (eu == ERR_OK ? (uint64_t)rows[i].want : 42))
            fail_msg("row %zu '" STR_FMT "': u64 %s", i, STR_ARG(rows[i].in), err_name(eu));
        if (ei != rows[i].i64 || v != (ei == ERR_OK ? rows[i].want : 42))
            fail_msg("row %zu '" STR_FMT "': i64 %s", i, STR_ARG(rows[i].in), err_name(ei));
    }
}

static void unit_rows(void **state)
{
    static const struct {
        enum { MS, BYTES } kind;
        const char *in;
        enum err want;
        int64_t value;
    } rows[] = {
        { MS, "250ms", ERR_OK, 250 },
        { MS, "2s", ERR_OK, 2000 },
        { MS, "5m", ERR_OK, 300000 },
        { MS, "2h", ERR_OK, 7200000 },
        { MS, "30d", ERR_OK, INT64_C(2592000000) },
        { MS, "0", ERR_OK, 0 },
        { MS, "0s", ERR_OK, 0 },
        { MS, "10", ERR_INVAL, 0 },
        { MS, "", ERR_INVAL, 0 },
        { MS, "s", ERR_INVAL, 0 },
        { MS, "-1s", ERR_INVAL, 0 },
        { MS, "1.5s", ERR_INVAL, 0 },
        { MS, "1 s", ERR_INVAL, 0 },
        { MS, "1S", ERR_INVAL, 0 },
        { MS, "1us", ERR_INVAL, 0 },
        { MS, "1m30s", ERR_INVAL, 0 },
        { MS, "9223372036854775807ms", ERR_OK, INT64_MAX },
        { MS, "9223372036854775807s", ERR_RANGE, 0 }, /* refused, not wrapped */
        { MS, "106751991168d", ERR_RANGE, 0 },
        { BYTES, "512", ERR_OK, 512 },
        { BYTES, "64KiB", ERR_OK, 65536 },
        { BYTES, "15MiB", ERR_OK, 15728640 },
        { BYTES, "1GiB", ERR_OK, 1073741824 },
        { BYTES, "0", ERR_OK, 0 },
        { BYTES, "KiB", ERR_INVAL, 0 },
        { BYTES, "", ERR_INVAL, 0 },
        { BYTES, "64kib", ERR_INVAL, 0 },
        { BYTES, "64KB", ERR_INVAL, 0 },
        { BYTES, "1 MiB", ERR_INVAL, 0 },
        { BYTES, "-1", ERR_INVAL, 0 },
        { BYTES, "9223372036854775808", ERR_RANGE, 0 },
        { BYTES, "8589934592GiB", ERR_RANGE, 0 },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        int64_t v = 0;
        struct str in = str_of(rows[i].in);
        enum err e = rows[i].kind == MS ? str_to_ms(in, &v) : str_to_bytes(in, &v);
        if (e != rows[i].want || v != rows[i].value)
            fail_msg("row %zu '%s': %s, %lld", i, rows[i].in, err_name(e), (long long)v);
    }
}

static void compares(void **state)
{
    (void)state;
    static const struct {
        struct str a, b;
        int cmp;
        bool nocase, starts, ends;
    } rows[] = {
        { { "", 0 }, { NULL, 0 }, 0, true, true, true },
        { { "abc", 3 }, { "abc", 3 }, 0, true, true, true },
        { { "abc", 3 }, { "ABC", 3 }, 1, true, false, false },
        { { "abc", 3 }, { "ab", 2 }, 1, false, true, false },
        { { "abc", 3 }, { "bc", 2 }, -1, false, false, true },
        { { "abc", 3 }, { "", 0 }, 1, false, true, true },
        { { "ab", 2 }, { "abc", 3 }, -1, false, false, false },
        { { "\xff", 1 }, { "a", 1 }, 1, false, false, false }, /* bytes are unsigned */
        { { "azAZ", 4 }, { "AZaz", 4 }, 1, true, false, false },
        { { "[", 1 }, { "{", 1 }, -1, false, false, false },      /* 0x20 apart, no letters */
        { { "a\0b", 3 }, { "A\0c", 3 }, 1, false, false, false }, /* a NUL ends nothing */
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct str a = rows[i].a, b = rows[i].b;
        int c = str_cmp(a, b);
        if ((c > 0) - (c < 0) != rows[i].cmp || str_eq(a, b) != (rows[i].cmp == 0) ||
            str_eq_nocase(a, b) != rows[i].nocase || str_starts(a, b) != rows[i].starts ||
            str_ends(a, b) != rows[i].ends)
            fail_msg("row %zu: '" STR_FMT "' and '" STR_FMT "'", i, STR_ARG(a), STR_ARG(b));
    }
}

static void parts(void **state)
{
    (void)state;
    struct str s = S(" \t\r\nab c\n ");
    assert_true(str_eq(str_trim(s), S("ab c")));
    assert_int_equal(str_trim(S(" \n ")).n, 0);
    assert_int_equal(str_trim(S(" ")).n, 0);
    assert_true(str_eq(str_trim(S(" a")), S("a")) && str_eq(str_trim(S("a ")), S("a")));
    assert_int_equal(str_trim(STR_NONE).n, 0);
    assert_true(str_eq(str_from(S("abc"), 1), S("bc")));
    assert_int_equal(str_from(S("abc"), 9).n, 0);
    assert_true(str_eq(str_head(S("abc"), 9), S("abc")));
    assert_int_equal(str_find(S("abc"), 'c'), 2);
    assert_int_equal(str_find(STR_NONE, 'c'), -1);
    assert_null(str_of(NULL).p);
}

static void cut_gives_every_item(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *want;
    } rows[] = {
        { { "a,b", 3 }, "[a][b]" }, { { "a", 1 }, "[a]" },    { { "", 0 }, "[]" },
        { { ",", 1 }, "[][]" },     { { "a,", 2 }, "[a][]" }, { { NULL, 0 }, "" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char got[32] = "";
        size_t n = 0;
        struct str rest = rows[i].in, item;
        while (str_cut(&rest, ',', &item))
            n += (size_t)snprintf(got + n, sizeof got - n, "[" STR_FMT "]", STR_ARG(item));
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("row %zu: got %s, want %s", i, got, rows[i].want);
    }
}

static void copy_is_whole_or_empty(void **state)
{
    (void)state;
    char dst[4] = "xyz";
    assert_int_equal(str_copy(dst, sizeof dst, S("abc")), ERR_OK);
    assert_string_equal(dst, "abc");
    assert_int_equal(str_copy(dst, sizeof dst, S("abcd")), ERR_TOOBIG);
    assert_string_equal(dst, "");
    assert_int_equal(str_copy(dst, sizeof dst, S("a")), ERR_OK);
    assert_string_equal(dst, "a");
    assert_int_equal(str_copy(dst, sizeof dst, S("\0b")), ERR_INVAL);
    assert_int_equal(str_copy(dst, sizeof dst, S("a\0b")), ERR_INVAL);
    assert_string_equal(dst, "");
    assert_int_equal(str_copy(dst, 1, STR_NONE), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(number_rows),
        cmocka_unit_test(unit_rows),
        cmocka_unit_test(compares),
        cmocka_unit_test(parts),
        cmocka_unit_test(cut_gives_every_item),
        cmocka_unit_test(copy_is_whole_or_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
