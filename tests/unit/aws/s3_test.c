#include "aws/s3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* The configuration loads into char *, so the values are arrays that may be written to. */
static struct aws_conf example_aws(void)
{
    static char key[] = "AKIAIOSFODNN7EXAMPLE", region[] = "us-east-1";
    static char secret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    return (struct aws_conf){ .access_key = key, .secret_key = secret, .region = region };
}

static wall_t example_time(void)
{
    wall_t t = { 0 };
    assert_int_equal(wall_from_amz(S("20130524T000000Z"), &t), ERR_OK);
    return t;
}

struct place {
    char endpoint[400], outer[400], bucket[64];
    struct aws_conf aws;
    struct s3_conf conf;
    struct cred *cred;
    struct s3 s3;
};

static void open_at(struct place *p, const char *endpoint, const char *outer, const char *bucket)
{
    struct aws_conf aws = p->aws.region != NULL ? p->aws : example_aws();
    *p = (struct place){ .aws = aws };
    assert_int_equal(str_copy(p->endpoint, sizeof p->endpoint, str_of(endpoint)), ERR_OK);
    assert_int_equal(str_copy(p->outer, sizeof p->outer, str_of(outer)), ERR_OK);
    assert_int_equal(str_copy(p->bucket, sizeof p->bucket, str_of(bucket)), ERR_OK);
    p->conf = (struct s3_conf){ p->endpoint, p->outer, p->bucket, 10000 };
    struct errbuf eb = { "" };
    if (cred_open(&p->cred, &p->aws, &eb) != ERR_OK ||
        s3_init(&p->s3, &p->conf, str_of(p->aws.region), p->cred, &eb) != ERR_OK)
        fail_msg("%s: %s", endpoint, eb.text);
}

static void close_place(struct place *p)
{
    s3_fini(&p->s3);
    cred_close(p->cred);
}

/* ---- configuration */

static void test_bucket_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum err want;
    } rows[] = {
        { "labelwire", ERR_OK },
        { "a-b.c9", ERR_OK },
        { "123", ERR_OK },
        { "1.2.3.4x", ERR_OK },
        { "ab", ERR_INVAL },
        { "a23456789012345678901234567890123456789012345678901234567890123", ERR_OK }, /* 63 */
        { "a234567890123456789012345678901234567890123456789012345678901234", ERR_INVAL },
        { "Upper", ERR_INVAL },
        { "under_score", ERR_INVAL },
        { "sl/ash", ERR_INVAL },
        { "../up", ERR_INVAL },
        { "a..b", ERR_INVAL },
        { "a.-b", ERR_INVAL },
        { "a-.b", ERR_INVAL },
        { "-ab", ERR_INVAL },
        { "ab-", ERR_INVAL },
        { ".ab", ERR_INVAL },
        { "ab.", ERR_INVAL },
        { "192.168.5.4", ERR_INVAL },
        { "caf\xc3\xa9", ERR_INVAL },
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        if (s3_check_bucket(str_of(rows[i].name), NULL) != rows[i].want)
            fail_msg("%s", rows[i].name);
}

static void test_init_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *outer, *bucket;
    } rows[] = {
        { "ftp://h", "", "labelwire" },    { "", "", "labelwire" },
        { "http://h/path", "", "bucket" }, { "http://h", "h:80", "labelwire" },
        { "http://h", "", "No" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char endpoint[64], outer[64], bucket[64];
        struct s3_conf conf = { endpoint, outer, bucket, 10000 };
        (void)snprintf(endpoint, sizeof endpoint, "%s", rows[i].endpoint);
        (void)snprintf(outer, sizeof outer, "%s", rows[i].outer);
        (void)snprintf(bucket, sizeof bucket, "%s", rows[i].bucket);
        struct s3 s3;
        struct errbuf eb = { "" };
        if (s3_init(&s3, &conf, S("us-east-1"), NULL, &eb) != ERR_CONFIG || eb.text[0] == '\0')
            fail_msg("row %zu: %s", i, eb.text);
    }
}

