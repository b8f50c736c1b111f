/* The HTTP server over real sockets: byte-exact requests, slow and greedy clients, late replies. */
#include "net/httpd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#define BODY_MS  400
#define REPLY_MS 300
#define THREADS  4
#define BUSY_MAX 3
#define LARGE    (8U << 20)
#define PATIENCE 20 /* seconds; a test that waits so long has failed */

/* The thread sanitizer does not see into civetweb: it misses the atomic flag that orders our
 * dup3() before civetweb's close() of the listening socket. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:libcivetweb.so";
}

/* ---- a server with a route for each question --------------------------------------------- */

/* Handlers that stand at the gate until it is opened. */
static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int standing;
    bool open;
    struct http_call *kept; /* by keep_call */
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false, NULL };

static void gate_wait_for(int standing)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.standing != standing)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = open;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void say_text(struct http_call *c, struct str text)
{
    const struct http_hdr type = { "Content-Type", S("text/plain") };
    http_reply(c, 200, &type, 1, text);
}

static void hello(struct http_call *c)
{
    say_text(c, S("hello"));
}

static void echo(struct http_call *c)
{
    http_reply_json(c, 201, http_body(c));
}

static void deleted(struct http_call *c)
{
    http_reply(c, 204, NULL, 0, STR_NONE);
}

static void describe(struct http_call *c)
{
    const struct http_hdr *hdrs;
    struct buf b = BUF_INIT(8192);
    buf_printf(&b, STR_FMT " " STR_FMT "?" STR_FMT " [" STR_FMT "] " STR_FMT " app=%s",
               STR_ARG(http_method(c)), STR_ARG(http_path(c)), STR_ARG(http_query(c)),
               STR_ARG(http_param(c, 0)), STR_ARG(http_remote(c)), (const char *)http_app(c));
    size_t n = http_headers(c, &hdrs);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "\n%s=" STR_FMT, hdrs[i].name, STR_ARG(hdrs[i].value));
    buf_printf(&b, "\nx-one=" STR_FMT " none=%d", STR_ARG(http_header(c, "x-ONE")),
               http_header(c, "none").p == NULL);
    say_text(c, buf_str(&b));
    buf_fini(&b);
}

static void stand(struct http_call *c)
{
    pthread_mutex_lock(&gate.lock);
    gate.standing++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.standing--;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    hello(c);
}

static void *reply_elsewhere(void *call)
{
    struct buf b = BUF_INIT(128);
    buf_puts(&b, "from afar: ");
    buf_put(&b, http_path(call));
    say_text(call, buf_str(&b));
    buf_fini(&b);
    return NULL;
}

static void hand_over(struct http_call *c)
{
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, reply_elsewhere, c), 0);
    pthread_detach(t);
}

static void keep_call(struct http_call *c)
{
    pthread_mutex_lock(&gate.lock);
    gate.kept = c;
    pthread_mutex_unlock(&gate.lock);
}

static void large(struct http_call *c)
{
    char *bytes = xcalloc(1, LARGE);
    say_text(c, (struct str){ bytes, LARGE });
    free(bytes);
}

static void count_body(struct http_call *c)
{
    struct buf b = BUF_INIT(64);
    buf_u64(&b, http_body(c).n);
    say_text(c, buf_str(&b));
    buf_fini(&b);
}

static void inject(struct http_call *c)
{
    const struct http_hdr bad = { "Location", S("/x\r\nSet-Cookie: a=b\0c") };
    http_reply(c, 303, &bad, 1, STR_NONE);
}

static void problem(struct http_call *c)
{
    http_reply_problem(c, 503, "redis_down", "the store does not answer; \"try\" again");
}

static const struct http_route routes[] = {
    { "GET", "/hello", 0, 0, hello },
    { "POST", "/json", 64, HTTP_JSON_ONLY, echo },
    { "POST", "/any", 64, HTTP_LENGTH_OPTIONAL, echo },
    { "PUT", "/big", LARGE, 0, count_body },
    { "GET", "/items/first", 0, 0, hello },
    { "GET", "/items/{id}", 0, 0, describe },
    { "DELETE", "/items/{id}", 0, 0, deleted },
    { "GET", "/stand", 0, 0, stand },
    { "GET", "/afar", 0, 0, hand_over },
    { "GET", "/kept", 0, 0, keep_call },
    { "GET", "/large", 0, 0, large },
    { "GET", "/inject", 0, 0, inject },
    { "GET", "/problem", 0, 0, problem },
};

