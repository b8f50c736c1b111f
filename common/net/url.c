#include "net/url.h"

#include <arpa/inet.h>
#include <stdio.h>

#define HOST_MAX  253U
#define LABEL_MAX 63U

_Static_assert(HOST_MAX + sizeof "[]:65535" <= URL_AUTHORITY_MAX, "the longest host and port fit");

static enum err check_bytes(struct str text, struct errbuf *eb)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '\\')
            return errbuf_set(eb, ERR_INVAL, "character 0x%02x at byte %zu must be percent-encoded",
                              c, i);
        if (c == '#')
            return errbuf_set(eb, ERR_INVAL, "a fragment (from '#' on) is not allowed");
    }
    return ERR_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_label(struct str s)
{
    if (s.n == 0 || s.n > LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
    return true;
}

/* Decimal, octal or hex digits: a name that ends in such a label is read as an address. */
static bool is_number(struct str label)
{
    bool hex = str_eq_nocase(str_head(label, 2), S("0x"));
    for (size_t i = hex ? 2 : 0; i < label.n; i++) {
        char c = label.p[i];
        if (!is_digit(c) && !(hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))))
            return false;
    }
    return true;
}

/* Exactly as inet_ntop() would write it: no part of three digits with a leading zero, say. */
static bool is_dotted_quad(struct str host)
{
    char text[INET_ADDRSTRLEN], again[INET_ADDRSTRLEN];
    struct in_addr addr;
    return str_copy(text, sizeof text, host) == ERR_OK && inet_pton(AF_INET, text, &addr) == 1 &&
           inet_ntop(AF_INET, &addr, again, sizeof again) != NULL && str_eq(host, str_of(again));
}

static enum err check_name(struct str host, struct errbuf *eb)
{
    if (host.n == 0)
        return errbuf_set(eb, ERR_INVAL, "host is empty");
    if (host.n > HOST_MAX)
        return errbuf_set(eb, ERR_INVAL, "host is longer than %u characters", HOST_MAX);
    struct str rest = host, label = STR_NONE;
    while (str_cut(&rest, '.', &label))
        if (!is_label(label))
            return errbuf_set(
                eb, ERR_INVAL,
                "host must be labels of 1 to %u letters, digits, '-' or '_' with dots "
                "between them",
                LABEL_MAX);
    if (is_number(label) && !is_dotted_quad(host))
        return errbuf_set(eb, ERR_INVAL,
                          "host is an ambiguous numeric host: write an IPv4 address as four "
                          "decimal parts");
    return ERR_OK;
}

static enum err read_port(struct url *u, struct str digits, struct errbuf *eb)
{
    uint64_t port = 0;
    if (digits.n > 5 || str_starts(digits, S("0")) || str_to_u64(digits, &port) != ERR_OK ||
        port > UINT16_MAX)
        return errbuf_set(eb, ERR_INVAL, "port must be a number from 1 to 65535");
    u->port = (uint16_t)port;
    u->port_given = true;
    return ERR_OK;
}

static enum err read_v6(struct url *u, struct str inside, struct errbuf *eb)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    u->host = inside;
    u->host_is_v6 = true;
    if (str_copy(text, sizeof text, inside) != ERR_OK || inet_pton(AF_INET6, text, &addr) != 1)
        return errbuf_set(eb, ERR_INVAL, "host in brackets must be an IPv6 address without zone");
    return ERR_OK;
}

static enum err read_authority(struct url *u, struct str authority, struct errbuf *eb)
{
    if (str_find(authority, '@') >= 0)
        return errbuf_set(eb, ERR_INVAL, "user-info (before '@') is not allowed");
    bool bracket = str_starts(authority, S("["));
    ptrdiff_t end = str_find(authority, bracket ? ']' : ':');
    if (bracket && end < 0)
        return errbuf_set(eb, ERR_INVAL, "host begins with '[' and has no ']'");
    u->host = end < 0 ? authority : str_head(authority, (size_t)end);
    enum err e = bracket ? read_v6(u, str_from(u->host, 1), eb) : check_name(u->host, eb);
    if (e != ERR_OK)
        return e;
    struct str rest = end < 0 ? STR_NONE : str_from(authority, (size_t)end + bracket);
    if (rest.n == 0)
        return ERR_OK;
    if (rest.p[0] != ':')
        return errbuf_set(eb, ERR_INVAL, "port must follow the host after ':'");
    return read_port(u, str_from(rest, 1), eb);
}

enum err url_parse(struct url *out, struct str text, struct errbuf *eb)
{
    *out = (struct url){ 0 };
    if (text.n > URL_MAX_BYTES)
        return errbuf_set(eb, ERR_TOOBIG, "URL is longer than %u bytes", URL_MAX_BYTES);
    enum err e = check_bytes(text, eb);
    if (e != ERR_OK)
        return e;
    bool https = str_eq_nocase(str_head(text, 8), S("https://"));
    if (!https && !str_eq_nocase(str_head(text, 7), S("http://")))
        return errbuf_set(eb, ERR_INVAL, "scheme must be http:// or https://");
    struct str rest = str_from(text, https ? 8 : 7);
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    struct url u = { .https = https, .port = https ? 443 : 80 };
    e = read_authority(&u, str_head(rest, end), eb);
    if (e != ERR_OK)
        return e;
    u.query = str_from(rest, end);
    (void)str_cut(&u.query, '?', &u.path);
    *out = u;
    return ERR_OK;
}

enum err url_parse_endpoint(struct url *out, struct str text, struct errbuf *eb)
{
    enum err e = url_parse(out, text, eb);
    if (e != ERR_OK)
        return e;
    if (out->query.p == NULL && (out->path.n == 0 || str_eq(out->path, S("/"))))
        return ERR_OK;
    *out = (struct url){ 0 };
    return errbuf_set(eb, ERR_INVAL,
                      "only scheme, host and port are wanted here, no path or query");
}

enum err url_check_endpoint(struct str text, struct errbuf *eb)
{
    struct url u;
    enum err e = url_parse_endpoint(&u, text, eb);
    return e == ERR_OK ? e : errbuf_wrap(eb, e, "an endpoint such as http://host:9000");
}

void url_authority(const struct url *u, char dst[URL_AUTHORITY_MAX])
{
    const char *open = u->host_is_v6 ? "[" : "", *close = u->host_is_v6 ? "]" : "";
    bool plain = u->port == (u->https ? 443 : 80);
    if (plain)
        (void)snprintf(dst, URL_AUTHORITY_MAX, "%s" STR_FMT "%s", open, STR_ARG(u->host), close);
    else
        (void)snprintf(dst, URL_AUTHORITY_MAX, "%s" STR_FMT "%s:%u", open, STR_ARG(u->host), close,
                       (unsigned)u->port);
}
