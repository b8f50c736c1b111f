#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/enc.h"

struct scan {
    struct str text;
    size_t at;
    unsigned depth;
    struct errbuf *eb;
};

static enum err bad(struct scan *s, const char *want)
{
    return errbuf_set(s->eb, ERR_INVAL, "not JSON: expected %s at byte %zu", want, s->at);
}

static char peek(const struct scan *s)
{
    return s->at < s->text.n ? s->text.p[s->at] : '\0';
}

static bool take(struct scan *s, char c)
{
    if (s->at >= s->text.n || s->text.p[s->at] != c)
        return false;
    s->at++;
    return true;
}

static void skip_blanks(struct scan *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
        s->at++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum err scan_number(struct scan *s)
{
    (void)take(s, '-');
    if (!is_digit(peek(s)))
        return bad(s, "a digit");
    if (!take(s, '0'))
        while (is_digit(peek(s)))
            s->at++;
    if (take(s, '.')) {
        if (!is_digit(peek(s)))
            return bad(s, "a digit after the point");
        while (is_digit(peek(s)))
            s->at++;
    }
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            (void)take(s, '-');
        if (!is_digit(peek(s)))
            return bad(s, "a digit in the exponent");
        while (is_digit(peek(s)))
            s->at++;
    }
    return ERR_OK;
}

