#include "cli/letters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct letter_id id(int32_t partition, int64_t offset)
{
    return (struct letter_id){ partition, offset };
}

static enum err add(struct letters *ls, struct letter_id at, int64_t when_ms)
{
    return letters_add(ls, at, when_ms,
                       &(struct letter){ .field = { [LETTER_REASON] = S("not-a-work-item"),
                                                    [LETTER_TOPIC] = S("labelwire.deliver"),
                                                    [LETTER_PARTITION] = S("3"),
                                                    [LETTER_OFFSET] = S("17") } },
                       5);
}

static enum err mark(struct letters *ls, struct letter_id at, const char *resolution)
{
    char text[LETTER_ID_MAX];
    letter_id_format(text, at);
    return letters_add(ls, id(9, 9), 0,
                       &(struct letter){ .field = { [LETTER_RESOLVES] = str_of(text),
                                                    [LETTER_RESOLUTION] = str_of(resolution) } },
                       0);
}

static void check_state(const struct letters *ls, struct letter_id at, const char *want)
{
    const struct letters_row *row = letters_find(ls, at);
    assert_non_null(row);
    assert_string_equal(letters_state_name(row->state), want);
}

/* Partitions are read one beside the other, so a mark may be seen before its letter. */
static void marks_count_in_any_order(void **state)
{
    (void)state;
    struct letters ls = { 0 };
    assert_int_equal(mark(&ls, id(1, 5), "discarded"), ERR_OK);
    assert_int_equal(add(&ls, id(1, 5), 30), ERR_OK);
    assert_int_equal(add(&ls, id(0, 7), 10), ERR_OK);
    assert_int_equal(add(&ls, id(0, 8), 20), ERR_OK);
    assert_int_equal(mark(&ls, id(0, 8), "retried"), ERR_OK);
    assert_int_equal(mark(&ls, id(0, 8), "retried"), ERR_OK); /* by two operators */
    assert_int_equal(mark(&ls, id(0, 9), "retried"), ERR_OK); /* not kept any more */
    letters_fold(&ls);
    assert_int_equal(ls.n, 3);
    check_state(&ls, id(0, 7), "open");
    check_state(&ls, id(0, 8), "retried");
    check_state(&ls, id(1, 5), "discarded");
    assert_null(letters_find(&ls, id(0, 9)));
    letters_sort_by_time(&ls);
    assert_int_equal(ls.rows[0].id.offset, 7);
    assert_int_equal(ls.rows[1].id.offset, 8);
    assert_int_equal(ls.rows[2].id.offset, 5);
    letters_fini(&ls);
}

static void nothing_at_all(void **state)
{
    (void)state;
    struct letters ls = { 0 };
    letters_fold(&ls);
    letters_sort_by_time(&ls);
    assert_null(letters_find(&ls, id(0, 0)));
    letters_fini(&ls);
}

/* What others write to the topic is shown, and breaks nothing. */
static void any_message_is_a_letter(void **state)
{
    (void)state;
    static char long_text[1000];
    memset(long_text, 'x', sizeof long_text);
    struct str much = { long_text, sizeof long_text };
    struct letters ls = { 0 };
    struct letter l = { 0 };
    assert_int_equal(letters_add(&ls, id(0, 0), 0, &l, 7), ERR_OK);
    for (size_t i = 0; i < LETTER_NFIELDS; i++)
        l.field[i] = much;
    assert_int_equal(letters_add(&ls, id(0, 1), 0, &l, 7), ERR_OK);
    l.field[LETTER_REASON] = (struct str){ "a\0b", 3 };
    l.field[LETTER_FULL_SIZE] = S("1048000");
    l.field[LETTER_RESOLVES] = S("no id");
    assert_int_equal(letters_add(&ls, id(0, 2), 0, &l, 7), ERR_OK);
    assert_int_equal(add(&ls, id(0, 3), 0), ERR_OK);
    letters_fold(&ls);
    assert_int_equal(ls.n, 4);
    assert_string_equal(ls.rows[0].reason, "");
    assert_string_equal(ls.rows[0].source, "");
    assert_false(ls.rows[0].cut);
    assert_int_equal(strlen(ls.rows[1].reason), 31);
    assert_int_equal(ls.rows[1].size, 7);
    assert_int_equal(ls.rows[2].size, 1048000);
    assert_true(ls.rows[2].cut);
    assert_string_equal(ls.rows[2].reason, "");
    assert_string_equal(ls.rows[3].source, "labelwire.deliver/3/17");
    letters_fini(&ls);
}

/* A full table keeps what is open, and counts what it had to leave out. */
static void full(void **state)
{
    (void)state;
    struct letters ls = { 0 }, all = { .keep_all = true };
    for (int64_t i = 0; i < LETTERS_MAX; i++) {
        assert_int_equal(add(&ls, id(0, i), i), ERR_OK);
        assert_int_equal(add(&all, id(0, i), i), ERR_OK);
    }
    for (int64_t i = 0; i < 2; i++) {
        assert_int_equal(mark(&ls, id(0, i), "retried"), ERR_OK);
        assert_int_equal(mark(&all, id(0, i), "retried"), ERR_OK);
    }
    for (int64_t i = LETTERS_MAX; i < LETTERS_MAX + 5; i++) {
        assert_int_equal(add(&ls, id(0, i), i), ERR_OK);
        assert_int_equal(add(&all, id(0, i), i), ERR_OK);
    }
    letters_fold(&ls);
    letters_fold(&all);
    assert_int_equal(ls.n, LETTERS_MAX);
    assert_int_equal(ls.left_out, 3);
    assert_null(letters_find(&ls, id(0, 1)));
    check_state(&ls, id(0, LETTERS_MAX + 1), "open");
    assert_int_equal(all.left_out, 5);
    check_state(&all, id(0, 1), "retried");
    letters_fini(&ls);
    letters_fini(&all);
}

static void too_many_marks(void **state)
{
    (void)state;
    struct letters ls = { 0 };
    for (int64_t i = 0; i < LETTERS_MARKS_MAX; i++)
        assert_int_equal(mark(&ls, id(0, i), "retried"), ERR_OK);
    assert_int_equal(mark(&ls, id(0, 0), "retried"), ERR_FULL);
    letters_fini(&ls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_count_in_any_order), cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(any_message_is_a_letter),  cmocka_unit_test(full),
        cmocka_unit_test(too_many_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
