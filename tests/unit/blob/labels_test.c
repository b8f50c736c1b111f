#include "blob/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define ANSWER_BYTES (2U << 20)

struct result {
    enum err e;
    struct buf out;
    struct errbuf eb;
    char version[LABELS_VERSION_BYTES];
};

static void convert(struct result *r, struct str answer, int64_t max, double least)
{
    *r = (struct result){ .out = BUF_INIT(1U << 20) };
    r->e = labels_from_rekognition(&r->out, answer, max, least, r->version, &r->eb);
}

static size_t count(struct str array)
{
    struct json root, key, value;
    assert_int_equal(json_parse(&root, array, NULL), ERR_OK);
    assert_int_equal(root.type, JSON_ARRAY);
    struct json_iter it = json_iter(root);
    size_t n = 0;
    while (json_next(&it, &key, &value))
        n++;
    return n;
}

static void numbers_keep_their_digits(void **state)
{
    (void)state;
    struct result r;
    convert(
        &r,
        S("{\"LabelModelVersion\":\"3.0\",\"OrientationCorrection\":null,\"Labels\":["
          "{\"Name\":\"Car\",\"Confidence\":98.95704650878906,\"Instances\":[{\"BoundingBox\":"
          "{\"Width\":0.1}}],\"Parents\":[{\"Name\":\"Vehicle\"},{\"Name\":\"Transportation\"}],"
          "\"Aliases\":[{\"Name\":\"Automobile\"}]},"
          "{\"Name\":\"\\u00c9t\\u00e9 \\\"x\\\"\",\"Confidence\":1e2}, "
          "{\"Confidence\":55.0,\"Name\":\"Vehicle\",\"Parents\":null}]}"),
        10, 55);
    assert_int_equal(r.e, ERR_OK);
    assert_string_equal(
        r.out.p, "[{\"label\":\"Car\",\"confidence\":98.95704650878906,"
                 "\"parents\":[\"Vehicle\",\"Transportation\"]},"
                 "{\"label\":\"\xc3\x89t\xc3\xa9 \\\"x\\\"\",\"confidence\":1e2,\"parents\":[]},"
                 "{\"label\":\"Vehicle\",\"confidence\":55.0,\"parents\":[]}]");
    assert_string_equal(r.version, "3.0");
    buf_fini(&r.out);
}

#define LABELS(rows) S("{\"Labels\":[" rows "]}")
#define A            "{\"Name\":\"A\",\"Confidence\":90}"
#define PLAIN_A      "{\"label\":\"A\",\"confidence\":90,\"parents\":[]}"

static void accepted_shapes(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        int64_t max;
        double least;
        const char *out;
    } rows[] = {
        { S("{\"Labels\":[]}"), 10, 0, "[]" },
        { S(" {\"x\":{},\"Labels\" : [ ] } "), 10, 0, "[]" },
        { LABELS(A), 10, 0, "[" PLAIN_A "]" },
        { LABELS(A), 0, 0, "[]" },
        { LABELS(A), -5, 0, "[]" },
        { LABELS(A), INT64_MAX, 0, "[" PLAIN_A "]" },
        { LABELS(A), 1, 90, "[" PLAIN_A "]" },
        { LABELS(A), 1, 90.1, "[]" },
        /* a name that comes twice stays once, however it is written; the first one wins */
        { LABELS(A ",{\"Name\":\"\\u0041\",\"Confidence\":80},{\"Name\":\"AA\",\"Confidence\":1}"),
          10, 0, "[" PLAIN_A ",{\"label\":\"AA\",\"confidence\":1,\"parents\":[]}]" },
        /* parents that name each other, or the label itself, are only text */
        { LABELS(
              "{\"Name\":\"A\",\"Confidence\":0,\"Parents\":[{\"Name\":\"A\"},{\"Name\":\"B\"}]}"),
          10, 0, "[{\"label\":\"A\",\"confidence\":0,\"parents\":[\"A\",\"B\"]}]" },
        /* what an escape hides goes out escaped */
        { LABELS("{\"Name\":\"a\\u0001\\n</script>\\u007f\",\"Confidence\":100}"), 10, 0,
          "[{\"label\":\"a\\u0001\\n</script>\\u007f\",\"confidence\":100,\"parents\":[]}]" },
        /* one limit stops reading: what follows is not even looked at */
        { LABELS(A ",7"), 1, 0, "[" PLAIN_A "]" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct result r;
        convert(&r, rows[i].in, rows[i].max, rows[i].least);
        if (r.e != ERR_OK || strcmp(r.out.p, rows[i].out) != 0)
            fail_msg("row %zu: %s: %s", i, r.eb.text, r.out.p == NULL ? "" : r.out.p);
        buf_fini(&r.out);
    }
}

