/* The rules of the HTTP server on their own: paths, patterns, headers, bodies. */
#include "net/httpd_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    struct str path;
    bool sound;
} paths[] = {
    { S("/"), true },
    { S("/blobs"), true },
    { S("/blobs/"), true },
    { S("/blobs/a%20b"), true },
    { S("/a/..b/.c/..."), true },
    { S(""), false },
    { S("blobs"), false },
    { S("//"), false },
    { S("//blobs"), false },
    { S("/blobs//x"), false },
    { S("/."), false },
    { S("/a/../b"), false },
    { S("/a/%2e%2E/b"), false },
    { S("/a/.%2e"), false },
    { S("/a%00"), false },
    { S("/a%0"), false },
    { S("/a%"), false },
    { S("/a%zz"), false },
    { S("/a%7f"), false },
    { S("/a%0d%0aSet-Cookie:x"), false },
    { S("/a\0b"), false },
    { S("/a\tb"), false },
};

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(paths); i++)
        if (httpd_check_path(paths[i].path) != paths[i].sound)
            fail_msg("row %zu: " STR_FMT, i, STR_ARG(paths[i].path));
}

static const struct {
    const char *pattern;
    struct str path;
    bool fits;
    struct str first, second;
} matches[] = {
    { "/blobs", S("/blobs"), true, S(""), S("") },
    { "/blobs", S("/blobs/"), false, S(""), S("") },
    { "/blobs", S("/blob"), false, S(""), S("") },
    { "/blobs", S("/blobss"), false, S(""), S("") },
    { "/blobs", S("/Blobs"), false, S(""), S("") },
    { "/blobs/{id}", S("/blobs/7"), true, S("7"), S("") },
    { "/blobs/{id}", S("/blobs/"), false, S(""), S("") },
    { "/blobs/{id}", S("/blobs/7/8"), false, S(""), S("") },
    { "/api/{id}/tags/{tag}", S("/api/a%2Fb/tags/x"), true, S("a%2Fb"), S("x") },
    { "/api/{id}/tags", S("/api/a/tagz"), false, S(""), S("") },
    { "/{a}/{b}", S("/x/y"), true, S("x"), S("y") },
};

static void test_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(matches); i++) {
        struct str param[HTTPD_PARAMS_MAX] = { S(""), S("") };
        bool fits = httpd_check_match(matches[i].pattern, matches[i].path, param);
        if (fits != matches[i].fits ||
            (fits && (!str_eq(param[0], matches[i].first) || !str_eq(param[1], matches[i].second))))
            fail_msg("row %zu: %s", i, matches[i].pattern);
    }
}

/* One header beside a sound Host; status 0: sound. */
static const struct {
    const char *name;
    struct str value;
    int status;
    const char *code;
} headers[] = {
    { "Content-Length", S("0"), 0, NULL },
    { "content-LENGTH", S("17 "), 0, NULL }, /* trailing blanks belong to no value */
    { "Content-Length", S("+3"), 400, "bad_content_length" },
    { "Content-Length", S("-3"), 400, "bad_content_length" },
    { "Content-Length", S("3, 3"), 400, "bad_content_length" },
    { "Content-Length", S("3x"), 400, "bad_content_length" },
    { "Content-Length", S("0x3"), 400, "bad_content_length" },
    { "Content-Length", S(""), 400, "bad_content_length" },
    { "Content-Length", S("99999999999999999999"), 0, NULL }, /* too big for any route: 413 */
    { "Transfer-Encoding", S("chunked"), 411, "length_required" },
    { "Transfer-Encoding", S("identity"), 411, "length_required" },
    { "Host", S("twice"), 400, "bad_host" },
    { "Expect", S("100-Continue"), 0, NULL },
    { "Expect", S("200-maybe"), 417, "expectation_failed" },
    { "Content-Encoding", S("identity"), 0, NULL },
    { "Content-Encoding", S("gzip"), 415, "unsupported_content_encoding" },
    { "X-Request-Id", S("no spaces please"), 0, NULL },
};

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(headers); i++) {
        const struct http_hdr hdrs[] = { { "Host", S("x") },
                                         { headers[i].name, headers[i].value } };
        struct httpd_head h = { S("POST"), S("/"), S(""), false, hdrs, N_OF(hdrs) };
        struct httpd_facts f;
        struct httpd_refusal no = { 0 };
        enum err e = httpd_check_head(&h, &f, &no);
        if ((e == ERR_OK) != (headers[i].status == 0) || no.status != headers[i].status ||
            (e != ERR_OK && strcmp(no.code, headers[i].code) != 0))
            fail_msg("row %zu: %s: %d %s", i, headers[i].name, no.status, no.code);
        assert_int_equal(f.request_id.n, 0);
    }
}

static void test_facts(void **state)
{
    (void)state;
    const struct http_hdr hdrs[] = {
        { "host", S("x") },
        { "X-Request-ID", S("a-B_9.") },
        { "Content-Length", S("18446744073709551616") },
        { "Content-Type", S("text/plain") },
        { "Expect", S("100-continue") },
        { "Access-Control-Request-Headers", S("authorization, x-y") },
    };
    struct httpd_head h = { S("POST"), S("/"), S(""), false, hdrs, N_OF(hdrs) };
    struct httpd_facts f;
    struct httpd_refusal no;
    assert_int_equal(httpd_check_head(&h, &f, &no), ERR_OK);
    assert_true(str_eq(f.request_id, S("a-B_9.")));
    assert_true(str_eq(f.content_type, S("text/plain")));
    assert_true(str_eq(f.cors_headers, S("authorization, x-y")));
    assert_true(f.has_length && f.length == UINT64_MAX);
    assert_true(f.wants_continue);
    h.http_10 = true; /* 1.0 knows no 100 and needs no Host */
    h.hdrs++;
    h.n_hdrs--;
    assert_int_equal(httpd_check_head(&h, &f, &no), ERR_OK);
    assert_false(f.wants_continue);
}

static const struct {
    struct str type;
    bool json;
} types[] = {
    { S("application/json"), true },
    { S("Application/JSON ; charset=UTF-8"), true },
    { S("application/json;charset=\"utf-8\";x=y"), true },
    { S("application/json; charset=latin1"), false },
    { S("application/jsonx"), false },
    { S("application/x-www-form-urlencoded"), false },
    { S("multipart/form-data; boundary=x"), false },
    { S(""), false },
};

static void test_types(void **state)
{
    (void)state;
    const struct http_route route = { "POST", "/", 100, HTTP_JSON_ONLY, NULL };
    struct httpd_head h = { S("POST"), S("/"), S(""), false, NULL, 0 };
    for (size_t i = 0; i < N_OF(types); i++) {
        struct httpd_facts f = { .content_type = types[i].type, .length = 1, .has_length = true };
        struct httpd_refusal no = { 0 };
        if ((httpd_check_body(&h, &f, &route, &no) == ERR_OK) != types[i].json)
            fail_msg("row %zu: " STR_FMT, i, STR_ARG(types[i].type));
        f.length = 0; /* nothing there to have a type: `curl -d ''` */
        assert_int_equal(httpd_check_body(&h, &f, &route, &no), ERR_OK);
    }
    struct httpd_facts absent = { .length = 1, .has_length = true };
    struct httpd_refusal no;
    assert_int_equal(httpd_check_body(&h, &absent, &route, &no), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),   cmocka_unit_test(test_matches),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_facts),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