/* Value of the four hex digits at p, or -1. */
static int hex4(struct str s)
{
    int v = 0;
    if (s.n < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        char c = s.p[i];
        int d = is_digit(c)            ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* Reads the escape that s begins with ("\n", "\u00e9", a surrogate pair).  Returns its length
 * in the text, 0 when it is none; *point is the character. */
static size_t read_escape(struct str s, uint32_t *point)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (s.n < 2)
        return 0;
    const char *at = s.p[1] == '\0' ? NULL : strchr(names, s.p[1]);
    if (at != NULL) {
        *point = (uint32_t)values[at - names];
        return 2;
    }
    int high = s.p[1] == 'u' ? hex4(str_from(s, 2)) : -1;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    if (high < 0xd800 || high > 0xdbff) {
        *point = (uint32_t)high;
        return 6;
    }
    struct str second = str_from(s, 6);
    int low = str_starts(second, S("\\u")) ? hex4(str_from(second, 2)) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *point = 0x10000U + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

static enum err scan_string(struct scan *s)
{
    if (!take(s, '"'))
        return bad(s, "a string");
    while (s->at < s->text.n) {
        unsigned char c = (unsigned char)s->text.p[s->at];
        if (c == '"') {
            s->at++;
            return ERR_OK;
        }
        if (c >= 0x20 && c < 0x80 && c != '\\') {
            s->at++;
            continue;
        }
        struct str rest = str_from(s->text, s->at);
        uint32_t point;
        size_t len = c == '\\' ? read_escape(rest, &point) : c < 0x20 ? 0 : enc_utf8_len(rest);
        if (len == 0)
            return bad(s, c == '\\' ? "a valid escape" : "UTF-8 without control characters");
        s->at += len;
    }
    return bad(s, "the closing quote");
}

static enum err scan_value(struct scan *s);

static enum err scan_container(struct scan *s, char open, char close)
{
    if (++s->depth > JSON_DEPTH_MAX)
        return errbuf_set(s->eb, ERR_TOOBIG, "JSON nests deeper than %u levels", JSON_DEPTH_MAX);
    s->at++;
    skip_blanks(s);
    bool more = !take(s, close);
    while (more) {
        enum err e = ERR_OK;
        skip_blanks(s);
        if (open == '{') {
            e = scan_string(s);
            skip_blanks(s);
            if (e == ERR_OK && !take(s, ':'))
                return bad(s, "':'");
        }
        if (e == ERR_OK)
            e = scan_value(s);
        if (e != ERR_OK)
            return e;
        skip_blanks(s);
        more = take(s, ',');
        if (!more && !take(s, close))
            return bad(s, open == '{' ? "',' or '}'" : "',' or ']'");
    }
    s->depth--;
    return ERR_OK;
}

static enum err scan_word(struct scan *s, struct str word)
{
    if (!str_starts(str_from(s->text, s->at), word))
        return bad(s, "a value");
    s->at += word.n;
    return ERR_OK;
}

static enum err scan_value(struct scan *s)
{
    skip_blanks(s);
    switch (peek(s)) {
    case '{':
        return scan_container(s, '{', '}');
    case '[':
        return scan_container(s, '[', ']');
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, S("true"));
    case 'f':
        return scan_word(s, S("false"));
    case 'n':
        return scan_word(s, S("null"));
    default:
        if (peek(s) == '-' || is_digit(peek(s)))
            return scan_number(s);
        return bad(s, "a value");
    }
}

static struct json view(struct str raw)
{
    enum json_type type = JSON_NUMBER;
    switch (raw.n == 0 ? 'n' : raw.p[0]) {
    case '{':
        type = JSON_OBJECT;
        break;
    case '[':
        type = JSON_ARRAY;
        break;
    case '"':
        type = JSON_STRING;
        break;
    case 't':
        type = JSON_TRUE;
        break;
    case 'f':
        type = JSON_FALSE;
        break;
    case 'n':
        type = JSON_NULL;
        break;
    default:
        break;
    }
    return (struct json){ type, raw };
}

enum err json_parse(struct json *root, struct str text, struct errbuf *eb)
{
    struct scan s = { .text = text, .eb = eb };
    enum err e = scan_value(&s);
    size_t end = s.at;
    skip_blanks(&s);
    if (e == ERR_OK && s.at != text.n)
        e = bad(&s, "the end");
    *root = e == ERR_OK ? view(str_trim(str_head(text, end))) : view(STR_NONE);
    return e;
}

const char *json_type_name(enum json_type t)
{
    static const char *const names[] = { "null",     "false",    "true",     "a number",
                                         "a string", "an array", "an object" };
    return names[t];
}

/* The value that s begins with; the text was checked, so this only measures. */
static struct str value_at(struct str s)
{
    struct scan scan = { .text = s };
    if (scan_value(&scan) != ERR_OK)
        return STR_NONE;
    return str_trim(str_head(s, scan.at));
}

static struct str skip(struct str s, struct str past)
{
    return str_trim((struct str){ past.p + past.n, (size_t)(s.p + s.n - (past.p + past.n)) });
}

struct json_iter json_iter(struct json v)
{
    if (v.type != JSON_ARRAY && v.type != JSON_OBJECT)
        return (struct json_iter){ STR_NONE, false };
    struct str inside = str_trim((struct str){ v.raw.p + 1, v.raw.n - 2 });
    return (struct json_iter){ inside, v.type == JSON_OBJECT };
}

bool json_next(struct json_iter *it, struct json *key, struct json *value)
{
    if (it->rest.n == 0)
        return false;
    *key = view(STR_NONE);
    if (it->in_object) {
        *key = view(value_at(it->rest));
        it->rest = str_trim(str_from(skip(it->rest, key->raw), 1)); /* past ':' */
    }
    *value = view(value_at(it->rest));
    it->rest = str_trim(str_from(skip(it->rest, value->raw), 1)); /* past ',' */
    return true;
}

bool json_get(struct json v, struct str name, struct json *out)
{
    struct json_iter it = json_iter(v.type == JSON_OBJECT ? v : view(STR_NONE));
    struct json key;
    while (json_next(&it, &key, out))
        if (json_is(key, name))
            return true;
    *out = view(STR_NONE);
    return false;
}

/* Takes one character of a checked string's inside: its bytes go to utf8.  Returns how many. */
static size_t next_char(struct str *inside, char utf8[4])
{
    uint32_t c = 0;
    if (inside->p[0] != '\\') {
        size_t len = enc_utf8_len(*inside);
        memcpy(utf8, inside->p, len);
        *inside = str_from(*inside, len);
        return len;
    }
    *inside = str_from(*inside, read_escape(*inside, &c));
    if (c < 0x80) {
        utf8[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        utf8[i] = (char)(0x80 | (c & 0x3f));
    utf8[0] = (char)(lead[len] | c);
    return len;
}

static struct str inside(struct json v)
{
    return (struct str){ v.raw.p + 1, v.raw.n - 2 };
}

bool json_is(struct json v, struct str s)
{
    if (v.type != JSON_STRING)
        return false;
    struct str rest = inside(v);
    while (rest.n > 0) {
        char utf8[4] = { 0 };
        struct str c = { utf8, next_char(&rest, utf8) };
        if (!str_starts(s, c))
            return false;
        s = str_from(s, c.n);
    }
    return s.n == 0;
}

void json_text(struct buf *out, struct json v)
{
    struct str rest = v.type == JSON_STRING ? inside(v) : STR_NONE;
    while (rest.n > 0 && !buf_failed(out)) {
        ptrdiff_t escape = str_find(rest, '\\');
        size_t plain = escape < 0 ? rest.n : (size_t)escape;
        buf_put(out, str_head(rest, plain));
        rest = str_from(rest, plain);
        char utf8[4];
        if (rest.n > 0)
            buf_put(out, (struct str){ utf8, next_char(&rest, utf8) });
    }
}

enum err json_copy(char *dst, size_t cap, struct json v)
{
    dst[0] = '\0';
    if (v.type != JSON_STRING)
        return ERR_INVAL;
    struct buf text = BUF_INIT(cap - 1);
    json_text(&text, v);
    enum err e = buf_failed(&text) ? ERR_TOOBIG : str_copy(dst, cap, buf_str(&text));
    buf_fini(&text);
    return e;
}

enum err json_to_i64(struct json v, int64_t *out)
{
    return v.type == JSON_NUMBER ? str_to_i64(v.raw, out) : ERR_INVAL;
}

enum err json_to_double(struct json v, double *out)
{
    char text[64];
    if (v.type != JSON_NUMBER)
        return ERR_INVAL;
    if (str_copy(text, sizeof text, v.raw) != ERR_OK)
        return ERR_RANGE;
    *out = strtod(text, NULL);
    return isfinite(*out) ? ERR_OK : ERR_RANGE;
}
