#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/json.h"

/* clang-format off */
#define T(text, type) { { text, sizeof(text) - 1 }, ERR_OK, JSON_##type }
#define F(text) { { text, sizeof(text) - 1 }, ERR_INVAL, JSON_NULL }
#define D4 "[[[["
#define E4 "]]]]"

static const struct {
    struct str in;
    enum err want;
    enum json_type type;
} rows[] = {
    T("null", NULL), T("true", TRUE), T("false", FALSE), T(" \t\r\nnull \t\r\n", NULL),
    T("0", NUMBER), T("-0", NUMBER), T("10", NUMBER), T("-1.5", NUMBER), T("0.0", NUMBER),
    T("1e5", NUMBER), T("1E+5", NUMBER), T("1e-05", NUMBER), T("0e0", NUMBER), T("1e999", NUMBER),
    T("9007199254740993", NUMBER), T("98.95704650878906", NUMBER),
    T("\"\"", STRING), T("\"a\"", STRING), T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", STRING),
    T("\"\\u0000\"", STRING), T("\"\\u00e9\\uABCD\"", STRING), T("\"\\ud83d\\ude00\"", STRING),
    T("\"\\ud800\\udc00\\udbff\\uDFFF\"", STRING), T("\"\\ud7ff\\ue000\\uFFFF\"", STRING),
    T("\"a b\"", STRING),
    T("\"\x7f\"", STRING), T("\"\xc3\xa9\xf4\x8f\xbf\xbf\"", STRING), T("\"/*no*/\"", STRING),
    T("[]", ARRAY), T("[ ]", ARRAY), T("[1]", ARRAY), T("[ 1 , 2 ]", ARRAY), T("[[],{}]", ARRAY),
    T("[null,true,false,0,\"\"]", ARRAY),
    T("{}", OBJECT), T("{ }", OBJECT), T("{\"a\":1}", OBJECT),
    T("{ \"a\" : 1 , \"b\" : 2 }", OBJECT),
    T("{\"\":0}", OBJECT), T("{\"a\":1,\"a\":2}", OBJECT), T("{\"\\u0061\":{\"b\":[{}]}}", OBJECT),
    T(D4 D4 D4 D4 E4 E4 E4 E4, ARRAY),
    { { D4 D4 D4 D4 "[" "]" E4 E4 E4 E4, 34 }, ERR_TOOBIG, JSON_NULL },
    { { D4 D4 D4 D4 D4 D4 D4 D4, 32 }, ERR_TOOBIG, JSON_NULL },
    F(""), F(" "), F("\n"), F("nul"), F("nulll"), F("Null"), F("TRUE"), F("undefined"), F("NaN"),
    F("Infinity"), F("-Infinity"), F("null null"), F("1 2"), F("{}{}"), F("[]x"),
    F("\xef\xbb\xbf{}"),
    F("{\0}"), F("{}\0"), F("n\0u\0l\0l\0"), F("// x\n1"), F("/**/1"), F("[1/**/]"),
    F("01"), F("-01"), F("00"), F("+1"), F("-"), F("--1"), F("1."), F(".5"), F("-.5"), F("1.e1"),
    F("1e"), F("1e+"), F("1.5e-"), F("0x1"), F("1_0"), F("1e1.5"), F("2e3e4"), F("\xc2\xa0" "1"),
    F("\""), F("\"a"), F("'a'"), F("a"), F("\"\\\""), F("\"\\x41\""), F("\"\\"), F("\"\\u\""),
    F("\"\\u12\""), F("\"\\u123\""), F("\"\\u123g\""), F("\"\\U0041\""), F("\"\\u+123\""),
    F("\"\\a\""), F("\"\\0\""), F("\"\\'\""), F("\"\\\0\""), F("\"\t\""), F("\"\n\""), F("\"\0\""),
    F("\"\x1f\""), F("\"\\ud800\""), F("\"\\udc00\""), F("\"\\udfff\""), F("\"\\udbff\""),
    F("\"\\ud800\\ue000\""),    F("\"\\ud800\\udbff\""), F("\"\\ud800\\u0041\""),
    F("\"\\ud800\\ud800\""), F("\"\\ud800x\""), F("\"\\ud800\\n\""), F("\"\\ude00\\ud83d\""),
    F("\"\xff\""), F("\"\x80\""), F("\"\xc3\""), F("\"\xc0\x80\""), F("\"\xed\xa0\x80\""),
    F("\"\xf4\x90\x80\x80\""), F("\"\xe2\x82\""),
    F("["), F("]"), F("[1"), F("[1,"), F("[,"), F("[,1]"), F("[1,]"), F("[1,,2]"), F("[1 2]"),
    F("[1:2]"), F("[1}"), F("[\"a\":1]"), F("{"), F("}"), F("{\"a\""), F("{\"a\":"), F("{\"a\":1"),
    F("{\"a\":1,"), F("{\"a\":1,}"), F("{,}"), F("{\"a\"}"), F("{\"a\",1}"), F("{\"a\" 1}"),
    F("{\"a\"::1}"), F("{a:1}"), F("{1:1}"), F("{null:1}"), F("{'a':1}"), F("{\"a\":1]"),
    F("{\"a\":1 \"b\":2}"), F("{[]:1}"), F("[nul]"), F("{\"a\":tru}"), F("[1]]"), F("{\"a\":1}}"),
};
/* clang-format on */

