/* What is said on Kafka: every event is sound CloudEvents JSON whatever the record holds, and a
 * work item is read strictly. */
#include "blob/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define ID     "0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e"
#define TRACE  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define NOV_21 ((wall_t){ INT64_C(1795229307123) })

static struct life_step step_of(const struct blob *b)
{
    return (struct life_step){
        .changed = true, .next = *b, .delay_ms = 3600000, .event = "labels.saved"
    };
}

static const struct blob labeled = { .id = ID,
                                     .owner = "acme-owner",
                                     .phase = PHASE_DELIVERING,
                                     .result = RESULT_LABELS,
                                     .has_labels = 1,
                                     .seq = 7,
                                     .gen = 2,
                                     .attempts = 3,
                                     .object_key = "blobs/" ID,
                                     .etag = "the-etag",
                                     .callback_url = "https://receiver.example/hook?token=s3cret",
                                     .code = "http_500",
                                     .detail = "one sentence",
                                     .traceparent = TRACE };

static struct json parsed(const struct buf *text)
{
    struct json root;
    struct errbuf eb = { "" };
    assert_false(buf_failed(text));
    if (json_parse(&root, buf_str(text), &eb) != ERR_OK)
        fail_msg("%s: %s", eb.text, text->p);
    assert_int_equal(root.type, JSON_OBJECT);
    return root;
}

static size_t members(struct json v)
{
    struct json key, value;
    size_t n = 0;
    for (struct json_iter it = json_iter(v); json_next(&it, &key, &value); n++)
        ;
    return n;
}

static void assert_text(struct json v, const char *name, const char *want)
{
    struct json got;
    assert_true(json_get(v, str_of(name), &got));
    if (!json_is(got, str_of(want)))
        fail_msg("%s is " STR_FMT ", not %s", name, STR_ARG(got.raw), want);
}

static void assert_number(struct json v, const char *name, int64_t want)
{
    struct json got;
    int64_t n;
    assert_true(json_get(v, str_of(name), &got));
    assert_int_equal(json_to_i64(got, &n), ERR_OK);
    assert_int_equal(n, want);
}

/* ---- events ------------------------------------------------------------------------------- */

static void an_event_is_a_cloudevent(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(EVENT_MAX_BYTES);
    struct life_step step = step_of(&labeled);
    struct json data;
    event_put_transition(&out, &step, "recognizer", NOV_21);
    struct json root = parsed(&out);
    assert_text(root, "specversion", "1.0");
    assert_text(root, "id", ID "/7"); /* unique with the source: one event for each transition */
    assert_text(root, "source", "labelwire/recognizer");
    assert_text(root, "type", "labelwire.labels.saved");
    assert_text(root, "subject", ID);
    assert_text(root, "time", "2026-11-21T02:48:27.123Z");
    assert_text(root, "datacontenttype", "application/json");
    assert_text(root, "traceparent", TRACE);
    assert_true(json_get(root, S("data"), &data));
    assert_int_equal(members(root), 9);
    assert_number(data, "seq", 7);
    assert_number(data, "gen", 2);
    assert_text(data, "phase", "delivering");
    assert_text(data, "status", "in-progress");
    assert_text(data, "code", "http_500");
    assert_number(data, "attempts", 3);
    assert_number(data, "timer_ms", 3600000);
    assert_int_equal(members(data), 7);
    buf_fini(&out);
}

static void what_is_unset_is_left_out(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(EVENT_MAX_BYTES);
    struct blob b = { .id = ID, .seq = 9, .gen = 1, .phase = PHASE_ERASING };
    struct life_step step = { .next = b, .delay_ms = LIFE_NO_TIMER, .event = "blob.erased" };
    event_put_transition(&out, &step, "upload-watcher", (wall_t){ 0 });
    assert_string_equal(
        out.p, "{\"specversion\":\"1.0\",\"id\":\"" ID "/9\","
               "\"source\":\"labelwire/upload-watcher\",\"type\":\"labelwire.blob.erased\","
               "\"subject\":\"" ID "\",\"time\":\"1970-01-01T00:00:00.000Z\","
               "\"datacontenttype\":\"application/json\",\"data\":{\"seq\":9,\"gen\":1,"
               "\"phase\":\"erasing\",\"status\":\"not-found\"}}");
    buf_fini(&out);
}

static void no_url_and_no_secret_in_an_event(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(EVENT_MAX_BYTES);
    struct life_step step = step_of(&labeled);
    event_put_transition(&out, &step, "recognizer", NOV_21);
    event_put_work(&out, &labeled);
    static const char *const never[] = { "http://",  "https://", "receiver", "hook",
                                         "s3cret",   "blobs/",   "the-etag", "acme-owner",
                                         "sentence", "labels\":" };
    for (size_t i = 0; i < N_OF(never); i++)
        if (strstr(out.p, never[i]) != NULL)
            fail_msg("%s in %s", never[i], out.p);
    buf_fini(&out);
}

