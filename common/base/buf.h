/* buf.h - bytes that grow up to a cap chosen where the buffer is born.
 *
 * Appends never report: once the cap is met (or memory ends) the buffer is failed and stays
 * so, and one buf_failed() at the end tells.  A failed buffer keeps what it had.
 *
 * Memory   the caller owns the struct and calls buf_fini(); views into it die with the next
 *          append.  The bytes are always followed by a NUL that is not counted.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t n;    /* bytes used */
    size_t room; /* bytes allocated */
    size_t cap;  /* most bytes it may hold */
    bool failed;
};

#define BUF_INIT(max) ((struct buf){ .cap = (max) })

void buf_init(struct buf *b, size_t cap);
void buf_fini(struct buf *b);  /* safe on a zeroed struct, and twice */
void buf_clear(struct buf *b); /* empty and not failed; keeps its memory */
bool buf_failed(const struct buf *b);
struct str buf_str(const struct buf *b); /* borrowed */

void buf_put(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *cstr);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_u64(struct buf *b, uint64_t v);

/* Room for n more bytes at the end, to be filled by the caller, who then calls buf_grew().
 * NULL (and failed) when that would pass the cap. */
char *buf_reserve(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);

/* A JSON string with its quotes.  Bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, struct str s);

#endif
