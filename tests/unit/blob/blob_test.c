/* The record as fields of a hash: nothing is lost on the way there and back, and only what
 * changed is written. */
#include "blob/blob.c" /* for the table: no member of the record may be missing in it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- random records ---------------------------------------------------------------------- */

static uint64_t dice(uint64_t *x)
{
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    return *x;
}

static void fill_text(char *dst, size_t size, uint64_t *x)
{
    size_t n = dice(x) % 3 == 0 ? size - 1 : dice(x) % size; /* the longest one often */
    for (size_t i = 0; i < n; i++)
        dst[i] = (char)(1 + dice(x) % 255);
    memset(dst + n, 0, size - n);
}

static int64_t some_number(uint64_t *x)
{
    static const int64_t edges[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
    return dice(x) % 4 == 0 ? edges[dice(x) % N_OF(edges)] : (int64_t)dice(x);
}

static void fill_field(struct blob *b, size_t i, uint64_t *x)
{
    switch (fields[i].kind) {
    case TEXT:
        fill_text(at(b, i), fields[i].size, x);
        break;
    case NUMBER:
        *(int64_t *)at(b, i) = some_number(x);
        break;
    case WORD:
        *(int *)at(b, i) = (int)(dice(x) % (uint64_t)fields[i].n_words);
        break;
    }
}

static void assert_same(const struct blob *a, const struct blob *b)
{
    for (size_t i = 0; i < N_OF(fields); i++)
        if (!same(a, b, i))
            fail_msg("field %s differs", fields[i].name);
}

static void set_all(struct blob *b, const struct blob_field *f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(blob_set_field(b, f[i].name, f[i].value), ERR_OK);
}

/* ---- the table ---------------------------------------------------------------------------- */

static void every_member_of_the_record_has_a_field(void **state)
{
    (void)state;
    bool covered[sizeof(struct blob)] = { false };
    for (size_t i = 0; i < N_OF(fields); i++) {
        size_t size = fields[i].kind == TEXT     ? fields[i].size
                      : fields[i].kind == NUMBER ? sizeof(int64_t)
                                                 : sizeof(int);
        for (size_t byte = 0; byte < size; byte++) {
            assert_false(covered[fields[i].offset + byte]); /* two fields for one member */
            covered[fields[i].offset + byte] = true;
        }
    }
    size_t gap = 0;
    for (size_t byte = 0; byte < sizeof covered; byte++) {
        gap = covered[byte] ? 0 : gap + 1;
        if (gap >= _Alignof(struct blob)) /* more than padding */
            fail_msg("the member at byte %zu is not stored", byte + 1 - gap);
    }
}

static void field_names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(fields); i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(fields[i].name, fields[j].name);
}

static void words_are_unique_and_none_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(fields); i++)
        for (int w = 0; w < fields[i].n_words; w++) {
            assert_non_null(fields[i].words[w]);
            for (int v = 0; v < w; v++)
                assert_string_not_equal(fields[i].words[w], fields[i].words[v]);
        }
    for (int p = 0; p < PHASE_N; p++)
        assert_true(strlen(phase_name((enum blob_phase)p)) > 0);
    for (int r = 0; r < RESULT_N; r++)
        assert_true(strlen(result_name((enum blob_result)r)) > 0);
    for (int d = 0; d < DELIVERY_N; d++)
        assert_true(strlen(delivery_name((enum blob_delivery)d)) > 0);
}

/* ---- there and back ----------------------------------------------------------------------- */

static void each_field_alone_there_and_back(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252U;
    for (size_t i = 0; i < N_OF(fields); i++)
        for (int round = 0; round < 50; round++) {
            struct blob b = { .seq = 0 }, again = { .seq = 0 };
            const struct blob old = { .seq = 0 };
            struct blob_field out[BLOB_FIELDS_MAX];
            fill_field(&b, i, &x);
            size_t n = blob_fields(out, &b, &old);
            assert_int_equal(n, same(&b, &old, i) ? 0 : 1);
            if (n == 1)
                assert_true(str_eq(out[0].name, str_of(fields[i].name)));
            set_all(&again, out, n);
            assert_same(&b, &again);
        }
}

static void a_change_written_over_the_old_record_gives_the_new_one(void **state)
{
    (void)state;
    uint64_t x = 2463534242U;
    struct blob old = { .seq = 0 };
    for (int round = 0; round < 3000; round++) {
        struct blob b = old, stored = { .seq = 0 };
        struct blob_field all[BLOB_FIELDS_MAX], changed[BLOB_FIELDS_MAX];
        size_t touched = dice(&x) % 6, differ = 0;
        for (size_t i = 0; i < touched; i++)
            fill_field(&b, dice(&x) % N_OF(fields), &x);
        for (size_t i = 0; i < N_OF(fields); i++)
            differ += !same(&b, &old, i);

        size_t n_all = blob_fields(all, &old, NULL), n = blob_fields(changed, &b, &old);
        assert_int_equal(n, differ);
        set_all(&stored, all, n_all);
        assert_same(&old, &stored);
        set_all(&stored, changed, n);
        assert_same(&b, &stored);
        old = b;
    }
}

