#include "rekognition-local/answer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "blob/labels.h"

static const struct look a_look = {
    .aspect = 1.5,
    .colors = { [COLOR_BLUE] = { 0.6, { 10, 20, 200 } }, [COLOR_GREEN] = { 0.4, { 1, 99, 2 } } },
    .brightness = 0.5,
    .contrast = 0.2,
    .edges = 0.02,
    .colorful = 50,
};

static size_t put(struct buf *out, struct json *root, const struct ask *a)
{
    buf_clear(out);
    size_t n = answer_put(out, a, &a_look);
    assert_false(buf_failed(out));
    assert_int_equal(json_parse(root, buf_str(out), NULL), ERR_OK);
    return n;
}

static size_t length(struct json array)
{
    struct json_iter it = json_iter(array);
    struct json key, value;
    size_t n = 0;
    while (json_next(&it, &key, &value))
        n++;
    return n;
}

static void as_asked(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1U << 20);
    struct json root, v;
    struct ask a = { .labels = true, .max_labels = 1000, .min_confidence = 55, .max_colors = 10 };
    size_t all = put(&out, &root, &a);
    assert_true(all >= 8);
    assert_true(json_get(root, S("Labels"), &v));
    assert_int_equal(length(v), all);
    assert_true(json_get(root, S("LabelModelVersion"), &v) && json_is(v, S("3.0-local")));
    assert_false(json_get(root, S("ImageProperties"), &v));
    assert_false(json_get(root, S("OrientationCorrection"), &v));

    a.max_labels = 3;
    assert_int_equal(put(&out, &root, &a), 3);
    a.max_labels = 0;
    assert_int_equal(put(&out, &root, &a), 0);
    a.max_labels = 1000;
    a.min_confidence = 100;
    assert_int_equal(put(&out, &root, &a), 0);
    a.min_confidence = 0;
    assert_true(put(&out, &root, &a) > all);

    a.properties = true;
    a.max_colors = 1;
    (void)put(&out, &root, &a);
    assert_true(json_get(root, S("ImageProperties"), &v));
    struct json colors, key, first, red;
    assert_true(json_get(v, S("DominantColors"), &colors));
    assert_int_equal(length(colors), 1);
    struct json_iter it = json_iter(colors);
    assert_true(json_next(&it, &key, &first));
    assert_true(json_get(first, S("HexCode"), &red) && json_is(red, S("#0a14c8")));
    assert_true(json_get(first, S("SimplifiedColor"), &red) && json_is(red, S("blue")));
    a.labels = false;
    assert_int_equal(put(&out, &root, &a), 0);
    assert_false(json_get(root, S("Labels"), &v));
    buf_fini(&out);
}

/* The digits are those of a float made a double, and the client's codec takes them as they are. */
static void digits(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(1U << 20), served = BUF_INIT(LABELS_BYTES);
    struct json root, labels, key, label, c;
    char version[LABELS_VERSION_BYTES];
    struct errbuf eb;
    const struct ask a = { .labels = true, .max_labels = 1000, .min_confidence = 0 };
    size_t n = put(&out, &root, &a), longest = 0;
    assert_true(json_get(root, S("Labels"), &labels));
    struct json_iter it = json_iter(labels);
    while (json_next(&it, &key, &label)) {
        double d;
        assert_true(json_get(label, S("Confidence"), &c));
        assert_int_equal(json_to_double(c, &d), ERR_OK);
        assert_true((double)(float)d == d);
        assert_true(str_find(c.raw, '.') > 0);
        longest = c.raw.n > longest ? c.raw.n : longest;
    }
    assert_true(longest >= 15);
    assert_int_equal(labels_from_rekognition(&served, buf_str(&out), 1000, 0, version, &eb),
                     ERR_OK);
    assert_string_equal(version, "3.0-local");
    assert_int_equal(json_parse(&root, buf_str(&served), NULL), ERR_OK);
    assert_int_equal(length(root), n);
    buf_fini(&out);
    buf_fini(&served);
}

static void errors_in_its_words(void **state)
{
    (void)state;
    struct fault f;
    struct buf out = BUF_INIT(4096);
    assert_int_equal(fault_set(&f, "ThrottlingException", "%s", "a \"b\""), ERR_INVAL);
    assert_int_equal(f.status, 400);
    fault_put(&out, &f, "id");
    assert_string_equal(out.p, "{\"__type\":\"ThrottlingException\",\"Code\":\"ThrottlingException"
                               "\",\"Logref\":\"id\",\"Message\":\"a \\\"b\\\"\"}");
    (void)fault_set(&f, "InternalServerError", "x");
    assert_int_equal(f.status, 500);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_asked),
        cmocka_unit_test(digits),
        cmocka_unit_test(errors_in_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