#define WITH(confidence)  LABELS("{\"Name\":\"A\",\"Confidence\":" confidence "}")
#define NAMED(name)       LABELS("{\"Name\":" name ",\"Confidence\":9}")
#define CHILD_OF(parents) LABELS("{\"Name\":\"A\",\"Confidence\":9,\"Parents\":" parents "}")

static void refused_shapes(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *why;
    } rows[] = {
        { S(""), "not JSON" },
        { S("<html>"), "not JSON" },
        { S("{}"), "expected Labels to be an array, not null" },
        { S("[]"), "expected Labels to be an array" },
        { S("null"), "expected Labels to be an array" },
        { S("{\"Labels\":null}"), "not null" },
        { S("{\"Labels\":{}}"), "not an object" },
        { S("{\"Labels\":\"x\"}"), "not a string" },
        { S("{\"labels\":[]}"), "expected Labels" }, /* names are case sensitive */
        { S("{\"Labels\":[" A), "not JSON" },
        { S("{\"Labels\":[" A "]}x"), "expected the end" },
        { LABELS("7"), "Labels[0]: expected an object, not a number" },
        { LABELS(A ",null"), "Labels[1]: expected an object, not null" },
        { LABELS("{}"), "Labels[0]: expected Name to be a string, not null" },
        { NAMED("7"), "not a number" },
        { NAMED("null"), "not null" },
        { NAMED("\"\""), "Name is empty" },
        { NAMED("\"a\\u0000b\""), "NUL" },
        { NAMED("\"a\nb\""), "not JSON" },
        { NAMED("\"\xff\""), "not JSON" },
        { NAMED("\"\\ud800\""), "not JSON" },
        { LABELS("{\"Name\":\"A\"}"), "expected Confidence to be a number, not null" },
        { WITH("\"98\""), "not a string" },
        { WITH("null"), "not null" },
        { WITH("true"), "not true" },
        { WITH("NaN"), "not JSON" },
        { WITH("Infinity"), "not JSON" },
        { WITH("1e400"), "outside 0 to 100" },
        { WITH("-1"), "outside 0 to 100" },
        { WITH("-1e-9"), "outside 0 to 100" },
        { WITH("101"), "outside 0 to 100" },
        { WITH("100.0000001"), "outside 0 to 100" },
        { CHILD_OF("{}"), "expected Parents to be an array, not an object" },
        { CHILD_OF("\"x\""), "not a string" },
        { CHILD_OF("[\"x\"]"), "Labels[0].Parents: expected Name to be a string" },
        { CHILD_OF("[{}]"), "Labels[0].Parents: expected Name" },
        { CHILD_OF("[{\"Name\":\"\"}]"), "Labels[0].Parents: Name is empty" },
        { S("{\"Labels\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}"), "nests deeper" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct result r;
        convert(&r, rows[i].in, 10, 0);
        if (r.e != ERR_INVAL || strstr(r.eb.text, rows[i].why) == NULL || r.out.n != 0)
            fail_msg("row %zu: %s: %s", i, err_name(r.e), r.eb.text);
        assert_string_equal(r.version, "");
        buf_fini(&r.out);
    }
}

/* {"Labels":[{"Name":"<prefix>0",…},…]} with n labels and n_parents parents each */
static void make(struct buf *out, size_t n, size_t n_parents, size_t name_bytes)
{
    buf_puts(out, "{\"Labels\":[");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s{\"Name\":\"%0*zu\",\"Confidence\":99.5,\"Parents\":[",
                   i == 0 ? "" : ",", (int)name_bytes, i);
        for (size_t k = 0; k < n_parents; k++)
            buf_printf(out, "%s{\"Name\":\"%0*zu\"}", k == 0 ? "" : ",", (int)name_bytes, k);
        buf_puts(out, "]}");
    }
    buf_puts(out, "]}");
    assert_false(buf_failed(out));
}

