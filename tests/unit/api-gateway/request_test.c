/* The body of POST /blobs: what is taken, what is refused, and what the refusal shows. */
#include "api-gateway/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

/* A copy without a byte behind it, so that reading past the end is found. */
static enum err parse(struct create_request *out, struct str body, struct str *sent, char **copy,
                      struct errbuf *eb)
{
    *copy = malloc(body.n > 0 ? body.n : 1);
    assert_non_null(*copy);
    if (body.n > 0)
        memcpy(*copy, body.p, body.n);
    return request_parse(out, (struct str){ *copy, body.n }, sent, eb);
}

/* want: the callback URL after ERR_OK, or *sent after ERR_DENIED. */
struct row {
    const char *why;
    struct str body;
    enum err e;
    const char *want;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct create_request rq;
        struct errbuf eb = { "" };
        struct str sent;
        char *copy;
        memset(&rq, '?', sizeof rq);
        enum err e = parse(&rq, rows[i].body, &sent, &copy, &eb);
        if (e != rows[i].e)
            fail_msg("row %zu (%s): %s %s", i, rows[i].why, err_name(e), eb.text);
        if (e == ERR_OK && strcmp(rq.callback_url, rows[i].want) != 0)
            fail_msg("row %zu (%s): %s", i, rows[i].why, rq.callback_url);
        if (e == ERR_DENIED && !str_eq(sent, str_of(rows[i].want)))
            fail_msg("row %zu (%s): sent " STR_FMT, i, rows[i].why, STR_ARG(sent));
        if (e != ERR_OK) {
            assert_string_equal(rq.callback_url, ""); /* half a URL is never left behind */
            assert_true(eb.text[0] != '\0');
        }
        free(copy);
    }
}

#define URL "https://receiver.example/hook"

static void who_wants_no_callback(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "no body", STR_NONE, ERR_OK, "" },
        { "empty body", S(""), ERR_OK, "" },
        { "blanks", S(" \r\n\t "), ERR_OK, "" },
        { "empty object", S("{}"), ERR_OK, "" },
        { "null", S("{\"callback_url\":null}"), ERR_OK, "" },
        { "alias null", S("{\"calback_url\": null }"), ERR_OK, "" },
        { "other members", S("{\"url\":\"" URL "\",\"callbackurl\":1,\"\":[{}]}"), ERR_OK, "" },
        { "other case", S("{\"Callback_URL\":\"" URL "\"}"), ERR_OK, "" },
        { "deeper down", S("{\"x\":{\"callback_url\":\"ftp://x\"}}"), ERR_OK, "" },
        { "name with something behind", S("{\"callback_url\\u0000\":\"ftp://x\"}"), ERR_OK, "" },
    };
    check(rows, N_OF(rows));
}

static void urls_that_are_taken(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "https", S("{\"callback_url\":\"" URL "\"}"), ERR_OK, URL },
        { "http", S("{\"callback_url\":\"http://receiver.example/\"}"), ERR_OK,
          "http://receiver.example/" },
        { "port", S("{\"callback_url\":\"http://127.0.0.1:9000\"}"), ERR_OK,
          "http://127.0.0.1:9000" },
        { "scheme in capitals", S("{\"callback_url\":\"HTTPS://Receiver.Example/Hook\"}"), ERR_OK,
          "HTTPS://Receiver.Example/Hook" },
        { "query", S("{\"callback_url\":\"https://h.example/a?b=c&d=%20e\"}"), ERR_OK,
          "https://h.example/a?b=c&d=%20e" },
        { "IPv6", S("{\"callback_url\":\"http://[2001:db8::1]:80/x\"}"), ERR_OK,
          "http://[2001:db8::1]:80/x" },
        { "alias", S("{\"calback_url\":\"" URL "\"}"), ERR_OK, URL },
        { "others around it", S("{\"a\":1,\"callback_url\":\"" URL "\",\"b\":[]}"), ERR_OK, URL },
        { "blanks around it", S("{\"callback_url\":\" \\t\\r\\n" URL "  \"}"), ERR_OK, URL },
        { "escapes in name and value",
          S("{\"callback\\u005furl\":\"https:\\/\\/receiver.example\\u002fhook\"}"), ERR_OK, URL },
        { "blanks around everything", S("\n{ \"callback_url\" : \"" URL "\" }\n"), ERR_OK, URL },
    };
    check(rows, N_OF(rows));
}