static void test_configuration_loads(void **state)
{
    (void)state;
    struct all {
        struct s3_conf s3;
        struct aws_conf aws;
    } conf = { .s3 = { .bucket = NULL } };
    const struct conf_group groups[] = {
        { "S3", s3_conf_keys, N_OF(s3_conf_keys), offsetof(struct all, s3) },
        { "AWS", aws_conf_keys, N_OF(aws_conf_keys), offsetof(struct all, aws) },
    };
    char e1[] = "LW_S3_ENDPOINT=http://127.0.0.1:7070", e2[] = "LW_S3_BUCKET=labelwire";
    char e3[] = "AWS_ACCESS_KEY_ID=labelwire", e4[] = "AWS_SECRET_ACCESS_KEY=secret";
    char e5[] = "AWS_REGION=eu-west-1", bad_key[] = "AWS_SECRET_ACCESS_KEY=sec ret";
    char bad_region[] = "AWS_REGION=eu/west";
    char *good[] = { e1, e2, e3, e4, e5, NULL }, *bad[] = { e1, e2, e3, bad_key, bad_region, NULL };
    struct buf problems = BUF_INIT(4096);
    assert_int_equal(conf_load(&conf, groups, N_OF(groups), good, &problems), ERR_OK);
    assert_string_equal(conf.aws.region, "eu-west-1");
    assert_int_equal(conf.s3.timeout_ms, 10000);
    assert_string_equal(conf.aws.secret_key, "secret");
    conf_fini(&conf, groups, N_OF(groups));

    assert_int_equal(conf_load(&conf, groups, N_OF(groups), bad, &problems), ERR_CONFIG);
    assert_non_null(strstr(problems.p, "AWS_REGION"));
    assert_non_null(strstr(problems.p, "AWS_SECRET_ACCESS_KEY"));
    assert_null(strstr(problems.p, "sec ret"));
    conf_fini(&conf, groups, N_OF(groups));
    buf_fini(&problems);
}

/* ---- links */

static void test_link_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *outer, *bucket, *key, *want;
    } rows[] = {
        { "http://127.0.0.1:7070", "", "labelwire", "k", "http://127.0.0.1:7070/labelwire/k?" },
        { "http://127.0.0.1:7070/", "", "labelwire", "k", "http://127.0.0.1:7070/labelwire/k?" },
        { "http://s3:7070", "https://Up.Example", "bkt", "k", "https://up.example/bkt/k?" },
        { "http://s3:80", "", "bkt", "k", "http://s3/bkt/k?" },
        { "http://[::1]:7070", "", "bkt", "k", "http://[::1]:7070/bkt/k?" },
        { "https://s3.eu-west-1.amazonaws.com", "", "bkt", "k",
          "https://bkt.s3.eu-west-1.amazonaws.com/k?" },
        { "https://S3.CN-NORTH-1.amazonaws.com.cn", "", "bkt", "k",
          "https://bkt.s3.cn-north-1.amazonaws.com.cn/k?" },
        { "https://s3.eu-west-1.amazonaws.com", "", "b.k.t", "k",
          "https://s3.eu-west-1.amazonaws.com/b.k.t/k?" }, /* the certificate has one level */
        { "https://notamazonaws.com", "", "bkt", "k", "https://notamazonaws.com/bkt/k?" },
        { "https://amazonaws.com.evil.example", "", "bkt", "k",
          "https://amazonaws.com.evil.example/bkt/k?" },
        { "http://h", "", "bkt", "x y+z.jpg", "http://h/bkt/x%20y%2Bz.jpg?" },
        { "http://h", "", "bkt", "/a//b/../c/./", "http://h/bkt//a//b/../c/./?" },
        { "http://h", "", "bkt", "100%?#&=", "http://h/bkt/100%25%3F%23%26%3D?" },
        { "http://h", "", "bkt", "\xf0\x9f\x98\x80\"'()*\r\n",
          "http://h/bkt/%F0%9F%98%80%22%27%28%29%2A%0D%0A?" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct place p = { .cred = NULL };
        open_at(&p, rows[i].endpoint, rows[i].outer, rows[i].bucket);
        struct buf url = BUF_INIT(4096);
        assert_int_equal(s3_presign(&p.s3, "PUT", str_of(rows[i].key), 60, example_time(), &url),
                         ERR_OK);
        if (!str_starts(buf_str(&url), str_of(rows[i].want)))
            fail_msg("row %zu: %s", i, url.p);
        buf_fini(&url);
        close_place(&p);
    }
}

