#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"

static void grows_up_to_its_cap(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 300; cap++) {
        struct buf b = BUF_INIT(cap);
        for (size_t i = 0; i < cap; i++)
            buf_putc(&b, (char)('a' + i % 26));
        if (buf_failed(&b) || b.n != cap || (cap > 0 && b.p[cap] != '\0'))
            fail_msg("cap %zu: %zu bytes", cap, b.n);
        buf_puts(&b, ""); /* nothing more still fits */
        assert_false(buf_failed(&b));
        buf_putc(&b, 'x');
        if (!buf_failed(&b) || b.n != cap)
            fail_msg("cap %zu: byte %zu got in", cap, b.n);
        buf_fini(&b);
        buf_fini(&b);
    }
}

static void failure_sticks_and_keeps_what_was(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    buf_puts(&b, "abc");
    buf_puts(&b, "def");
    assert_true(buf_failed(&b));
    buf_puts(&b, "d");
    assert_null(buf_reserve(&b, 0));
    buf_printf(&b, "%d", 1);
    buf_u64(&b, 1);
    assert_true(str_eq(buf_str(&b), S("abc")));
    buf_clear(&b);
    assert_false(buf_failed(&b));
    assert_string_equal(b.p, "");
    buf_puts(&b, "defgh");
    assert_string_equal(b.p, "defgh");
    buf_fini(&b);
    assert_int_equal(b.cap, 5);
    buf_puts(&b, "again");
    assert_string_equal(b.p, "again");
    buf_fini(&b);
}

static void zeroed_is_empty(void **state)
{
    (void)state;
    struct buf b = { 0 };
    assert_true(str_eq(buf_str(&b), S("")));
    buf_put(&b, STR_NONE);
    assert_false(buf_failed(&b));
    buf_fini(&b);
    buf_clear(&b);
    assert_null(buf_reserve(&b, SIZE_MAX)); /* no wrap-around in the sum */
    buf_fini(&b);
    b = BUF_INIT(SIZE_MAX);
    buf_puts(&b, "any");
    assert_string_equal(b.p, "any");
    assert_null(buf_reserve(&b, SIZE_MAX - 3));
    buf_fini(&b);
}

static void formats(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(64);
    buf_printf(&b, "%s-%d|", "x", -3);
    buf_u64(&b, 0);
    buf_putc(&b, '|');
    buf_u64(&b, UINT64_MAX);
    assert_string_equal(b.p, "x--3|0|18446744073709551615");
    char *at = buf_reserve(&b, 4);
    memcpy(at, "abcd", 4);
    buf_grew(&b, 2); /* less than reserved is fine */
    assert_true(str_ends(buf_str(&b), S("615ab")));
    assert_int_equal(b.p[b.n], '\0');
    buf_fini(&b);
}

static void json_rows(void **state)
{
    static const struct {
        struct str in;
        const char *want;
    } rows[] = {
        { { NULL, 0 }, "\"\"" },
        { { "", 0 }, "\"\"" },
        { { "plain", 5 }, "\"plain\"" },
        { { "a\"b\\c", 5 }, "\"a\\\"b\\\\c\"" },
        { { "\n\r\t\b\f", 5 }, "\"\\n\\u000d\\u0009\\u0008\\u000c\"" },
        { { "\0\x1f\x7f", 3 }, "\"\\u0000\\u001f\\u007f\"" },
        { { "</script>", 9 }, "\"</script>\"" },
        { { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9 },
          "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { { "\xff", 1 }, "\"\\ufffd\"" },
        { { "a\xc3", 2 }, "\"a\\ufffd\"" },
        { { "\xc3(", 2 }, "\"\\ufffd(\"" },
        { { "\xed\xa0\x80", 3 }, "\"\\ufffd\\ufffd\\ufffd\"" }, /* a surrogate */
        { { "\xc0\x80", 2 }, "\"\\ufffd\\ufffd\"" },            /* overlong NUL */
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf b = BUF_INIT(256);
        buf_json(&b, rows[i].in);
        if (buf_failed(&b) || strcmp(b.p, rows[i].want) != 0)
            fail_msg("row %zu: got %s, want %s", i, b.p, rows[i].want);
        buf_fini(&b);
    }
}

/* Against a plain array, with random pieces. */
static void model(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        char want[512];
        size_t n = 0;
        struct buf b = BUF_INIT(sizeof want);
        for (int i = 0; i < 40; i++) {
            char piece[32];
            size_t len = (size_t)rand_r(&seed) % sizeof piece;
            memset(piece, 'a' + i % 26, len);
            if (n + len <= sizeof want && !buf_failed(&b)) {
                memcpy(want + n, piece, len);
                n += len;
            }
            buf_put(&b, (struct str){ piece, len });
        }
        if (!str_eq(buf_str(&b), (struct str){ want, n }))
            fail_msg("round %d: %zu bytes, want %zu", round, b.n, n);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_up_to_its_cap), cmocka_unit_test(failure_sticks_and_keeps_what_was),
        cmocka_unit_test(zeroed_is_empty),     cmocka_unit_test(formats),
        cmocka_unit_test(json_rows),           cmocka_unit_test(model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