/* The refusal shows the value as it stood in the body, quotes, blanks and escapes included. */
static void urls_that_are_refused(void **state)
{
    (void)state;
#define BAD(why, value) { why, S("{\"callback_url\": " value " }"), ERR_DENIED, value }
    static const struct row rows[] = {
        BAD("empty", "\"\""),
        BAD("blanks", "\"  \""),
        BAD("no scheme", "\"receiver.example\""),
        BAD("no host", "\"https://\""),
        BAD("relative", "\"/hook\""),
        BAD("ftp", "\"ftp://receiver.example/\""),
        BAD("ftp with blanks", "\" ftp://receiver.example/ \""),
        BAD("file", "\"file:///etc/passwd\""),
        BAD("javascript", "\"javascript:alert(1)\""),
        BAD("one slash", "\"https:/receiver.example\""),
        BAD("user", "\"https://user@receiver.example/\""),
        BAD("user and password", "\"https://user:pw@receiver.example/\""),
        BAD("empty user-info", "\"https://@receiver.example/\""),
        BAD("fragment", "\"https://receiver.example/#x\""),
        BAD("blank inside", "\"https://receiver.example/a b\""),
        BAD("line end inside", "\"https://receiver.example/\\r\\nHost: x\""),
        BAD("tab inside", "\"https://receiver\\t.example/\""),
        BAD("NUL inside", "\"https://receiver.example\\u0000.evil.example/\""),
        BAD("backslash", "\"https:\\\\\\\\receiver.example\""),
        BAD("not ASCII", "\"https://r\xc3\xa9"
                         "ceiver.example/\""),
        BAD("port 0", "\"https://receiver.example:0/\""),
        BAD("port past 65535", "\"https://receiver.example:65536/\""),
        BAD("address in one number", "\"http://2130706433/\""),
        BAD("address in hex", "\"http://0x7f000001/\""),
        BAD("half an IPv6", "\"http://[::1/\""),
        BAD("a number", "17"),
        BAD("true", "true"),
        BAD("false", "false"),
        BAD("an array", "[\"https://receiver.example/hook\"]"),
        BAD("an object", "{\"url\":\"https://receiver.example/hook\"}"),
        { "alias", S("{\"calback_url\":\"nope\"}"), ERR_DENIED, "\"nope\"" },
    };
#undef BAD
    check(rows, N_OF(rows));
}

static void bodies_that_are_no_json_object(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "both names", S("{\"callback_url\":\"" URL "\",\"calback_url\":\"" URL "\"}"), ERR_INVAL,
          NULL },
        { "both names, one null", S("{\"callback_url\":null,\"calback_url\":\"" URL "\"}"),
          ERR_INVAL, NULL },
        { "twice", S("{\"callback_url\":\"" URL "\",\"callback_url\":\"http://other.example\"}"),
          ERR_INVAL, NULL },
        { "twice, once escaped", S("{\"callback_url\":null,\"callback\\u005Furl\":null}"),
          ERR_INVAL, NULL },
        { "null", S("null"), ERR_INVAL, NULL },
        { "an array", S("[{\"callback_url\":\"" URL "\"}]"), ERR_INVAL, NULL },
        { "a string", S("\"" URL "\""), ERR_INVAL, NULL },
        { "a number", S("0"), ERR_INVAL, NULL },
        { "bare text", S(URL), ERR_INVAL, NULL },
        { "a form", S("callback_url=" URL), ERR_INVAL, NULL },
        { "XML", S("<callback_url/>"), ERR_INVAL, NULL },
        { "not closed", S("{\"callback_url\":\"" URL "\""), ERR_INVAL, NULL },
        { "string not closed", S("{\"callback_url\":\"" URL), ERR_INVAL, NULL },
        { "single quotes", S("{'callback_url':'" URL "'}"), ERR_INVAL, NULL },
        { "name without quotes", S("{callback_url:\"" URL "\"}"), ERR_INVAL, NULL },
        { "comma at the end", S("{\"callback_url\":\"" URL "\",}"), ERR_INVAL, NULL },
        { "comma first", S("{,}"), ERR_INVAL, NULL },
        { "no colon", S("{\"callback_url\" \"" URL "\"}"), ERR_INVAL, NULL },
        { "no value", S("{\"callback_url\":}"), ERR_INVAL, NULL },
        { "comment", S("{}//"), ERR_INVAL, NULL },
        { "two values", S("{} {}"), ERR_INVAL, NULL },
        { "something behind", S("{}x"), ERR_INVAL, NULL },
        { "NUL behind", S("{}\0"), ERR_INVAL, NULL },
        { "NUL alone", S("\0"), ERR_INVAL, NULL },
        { "byte order mark", S("\xef\xbb\xbf{}"), ERR_INVAL, NULL },
        { "byte order mark alone", S("\xef\xbb\xbf"), ERR_INVAL, NULL },
        { "UTF-16", S("\xff\xfe{\0}\0"), ERR_INVAL, NULL },
        { "not UTF-8", S("{\"x\":\"\xc3\x28\"}"), ERR_INVAL, NULL },
        { "overlong", S("{\"x\":\"\xc0\xaf\"}"), ERR_INVAL, NULL },
        { "lone surrogate", S("{\"x\":\"\\ud800\"}"), ERR_INVAL, NULL },
        { "bad escape", S("{\"x\":\"\\x41\"}"), ERR_INVAL, NULL },
        { "raw line end in a string", S("{\"x\":\"a\nb\"}"), ERR_INVAL, NULL },
        { "number with zero first", S("{\"x\":01}"), ERR_INVAL, NULL },
        { "NaN", S("{\"x\":NaN}"), ERR_INVAL, NULL },
        { "True", S("{\"x\":True}"), ERR_INVAL, NULL },
        { "too deep", S("{\"x\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}"), ERR_INVAL, NULL },
        { "deep and never closed", S("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["), ERR_INVAL, NULL },
    };
    check(rows, N_OF(rows));
}

