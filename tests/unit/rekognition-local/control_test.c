#include "rekognition-local/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static void accepted(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        enum control_mode mode;
        int64_t delay_ms, count;
        int status;
        const char *error, *text;
    } rows[] = {
        { S("{}"), CONTROL_NORMAL, 0, -1, 500, "InternalServerError", NULL },
        { S("{\"mode\":\"normal\",\"delay_ms\":800}"), CONTROL_NORMAL, 800, -1, 500,
          "InternalServerError", NULL },
        { S("{\"mode\":\"throttle\",\"count\":20}"), CONTROL_THROTTLE, 0, 20, 400,
          "ThrottlingException", NULL },
        { S("{\"mode\":\"throttle\",\"error\":\"ProvisionedThroughputExceededException\"}"),
          CONTROL_THROTTLE, 0, -1, 400, "ProvisionedThroughputExceededException", NULL },
        { S("{\"mode\":\"throttle\",\"status\":500}"), CONTROL_THROTTLE, 0, -1, 500,
          "ThrottlingException", NULL },
        { S("{\"mode\":\"fail\"}"), CONTROL_FAIL, 0, -1, 500, "InternalServerError", NULL },
        { S("{\"mode\":\"fail\",\"error\":\"AccessDeniedException\",\"count\":0}"), CONTROL_FAIL, 0,
          0, 400, "AccessDeniedException", NULL },
        { S("{\"mode\":\"stall\"}"), CONTROL_STALL, 60000, -1, 500, "InternalServerError", NULL },
        { S("{\"mode\":\"stall\",\"delay_ms\":0}"), CONTROL_STALL, 0, -1, 500,
          "InternalServerError", NULL },
        { S("{\"mode\":\"labels\",\"labels\":[ {\"Name\":\"Cat\"} ]}"), CONTROL_LABELS, 0, -1, 200,
          "InternalServerError", "[ {\"Name\":\"Cat\"} ]" },
        { S("{\"mode\":\"body\",\"body\":\"{\\\"Labels\\\":\"}"), CONTROL_BODY, 0, -1, 200,
          "InternalServerError", "{\"Labels\":" },
        { S("{\"mode\":\"body\",\"body\":\"x\",\"status\":502}"), CONTROL_BODY, 0, -1, 502,
          "InternalServerError", "x" },
        { S("{\"quota\":50}"), CONTROL_NORMAL, 0, -1, 400, "ProvisionedThroughputExceededException",
          NULL },
        { S("{\"quota\":50,\"error\":\"ThrottlingException\",\"delay_ms\":9}"), CONTROL_NORMAL, 9,
          -1, 400, "ThrottlingException", NULL },
        { S("{\"quota\":50,\"mode\":\"labels\",\"labels\":[]}"), CONTROL_LABELS, 0, -1, 200,
          "ProvisionedThroughputExceededException", "[]" },
        { S("{\"skew_ms\":-600000,\"expired_token\":\"t\"}"), CONTROL_NORMAL, 0, -1, 500,
          "InternalServerError", NULL },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct control c;
        struct errbuf eb = { "" };
        if (control_parse(&c, rows[i].in, &eb) != ERR_OK)
            fail_msg("row %zu: %s", i, eb.text);
        if (c.mode != rows[i].mode || c.delay_ms != rows[i].delay_ms || c.count != rows[i].count ||
            c.status != rows[i].status || strcmp(c.fault.type, rows[i].error) != 0 ||
            (rows[i].text != NULL && strcmp(c.text.p, rows[i].text) != 0))
            fail_msg("row %zu: %d %d %s", i, c.mode, c.fault.status, c.fault.type);
        control_fini(&c);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *why;
    } rows[] = {
        { S(""), "not JSON" },
        { S("throttle"), "not JSON" },
        { S("[]"), "want an object, not an array" },
        { S("{\"mode\":\"slow\"}"), "mode: want normal" },
        { S("{\"mode\":7}"), "mode: want" },
        { S("{\"mode\":\"fail\",\"delay_ms\":60001}"),
          "delay_ms: want a whole number, 0 to 60000" },
        { S("{\"delay_ms\":-1}"), "delay_ms" },
        { S("{\"delay_ms\":\"1s\"}"), "delay_ms" },
        { S("{\"count\":-1}"), "count" },
        { S("{\"status\":99}"), "status" },
        { S("{\"status\":600}"), "status" },
        { S("{\"error\":\"\"}"), "error: want a text" },
        { S("{\"error\":7}"), "error: want a text" },
        { S("{\"message\":\"\"}"), "message" },
        { S("{\"mode\":\"labels\"}"), "mode labels wants a member labels" },
        { S("{\"mode\":\"labels\",\"labels\":{}}"), "labels: want an array, not an object" },
        { S("{\"mode\":\"body\"}"), "mode body wants a member body" },
        { S("{\"mode\":\"body\",\"body\":[]}"), "body: want a string" },
        { S("{\"mod\":\"fail\"}"), "unknown member \"mod\"" },
        { S("{\"quota\":0}"), "quota: want" },
        { S("{\"mode\":\"throttle\",\"quota\":5}"), "quota goes with mode normal or labels" },
        { S("{\"skew_ms\":86400001}"), "skew_ms: want" },
        { S("{\"expired_token\":\"\"}"), "expired_token: want a text" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct control c;
        struct errbuf eb = { "" };
        enum err e = control_parse(&c, rows[i].in, &eb);
        if (e != ERR_INVAL || strstr(eb.text, rows[i].why) == NULL)
            fail_msg("row %zu: %s: %s", i, err_name(e), eb.text);
        assert_int_equal(c.mode, CONTROL_NORMAL);
        assert_int_equal(c.delay_ms, 0);
        control_fini(&c);
    }
}

