#include "aws/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define PAIR(n, v) ((struct sigv4_pair){ S(n), S(v) })
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DAY_MS     (24 * 60 * 60 * INT64_C(1000))

/* Keys, host, region and time of the worked examples in the S3 API reference. */
static const struct aws_creds example = { { "AKIAIOSFODNN7EXAMPLE", 20 },
                                          { "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40 },
                                          { NULL, 0 } };
#define EXAMPLE_HOST "examplebucket.s3.amazonaws.com"
#define EXAMPLE_DATE "20130524T000000Z"

static wall_t at(const char *amz)
{
    wall_t t = { 0 };
    assert_int_equal(wall_from_amz(str_of(amz), &t), ERR_OK);
    return t;
}

static struct sigv4_key key_of_region(const char *region, wall_t now)
{
    struct sigv4_key k;
    sigv4_key_init(&k, &example, str_of(region), S("s3"), now);
    return k;
}

static void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_of(want)))
        fail_msg("got '" STR_FMT "', want '%s'", STR_ARG(got), want);
}

/* ---- known answers */

/* "Signature Calculations for the Authorization Header", examples 1 to 4; recomputed with an
 * independent implementation. */
static void test_header_examples(void **state)
{
    (void)state;
    const struct {
        const char *method, *path;
        struct sigv4_pair query[2], extra[2];
        size_t n_query, n_extra;
        const char *hash, *signature;
    } rows[] = {
        { "GET",
          "/test.txt",
          { PAIR("", "") },
          { PAIR("Range", "bytes=0-9") },
          0,
          1,
          EMPTY_HASH,
          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
        { "PUT",
          "/test$file.text",
          { PAIR("", "") },
          { PAIR("Date", "Fri, 24 May 2013 00:00:00 GMT"),
            PAIR("x-amz-storage-class", "REDUCED_REDUNDANCY") },
          0,
          2,
          "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
        { "GET",
          "/",
          { PAIR("lifecycle", "") },
          { PAIR("", "") },
          1,
          0,
          EMPTY_HASH,
          "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
        { "GET",
          "",
          { PAIR("prefix", "J"), PAIR("max-keys", "2") },
          { PAIR("", "") },
          2,
          0,
          EMPTY_HASH, /* parameters unsorted, path empty */
          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
    };
    wall_t now = at(EXAMPLE_DATE);
    struct sigv4_key k = key_of_region("us-east-1", now);
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct sigv4_pair headers[5] = {
            PAIR("X-Amz-Date", EXAMPLE_DATE),
            PAIR("Host", EXAMPLE_HOST),
            { S("x-amz-content-sha256"), str_of(rows[i].hash) },
        };
        memcpy(headers + 3, rows[i].extra, sizeof rows[i].extra);
        struct sigv4_req rq = { .method = str_of(rows[i].method),
                                .path = str_of(rows[i].path),
                                .query = rows[i].query,
                                .n_query = rows[i].n_query,
                                .headers = headers,
                                .n_headers = 3 + rows[i].n_extra,
                                .payload_hash = str_of(rows[i].hash) };
        struct buf out = BUF_INIT(1024);
        assert_int_equal(sigv4_authorization(&out, &k, &rq, now), ERR_OK);
        if (!str_ends(buf_str(&out), str_of(rows[i].signature)))
            fail_msg("row %zu: got %s", i, out.p);
        buf_fini(&out);
    }
}

static const struct sigv4_pair example_host[] = {
    { { "host", 4 }, { EXAMPLE_HOST, sizeof EXAMPLE_HOST - 1 } },
};

static struct sigv4_req presign_rq(void)
{
    return (struct sigv4_req){ .method = S("GET"),
                               .path = S("/test.txt"),
                               .headers = example_host,
                               .n_headers = 1,
                               .payload_hash = SIGV4_UNSIGNED_PAYLOAD };
}

/* "Authenticating Requests: Using Query Parameters". */
static void test_presign_example(void **state)
{
    (void)state;
    wall_t now = at(EXAMPLE_DATE);
    struct sigv4_key k = key_of_region("us-east-1", now);
    struct sigv4_req rq = presign_rq();
    struct buf out = BUF_INIT(1024);
    assert_int_equal(sigv4_presign(&out, &k, &rq, now, 86400, false), ERR_OK);
    assert_str(buf_str(&out),
               "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524"
               "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
               "&X-Amz-SignedHeaders=host&X-Amz-Signature="
               "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    buf_fini(&out);
}

static void test_presign_expiry(void **state)
{
    (void)state;
    static const struct {
        int64_t expires_s;
        enum err want;
    } rows[] = {
        { 1, ERR_OK },         { 604800, ERR_OK },       { 0, ERR_RANGE }, { -1, ERR_RANGE },
        { 604801, ERR_RANGE }, { INT64_MIN, ERR_RANGE }, { 300, ERR_OK },  { INT64_MAX, ERR_RANGE },
    };
    wall_t now = at(EXAMPLE_DATE);
    struct sigv4_key k = key_of_region("us-east-1", now);
    struct sigv4_req rq = presign_rq();
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf out = BUF_INIT(1024);
        enum err e = sigv4_presign(&out, &k, &rq, now, rows[i].expires_s, false);
        if (e != rows[i].want || (e != ERR_OK && out.n != 0))
            fail_msg("row %zu: %s", i, err_name(e));
        buf_fini(&out);
    }
}

static void test_presign_token(void **state)
{
    (void)state;
    wall_t now = at(EXAMPLE_DATE);
    struct aws_creds creds = example;
    creds.session_token = S("to/ken+=");
    struct sigv4_key k;
    sigv4_key_init(&k, &creds, S("us-east-1"), S("s3"), now);
    struct sigv4_req rq = presign_rq();
    struct buf inside = BUF_INIT(2048), last = BUF_INIT(2048);
    assert_int_equal(sigv4_presign(&inside, &k, &rq, now, 86400, false), ERR_OK);
    assert_non_null(strstr(
        inside.p, "&X-Amz-Expires=86400&X-Amz-Security-Token=to%2Fken%2B%3D&X-Amz-SignedHeaders="));
    assert_null(strstr(inside.p, "aeeed9bbccd4d02e")); /* the token changes the signature */

    assert_int_equal(sigv4_presign(&last, &k, &rq, now, 86400, true), ERR_OK);
    assert_true(str_ends(buf_str(&last),
                         S("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d15"
                           "7751f604d404&X-Amz-Security-Token=to%2Fken%2B%3D")));
    buf_fini(&inside);
    buf_fini(&last);
}

/* ---- canonical forms */

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        struct str path;
        bool normalize;
        const char *want;
    } rows[] = {
        { { "", 0 }, false, "/" },
        { { "/", 1 }, false, "/" },
        { { "/a b", 4 }, false, "/a%20b" },
        { { "//a/./../b//", 12 }, false, "//a/./../b//" }, /* keys, not folders: never touched */
        { { "/100%", 5 }, false, "/100%25" },
        { { "/%2F+", 5 }, false, "/%252F%2B" }, /* given decoded, so '%' is a character */
        { { "/\xc3\xa9", 3 }, false, "/%C3%A9" },
        { { "/()*'!=:~-._", 12 }, false, "/%28%29%2A%27%21%3D%3A~-._" },
        { { "/a\0b", 4 }, false, "/a%00b" },
        { { "", 0 }, true, "/" },
        { { "/", 1 }, true, "/" },
        { { "//", 2 }, true, "/" },
        { { "/..", 3 }, true, "/" },
        { { "/../..", 6 }, true, "/" },
        { { "/a/..", 5 }, true, "/" },
        { { "/a/../", 6 }, true, "/" },
        { { "/a/../b", 7 }, true, "/b" },
        { { "/a/b/..", 7 }, true, "/a" },
        { { "/./a//b/", 8 }, true, "/a/b/" },
        { { "/a/b/../../../c", 15 }, true, "/c" },
        { { "/a b/...", 8 }, true, "/a%20b/..." },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf out = BUF_INIT(256);
        buf_puts(&out, "before"); /* must survive any number of ".." */
        sigv4_put_path(&out, rows[i].path, rows[i].normalize);
        if (!str_starts(buf_str(&out), S("before")) || strcmp(out.p + 6, rows[i].want) != 0)
            fail_msg("row %zu: got %s", i, out.p);
        buf_fini(&out);
    }
}

static void test_query_order(void **state)
{
    (void)state;
    const struct sigv4_pair query[] = {
        PAIR("b", "2"), PAIR("b", "10"),       PAIR("a-b", ""), PAIR("a", "z"),
        PAIR("A", ""),  PAIR("a b", "/"),      PAIR("", "x"),   PAIR("b", "1+1"),
        PAIR("~", "*"), PAIR("a", "\xc3\xa9"), PAIR("b", "1"),
    };
    struct buf out = BUF_INIT(1024);
    sigv4_put_query(&out, query, N_OF(query));
    /* "a b" is encoded before it is sorted: '%' stands before '-' and before letters */
    assert_str(buf_str(&out), "=x&A=&a=%C3%A9&a=z&a%20b=%2F&a-b=&b=1&b=1%2B1&b=10&b=2&~=%2A");
    buf_fini(&out);
}

static void test_header_canonical_form(void **state)
{
    (void)state;
    const struct sigv4_pair headers[] = {
        PAIR("x-amz-meta-a-b", "2"),    PAIR("X-Amz-Meta-A", "1"), PAIR("x-amz-meta-a1", "3"),
        PAIR("Host", " h:1 "),          PAIR("Twice", "z"),        PAIR("twice", "a"),
        PAIR("Folded", "a\r\n  b\t c"), PAIR("Empty", ""),         PAIR("Blank", " \t "),
        PAIR("Quoted", "\"a   b\""),
    };
    struct sigv4_req rq = { .method = S("GET"),
                            .path = S("/"),
                            .headers = headers,
                            .n_headers = N_OF(headers),
                            .payload_hash = S("HASH") };
    struct buf out = BUF_INIT(1024);
    assert_int_equal(sigv4_canonical_request(&out, &rq), ERR_OK);
    assert_str(buf_str(&out), "GET\n/\n\n"
                              "blank:\nempty:\nfolded:a b c\nhost:h:1\nquoted:\"a b\"\ntwice:z,a\n"
                              "x-amz-meta-a:1\nx-amz-meta-a-b:2\nx-amz-meta-a1:3\n\n"
                              "blank;empty;folded;host;quoted;twice;"
                              "x-amz-meta-a;x-amz-meta-a-b;x-amz-meta-a1\nHASH");
    buf_fini(&out);
}

static void test_limits(void **state)
{
    (void)state;
    static struct sigv4_pair many[SIGV4_PARAMS_MAX + 1];
    for (size_t i = 0; i < N_OF(many); i++)
        many[i] = (struct sigv4_pair){ S("host"), S("v") };
    wall_t now = at(EXAMPLE_DATE);
    struct sigv4_key k = key_of_region("us-east-1", now);
    static const struct {
        size_t n_query, n_headers, room;
        enum err want;
    } rows[] = {
        { SIGV4_PARAMS_MAX, SIGV4_PARAMS_MAX, 4096, ERR_OK },
        { SIGV4_PARAMS_MAX + 1, 1, 4096, ERR_TOOBIG },
        { 0, SIGV4_PARAMS_MAX + 1, 4096, ERR_TOOBIG },
        { 0, 0, 4096, ERR_INVAL }, /* no host */
        { 1, 1, 0, ERR_TOOBIG },
        { 1, 1, 100, ERR_TOOBIG },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct sigv4_req rq = { .method = S("GET"),
                                .path = S("/"),
                                .query = many,
                                .n_query = rows[i].n_query,
                                .headers = many,
                                .n_headers = rows[i].n_headers,
                                .payload_hash = S(EMPTY_HASH) };
        struct buf a = BUF_INIT(rows[i].room), b = BUF_INIT(rows[i].room);
        if (sigv4_authorization(&a, &k, &rq, now) != rows[i].want)
            fail_msg("row %zu: authorization", i);
        if (sigv4_presign(&b, &k, &rq, now, 60, false) != rows[i].want)
            fail_msg("row %zu: presign", i);
        buf_fini(&a);
        buf_fini(&b);
    }
    struct buf out = BUF_INIT(4096);
    sigv4_put_query(&out, many, SIGV4_PARAMS_MAX + 1);
    assert_true(buf_failed(&out));
    buf_fini(&out);
}

static void test_huge_path_is_refused(void **state)
{
    (void)state;
    static char path[300000];
    memset(path, 'a', sizeof path);
    wall_t now = at(EXAMPLE_DATE);
    struct sigv4_key k = key_of_region("us-east-1", now);
    struct sigv4_req rq = presign_rq();
    rq.path = (struct str){ path, sizeof path };
    struct buf out = BUF_INIT(1000000);
    assert_int_equal(sigv4_presign(&out, &k, &rq, now, 60, false), ERR_TOOBIG);
    assert_int_equal(sigv4_authorization(&out, &k, &rq, now), ERR_TOOBIG);
    buf_fini(&out);
}

/* ---- the key's day */

static void test_day_rollover(void **state)
{
    (void)state;
    wall_t last = { at("20130524T235959Z").ms + 999 }, next = { last.ms + 1 };
    struct sigv4_key k = key_of_region("us-east-1", at(EXAMPLE_DATE));
    assert_string_equal(k.day, "20130524");
    assert_true(sigv4_key_is_for(&k, last));
    assert_false(sigv4_key_is_for(&k, next));
    assert_false(sigv4_key_is_for(&k, (wall_t){ at(EXAMPLE_DATE).ms - 1 }));

    /* a key of another day would only make a signature that nobody accepts */
    struct sigv4_req rq = presign_rq();
    struct buf out = BUF_INIT(1024);
    assert_int_equal(sigv4_presign(&out, &k, &rq, next, 60, false), ERR_INVAL);
    assert_int_equal(sigv4_authorization(&out, &k, &rq, next), ERR_INVAL);
    assert_int_equal(out.n, 0);
    buf_fini(&out);

    struct sigv4_key other = key_of_region("us-east-1", next);
    assert_true(sigv4_key_is_for(&other, next));
    assert_memory_not_equal(k.key, other.key, SHA256_LEN);
}

/* ---- checking */

#define NOW "20150830T123600Z"

static const struct aws_creds plain = { { "AKIDEXAMPLE", 11 }, { "secret", 6 }, { NULL, 0 } };

/* A request as a server sees it: received headers, with the Authorization a client made. */
struct received {
    struct sigv4_pair headers[8];
    struct sigv4_pair query[2];
    struct sigv4_req rq;
    struct buf authorization;
    char amz[CLOCK_AMZ_LEN + 1];
};

static struct sigv4_key client_key(const struct aws_creds *c, const char *region, wall_t when)
{
    struct sigv4_key k;
    sigv4_key_init(&k, c, str_of(region), S("rekognition"), when);
    return k;
}

static void received_init(struct received *r, const struct aws_creds *c, const char *region,
                          wall_t when)
{
    *r = (struct received){ .authorization = BUF_INIT(4096) };
    wall_to_amz(when, r->amz);
    const struct sigv4_pair headers[] = {
        PAIR("Host", "localhost:7080"),
        { S("X-Amz-Date"), str_of(r->amz) },
        PAIR("X-Amz-Target", "RekognitionService.DetectLabels"),
        { S("X-Amz-Security-Token"), c->session_token },
    };
    memcpy(r->headers, headers, sizeof headers);
    r->query[0] = PAIR("q", "1");
    r->rq = (struct sigv4_req){ .method = S("POST"),
                                .path = S("/"),
                                .normalize = true,
                                .query = r->query,
                                .n_query = 1,
                                .headers = r->headers,
                                .n_headers = c->session_token.n > 0 ? 4 : 3,
                                .payload_hash = S(EMPTY_HASH) };
    struct sigv4_key k = client_key(c, region, when);
    assert_int_equal(sigv4_authorization(&r->authorization, &k, &r->rq, when), ERR_OK);
    r->headers[r->rq.n_headers++] =
        (struct sigv4_pair){ S("Authorization"), buf_str(&r->authorization) };
    r->headers[r->rq.n_headers++] = PAIR("User-Agent", "unsigned");
}

static void received_fini(struct received *r)
{
    buf_fini(&r->authorization);
}

static void assert_refused(const struct sigv4_key *k, const struct received *r, wall_t now,
                           const char *code)
{
    struct errbuf eb = { "" };
    enum err e = sigv4_verify(k, &r->rq, now, 300000, &eb);
    if (code == NULL && e != ERR_OK)
        fail_msg("refused: %s", eb.text);
    if (code != NULL && (e != ERR_DENIED || strncmp(eb.text, code, strlen(code)) != 0))
        fail_msg("want %s, got %s: %s", code, err_name(e), eb.text);
}

static void test_verify_accepts(void **state)
{
    (void)state;
    wall_t now = at(NOW);
    struct aws_creds temporary = plain;
    temporary.session_token = S("token/==");
    const struct aws_creds *all[] = { &plain, &temporary };
    for (size_t i = 0; i < N_OF(all); i++) {
        struct received r;
        received_init(&r, all[i], "eu-west-1", now);
        struct sigv4_key k = client_key(all[i], "eu-west-1", now);
        assert_refused(&k, &r, now, NULL);
        assert_int_equal(sigv4_verify(&k, &r.rq, now, 0, NULL), ERR_OK); /* no errbuf */
        received_fini(&r);
    }
}

static void test_verify_skew(void **state)
{
    (void)state;
    static const struct {
        const char *sent;
        int64_t now_after_ms;
        const char *want;
    } rows[] = {
        { NOW, 300000, NULL },
        { NOW, 300001, "InvalidSignatureException: Signature expired" },
        { NOW, -300000, NULL },
        { NOW, -300001, "InvalidSignatureException: Signature not yet current" },
        { NOW, 365 * DAY_MS, "InvalidSignatureException: Signature expired" },
        { "20150830T235959Z", 2000, NULL }, /* signed yesterday, by the server's day */
        { "20150831T000001Z", -2000, NULL },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct received r;
        wall_t sent = at(rows[i].sent), now = { sent.ms + rows[i].now_after_ms };
        received_init(&r, &plain, "eu-west-1", sent);
        struct sigv4_key k = client_key(&plain, "eu-west-1", now);
        assert_refused(&k, &r, now, rows[i].want);
        received_fini(&r);
    }
}

/* name: a header to change, or to drop with value NULL; "+name" adds one; ":part" is another
 * part of the request. */
static void tamper(struct received *r, const char *name, const char *value)
{
    struct str *parts[] = { &r->rq.method, &r->rq.path, &r->rq.payload_hash, &r->query[0].value };
    static const char *const part_names[] = { ":method", ":path", ":payload", ":query" };
    for (size_t i = 0; i < N_OF(parts); i++)
        if (strcmp(name, part_names[i]) == 0)
            *parts[i] = str_of(value);
    if (name[0] == '+')
        r->headers[r->rq.n_headers++] = (struct sigv4_pair){ str_of(name + 1), str_of(value) };
    for (size_t i = 0; i < r->rq.n_headers; i++) {
        struct sigv4_pair *h = &r->headers[i];
        if (!str_eq_nocase(h->name, str_of(name)))
            continue;
        h->name = value == NULL ? S("x-dropped") : h->name;
        h->value = str_of(value);
    }
}

static void test_verify_tampered(void **state)
{
    (void)state;
    static const char wrong[] = "InvalidSignatureException";
    static const char incomplete[] = "IncompleteSignatureException";
    static const struct {
        const char *name, *value, *want;
    } rows[] = {
        { "", "", NULL },
        { "user-agent", "other", NULL }, /* not signed */
        { "host", "elsewhere", wrong },
        { "x-amz-target", "RekognitionService.DeleteFaces", wrong },
        { "x-amz-target", NULL, wrong },
        { "+x-amz-target", "more", wrong },
        { ":payload", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072", wrong },
        { ":path", "/x", wrong },
        { ":query", "2", wrong },
        { ":method", "GET", wrong },
        { "x-amz-date", "20150830T123601Z", wrong },
        { "x-amz-date", "yesterday", incomplete },
        { "x-amz-date", NULL, incomplete },
        { "+x-amz-date", NOW, incomplete },
        { "+x-amz-security-token", "mine", "UnrecognizedClientException" },
        { "authorization", NULL, "MissingAuthenticationTokenException" },
        { "+authorization", "AWS4-HMAC-SHA256 twice", incomplete },
    };
    wall_t now = at(NOW);
    struct sigv4_key k = client_key(&plain, "eu-west-1", now);
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct received r;
        received_init(&r, &plain, "eu-west-1", now);
        tamper(&r, rows[i].name, rows[i].value);
        assert_refused(&k, &r, now, rows[i].want);
        received_fini(&r);
    }
}

static void test_verify_other_keys(void **state)
{
    (void)state;
    wall_t now = at(NOW);
    struct sigv4_key k = client_key(&plain, "eu-west-1", now);
    struct aws_creds wrong_secret = plain, stranger = plain, temporary = plain;
    wrong_secret.secret_key = S("Secret");
    stranger.access_key = S("AKIDSTRANGER");
    temporary.session_token = S("token");
    const struct {
        const struct aws_creds *creds;
        const char *region, *want;
    } rows[] = {
        { &wrong_secret, "eu-west-1", "InvalidSignatureException: The request signature" },
        { &stranger, "eu-west-1", "UnrecognizedClientException" },
        { &temporary, "eu-west-1", "UnrecognizedClientException" },
        { &plain, "us-east-1", "InvalidSignatureException: Credential should be scoped" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct received r;
        received_init(&r, rows[i].creds, rows[i].region, now);
        assert_refused(&k, &r, now, rows[i].want);
        received_fini(&r);
    }
    struct received r;
    received_init(&r, &plain, "eu-west-1", now);
    struct sigv4_key other;
    sigv4_key_init(&other, &plain, S("eu-west-1"), S("sqs"), now);
    assert_refused(&other, &r, now, "InvalidSignatureException: Credential should be scoped");
    received_fini(&r);

    received_init(&r, &plain, "eu-west-1", now); /* the server expects a token, none comes */
    struct sigv4_key with_token = client_key(&temporary, "eu-west-1", now);
    assert_refused(&with_token, &r, now, "UnrecognizedClientException");
    received_fini(&r);
}

#define CREDENTIAL "Credential=AKIDEXAMPLE/20150830/eu-west-1/rekognition/aws4_request"
#define NAMES      "SignedHeaders=host;x-amz-date;x-amz-target"
#define SIGNATURE  "Signature=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_verify_malformed(void **state)
{
    (void)state;
    static const char incomplete[] = "IncompleteSignatureException";
    static const char wrong[] = "InvalidSignatureException";
    static const struct {
        const char *authorization, *want;
    } rows[] = {
        { "", incomplete },
        { "Basic dTpw", incomplete },
        { "AWS4-HMAC-SHA256", incomplete },
        { "AWS4-HMAC-SHA256 ", incomplete },
        { "AWS4-HMAC-SHA256 garbage", incomplete },
        { "AWS4-HMAC-SHA256 ,,,", incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL, incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", " NAMES, incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNATURE, incomplete },
        { "AWS4-HMAC-SHA256 " NAMES ", " SIGNATURE, incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", " NAMES ", Signature=", incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=, " SIGNATURE, incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", " CREDENTIAL ", " NAMES ", " SIGNATURE, incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", " NAMES ", " NAMES ", " SIGNATURE, incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", " NAMES ", " SIGNATURE ", X=1", incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL "/x, " NAMES ", " SIGNATURE, incomplete },
        { "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE, " NAMES ", " SIGNATURE, incomplete },
        { "AWS4-HMAC-SHA256 Credential=, " NAMES ", " SIGNATURE, incomplete },
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=x-amz-date;x-amz-target, " SIGNATURE,
          wrong }, /* host is not signed */
        { "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;x-amz-target, " SIGNATURE,
          incomplete }, /* nor is the date */
        { "AWS4-HMAC-SHA256 "
          "Credential=AKIDEXAMPLE/20150829/eu-west-1/rekognition/aws4_request, " NAMES
          ", " SIGNATURE,
          wrong },
        { "AWS4-HMAC-SHA256 " CREDENTIAL "," NAMES "," SIGNATURE, wrong }, /* read, but forged */
        { "AWS4-HMAC-SHA256 " CREDENTIAL "," NAMES ",Signature=e3b0", wrong },
    };
    wall_t now = at(NOW);
    struct sigv4_key k = client_key(&plain, "eu-west-1", now);
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct received r;
        received_init(&r, &plain, "eu-west-1", now);
        tamper(&r, "authorization", rows[i].authorization);
        assert_refused(&k, &r, now, rows[i].want);
        received_fini(&r);
    }
}

static void test_verify_too_many(void **state)
{
    (void)state;
    wall_t now = at(NOW);
    struct sigv4_key k = client_key(&plain, "eu-west-1", now);
    struct received r;
    received_init(&r, &plain, "eu-west-1", now);
    static struct sigv4_pair many[200];
    for (size_t i = 0; i < N_OF(many); i++)
        many[i] = i < r.rq.n_headers ? r.headers[i] : PAIR("x-unsigned", "1");
    r.rq.headers = many;
    r.rq.n_headers = N_OF(many);
    assert_int_equal(sigv4_verify(&k, &r.rq, now, 0, NULL), ERR_OK); /* unsigned ones are free */
    for (size_t i = r.rq.n_headers - 70; i < N_OF(many); i++)
        many[i].name = S("x-amz-target");
    assert_int_equal(sigv4_verify(&k, &r.rq, now, 0, NULL), ERR_TOOBIG);
    received_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_examples),
        cmocka_unit_test(test_presign_example),
        cmocka_unit_test(test_presign_expiry),
        cmocka_unit_test(test_presign_token),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_query_order),
        cmocka_unit_test(test_header_canonical_form),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_huge_path_is_refused),
        cmocka_unit_test(test_day_rollover),
        cmocka_unit_test(test_verify_accepts),
        cmocka_unit_test(test_verify_skew),
        cmocka_unit_test(test_verify_tampered),
        cmocka_unit_test(test_verify_other_keys),
        cmocka_unit_test(test_verify_malformed),
        cmocka_unit_test(test_verify_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
