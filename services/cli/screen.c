#include "cli/screen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/safe.h"

#define COLUMNS_DEFAULT 80U
#define COLUMNS_MAX     512U
#define SAY_MAX         2048U

const struct conf_key screen_conf_keys[2] = {
    { "NO_COLOR", CONF_TEXT, offsetof(struct screen_conf, no_color), .def = "" },
    { "TERM", CONF_TEXT, offsetof(struct screen_conf, term), .def = "dumb" },
};

void screen_init(struct screen *s, const struct screen_conf *c)
{
    bool clever = strcmp(c->term, "dumb") != 0;
    *s = (struct screen){ .out_is_terminal = isatty(STDOUT_FILENO) == 1,
                          .err_is_terminal = clever && isatty(STDERR_FILENO) == 1 };
    s->colour = s->out_is_terminal && clever && c->no_color[0] == '\0';
}

bool screen_print(struct screen *s, const struct buf *text)
{
    screen_wipe(s);
    if (buf_failed(text)) {
        s->broken = true;
        screen_say(s, "the result is larger than %u MiB and is not shown", SCREEN_TEXT_MAX >> 20);
        return false;
    }
    if (text->n == 0 || (fwrite(text->p, 1, text->n, stdout) == text->n && fflush(stdout) == 0))
        return true;
    if (errno == EPIPE)
        return false;
    s->broken = true;
    screen_say(s, "standard output cannot be written: %s", strerror(errno));
    return false;
}

void screen_say(struct screen *s, const char *fmt, ...)
{
    struct buf line = BUF_INIT(2 * SAY_MAX);
    char text[SAY_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap); /* what does not fit is cut */
    va_end(ap);
    buf_puts(&line, "labelwire: ");
    safe_put(&line, n < 0 ? str_of(fmt) : str_of(text));
    buf_putc(&line, '\n');
    screen_wipe(s);
    (void)fwrite(line.p, 1, line.n, stderr);
    buf_fini(&line);
}

size_t screen_columns(const struct screen *s)
{
    struct winsize size;
    if (!s->err_is_terminal || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
        return COLUMNS_DEFAULT;
    return size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
}

void screen_status(struct screen *s, struct str line)
{
    if (!s->err_is_terminal)
        return;
    (void)fprintf(stderr, "\r" STR_FMT "\033[K", STR_ARG(line));
    (void)fflush(stderr);
    s->drawn = true;
}

void screen_wipe(struct screen *s)
{
    if (s->drawn)
        (void)fputs("\r\033[K", stderr);
    s->drawn = false;
}

void screen_paint(const struct screen *s, struct buf *out, enum paint paint, struct str text)
{
    static const char *const codes[] = {
        [PAINT_BOLD] = "\033[1m",   [PAINT_DIM] = "\033[2m",     [PAINT_RED] = "\033[31m",
        [PAINT_GREEN] = "\033[32m", [PAINT_YELLOW] = "\033[33m",
    };
    if (s->colour)
        buf_puts(out, codes[paint]);
    safe_put(out, text);
    if (s->colour)
        buf_puts(out, "\033[0m");
}