static void write_file(const char *path, const char *text)
{
    char part[128];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *f = fopen(part, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(rename(part, path), 0); /* a new inode each time: seen at once */
}

static enum control_mode next(struct control_file *f)
{
    struct control c;
    control_file_next(f, &c);
    enum control_mode mode = c.mode;
    control_fini(&c);
    return mode;
}

static void file_is_followed(void **state)
{
    (void)state;
    char dir[] = "/tmp/control_test.XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/control.json", dir);
    struct control_file *f = control_file_new(path);
    assert_int_equal(next(f), CONTROL_NORMAL); /* absent */
    write_file(path, "{\"mode\":\"throttle\",\"count\":2}");
    assert_int_equal(next(f), CONTROL_THROTTLE);
    assert_int_equal(next(f), CONTROL_THROTTLE);
    assert_int_equal(next(f), CONTROL_NORMAL); /* the count is used up */
    assert_int_equal(next(f), CONTROL_NORMAL);
    write_file(path, "{\"mode\":\"throttle\",\"count\":2}");
    assert_int_equal(next(f), CONTROL_THROTTLE); /* written again: it starts anew */
    write_file(path, "{\"mode\":\"labels\",\"labels\":[1,2]}");
    struct control c;
    control_file_next(f, &c);
    assert_int_equal(c.mode, CONTROL_LABELS);
    assert_string_equal(c.text.p, "[1,2]");
    control_fini(&c);
    write_file(path, "{\"mode\":\"typo\"}");
    assert_int_equal(next(f), CONTROL_NORMAL); /* refused with a warning */
    write_file(path, "{\"mode\":\"fail\"}");
    assert_int_equal(next(f), CONTROL_FAIL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(next(f), CONTROL_NORMAL);
    control_file_free(f);
    assert_int_equal(rmdir(dir), 0);
}

static void quota(void **state)
{
    (void)state;
    char dir[] = "/tmp/control_test.XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/control.json", dir);
    struct control_file *f = control_file_new(path);
    write_file(path, "{\"quota\":3}");
    for (int i = 0; i < 3; i++)
        assert_int_equal(next(f), CONTROL_NORMAL); /* a second's calls at once */
    assert_int_equal(next(f), CONTROL_OVER_QUOTA);
    while (next(f) == CONTROL_OVER_QUOTA)
        continue; /* a third of a second later there is room for one */
    assert_int_equal(next(f), CONTROL_OVER_QUOTA);
    write_file(path, "{\"quota\":4}");
    assert_int_equal(next(f), CONTROL_NORMAL); /* written again: it begins full */
    assert_int_equal(unlink(path), 0);
    control_file_free(f);
    assert_int_equal(rmdir(dir), 0);
}

static void without_a_file(void **state)
{
    (void)state;
    struct control_file *f = control_file_new("");
    for (int i = 0; i < 3; i++)
        assert_int_equal(next(f), CONTROL_NORMAL);
    control_file_free(f);
    control_file_free(NULL);
    f = control_file_new("/tmp"); /* not a file to read */
    assert_int_equal(next(f), CONTROL_NORMAL);
    control_file_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),         cmocka_unit_test(refused),
        cmocka_unit_test(file_is_followed), cmocka_unit_test(quota),
        cmocka_unit_test(without_a_file),
    };
    log_open("control_test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
