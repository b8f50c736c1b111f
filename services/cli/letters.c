#include "cli/letters.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static const char *const state_names[] = { "open", "retried", "discarded" };

const char *letters_state_name(enum letters_state s)
{
    return state_names[s];
}

static int cmp_marks(const void *a, const void *b)
{
    return letter_id_cmp(((const struct letters_mark *)a)->id,
                         ((const struct letters_mark *)b)->id);
}

static int cmp_rows(const void *a, const void *b)
{
    return letter_id_cmp(((const struct letters_row *)a)->id, ((const struct letters_row *)b)->id);
}

static int cmp_times(const void *a, const void *b)
{
    const struct letters_row *x = a, *y = b;
    return x->when_ms != y->when_ms ? (x->when_ms < y->when_ms ? -1 : 1) : cmp_rows(a, b);
}

static void sort(void *items, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
    if (n > 0)
        qsort(items, n, size, cmp);
}

void letters_fold(struct letters *ls)
{
    sort(ls->marks, ls->n_marks, sizeof *ls->marks, cmp_marks);
    sort(ls->rows, ls->n, sizeof *ls->rows, cmp_rows);
    for (size_t row = 0, mark = 0; row < ls->n; row++) {
        while (mark < ls->n_marks && letter_id_cmp(ls->marks[mark].id, ls->rows[row].id) < 0)
            mark++;
        if (mark < ls->n_marks && letter_id_cmp(ls->marks[mark].id, ls->rows[row].id) == 0)
            ls->rows[row].state = ls->marks[mark].state;
    }
}

void letters_sort_by_time(struct letters *ls)
{
    sort(ls->rows, ls->n, sizeof *ls->rows, cmp_times);
}

struct letters_row *letters_find(const struct letters *ls, struct letter_id id)
{
    const struct letters_row key = { .id = id };
    return ls->n == 0 ? NULL : bsearch(&key, ls->rows, ls->n, sizeof key, cmp_rows);
}

/* Tries for room once: when all are open, the first ones stay. */
static bool make_room(struct letters *ls)
{
    if (ls->keep_all || ls->left_out > 0)
        return false;
    size_t open = 0;
    letters_fold(ls);
    for (size_t i = 0; i < ls->n; i++)
        if (ls->rows[i].state == LETTERS_OPEN)
            ls->rows[open++] = ls->rows[i];
    ls->n = open;
    return open < LETTERS_MAX;
}

static void grow(void **items, size_t *room, size_t n, size_t size)
{
    if (n < *room)
        return;
    *room = *room == 0 ? 64 : 2 * *room;
    *items = xrealloc(*items, *room * size);
}

static enum err add_mark(struct letters *ls, struct letter_id id, struct str resolution)
{
    if (ls->n_marks == LETTERS_MARKS_MAX)
        return ERR_FULL;
    bool retried = str_eq(resolution, str_of(state_names[LETTERS_RETRIED]));
    grow((void **)&ls->marks, &ls->marks_room, ls->n_marks, sizeof *ls->marks);
    ls->marks[ls->n_marks++] =
        (struct letters_mark){ id, retried ? LETTERS_RETRIED : LETTERS_DISCARDED };
    return ERR_OK;
}

enum err letters_add(struct letters *ls, struct letter_id id, int64_t when_ms,
                     const struct letter *l, size_t value_n)
{
    const struct str *f = l->field;
    struct letter_id resolves;
    if (letter_id_parse(&resolves, f[LETTER_RESOLVES]) == ERR_OK)
        return add_mark(ls, resolves, f[LETTER_RESOLUTION]);
    if (ls->n == LETTERS_MAX && !make_room(ls)) {
        ls->left_out++;
        return ERR_OK;
    }
    grow((void **)&ls->rows, &ls->room, ls->n, sizeof *ls->rows);
    struct letters_row *row = &ls->rows[ls->n++];
    *row = (struct letters_row){ .id = id, .when_ms = when_ms, .size = (int64_t)value_n };
    row->cut = f[LETTER_FULL_SIZE].p != NULL || f[LETTER_FULL_KEY_SIZE].p != NULL;
    if (f[LETTER_FULL_SIZE].p != NULL)
        (void)!str_to_i64(f[LETTER_FULL_SIZE], &row->size);
    (void)!str_copy(row->reason, sizeof row->reason, str_head(f[LETTER_REASON], 31));
    if (f[LETTER_TOPIC].p != NULL)
        (void)snprintf(row->source, sizeof row->source, STR_FMT "/" STR_FMT "/" STR_FMT,
                       STR_ARG(str_head(f[LETTER_TOPIC], 48)),
                       STR_ARG(str_head(f[LETTER_PARTITION], 12)),
                       STR_ARG(str_head(f[LETTER_OFFSET], 24)));
    return ERR_OK;
}

void letters_fini(struct letters *ls)
{
    free(ls->rows);
    free(ls->marks);
    *ls = (struct letters){ 0 };
}
