/* httpc against a server of raw sockets: one thread for each connection, which answers by the
 * request's path with exactly the bytes a row asks for.  Nothing here sleeps: the server paces
 * itself by waiting for the client to hang up. */
#include "net/httpc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <assert.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/wake.h"

#define CONNS_MAX   512U
#define CROWD       50U
#define PATIENCE_MS 10000
#define CANARY      "canary" /* stands in every query and must not turn up in .why */

/* ---- the server ---------------------------------------------------------------------------- */

struct conn {
    pthread_t thread;
    int fd;
    unsigned id;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    pthread_t thread;
    int fd;
    uint16_t port;
    struct conn conns[CONNS_MAX];
    unsigned n_conns;
    unsigned n_requests;
    unsigned crowd; /* requests that wait in /crowd */
    bool names_released;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };

struct request {
    char head[65536];
    size_t head_n, body_n; /* body_n: read and dropped */
};

static bool say(int fd, const char *bytes)
{
    size_t n = strlen(bytes);
    return send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* True: the client hung up (or said more) within ms. */
static bool client_moved(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, ms) > 0;
}

static bool read_request(int fd, struct request *rq)
{
    char *end = NULL;
    memset(rq, 0, sizeof *rq);
    while (end == NULL) {
        ssize_t n = recv(fd, rq->head + rq->head_n, sizeof rq->head - 1 - rq->head_n, 0);
        if (n <= 0)
            return false;
        rq->head_n += (size_t)n;
        end = strstr(rq->head, "\r\n\r\n");
    }
    const char *length = strstr(rq->head, "Content-Length: ");
    size_t want = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
    rq->body_n = rq->head_n - (size_t)(end + 4 - rq->head);
    end[4] = '\0';
    while (rq->body_n < want) {
        static _Thread_local char sink[65536];
        ssize_t n = recv(fd, sink, sizeof sink, 0);
        if (n <= 0)
            return false;
        rq->body_n += (size_t)n;
    }
    return true;
}

/* Each answers one request; true: the connection goes on. */
static bool answer_plain(struct conn *c, const struct request *rq)
{
    char out[256];
    (void)rq;
    snprintf(out, sizeof out,
             "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Conn: %u\r\nX-Twice: a\r\nx-tWICE:  b "
             "\r\n\r\nhello",
             c->id);
    return say(c->fd, out);
}

static bool answer_head(struct conn *c, const struct request *rq)
{
    (void)rq;
    return say(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
}

static bool answer_echo(struct conn *c, const struct request *rq)
{
    char out[256];
    snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nX-Body: %zu\r\n\r\n",
             strlen(rq->head), rq->body_n);
    return say(c->fd, out) && say(c->fd, rq->head);
}

/* Waits until everybody is here, which shows that all are in flight together. */
static bool answer_crowd(struct conn *c, const struct request *rq)
{
    pthread_mutex_lock(&server.lock);
    server.crowd++;
    pthread_cond_broadcast(&server.moved);
    while (server.crowd < CROWD)
        pthread_cond_wait(&server.moved, &server.lock);
    pthread_mutex_unlock(&server.lock);
    return answer_plain(c, rq);
}

static bool answer_never(struct conn *c, const struct request *rq)
{
    (void)rq;
    client_moved(c->fd, PATIENCE_MS);
    return false;
}

static void drip(int fd, const char *bytes)
{
    for (; *bytes != '\0'; bytes++) {
        char one[2] = { *bytes, '\0' };
        if (!say(fd, one) || client_moved(fd, 20))
            return;
    }
}

static bool answer_drip_headers(struct conn *c, const struct request *rq)
{
    (void)rq;
    drip(c->fd,
         "HTTP/1.1 200 OK\r\nX-Slow: oooooooooooooooooooooooooooooooooooooooooooooo\r\n\r\n");
    return false;
}

static bool answer_drip_body(struct conn *c, const struct request *rq)
{
    (void)rq;
    if (say(c->fd, "HTTP/1.1 200 OK\r\n\r\n"))
        drip(c->fd, "one byte at a time, one byte at a time, one byte at a time");
    return false;
}

static void repeat(int fd, const char *bytes, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        if (!say(fd, bytes))
            return;
}

static bool answer_endless(struct conn *c, const struct request *rq)
{
    (void)rq;
    if (say(c->fd, "HTTP/1.1 200 OK\r\n\r\n"))
        repeat(c->fd, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
               UINT32_MAX);
    return false;
}