static struct httpd *server_open(const char *listen, const char *cert, bool cors)
{
    static char app[] = "me";
    const struct httpd_conf conf = {
        .listen = listen,
        .tls_cert = cert,
        .threads = THREADS,
        .max_busy = BUSY_MAX,
        .routes = routes,
        .n_routes = N_OF(routes),
        .cors = cors,
        .body_ms = BODY_MS,
        .reply_ms = REPLY_MS,
        .app = app,
    };
    struct httpd *d;
    struct errbuf eb;
    if (httpd_open(&d, &conf, &eb) != ERR_OK)
        fail_msg("%s", eb.text);
    return d;
}

static struct httpd *server; /* of most tests */

static int open_server(void **state)
{
    (void)state;
    server = server_open("127.0.0.1:0", NULL, false);
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    httpd_close(server);
    return 0;
}

/* ---- a client that sends what it is told ------------------------------------------------- */

static int dial(const struct httpd *d)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(httpd_port(d)) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = { PATIENCE, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void send_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the answer tells */
        s = str_from(s, (size_t)n);
    }
}

/* Everything until the server closes; closes fd. */
static void drain(int fd, struct buf *answer)
{
    buf_init(answer, 2 * LARGE);
    for (;;) {
        char *at = buf_reserve(answer, 65536);
        ssize_t n = recv(fd, at, 65536, 0);
        if (n <= 0)
            break;
        buf_grew(answer, (size_t)n);
    }
    close(fd);
}

static void ask(const struct httpd *d, struct str request, struct buf *answer)
{
    int fd = dial(d);
    assert_true(fd >= 0);
    send_all(fd, request);
    drain(fd, answer);
}

static int status_of(const struct buf *answer)
{
    struct str s = buf_str(answer);
    return str_starts(s, S("HTTP/1.1 ")) && s.n > 12 ? (int)strtol(s.p + 9, NULL, 10) : 0;
}

