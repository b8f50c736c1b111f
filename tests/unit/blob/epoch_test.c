/* Redis and the bucket: who lost what, row by row. */
#include "blob/epoch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"

#define A S("0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e")
#define B S("1b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e")

static const struct {
    struct str redis;
    unsigned differing;
    struct str mirror;
    enum epoch_verdict want;
} rows[] = {
    { S(""), 0, S(""), EPOCH_FRESH },
    { S(""), 4, S(""), EPOCH_FRESH }, /* establishing was interrupted: the facts come last */
    { S(""), 0, A, EPOCH_LOST },
    { S(""), 3, A, EPOCH_LOST },
    { A, 0, S(""), EPOCH_UNMIRRORED },
    { A, 0, A, EPOCH_GOOD },
    { A, 1, A, EPOCH_PARTLY },
    { A, 1, S(""), EPOCH_PARTLY },
    { A, 0, B, EPOCH_OTHER },
    { A, 2, B, EPOCH_OTHER },
    { A, 0, S("something else"), EPOCH_OTHER },
};

static void judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        enum epoch_verdict got = epoch_judge(rows[i].redis, rows[i].differing, rows[i].mirror);
        if (got != rows[i].want)
            fail_msg("row %zu: %s", i, epoch_text(got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(judged) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