/* A copy that ends where the allocation ends: the sanitizer sees one byte too many. */
static struct str exact(struct str s)
{
    char *p = malloc(s.n > 0 ? s.n : 1);
    assert_non_null(p);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return (struct str){ p, s.n };
}

static void drop(struct str s)
{
    free((void *)(uintptr_t)s.p);
}

static void accepts_and_refuses(void **state)
{
    (void)state;
    assert_true(N_OF(rows) >= 80);
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct json root;
        struct errbuf eb = { "" };
        struct str text = exact(rows[i].in);
        enum err e = json_parse(&root, text, &eb);
        if (e != rows[i].want || root.type != rows[i].type || (e == ERR_OK) != (eb.text[0] == '\0'))
            fail_msg("row %zu '" STR_FMT "': %s, %s, '%s'", i, STR_ARG(rows[i].in), err_name(e),
                     json_type_name(root.type), eb.text);
        drop(text);
    }
}

static void says_where(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } texts[] = {
        { "", "not JSON: expected a value at byte 0" },
        { "{\"a\":x}", "not JSON: expected a value at byte 5" },
        { "{\"a\" 1}", "not JSON: expected ':' at byte 5" },
        { "[1 2]", "not JSON: expected ',' or ']' at byte 3" },
        { "\"ab\\q\"", "not JSON: expected a valid escape at byte 3" },
        { "null x", "not JSON: expected the end at byte 5" },
        { D4 D4 D4 D4 "[", "JSON nests deeper than 16 levels" },
    };
    for (size_t i = 0; i < N_OF(texts); i++) {
        struct json root;
        struct errbuf eb = { "" };
        assert_int_not_equal(json_parse(&root, str_of(texts[i].in), &eb), ERR_OK);
        if (strcmp(eb.text, texts[i].want) != 0)
            fail_msg("row %zu: '%s', want '%s'", i, eb.text, texts[i].want);
        assert_int_not_equal(json_parse(&root, str_of(texts[i].in), NULL), ERR_OK);
    }
}

static const char document[] =
    " {\"blob_id\":\"0190b4d2\", \"n\": [1, -2.50, 98.95704650878906, 1e5],\"nested\":{\"a\":"
    "{\"b\":[{\"c\":\"\\u00e9\\ud83d\\ude00\xc3\xa9\"}]}}, \"k\\u0065y\\n\":null,\"t\":true,"
    "\"f\":false,\"\":{} , \"blob_id\":\"second\"} ";

static void every_truncation_is_refused(void **state)
{
    (void)state;
    size_t whole = sizeof document - 2; /* the last byte is a blank */
    for (size_t n = 0; n <= whole; n++) {
        struct json root;
        struct str text = exact((struct str){ document, n });
        enum err e = json_parse(&root, text, NULL);
        if ((e == ERR_OK) != (n == whole))
            fail_msg("%zu of %zu bytes: %s", n, whole, err_name(e));
        drop(text);
    }
    /* and every byte replaced by a few nasty ones never reads outside */
    for (size_t i = 0; i < whole; i++)
        for (const char *c = "\"\\{[]},:\x80u"; *c != '\0'; c++) {
            struct json root;
            struct str text = exact((struct str){ document, whole });
            ((char *)(uintptr_t)text.p)[i] = *c;
            (void)!json_parse(&root, text, NULL);
            drop(text);
        }
}

