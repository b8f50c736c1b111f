#include "aws/rekog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static const wall_t now = { INT64_C(1795229307000) }; /* 2026-11-21T02:48:27Z */

/* ---- configuration */

static void where_to_call(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        int image;
        const char *region, *s3;
        enum err e;
        const char *url, *host;
        bool by_reference;
    } rows[] = {
        { "", REKOG_IMAGE_AUTO, "us-east-1", "", ERR_OK,
          "https://rekognition.us-east-1.amazonaws.com/", "rekognition.us-east-1.amazonaws.com",
          true },
        { "", REKOG_IMAGE_AUTO, "eu-west-1", "https://s3.eu-west-1.amazonaws.com", ERR_OK,
          "https://rekognition.eu-west-1.amazonaws.com/", "rekognition.eu-west-1.amazonaws.com",
          true },
        { "", REKOG_IMAGE_AUTO, "eu-west-1", "http://127.0.0.1:7070", ERR_OK,
          "https://rekognition.eu-west-1.amazonaws.com/", "rekognition.eu-west-1.amazonaws.com",
          false },
        { "", REKOG_IMAGE_AUTO, "eu-west-1", "http://amazonaws.com.example.org", ERR_OK,
          "https://rekognition.eu-west-1.amazonaws.com/", "rekognition.eu-west-1.amazonaws.com",
          false },
        { "https://127.0.0.1:7443", REKOG_IMAGE_S3, "us-east-1", "http://127.0.0.1:7070", ERR_OK,
          "https://127.0.0.1:7443/", "127.0.0.1:7443", true },
        { "https://rekog.local:443/", REKOG_IMAGE_BYTES, "us-east-1", "", ERR_OK,
          "https://rekog.local:443/", "rekog.local", false },
        { "", REKOG_IMAGE_AUTO, "", "", ERR_CONFIG, NULL, NULL, false },
        { "", REKOG_IMAGE_AUTO, "us-east-1/../x", "", ERR_CONFIG, NULL, NULL, false },
        { "", REKOG_IMAGE_AUTO, "evil.example.org?", "", ERR_CONFIG, NULL, NULL, false },
        { "ftp://x", REKOG_IMAGE_AUTO, "us-east-1", "", ERR_CONFIG, NULL, NULL, false },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char *endpoint = strdup(rows[i].endpoint);
        const struct rekog_conf c = { endpoint, rows[i].image, 15000, 1000 };
        struct rekog r;
        struct errbuf eb = { "" };
        enum err e = rekog_init(&r, &c, str_of(rows[i].region), str_of(rows[i].s3), &eb);
        if (e != rows[i].e)
            fail_msg("row %zu: %s: %s", i, err_name(e), eb.text);
        if (e == ERR_OK && (strcmp(r.url, rows[i].url) != 0 || strcmp(r.host, rows[i].host) != 0 ||
                            r.by_reference != rows[i].by_reference || r.timeout_ms != 15000))
            fail_msg("row %zu: %s %s %d", i, r.url, r.host, r.by_reference);
        free(endpoint);
    }
}

/* ---- the request */

static void request_bodies(void **state)
{
    (void)state;
    static const struct {
        struct rekog_ask ask;
        const char *body;
    } rows[] = {
        { { .image = S("\xff\xd8\xff"), .max_labels = 10, .min_confidence = 50 },
          "{\"Image\":{\"Bytes\":\"/9j/\"},\"MaxLabels\":10,\"MinConfidence\":50}" },
        { { .bucket = S("labelwire"),
            .key = S("uploads/a \"b\".jpg"),
            .max_labels = 1000,
            .min_confidence = 0 },
          "{\"Image\":{\"S3Object\":{\"Bucket\":\"labelwire\",\"Name\":\"uploads/a "
          "\\\"b\\\".jpg\"}},\"MaxLabels\":1000,\"MinConfidence\":0}" },
        { { .bucket = S("b-1"),
            .key = S("k"),
            .version = S("3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"),
            .max_labels = 0,
            .min_confidence = 99.5 },
          "{\"Image\":{\"S3Object\":{\"Bucket\":\"b-1\",\"Name\":\"k\",\"Version\":"
          "\"3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY\"}},\"MaxLabels\":0,\"MinConfidence\":99.5}" },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf out = BUF_INIT(1U << 16);
        struct json root;
        rekog_put_request(&out, &rows[i].ask);
        assert_false(buf_failed(&out));
        assert_string_equal(out.p, rows[i].body);
        assert_int_equal(json_parse(&root, buf_str(&out), NULL), ERR_OK);
        buf_fini(&out);
    }
}

