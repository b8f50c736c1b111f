/* screen.h - the two streams a person looks at: results on standard output, the rest on standard
 * error.
 *
 * The status line is one line on standard error that is drawn over and over; it exists only on a
 * terminal and is wiped before anything else is written.
 * Thread   one.
 */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/str.h"

#define SCREEN_TEXT_MAX (8U << 20) /* of one result */

struct screen_conf {
    char *no_color, *term;
};
extern const struct conf_key screen_conf_keys[2];
/* Without a title: --help of the program tells them once. */
#define SCREEN_CONF_GROUP(type, member)                                                            \
    { NULL, screen_conf_keys, N_OF(screen_conf_keys), offsetof(type, member) }

struct screen {
    bool out_is_terminal; /* results are read by a person */
    bool err_is_terminal; /* there is a status line */
    bool colour;          /* results may be coloured */
    bool drawn;           /* the status line is on the screen */
    bool broken;          /* a result was lost, and not because its reader left */
};

void screen_init(struct screen *s, const struct screen_conf *c);

/* Writes a result at once.  False: it could not be written and what comes next cannot either;
 * standard error has the reason, but for a reader that had enough and left. */
MUSTUSE bool screen_print(struct screen *s, const struct buf *text);

/* One line "labelwire: ..." on standard error; what drives a terminal is taken out. */
void screen_say(struct screen *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

size_t screen_columns(const struct screen *s);         /* of the status line */
void screen_status(struct screen *s, struct str line); /* safe text that fits */
void screen_wipe(struct screen *s);

enum paint { PAINT_BOLD, PAINT_DIM, PAINT_RED, PAINT_GREEN, PAINT_YELLOW };
/* Appends safe text, coloured when results are. */
void screen_paint(const struct screen *s, struct buf *out, enum paint paint, struct str text);

#endif