static struct json at(struct json v, const char *name)
{
    struct json out;
    if (!json_get(v, str_of(name), &out))
        fail_msg("no member '%s'", name);
    return out;
}

static void reads_members(void **state)
{
    (void)state;
    struct json root, v, key;
    struct str text = exact((struct str){ document, sizeof document - 1 });
    assert_int_equal(json_parse(&root, text, NULL), ERR_OK);
    assert_true(json_is(at(root, "blob_id"), S("0190b4d2"))); /* the first of two */
    assert_true(at(root, "key\n").type == JSON_NULL);         /* an escaped name */
    assert_true(json_is(at(at(root, "nested"), "a"), S("")) == false);
    assert_true(str_eq(at(at(root, "nested"), "a").raw,
                       S("{\"b\":[{\"c\":\"\\u00e9\\ud83d\\ude00\xc3\xa9\"}]}")));
    assert_true(at(root, "").type == JSON_OBJECT);
    assert_true(at(root, "t").type == JSON_TRUE && at(root, "f").type == JSON_FALSE);
    assert_false(json_get(root, S("blob"), &v));
    assert_int_equal(v.type, JSON_NULL);
    assert_false(json_get(at(root, "n"), S("1"), &v));
    assert_false(json_get(at(root, "t"), S("t"), &v));

    static const char *const numbers[] = { "1", "-2.50", "98.95704650878906", "1e5" };
    struct json_iter it = json_iter(at(root, "n"));
    size_t n = 0;
    for (; json_next(&it, &key, &v); n++) { /* digits stay as they came */
        assert_true(n < N_OF(numbers) && str_eq(v.raw, str_of(numbers[n])));
        assert_int_equal(key.type, JSON_NULL);
    }
    assert_int_equal(n, N_OF(numbers));
    for (it = json_iter(root), n = 0; json_next(&it, &key, &v); n++)
        assert_int_equal(key.type, JSON_STRING);
    assert_int_equal(n, 8);
    it = json_iter(at(root, "blob_id"));
    assert_false(json_next(&it, &key, &v));

    struct json c, element;
    it = json_iter(at(at(at(root, "nested"), "a"), "b"));
    assert_true(json_next(&it, &key, &element));
    c = at(element, "c");
    struct buf out = BUF_INIT(64);
    json_text(&out, c);
    assert_string_equal(out.p, "\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9");
    assert_true(json_is(c, buf_str(&out)));
    assert_false(json_is(c, str_head(buf_str(&out), out.n - 1)));
    assert_false(json_is(c, S("\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9x")));
    buf_fini(&out);
    drop(text);
}

static struct json parsed(const char *text)
{
    struct json v;
    if (json_parse(&v, str_of(text), NULL) != ERR_OK)
        fail_msg("'%s' should parse", text);
    return v;
}

