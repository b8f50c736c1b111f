#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "net/url.h"

#define NO_QUERY NULL

static void good(void **state)
{
    static const struct {
        const char *in;
        bool https, v6, port_given;
        uint16_t port;
        const char *host, *path, *query, *authority;
    } rows[] = {
        { "http://h", false, false, false, 80, "h", "", NO_QUERY, "h" },
        { "HTTPS://H.Example/", true, false, false, 443, "H.Example", "/", NO_QUERY, "H.Example" },
        { "http://h:80", false, false, true, 80, "h", "", NO_QUERY, "h" },
        { "http://h:443/", false, false, true, 443, "h", "/", NO_QUERY, "h:443" },
        { "https://h:65535/a", true, false, true, 65535, "h", "/a", NO_QUERY, "h:65535" },
        { "http://h:1?", false, false, true, 1, "h", "", "", "h:1" },
        { "http://h?a=/b?c", false, false, false, 80, "h", "", "a=/b?c", "h" },
        { "http://h/a/../b;p=1?q=%20@:", false, false, false, 80, "h", "/a/../b;p=1",
          "q=%20@:", "h" },
        { "http://h/%0d%0aX:y", false, false, false, 80, "h", "/%0d%0aX:y", NO_QUERY, "h" },
        { "http://h/u:p@x", false, false, false, 80, "h", "/u:p@x", NO_QUERY, "h" },
        { "http://localhost:8080/in", false, false, true, 8080, "localhost", "/in", NO_QUERY,
          "localhost:8080" },
        { "http://my_container-1:9000", false, false, true, 9000, "my_container-1", "", NO_QUERY,
          "my_container-1:9000" },
        { "http://127.0.0.1/", false, false, false, 80, "127.0.0.1", "/", NO_QUERY, "127.0.0.1" },
        { "http://255.255.255.255", false, false, false, 80, "255.255.255.255", "", NO_QUERY,
          "255.255.255.255" },
        { "https://[::1]:8443/x", true, true, true, 8443, "::1", "/x", NO_QUERY, "[::1]:8443" },
        { "http://[2001:DB8::1.2.3.4]", false, true, false, 80, "2001:DB8::1.2.3.4", "", NO_QUERY,
          "[2001:DB8::1.2.3.4]" },
        { "http://xn--bcher-kva.example", false, false, false, 80, "xn--bcher-kva.example", "",
          NO_QUERY, "xn--bcher-kva.example" },
        { "http://0x7f.example", false, false, false, 80, "0x7f.example", "", NO_QUERY,
          "0x7f.example" },
        { "http://azAZ09.x/!~", false, false, false, 80, "azAZ09.x", "/!~", NO_QUERY, "azAZ09.x" },
        { "http://1.2.3.4a", false, false, false, 80, "1.2.3.4a", "", NO_QUERY, "1.2.3.4a" },
        { "http://0xg", false, false, false, 80, "0xg", "", NO_QUERY, "0xg" },
        { "http://metadata.google.internal", false, false, false, 80, "metadata.google.internal",
          "", NO_QUERY, "metadata.google.internal" }, /* a name: the address decides */
        { "http://h/<>\"{}|^`", false, false, false, 80, "h", "/<>\"{}|^`", NO_QUERY, "h" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct url u;
        struct errbuf eb = { "" };
        char authority[URL_AUTHORITY_MAX];
        enum err e = url_parse(&u, str_of(rows[i].in), &eb);
        if (e != ERR_OK)
            fail_msg("row %zu '%s': %s", i, rows[i].in, eb.text);
        url_authority(&u, authority);
        if (u.https != rows[i].https || u.host_is_v6 != rows[i].v6 || u.port != rows[i].port ||
            u.port_given != rows[i].port_given || !str_eq(u.host, str_of(rows[i].host)) ||
            !str_eq(u.path, str_of(rows[i].path)) || !str_eq(u.query, str_of(rows[i].query)) ||
            (u.query.p == NULL) != (rows[i].query == NULL) ||
            strcmp(authority, rows[i].authority) != 0)
            fail_msg("row %zu '%s': host '" STR_FMT "' port %u path '" STR_FMT "' authority '%s'",
                     i, rows[i].in, STR_ARG(u.host), u.port, STR_ARG(u.path), authority);
    }
}

/* clang-format off */
#define BAD(text, why) { { text, sizeof(text) - 1 }, why }
#define NUMERIC "host is an ambiguous numeric host"
#define BRACKETS "host in brackets must be an IPv6 address"

static const struct {
    struct str in;
    const char *why; /* how the message begins */
} bad_rows[] = {
    { { NULL, 0 }, "scheme" },
    BAD("", "scheme"), BAD("http", "scheme"), BAD("http:", "scheme"), BAD("http:/", "scheme"),
    BAD("http:h", "scheme"), BAD("http:/h", "scheme"), BAD("//h/", "scheme"),
    BAD("/path", "scheme"), BAD("h.example/x", "scheme"), BAD("httpss://h", "scheme"),
    BAD("ftp://h", "scheme"), BAD("file:///etc/passwd", "scheme"), BAD("gopher://h", "scheme"),
    BAD("dict://h", "scheme"), BAD("ldap://h", "scheme"), BAD("javascript:alert(1)", "scheme"),
    BAD("unix:/run/x.sock", "scheme"), BAD("h://t", "scheme"), BAD("https;//h", "scheme"),
    BAD("http://", "host is empty"), BAD("http:///", "host is empty"),
    BAD("http:///127.0.0.1/", "host is empty"), BAD("http://:80/", "host is empty"),
    BAD("http://?x", "host is empty"), BAD("http://::1/", "host is empty"),
    BAD("http://u@h/", "user-info"), BAD("http://u:p@h/", "user-info"),
    BAD("http://@h/", "user-info"), BAD("http://h@/", "user-info"),
    BAD("http://good.example:80@169.254.169.254/", "user-info"),
    BAD("http://h/#f", "a fragment"), BAD("http://h#", "a fragment"),
    BAD("http://h#@evil/", "a fragment"),
    BAD(" http://h", "character 0x20 at byte 0"), BAD("http://h ", "character 0x20 at byte 8"),
    BAD("http://h/a b", "character 0x20"), BAD("http://h/\ta", "character 0x09"),
    BAD("http://h/\r\nX: y", "character 0x0d"), BAD("http://h/\0", "character 0x00"),
    BAD("http://h\0.example", "character 0x00"), BAD("http://h/\x7f", "character 0x7f"),
    BAD("http:\\\\h", "character 0x5c"), BAD("http://good\\@evil", "character 0x5c"),
    BAD("http://h/\xc3\xa9", "character 0xc3"), BAD("http://\xef\xbc\x91/", "character 0xef"),
    BAD("http://b\xc3\xbc" "cher.example", "character 0xc3"),
    BAD("http://.", "host must"), BAD("http://..", "host must"), BAD("http://h.", "host must"),
    BAD("http://.h", "host must"), BAD("http://a..b", "host must"),
    BAD("http://a.b..", "host must"),
    BAD("http://-h", "host must"), BAD("http://h-", "host must"), BAD("http://a.-b.c", "host must"),
    BAD("http://%6cocalhost", "host must"), BAD("http://%31%32%37.0.0.1", "host must"),
    BAD("http://h%00.example", "host must"), BAD("http://a,b", "host must"),
    BAD("http://a*b", "host must"), BAD("http://a;b", "host must"), BAD("http://$h", "host must"),
    BAD("http://a]b", "host must"), BAD("http://a[b]", "host must"),
    BAD("http://127.1", NUMERIC), BAD("http://127.0.1", NUMERIC),
    BAD("http://2130706433", NUMERIC), BAD("http://0", NUMERIC),
    BAD("http://0x7f.1", NUMERIC), BAD("http://0x7F000001", NUMERIC),
    BAD("http://0X7f.0.0.0x1", NUMERIC), BAD("http://0x", NUMERIC),
    BAD("http://0xaf", NUMERIC), BAD("http://h.0xAF", NUMERIC), BAD("http://h.9", NUMERIC),
    BAD("http://017700000001", NUMERIC),
    BAD("http://0177.0.0.1", NUMERIC), BAD("http://127.0.0.01", NUMERIC),
    BAD("http://127.0.0.1.5", NUMERIC), BAD("http://256.0.0.1", NUMERIC),
    BAD("http://1.2.3.0x4", NUMERIC), BAD("http://a.b.1", NUMERIC),
    BAD("http://1.1.1.1:80:80", "port"), BAD("http://127.0.0.1.", "host must"),
    BAD("http://h:", "port"), BAD("http://h:/", "port"), BAD("http://h:0", "port"),
    BAD("http://h:00080", "port"), BAD("http://h:65536", "port"), BAD("http://h:99999", "port"),
    BAD("http://h:655350", "port"), BAD("http://h:-1", "port"), BAD("http://h:+80", "port"),
    BAD("http://h:8080abc", "port"), BAD("http://h:0x50", "port"), BAD("http://h::80", "port"),
    BAD("http://h:80:", "port"), BAD("http://2001:db8::1/", NUMERIC),
    BAD("http://[::1", "host begins"), BAD("http://[", "host begins"),
    BAD("http://[]", BRACKETS), BAD("http://[:]", BRACKETS),
    BAD("http://[fe80::1%25eth0]", BRACKETS), BAD("http://[fe80::1%eth0]", BRACKETS),
    BAD("http://[v1.x]", BRACKETS), BAD("http://[127.0.0.1]", BRACKETS),
    BAD("http://[h]", BRACKETS), BAD("http://[::1]]", "port"),
    BAD("http://[[::1]]", BRACKETS), BAD("http://[::1::]", BRACKETS),
    BAD("http://[1:2:3:4:5:6:7:8:9]", BRACKETS), BAD("http://[::12345]", BRACKETS),
    BAD("http://[::1]x", "port"), BAD("http://[::1]:", "port"), BAD("http://[::1]:0", "port"),
    BAD("http://[::1]h:80", "port"),
    BAD("http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]", BRACKETS),
};
/* clang-format on */

static void bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(bad_rows); i++) {
        struct url u;
        struct errbuf eb = { "" };
        enum err e = url_parse(&u, bad_rows[i].in, &eb);
        if (e != ERR_INVAL || !str_starts(str_of(eb.text), str_of(bad_rows[i].why)))
            fail_msg("row %zu '" STR_FMT "': %s, '%s', want '%s…'", i, STR_ARG(bad_rows[i].in),
                     err_name(e), eb.text, bad_rows[i].why);
        assert_true(u.host.p == NULL && u.port == 0);
        assert_int_equal(url_parse(&u, bad_rows[i].in, NULL), ERR_INVAL);
    }
}

