/* str.h - a borrowed piece of text or bytes, and strict readers for what people type.
 *
 * A view never owns and need not end in NUL; it is valid as long as what it points into.
 * The readers accept the whole view or nothing: no blanks, no sign unless said, no overflow.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct str {
    const char *p;
    size_t n;
};

#define S(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_NONE   ((struct str){ NULL, 0 })
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p == NULL ? "" : (s).p

struct str str_of(const char *cstr); /* NULL gives STR_NONE */
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII only */
int str_cmp(struct str a, struct str b);        /* byte order, shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_from(struct str s, size_t at); /* the rest from `at`; empty past the end */
struct str str_head(struct str s, size_t n);  /* at most the first n bytes */
struct str str_trim(struct str s);            /* without blanks, tabs and line ends around it */

/* Position of c, or -1. */
ptrdiff_t str_find(struct str s, char c);

/* Cuts at the first c: *head is before it, the rest stays in *s.  Without a c all goes to
 * *head and *s becomes empty.  False when *s was STR_NONE (nothing left). */
bool str_cut(struct str *s, char c, struct str *head);

/* Copies into a C string; ERR_TOOBIG leaves dst empty, ERR_INVAL for an inner NUL as well. */
MUSTUSE enum err str_copy(char *dst, size_t cap, struct str s);

/* Decimal digits only; ERR_INVAL or ERR_RANGE leave *out alone. */
MUSTUSE enum err str_to_u64(struct str s, uint64_t *out);
MUSTUSE enum err str_to_i64(struct str s, int64_t *out); /* one leading '-' allowed */
/* "250ms" "10s" "5m" "2h" "30d"; "0" needs no unit. */
MUSTUSE enum err str_to_ms(struct str s, int64_t *out_ms);
/* "512" "64KiB" "15MiB" "1GiB". */
MUSTUSE enum err str_to_bytes(struct str s, int64_t *out);

#endif