static bool has(const struct buf *answer, const char *text)
{
    struct str s = buf_str(answer);
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static struct str body_of(const struct buf *answer)
{
    struct str s = buf_str(answer);
    const char *end = memmem(s.p, s.n, "\r\n\r\n", 4);
    return end == NULL ? STR_NONE : str_from(s, (size_t)(end - s.p) + 4);
}

/* One answer, complete, and the connection ends with it: a second one would make it longer. */
static bool is_whole(const struct buf *answer)
{
    struct str body = body_of(answer);
    char length[64];
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", body.n);
    return body.p != NULL && has(answer, length) && has(answer, "\r\nConnection: close\r\n") &&
           has(answer, "\r\nX-Request-Id: ") && has(answer, "\r\nDate: ");
}

/* ---- byte-exact requests ----------------------------------------------------------------- */

#define H       " HTTP/1.1\r\nHost: x\r\n"
#define JSON    "Content-Type: application/json\r\n"
#define FORM    "Content-Type: application/x-www-form-urlencoded\r\n"
#define SMUGGLE "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"

static const struct {
    struct str request;
    int status;
    const char *holds; /* somewhere in the answer */
} rows[] = {
    { S("GET /hello" H "\r\n"), 200, "\r\n\r\nhello" },
    { S("GET /hello?a=%00&b=//" H "\r\n"), 200, "\r\n\r\nhello" },
    { S("GET /hello HTTP/1.0\r\n\r\n"), 200, "\r\n\r\nhello" },
    { S("POST /json" H "Content-Length: 2\r\n" JSON "\r\n{}"), 201, "\r\n\r\n{}" },
    { S("POST /json" H "Content-Length: 2\r\n\r\n{}"), 201, "\r\n\r\n{}" },
    { S("POST /json" H "Content-Length: 0\r\n" FORM "\r\n"), 201, "\r\n\r\n" },
    { S("POST /any" H "\r\n"), 201, "Content-Length: 0\r\n" },
    { S("POST /any" H "Content-Length: 3\r\n" FORM "\r\na=b"), 201, "\r\n\r\na=b" },
    { S("GET /items/a%2Fb?q=1&r" H "X-One: 1 2 \r\nX-One: 3\r\n\r\n"), 200,
      "GET /items/a%2Fb?q=1&r [a%2Fb] 127.0.0.1 app=me\nHost=x\nX-One=1 2 \nX-One=3\n"
      "x-one=1 2  none=1" },
    { S("GET /afar" H "\r\n"), 200, "from afar: /afar" },
    { S("GET /problem" H "\r\n"), 503,
      "\"title\":\"Service Unavailable\",\"status\":503,\"code\":\"redis_down\",\"detail\":\"the "
      "store does not answer; \\\"try\\\" again\",\"request_id\":\"" },
    { S("GET /problem" H "\r\n"), 503, "\r\nRetry-After: 1\r\n" },
    { S("GET /problem" H "\r\n"), 503, "\r\nContent-Type: application/problem+json\r\n" },
    { S("GET /inject" H "\r\n"), 303, "\r\nLocation: /xSet-Cookie: a=bc\r\n" },
    { S("GET /hello" H "X-Request-Id: my-id_1.2\r\n\r\n"), 200, "X-Request-Id: my-id_1.2\r\n" },
    { S("GET /nope" H "X-Request-Id: my-id\r\n\r\n"), 404, "\"request_id\":\"my-id\"" },
    /* routes */
    { S("GET /" H "\r\n"), 404, "\"not_found\"" },
    { S("GET /hello/" H "\r\n"), 404, "\"not_found\"" },
    { S("GET /hello%00x" H "\r\n"), 404, "\"not_found\"" },
    { S("GET /items/a%00b" H "\r\n"), 404, "\"not_found\"" },
    { S("GET /items/.." H "\r\n"), 404, "\"not_found\"" },
    { S("GET /items/%2e%2E" H "\r\n"), 404, "\"not_found\"" },
    { S("GET //hello" H "\r\n"), 404, "\"not_found\"" },
    { S("GET /items/a/../../hello" H "\r\n"), 404, "\"not_found\"" },
    { S("GET /items/a%0d%0ab" H "\r\n"), 404, "\"not_found\"" },
    { S("POST /hello" H "Content-Length: 0\r\n\r\n"), 405, "\r\nAllow: GET, HEAD\r\n" },
    { S("GET /items/first" H "\r\n"), 200, "\r\n\r\nhello" },
    { S("PUT /items/first" H "\r\n"), 405, "\r\nAllow: GET, HEAD, DELETE\r\n" },
    { S("PUT /items/7" H "\r\n"), 405, "\r\nAllow: GET, HEAD, DELETE\r\n" },
    { S("OPTIONS /hello" H "\r\n"), 405, "\"method_not_allowed\"" },
    { S("HEAD /json" H "\r\n"), 405, NULL },
    /* length and framing */
    { S("POST /json" H JSON "\r\n"), 411, "\"length_required\"" },
    { S("PUT /big" H "\r\n"), 411, "\"length_required\"" },
    { S("POST /json" H "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" SMUGGLE), 411,
      "\"length_required\"" },
    { S("POST /json" H "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}" SMUGGLE), 411,
      "\"length_required\"" },
    { S("GET /hello" H "Transfer-Encoding: identity\r\n\r\n"), 411, "\"length_required\"" },
    { S("GET /hello" H "transfer-encoding: gzip, chunked\r\n\r\n"), 411, "\"length_required\"" },
    { S("POST /json" H "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), 400,
      "\"bad_content_length\"" },
    { S("POST /json" H "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" SMUGGLE), 400,
      "\"bad_content_length\"" },
    { S("POST /json" H "Content-Length: +2\r\n\r\n{}"), 400, "\"bad_content_length\"" },
    { S("POST /json" H "Content-Length: -2\r\n\r\n{}"), 400, "\"bad_content_length\"" },
    { S("POST /json" H "Content-Length: 2x\r\n\r\n{}"), 400, "\"bad_content_length\"" },
    { S("POST /json" H "Content-Length: two\r\n\r\n{}"), 400, "\"bad_content_length\"" },
    { S("POST /json" H "Content-Length:\r\n\r\n{}"), 400, "\"bad_content_length\"" },
    { S("POST /json" H "Content-Length: 65\r\n\r\n"), 413, "the body may have 64 bytes" },
    { S("POST /json" H "Content-Length: 99999999999999999999\r\n\r\n"), 413, "\"body_too_large\"" },
    { S("GET /hello" H "Content-Length: 5\r\n\r\nhello"), 413, "\"body_too_large\"" },
    { S("POST /json" H "Content-Length: 2\r\n\r\n{}" SMUGGLE), 201, "\r\n\r\n{}" },
    { S("GET /hello" H "\r\n" SMUGGLE), 200, "\r\n\r\nhello" },
    { S("GET /hello" H "Connection: keep-alive\r\n\r\n" SMUGGLE), 200, "\r\n\r\nhello" },
    /* other headers */
    { S("GET /hello HTTP/1.1\r\n\r\n"), 400, "\"bad_host\"" },
    { S("GET /hello" H "Host: y\r\n\r\n"), 400, "\"bad_host\"" },
    { S("POST /json" H "Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}"), 415,
      "\"unsupported_content_encoding\"" },
    { S("POST /json" H "Content-Length: 3\r\n" FORM "\r\na=b"), 415, "\"unsupported_media_type\"" },
    { S("POST /json" H "Content-Length: 3\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        "\r\na=b"),
      415, "\"unsupported_media_type\"" },
    { S("POST /json" H "Content-Length: 2\r\n" JSON JSON "\r\n{}"), 400, "\"bad_content_type\"" },
    { S("POST /json" H "Content-Length: 2\r\nExpect: 1\r\n\r\n{}"), 417, "\"expectation_failed\"" },
    /* what civetweb refuses */
    { S("GET http://x/hello" H "\r\n"), 0, NULL }, /* another port: closed without a word */
    { S("GET hello" H "\r\n"), 400, "\"bad_target\"" },
    { S("GET /hello HTTP/2.0\r\nHost: x\r\n\r\n"), 505, "\"bad_version\"" },
    { S("GET /hello\r\n\r\n"), 400, "\"bad_request\"" },
    { S("SPY /hello" H "\r\n"), 400, "\"bad_request\"" },
    { S("GET /he\0llo" H "\r\n"), 400, "\"bad_request\"" },
    { S("GET /hello" H "X: a\0b\r\n\r\n"), 400, "\"bad_request\"" },
    { S("GET /hello" H "no colon here\r\n\r\n"), 400, "\"bad_request\"" },
    { S("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, "\"bad_request\"" },
    { S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400, "\"bad_request\"" },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct buf answer;
        ask(server, rows[i].request, &answer);
        bool head = str_starts(rows[i].request, S("HEAD"));
        if (status_of(&answer) != rows[i].status ||
            (rows[i].holds != NULL && !has(&answer, rows[i].holds)) ||
            (rows[i].status != 0 && !head && !is_whole(&answer)))
            fail_msg("row %zu: %.60s\n-> " STR_FMT, i, rows[i].request.p,
                     STR_ARG(buf_str(&answer)));
        buf_fini(&answer);
    }
}

/* A head that is too much in one of its parts. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        unsigned target, lines, value; /* bytes of path and query, header lines, bytes of one */
        int status;
        const char *code;
    } cases[] = {
        { 2048, 60, 10, 200, "" },
        { 2049, 60, 10, 414, "\"uri_too_long\"" },
        { 20, 61, 10, 431, "\"too_many_headers\"" },
        { 20, 64, 10, 431, "\"too_many_headers\"" },
        { 20, 300, 10, 431, "\"too_many_headers\"" }, /* civetweb shows the first 64 */
        { 20, 3, 4096, 200, "" },
        { 20, 3, 4097, 431, "header X-2 may have 4096 bytes" },
        { 20, 6, 4000, 400, "head of at most 16384 bytes" }, /* civetweb does not say why */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct buf request = BUF_INIT(65536), answer;
        buf_puts(&request, "GET /hello?");
        while (request.n < cases[i].target + S("GET ?").n)
            buf_putc(&request, 'q');
        buf_puts(&request, H);
        for (unsigned line = 2; line <= cases[i].lines; line++) {
            buf_printf(&request, "X-%u: ", line);
            for (unsigned n = 0; n < cases[i].value; n++)
                buf_putc(&request, 'v');
            buf_puts(&request, "\r\n");
        }
        buf_puts(&request, "\r\n");
        ask(server, buf_str(&request), &answer);
        if (status_of(&answer) != cases[i].status || !has(&answer, cases[i].code))
            fail_msg("case %zu: " STR_FMT, i, STR_ARG(buf_str(&answer)));
        buf_fini(&request);
        buf_fini(&answer);
    }
}

static void test_head(void **state)
{
    (void)state;
    struct buf answer;
    ask(server, S("HEAD /hello" H "\r\n"), &answer);
    assert_int_equal(status_of(&answer), 200);
    assert_true(has(&answer, "\r\nContent-Length: 5\r\n"));
    assert_int_equal(body_of(&answer).n, 0);
    buf_fini(&answer);
    ask(server, S("HEAD /nope" H "\r\n"), &answer);
    assert_int_equal(status_of(&answer), 404);
    assert_int_equal(body_of(&answer).n, 0);
    buf_fini(&answer);
    ask(server, S("DELETE /items/1" H "\r\n"), &answer);
    assert_int_equal(status_of(&answer), 204);
    assert_false(has(&answer, "Content-Length"));
    buf_fini(&answer);
}

static void test_random_request_ids(void **state)
{
    (void)state;
    static const struct str bad[] = { S("GET /hello" H "X-Request-Id: a b\r\n\r\n"),
                                      S("GET /hello" H "X-Request-Id:\r\n\r\n") };
    char seen[2][33];
    for (size_t i = 0; i < N_OF(bad); i++) {
        struct buf answer;
        ask(server, bad[i], &answer);
        const char *at = strstr(answer.p, "X-Request-Id: ");
        assert_non_null(at);
        assert_int_equal(strspn(at + 14, "0123456789abcdef"), 32);
        memcpy(seen[i], at + 14, 32);
        seen[i][32] = '\0';
        buf_fini(&answer);
    }
    assert_string_not_equal(seen[0], seen[1]);
}

/* ---- bodies ------------------------------------------------------------------------------ */

static void test_big_body(void **state)
{
    (void)state;
    char *bytes = xcalloc(1, LARGE);
    struct buf answer;
    int fd = dial(server);
    send_all(fd, S("PUT /big" H "Content-Length: 8388608\r\nExpect: 100-continue\r\n\r\n"));
    char go_on[25];
    assert_int_equal(recv(fd, go_on, sizeof go_on, MSG_WAITALL), sizeof go_on);
    assert_memory_equal(go_on, "HTTP/1.1 100 Continue\r\n\r\n", sizeof go_on);
    send_all(fd, (struct str){ bytes, LARGE });
    drain(fd, &answer);
    assert_int_equal(status_of(&answer), 200);
    assert_true(str_eq(body_of(&answer), S("8388608")));
    buf_fini(&answer);
    free(bytes);
}

static void test_large_answer(void **state)
{
    (void)state;
    struct buf answer;
    ask(server, S("GET /large" H "\r\n"), &answer);
    assert_int_equal(body_of(&answer).n, LARGE);
    buf_fini(&answer);
}

/* The client of a refused upload goes on sending and still gets to read why. */
static void test_refused_upload_reads_answer(void **state)
{
    (void)state;
    char *bytes = xcalloc(1, LARGE + 1);
    struct buf answer;
    int fd = dial(server);
    send_all(fd, S("PUT /big" H "Content-Length: 8388609\r\n\r\n"));
    send_all(fd, (struct str){ bytes, LARGE + 1 });
    drain(fd, &answer);
    assert_int_equal(status_of(&answer), 413);
    assert_true(is_whole(&answer));
    buf_fini(&answer);
    free(bytes);
}

static void test_body_cut_off(void **state)
{
    (void)state;
    struct buf answer;
    int fd = dial(server);
    send_all(fd, S("POST /json" H "Content-Length: 9\r\n\r\n{}"));
    shutdown(fd, SHUT_WR);
    drain(fd, &answer);
    assert_int_equal(status_of(&answer), 400);
    assert_true(has(&answer, "\"incomplete_body\""));
    buf_fini(&answer);
}

struct dribbler {
    pthread_t thread;
    int fd;
    struct buf answer;
};

/* Sends a byte every 20 ms until the server has had enough: it hangs up, or sends an answer. */
static void *dribble(void *arg)
{
    struct dribbler *me = arg;
    struct timeval pace = { 0, 20000 };
    struct timeval patience = { PATIENCE, 0 };
    char c;
    setsockopt(me->fd, SOL_SOCKET, SO_RCVTIMEO, &pace, sizeof pace);
    while (recv(me->fd, &c, 1, MSG_PEEK) < 0)
        send_all(me->fd, S(" "));
    setsockopt(me->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    drain(me->fd, &me->answer);
    return NULL;
}

/* Every server thread is held by a client that sends its body a byte at a time; an honest
 * client in the queue is served as soon as their time is over. */
static void test_dribblers(void **state)
{
    (void)state;
    struct dribbler d[THREADS];
    mono_t begin = mono_now();
    for (size_t i = 0; i < THREADS; i++) {
        d[i].fd = dial(server);
        send_all(d[i].fd, S("PUT /big" H "Content-Length: 5000\r\n\r\n"));
        assert_int_equal(pthread_create(&d[i].thread, NULL, dribble, &d[i]), 0);
    }
    struct buf answer;
    ask(server, S("GET /hello" H "\r\n"), &answer);
    int64_t took_ms = mono_since_us(mono_now(), begin) / 1000;
    assert_int_equal(status_of(&answer), 200);
    buf_fini(&answer);
    assert_in_range(took_ms, 0, BODY_MS + 1500);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(d[i].thread, NULL);
        assert_int_equal(status_of(&d[i].answer), 408);
        assert_true(has(&d[i].answer, "\"request_timeout\""));
        assert_true(is_whole(&d[i].answer));
        buf_fini(&d[i].answer);
    }
}

static void test_silent_body(void **state)
{
    (void)state;
    struct buf answer;
    mono_t begin = mono_now();
    ask(server, S("POST /json" H "Content-Length: 9\r\n\r\n{"), &answer);
    assert_in_range(mono_since_us(mono_now(), begin) / 1000, BODY_MS, BODY_MS + 1500);
    assert_int_equal(status_of(&answer), 408);
    assert_true(has(&answer, "1 of 9 bytes"));
    buf_fini(&answer);
}

/* ---- many at a time, and late ------------------------------------------------------------ */

static void test_busy(void **state)
{
    (void)state;
    int fds[BUSY_MAX];
    struct buf answer;
    gate_set(false);
    for (int i = 0; i < BUSY_MAX; i++) {
        fds[i] = dial(server);
        send_all(fds[i], S("GET /stand" H "\r\n"));
        gate_wait_for(i + 1);
    }
    ask(server, S("GET /hello" H "\r\n"), &answer);
    assert_int_equal(status_of(&answer), 503);
    assert_true(has(&answer, "\"busy\"") && has(&answer, "\r\nRetry-After: 1\r\n"));
    buf_fini(&answer);
    ask(server, S("GET /nope" H "\r\n"), &answer); /* refusals need no handler */
    assert_int_equal(status_of(&answer), 404);
    buf_fini(&answer);
    gate_set(true);
    for (int i = 0; i < BUSY_MAX; i++) {
        drain(fds[i], &answer);
        assert_int_equal(status_of(&answer), 200);
        buf_fini(&answer);
    }
    ask(server, S("GET /hello" H "\r\n"), &answer);
    assert_int_equal(status_of(&answer), 200);
    buf_fini(&answer);
}

static void test_late_reply(void **state)
{
    (void)state;
    struct buf answer;
    ask(server, S("GET /kept" H "X-Request-Id: late-one\r\n\r\n"), &answer);
    assert_int_equal(status_of(&answer), 503);
    assert_true(has(&answer, "\"late\"") && has(&answer, "\"request_id\":\"late-one\""));
    buf_fini(&answer);
    for (int i = 0; i < 2 * THREADS; i++) { /* the thread serves others meanwhile */
        ask(server, S("GET /items/z" H "\r\n"), &answer);
        assert_int_equal(status_of(&answer), 200);
        buf_fini(&answer);
    }
    pthread_mutex_lock(&gate.lock);
    struct http_call *c = gate.kept;
    pthread_mutex_unlock(&gate.lock);
    assert_true(str_eq(http_path(c), S("/kept"))); /* still as it was */
    assert_true(str_eq(http_request_id(c), S("late-one")));
    hello(c); /* dropped, and freed */
}

static void *close_it(void *d)
{
    httpd_close(d);
    return NULL;
}

static void test_close_finishes_calls(void **state)
{
    (void)state;
    struct httpd *d = server_open("127.0.0.1:0", NULL, false);
    gate_set(false);
    int fd = dial(d);
    send_all(fd, S("GET /stand" H "\r\n"));
    gate_wait_for(1);
    uint16_t port = httpd_port(d);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pthread_t closer;
    mono_t begin = mono_now();
    assert_int_equal(pthread_create(&closer, NULL, close_it, d), 0);
    for (;;) { /* new clients are turned away at once */
        int other = socket(AF_INET, SOCK_STREAM, 0);
        int refused = connect(other, (struct sockaddr *)&to, sizeof to);
        close(other);
        if (refused != 0)
            break;
        assert_in_range(mono_since_us(mono_now(), begin), 0, PATIENCE * 1000000);
    }
    struct timeval pause = { 0, 100000 }, patience = { PATIENCE, 0 };
    char c;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause);
    assert_int_equal(recv(fd, &c, 1, 0), -1); /* the call in progress is left alone */
    assert_int_equal(errno, EAGAIN);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    gate_set(true);
    struct buf answer;
    drain(fd, &answer);
    assert_int_equal(status_of(&answer), 200);
    assert_true(is_whole(&answer));
    buf_fini(&answer);
    pthread_join(closer, NULL);
    assert_in_range(mono_since_us(mono_now(), begin) / 1000, 0, 1500);
}

