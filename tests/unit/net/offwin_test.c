/* offwin against a model that keeps every message in a list, and against small tables. */
#include "net/offwin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"

#define CAP_MAX   64U
#define SCHEDULES 20000
#define STEPS     60

/* ---- tables ------------------------------------------------------------------------------ */

/* Offsets have gaps; `order` is the order of completion, `want` the position after each. */
static const struct {
    const char *why;
    int64_t offset[4];
    uint8_t order[4];
    int64_t want[4];
} rows[] = {
    { "in order", { 0, 1, 2, 3 }, { 0, 1, 2, 3 }, { 1, 2, 3, 4 } },
    { "backwards: nothing until the oldest",
      { 0, 1, 2, 3 },
      { 3, 2, 1, 0 },
      { OFFWIN_NONE, OFFWIN_NONE, OFFWIN_NONE, 4 } },
    { "gaps of a compacted log",
      { 5, 9, 100, 101 },
      { 1, 0, 3, 2 },
      { OFFWIN_NONE, 10, OFFWIN_NONE, 102 } },
    { "far offsets",
      { INT64_MAX - 4, INT64_MAX - 3, INT64_MAX - 2, INT64_MAX - 1 },
      { 0, 2, 1, 3 },
      { INT64_MAX - 3, OFFWIN_NONE, INT64_MAX - 1, INT64_MAX } },
};

static void test_positions(void **state)
{
    (void)state;
    for (size_t r = 0; r < N_OF(rows); r++) {
        struct offwin_slot slots[4];
        struct offwin w;
        struct offwin_ticket t[4];
        offwin_init(&w, slots, 4);
        assert_int_equal(offwin_advance(&w), OFFWIN_NONE);
        for (size_t i = 0; i < 4; i++)
            t[i] = offwin_begin(&w, rows[r].offset[i]);
        assert_true(offwin_full(&w));
        for (size_t i = 0; i < 4; i++) {
            assert_true(offwin_done(&w, t[rows[r].order[i]]));
            int64_t got = offwin_advance(&w);
            if (got != rows[r].want[i])
                fail_msg("row %zu (%s), step %zu: %lld", r, rows[r].why, i, (long long)got);
        }
        assert_int_equal(offwin_in_flight(&w), 0);
    }
}

static void test_late_ticket_is_refused(void **state)
{
    (void)state;
    struct offwin_slot slots[2];
    struct offwin w;
    offwin_init(&w, slots, 2);
    assert_int_equal(offwin_last(&w), OFFWIN_NONE);
    struct offwin_ticket old = offwin_begin(&w, 7);
    assert_int_equal(offwin_last(&w), 7);
    offwin_reset(&w);
    assert_int_equal(offwin_last(&w), OFFWIN_NONE);
    assert_int_equal(offwin_in_flight(&w), 0);
    struct offwin_ticket again = offwin_begin(&w, 7); /* the same message, delivered once more */
    assert_false(offwin_done(&w, old));
    assert_int_equal(offwin_advance(&w), OFFWIN_NONE);
    assert_true(offwin_done(&w, again));
    assert_int_equal(offwin_advance(&w), 8);
}

/* ---- model ------------------------------------------------------------------------------- */

struct model_msg {
    int64_t offset;
    bool done, gone; /* gone: freed by advance or forgotten by a reset */
    struct offwin_ticket ticket;
    uint32_t epoch;
};

struct model {
    struct model_msg msgs[STEPS];
    size_t n;
    uint32_t epoch;
    int64_t next_offset;
};

static uint32_t rnd(uint64_t *s) /* xorshift64*: the schedules are the same on every run */
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return (uint32_t)((*s * UINT64_C(2685821657736338717)) >> 32);
}

static uint32_t model_in_flight(const struct model *m)
{
    uint32_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += !m->msgs[i].gone;
    return n;
}

static int64_t model_advance(struct model *m)
{
    int64_t position = OFFWIN_NONE;
    for (size_t i = 0; i < m->n; i++) {
        if (m->msgs[i].gone)
            continue;
        if (!m->msgs[i].done)
            break;
        m->msgs[i].gone = true;
        position = m->msgs[i].offset + 1;
    }
    return position;
}

static void step_begin(struct offwin *w, struct model *m, uint64_t *seed)
{
    bool full = model_in_flight(m) == w->cap;
    assert_int_equal(offwin_full(w), full);
    if (full)
        return;
    m->next_offset += 1 + rnd(seed) % 3;
    struct model_msg *msg = &m->msgs[m->n++];
    *msg = (struct model_msg){ .offset = m->next_offset, .epoch = m->epoch };
    msg->ticket = offwin_begin(w, msg->offset);
}

/* Any message that is not done, also one from before a reset. */
static void step_done(struct offwin *w, struct model *m, uint64_t *seed)
{
    if (m->n == 0)
        return;
    struct model_msg *msg = &m->msgs[rnd(seed) % m->n];
    if (msg->done)
        return;
    bool current = msg->epoch == m->epoch;
    assert_int_equal(offwin_done(w, msg->ticket), current);
    msg->done = true;
}

static void step_reset(struct offwin *w, struct model *m)
{
    offwin_reset(w);
    m->epoch++;
    for (size_t i = 0; i < m->n; i++)
        m->msgs[i].gone = true;
}

static void run_schedule(uint64_t *seed)
{
    struct offwin_slot slots[CAP_MAX];
    struct offwin w;
    struct model m = { .next_offset = -1 };
    offwin_init(&w, slots, UINT32_C(2) << rnd(seed) % 6);
    w.head = w.tail = UINT32_MAX - rnd(seed) % STEPS; /* the counters wrap within the schedule */
    w.epoch = m.epoch = UINT32_MAX - rnd(seed) % 4;
    for (int step = 0; step < STEPS; step++) {
        uint32_t what = rnd(seed) % 32;
        if (what < 14)
            step_begin(&w, &m, seed);
        else if (what < 26)
            step_done(&w, &m, seed);
        else if (what < 31)
            assert_int_equal(offwin_advance(&w), model_advance(&m));
        else
            step_reset(&w, &m);
        assert_int_equal(offwin_in_flight(&w), model_in_flight(&m));
    }
}

static void test_against_model(void **state)
{
    (void)state;
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    for (int i = 0; i < SCHEDULES; i++)
        run_schedule(&seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_late_ticket_is_refused),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
