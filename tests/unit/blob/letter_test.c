#include "blob/letter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#define NOW ((wall_t){ INT64_C(1795226907123) })

static char long_text[3000];

static struct letter_source source(struct str key, struct str value)
{
    return (struct letter_source){ .topic = "labelwire.uploads",
                                   .service = "upload-watcher",
                                   .key = key,
                                   .value = value,
                                   .partition = 3,
                                   .offset = INT64_C(9007199254740993),
                                   .timestamp_ms = 0 };
}

static void check(const struct letter *l, enum letter_field f, const char *want)
{
    if (!str_eq(l->field[f], str_of(want)) || (l->field[f].p == NULL) != (want == NULL))
        fail_msg("%s is '" STR_FMT "'", letter_field_name(f), STR_ARG(l->field[f]));
}

static void a_letter_says_why_and_where_from(void **state)
{
    (void)state;
    struct letter_source s = source(STR_NONE, S("junk"));
    struct letter l;
    struct letter_text text;
    letter_of(&l, &text, &s, LETTER_NO_EVENT, "no JSON at byte 0", NOW, LETTER_KEY_LEAST);
    static const char *const want[LETTER_NFIELDS] = {
        [LETTER_REASON] = "not-an-s3-event",  [LETTER_DETAIL] = "no JSON at byte 0",
        [LETTER_TOPIC] = "labelwire.uploads", [LETTER_PARTITION] = "3",
        [LETTER_OFFSET] = "9007199254740993", [LETTER_TIMESTAMP] = "1970-01-01T00:00:00.000Z",
        [LETTER_SERVICE] = "upload-watcher",  [LETTER_TIME] = "2026-11-21T02:08:27.123Z",
    };
    for (size_t i = 0; i < LETTER_NFIELDS; i++)
        check(&l, (enum letter_field)i, want[i]);
    assert_null(s.key.p);
    assert_true(str_eq(s.value, S("junk")));

    s.timestamp_ms = -1;
    letter_of(&l, &text, &s, LETTER_NO_EVENT, "", NOW, LETTER_KEY_LEAST);
    check(&l, LETTER_TIMESTAMP, NULL);
}

static void what_is_too_long_is_cut_and_says_so(void **state)
{
    (void)state;
    static const struct {
        size_t key, value, max, want_key, want_value;
        const char *key_size, *size;
    } rows[] = {
        { 10, 2038, 2048, 10, 2038, NULL, NULL },
        { 10, 2039, 2048, 10, 2038, NULL, "2039" },
        { 1024, 2000, 1024, 1024, 0, NULL, "2000" },
        { 1025, 0, 1024, 1024, 0, "1025", NULL },
        { 3000, 3000, 2048, 1024, 1024, "3000", "3000" },
        { 2000, 100, 2048, 1024, 100, "2000", NULL },
        { 3000, 0, 2048, 1024, 0, "3000", NULL },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct letter_source s = source((struct str){ long_text, rows[i].key },
                                        (struct str){ long_text, rows[i].value });
        struct letter l;
        struct letter_text text;
        letter_of(&l, &text, &s, LETTER_NO_WORK, "", NOW, rows[i].max);
        assert_int_equal(s.key.n, rows[i].want_key);
        assert_int_equal(s.value.n, rows[i].want_value);
        check(&l, LETTER_FULL_KEY_SIZE, rows[i].key_size);
        check(&l, LETTER_FULL_SIZE, rows[i].size);
    }
}

static void headers_are_taken_by_name(void **state)
{
    (void)state;
    struct letter l = { 0 };
    letter_take(&l, S("reason"), S("first"));
    letter_take(&l, S("reason"), S("second"));
    letter_take(&l, S("Reason"), S("third"));
    letter_take(&l, S(""), S("x"));
    letter_take(&l, S("resolves"), S("0-1"));
    check(&l, LETTER_REASON, "first");
    check(&l, LETTER_RESOLVES, "0-1");
    check(&l, LETTER_DETAIL, NULL);
}

static void ids_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err want;
    } rows[] = {
        { "0-0", ERR_OK },
        { "12-345", ERR_OK },
        { "2147483647-9223372036854775807", ERR_OK },
        { "2147483648-0", ERR_INVAL },
        { "0-9223372036854775808", ERR_INVAL },
        { "", ERR_INVAL },
        { "0", ERR_INVAL },
        { "0-", ERR_INVAL },
        { "-0", ERR_INVAL },
        { "0--1", ERR_INVAL },
        { "0-1-2", ERR_INVAL },
        { " 0-1", ERR_INVAL },
        { "a-b", ERR_INVAL },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct letter_id id;
        char text[LETTER_ID_MAX];
        if (letter_id_parse(&id, str_of(rows[i].text)) != rows[i].want)
            fail_msg("'%s'", rows[i].text);
        if (rows[i].want != ERR_OK)
            continue;
        letter_id_format(text, id);
        assert_string_equal(text, rows[i].text);
    }
    assert_true(letter_id_cmp((struct letter_id){ 0, 9 }, (struct letter_id){ 1, 0 }) < 0);
    assert_true(letter_id_cmp((struct letter_id){ 1, 9 }, (struct letter_id){ 1, 8 }) > 0);
    assert_int_equal(letter_id_cmp((struct letter_id){ 1, 9 }, (struct letter_id){ 1, 9 }), 0);
}

int main(void)
{
    memset(long_text, 'x', sizeof long_text);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_says_why_and_where_from),
        cmocka_unit_test(what_is_too_long_is_cut_and_says_so),
        cmocka_unit_test(headers_are_taken_by_name),
        cmocka_unit_test(ids_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