static enum err parse_made(size_t label, size_t labels, size_t path)
{
    struct buf text = BUF_INIT(8192);
    buf_puts(&text, "http://");
    for (size_t i = 0; i < labels; i++) {
        for (size_t j = 0; j < label; j++)
            buf_putc(&text, 'a');
        if (i + 1 < labels)
            buf_putc(&text, '.');
    }
    if (path > 0)
        buf_putc(&text, '/');
    while (text.n < path)
        buf_putc(&text, 'p');
    struct url u;
    enum err e = url_parse(&u, buf_str(&text), NULL);
    buf_fini(&text);
    return e;
}

static void limits(void **state)
{
    (void)state;
    assert_int_equal(parse_made(63, 3, 0), ERR_OK);
    assert_int_equal(parse_made(64, 1, 0), ERR_INVAL);
    assert_int_equal(parse_made(1, 127, 0), ERR_OK); /* 253 characters */
    assert_int_equal(parse_made(1, 128, 0), ERR_INVAL);
    assert_int_equal(parse_made(63, 4, 0), ERR_INVAL); /* 255 */
    assert_int_equal(parse_made(4, 2, URL_MAX_BYTES), ERR_OK);
    assert_int_equal(parse_made(4, 2, URL_MAX_BYTES + 1), ERR_TOOBIG);
}