/* "Authenticating Requests: Using Query Parameters" in the S3 API reference. */
static void test_link_is_signed(void **state)
{
    (void)state;
    struct place p = { .cred = NULL };
    open_at(&p, "http://inside:1", "https://s3.amazonaws.com", "examplebucket");
    for (int again = 0; again < 2; again++) { /* with a new key and a kept one */
        struct buf url = BUF_INIT(4096);
        assert_int_equal(s3_presign(&p.s3, "GET", S("test.txt"), 86400, example_time(), &url),
                         ERR_OK);
        assert_string_equal(
            url.p,
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
        buf_fini(&url);
    }
    close_place(&p);
}

static void test_link_on_the_next_day(void **state)
{
    (void)state;
    struct place p = { .cred = NULL };
    open_at(&p, "http://h", "", "bkt");
    wall_t day = example_time();
    static const int64_t after_ms[] = { 0, 86399999, 86400000, 0 }; /* and back */
    static const char *const want[] = { "%2F20130524%2F", "%2F20130524%2F", "%2F20130525%2F",
                                        "%2F20130524%2F" };
    for (size_t i = 0; i < N_OF(after_ms); i++) {
        struct buf url = BUF_INIT(4096);
        wall_t now = { day.ms + after_ms[i] };
        assert_int_equal(s3_presign(&p.s3, "GET", S("k"), 60, now, &url), ERR_OK);
        assert_non_null(strstr(url.p, want[i]));
        buf_fini(&url);
    }
    close_place(&p);
}

static void test_link_limits(void **state)
{
    (void)state;
    static char long_key[S3_KEY_MAX + 1];
    memset(long_key, '%', sizeof long_key);
    static const struct {
        size_t key_n;
        int64_t expires_s;
        size_t room;
        enum err want;
    } rows[] = {
        { S3_KEY_MAX, 604800, 8192, ERR_OK },
        { S3_KEY_MAX + 1, 60, 8192, ERR_INVAL },
        { 0, 60, 8192, ERR_INVAL },
        { 1, 0, 8192, ERR_RANGE },
        { 1, 604801, 8192, ERR_RANGE },
        { S3_KEY_MAX, 60, 2048, ERR_TOOBIG },
        { 1, 60, 0, ERR_TOOBIG },
    };
    struct place p = { .cred = NULL };
    open_at(&p, "http://h", "", "bkt");
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf url = BUF_INIT(rows[i].room);
        struct str key = { long_key, rows[i].key_n };
        if (s3_presign(&p.s3, "GET", key, rows[i].expires_s, example_time(), &url) != rows[i].want)
            fail_msg("row %zu", i);
        buf_fini(&url);
    }
    close_place(&p);
}

struct signer {
    pthread_t thread;
    struct s3 *s3;
    bool same;
};

static void *sign_many(void *arg)
{
    struct signer *me = arg;
    struct buf url = BUF_INIT(4096), first[2] = { BUF_INIT(4096), BUF_INIT(4096) };
    me->same = true;
    for (int i = 0; i < 400; i++) { /* two days in turn, so that the key changes all the time */
        wall_t now = { example_time().ms + i % 2 * INT64_C(86400000) };
        struct buf *b = i < 2 ? &first[i] : &url;
        buf_clear(b);
        me->same = s3_presign(me->s3, "PUT", S("k"), 60, now, b) == ERR_OK && me->same;
        me->same = str_eq(buf_str(b), buf_str(&first[i % 2])) && me->same;
    }
    buf_fini(&url);
    buf_fini(&first[0]);
    buf_fini(&first[1]);
    return NULL;
}

static void test_links_from_many_threads(void **state)
{
    (void)state;
    struct place p = { .cred = NULL };
    struct signer signers[4];
    open_at(&p, "http://h", "", "bkt");
    for (size_t i = 0; i < N_OF(signers); i++) {
        signers[i].s3 = &p.s3;
        assert_int_equal(pthread_create(&signers[i].thread, NULL, sign_many, &signers[i]), 0);
    }
    for (size_t i = 0; i < N_OF(signers); i++) {
        assert_int_equal(pthread_join(signers[i].thread, NULL), 0);
        assert_true(signers[i].same);
    }
    close_place(&p);
}

/* ---- requests */

static const char *line_of(const struct s3_req *r, const char *name)
{
    for (size_t i = 0; r->http.hdrs[i] != NULL; i++)
        if (strncasecmp(r->http.hdrs[i], name, strlen(name)) == 0)
            return r->http.hdrs[i] + strlen(name);
    return NULL;
}

