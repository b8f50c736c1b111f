/* Run from the top of the tree: it reads tests/data/s3events. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "blob/s3event.h"

/* One line for each record: "bucket key etag size", or "!" and the reason; then what was ignored.
 */
static void tell(struct buf *out, struct str text)
{
    struct s3event_iter it;
    struct errbuf eb = { "" };
    struct s3event ev;
    char *exact = malloc(text.n > 0 ? text.n : 1); /* the sanitizer sees one byte too many */
    assert_non_null(exact);
    if (text.n > 0)
        memcpy(exact, text.p, text.n);
    enum err e = s3event_parse(&it, (struct str){ exact, text.n }, &eb);
    if (e != ERR_OK)
        buf_printf(out, "poison: %s", eb.text);
    while (e == ERR_OK || e == ERR_INVAL || e == ERR_TOOBIG) {
        if (buf_str(out).n > 0 && str_starts(buf_str(out), S("poison")))
            break;
        e = s3event_next(&it, &ev, &eb);
        if (e == ERR_OK)
            buf_printf(out, "%s|%s|%s|%lld\n", ev.bucket, ev.key, ev.etag, (long long)ev.size);
        else if (e != ERR_MISSING)
            buf_printf(out, "!%s\n", eb.text);
        else
            buf_printf(out, "%u/%u", it.ignored, it.taken);
    }
    free(exact);
}

static void check(size_t row, const char *name, struct str text, const char *want)
{
    struct buf got = BUF_INIT(1U << 22);
    tell(&got, text);
    if (!str_eq(buf_str(&got), str_of(want)))
        fail_msg("row %zu %s:\ngot  %s\nwant %s", row, name, got.p, want);
    buf_fini(&got);
}

