#include "cli/progress.h"

#include "cli/safe.h"

#define DRAW_US        100000 /* ten times a second is smooth enough */
#define BAR            20U
#define LINE_MAX_BYTES 4096U

void progress_begin(struct progress *p, struct screen *s, struct str file)
{
    *p = (struct progress){ .screen = s, .file = file, .what = "starting", .began = mono_now() };
}

static bool is_time(struct progress *p)
{
    mono_t now = mono_now();
    if (!p->screen->err_is_terminal || (p->drawn.ns != 0 && mono_since_us(now, p->drawn) < DRAW_US))
        return false;
    p->drawn = now;
    return true;
}

/* "cat.jpg  " in front of what is told, as far as the line has room. */
static void draw(struct progress *p, struct str told)
{
    struct buf line = BUF_INIT(LINE_MAX_BYTES);
    size_t columns = screen_columns(p->screen) - 1, need = safe_columns(told) + 2;
    if (columns > need + 3) {
        safe_put_column(&line, p->file, columns - need, false);
        buf_puts(&line, "  ");
    }
    safe_put_column(&line, told, columns, false);
    screen_status(p->screen, buf_str(&line));
    buf_fini(&line);
}

static void put_size(struct buf *out, uint64_t bytes)
{
    if (bytes < 1024)
        buf_printf(out, "%u B", (unsigned)bytes);
    else if (bytes < 1024 * 1024)
        buf_printf(out, "%.1f KiB", (double)bytes / 1024);
    else
        buf_printf(out, "%.1f MiB", (double)bytes / 1024 / 1024);
}

void progress_upload(struct httpc_req *rq, uint64_t sent, uint64_t total)
{
    struct progress *p = rq->owner;
    if (total == 0 || sent > total || (sent < total && !is_time(p)) || !p->screen->err_is_terminal)
        return;
    struct buf told = BUF_INIT(256);
    uint64_t full = BAR * sent / total;
    buf_putc(&told, '[');
    for (uint64_t i = 0; i < BAR; i++)
        buf_putc(&told, i < full ? '#' : '-');
    buf_printf(&told, "] %3u %%  ", (unsigned)(100 * sent / total));
    put_size(&told, sent);
    buf_puts(&told, " of ");
    put_size(&told, total);
    draw(p, buf_str(&told));
    buf_fini(&told);
}

void progress_wait(void *progress)
{
    static const char frames[] = "|/-\\";
    struct progress *p = progress;
    if (!is_time(p))
        return;
    int64_t tenths = mono_since_us(p->drawn, p->began) / 100000;
    struct buf told = BUF_INIT(256);
    buf_printf(&told, "%c %s  %lld.%lld s", frames[tenths % 4], p->what, (long long)(tenths / 10),
               (long long)(tenths % 10));
    draw(p, buf_str(&told));
    buf_fini(&told);
}
