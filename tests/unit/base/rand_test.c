#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rand.h"

/* Sizes around the pool of 1 KiB, each in an exact allocation: nothing is written past the end
 * and no byte is left as it was (one that stays 0 in 20 draws: 1 in 10^48). */
static void fills_exactly(void **state)
{
    static const size_t sizes[] = { 0, 1, 7, 1023, 1024, 1025, 5000 };
    (void)state;
    for (size_t i = 0; i < N_OF(sizes); i++) {
        unsigned char *raw = malloc(sizes[i] + 1), *seen = calloc(sizes[i] + 1, 1);
        assert_true(raw != NULL && seen != NULL);
        raw[sizes[i]] = 0x5a;
        for (int round = 0; round < 20; round++) {
            memset(raw, 0, sizes[i]);
            rand_bytes(raw, sizes[i]);
            for (size_t j = 0; j < sizes[i]; j++)
                seen[j] |= raw[j];
        }
        for (size_t j = 0; j < sizes[i]; j++)
            if (seen[j] == 0)
                fail_msg("size %zu: byte %zu is never written", sizes[i], j);
        assert_int_equal(raw[sizes[i]], 0x5a);
        free(raw);
        free(seen);
    }
}

static void every_bit_moves(void **state)
{
    (void)state;
    uint64_t ones = 0, zeros = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t v = rand_u64();
        ones |= v;
        zeros |= ~v;
    }
    assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void uuids_are_version_4_and_differ(void **state)
{
    (void)state;
    static char ids[5000][UUID_LEN + 1];
    for (size_t i = 0; i < N_OF(ids); i++) {
        rand_uuid(ids[i]);
        if (!uuid_is_canonical(str_of(ids[i])) || ids[i][14] != '4' ||
            strchr("89ab", ids[i][19]) == NULL)
            fail_msg("row %zu: %s", i, ids[i]);
    }
    qsort(ids, N_OF(ids), sizeof ids[0], by_text);
    for (size_t i = 1; i < N_OF(ids); i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
}

static void canonical_form(void **state)
{
    static const struct {
        struct str in;
        bool want;
    } rows[] = {
        { { "0190b4d2-9c3e-7f00-8a1b-0123456789ab", 36 }, true },
        { { "00000000-0000-0000-0000-000000000000", 36 }, true },
        { { "0190B4d2-9c3e-7f00-8a1b-0123456789ab", 36 }, false }, /* upper case */
        { { "0190b4d2-9c3e-7f00-8a1b-0123456789a", 35 }, false },
        { { "0190b4d2-9c3e-7f00-8a1b-0123456789abc", 37 }, false },
        { { "0190b4d29c3e7f008a1b0123456789ab", 32 }, false },
        { { "0190b4d2-9c3e-7f00-8a1b-0123456789ag", 36 }, false },
        { { "0190b4d2-9c3e-7f00-8a1b_0123456789ab", 36 }, false },
        { { "0190b4d29-c3e-7f00-8a1b-0123456789ab", 36 }, false },
        { { "0190b4d2-9c3e-7f00-8a1b-0123456789a\0", 36 }, false },
        { { "", 0 }, false },
        { { NULL, 0 }, false },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++)
        if (uuid_is_canonical(rows[i].in) != rows[i].want)
            fail_msg("row %zu '" STR_FMT "'", i, STR_ARG(rows[i].in));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_exactly),
        cmocka_unit_test(every_bit_moves),
        cmocka_unit_test(uuids_are_version_4_and_differ),
        cmocka_unit_test(canonical_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