static void as_stores_send_them(void **state)
{
    static const struct {
        const char *file, *want;
    } rows[] = {
        { "aws-put.json", "amzn-s3-demo-bucket|uploads/x y+z% caf\xc3\xa9.jpg|"
                          "d41d8cd98f00b204e9800998ecf8427e|1024\n0/1" },
        { "aws-test.json", "1/1" },
        { "aws-removed.json", "1/1" },
        { "aws-two.json", "b|blobs/first|9b2cf535f27731c974343645a3985328-2|0\n"
                          "b|blobs/second||15728641\n1/3" },
        { "eventbridge-created.json", "amzn-s3-demo-bucket1|uploads/a b+c.jpg|"
                                      "b1946ac92492d2347c6235b4d2611184|5\n0/1" },
        { "minio-put.json", "uploads|blobs/x y+z.jpg|9a198b9d6c4d9e5a7c6a9c7d3f2b3b12|9\n0/1" },
        { "sns-envelope.json", "poison: an SNS envelope: turn on raw message delivery" },
        { "versitygw-put.json", "uploads|blobs/x y+z.jpg|1e50210a0202497fb79bc38b6ade6c34|9\n0/1" },
        { "versitygw-utf8.json",
          "uploads|blobs/100%caf\xc3\xa9|d41d8cd98f00b204e9800998ecf8427e|-1\n0/1" },
        { "versitygw-multipart.json",
          "uploads|blobs/100%.jpg|b31d1994ce08cf84ec51f572afc8dafb-1|-1\n0/1" },
        { "versitygw-form.json", "1/1" },
        { "versitygw-removed.json", "1/1" },
        { "versitygw-test.json", "1/1" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        char path[128], text[8192];
        (void)snprintf(path, sizeof path, "tests/data/s3events/%s", rows[i].file);
        FILE *f = fopen(path, "rb");
        if (f == NULL)
            fail_msg("cannot open %s", path);
        size_t n = fread(text, 1, sizeof text, f);
        (void)fclose(f);
        assert_true(n > 0 && n < sizeof text);
        check(i, rows[i].file, (struct str){ text, n }, rows[i].want);
    }
}

/* clang-format off */
#define T(text) { text, sizeof(text) - 1 }
/* clang-format on */

static void not_an_event(void **state)
{
    static const struct {
        struct str in;
        const char *want;
    } rows[] = {
        { { NULL, 0 }, "poison: not JSON: expected a value at byte 0" },
        { T(""), "poison: not JSON: expected a value at byte 0" },
        { T("x"), "poison: not JSON: expected a value at byte 0" },
        { T("{}\0"), "poison: not JSON: expected the end at byte 2" },
        { T("null"), "poison: no S3 event: it has no Records" },
        { T("[]"), "poison: no S3 event: it has no Records" },
        { T("\"Records\""), "poison: no S3 event: it has no Records" },
        { T("{}"), "poison: no S3 event: it has no Records" },
        { T("{\"records\":[]}"), "poison: no S3 event: it has no Records" },
        { T("{\"Event\":\"s3:Other\"}"), "poison: no S3 event: it has no Records" },
        { T("{\"Event\":[]}"), "poison: no S3 event: it has no Records" },
        { T("{\"Records\":null}"), "poison: Records is null, expected an array" },
        { T("{\"Records\":{}}"), "poison: Records is an object, expected an array" },
        { T("{\"Records\":\"[]\"}"), "poison: Records is a string, expected an array" },
        { T("{\"Records\":[]}"), "0/0" },
        { T("{\"Records\":[1]}"), "!record 1: eventVersion is not 2.x\n0/1" },
        { { "{\"Records\":[{},null,[]]}", 24 },
          "!record 1: eventVersion is not 2.x\n!record 2: eventVersion is not 2.x\n"
          "!record 3: eventVersion is not 2.x\n0/3" },
        { T("{\"source\":\"aws.s3\",\"detail-type\":\"Object Deleted\",\"detail\":{}}"), "1/1" },
        { T("{\"source\":\"aws.s3\"}"), "1/1" },
        { T("{\"source\":\"aws.s3\",\"detail-type\":\"Object Created\"}"), "1/1" },
        { { "{\"source\":\"aws.s3\",\"detail-type\":\"Object Created\",\"detail\":{}}", 62 },
          "!record 1: the bucket's name is missing or no text\n0/1" },
        { T("{\"source\":\"aws.ec2\",\"detail\":{}}"), "poison: no S3 event: it has no Records" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++)
        check(i, rows[i].in.p, rows[i].in, rows[i].want);
}

/* The parts of one record; NULL leaves a member out. */
struct parts {
    const char *version, *source, *name, *bucket, *key, *etag, *size;
};

static void put_record(struct buf *out, const struct parts *p)
{
    struct {
        const char *name, *value;
    } outer[] = { { "eventVersion", p->version },
                  { "eventSource", p->source },
                  { "eventName", p->name } },
      object[] = { { "key", p->key }, { "eTag", p->etag }, { "size", p->size } };
    buf_puts(out, "{");
    for (size_t i = 0; i < N_OF(outer); i++)
        if (outer[i].value != NULL)
            buf_printf(out, "\"%s\":%s,", outer[i].name, outer[i].value);
    buf_puts(out, "\"s3\":{");
    if (p->bucket != NULL)
        buf_printf(out, "\"bucket\":{\"name\":%s},", p->bucket);
    buf_puts(out, "\"object\":{\"x\":0");
    for (size_t i = 0; i < N_OF(object); i++)
        if (object[i].value != NULL)
            buf_printf(out, ",\"%s\":%s", object[i].name, object[i].value);
    buf_puts(out, "}}}");
}

#define AWS         "\"2.1\"", "\"aws:s3\"", "\"ObjectCreated:Put\"", "\"b\""
#define GATE        "\"2.2\"", "\"aws:s3\"", "\"s3:ObjectCreated:Put\"", "\"b\""
#define VERSION(v)  v, "\"aws:s3\"", "\"ObjectCreated:Put\"", "\"b\"", "\"k\"", "\"e\"", "1"
#define NAME(n)     "\"2.1\"", "\"aws:s3\"", n, "\"b\"", "\"k\"", "\"e\"", "1"
#define BUCKET(b)   "\"2.1\"", "\"aws:s3\"", "\"ObjectCreated:Put\"", b, "\"k\"", "\"e\"", "1"
#define BAD(reason) "!record 1: " reason "\n0/1"

static const struct {
    struct parts parts;
    const char *want;
} records[] = {
    { { VERSION("\"2.0\"") }, "b|k|e|1\n0/1" },
    { { VERSION("\"2.99\"") }, "b|k|e|1\n0/1" },
    { { VERSION("\"3.0\"") }, BAD("eventVersion is not 2.x") },
    { { VERSION("\"1.0\"") }, BAD("eventVersion is not 2.x") },
    { { VERSION("\"20.0\"") }, BAD("eventVersion is not 2.x") },
    { { VERSION("2.1") }, BAD("eventVersion is not 2.x") },
    { { VERSION(NULL) }, BAD("eventVersion is not 2.x") },
    { { NAME("\"s3:ObjectRemoved:DeleteObjects\"") }, "1/1" },
    { { NAME("\"ObjectRestore:Completed\"") }, "1/1" },
    { { NAME("\"ReducedRedundancyLostObject\"") }, "1/1" },
    { { NAME("\"s3:s3:ObjectCreated:Put\"") }, "1/1" }, /* one prefix, not two */
    { { NAME("\"objectcreated:put\"") }, "1/1" },
    { { NAME("\"ObjectCreated\"") }, "1/1" },
    { { NAME("\"\"") }, "1/1" },
    { { NAME(NULL) }, BAD("eventName is missing or no text") },
    { { NAME("7") }, BAD("eventName is missing or no text") },
    { { BUCKET(NULL) }, BAD("the bucket's name is missing or no text") },
    { { BUCKET("\"\"") }, BAD("the bucket's name is missing or no text") },
    { { BUCKET("{}") }, BAD("the bucket's name is missing or no text") },
    { { BUCKET("\"a\\u0000b\"") }, BAD("the bucket's name is missing or no text") },
    { { BUCKET("\"other-bucket\"") }, "other-bucket|k|e|1\n0/1" },

    { { AWS, "\"a+b\"", NULL, NULL }, "b|a b||-1\n0/1" },
    { { AWS, "\"a b\"", NULL, NULL }, "b|a b||-1\n0/1" },
    { { AWS, "\"a%2Fb%2fc\"", NULL, NULL }, "b|a/b/c||-1\n0/1" },
    { { AWS, "\"%2525\"", NULL, NULL }, "b|%25||-1\n0/1" }, /* decoded once */
    { { AWS, "\"..%2F..%2Fetc\"", NULL, NULL }, "b|../../etc||-1\n0/1" },
    { { AWS, "\"%C3%A9\\u00e9\"", NULL, NULL }, "b|\xc3\xa9\xc3\xa9||-1\n0/1" },
    { { AWS, "\"0190B4D2-9C3E\"", NULL, NULL }, "b|0190B4D2-9C3E||-1\n0/1" },
    { { AWS, "\"100%\"", NULL, NULL }, BAD("the object's key has a broken percent escape") },
    { { AWS, "\"a%zz\"", NULL, NULL }, BAD("the object's key has a broken percent escape") },
    { { AWS, "\"a%00b\"", NULL, NULL }, BAD("the object's key holds a NUL") },
    { { AWS, "\"a\\u0000b\"", NULL, NULL }, BAD("the object's key holds a NUL") },
    { { AWS, "\"%FF\"", NULL, NULL }, BAD("the object's key is not UTF-8") },
    { { AWS, "\"%C3\"", NULL, NULL }, BAD("the object's key is not UTF-8") },
    { { AWS, "\"%ED%A0%80\"", NULL, NULL }, BAD("the object's key is not UTF-8") },
    { { AWS, NULL, NULL, NULL }, BAD("the object's key is missing or no text") },
    { { AWS, "null", NULL, NULL }, BAD("the object's key is missing or no text") },
    { { AWS, "[\"k\"]", NULL, NULL }, BAD("the object's key is missing or no text") },
    { { AWS, "\"\"", NULL, NULL }, BAD("the object's key is empty") },
    { { GATE, "\"a+b%2F%\"", NULL, NULL }, "b|a+b%2F%||-1\n0/1" }, /* raw */
    { { GATE, "\"\"", NULL, NULL }, "1/1" },
    { { GATE, NULL, NULL, NULL }, BAD("the object's key is missing or no text") },
    { { GATE, "\"a\\u0000\"", NULL, NULL }, BAD("the object's key holds a NUL") },
    { { "\"2.2\"", NULL, "\"s3:ObjectCreated:Put\"", "\"b\"", "\"a+b\"", NULL, NULL },
      "b|a b||-1\n0/1" },

    { { AWS, "\"k\"", "\"e\"", "0" }, "b|k|e|0\n0/1" },
    { { GATE, "\"k\"", "\"e\"", "0" }, "b|k|e|-1\n0/1" }, /* it says so of multipart uploads */
    { { AWS, "\"k\"", "\"e\"", "-1" }, "b|k|e|-1\n0/1" },
    { { AWS, "\"k\"", "\"e\"", "-2" }, "b|k|e|-1\n0/1" },
    { { AWS, "\"k\"", "\"e\"", "1.5" }, "b|k|e|-1\n0/1" },
    { { AWS, "\"k\"", "\"e\"", "1e3" }, "b|k|e|-1\n0/1" },
    { { AWS, "\"k\"", "\"e\"", "\"1\"" }, "b|k|e|-1\n0/1" },
    { { AWS, "\"k\"", "\"e\"", "null" }, "b|k|e|-1\n0/1" },
    { { AWS, "\"k\"", "\"e\"", "9007199254740992" }, "b|k|e|9007199254740992\n0/1" },
    { { AWS, "\"k\"", "\"e\"", "9007199254740993" }, "b|k|e|-1\n0/1" },
    { { AWS, "\"k\"", "\"e\"", "99999999999999999999" }, "b|k|e|-1\n0/1" },

    { { AWS, "\"k\"", "null", "1" }, "b|k||1\n0/1" },
    { { AWS, "\"k\"", "\"\"", "1" }, "b|k||1\n0/1" },
    { { AWS, "\"k\"", "\"\\\"\\\"\"", "1" }, "b|k||1\n0/1" },
    { { AWS, "\"k\"", "\"\\\"ab-2\\\"\"", "1" }, "b|k|ab-2|1\n0/1" },
    { { AWS, "\"k\"", "\"\\\"\"", "1" }, BAD("the object's ETag holds a character it must not") },
    { { AWS, "\"k\"", "\"a\\\"b\"", "1" }, BAD("the object's ETag holds a character it must not") },
    { { AWS, "\"k\"", "\"a\\r\\nX: y\"", "1" },
      BAD("the object's ETag holds a character it must not") },
    { { AWS, "\"k\"", "\"\\u00e9\"", "1" },
      BAD("the object's ETag holds a character it must not") },
    { { AWS, "\"k\"", "\"a b\"", "1" }, BAD("the object's ETag holds a character it must not") },
    { { AWS, "\"k\"", "\"a\x7f\"", "1" }, BAD("the object's ETag holds a character it must not") },
    { { AWS, "\"k\"", "5", "1" }, BAD("the object's ETag is no text of at most 127 characters") },
};

static void one_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(records); i++) {
        struct buf text = BUF_INIT(4096);
        buf_puts(&text, "{\"Records\":[");
        put_record(&text, &records[i].parts);
        buf_puts(&text, "]}");
        check(i, text.p, buf_str(&text), records[i].want);
        buf_fini(&text);
    }
}