/* Texts that once came from outside: an error code of a peer, a header of a client. */
static const struct str hostile[] = {
    S("\"},\"type\":\"forged\",\"x\":{\"y\":\""),
    S("\\"),
    S("\\\"\\"),
    S("\",\"seq\":99,\"z\":\""),
    S("\n\r\t\b\f\x01\x1f\x7f"),
    S("\xff\xfe\xc0\xaf"),
    S("\xed\xa0\x80"),
    S("caf\xc3\xa9 \xf0\x9f\x98\x80"),
    S("\xe2\x80\xa8"),
    S("%s%n%d"),
    S("\xc3"),
};

static void hostile_texts_stay_inside_their_quotes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(hostile); i++) {
        struct buf out = BUF_INIT(EVENT_MAX_BYTES);
        struct blob b = labeled;
        struct json data;
        assert_int_equal(str_copy(b.code, sizeof b.code, hostile[i]), ERR_OK);
        assert_int_equal(str_copy(b.detail, sizeof b.detail, hostile[i]), ERR_OK);
        assert_int_equal(str_copy(b.traceparent, sizeof b.traceparent, hostile[i]), ERR_OK);
        struct life_step step = step_of(&b);
        event_put_transition(&out, &step, "recognizer", NOV_21);
        struct json root = parsed(&out);
        assert_int_equal(members(root), 9);
        assert_text(root, "type", "labelwire.labels.saved");
        assert_true(json_get(root, S("data"), &data));
        assert_int_equal(members(data), 7);
        assert_number(data, "seq", 7);

        struct event_work work;
        buf_clear(&out);
        event_put_work(&out, &b);
        assert_int_equal(members(parsed(&out)), 4);
        assert_int_equal(event_read_work(&work, buf_str(&out), NULL), ERR_OK);
        assert_int_equal(work.seq, 7);
        buf_fini(&out);
    }
}

/* Longer than this no event can get, so the buffers of the repository are large enough. */
static void the_longest_event_fits(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(EVENT_MAX_BYTES);
    struct blob b = labeled;
    memset(b.code, 1, sizeof b.code - 1);
    memset(b.traceparent, 1, sizeof b.traceparent - 1);
    b.seq = b.gen = b.attempts = INT64_MAX;
    b.delivery = DELIVERY_CONNECTION;
    struct life_step step = step_of(&b);
    step.delay_ms = INT64_MAX;
    event_put_transition(&out, &step, "callback-dispatcher", (wall_t){ INT64_MAX });
    (void)parsed(&out);
    buf_clear(&out);
    event_put_work(&out, &b);
    (void)parsed(&out);
    buf_fini(&out);
}

/* ---- work items --------------------------------------------------------------------------- */

static void a_work_item_there_and_back(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(EVENT_MAX_BYTES);
    struct blob b = { .id = ID, .seq = 7 };
    struct event_work work;
    event_put_work(&out, &b);
    assert_string_equal(out.p, "{\"v\":1,\"id\":\"" ID "\",\"seq\":7}");
    assert_int_equal(event_read_work(&work, buf_str(&out), NULL), ERR_OK);
    assert_string_equal(work.id, ID);
    assert_int_equal(work.seq, 7);

    buf_clear(&out);
    b.seq = INT64_MAX;
    (void)strcpy(b.traceparent, TRACE);
    event_put_work(&out, &b);
    assert_string_equal(out.p, "{\"v\":1,\"id\":\"" ID "\",\"seq\":9223372036854775807,"
                               "\"traceparent\":\"" TRACE "\"}");
    assert_int_equal(event_read_work(&work, buf_str(&out), NULL), ERR_OK);
    assert_int_equal(work.seq, INT64_MAX);
    buf_fini(&out);
}

/* The copy has no byte behind it, so reading past the end is found. */
static enum err read_exactly(struct event_work *work, struct str text, struct errbuf *eb)
{
    char *copy = malloc(text.n > 0 ? text.n : 1);
    assert_non_null(copy);
    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    enum err e = event_read_work(work, (struct str){ copy, text.n }, eb);
    free(copy);
    return e;
}

static void a_work_item_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(EVENT_MAX_BYTES);
    event_put_work(&out, &labeled);
    for (size_t n = 0; n < out.n; n++) {
        struct event_work work;
        struct errbuf eb = { "" };
        assert_int_equal(read_exactly(&work, str_head(buf_str(&out), n), &eb), ERR_INVAL);
        assert_true(eb.text[0] != '\0');
    }
    buf_fini(&out);
}

#define GOOD_ID "\"id\":\"" ID "\""