/* ---- cross-origin ------------------------------------------------------------------------ */

static void test_cors(void **state)
{
    (void)state;
    static const struct {
        struct str request;
        int status;
        const char *holds;
    } cases[] = {
        { S("OPTIONS /items/7" H "Origin: https://a\r\nAccess-Control-Request-Method: DELETE\r\n"
            "Access-Control-Request-Headers: authorization,x-a\r\n\r\n"),
          204,
          "\r\nAccess-Control-Allow-Methods: GET, HEAD, DELETE, OPTIONS\r\n"
          "Access-Control-Allow-Headers: authorization,x-a\r\nAccess-Control-Max-Age: 7200\r\n" },
        { S("OPTIONS /json" H "Access-Control-Request-Headers: a\x01\r\n\r\n"), 400,
          "bad_request" },
        { S("OPTIONS /json" H "Access-Control-Request-Headers: a<b\r\n\r\n"), 204,
          "\r\nAccess-Control-Allow-Headers: Authorization, Content-Type, " },
        { S("OPTIONS /nope" H "\r\n"), 404, "\"not_found\"" },
        { S("GET /hello" H "\r\n"), 200, "\r\nAccess-Control-Expose-Headers: Location, ETag, " },
        { S("PUT /hello" H "\r\n"), 405, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
    };
    struct httpd *d = server_open("127.0.0.1:0", NULL, true);
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct buf answer;
        ask(d, cases[i].request, &answer);
        if (status_of(&answer) != cases[i].status || !has(&answer, cases[i].holds) ||
            !has(&answer, "\r\nAccess-Control-Allow-Origin: *\r\n"))
            fail_msg("case %zu: " STR_FMT, i, STR_ARG(buf_str(&answer)));
        buf_fini(&answer);
    }
    httpd_close(d);
    struct buf answer;
    ask(server, S("GET /hello" H "\r\n"), &answer);
    assert_false(has(&answer, "Access-Control"));
    buf_fini(&answer);
}

