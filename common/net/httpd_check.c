#include "net/httpd_check.h"

#include <assert.h>

/* Use: return refuse(no, 413, "body_too_large", errbuf_set(&no->detail, ERR_TOOBIG, "…")); */
static enum err refuse(struct httpd_refusal *no, int status, const char *code, enum err e)
{
    no->status = status;
    no->code = code;
    return e;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Letters, digits and the given others only, 1 to max bytes. */
static bool is_word(struct str s, size_t max, struct str others)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && str_find(others, s.p[i]) < 0)
            return false;
    return s.n > 0 && s.n <= max;
}

/* ---- headers ----------------------------------------------------------------------------- */

struct census {
    struct str length, type, expect, encoding;
    unsigned hosts, lengths, types;
    bool transfer_encoding;
};

static void count_header(struct census *s, struct httpd_facts *f, const struct http_hdr *h)
{
    struct str name = str_of(h->name);
    struct str value = str_trim(h->value);
    switch (name.n) { /* the length alone rules out most headers */
    case 4:
        s->hosts += str_eq_nocase(name, S("host"));
        break;
    case 6:
        if (str_eq_nocase(name, S("expect")))
            s->expect = value;
        break;
    case 12:
        if (str_eq_nocase(name, S("content-type"))) {
            s->types++;
            s->type = value;
        } else if (str_eq_nocase(name, S("x-request-id")) && f->request_id.n == 0 &&
                   is_word(value, HTTPD_REQUEST_ID_MAX, S("._-"))) {
            f->request_id = value;
        }
        break;
    case 14:
        if (str_eq_nocase(name, S("content-length"))) {
            s->lengths++;
            s->length = value;
        }
        break;
    case 16:
        if (str_eq_nocase(name, S("content-encoding")) && !str_eq_nocase(value, S("identity")))
            s->encoding = value;
        break;
    case 17:
        s->transfer_encoding |= str_eq_nocase(name, S("transfer-encoding"));
        break;
    case 30:
        if (str_eq_nocase(name, S("access-control-request-headers")) &&
            is_word(value, 512, S("-_, ")))
            f->cors_headers = value;
        break;
    default:
        break;
    }
}

static enum err check_sizes(const struct httpd_head *h, struct httpd_refusal *no)
{
    if (h->path.n + h->query.n > HTTPD_TARGET_BYTES)
        return refuse(no, 414, "uri_too_long",
                      errbuf_set(&no->detail, ERR_TOOBIG,
                                 "path and query together may have %u bytes", HTTPD_TARGET_BYTES));
    if (h->n_hdrs > HTTPD_HEADERS_MAX)
        return refuse(no, 431, "too_many_headers",
                      errbuf_set(&no->detail, ERR_TOOBIG, "a request may have %u header lines",
                                 HTTPD_HEADERS_MAX));
    for (size_t i = 0; i < h->n_hdrs; i++)
        if (h->hdrs[i].value.n > HTTPD_HEADER_BYTES)
            return refuse(no, 431, "header_too_large",
                          errbuf_set(&no->detail, ERR_TOOBIG,
                                     "the value of header %.64s may have %u bytes", h->hdrs[i].name,
                                     HTTPD_HEADER_BYTES));
    return ERR_OK;
}

/* A proxy in front of us may read a doubtful length in another way: none is accepted. */
static enum err check_framing(const struct census *s, struct httpd_facts *f,
                              struct httpd_refusal *no)
{
    f->chunked = s->transfer_encoding;
    if (f->chunked)
        return refuse(no, 411, "length_required",
                      errbuf_set(&no->detail, ERR_INVAL,
                                 "Transfer-Encoding is not supported; send Content-Length"));
    if (s->lengths == 0)
        return ERR_OK;
    enum err e = s->lengths > 1 ? ERR_INVAL : str_to_u64(s->length, &f->length);
    if (e == ERR_INVAL)
        return refuse(no, 400, "bad_content_length",
                      errbuf_set(&no->detail, ERR_INVAL,
                                 "Content-Length must be sent once and be decimal digits"));
    if (e == ERR_RANGE)
        f->length = UINT64_MAX;
    f->has_length = true;
    return ERR_OK;
}