/* A URL of n bytes with blanks around it; what of it is taken? */
static enum err parse_long(size_t n, size_t blanks, size_t *taken)
{
    struct create_request rq;
    struct str sent;
    struct buf body = BUF_INIT(16384);
    struct buf value = BUF_INIT(16384);
    buf_putc(&value, '"');
    for (size_t i = 0; i < blanks / 2; i++)
        buf_putc(&value, ' ');
    buf_puts(&value, "http://h.example/");
    for (size_t i = sizeof "http://h.example/" - 1; i < n; i++)
        buf_putc(&value, 'a');
    for (size_t i = 0; i < blanks - blanks / 2; i++)
        buf_putc(&value, ' ');
    buf_putc(&value, '"');
    buf_printf(&body, "{\"callback_url\":%s}", value.p);
    assert_false(buf_failed(&body));
    enum err e = request_parse(&rq, buf_str(&body), &sent, NULL);
    *taken = strlen(rq.callback_url);
    assert_true(str_eq(sent, buf_str(&value)));
    buf_fini(&value);
    buf_fini(&body);
    return e;
}

static void the_longest_url(void **state)
{
    (void)state;
    size_t taken;
    assert_int_equal(parse_long(BLOB_URL_MAX, 0, &taken), ERR_OK);
    assert_int_equal(taken, BLOB_URL_MAX);
    assert_int_equal(parse_long(BLOB_URL_MAX, 20, &taken), ERR_OK);
    assert_int_equal(taken, BLOB_URL_MAX);
    assert_int_equal(parse_long(BLOB_URL_MAX + 1, 0, &taken), ERR_DENIED);
    assert_int_equal(taken, 0);
    assert_int_equal(parse_long(BLOB_URL_MAX + 1, 20, &taken), ERR_DENIED);
    assert_int_equal(parse_long(8000, 0, &taken), ERR_DENIED);
    assert_int_equal(parse_long(100, 8000, &taken), ERR_DENIED); /* nobody means that */
    assert_int_equal(taken, 0);
}

static void a_body_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct str whole = S("{\"x\":[1,{\"y\":\"\\u00e9\"}],\"callback_url\":\"" URL "\"}");
    for (size_t n = 1; n < whole.n; n++) {
        struct create_request rq;
        struct str sent;
        char *copy;
        assert_int_equal(parse(&rq, str_head(whole, n), &sent, &copy, NULL), ERR_INVAL);
        free(copy);
    }
}

static void without_a_refused_url_null_was_sent(void **state)
{
    (void)state;
    static const struct str bodies[] = { S(""), S("{}"), S("{\"callback_url\":null}"), S("{") };
    for (size_t i = 0; i < N_OF(bodies); i++) {
        struct create_request rq;
        struct str sent = STR_NONE;
        (void)!request_parse(&rq, bodies[i], &sent, NULL);
        assert_true(str_eq(sent, S("null")));
    }
}

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void trace_contexts(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        bool want;
    } rows[] = {
        { S(TRACE), true },
        { S("00-00000000000000000000000000000000-0000000000000000-00"), true },
        { S(""), false },
        { STR_NONE, false },
        { S("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), false },
        { S("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), false },
        { S("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"), false },
        { S("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"), false },
        { S("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-012"), false },
        { S("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"), false },
        { S("00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), false },
        { S("00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01"), false },
        { S("00-0af7651916cd43dd8448eb211c8031\"c-b7ad6b7169203331-01"), false },
        { S(" " TRACE), false },
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        if (request_is_traceparent(rows[i].text) != rows[i].want)
            fail_msg("row %zu: " STR_FMT, i, STR_ARG(rows[i].text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wants_no_callback),
        cmocka_unit_test(urls_that_are_taken),
        cmocka_unit_test(urls_that_are_refused),
        cmocka_unit_test(bodies_that_are_no_json_object),
        cmocka_unit_test(the_longest_url),
        cmocka_unit_test(a_body_cut_anywhere_is_refused),
        cmocka_unit_test(without_a_refused_url_null_was_sent),
        cmocka_unit_test(trace_contexts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