/* ---- opening ----------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = { NULL,
                                       "",
                                       "8080",
                                       ":8080",
                                       "localhost:8080",
                                       "1.2.3.4",
                                       "1.2.3.4:",
                                       "1.2.3.4:x",
                                       "1.2.3.4:65536",
                                       "::1:80",
                                       "[::1]",
                                       "[::1:80",
                                       "127.0.0.1:80,127.0.0.1:81",
                                       "127.0.0.1:80s",
                                       "256.0.0.1:80",
                                       "203.0.113.1:1" /* not ours */ };
    struct httpd_conf conf = { .threads = 1, .max_busy = 1, .routes = routes, .n_routes = 1 };
    struct httpd *d;
    struct errbuf eb;
    for (size_t i = 0; i < N_OF(bad); i++) {
        conf.listen = bad[i];
        if (httpd_open(&d, &conf, &eb) != ERR_CONFIG || d != NULL)
            fail_msg("%s was accepted", bad[i]);
    }
    struct buf taken = BUF_INIT(64);
    buf_printf(&taken, "127.0.0.1:%u", httpd_port(server));
    conf.listen = taken.p;
    assert_int_equal(httpd_open(&d, &conf, &eb), ERR_CONFIG);
    assert_non_null(strstr(eb.text, taken.p));
    assert_non_null(strstr(eb.text, "Address already in use"));
    buf_fini(&taken);
    conf.listen = "127.0.0.1:0";
    conf.tls_cert = "/nonexistent.pem";
    assert_int_equal(httpd_open(&d, &conf, &eb), ERR_CONFIG);
    assert_non_null(strstr(eb.text, "/nonexistent.pem"));
    httpd_close(NULL);
}

