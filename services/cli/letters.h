/* letters.h - what labelwire.dead holds: letters, and marks that say which were dealt with.  Pure.
 *
 *   letters_add() for every message, in any order, then letters_fold()
 *
 * Values are not kept.  When LETTERS_MAX are there, those dealt with make room for the next; of
 * what has no room, only the number is kept.
 */
#ifndef CLI_LETTERS_H
#define CLI_LETTERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "blob/letter.h"

#define LETTERS_MAX       100000U
#define LETTERS_MARKS_MAX 1000000U

enum letters_state { LETTERS_OPEN, LETTERS_RETRIED, LETTERS_DISCARDED };

struct letters_row {
    struct letter_id id;
    int64_t when_ms;             /* Kafka's time of the letter */
    int64_t size;                /* bytes of the value, as it was at the source */
    char reason[32], source[96]; /* source: "topic/partition/offset"; empty: not told */
    bool cut;                    /* key or value */
    enum letters_state state;
    bool chosen; /* the caller's */
};

struct letters_mark {
    struct letter_id id;
    enum letters_state state;
};

struct letters {
    struct letters_row *rows;
    struct letters_mark *marks;
    size_t n, n_marks, room, marks_room;
    bool keep_all;   /* also what is dealt with, when there are too many */
    size_t left_out; /* letters without room */
};

/* value_n: of the message.  ERR_FULL: more marks than can be told from letters still open. */
MUSTUSE enum err letters_add(struct letters *ls, struct letter_id id, int64_t when_ms,
                             const struct letter *l, size_t value_n);
/* Sets the states and sorts by id. */
void letters_fold(struct letters *ls);
/* After letters_fold() only; NULL: none. */
struct letters_row *letters_find(const struct letters *ls, struct letter_id id);
/* Oldest first; letters_find() does not work any more. */
void letters_sort_by_time(struct letters *ls);
void letters_fini(struct letters *ls);

const char *letters_state_name(enum letters_state s); /* "open", "retried", "discarded" */

#endif