/* The longest authority fits where it is promised to. */
static void longest_authority(void **state)
{
    (void)state;
    char text[300] = "https://", dst[URL_AUTHORITY_MAX];
    for (int i = 0; i < 126; i++)
        memcpy(text + 8 + 2 * i, "a.", 3);
    memcpy(text + 8 + 2 * 126, "b:65535", 8);
    struct url u;
    assert_int_equal(url_parse(&u, str_of(text), NULL), ERR_OK);
    url_authority(&u, dst);
    assert_string_equal(dst, text + 8);
}

static void endpoints(void **state)
{
    static const struct {
        const char *in;
        enum err want;
    } rows[] = {
        { "http://127.0.0.1:7070", ERR_OK },
        { "https://s3.example/", ERR_OK },
        { "http://h/path", ERR_INVAL },
        { "http://h//", ERR_INVAL },
        { "http://h?x", ERR_INVAL },
        { "http://h/?", ERR_INVAL },
        { "h:9000", ERR_INVAL },
        { "", ERR_INVAL },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct url u;
        struct errbuf eb = { "" };
        enum err e = url_parse_endpoint(&u, str_of(rows[i].in), &eb);
        if (e != rows[i].want || url_check_endpoint(str_of(rows[i].in), &eb) != e)
            fail_msg("row %zu '%s': %s", i, rows[i].in, err_name(e));
        if (e != ERR_OK &&
            (u.host.p != NULL || !str_starts(str_of(eb.text), S("an endpoint such "))))
            fail_msg("row %zu '%s': '%s'", i, rows[i].in, eb.text);
    }
}

/* Every prefix and every one-byte change of a full URL, in an allocation of its size. */
static void nothing_reads_outside(void **state)
{
    (void)state;
    static const char whole[] = "https://[2001:db8::1]:8443/a/b?c=d";
    static const char other[] = "http://127.0.0.1:8080/a";
    static const char *const texts[] = { whole, other };
    for (size_t t = 0; t < N_OF(texts); t++)
        for (size_t n = 0; n <= strlen(texts[t]); n++)
            for (const char *c = "[]:/?@.%0x"; *c != '\0'; c++) {
                char *copy = malloc(n > 0 ? n : 1);
                assert_non_null(copy);
                memcpy(copy, texts[t], n);
                for (size_t at = 0; at < n; at++) {
                    char was = copy[at];
                    struct url u;
                    copy[at] = *c;
                    if (url_parse(&u, (struct str){ copy, n }, NULL) == ERR_OK)
                        assert_true(u.host.n > 0 && u.host.p >= copy &&
                                    u.host.p + u.host.n <= copy + n && u.port > 0);
                    copy[at] = was;
                }
                free(copy);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),      cmocka_unit_test(bad),
        cmocka_unit_test(limits),    cmocka_unit_test(longest_authority),
        cmocka_unit_test(endpoints), cmocka_unit_test(nothing_reads_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
