#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/enc.h"

void buf_init(struct buf *b, size_t cap)
{
    *b = BUF_INIT(cap);
}

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = BUF_INIT(b->cap);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p != NULL)
        b->p[0] = '\0';
}

bool buf_failed(const struct buf *b)
{
    return b->failed;
}

struct str buf_str(const struct buf *b)
{
    return (struct str){ b->p == NULL ? "" : b->p, b->n };
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->failed || n > b->cap - b->n || n >= SIZE_MAX - b->n) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->n + n + 1;
    if (need > b->room) {
        size_t room = b->room < 128 ? 128 : b->room * 2;
        if (room < need)
            room = need;
        if (room - 1 > b->cap)
            room = b->cap + 1;
        char *p = realloc(b->p, room);
        if (p == NULL) {
            b->failed = true;
            return NULL;
        }
        b->p = p;
        b->room = room;
    }
    return b->p + b->n;
}

void buf_grew(struct buf *b, size_t n)
{
    assert(b->n + n < b->room);
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_put(struct buf *b, struct str s)
{
    char *at = buf_reserve(b, s.n);
    if (at == NULL)
        return;
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    buf_grew(b, s.n);
}

void buf_puts(struct buf *b, const char *cstr)
{
    buf_put(b, str_of(cstr));
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, (struct str){ &c, 1 });
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *at = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (at != NULL) {
        (void)vsnprintf(at, (size_t)n + 1, fmt, again);
        buf_grew(b, (size_t)n);
    }
    va_end(again);
}

void buf_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    buf_put(b, (struct str){ digits + at, sizeof digits - at });
}

void buf_json(struct buf *b, struct str s)
{
    buf_putc(b, '"');
    size_t from = 0, i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        size_t len = c < 0x80 ? 1 : enc_utf8_len(str_from(s, i));
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && len > 0) {
            i += len;
            continue;
        }
        buf_put(b, str_head(str_from(s, from), i - from));
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c == '\n')
            buf_puts(b, "\\n");
        else if (len > 0)
            buf_printf(b, "\\u%04x", c);
        else
            buf_puts(b, "\\ufffd");
        from = ++i;
    }
    buf_put(b, str_from(s, from));
    buf_putc(b, '"');
}