static bool has_field(const struct blob_field *f, size_t n, struct str name, struct str value)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(f[i].name, name))
            return str_eq(f[i].value, value);
    return false;
}

static void what_is_stored_is_readable(void **state)
{
    (void)state;
    struct blob b = { .id = "0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e",
                      .phase = PHASE_RECOGNIZING,
                      .result = RESULT_TOO_LARGE,
                      .delivery = DELIVERY_TIMEOUT,
                      .seq = INT64_MAX,
                      .created_ms = -1,
                      .callback_url = "https://receiver.example/a?b=c" };
    struct blob_field f[BLOB_FIELDS_MAX];
    size_t n = blob_fields(f, &b, NULL);
    assert_int_equal(n, 7); /* what is empty or zero is left out of a new record */
    assert_true(has_field(f, n, S("id"), S("0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e")));
    assert_true(has_field(f, n, S("phase"), S("recognizing")));
    assert_true(has_field(f, n, S("result"), S("too-large")));
    assert_true(has_field(f, n, S("delivery"), S("timeout")));
    assert_true(has_field(f, n, S("seq"), S("9223372036854775807")));
    assert_true(has_field(f, n, S("created_ms"), S("-1")));
    assert_true(has_field(f, n, S("callback_url"), S("https://receiver.example/a?b=c")));
}

static void what_was_emptied_is_written_empty(void **state)
{
    (void)state;
    struct blob old = { .code = "throttled", .tries = 3 }, b = { .seq = 0 };
    struct blob_field f[BLOB_FIELDS_MAX];
    size_t n = blob_fields(f, &b, &old);
    assert_int_equal(n, 2);
    assert_true(has_field(f, n, S("code"), S("")));
    assert_true(has_field(f, n, S("tries"), S("0")));
    set_all(&old, f, n);
    assert_same(&old, &b);
}

/* ---- what is not ours --------------------------------------------------------------------- */

static void unknown_fields_are_ignored(void **state)
{
    (void)state;
    static const struct str names[] = {
        S("colour"), S(""), S("SEQ"), S("seq "), S("se"), S("seq\0")
    };
    struct blob b = { .seq = 7 };
    const struct blob before = b;
    for (size_t i = 0; i < N_OF(names); i++)
        assert_int_equal(blob_set_field(&b, names[i], S("\xff\0?")), ERR_OK);
    assert_memory_equal(&b, &before, sizeof b);
}

static const struct {
    const char *why;
    struct str name, value;
} bad[] = {
    { "no number", S("seq"), S("x") },
    { "empty number", S("seq"), S("") },
    { "blank", S("seq"), S(" 1") },
    { "plus", S("seq"), S("+1") },
    { "fraction", S("size"), S("1.5") },
    { "exponent", S("size"), S("1e3") },
    { "hex", S("width"), S("0x10") },
    { "past 64 bits", S("seq"), S("9223372036854775808") },
    { "past 64 bits below", S("seq"), S("-9223372036854775809") },
    { "inner NUL", S("gen"), S("1\0002") },
    { "unknown word", S("phase"), S("dancing") },
    { "word of another list", S("phase"), S("labels") },
    { "case", S("phase"), S("Queued") },
    { "empty word", S("result"), S("") },
    { "number for a word", S("delivery"), S("1") },
    { "text with NUL", S("code"), S("a\0b") },
    { "too long an id", S("id"), S("0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e0") },
    { "too long a code", S("code"), S("0123456789012345678901234567890123456789012345678") },
};

static void bad_values_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(bad); i++) {
        struct blob b = { .seq = 5, .phase = PHASE_HOLDING };
        if (blob_set_field(&b, bad[i].name, bad[i].value) == ERR_OK)
            fail_msg("row %zu (%s) was taken", i, bad[i].why);
        assert_int_equal(b.phase, PHASE_HOLDING);
        assert_int_equal(b.seq, 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_of_the_record_has_a_field),
        cmocka_unit_test(field_names_are_unique),
        cmocka_unit_test(words_are_unique_and_none_is_missing),
        cmocka_unit_test(each_field_alone_there_and_back),
        cmocka_unit_test(a_change_written_over_the_old_record_gives_the_new_one),
        cmocka_unit_test(what_is_stored_is_readable),
        cmocka_unit_test(what_was_emptied_is_written_empty),
        cmocka_unit_test(unknown_fields_are_ignored),
        cmocka_unit_test(bad_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