/* A text of n times c, in JSON quotes. */
static char *long_text(size_t n, const char *c)
{
    struct buf out = BUF_INIT(8192);
    buf_putc(&out, '"');
    for (size_t i = 0; i < n; i++)
        buf_puts(&out, c);
    buf_putc(&out, '"');
    assert_false(buf_failed(&out));
    return out.p;
}

static void lengths(void **state)
{
    static const struct {
        size_t bucket, key, etag;
        const char *c, *want; /* how the answer begins */
    } rows[] = {
        { 255, 1, 1, "k", "aaaa" },
        { 256, 1, 1, "k", "!record 1: the bucket's name" },
        { 1, 1024, 1, "k", "a|kkkk" },
        { 1, 1025, 1, "k", "!record 1: the object's key is longer" },
        { 1, 1024, 1, "%41", "a|AAAA" },
        { 1, 1025, 1, "%41", "!record 1: the object's key is longer" },
        { 1, 2500, 1, "%41", "!record 1: the object's key is longer" },
        { 1, 1, 127, "k", "a|k|aaaa" },
        { 1, 1, 128, "k", "!record 1: the object's ETag is longer" },
        { 1, 1, 200, "k", "!record 1: the object's ETag is no text" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        char *bucket = long_text(rows[i].bucket, "a"), *key = long_text(rows[i].key, rows[i].c),
             *etag = long_text(rows[i].etag, "a");
        const struct parts p = { "\"2.1\"", "\"aws:s3\"", "\"ObjectCreated:Put\"", bucket, key,
                                 etag,      "1" };
        struct buf text = BUF_INIT(32768), got = BUF_INIT(8192);
        buf_puts(&text, "{\"Records\":[");
        put_record(&text, &p);
        buf_puts(&text, "]}");
        tell(&got, buf_str(&text));
        if (!str_starts(buf_str(&got), str_of(rows[i].want)))
            fail_msg("row %zu: %s, want %s", i, got.p, rows[i].want);
        buf_fini(&got);
        buf_fini(&text);
        free(bucket);
        free(key);
        free(etag);
    }
}

static void many_records(size_t n, size_t blanks, const char *want_end)
{
    struct buf text = BUF_INIT(4U << 20), got = BUF_INIT(4U << 20);
    const struct parts good = { AWS, "\"k\"", "\"e\"", "1" }, bad = { AWS, "\"%\"", NULL, NULL };
    buf_puts(&text, "{\"Records\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(&text, ',');
        put_record(&text, i % 10 == 3 ? &bad : &good); /* the others are still found */
    }
    buf_puts(&text, "]}");
    while (text.n < blanks)
        buf_putc(&text, ' ');
    tell(&got, buf_str(&text));
    if (!str_ends(buf_str(&got), str_of(want_end)))
        fail_msg("%zu records: …%s", n, got.p + (got.n > 80 ? got.n - 80 : 0));
    buf_fini(&got);
    buf_fini(&text);
}

static void bounded(void **state)
{
    (void)state;
    many_records(5, 0,
                 "b|k|e|1\n!record 4: the object's key has a broken percent escape\nb|k|e|1\n0/5");
    many_records(1000, 0, "b|k|e|1\n0/1000");
    many_records(1001, 0, "poison: more than 1000 Records");
    many_records(1, 1U << 20, "b|k|e|1\n0/1");
    many_records(1, (1U << 20) + 1, "poison: the event is longer than 1048576 bytes");
}

/* Cut or changed anywhere, a message gives an answer and reads nothing behind its end. */
static void mangled(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(4096);
    const struct parts p = { GATE, "\"k%41\"", "\"\\\"e\\\"\"", "1" };
    buf_puts(&text, "{\"Records\":[");
    put_record(&text, &p);
    buf_puts(&text, "]}");
    for (size_t n = 0; n < text.n; n++) {
        struct buf got = BUF_INIT(4096);
        tell(&got, (struct str){ text.p, n });
        if (!str_starts(buf_str(&got), S("poison: not JSON")))
            fail_msg("%zu bytes: %s", n, got.p);
        for (const char *c = "\"\\{[:,0n"; *c != '\0'; c++) {
            char was = text.p[n];
            text.p[n] = *c;
            buf_clear(&got);
            tell(&got, buf_str(&text));
            assert_true(got.n > 0);
            text.p[n] = was;
        }
        buf_fini(&got);
    }
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_stores_send_them),
        cmocka_unit_test(not_an_event),
        cmocka_unit_test(one_record),
        cmocka_unit_test(lengths),
        cmocka_unit_test(bounded),
        cmocka_unit_test(mangled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