static const char *header(const struct rekog_req *rq, const char *name)
{
    for (size_t i = 0; rq->http.hdrs[i] != NULL; i++)
        if (strncmp(rq->http.hdrs[i], name, strlen(name)) == 0)
            return rq->http.hdrs[i] + strlen(name) + 2;
    return NULL;
}

/* What is sent is taken by sigv4_verify(), as a server would. */
static void check_signature(const struct rekog_req *rq, const struct rekog *r,
                            const struct sigv4_key *k, enum err want)
{
    struct sigv4_pair headers[10] = { { S("Host"), str_of(r->host) } };
    size_t n = 1;
    char hash[SHA256_HEX_LEN + 1];
    sha256_hex(hash, rq->http.body);
    for (size_t i = 0; rq->http.hdrs[i] != NULL; i++, n++) {
        struct str line = str_of(rq->http.hdrs[i]);
        assert_true(str_cut(&line, ':', &headers[n].name));
        headers[n].value = str_trim(line);
    }
    struct sigv4_req received = {
        .method = S("POST"),
        .path = S("/"),
        .headers = headers,
        .n_headers = n,
        .payload_hash = str_of(hash),
    };
    struct errbuf eb = { "" };
    assert_int_equal(sigv4_verify(k, &received, now, 300000, &eb), want);
}

static void signed_for_a_server(void **state)
{
    (void)state;
    static const struct aws_creds rows[] = {
        { S("labelwire"), S("labelwire-secret"), STR_NONE },
        { S("ASIAEXAMPLE"), S("secret/with+signs="), S("FwoGZXIvYXdzEJr//////////wEaDEXAMPLE") },
    };
    char none[] = "";
    const struct rekog_conf c = { none, REKOG_IMAGE_BYTES, 2000, 1000 };
    struct rekog r;
    assert_int_equal(rekog_init(&r, &c, S("us-east-1"), S(""), NULL), ERR_OK);
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct sigv4_key k, other;
        struct aws_creds wrong = rows[i];
        struct rekog_req rq = { .hdrs = { NULL } };
        struct rekog_ask ask = { .image = S("not really an image"), .max_labels = 5 };
        sigv4_key_init(&k, &rows[i], S("us-east-1"), S("rekognition"), now);
        assert_int_equal(rekog_prepare(&rq, &r, &ask), ERR_OK);
        for (int again = 0; again < 2; again++)
            assert_int_equal(rekog_sign(&rq, &r, &k, now), ERR_OK);
        assert_string_equal(rq.http.method, "POST");
        assert_string_equal(rq.http.url, "https://rekognition.us-east-1.amazonaws.com/");
        assert_int_equal(rq.http.total_ms, 2000);
        assert_int_equal(rq.http.connect_ms, 2000);
        assert_string_equal(header(&rq, "X-Amz-Date"), "20261121T024827Z");
        assert_string_equal(header(&rq, "X-Amz-Target"), "RekognitionService.DetectLabels");
        assert_int_equal(header(&rq, "X-Amz-Security-Token") != NULL, rows[i].session_token.n > 0);
        check_signature(&rq, &r, &k, ERR_OK);
        wrong.secret_key = S("another");
        sigv4_key_init(&other, &wrong, S("us-east-1"), S("rekognition"), now);
        check_signature(&rq, &r, &other, ERR_DENIED);
        rekog_req_fini(&rq);
        rekog_req_fini(&rq);
    }
}