static enum err check_rest(const struct census *s, const struct httpd_head *h,
                           struct httpd_facts *f, struct httpd_refusal *no)
{
    if (s->hosts > 1 || (s->hosts == 0 && !h->http_10))
        return refuse(no, 400, "bad_host",
                      errbuf_set(&no->detail, ERR_INVAL, "Host must be sent exactly once"));
    if (h->path.n == 0 || h->path.p[0] != '/')
        return refuse(no, 400, "bad_target",
                      errbuf_set(&no->detail, ERR_INVAL, "the request target must begin with /"));
    if (s->types > 1)
        return refuse(no, 400, "bad_content_type",
                      errbuf_set(&no->detail, ERR_INVAL, "Content-Type must be sent once"));
    if (s->expect.p != NULL && !str_eq_nocase(s->expect, S("100-continue")))
        return refuse(no, 417, "expectation_failed",
                      errbuf_set(&no->detail, ERR_INVAL,
                                 "100-continue is the only Expect that is supported"));
    f->wants_continue = s->expect.p != NULL && !h->http_10;
    if (s->encoding.p != NULL)
        return refuse(no, 415, "unsupported_content_encoding",
                      errbuf_set(&no->detail, ERR_INVAL,
                                 "Content-Encoding is not supported; send the body as it is"));
    return ERR_OK;
}

enum err httpd_check_head(const struct httpd_head *h, struct httpd_facts *f,
                          struct httpd_refusal *no)
{
    *f = (struct httpd_facts){ 0 };
    struct census s = { 0 };
    for (size_t i = 0; i < h->n_hdrs; i++)
        count_header(&s, f, &h->hdrs[i]);
    f->content_type = s.type;
    enum err e = check_sizes(h, no);
    if (e == ERR_OK)
        e = check_framing(&s, f, no);
    return e == ERR_OK ? check_rest(&s, h, f, no) : e;
}

/* ---- body -------------------------------------------------------------------------------- */

static bool is_json(struct str type)
{
    struct str part;
    if (!str_cut(&type, ';', &part) || !str_eq_nocase(str_trim(part), S("application/json")))
        return false;
    while (str_cut(&type, ';', &part)) {
        struct str name;
        str_cut(&part, '=', &name);
        if (str_eq_nocase(str_trim(name), S("charset")) &&
            !str_eq_nocase(str_trim(part), S("utf-8")) &&
            !str_eq_nocase(str_trim(part), S("\"utf-8\"")))
            return false;
    }
    return true;
}

static bool needs_length(struct str method)
{
    return str_eq(method, S("POST")) || str_eq(method, S("PUT")) || str_eq(method, S("PATCH"));
}

enum err httpd_check_body(const struct httpd_head *h, const struct httpd_facts *f,
                          const struct http_route *route, struct httpd_refusal *no)
{
    if (!f->has_length && needs_length(h->method) && !(route->flags & HTTP_LENGTH_OPTIONAL))
        return refuse(no, 411, "length_required",
                      errbuf_set(&no->detail, ERR_INVAL, "Content-Length is required"));
    if (f->length > route->max_body)
        return refuse(no, 413, "body_too_large",
                      errbuf_set(&no->detail, ERR_TOOBIG, "the body may have %u bytes here",
                                 (unsigned)route->max_body));
    if ((route->flags & HTTP_JSON_ONLY) && f->length > 0 && f->content_type.p != NULL &&
        !is_json(f->content_type))
        return refuse(no, 415, "unsupported_media_type",
                      errbuf_set(&no->detail, ERR_INVAL,
                                 "Content-Type must be application/json (charset utf-8)"));
    return ERR_OK;
}

/* ---- path -------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* One segment; its dots may be escaped. */
static bool check_segment(struct str s)
{
    size_t n = 0;
    bool only_dots = true;
    for (size_t i = 0; i < s.n; i++, n++) {
        int c = (unsigned char)s.p[i];
        if (c == '%') {
            int high = i + 1 < s.n ? hex_value(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hex_value(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return false;
        only_dots &= c == '.';
    }
    return n > 0 && !(only_dots && n <= 2);
}

bool httpd_check_path(struct str path)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    struct str rest = str_from(path, 1), segment;
    while (str_cut(&rest, '/', &segment)) {
        if (segment.n == 0 && rest.p == NULL)
            return true; /* "/" and "/docs/" may be routes */
        if (!check_segment(segment))
            return false;
    }
    return true;
}

bool httpd_check_match(const char *pattern, struct str path, struct str param[HTTPD_PARAMS_MAX])
{
    const char *p = path.p, *end = path.p + path.n;
    size_t n = 0;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (p == end || *p != *pattern)
                return false;
            p++;
            pattern++;
            continue;
        }
        while (*pattern++ != '}')
            assert(*pattern != '\0'); /* a route table of ours */
        const char *from = p;
        while (p < end && *p != '/')
            p++;
        if (p == from)
            return false;
        assert(n < HTTPD_PARAMS_MAX);
        param[n++] = (struct str){ from, (size_t)(p - from) };
    }
    return p == end;
}
