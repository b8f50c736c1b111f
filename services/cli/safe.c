#include "cli/safe.h"

#include "base/enc.h"

#define NOT_UTF8 0xffffffffU

/* Takes the character that *rest begins with; a byte that begins none is taken alone. */
static struct str take_char(struct str *rest, uint32_t *point)
{
    static const unsigned char lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    size_t len = enc_utf8_len(*rest);
    struct str c = str_head(*rest, len == 0 ? 1 : len);
    *rest = str_from(*rest, c.n);
    *point = len == 0 ? NOT_UTF8 : (unsigned char)c.p[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++)
        *point = *point << 6 | ((unsigned char)c.p[i] & 0x3f);
    return c;
}

static bool drives_terminal(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x61c || point == 0x200e ||
           point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069);
}

static void put_char(struct buf *out, struct str c, uint32_t point)
{
    if (point == NOT_UTF8 || drives_terminal(point))
        buf_putc(out, '?');
    else
        buf_put(out, c);
}

void safe_put(struct buf *out, struct str text)
{
    uint32_t point;
    while (text.n > 0 && !buf_failed(out)) {
        struct str c = take_char(&text, &point);
        put_char(out, c, point);
    }
}

size_t safe_columns(struct str text)
{
    size_t n = 0;
    uint32_t point;
    for (; text.n > 0; n++)
        (void)take_char(&text, &point);
    return n;
}

void safe_put_column(struct buf *out, struct str text, size_t columns, bool fill)
{
    size_t need = safe_columns(text), n = 0;
    size_t whole = need <= columns ? need : columns > 0 ? columns - 1 : 0;
    uint32_t point;
    for (; n < whole; n++) {
        struct str c = take_char(&text, &point);
        put_char(out, c, point);
    }
    if (need > columns && n++ < columns)
        buf_puts(out, "\xe2\x80\xa6"); /* U+2026 */
    while (fill && n++ < columns)
        buf_putc(out, ' ');
}

void safe_put_json(struct buf *out, struct str json, bool for_terminal)
{
    uint32_t point;
    while (json.n > 0 && !buf_failed(out)) {
        struct str c = take_char(&json, &point);
        if (point == '\n' || point == '\r' || point == '\t') /* in a string they are escaped */
            buf_putc(out, ' ');
        else if (for_terminal && point != NOT_UTF8 && drives_terminal(point))
            buf_printf(out, "\\u%04x", (unsigned)point);
        else
            buf_put(out, c);
    }
}