static void large_images(void **state)
{
    (void)state;
    char none[] = "";
    const struct rekog_conf c = { none, REKOG_IMAGE_BYTES, 15000, 1000 };
    char *bytes = calloc(1, REKOG_BYTES_MAX + 1);
    struct rekog r;
    assert_non_null(bytes);
    assert_int_equal(rekog_init(&r, &c, S("us-east-1"), S(""), NULL), ERR_OK);
    struct rekog_req rq = { .hdrs = { NULL } };
    struct rekog_ask ask = { .image = { bytes, REKOG_BYTES_MAX }, .max_labels = 5 };
    assert_int_equal(rekog_prepare(&rq, &r, &ask), ERR_OK);
    assert_true(rq.http.body.n > 6990508);
    assert_int_equal(rq.http.connect_ms, REKOG_CONNECT_MS);
    ask.image.n++;
    assert_int_equal(rekog_prepare(&rq, &r, &ask), ERR_TOOBIG);
    rekog_req_fini(&rq);
    free(bytes);
}

/* ---- the outcome */

#define BODY(type)       S("{\"__type\":\"" type "\",\"Code\":\"x\",\"Logref\":\"1\",\"Message\":\"m\"}")
#define SAYS(type, text) S("{\"__type\":\"" type "\",\"message\":\"" text "\"}")

