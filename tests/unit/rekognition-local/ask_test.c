#include "rekognition-local/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/enc.h"

#define IMAGE "\"Image\":{\"Bytes\":\"/9j/\"}"

static void accepted(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *bucket, *name;
        size_t bytes;
        bool labels, properties;
        int64_t max_labels;
        double min_confidence;
        int64_t max_colors;
    } rows[] = {
        { S("{" IMAGE "}"), "", "", 3, true, false, 1000, 55, 10 },
        { S("{\"Image\":{\"Bytes\":\"\\/9j\\/\"}}"), "", "", 3, true, false, 1000, 55, 10 },
        { S("{" IMAGE ",\"MaxLabels\":7,\"MinConfidence\":12.5}"), "", "", 3, true, false, 7, 12.5,
          10 },
        { S("{\"MaxLabels\":0,\"MinConfidence\":0," IMAGE "}"), "", "", 3, true, false, 0, 0, 10 },
        { S("{" IMAGE ",\"MaxLabels\":99999,\"MinConfidence\":100}"), "", "", 3, true, false, 1000,
          100, 10 },
        { S("{" IMAGE ",\"MaxLabels\":null,\"Features\":null,\"Settings\":null,\"New\":[{}]}"), "",
          "", 3, true, false, 1000, 55, 10 },
        { S("{" IMAGE ",\"Features\":[]}"), "", "", 3, true, false, 1000, 55, 10 },
        { S("{" IMAGE ",\"Features\":[\"IMAGE_PROPERTIES\"]}"), "", "", 3, false, true, 1000, 55,
          10 },
        { S("{" IMAGE ",\"Features\":[\"GENERAL_LABELS\",\"IMAGE_PROPERTIES\"],\"MaxLabels\":1,"
            "\"Settings\":{\"GeneralLabels\":{\"LabelInclusionFilters\":[ ]},"
            "\"ImageProperties\":{\"MaxDominantColors\":3}}}"),
          "", "", 3, true, true, 1, 55, 3 },
        { S("{\"Image\":{\"S3Object\":{\"Bucket\":\"b-1\",\"Name\":\"uploads/\\u00e9 x.jpg\"}}}"),
          "b-1", "uploads/\xc3\xa9 x.jpg", 0, true, false, 1000, 55, 10 },
        { S("{\"Image\":{\"Bytes\":null,\"S3Object\":{\"Bucket\":\"b-1\",\"Name\":\"k\",\"Version\""
            ":\"v\"}}}"),
          "b-1", "k", 0, true, false, 1000, 55, 10 },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct ask a;
        struct fault f;
        if (ask_parse(&a, rows[i].in, &f) != ERR_OK)
            fail_msg("row %zu: %s: %s", i, f.type, f.message);
        if (strcmp(a.bucket, rows[i].bucket) != 0 || strcmp(a.name, rows[i].name) != 0 ||
            a.image.n != rows[i].bytes || a.labels != rows[i].labels ||
            a.properties != rows[i].properties || a.max_labels != rows[i].max_labels ||
            a.min_confidence != rows[i].min_confidence || a.max_colors != rows[i].max_colors)
            fail_msg("row %zu", i);
        ask_fini(&a);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char type[] = "SerializationException", value[] = "ValidationException",
                      parameter[] = "InvalidParameterException";
    static const struct {
        struct str in;
        const char *type, *part;
    } rows[] = {
        { S(""), type, "not JSON" },
        { S("null"), type, "request" },
        { S("[]"), type, "request" },
        { S("{" IMAGE), type, "not JSON" },
        { S("{}"), value, "'image'" },
        { S("{\"Image\":null}"), value, "'image'" },
        { S("{\"Image\":\"x\"}"), type, "image: expected an object" },
        { S("{\"Image\":{}}"), parameter, "want bytes or s3Object" },
        { S("{\"Image\":{\"Bytes\":\"/9j/\",\"S3Object\":{}}}"), parameter, "want bytes" },
        { S("{\"Image\":{\"Bytes\":7}}"), type, "image.bytes" },
        { S("{\"Image\":{\"Bytes\":\"\"}}"), value, "greater than or equal to 1" },
        { S("{\"Image\":{\"Bytes\":\"/9j\"}}"), type, "base64" },
        { S("{\"Image\":{\"Bytes\":\"_9j_\"}}"), type, "base64" },
        { S("{\"Image\":{\"Bytes\":\"====\"}}"), type, "base64" },
        { S("{\"Image\":{\"Bytes\":\"=\"}}"), type, "base64" },
        { S("{\"Image\":{\"S3Object\":7}}"), type, "image.s3Object" },
        { S("{\"Image\":{\"S3Object\":{}}}"), parameter, "image.s3Object.bucket" },
        { S("{\"Image\":{\"S3Object\":{\"Bucket\":\"b\"}}}"), parameter, "image.s3Object.name" },
        { S("{\"Image\":{\"S3Object\":{\"Bucket\":\"\",\"Name\":\"k\"}}}"), value, "bucket" },
        { S("{\"Image\":{\"S3Object\":{\"Bucket\":\"b\",\"Name\":[]}}}"), type, "name" },
        { S("{\"Image\":{\"S3Object\":{\"Bucket\":\"b\",\"Name\":\"k\\u0000\"}}}"), value, "name" },
        { S("{\"Image\":{\"S3Object\":{\"Bucket\":\"b\",\"Name\":\"k\",\"Version\":7}}}"), type,
          "version" },
        { S("{" IMAGE ",\"MaxLabels\":-1}"), value, "maxLabels" },
        { S("{" IMAGE ",\"MaxLabels\":1.5}"), type, "maxLabels" },
        { S("{" IMAGE ",\"MaxLabels\":\"1\"}"), type, "maxLabels" },
        { S("{" IMAGE ",\"MinConfidence\":-0.1}"), value, "minConfidence" },
        { S("{" IMAGE ",\"MinConfidence\":100.1}"), value, "minConfidence" },
        { S("{" IMAGE ",\"MinConfidence\":true}"), type, "minConfidence" },
        { S("{" IMAGE ",\"Features\":\"GENERAL_LABELS\"}"), type, "features" },
        { S("{" IMAGE ",\"Features\":[\"FACES\"]}"), value, "enum" },
        { S("{" IMAGE ",\"Features\":[7]}"), value, "enum" },
        { S("{" IMAGE ",\"Features\":[\"IMAGE_PROPERTIES\"],\"MaxLabels\":5}"), parameter,
          "GENERAL_LABELS" },
        { S("{" IMAGE ",\"Settings\":[]}"), type, "settings" },
        { S("{" IMAGE ",\"Settings\":{\"GeneralLabels\":{\"LabelExclusionFilters\":[\"Cat\"]}}}"),
          parameter, "no label filters" },
        { S("{" IMAGE ",\"Settings\":{\"ImageProperties\":{\"MaxDominantColors\":-1}}}"), value,
          "maxDominantColors" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct ask a;
        struct fault f = { .status = 0 };
        enum err e = ask_parse(&a, rows[i].in, &f);
        if (e != ERR_INVAL || f.status != 400 || strcmp(f.type, rows[i].type) != 0 ||
            strstr(f.message, rows[i].part) == NULL)
            fail_msg("row %zu: %s %s: %s", i, err_name(e), f.type, f.message);
        ask_fini(&a);
    }
}

static void five_mebibytes(void **state)
{
    (void)state;
    for (size_t more = 0; more <= 2; more++) {
        struct buf body = BUF_INIT(8U << 20), image = BUF_INIT(6U << 20);
        struct ask a;
        struct fault f = { .status = 0 };
        char *at = buf_reserve(&image, ASK_BYTES_MAX + more);
        assert_non_null(at);
        memset(at, 7, ASK_BYTES_MAX + more);
        buf_grew(&image, ASK_BYTES_MAX + more);
        buf_puts(&body, "{\"Image\":{\"Bytes\":\"");
        enc_base64(&body, buf_str(&image));
        buf_puts(&body, "\"}}");
        assert_false(buf_failed(&body));
        enum err e = ask_parse(&a, buf_str(&body), &f);
        assert_int_equal(e, more == 0 ? ERR_OK : ERR_INVAL);
        if (more == 0)
            assert_int_equal(a.image.n, ASK_BYTES_MAX);
        else
            assert_non_null(strstr(f.message, "less than or equal to 5242880"));
        ask_fini(&a);
        buf_fini(&image);
        buf_fini(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused),
        cmocka_unit_test(five_mebibytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