static void too_much_is_cut(void **state)
{
    (void)state;
    static const struct {
        size_t n, parents, name_bytes;
        int64_t max;
        enum err e;
        size_t least, most; /* labels left */
    } rows[] = {
        { 10000, 0, 1, 10, ERR_OK, 10, 10 },
        { 10000, 0, 5, 100000, ERR_OK, 1000, 1000 },
        { 1, 1000, 5, 10, ERR_OK, 1, 1 },
        { 1, 0, 256, 10, ERR_OK, 1, 1 },
        { 1, 0, 257, 10, ERR_INVAL, 0, 0 },
        { 1, 0, 10240, 10, ERR_INVAL, 0, 0 },
        { 1, 1, 256, 10, ERR_OK, 1, 1 },
        { 1000, 1, 256, 1000, ERR_OK, 100, 130 }, /* 64 KiB are full */
        { 50, 64, 256, 50, ERR_OK, 3, 3 },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf answer = BUF_INIT(ANSWER_BYTES);
        struct result r;
        make(&answer, rows[i].n, rows[i].parents, rows[i].name_bytes);
        convert(&r, buf_str(&answer), rows[i].max, 0);
        assert_int_equal(r.e, rows[i].e);
        size_t n = r.e == ERR_OK ? count(buf_str(&r.out)) : 0;
        if (n < rows[i].least || n > rows[i].most || r.out.n > LABELS_BYTES)
            fail_msg("row %zu: %zu labels, %zu bytes", i, n, r.out.n);
        buf_fini(&r.out);
        buf_fini(&answer);
    }
}

static void parents_are_counted(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(ANSWER_BYTES);
    struct result r;
    struct json root, key, label, parents;
    make(&answer, 1, 1000, 4);
    convert(&r, buf_str(&answer), 10, 0);
    assert_int_equal(json_parse(&root, buf_str(&r.out), NULL), ERR_OK);
    struct json_iter it = json_iter(root);
    assert_true(json_next(&it, &key, &label));
    assert_true(json_get(label, S("parents"), &parents));
    assert_int_equal(count(parents.raw), LABELS_PARENTS_MAX);
    buf_fini(&r.out);
    buf_fini(&answer);
}

static void versions(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *version;
    } rows[] = {
        { S("{\"Labels\":[],\"LabelModelVersion\":\"3.0\"}"), "3.0" },
        { S("{\"Labels\":[]}"), "" },
        { S("{\"Labels\":[],\"LabelModelVersion\":null}"), "" },
        { S("{\"Labels\":[],\"LabelModelVersion\":3.0}"), "" },
        { S("{\"Labels\":[],\"LabelModelVersion\":\"0123456789012345678901234567890\"}"),
          "0123456789012345678901234567890" },
        { S("{\"Labels\":[],\"LabelModelVersion\":\"01234567890123456789012345678901\"}"), "" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct result r;
        convert(&r, rows[i].in, 10, 0);
        assert_int_equal(r.e, ERR_OK);
        assert_string_equal(r.version, rows[i].version);
        buf_fini(&r.out);
    }
}

/* Every answer that is cut short somewhere is refused and leaves nothing behind. */
static void truncated_anywhere(void **state)
{
    (void)state;
    struct str whole = S("{\"Labels\":[{\"Name\":\"Car\",\"Confidence\":98.9,\"Parents\":"
                         "[{\"Name\":\"Vehicle\"}]}],\"LabelModelVersion\":\"3.0\"}");
    for (size_t n = 0; n < whole.n; n++) {
        struct result r;
        char *copy = malloc(n + 1); /* exactly n bytes, so that the sanitizer sees an overrun */
        assert_non_null(copy);
        memcpy(copy, whole.p, n);
        convert(&r, (struct str){ copy, n }, 10, 0);
        assert_int_equal(r.e, ERR_INVAL);
        assert_int_equal(r.out.n, 0);
        free(copy);
        buf_fini(&r.out);
    }
}

static void full_output_is_told(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(10);
    char version[LABELS_VERSION_BYTES];
    struct errbuf eb;
    assert_int_equal(labels_from_rekognition(&out, LABELS(A), 10, 0, version, &eb), ERR_TOOBIG);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_keep_their_digits),
        cmocka_unit_test(accepted_shapes),
        cmocka_unit_test(refused_shapes),
        cmocka_unit_test(too_much_is_cut),
        cmocka_unit_test(parents_are_counted),
        cmocka_unit_test(versions),
        cmocka_unit_test(truncated_anywhere),
        cmocka_unit_test(full_output_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