static const struct {
    int status;
    struct str header, body;
    enum rekog_verdict verdict;
    const char *code;
} errors[] = {
    { 200, STR_NONE, S("{\"Labels\":[]}"), REKOG_OK, "" },
    /* each documented type; the status does not matter */
    { 400, STR_NONE, BODY("InvalidImageFormatException"), REKOG_INVALID_IMAGE,
      "InvalidImageFormatException" },
    { 400, STR_NONE, BODY("ImageTooLargeException"), REKOG_TOO_LARGE, "ImageTooLargeException" },
    { 400, STR_NONE, BODY("InvalidS3ObjectException"), REKOG_NO_OBJECT,
      "InvalidS3ObjectException" },
    { 400, STR_NONE, BODY("ThrottlingException"), REKOG_THROTTLED, "ThrottlingException" },
    { 500, STR_NONE, SAYS("ThrottlingException", "Service Unavailable"), REKOG_THROTTLED,
      "ThrottlingException" },
    { 400, STR_NONE, BODY("ProvisionedThroughputExceededException"), REKOG_THROTTLED,
      "ProvisionedThroughputExceededException" },
    { 400, STR_NONE, BODY("LimitExceededException"), REKOG_THROTTLED, "LimitExceededException" },
    { 503, STR_NONE, BODY("SlowDown"), REKOG_THROTTLED, "SlowDown" },
    { 500, STR_NONE, BODY("InternalServerError"), REKOG_TRANSIENT, "InternalServerError" },
    { 400, STR_NONE, BODY("AccessDeniedException"), REKOG_DENIED, "AccessDeniedException" },
    { 400, STR_NONE, BODY("UnrecognizedClientException"), REKOG_DENIED,
      "UnrecognizedClientException" },
    { 400, STR_NONE, BODY("ExpiredTokenException"), REKOG_EXPIRED_CREDENTIALS,
      "ExpiredTokenException" },
    { 400, STR_NONE,
      SAYS("UnrecognizedClientException", "The security token included in the request is expired"),
      REKOG_EXPIRED_CREDENTIALS, "UnrecognizedClientException" },
    { 400, STR_NONE,
      SAYS("InvalidSignatureException",
           "The request signature we calculated does not match the signature you provided."),
      REKOG_DENIED, "InvalidSignatureException" },
    { 400, STR_NONE,
      SAYS("InvalidSignatureException",
           "Signature expired: 20261121T020000Z is now earlier than 20261121T021000Z"),
      REKOG_CLOCK_SKEW, "InvalidSignatureException" },
    { 400, STR_NONE,
      SAYS("InvalidSignatureException",
           "Signature not yet current: 20261121T030000Z is still later than 20261121T021000Z"),
      REKOG_CLOCK_SKEW, "InvalidSignatureException" },
    { 403, STR_NONE, BODY("RequestTimeTooSkewed"), REKOG_CLOCK_SKEW, "RequestTimeTooSkewed" },
    { 400, STR_NONE, SAYS("InvalidParameterException", "Request has Invalid Parameters"),
      REKOG_BROKEN, "InvalidParameterException" },
    { 400, STR_NONE,
      SAYS("InvalidParameterException",
           "Input image dimensions 10800 x 5400 exceed maximum dimension size of 10000 pixels"),
      REKOG_TOO_LARGE, "InvalidParameterException" },
    { 400, STR_NONE,
      SAYS("ValidationException",
           "1 validation error detected: Value at 'image.bytes' failed to satisfy constraint: "
           "Member must have length less than or equal to 5242880"),
      REKOG_TOO_LARGE, "ValidationException" },
    { 400, STR_NONE,
      SAYS("ValidationException",
           "1 validation error detected: Value at 'image.bytes' failed to satisfy constraint: "
           "Member must have length greater than or equal to 1"),
      REKOG_INVALID_IMAGE, "ValidationException" },
    { 400, STR_NONE, SAYS("ValidationException", "another"), REKOG_BROKEN, "ValidationException" },
    /* dressed-up names */
    { 400, STR_NONE, BODY("com.amazonaws.rekognition#ThrottlingException"), REKOG_THROTTLED,
      "ThrottlingException" },
    { 400, STR_NONE,
      BODY("ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.service/"),
      REKOG_THROTTLED, "ThrottlingException" },
    { 400, S("ThrottlingException:http://internal.amazon.com/"), S(""), REKOG_THROTTLED,
      "ThrottlingException" },
    { 400, S(" aws.x#InvalidS3ObjectException "), S("<html>"), REKOG_NO_OBJECT,
      "InvalidS3ObjectException" },
    { 400, STR_NONE, S("{\"Code\":\"ThrottlingException\"}"), REKOG_THROTTLED,
      "ThrottlingException" },
    { 400, STR_NONE, S("{\"code\":\"ThrottlingException\"}"), REKOG_THROTTLED,
      "ThrottlingException" },
    { 400, S("AccessDeniedException"), BODY("ThrottlingException"), REKOG_THROTTLED,
      "ThrottlingException" },
    /* __type is not what it should be */
    { 400, STR_NONE, S("{\"__type\":7}"), REKOG_BROKEN, "" },
    { 400, STR_NONE, S("{\"__type\":null,\"Code\":{}}"), REKOG_BROKEN, "" },
    { 400, STR_NONE, S("{\"__type\":[\"ThrottlingException\"]}"), REKOG_BROKEN, "" },
    { 400, STR_NONE, BODY("no such\\u0000thing"), REKOG_BROKEN, "" },
    { 400, STR_NONE, BODY("Throttling Exception"), REKOG_BROKEN, "" },
    { 400, STR_NONE, BODY("#"), REKOG_BROKEN, "" },
    { 400, STR_NONE, BODY("ANameThatIsLongerThanSixtyThreeCharactersIsNotOneOfTheseException"),
      REKOG_BROKEN, "" },
    { 400, STR_NONE, BODY("SomethingNewException"), REKOG_BROKEN, "SomethingNewException" },
    { 503, STR_NONE, BODY("SomethingNewException"), REKOG_TRANSIENT, "SomethingNewException" },
    /* bodies that are no help */
    { 400, STR_NONE, S(""), REKOG_BROKEN, "" },
    { 400, STR_NONE, S("{}"), REKOG_BROKEN, "" },
    { 400, STR_NONE, S("[]"), REKOG_BROKEN, "" },
    { 400, STR_NONE, S("{\"__type\":\"Throttl"), REKOG_BROKEN, "" },
    { 502, STR_NONE, S("<html>bad gateway</html>"), REKOG_TRANSIENT, "" },
    { 401, STR_NONE, S(""), REKOG_DENIED, "" },
    { 403, STR_NONE, S("<html>"), REKOG_DENIED, "" },
    { 404, STR_NONE, S("not found"), REKOG_DENIED, "" },
    { 408, STR_NONE, S(""), REKOG_TRANSIENT, "" },
    { 413, STR_NONE, S(""), REKOG_TOO_LARGE, "" },
    { 429, STR_NONE, S("{}"), REKOG_THROTTLED, "" },
    { 100, STR_NONE, S(""), REKOG_BROKEN, "" },
    { 204, STR_NONE, S(""), REKOG_BROKEN, "" },
    { 301, STR_NONE, S(""), REKOG_BROKEN, "" },
    { 599, STR_NONE, S("{}"), REKOG_TRANSIENT, "" },
};

