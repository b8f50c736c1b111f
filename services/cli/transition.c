#include "cli/transition.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/safe.h"

#define FIELD_MAX_BYTES 512U
#define ID_COLUMNS      8U
#define NAME_COLUMNS    24U /* recognition.asked_again */
#define PHASE_COLUMNS   11U /* recognizing */
#define STATUS_COLUMNS  18U /* waiting-for-upload; the longer ones are rare */

/* The decoded text of a member into *out, which is cleared before. */
static struct str read_text(struct buf *out, struct json object, struct str name)
{
    struct json v;
    buf_clear(out);
    if (json_get(object, name, &v))
        json_text(out, v);
    return out->n > 0 ? buf_str(out) : S("-");
}

/* "2026-11-21T02:48:27.123Z", the form that our events have: without its signs it is the form
 * that base/clock.h reads, but for the milliseconds. */
static bool read_time(struct str s, wall_t *out)
{
    char basic[CLOCK_AMZ_LEN + 1];
    size_t n = 0;
    uint64_t ms;
    if (s.n != CLOCK_RFC3339_LEN || s.p[19] != '.' || s.p[23] != 'Z' ||
        str_to_u64((struct str){ s.p + 20, 3 }, &ms) != ERR_OK)
        return false;
    for (size_t i = 0; i < 19 && n < CLOCK_AMZ_LEN; i++)
        if (s.p[i] != '-' && s.p[i] != ':')
            basic[n++] = s.p[i];
    basic[n++] = 'Z';
    if (wall_from_amz((struct str){ basic, n }, out) != ERR_OK)
        return false;
    out->ms += (int64_t)ms;
    return true;
}

static void put_time(struct buf *out, const struct screen *s, wall_t t)
{
    time_t seconds = (time_t)(t.ms / 1000);
    struct tm tm = { 0 };
    struct buf text = BUF_INIT(64);
    (void)localtime_r(&seconds, &tm);
    buf_printf(&text, "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(t.ms % 1000));
    screen_paint(s, out, PAINT_DIM, buf_str(&text));
    buf_fini(&text);
}

/* What went well is green, what went wrong for good red, what is tried again yellow. */
static void put_name(struct buf *out, const struct screen *s, struct str name)
{
    static const struct {
        const char *end;
        enum paint paint;
    } paints[] = {
        { "labels.saved", PAINT_GREEN },     { "delivery.done", PAINT_GREEN },
        { ".timed_out", PAINT_RED },         { ".gave_up", PAINT_RED },
        { "recognition.failed", PAINT_RED }, { ".failed", PAINT_YELLOW },
        { ".postponed", PAINT_YELLOW },      { ".parked", PAINT_YELLOW },
        { ".lease_ended", PAINT_YELLOW },
    };
    struct buf padded = BUF_INIT(FIELD_MAX_BYTES * 2);
    safe_put_column(&padded, name, NAME_COLUMNS, true);
    size_t i = 0;
    while (i < N_OF(paints) && !str_ends(name, str_of(paints[i].end)))
        i++;
    if (i < N_OF(paints))
        screen_paint(s, out, paints[i].paint, buf_str(&padded));
    else
        buf_put(out, buf_str(&padded));
    buf_fini(&padded);
}

enum err transition_put(struct buf *out, const struct screen *s, struct str event, int64_t kafka_ms,
                        struct errbuf *eb)
{
    struct buf text = BUF_INIT(FIELD_MAX_BYTES);
    struct json root, data;
    enum err e = json_parse(&root, event, eb);
    if (e != ERR_OK)
        return ERR_INVAL;
    (void)json_get(root, S("data"), &data);
    wall_t when = { kafka_ms < 0 ? 0 : kafka_ms }, said;
    if (read_time(read_text(&text, root, S("time")), &said))
        when = said;
    put_time(out, s, when);
    buf_puts(out, "  ");
    struct str id = str_head(read_text(&text, root, S("subject")), ID_COLUMNS);
    safe_put_column(out, id, ID_COLUMNS, true);
    buf_puts(out, "  ");
    struct str name = read_text(&text, root, S("type"));
    put_name(out, s, str_starts(name, S("labelwire.")) ? str_from(name, 10) : name);
    buf_puts(out, "  ");
    safe_put_column(out, read_text(&text, data, S("phase")), PHASE_COLUMNS, true);
    buf_puts(out, "  ");
    struct json code;
    struct str status = read_text(&text, data, S("status"));
    bool has_code = json_get(data, S("code"), &code);
    safe_put_column(out, status, has_code && status.n < STATUS_COLUMNS ? STATUS_COLUMNS : status.n,
                    has_code);
    if (has_code) {
        buf_puts(out, "  ");
        screen_paint(s, out, PAINT_YELLOW, read_text(&text, data, S("code")));
    }
    buf_putc(out, '\n');
    buf_fini(&text);
    return ERR_OK;
}