static void copies_text(void **state)
{
    static const struct {
        const char *in;
        enum err want;
        const char *out;
    } texts[] = {
        { "\"\"", ERR_OK, "" },
        { "\"1234567\"", ERR_OK, "1234567" },
        { "\"12345678\"", ERR_TOOBIG, "" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\"", ERR_OK, "\"\\/\b\f\n\r" },
        { "\"a\"", ERR_OK, "a" },
        { "\"\\n\"", ERR_OK, "\n" },
        { "\"\\u0800\\uffff\"", ERR_OK, "\xe0\xa0\x80\xef\xbf\xbf" },
        { "\"\\ud800\\udc00\"", ERR_OK, "\xf0\x90\x80\x80" },
        { "\"\\u20ac\\u20ac\"", ERR_OK, "\xe2\x82\xac\xe2\x82\xac" },
        { "\"a\\u0000b\"", ERR_INVAL, "" },
        { "\"\\u007f\\u0080\\u07ff\"", ERR_OK, "\x7f\xc2\x80\xdf\xbf" },
        { "\"\\udbff\\udfff\"", ERR_OK, "\xf4\x8f\xbf\xbf" },
        { "null", ERR_INVAL, "" },
        { "12", ERR_INVAL, "" },
        { "[\"a\"]", ERR_INVAL, "" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(texts); i++) {
        char dst[8] = "before";
        enum err e = json_copy(dst, sizeof dst, parsed(texts[i].in));
        if (e != texts[i].want || strcmp(dst, texts[i].out) != 0)
            fail_msg("row %zu %s: %s '%s'", i, texts[i].in, err_name(e), dst);
    }
}

static void reads_numbers(void **state)
{
    static const struct {
        const char *in;
        enum err whole, real;
        int64_t i64;
        double value;
    } numbers[] = {
        { "0", ERR_OK, ERR_OK, 0, 0 },
        { "-0", ERR_OK, ERR_OK, 0, 0 },
        { "-5", ERR_OK, ERR_OK, -5, -5 },
        { "9223372036854775807", ERR_OK, ERR_OK, INT64_MAX, 9223372036854775807.0 },
        { "-9223372036854775808", ERR_OK, ERR_OK, INT64_MIN, -9223372036854775808.0 },
        { "9223372036854775808", ERR_RANGE, ERR_OK, 0, 9223372036854775808.0 },
        { "1.0", ERR_INVAL, ERR_OK, 0, 1 },
        { "1e3", ERR_INVAL, ERR_OK, 0, 1000 },
        { "98.95704650878906", ERR_INVAL, ERR_OK, 0, 98.95704650878906 },
        { "1e999", ERR_INVAL, ERR_RANGE, 0, 0 },
        { "-1e999", ERR_INVAL, ERR_RANGE, 0, 0 },
        { "1e-999", ERR_INVAL, ERR_OK, 0, 0 },
        { "0.00000000000000000000000000000000000000000000000000000000000000000001", ERR_INVAL,
          ERR_RANGE, 0, 0 }, /* more digits than any measurement has */
        { "\"1\"", ERR_INVAL, ERR_INVAL, 0, 0 },
        { "null", ERR_INVAL, ERR_INVAL, 0, 0 },
        { "true", ERR_INVAL, ERR_INVAL, 0, 0 },
        { "[1]", ERR_INVAL, ERR_INVAL, 0, 0 },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(numbers); i++) {
        int64_t v = 0;
        double d = 0;
        enum err ei = json_to_i64(parsed(numbers[i].in), &v);
        enum err ed = json_to_double(parsed(numbers[i].in), &d);
        if (ei != numbers[i].whole || v != (ei == ERR_OK ? numbers[i].i64 : 0))
            fail_msg("row %zu %s: i64 %s", i, numbers[i].in, err_name(ei));
        if (ed != numbers[i].real || (ed == ERR_OK && d != numbers[i].value))
            fail_msg("row %zu %s: double %s %g", i, numbers[i].in, err_name(ed), d);
    }
}

/* What a reader does with a document, all of it: every member of every container. */
static size_t walk(struct json v)
{
    size_t n = 1;
    struct json key, value;
    for (struct json_iter it = json_iter(v); json_next(&it, &key, &value);)
        n += walk(value);
    return n;
}

/* One MiB of the worst: the walk visits everything, and quadratic work would take minutes. */
static void hostile_sizes_stay_linear(void **state)
{
    static const struct {
        const char *open, *repeat, *close;
    } docs[] = {
        { "[", "[],", "0]" },
        { "[", "0,", "0]" },
        { "[", " ", "]" },
        { "[", " \n,0", "]" }, /* not JSON */
        { "[0", " \n,0", "]" },
        { "\"", "\\u00e9", "\"" },
        { "{", "\"\\u0061\":0,", "\"b\":0}" },
        { "{", "\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{}}}}}},", "\"b\":0}" },
        { "[[[[[[[[[[[[[[[0", ",0", "]]]]]]]]]]]]]]]" },
        { "", "[", "" }, /* too deep at once */
        { "", "{\"a\":", "" },
        { "1", "0", "" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(docs); i++) {
        struct buf text = BUF_INIT(2U << 20);
        buf_puts(&text, docs[i].open);
        while (text.n < 1U << 20)
            buf_puts(&text, docs[i].repeat);
        buf_puts(&text, docs[i].close);
        clock_t start = clock();
        struct json root, v;
        if (json_parse(&root, buf_str(&text), NULL) == ERR_OK) {
            assert_true(walk(root) > 0);
            (void)json_get(root, S("not there"), &v);
            char dst[8];
            if (root.type == JSON_STRING)
                assert_int_equal(json_copy(dst, sizeof dst, root), ERR_TOOBIG);
        }
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (seconds > 5)
            fail_msg("row %zu '%s': %.1f s", i, docs[i].repeat, seconds);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_and_refuses),
        cmocka_unit_test(says_where),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(reads_members),
        cmocka_unit_test(copies_text),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(hostile_sizes_stay_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