static void error_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(errors); i++) {
        struct rekog_error out;
        enum rekog_verdict v =
            rekog_read_error(&out, errors[i].status, errors[i].header, errors[i].body);
        if (v != errors[i].verdict || strcmp(out.code, errors[i].code) != 0)
            fail_msg("row %zu: %s '%s' '%s'", i, rekog_verdict_name(v), out.code, out.message);
    }
}

/* Every status with every kind of body: some verdict, and OK only for 200. */
static void any_status_any_body(void **state)
{
    (void)state;
    char *large = malloc(2U << 20);
    assert_non_null(large);
    memset(large, 'x', 2U << 20);
    memcpy(large, "{\"__type\":\"", 11);
    memcpy(large + (2U << 20) - 2, "\"}", 2);
    const struct str bodies[] = { S(""),
                                  S("{}"),
                                  S("<html>"),
                                  S("{\"__type\":"),
                                  S("\x1f\x8b\x08"),
                                  S("\"ThrottlingException\"") };
    for (int status = 100; status < 600; status++)
        for (size_t i = 0; i < N_OF(bodies); i++) {
            struct rekog_error out;
            enum rekog_verdict v = rekog_read_error(&out, status, STR_NONE, bodies[i]);
            assert_int_equal(v == REKOG_OK, status == 200);
            assert_string_equal(out.code, "");
        }
    struct rekog_error out;
    assert_int_equal(rekog_read_error(&out, 400, STR_NONE, (struct str){ large, 2U << 20 }),
                     REKOG_BROKEN);
    free(large);
}

static void messages_are_bounded(void **state)
{
    (void)state;
    struct rekog_error out;
    struct buf body = BUF_INIT(4096);
    (void)rekog_read_error(&out, 400, STR_NONE, BODY("ThrottlingException"));
    assert_string_equal(out.message, "m");
    (void)rekog_read_error(&out, 400, STR_NONE, SAYS("X", "a\\u0000b\\nc\\u007fd"));
    assert_string_equal(out.message, "a b c d");
    (void)rekog_read_error(&out, 400, STR_NONE, S("{\"message\":7,\"Message\":[]}"));
    assert_string_equal(out.message, "");
    buf_puts(&body, "{\"message\":\"");
    for (size_t i = 0; i < 500; i++)
        buf_puts(&body, "\xe2\x82\xac"); /* three bytes each: cut between characters */
    buf_puts(&body, "\"}");
    (void)rekog_read_error(&out, 400, STR_NONE, buf_str(&body));
    assert_int_equal(strlen(out.message), sizeof out.message / 3 * 3 - 3);
    buf_fini(&body);
}

static void transfer_errors(void **state)
{
    (void)state;
    static const struct {
        enum err e;
        enum rekog_verdict verdict;
    } rows[] = {
        { ERR_TIMEOUT, REKOG_TRANSIENT }, { ERR_IO, REKOG_TRANSIENT },
        { ERR_TOOBIG, REKOG_TRANSIENT },  { ERR_REMOTE, REKOG_TRANSIENT },
        { ERR_CLOSED, REKOG_TRANSIENT },  { ERR_DENIED, REKOG_DENIED },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct rekog_req rq = { .http = { .why = "connection reset" } };
        struct rekog_error out;
        assert_int_equal(rekog_verdict(&out, &rq, rows[i].e), rows[i].verdict);
        assert_string_equal(out.message, "connection reset");
        rq.http.tls = true; /* configuration, whatever it looks like */
        assert_int_equal(rekog_verdict(&out, &rq, rows[i].e), REKOG_DENIED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_to_call),        cmocka_unit_test(request_bodies),
        cmocka_unit_test(signed_for_a_server),  cmocka_unit_test(large_images),
        cmocka_unit_test(error_answers),        cmocka_unit_test(any_status_any_body),
        cmocka_unit_test(messages_are_bounded), cmocka_unit_test(transfer_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
