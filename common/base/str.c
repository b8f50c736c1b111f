#include "base/str.h"

#include <string.h>

struct str str_of(const char *cstr)
{
    return cstr == NULL ? STR_NONE : (struct str){ cstr, strlen(cstr) };
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Not strncasecmp(): that one stops at a NUL and asks the locale. */
bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_head(s, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

struct str str_from(struct str s, size_t at)
{
    return at >= s.n ? (struct str){ s.p, 0 } : (struct str){ s.p + at, s.n - at };
}

struct str str_head(struct str s, size_t n)
{
    return (struct str){ s.p, n < s.n ? n : s.n };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0]))
        s = str_from(s, 1);
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);
    return at == NULL ? -1 : at - s.p;
}

bool str_cut(struct str *s, char c, struct str *head)
{
    if (s->p == NULL)
        return false;
    ptrdiff_t at = str_find(*s, c);
    if (at < 0) {
        *head = *s;
        *s = STR_NONE;
    } else {
        *head = str_head(*s, (size_t)at);
        *s = (struct str){ s->p + at + 1, s->n - (size_t)at - 1 };
    }
    return true;
}

enum err str_copy(char *dst, size_t cap, struct str s)
{
    dst[0] = '\0';
    if (s.n >= cap)
        return ERR_TOOBIG;
    if (str_find(s, '\0') >= 0)
        return ERR_INVAL;
    if (s.n > 0)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return ERR_OK;
}

enum err str_to_u64(struct str s, uint64_t *out)
{
    if (s.n == 0)
        return ERR_INVAL;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return ERR_INVAL;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return ERR_RANGE;
        v = v * 10 + digit;
    }
    *out = v;
    return ERR_OK;
}

enum err str_to_i64(struct str s, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    enum err e = str_to_u64(negative ? str_from(s, 1) : s, &v);
    if (e != ERR_OK)
        return e;
    if (v > (uint64_t)INT64_MAX + negative)
        return ERR_RANGE;
    *out = (int64_t)(negative ? 0 - v : v);
    return ERR_OK;
}

struct unit {
    struct str suffix;
    int64_t factor;
};

/* The first suffix that fits decides, so longer ones come first in the tables. */
static enum err read_with_unit(struct str s, const struct unit *units, size_t n, int64_t *out)
{
    for (size_t i = 0; i < n; i++) {
        if (!str_ends(s, units[i].suffix))
            continue;
        uint64_t v;
        enum err e = str_to_u64(str_head(s, s.n - units[i].suffix.n), &v);
        if (e != ERR_OK)
            return e;
        if (v > (uint64_t)(INT64_MAX / units[i].factor))
            return ERR_RANGE;
        *out = (int64_t)v * units[i].factor;
        return ERR_OK;
    }
    return ERR_INVAL;
}

enum err str_to_ms(struct str s, int64_t *out_ms)
{
    static const struct unit units[] = {
        { { "ms", 2 }, 1 },      { { "s", 1 }, 1000 },     { { "m", 1 }, 60000 },
        { { "h", 1 }, 3600000 }, { { "d", 1 }, 86400000 },
    };
    if (str_eq(s, S("0"))) {
        *out_ms = 0;
        return ERR_OK;
    }
    return read_with_unit(s, units, N_OF(units), out_ms);
}

enum err str_to_bytes(struct str s, int64_t *out)
{
    static const struct unit units[] = { { { "KiB", 3 }, 1024 },
                                         { { "MiB", 3 }, 1 << 20 },
                                         { { "GiB", 3 }, 1 << 30 },
                                         { { "", 0 }, 1 } };
    return read_with_unit(s, units, N_OF(units), out);
}