static void test_request_is_signed(void **state)
{
    (void)state;
    struct place p = { .cred = NULL };
    struct s3_req r = { .http = { .owner = &p, .total_ms = 1 } };
    open_at(&p, "https://s3.amazonaws.com", "http://outside", "examplebucket");
    struct s3_ask ask = { .method = "GET", .key = S("test.txt"), .range = S("bytes=0-9") };
    for (int again = 0; again < 2; again++) {
        assert_int_equal(s3_request(&p.s3, &r, &ask, example_time()), ERR_OK);
        assert_string_equal(r.http.url, "https://examplebucket.s3.amazonaws.com/test.txt");
        assert_string_equal(line_of(&r, "range: "), "bytes=0-9");
        assert_string_equal(line_of(&r, "x-amz-date: "), "20130524T000000Z");
        assert_string_equal(line_of(&r, "x-amz-content-sha256: "), EMPTY_HASH);
        assert_string_equal(
            line_of(&r, "Authorization: "),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature="
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
        assert_null(line_of(&r, "host"));
    }
    assert_ptr_equal(r.http.owner, &p); /* the caller's fields stay, empty limits are set */
    assert_int_equal(r.http.total_ms, 1);
    assert_true(r.http.connect_ms > 0);
    assert_int_equal(r.http.max_answer, S3_ERROR_MAX);
    s3_req_fini(&r);
    s3_req_fini(&r);
    close_place(&p);
}

static void test_request_shapes(void **state)
{
    (void)state;
    struct place p = { .cred = NULL };
    static char token[] = "to/ken==";
    struct s3_req r = { .http = { .status = 0 } };
    open_at(&p, "http://h:9000", "", "bkt");
    struct s3_ask put = { .method = "PUT",
                          .key = S("a b"),
                          .if_match = S("e-tag"),
                          .content_type = S("image/jpeg"),
                          .body = S("Welcome to Amazon S3.") };
    assert_int_equal(s3_request(&p.s3, &r, &put, example_time()), ERR_OK);
    assert_string_equal(r.http.url, "http://h:9000/bkt/a%20b");
    assert_string_equal(line_of(&r, "if-match: "), "\"e-tag\"");
    assert_string_equal(line_of(&r, "content-type: "), "image/jpeg");
    assert_string_equal(line_of(&r, "x-amz-content-sha256: "), /* http: the body is hashed */
                        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
    assert_true(str_eq(r.http.body, put.body));
    assert_true(r.http.cut_answer);
    s3_req_fini(&r);
    close_place(&p);

    p.aws.session_token = token;
    open_at(&p, "https://h:9000", "", "bkt");
    put.range = S("bytes=0-1"); /* every optional header at once */
    struct s3_req all = { .http = { .max_answer = 100000 } };
    assert_int_equal(s3_request(&p.s3, &all, &put, example_time()), ERR_OK);
    assert_string_equal(line_of(&all, "x-amz-content-sha256: "), "UNSIGNED-PAYLOAD");
    assert_string_equal(line_of(&all, "x-amz-security-token: "), "to/ken==");
    assert_non_null(strstr(line_of(&all, "Authorization: "),
                           "SignedHeaders=content-type;host;if-match;range;x-amz-content-sha256;"
                           "x-amz-date;x-amz-security-token, "));
    assert_int_equal(all.http.max_answer, 100000);
    assert_false(all.http.cut_answer);
    s3_req_fini(&all);
    close_place(&p);
}

static void test_request_refuses(void **state)
{
    (void)state;
    static char long_key[S3_KEY_MAX + 1], long_text[40000];
    memset(long_key, 'k', sizeof long_key);
    memset(long_text, 't', sizeof long_text);
    const struct {
        struct s3_ask ask;
        enum err want;
    } rows[] = {
        { { .method = "GET", .key = { long_key, S3_KEY_MAX } }, ERR_OK },
        { { .method = "GET", .key = { long_key, S3_KEY_MAX + 1 } }, ERR_INVAL },
        { { .method = "GET", .key = S("k"), .if_match = S("x\r\nHost: evil") }, ERR_INVAL },
        { { .method = "GET", .key = S("k"), .range = S("bytes=0-1\n") }, ERR_INVAL },
        { { .method = "PUT", .key = S("k"), .content_type = S("a\0b") }, ERR_INVAL },
        { { .method = "PUT", .key = S("k"), .content_type = S("a\x7f") }, ERR_INVAL },
        { { .method = "PUT", .key = S("k"), .content_type = { long_text, 40000 } }, ERR_TOOBIG },
        { { .method = "GET", .key = S("k") }, ERR_OK }, /* usable after all that */
    };
    struct place p = { .cred = NULL };
    struct s3_req r = { .http = { .status = 0 } };
    open_at(&p, "http://h", "", "bkt");
    for (size_t i = 0; i < N_OF(rows); i++)
        if (s3_request(&p.s3, &r, &rows[i].ask, example_time()) != rows[i].want)
            fail_msg("row %zu", i);
    s3_req_fini(&r);
    close_place(&p);
}

static void test_create_bucket(void **state)
{
    (void)state;
    struct place p = { .cred = NULL };
    struct s3_req r = { .http = { .status = 0 } };
    open_at(&p, "http://h", "", "bkt");
    assert_int_equal(s3_create_bucket(&p.s3, &r, example_time()), ERR_OK);
    assert_string_equal(r.http.url, "http://h/bkt");
    assert_string_equal(r.http.method, "PUT");
    assert_int_equal(r.http.total_ms, 10000);
    assert_int_equal(r.http.body.n, 0);
    close_place(&p);

    open_at(&p, "https://s3.eu-west-1.amazonaws.com", "", "bkt");
    p.s3.region = S("eu-west-1");
    for (int again = 0; again < 2; again++) {
        assert_int_equal(s3_create_bucket(&p.s3, &r, example_time()), ERR_OK);
        assert_string_equal(r.http.url, "https://bkt.s3.eu-west-1.amazonaws.com/");
        assert_string_equal(
            r.http.body.p,
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>");
    }
    s3_req_fini(&r);
    close_place(&p);
}

/* ---- answers */

static void answer_init(struct httpc_req *rq, const char *method, int status, struct str body)
{
    *rq = (struct httpc_req){
        .method = method, .status = status, .headers = BUF_INIT(65536), .answer = BUF_INIT(1 << 20)
    };
    buf_put(&rq->answer, body);
}

#define XML(code)                                                                                  \
    S("<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>m</Message></Error>")

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        enum err e;
        int status;
        struct str body;
        enum s3_verdict want;
    } rows[] = {
        { "GET", ERR_OK, 200, { "", 0 }, S3_OK },
        { "GET", ERR_OK, 206, { "", 0 }, S3_OK },
        { "DELETE", ERR_OK, 204, { "", 0 }, S3_OK },
        { "GET", ERR_OK, 200, { "<Code>SlowDown</Code>", 21 }, S3_OK }, /* it is the object */
        { "HEAD", ERR_OK, 404, { "", 0 }, S3_ABSENT },
        { "HEAD", ERR_OK, 403, { "", 0 }, S3_DENIED },
        { "HEAD", ERR_OK, 400, { "", 0 }, S3_DENIED },
        { "HEAD", ERR_OK, 301, { "", 0 }, S3_DENIED },
        { "HEAD", ERR_OK, 503, { "", 0 }, S3_RETRY },
        { "HEAD", ERR_OK, 412, { "", 0 }, S3_CHANGED },
        { "GET", ERR_OK, 404, { "<html>nginx</html>", 18 }, S3_DENIED }, /* not S3's */
        { "GET", ERR_OK, 416, { "", 0 }, S3_CHANGED },
        { "GET", ERR_OK, 429, { "", 0 }, S3_RETRY },
        { "GET", ERR_OK, 408, { "", 0 }, S3_RETRY },
        { "GET", ERR_OK, 500, { "", 0 }, S3_RETRY },
        { "PUT", ERR_OK, 501, { "", 0 }, S3_DENIED },
        { "PUT", ERR_OK, 507, { "", 0 }, S3_RETRY },
        { "GET", ERR_TIMEOUT, 0, { "", 0 }, S3_RETRY },
        { "GET", ERR_IO, 0, { "", 0 }, S3_RETRY },
        { "GET", ERR_REMOTE, 0, { "", 0 }, S3_RETRY },
        { "GET", ERR_CLOSED, 0, { "", 0 }, S3_RETRY },
        { "GET", ERR_TOOBIG, 0, { "", 0 }, S3_CHANGED },
        { "GET", ERR_DENIED, 0, { "", 0 }, S3_DENIED },
        { "GET", ERR_INVAL, 0, { "", 0 }, S3_DENIED },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct httpc_req rq;
        answer_init(&rq, rows[i].method, rows[i].status, rows[i].body);
        if (s3_verdict(&rq, rows[i].e) != rows[i].want)
            fail_msg("row %zu", i);
        httpc_req_fini(&rq);
    }
}

static void test_verdicts_by_code(void **state)
{
    (void)state;
    const struct {
        int status;
        struct str body;
        enum s3_verdict want;
    } rows[] = {
        { 404, XML("NoSuchKey"), S3_ABSENT },
        { 404, XML("NoSuchBucket"), S3_DENIED },
        { 412, XML("PreconditionFailed"), S3_CHANGED },
        { 416, XML("InvalidRange"), S3_CHANGED },
        { 503, XML("SlowDown"), S3_RETRY },
        { 400, XML("SlowDown"), S3_RETRY },
        { 400, XML("RequestTimeout"), S3_RETRY },
        { 500, XML("InternalError"), S3_RETRY },
        { 409, XML("OperationAborted"), S3_RETRY },
        { 409, XML("BucketAlreadyOwnedByYou"), S3_OK },
        { 409, XML("BucketAlreadyExists"), S3_DENIED },
        { 403, XML("AccessDenied"), S3_DENIED },
        { 403, XML("SignatureDoesNotMatch"), S3_DENIED },
        { 403, XML("RequestTimeTooSkewed"), S3_DENIED },
        { 400, XML("ExpiredToken"), S3_DENIED },
        { 301, XML("PermanentRedirect"), S3_DENIED },
        { 400, XML("SomethingNew"), S3_DENIED },
        { 500, XML("SomethingNew"), S3_RETRY },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct httpc_req rq;
        answer_init(&rq, "GET", rows[i].status, rows[i].body);
        if (s3_verdict(&rq, ERR_OK) != rows[i].want)
            fail_msg("row %zu", i);
        httpc_req_fini(&rq);
    }
}

static void test_hints(void **state)
{
    (void)state;
    static const struct {
        enum err e;
        int status;
        bool tls;
        const char *want; /* a part of it */
    } rows[] = {
        { ERR_OK, 403, false, "s3:ListBucket" }, { ERR_OK, 404, false, "labelwire setup" },
        { ERR_OK, 503, false, "tried again" },   { ERR_IO, 0, false, "LW_S3_ENDPOINT" },
        { ERR_IO, 0, true, "AWS_CA_BUNDLE" },    { ERR_TIMEOUT, 0, false, "tried again" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct httpc_req rq;
        answer_init(&rq, "HEAD", rows[i].status, STR_NONE);
        rq.tls = rows[i].tls;
        if (strstr(s3_hint(&rq, rows[i].e), rows[i].want) == NULL)
            fail_msg("row %zu", i);
        assert_true(!rows[i].tls || s3_verdict(&rq, rows[i].e) == S3_DENIED);
        httpc_req_fini(&rq);
    }
}

#define C32 "abcdefghijklmnopqrstuvwxyz012345"

static void test_error_codes(void **state)
{
    (void)state;
    const struct {
        int status;
        struct str body;
        const char *want;
    } rows[] = {
        { 403, XML("AccessDenied"), "AccessDenied" },
        { 403, S("<Code>A</Code><Code>B</Code>"), "A" },
        { 403, S("<Code>" C32 C32 "</Code>"), C32 C32 },
        { 403, S("<Code>" C32 C32 "x</Code>"), "" },
        { 200, S("<Code>A</Code>"), "" }, /* an object, not an error */
        { 403, S(""), "" },
        { 403, S("<Code>"), "" },
        { 403, S("<Code></Code>"), "" },
        { 403, S("<Code>Acc"), "" }, /* cut off */
        { 403, S("<Code>A</Cod"), "" },
        { 403, S("<Code>A\n\"level\":\"error\"</Code>"), "" }, /* nothing that could harm a log */
        { 403, S("<Code>A\0B</Code>"), "" },
        { 403, S("<Code><![CDATA[A]]></Code>"), "" },
        { 403, S("<code>A</code>"), "" },
        { 503, S("\xff\xfe<html>"), "" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct httpc_req rq;
        answer_init(&rq, "GET", rows[i].status, rows[i].body);
        struct str code = s3_error_code(&rq);
        if (!str_eq(code, str_of(rows[i].want)))
            fail_msg("row %zu: got " STR_FMT, i, STR_ARG(code));
        httpc_req_fini(&rq);
    }
}

static void test_error_code_is_sought_near_the_beginning(void **state)
{
    (void)state;
    static char junk[S3_ERROR_MAX];
    memset(junk, '<', sizeof junk);
    struct httpc_req rq;
    answer_init(&rq, "GET", 403, (struct str){ junk, sizeof junk - 14 });
    buf_put(&rq.answer, S("<Code>A</Code>")); /* the last that is looked at */
    assert_true(str_eq(s3_error_code(&rq), S("A")));
    httpc_req_fini(&rq);
    answer_init(&rq, "GET", 403, (struct str){ junk, sizeof junk - 13 });
    buf_put(&rq.answer, S("<Code>A</Code>"));
    assert_null(s3_error_code(&rq).p);
    httpc_req_fini(&rq);
}

static void test_objects(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *headers;
        enum err want;
        int64_t size;
        const char *etag, *type;
    } rows[] = {
        { 200, "Content-Length: 5\r\nETag: \"abc\"\r\nContent-Type: image/png\r\n", ERR_OK, 5,
          "abc", "image/png" },
        { 200, "content-length: 0\r\n", ERR_OK, 0, "", "" },
        { 206, "Content-Length: 10\r\nContent-Range: bytes 0-9/1234\r\netag: W/\"x\"\r\n", ERR_OK,
          1234, "x", "" },
        { 206, "Content-Length: 10\r\nContent-Range: bytes 0-9/*\r\n", ERR_REMOTE, 0, "", "" },
        { 206, "Content-Length: 10\r\n", ERR_REMOTE, 0, "", "" },
        { 206, "Content-Range: bytes\r\n", ERR_REMOTE, 0, "", "" },
        { 200, "ETag: \"CRC64NVME-a=\"\r\nContent-Length: 1\r\n", ERR_OK, 1, "CRC64NVME-a=", "" },
        { 200, "ETag: bare\r\nContent-Length: 1\r\n", ERR_OK, 1, "bare", "" },
        { 200, "ETag: \"\r\nContent-Length: 1\r\n", ERR_OK, 1, "\"", "" },
        { 200, "Content-Length: -1\r\n", ERR_REMOTE, 0, "", "" },
        { 200, "Content-Length: -0\r\n", ERR_REMOTE, 0, "", "" },
        { 200, "Content-Length: 1e3\r\n", ERR_REMOTE, 0, "", "" },
        { 200, "Content-Length: 99999999999999999999\r\n", ERR_REMOTE, 0, "", "" },
        { 200, "", ERR_REMOTE, 0, "", "" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct httpc_req rq;
        answer_init(&rq, "HEAD", rows[i].status, STR_NONE);
        buf_puts(&rq.headers, rows[i].headers);
        struct s3_object o;
        if (s3_object(&rq, &o) != rows[i].want)
            fail_msg("row %zu", i);
        if (rows[i].want == ERR_OK &&
            (o.size != rows[i].size || !str_eq(o.etag, str_of(rows[i].etag)) ||
             !str_eq(o.content_type, str_of(rows[i].type))))
            fail_msg("row %zu: %lld " STR_FMT, i, (long long)o.size, STR_ARG(o.etag));
        httpc_req_fini(&rq);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket_names),
        cmocka_unit_test(test_init_refuses),
        cmocka_unit_test(test_configuration_loads),
        cmocka_unit_test(test_link_addresses),
        cmocka_unit_test(test_link_is_signed),
        cmocka_unit_test(test_link_on_the_next_day),
        cmocka_unit_test(test_link_limits),
        cmocka_unit_test(test_links_from_many_threads),
        cmocka_unit_test(test_request_is_signed),
        cmocka_unit_test(test_request_shapes),
        cmocka_unit_test(test_request_refuses),
        cmocka_unit_test(test_create_bucket),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_verdicts_by_code),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_error_codes),
        cmocka_unit_test(test_error_code_is_sought_near_the_beginning),
        cmocka_unit_test(test_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