static void test_ipv6(void **state)
{
    (void)state;
    struct httpd_conf conf = { .listen = "[::1]:0",
                               .threads = 1,
                               .max_busy = 1,
                               .routes = routes,
                               .n_routes = N_OF(routes),
                               .body_ms = BODY_MS };
    struct httpd *d;
    struct errbuf eb;
    if (httpd_open(&d, &conf, &eb) != ERR_OK) {      /* the library's or the kernel's limit */
        assert_non_null(strstr(eb.text, "[::1]:0")); /* says so, and what to do */
        return;
    }
    struct sockaddr_in6 to = { .sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                               .sin6_port = htons(httpd_port(d)) };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    send_all(fd, S("POST /json" H "Content-Length: 9\r\n\r\n{")); /* the guard finds it, too */
    struct buf answer;
    drain(fd, &answer);
    assert_int_equal(status_of(&answer), 408);
    buf_fini(&answer);
    httpd_close(d);
}

/* Needs the openssl and curl commands, and a libssl that civetweb can use. */
static void test_tls(void **state)
{
    (void)state;
    char dir[] = "/tmp/httpd_test.XXXXXX", command[512], cert[64];
    assert_non_null(mkdtemp(dir));
    snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    snprintf(command, sizeof command,
             "cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem "
             "-days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null && "
             "cat key.pem >> cert.pem",
             dir);
    assert_int_equal(system(command), 0);
    struct httpd_conf conf = { .listen = "127.0.0.1:0",
                               .tls_cert = cert,
                               .threads = THREADS,
                               .max_busy = BUSY_MAX,
                               .routes = routes,
                               .n_routes = N_OF(routes),
                               .body_ms = BODY_MS };
    struct httpd *d;
    struct errbuf eb;
    enum err e = httpd_open(&d, &conf, &eb);
    if (e == ERR_OK) {
        static const struct {
            const char *options;
            const char *want;
        } calls[] = {
            { "-w '%{http_code}'", "hello200" },
            { "-w '%{http_code}' --tls-max 1.2", "hello200" },
            { "-w '%{http_code}' --tls-max 1.1", "000" },
        };
        for (size_t i = 0; i < N_OF(calls); i++) {
            snprintf(command, sizeof command,
                     "curl -s --cacert %s/cert.pem %s https://127.0.0.1:%u/hello", dir,
                     calls[i].options, httpd_port(d));
            char said[64] = "";
            FILE *curl = popen(command, "r");
            size_t n = fread(said, 1, sizeof said - 1, curl);
            said[n] = '\0';
            pclose(curl);
            assert_string_equal(said, calls[i].want);
        }
        snprintf(command, sizeof command, /* a large body both ways of the record layer */
                 "head -c 3000000 /dev/zero | curl -s --cacert %s/cert.pem -T - -H "
                 "'Transfer-Encoding:' -H 'Content-Length: 3000000' "
                 "https://127.0.0.1:%u/big | grep -qx 3000000",
                 dir, httpd_port(d));
        assert_int_equal(system(command), 0);
        httpd_close(d);
    }
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(e, ERR_OK);
}

static int64_t metric_value(const char *name)
{
    for (size_t i = 0; i < httpd_metrics.n; i++)
        if (strcmp(httpd_metrics.rows[i].name, name) == 0)
            return httpd_metrics.rows[i].value;
    return -1;
}

static void test_metrics(void **state)
{
    (void)state;
    assert_in_range(metric_value("labelwire_httpd_requests_total"), 1, INT64_MAX);
    assert_in_range(metric_value("labelwire_httpd_refused_total"), 1, INT64_MAX);
    assert_int_equal(metric_value("labelwire_httpd_busy"), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_random_request_ids),
        cmocka_unit_test(test_big_body),
        cmocka_unit_test(test_large_answer),
        cmocka_unit_test(test_refused_upload_reads_answer),
        cmocka_unit_test(test_body_cut_off),
        cmocka_unit_test(test_dribblers),
        cmocka_unit_test(test_silent_body),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_late_reply),
        cmocka_unit_test(test_close_finishes_calls),
        cmocka_unit_test(test_cors),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