static const struct {
    const char *why;
    struct str text;
    enum err want;
} rows[] = {
    { "as written", S("{\"v\":1," GOOD_ID ",\"seq\":1}"), ERR_OK },
    { "any order, blanks", S(" { \"seq\" : 1 ,\n" GOOD_ID " ,\t\"v\" : 1 } \r\n"), ERR_OK },
    { "members of a later program", S("{\"v\":1," GOOD_ID ",\"seq\":1,\"x\":[{}]}"), ERR_OK },
    { "newer version", S("{\"v\":2," GOOD_ID ",\"seq\":1}"), ERR_RANGE },
    { "newer version, other shape", S("{\"v\":2,\"ids\":[]}"), ERR_RANGE },
    { "largest version", S("{\"v\":9223372036854775807}"), ERR_RANGE },
    { "version 0", S("{\"v\":0," GOOD_ID ",\"seq\":1}"), ERR_INVAL },
    { "version -1", S("{\"v\":-1," GOOD_ID ",\"seq\":1}"), ERR_INVAL },
    { "version as text", S("{\"v\":\"1\"," GOOD_ID ",\"seq\":1}"), ERR_INVAL },
    { "version as fraction", S("{\"v\":1.0," GOOD_ID ",\"seq\":1}"), ERR_INVAL },
    { "no version", S("{" GOOD_ID ",\"seq\":1}"), ERR_INVAL },
    { "no id", S("{\"v\":1,\"seq\":1}"), ERR_INVAL },
    { "id null", S("{\"v\":1,\"id\":null,\"seq\":1}"), ERR_INVAL },
    { "id a number", S("{\"v\":1,\"id\":7,\"seq\":1}"), ERR_INVAL },
    { "id an object", S("{\"v\":1,\"id\":{},\"seq\":1}"), ERR_INVAL },
    { "id empty", S("{\"v\":1,\"id\":\"\",\"seq\":1}"), ERR_INVAL },
    { "id too long", S("{\"v\":1,\"id\":\"" ID "0\",\"seq\":1}"), ERR_INVAL },
    { "id in capitals", S("{\"v\":1,\"id\":\"0B9F1C3E-7D0A-4C55-9D5E-1F2A3B4C5D6E\",\"seq\":1}"),
      ERR_INVAL },
    { "id in braces", S("{\"v\":1,\"id\":\"{0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d}\",\"seq\":1}"),
      ERR_INVAL },
    { "id without hyphens", S("{\"v\":1,\"id\":\"0b9f1c3e7d0a4c559d5e1f2a3b4c5d6e\",\"seq\":1}"),
      ERR_INVAL },
    { "id with a NUL", S("{\"v\":1,\"id\":\"0b9f1c3e\\u0000\",\"seq\":1}"), ERR_INVAL },
    { "id that leaves its key",
      S("{\"v\":1,\"id\":\"0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c}:*\",\"seq\":1}"), ERR_INVAL },
    { "no seq", S("{\"v\":1," GOOD_ID "}"), ERR_INVAL },
    { "seq 0", S("{\"v\":1," GOOD_ID ",\"seq\":0}"), ERR_INVAL },
    { "seq negative", S("{\"v\":1," GOOD_ID ",\"seq\":-1}"), ERR_INVAL },
    { "seq as text", S("{\"v\":1," GOOD_ID ",\"seq\":\"1\"}"), ERR_INVAL },
    { "seq as fraction", S("{\"v\":1," GOOD_ID ",\"seq\":1.5}"), ERR_INVAL },
    { "seq past 64 bits", S("{\"v\":1," GOOD_ID ",\"seq\":9223372036854775808}"), ERR_INVAL },
    { "seq true", S("{\"v\":1," GOOD_ID ",\"seq\":true}"), ERR_INVAL },
    { "an array", S("[1,\"" ID "\",1]"), ERR_INVAL },
    { "a text", S("\"" ID "\""), ERR_INVAL },
    { "null", S("null"), ERR_INVAL },
    { "empty", S(""), ERR_INVAL },
    { "no value at all (a tombstone)", STR_NONE, ERR_INVAL },
    { "blanks", S("  \n"), ERR_INVAL },
    { "two values", S("{\"v\":1," GOOD_ID ",\"seq\":1}{}"), ERR_INVAL },
    { "byte order mark", S("\xef\xbb\xbf{\"v\":1," GOOD_ID ",\"seq\":1}"), ERR_INVAL },
    { "not UTF-8", S("{\"v\":1," GOOD_ID ",\"seq\":1,\"x\":\"\xff\"}"), ERR_INVAL },
    { "binary", S("\0\0\0\0\1\2\3"), ERR_INVAL },
    { "too deep", S("{\"v\":1," GOOD_ID ",\"seq\":1,\"x\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}"),
      ERR_INVAL },
};

static void work_items_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct event_work work;
        struct errbuf eb = { "" };
        enum err e = read_exactly(&work, rows[i].text, &eb);
        if (e != rows[i].want)
            fail_msg("row %zu (%s): %s %s", i, rows[i].why, err_name(e), eb.text);
        if (e != ERR_OK)
            assert_true(eb.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_a_cloudevent),
        cmocka_unit_test(what_is_unset_is_left_out),
        cmocka_unit_test(no_url_and_no_secret_in_an_event),
        cmocka_unit_test(hostile_texts_stay_inside_their_quotes),
        cmocka_unit_test(the_longest_event_fits),
        cmocka_unit_test(a_work_item_there_and_back),
        cmocka_unit_test(a_work_item_cut_anywhere_is_refused),
        cmocka_unit_test(work_items_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