static bool answer_endless_chunks(struct conn *c, const struct request *rq)
{
    (void)rq;
    if (say(c->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        repeat(c->fd, "10\r\n0123456789abcdef\r\n", UINT32_MAX);
    return false;
}

static bool answer_many_headers(struct conn *c, const struct request *rq)
{
    (void)rq;
    if (say(c->fd, "HTTP/1.1 200 OK\r\n"))
        repeat(c->fd, "X-More: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n", UINT32_MAX);
    return false;
}

static bool answer_one_header(struct conn *c, const struct request *rq)
{
    (void)rq;
    if (say(c->fd, "HTTP/1.1 200 OK\r\nX-More: "))
        repeat(c->fd, "0123456789abcdef0123456789abcdef0123456789abcdef", UINT32_MAX);
    return false;
}

static bool answer_endless_trailers(struct conn *c, const struct request *rq)
{
    (void)rq;
    if (say(c->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"))
        repeat(c->fd, "X-More: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n", UINT32_MAX);
    return false;
}

static bool answer_continue_flood(struct conn *c, const struct request *rq)
{
    repeat(c->fd, "HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n", 100);
    return answer_plain(c, rq);
}

static bool answer_early_hints(struct conn *c, const struct request *rq)
{
    repeat(c->fd, "HTTP/1.1 103 Early Hints\r\nX-Interim: 1\r\n\r\n", HTTPC_INTERIM_MAX);
    return answer_plain(c, rq);
}

static bool answer_redirect(struct conn *c, const struct request *rq)
{
    char out[256];
    (void)rq;
    snprintf(
        out, sizeof out,
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/plain\r\nContent-Length: 0\r\n\r\n",
        (unsigned)server.port);
    return say(c->fd, out);
}

static bool answer_reset(struct conn *c, const struct request *rq)
{
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    (void)rq;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return false;
}

/* Fixed bytes and then the end of the connection. */
static const struct {
    const char *path, *bytes;
} canned[] = {
    { "/close", "" },
    { "/garbage", "\x01\x02 what is this?\r\n\r\n" },
    { "/http09", "<html>hello</html>" },
    { "/bad-status", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n" },
    { "/status-099", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n" },
    { "/cut-in-headers", "HTTP/1.1 200 OK\r\nX-Half: ye" },
    { "/cut-after-header", "HTTP/1.1 200 OK\r\nX-Whole: yes\r\n" },
    { "/only-100", "HTTP/1.1 100 Continue\r\n\r\n" },
    { "/101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nbytes of protocol x" },
    { "/cut-in-body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789" },
    { "/cut-in-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123" },
    { "/bad-chunk",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n0123\r\n0\r\n\r\n" },
    { "/chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n"
                 "X-Twice: trailer\r\n\r\n" },
    { "/no-length", "HTTP/1.1 200 OK\r\n\r\nhello" },
    { "/204-with-body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello" },
    { "/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello" },
    { "/503", "HTTP/1.1 503 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n" },
    { "/gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello" },
    { "/bad-length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello" },
};

static const struct {
    const char *path;
    bool (*answer)(struct conn *, const struct request *);
} answers[] = {
    { "/plain", answer_plain },
    { "/head", answer_head },
    { "/echo", answer_echo },
    { "/a/../echo", answer_echo },
    { "/crowd", answer_crowd },
    { "/never", answer_never },
    { "/drip-headers", answer_drip_headers },
    { "/drip-body", answer_drip_body },
    { "/endless", answer_endless },
    { "/endless-chunks", answer_endless_chunks },
    { "/many-headers", answer_many_headers },
    { "/one-header", answer_one_header },
    { "/endless-trailers", answer_endless_trailers },
    { "/continue-flood", answer_continue_flood },
    { "/early-hints", answer_early_hints },
    { "/redirect", answer_redirect },
    { "/reset", answer_reset },
};

static bool answer(struct conn *c, const struct request *rq)
{
    struct str line = str_of(rq->head), method, target, path = STR_NONE;
    str_cut(&line, ' ', &method);
    str_cut(&line, ' ', &target);
    str_cut(&target, '?', &path);
    for (size_t i = 0; i < N_OF(answers); i++)
        if (str_eq(path, str_of(answers[i].path)))
            return answers[i].answer(c, rq);
    for (size_t i = 0; i < N_OF(canned); i++)
        if (str_eq(path, str_of(canned[i].path))) {
            say(c->fd, canned[i].bytes);
            return false;
        }
    return false;
}

static void *conn_run(void *arg)
{
    struct conn *c = arg;
    struct request *rq = xcalloc(1, sizeof *rq);
    bool go_on = true;
    while (go_on && read_request(c->fd, rq)) {
        pthread_mutex_lock(&server.lock);
        server.n_requests++;
        pthread_cond_broadcast(&server.moved);
        pthread_mutex_unlock(&server.lock);
        go_on = answer(c, rq);
    }
    free(rq);
    pthread_mutex_lock(&server.lock);
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&server.lock);
    return NULL;
}

static void *server_run(void *arg)
{
    (void)arg;
    int fd;
    while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
        pthread_mutex_lock(&server.lock);
        assert(server.n_conns < CONNS_MAX);
        struct conn *c = &server.conns[server.n_conns];
        *c = (struct conn){ .fd = fd, .id = server.n_conns++ };
        pthread_create(&c->thread, NULL, conn_run, c);
        pthread_mutex_unlock(&server.lock);
    }
    return NULL;
}

static int listen_on_loopback(int backlog, uint16_t *port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, backlog) == 0);
    assert(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static int server_start(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    /* Must not matter: nothing listens there. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "socks5://127.0.0.1:1", 1);
    server.fd = listen_on_loopback(128, &server.port);
    return pthread_create(&server.thread, NULL, server_run, NULL);
}

static int server_stop(void **state)
{
    (void)state;
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    pthread_mutex_lock(&server.lock);
    for (unsigned i = 0; i < server.n_conns; i++)
        if (server.conns[i].fd >= 0)
            shutdown(server.conns[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&server.lock);
    for (unsigned i = 0; i < server.n_conns; i++)
        pthread_join(server.conns[i].thread, NULL);
    return 0;
}

static unsigned requests_seen(void)
{
    pthread_mutex_lock(&server.lock);
    unsigned n = server.n_requests;
    pthread_mutex_unlock(&server.lock);
    return n;
}

static unsigned conns_seen(void)
{
    pthread_mutex_lock(&server.lock);
    unsigned n = server.n_conns;
    pthread_mutex_unlock(&server.lock);
    return n;
}

/* ---- names --------------------------------------------------------------------------------- */

/* Stands before libc's: "slow.test" is not answered before names_released. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    pthread_mutex_lock(&server.lock);
    if (real == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
        memcpy(&real, &symbol, sizeof real);
    }
    bool slow = node != NULL && strcmp(node, "slow.test") == 0;
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PATIENCE_MS / 1000;
    while (slow && !server.names_released &&
           pthread_cond_timedwait(&server.moved, &server.lock, &limit) == 0)
        continue;
    pthread_mutex_unlock(&server.lock);
    return slow ? EAI_NONAME : real(node, service, hints, res);
}

/* ---- requests ------------------------------------------------------------------------------ */

static struct httpc *open_client(void)
{
    struct httpc *h;
    struct httpc_conf c = { .user_agent = "labelwire-test", .max_idle = 64 };
    assert_int_equal(httpc_open(&h, &c, NULL), ERR_OK);
    return h;
}

static const char *url_of(const char *path)
{
    static char urls[4][256]; /* a few may be in use at once */
    static unsigned turn;
    char *url = urls[turn++ % N_OF(urls)];
    snprintf(url, sizeof urls[0], "http://127.0.0.1:%u%s?q=" CANARY, (unsigned)server.port, path);
    return url;
}

static struct httpc_req get(const char *path)
{
    return (struct httpc_req){
        .method = "GET",
        .url = url_of(path),
        .connect_ms = PATIENCE_MS,
        .total_ms = PATIENCE_MS,
        .max_answer = 4096,
    };
}

static bool contains(struct str s, const char *what)
{
    return s.n > 0 && memmem(s.p, s.n, what, strlen(what)) != NULL;
}

static const struct {
    const char *path;
    const char *method;
    enum err want;
    int status;
    const char *answer; /* NULL: not looked at */
    size_t max_answer;  /* 0: 4096 */
    bool cut;
    int64_t total_ms; /* 0: long */
} rows[] = {
    { "/plain", "GET", ERR_OK, 200, "hello", 0, false, 0 },
    { "/plain", "GET", ERR_OK, 200, "hello", 5, false, 0 },
    { "/plain", "GET", ERR_TOOBIG, 0, NULL, 4, false, 0 },
    { "/plain", "GET", ERR_OK, 200, "hel", 3, true, 0 },
    { "/plain", "GET", ERR_OK, 200, "hello", 5, true, 0 },
    { "/plain", "GET", ERR_OK, 200, "hello", 6, true, 0 },
    { "/plain", "DELETE", ERR_OK, 200, "hello", 0, false, 0 },
    { "/head", "HEAD", ERR_OK, 200, "", 0, false, 0 },
    { "/chunks", "GET", ERR_OK, 200, "hello", 0, false, 0 },
    { "/no-length", "GET", ERR_OK, 200, "hello", 0, false, 0 },
    { "/204-with-body", "GET", ERR_OK, 204, "", 0, false, 0 },
    { "/404", "GET", ERR_OK, 404, "hello", 0, false, 0 },
    { "/503", "GET", ERR_OK, 503, "", 0, false, 0 },
    { "/gzip", "GET", ERR_OK, 200, "hello", 0, false, 0 },
    { "/redirect", "GET", ERR_OK, 302, "", 0, false, 0 },
    { "/early-hints", "GET", ERR_OK, 200, "hello", 0, false, 0 },
    { "/continue-flood", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/101", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/only-100", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/garbage", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/http09", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/bad-status", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/status-099", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/bad-length", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/bad-chunk", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/cut-in-headers", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/cut-after-header", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/cut-in-body", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/cut-in-chunk", "GET", ERR_REMOTE, 0, NULL, 0, false, 0 },
    { "/close", "GET", ERR_IO, 0, NULL, 0, false, 0 },
    { "/reset", "GET", ERR_IO, 0, NULL, 0, false, 0 },
    { "/endless", "GET", ERR_TOOBIG, 0, NULL, 0, false, 0 },
    { "/endless", "GET", ERR_OK, 200, "0123456789abcdef0123", 20, true, 0 },
    { "/endless-chunks", "GET", ERR_TOOBIG, 0, NULL, 0, false, 0 },
    { "/endless-chunks", "GET", ERR_OK, 200, "0123456789abcdef0123", 20, true, 0 },
    { "/many-headers", "GET", ERR_TOOBIG, 0, NULL, 0, false, 0 },
    { "/one-header", "GET", ERR_TOOBIG, 0, NULL, 0, false, 0 },
    { "/endless-trailers", "GET", ERR_TOOBIG, 0, NULL, 0, false, 0 },
    { "/never", "GET", ERR_TIMEOUT, 0, NULL, 0, false, 150 },
    { "/never", "HEAD", ERR_TIMEOUT, 0, NULL, 0, false, 150 },
    { "/drip-headers", "GET", ERR_TIMEOUT, 0, NULL, 0, false, 300 },
    { "/drip-body", "GET", ERR_TIMEOUT, 0, NULL, 0, false, 300 },
    { "/drip-body", "GET", ERR_OK, 200, "one", 3, true, 0 },
};

static void test_answers(void **state)
{
    (void)state;
    struct httpc *h = open_client();
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct httpc_req rq = get(rows[i].path);
        rq.method = rows[i].method;
        rq.cut_answer = rows[i].cut;
        if (rows[i].max_answer > 0)
            rq.max_answer = rows[i].max_answer;
        if (rows[i].total_ms > 0)
            rq.total_ms = rows[i].total_ms;
        enum err e = httpc_perform(h, &rq);
        if (e != rows[i].want || rq.status != rows[i].status)
            fail_msg("row %zu %s %s: %s, status %d, %s", i, rows[i].method, rows[i].path,
                     err_name(e), rq.status, rq.why);
        if (rows[i].answer != NULL && !str_eq(buf_str(&rq.answer), str_of(rows[i].answer)))
            fail_msg("row %zu %s: body '%s'", i, rows[i].path, rq.answer.p);
        if (e != ERR_OK && (rq.why[0] == '\0' || strstr(rq.why, CANARY) != NULL))
            fail_msg("row %zu %s: why '%s'", i, rows[i].path, rq.why);
        if (rows[i].total_ms > 0 && rq.took_us > (rows[i].total_ms + 1000) * 1000)
            fail_msg("row %zu %s: took %lld us", i, rows[i].path, (long long)rq.took_us);
        httpc_req_fini(&rq);
    }
    httpc_close(h);
}

static void test_unusable_requests(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",
        "no url",
        "ftp://127.0.0.1/?" CANARY,
        "file:///etc/passwd",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1:99999/?" CANARY,
        "http:///",
        "http://a b/",
        "http://127.0.0.1/\r\nX: y",
    };
    static const char *const smuggled[] = { "X-Good: 1", "X-Bad: 1\r\nX-Worse: 2", NULL };
    struct httpc *h = open_client();
    for (size_t i = 0; i < N_OF(urls); i++) {
        struct httpc_req rq = get("/plain");
        rq.url = urls[i];
        enum err e = httpc_perform(h, &rq);
        if (e != ERR_INVAL || strstr(rq.why, CANARY) != NULL)
            fail_msg("%s: %s, %s", urls[i], err_name(e), rq.why);
        httpc_req_fini(&rq);
    }
    unsigned before = requests_seen();
    struct httpc_req rq = get("/plain");
    rq.hdrs = smuggled;
    assert_int_equal(httpc_perform(h, &rq), ERR_INVAL);
    assert_int_equal(requests_seen(), before);
    httpc_req_fini(&rq);
    httpc_close(h);
}

static void test_what_is_sent(void **state)
{
    (void)state;
    static const char *const hdrs[] = { "X-Mine: 1", "Host: example.test", NULL };
    struct httpc *h = open_client();
    struct httpc_req rq = get("/a/../echo");
    rq.hdrs = hdrs;
    assert_int_equal(httpc_perform(h, &rq), ERR_OK);
    struct str sent = buf_str(&rq.answer);
    assert_true(str_starts(sent, S("GET /a/../echo?q=" CANARY " HTTP/1.1\r\n")));
    assert_true(contains(sent, "\r\nHost: example.test\r\n"));
    assert_true(contains(sent, "\r\nX-Mine: 1\r\n"));
    assert_true(contains(sent, "\r\nUser-Agent: labelwire-test\r\n"));
    assert_false(contains(sent, "Encoding"));
    assert_false(contains(sent, "Content-"));

    static const char *const methods[] = { "POST", "PUT" };
    for (size_t i = 0; i < N_OF(methods); i++) {
        rq.method = methods[i];
        rq.body = S("{}");
        assert_int_equal(httpc_perform(h, &rq), ERR_OK);
        sent = buf_str(&rq.answer);
        assert_true(str_starts(sent, str_of(methods[i])));
        assert_true(contains(sent, "\r\nContent-Length: 2\r\n"));
        assert_false(contains(sent, "Expect"));
        assert_false(contains(sent, "Content-Type"));
        rq.body = S("");
        assert_int_equal(httpc_perform(h, &rq), ERR_OK);
        assert_true(contains(buf_str(&rq.answer), "\r\nContent-Length: 0\r\n"));
    }
    httpc_req_fini(&rq);
    httpc_close(h);
}

static void test_header_lookup(void **state)
{
    (void)state;
    struct httpc *h = open_client();
    struct httpc_req rq = get("/early-hints");
    assert_int_equal(httpc_perform(h, &rq), ERR_OK);
    assert_true(str_eq(httpc_header(&rq, S("X-TWICE")), S("b")));
    assert_true(str_eq(httpc_header(&rq, S("content-length")), S("5")));
    assert_null(httpc_header(&rq, S("X-Interim")).p); /* of an answer before the real one */
    assert_null(httpc_header(&rq, S("HTTP/1.1 200 OK")).p);
    httpc_req_fini(&rq);
    rq = get("/chunks");
    assert_int_equal(httpc_perform(h, &rq), ERR_OK);
    assert_null(httpc_header(&rq, S("X-Twice")).p); /* a trailer */
    httpc_req_fini(&rq);
    httpc_close(h);
}

static void test_redirect_is_not_followed(void **state)
{
    (void)state;
    struct httpc *h = open_client();
    unsigned before = requests_seen();
    struct httpc_req rq = get("/redirect");
    assert_int_equal(httpc_perform(h, &rq), ERR_OK);
    assert_int_equal(rq.status, 302);
    assert_int_equal(requests_seen(), before + 1);
    httpc_req_fini(&rq);
    httpc_close(h);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct httpc *h = open_client();
    uint16_t port;
    char url[64];
    close(listen_on_loopback(1, &port)); /* refused: nobody listens there any more */
    snprintf(url, sizeof url, "http://127.0.0.1:%u/?" CANARY, (unsigned)port);
    struct httpc_req rq = get("/");
    rq.url = url;
    assert_int_equal(httpc_perform(h, &rq), ERR_IO);
    assert_null(strstr(rq.why, CANARY));
    httpc_req_fini(&rq);

    /* Filtered: a queue of one that is full drops what knocks. */
    int fd = listen_on_loopback(0, &port), filler[4];
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (size_t i = 0; i < N_OF(filler); i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(filler[i], (struct sockaddr *)&at, sizeof at);
    }
    snprintf(url, sizeof url, "http://127.0.0.1:%u/?" CANARY, (unsigned)port);
    rq = get("/");
    rq.url = url;
    rq.connect_ms = 150;
    assert_int_equal(httpc_perform(h, &rq), ERR_TIMEOUT);
    assert_in_range(rq.took_us, 100000, 1500000);
    httpc_req_fini(&rq);
    for (size_t i = 0; i < N_OF(filler); i++)
        close(filler[i]);
    close(fd);
    httpc_close(h);
}

/* ---- connections --------------------------------------------------------------------------- */

static unsigned conn_of(const struct httpc_req *rq)
{
    uint64_t id = UINT64_MAX;
    assert_int_equal(str_to_u64(httpc_header(rq, S("X-Conn")), &id), ERR_OK);
    return (unsigned)id;
}

static void test_reuse_and_fresh(void **state)
{
    (void)state;
    struct httpc *h = open_client();
    unsigned conn[4];
    for (size_t i = 0; i < N_OF(conn); i++) {
        struct httpc_req rq = get("/plain");
        rq.fresh = i >= 2;
        assert_int_equal(httpc_perform(h, &rq), ERR_OK);
        conn[i] = conn_of(&rq);
        httpc_req_fini(&rq);
    }
    assert_int_equal(conn[0], conn[1]);
    assert_int_not_equal(conn[2], conn[1]);
    assert_int_not_equal(conn[3], conn[1]);
    assert_int_not_equal(conn[3], conn[2]);
    httpc_close(h);
}

static bool guard_says(const void *answer_arg, const struct sockaddr *peer)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)peer;
    assert(peer->sa_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    assert(ntohs(v4->sin_port) == server.port);
    return *(const bool *)answer_arg;
}

static void test_guard(void **state)
{
    (void)state;
    const bool no = false, yes = true;
    struct httpc *h = open_client();
    unsigned conns = conns_seen(), requests = requests_seen();

    struct httpc_req rq = get("/plain");
    rq.guard = guard_says;
    rq.guard_arg = &no;
    assert_int_equal(httpc_perform(h, &rq), ERR_DENIED); /* a new connection: not even opened */
    assert_int_equal(rq.status, 0);
    assert_int_equal(conns_seen(), conns);

    rq.guard_arg = &yes;
    assert_int_equal(httpc_perform(h, &rq), ERR_OK);
    assert_int_equal(requests_seen(), requests + 1);

    rq.guard_arg = &no;
    assert_int_equal(httpc_perform(h, &rq), ERR_DENIED); /* a kept connection: nothing sent */
    assert_int_equal(requests_seen(), requests + 1);

    rq.guard_arg = &yes;
    assert_int_equal(httpc_perform(h, &rq), ERR_OK);
    httpc_req_fini(&rq);
    httpc_close(h);
}

/* A resolver that hangs must neither stretch the limit nor stop the loop. */
static void test_slow_name(void **state)
{
    (void)state;
    struct httpc *h = open_client();
    char url[64];
    snprintf(url, sizeof url, "http://slow.test:%u/", (unsigned)server.port);
    struct httpc_req rq = get("/");
    rq.url = url;
    rq.connect_ms = rq.total_ms = 200;
    mono_t begun = mono_now();
    assert_int_equal(httpc_perform(h, &rq), ERR_TIMEOUT);
    assert_true(mono_since_us(mono_now(), begun) < 2000000);
    httpc_req_fini(&rq);
    httpc_close(h);
    pthread_mutex_lock(&server.lock);
    server.names_released = true;
    pthread_cond_broadcast(&server.moved);
    pthread_mutex_unlock(&server.lock);

    h = open_client();
    rq = get("/");
    rq.url = url;
    assert_int_equal(httpc_perform(h, &rq), ERR_IO); /* no such name */
    httpc_req_fini(&rq);
    httpc_close(h);
}

/* ---- TLS ----------------------------------------------------------------------------------- */

static struct {
    char dir[64], cert[96], key[96];
} tls;

static pid_t openssl(const char *const argv[], int out_fd)
{
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out_fd, STDOUT_FILENO);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        execvp("openssl", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

static void tls_certificate(void)
{
    const char *const argv[] = { "openssl",
                                 "req",
                                 "-x509",
                                 "-newkey",
                                 "ec",
                                 "-pkeyopt",
                                 "ec_paramgen_curve:P-256",
                                 "-nodes",
                                 "-days",
                                 "2",
                                 "-subj",
                                 "/CN=localhost",
                                 "-addext",
                                 "subjectAltName=DNS:localhost",
                                 "-keyout",
                                 tls.key,
                                 "-out",
                                 tls.cert,
                                 NULL };
    int status = -1;
    snprintf(tls.dir, sizeof tls.dir, "/tmp/httpc_test.XXXXXX");
    assert_non_null(mkdtemp(tls.dir));
    snprintf(tls.cert, sizeof tls.cert, "%s/cert.pem", tls.dir);
    snprintf(tls.key, sizeof tls.key, "%s/key.pem", tls.dir);
    waitpid(openssl(argv, STDERR_FILENO), &status, 0);
    assert_int_equal(status, 0);
}

/* A server on a port of its own choice, which it says. */
static pid_t tls_start(const char *option, FILE **out, uint16_t *port)
{
    const char *const argv[] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert",
                                 tls.cert,  "-key",     tls.key,   "-cipher",     "ALL:@SECLEVEL=0",
                                 "-www",    option,     NULL };
    int pipe_fds[2];
    char line[256];
    *port = 0;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = openssl(argv, pipe_fds[1]);
    close(pipe_fds[1]);
    *out = fdopen(pipe_fds[0], "r");
    while (*port == 0 && fgets(line, sizeof line, *out) != NULL)
        if (strncmp(line, "ACCEPT 127.0.0.1:", 17) == 0)
            *port = (uint16_t)strtoul(line + 17, NULL, 10);
    return pid;
}

static const struct {
    const char *why, *server_option, *host, *want_why;
    bool trusted; /* our client has the server's certificate as its bundle */
    enum err want;
} tls_rows[] = {
    { "all is well", "-tls1_2", "localhost", "", true, ERR_OK },
    { "unknown authority", "-tls1_2", "localhost", "certificate", false, ERR_IO },
    { "another name", "-tls1_2", "127.0.0.1", "127.0.0.1", true, ERR_IO },
    { "old protocol", "-tls1_1", "localhost", "", true, ERR_IO },
};

static void test_tls(void **state)
{
    (void)state;
    tls_certificate();
    for (size_t i = 0; i < N_OF(tls_rows); i++) {
        FILE *out;
        uint16_t port;
        char url[64];
        pid_t pid = tls_start(tls_rows[i].server_option, &out, &port);
        struct httpc *h;
        struct httpc_conf c = { .ca_bundle = tls_rows[i].trusted ? tls.cert : NULL, .max_idle = 1 };
        assert_int_equal(httpc_open(&h, &c, NULL), ERR_OK);
        snprintf(url, sizeof url, "https://%s:%u/", tls_rows[i].host, (unsigned)port);
        struct httpc_req rq = get("/");
        rq.url = url;
        rq.cut_answer = true;
        enum err e = httpc_perform(h, &rq);
        if (e != tls_rows[i].want || strstr(rq.why, tls_rows[i].want_why) == NULL)
            fail_msg("%s: %s, %s", tls_rows[i].why, err_name(e), rq.why);
        assert_int_equal(rq.tls, e != ERR_OK);
        httpc_req_fini(&rq);
        httpc_close(h);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fclose(out);
    }
    unlink(tls.cert);
    unlink(tls.key);
    rmdir(tls.dir);
}

/* ---- uploads ------------------------------------------------------------------------------- */

struct steps {
    unsigned n;
    uint64_t last;
};

static void count_steps(struct httpc_req *rq, uint64_t sent, uint64_t total)
{
    struct steps *steps = rq->owner;
    assert(sent > steps->last && sent <= total && total == rq->body.n);
    steps->last = sent;
    steps->n++;
}

static void test_upload_progress(void **state)
{
    (void)state;
    static const char *const methods[] = { "PUT", "POST" };
    size_t n = 4 << 20;
    char *body = xcalloc(1, n);
    struct httpc *h = open_client();
    for (size_t i = 0; i < N_OF(methods); i++) {
        struct steps steps = { 0 };
        struct httpc_req rq = get("/echo");
        rq.method = methods[i];
        rq.body = (struct str){ body, n };
        rq.progress = count_steps;
        rq.owner = &steps;
        assert_int_equal(httpc_perform(h, &rq), ERR_OK);
        uint64_t got = 0;
        assert_int_equal(str_to_u64(httpc_header(&rq, S("X-Body")), &got), ERR_OK);
        assert_int_equal(got, n);
        assert_int_equal(steps.last, n);
        assert_true(steps.n > 1);
        httpc_req_fini(&rq);
    }
    httpc_close(h);
    free(body);
}

/* ---- many at once -------------------------------------------------------------------------- */

struct crowd {
    struct httpc *h;
    unsigned done, failed, rounds;
};

static void crowd_done(struct httpc_req *rq, enum err e)
{
    struct crowd *c = rq->owner;
    c->done++;
    if (e != ERR_OK || rq->status != 200 || !str_eq(buf_str(&rq->answer), S("hello")))
        c->failed++;
    if (c->rounds > 0) { /* starts another from here, and again with the same struct */
        c->rounds--;
        rq->url = url_of("/plain");
        httpc_start(c->h, rq);
        return;
    }
    httpc_req_fini(rq);
    free(rq);
}

static void poll_until(struct httpc *h, const unsigned *n, unsigned want)
{
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (*n < want && mono_until_ms(mono_now(), limit) > 0)
        httpc_poll(h, NULL, 0, mono_until_ms(mono_now(), limit));
    assert_int_equal(*n, want);
}

static void test_crowd(void **state)
{
    (void)state;
    struct crowd c = { .h = open_client(), .rounds = 200 };
    char url[256]; /* url_of() keeps too few */
    snprintf(url, sizeof url, "%s", url_of("/crowd"));
    for (unsigned i = 0; i < CROWD; i++) {
        struct httpc_req *rq = xcalloc(1, sizeof *rq);
        *rq = get("/crowd");
        rq->url = url;
        rq->done = crowd_done;
        rq->owner = &c;
        httpc_start(c.h, rq);
    }
    assert_int_equal(httpc_in_flight(c.h), CROWD);
    poll_until(c.h, &c.done, CROWD + 200);
    assert_int_equal(c.failed, 0);
    assert_int_equal(httpc_in_flight(c.h), 0);
    httpc_close(c.h);
}

static void note_end(struct httpc_req *rq, enum err e)
{
    *(enum err *)rq->owner = e;
}

static void test_close_gives_up(void **state)
{
    (void)state;
    struct httpc *h = open_client();
    struct httpc_req rqs[3];
    enum err ends[3] = { ERR_OK, ERR_OK, ERR_OK };
    for (size_t i = 0; i < N_OF(rqs); i++) {
        rqs[i] = get(i == 0 ? "/never" : "/endless");
        rqs[i].max_answer = SIZE_MAX / 2;
        rqs[i].done = note_end;
        rqs[i].owner = &ends[i];
        httpc_start(h, &rqs[i]);
    }
    unsigned before = requests_seen();
    mono_t limit = mono_after_ms(mono_now(), PATIENCE_MS);
    while (requests_seen() < before + 3 && mono_until_ms(mono_now(), limit) > 0)
        httpc_poll(h, NULL, 0, 10);
    httpc_close(h);
    for (size_t i = 0; i < N_OF(rqs); i++) {
        assert_int_equal(ends[i], ERR_CLOSED);
        assert_int_equal(rqs[i].status, 0);
        httpc_req_fini(&rqs[i]);
    }
    httpc_close(NULL);
}

/* ---- the wait ------------------------------------------------------------------------------ */

static void *wake_from_outside(void *h)
{
    httpc_wake(h);
    return NULL;
}

static void test_poll_wakes(void **state)
{
    (void)state;
    struct httpc *h = open_client();
    struct pollfd fds[] = { { .fd = wake_open(), .events = POLLIN },
                            { .fd = wake_open(), .events = POLLIN },
                            { .fd = -1, .events = POLLIN } }; /* ignored, as poll(2) does */
    mono_t begun = mono_now();
    wake_signal(fds[1].fd);
    httpc_poll(h, fds, 3, PATIENCE_MS);
    assert_int_equal(fds[0].revents, 0);
    assert_int_equal(fds[1].revents, POLLIN);
    assert_int_equal(fds[2].revents, 0);
    wake_drain(fds[1].fd);
    httpc_poll(h, fds, 3, 0);
    assert_int_equal(fds[1].revents, 0);

    pthread_t thread;
    pthread_create(&thread, NULL, wake_from_outside, h);
    httpc_poll(h, fds, 3, PATIENCE_MS);
    pthread_join(thread, NULL);
    assert_true(mono_since_us(mono_now(), begun) < PATIENCE_MS * 1000 / 2);

    begun = mono_now();
    httpc_poll(h, NULL, 0, 50); /* nothing in flight, nothing to wait for but the time */
    assert_true(mono_since_us(mono_now(), begun) >= 40000);
    close(fds[0].fd);
    close(fds[1].fd);
    httpc_close(h);
}

static void test_open(void **state)
{
    (void)state;
    struct httpc *h;
    struct errbuf eb;
    struct httpc_conf c = { .ca_bundle = "/nowhere/ca.pem", .user_agent = "t", .max_idle = 1 };
    assert_int_equal(httpc_open(&h, &c, &eb), ERR_CONFIG);
    assert_non_null(strstr(eb.text, "/nowhere/ca.pem"));
    struct httpc_req rq = { 0 };
    httpc_req_fini(&rq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_unusable_requests),
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_header_lookup),
        cmocka_unit_test(test_redirect_is_not_followed),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_reuse_and_fresh),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_slow_name),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_upload_progress),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_close_gives_up),
        cmocka_unit_test(test_poll_wakes),
    };
    return cmocka_run_group_tests(tests, server_start, server_stop);
}
