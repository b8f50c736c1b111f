/* safe.h - text that others wrote, made harmless for a terminal.  Pure.
 *
 * A file name, a label or an event may hold bytes that move the cursor, recolour the screen or
 * turn the reading direction, and so show something that is not there.
 *
 * Source   ECMA-48 (C0 and C1 control characters, DEL); Unicode UAX 9 (bidirectional controls).
 */
#ifndef CLI_SAFE_H
#define CLI_SAFE_H

#include "base/buf.h"
#include "base/str.h"

/* Appends the text with a '?' for every character that drives a terminal and for every byte that
 * is not UTF-8. */
void safe_put(struct buf *out, struct str text);
/* The same, cut to `columns` characters (an ellipsis ends a cut text) and filled up to them when
 * `fill`. */
void safe_put_column(struct buf *out, struct str text, size_t columns, bool fill);
/* Columns that safe_put() needs, with every character one column wide. */
size_t safe_columns(struct str text);

/* Appends JSON on one line: line ends between its tokens become blanks.  for_terminal: characters
 * that drive one become \uXXXX, which is the same JSON in other bytes. */
void safe_put_json(struct buf *out, struct str json, bool for_terminal);

#endif
