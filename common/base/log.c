#include "base/log.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define LINE_MAX_BYTES  8192U
#define VALUE_MAX_BYTES 1024U

static struct {
    const char *service;
    enum log_level least;
} sink = { "?", LOG_INFO };

void log_open(const char *service, enum log_level least)
{
    sink.service = service;
    sink.least = least;
}

bool log_wants(enum log_level level)
{
    return level >= sink.least;
}

static void put_field(struct buf *line, const struct log_field *f)
{
    buf_putc(line, ',');
    buf_json(line, str_of(f->name));
    buf_putc(line, ':');
    if (f->type == LOG_FIELD_INT)
        buf_printf(line, "%lld", (long long)f->number);
    else
        buf_json(line, str_head(f->text, VALUE_MAX_BYTES));
}

void log_write(enum log_level level, const char *src, int line_no, const char *event,
               const struct log_field *fields, size_t n)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    const char *base = strrchr(src, '/');
    char ts[CLOCK_RFC3339_LEN + 1];
    wall_to_rfc3339(wall_now(), ts);
    struct buf line = BUF_INIT(LINE_MAX_BYTES);
    buf_printf(
        &line,
        "{\"ts\":\"%s\",\"level\":\"%s\",\"service\":\"%s\",\"event\":\"%s\",\"src\":\"%s:%d\"", ts,
        levels[level], sink.service, event, base == NULL ? src : base + 1, line_no);
    for (size_t i = 0; i < n; i++)
        put_field(&line, &fields[i]);
    buf_puts(&line, "}\n");
    struct str out = buf_failed(&line)
                         ? S("{\"level\":\"error\",\"event\":\"log.line_too_long\"}\n")
                         : buf_str(&line);
    /* A full disk or a closed pipe must not stop the service: the line is dropped. */
    ssize_t written = write(STDOUT_FILENO, out.p, out.n);
    (void)written;
    buf_fini(&line);
}

bool log_once_a_minute(mono_t *next)
{
    mono_t now = mono_now();
    if (mono_until_ms(now, *next) > 0)
        return false;
    *next = mono_after_ms(now, 60000);
    return true;
}
