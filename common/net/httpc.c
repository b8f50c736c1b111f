#include "net/httpc.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/mem.h"

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define POLL_MAX_MS   3600000 /* curl counts in int */
#define IDLE_MAX_S    50L     /* below the idle limit of usual servers, which is 60 s */
#define LIFE_MAX_S    600L    /* so that a kept connection follows a move in DNS at last */
#define DNS_CACHE_S   30L
#define KEEPALIVE_S   30L

#if LIBCURL_VERSION_NUM >= 0x080600
#define LINE_TOO_LONG CURLE_TOO_LARGE
#else
#define LINE_TOO_LONG CURLE_OUT_OF_MEMORY /* there is no other sign of one endless header line */
#endif

LIST_HEAD(transfers, transfer);

struct httpc {
    CURLM *multi;
    char *ca_bundle;
    const char *user_agent;
    struct transfers active, idle; /* idle: with curl handles to use again */
    size_t in_flight;
    bool closing;
};

struct await {
    bool over;
    enum err e;
};

/* One request while it is in flight; afterwards an idle curl handle. */
struct transfer {
    CURL *easy;
    struct httpc *h;
    struct httpc_req *rq;
    struct await *await; /* of httpc_perform(), or NULL */
    struct curl_slist *hdrs;
    LIST_ENTRY(transfer) link;
    mono_t started;
    size_t header_bytes;
    unsigned interim;
    int status;       /* of the status line last seen */
    enum err verdict; /* set by a callback of ours that ended the transfer */
    bool asked;       /* connected, and the request goes out */
    bool between;     /* the next header line is a status line */
    bool complete;    /* all headers of the final answer are in */
    bool cut;         /* ended well by max_answer */
    bool denied;
    uint64_t sent;
    char text[CURL_ERROR_SIZE];
};

/* ---- what curl calls ----------------------------------------------------------------------- */

/* Ends the transfer: curl takes 0 from a data callback as "stop". */
static size_t give_up(struct transfer *t, enum err e, const char *why)
{
    t->verdict = e;
    snprintf(t->rq->why, sizeof t->rq->why, "%s", why);
    return 0;
}

static size_t on_status_line(struct transfer *t, struct str line)
{
    size_t n = line.n;
    struct str version;
    uint64_t status = 0;
    str_cut(&line, ' ', &version);
    if (str_to_u64(str_head(line, 3), &status) != ERR_OK || status < 100 || status == 101)
        return give_up(t, ERR_REMOTE, "the peer's status line is unusable");
    if (status < 200 && ++t->interim > HTTPC_INTERIM_MAX)
        return give_up(t, ERR_REMOTE, "too many interim (1xx) answers");
    t->status = (int)status;
    t->between = false;
    buf_clear(&t->rq->headers);
    return n;
}

/* Called for every line, of interim answers and trailers too. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct str line = { p, size * n };
    t->header_bytes += line.n;
    if (t->header_bytes > HTTPC_HEADERS_MAX)
        return give_up(t, ERR_TOOBIG, "the answer's headers are too long");
    if (t->complete) /* trailers count, but nobody reads them */
        return line.n;
    if (t->between)
        return on_status_line(t, line);
    if (str_trim(line).n == 0) {
        t->between = true;
        t->complete = t->status >= 200;
    } else {
        buf_put(&t->rq->headers, line);
    }
    return line.n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct httpc_req *rq = t->rq;
    struct str bytes = { p, size * n };
    size_t room = rq->max_answer - rq->answer.n;
    if (rq->cut_answer && bytes.n >= room) {
        buf_put(&rq->answer, str_head(bytes, room));
        t->cut = true;
        return 0;
    }
    if (bytes.n > room)
        return give_up(t, ERR_TOOBIG, "the answer's body is too long");
    buf_put(&rq->answer, bytes);
    if (buf_failed(&rq->answer))
        return give_up(t, ERR_TOOBIG, "no memory for the answer's body");
    return bytes.n;
}

static bool allowed(struct transfer *t, const struct sockaddr *peer)
{
    if (t->rq->guard != NULL && !t->rq->guard(t->rq->guard_arg, peer))
        t->denied = true;
    return !t->denied;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *peer)
{
    (void)purpose;
    int type = peer->socktype | SOCK_CLOEXEC;
    return allowed(arg, &peer->addr) ? socket(peer->family, type, peer->protocol) : CURL_SOCKET_BAD;
}

/* Connected, perhaps long ago by another request: is this peer fine for this one too? */
static int on_request(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
    struct transfer *t = arg;
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)peer_port) };
    (void)local_ip;
    (void)local_port;
    if (inet_pton(AF_INET, peer_ip, &v4.sin_addr) == 1)
        t->asked = allowed(t, (const struct sockaddr *)&v4);
    else if (inet_pton(AF_INET6, peer_ip, &v6.sin6_addr) == 1)
        t->asked = allowed(t, (const struct sockaddr *)&v6);
    else
        t->denied = true;
    return t->asked ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static int on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow)
{
    struct transfer *t = arg;
    (void)dltotal;
    (void)dlnow;
    (void)ultotal;
    if (ulnow > 0 && (uint64_t)ulnow != t->sent) {
        t->sent = (uint64_t)ulnow;
        t->rq->progress(t->rq, t->sent, t->rq->body.n);
    }
    return 0;
}

/* ---- setting up ---------------------------------------------------------------------------- */

/* False: a line has control characters, which could smuggle a second line. */
static bool make_headers(struct transfer *t)
{
    bool has_type = false;
    for (const char *const *line = t->rq->hdrs; line != NULL && *line != NULL; line++) {
        for (const char *p = *line; *p != '\0'; p++)
            if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
                return false;
        has_type |= str_eq_nocase(str_head(str_of(*line), 13), S("Content-Type:"));
        t->hdrs = curl_slist_append(t->hdrs, *line);
    }
    /* A name without a value takes away what curl would add by itself. */
    t->hdrs = curl_slist_append(t->hdrs, "Expect:");
    if (!has_type)
        t->hdrs = curl_slist_append(t->hdrs, "Content-Type:");
    return true;
}

/* curl_easy_setopt() checks types as a macro, so this cannot be a function. */
#define SET(option, value) (bad |= curl_easy_setopt(t->easy, option, value) != CURLE_OK)

static bool set_transport(struct transfer *t)
{
    bool bad = false;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* else giving up waits for the resolver's thread */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    /* With a CA path set (Debian compiles one in) curl reads the bundle for every handshake. */
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_CAINFO, t->h->ca_bundle);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
    SET(CURLOPT_MAXAGE_CONN, IDLE_MAX_S);
    SET(CURLOPT_MAXLIFETIME_CONN, LIFE_MAX_S);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_PREREQFUNCTION, on_request);
    SET(CURLOPT_PREREQDATA, t);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_ERRORBUFFER, t->text);
    SET(CURLOPT_PRIVATE, t);
    return !bad;
}

static bool set_request(struct transfer *t)
{
    const struct httpc_req *rq = t->rq;
    bool bad = false;
    bool has_body = strcmp(rq->method, "PUT") == 0 || strcmp(rq->method, "POST") == 0;
    assert(has_body || rq->body.n == 0);
    SET(CURLOPT_URL, rq->url);
    SET(CURLOPT_HTTPHEADER, t->hdrs);
    SET(CURLOPT_USERAGENT, t->h->user_agent);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)rq->connect_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)rq->total_ms);
    SET(CURLOPT_FRESH_CONNECT, rq->fresh ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, rq->fresh ? 1L : 0L);
    if (has_body) { /* POSTFIELDS does for PUT too, and a repeat needs no rewinding */
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.n);
        SET(CURLOPT_POSTFIELDS, rq->body.n > 0 ? rq->body.p : "");
    }
    if (strcmp(rq->method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    else
        SET(CURLOPT_CUSTOMREQUEST, rq->method);
    if (rq->progress != NULL) {
        SET(CURLOPT_NOPROGRESS, 0L);
        SET(CURLOPT_XFERINFOFUNCTION, on_progress);
        SET(CURLOPT_XFERINFODATA, t);
    }
    return !bad;
}

static struct transfer *transfer_take(struct httpc *h, struct httpc_req *rq)
{
    struct transfer *t = LIST_FIRST(&h->idle);
    if (t != NULL)
        LIST_REMOVE(t, link);
    else
        t = xcalloc(1, sizeof *t);
    CURL *easy = t->easy != NULL ? t->easy : curl_easy_init();
    if (easy == NULL)
        abort(); /* as xcalloc() does */
    *t = (struct transfer){ .easy = easy, .h = h, .rq = rq, .between = true };
    t->started = mono_now();
    return t;
}

static struct transfer *start(struct httpc *h, struct httpc_req *rq)
{
    assert(!h->closing && rq->handle == NULL);
    assert(rq->connect_ms > 0 && rq->total_ms > 0);
    httpc_req_fini(rq);
    buf_init(&rq->headers, HTTPC_HEADERS_MAX);
    buf_init(&rq->answer, rq->max_answer);
    struct transfer *t = transfer_take(h, rq);
    rq->handle = t;
    h->in_flight++;
    if (!set_transport(t) || !make_headers(t) || !set_request(t)) {
        give_up(t, ERR_INVAL, "the request could not be set up");
        curl_easy_setopt(t->easy, CURLOPT_URL, ""); /* curl ends it on the next poll */
    }
    if (curl_multi_add_handle(h->multi, t->easy) != CURLM_OK)
        abort(); /* out of memory */
    LIST_INSERT_HEAD(&h->active, t, link);
    return t;
}

/* ---- ending -------------------------------------------------------------------------------- */

/* curl's own text for what happens below HTTP; it names host and port at most.  For the rest
 * the fixed text of the code, so that neither the URL nor the answer leaks into a log. */
static enum err explain(struct transfer *t, CURLcode rc, enum err e)
{
    bool own_text = (e == ERR_IO || e == ERR_TIMEOUT) && t->text[0] != '\0';
    struct str text = str_of(own_text ? t->text : curl_easy_strerror(rc));
    if (str_copy(t->rq->why, sizeof t->rq->why, str_head(text, sizeof t->rq->why - 1)) != ERR_OK)
        return e;
    for (char *p = t->rq->why; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return e;
}

static enum err judge(struct transfer *t, CURLcode rc)
{
    if (t->denied)
        give_up(t, ERR_DENIED, "the peer's address is not allowed");
    if (t->verdict != ERR_OK)
        return t->verdict;
    if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && t->cut)) {
        if (!t->complete) /* libcurl 7.88 calls that a success */
            give_up(t, ERR_REMOTE, "the answer ended inside its headers");
        return t->verdict;
    }
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return explain(t, rc, ERR_TIMEOUT);
    if (rc == LINE_TOO_LONG && t->asked) {
        give_up(t, ERR_TOOBIG, "a header of the answer is too long");
        return ERR_TOOBIG;
    }
    bool bad_url = rc == CURLE_URL_MALFORMAT || rc == CURLE_UNSUPPORTED_PROTOCOL;
    if (!t->asked && (bad_url || rc == CURLE_LOGIN_DENIED)) /* the latter: a user in the URL */
        return explain(t, rc, ERR_INVAL);
    t->rq->tls = rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CONNECT_ERROR;
    bool below_http = rc == CURLE_SEND_ERROR || rc == CURLE_RECV_ERROR || rc == CURLE_GOT_NOTHING;
    return explain(t, rc, t->asked && (t->header_bytes > 0 || !below_http) ? ERR_REMOTE : ERR_IO);
}

/* Gives the request back.  Afterwards t is idle, and rq may be gone. */
static void finish(struct transfer *t, enum err e)
{
    struct httpc *h = t->h;
    struct httpc_req *rq = t->rq;
    struct await *await = t->await;
    rq->status = e == ERR_OK ? t->status : 0;
    rq->took_us = mono_since_us(mono_now(), t->started);
    rq->handle = NULL;
    curl_easy_reset(t->easy);
    curl_slist_free_all(t->hdrs);
    t->hdrs = NULL;
    t->rq = NULL;
    LIST_REMOVE(t, link);
    LIST_INSERT_HEAD(&h->idle, t, link);
    h->in_flight--;
    if (await != NULL)
        *await = (struct await){ .over = true, .e = e };
    if (rq->done != NULL)
        rq->done(rq, e);
}

static void finish_ended(struct httpc *h)
{
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURL *easy = msg->easy_handle; /* msg dies with the removal */
        CURLcode rc = msg->data.result;
        char *private = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        struct transfer *t = (struct transfer *)private;
        enum err e = judge(t, rc);
        curl_multi_remove_handle(h->multi, easy);
        finish(t, e);
    }
}

/* ---- the interface ------------------------------------------------------------------------- */

static void global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

enum err httpc_open(struct httpc **out, const struct httpc_conf *c, struct errbuf *eb)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    *out = NULL;
    pthread_once(&once, global_init);
    bool own_bundle = c->ca_bundle != NULL && c->ca_bundle[0] != '\0';
    if (own_bundle && access(c->ca_bundle, R_OK) != 0)
        return errbuf_set(eb, ERR_CONFIG, "CA bundle %s cannot be read", c->ca_bundle);
    struct httpc *h = xcalloc(1, sizeof *h);
    h->ca_bundle = xstrdup(own_bundle ? c->ca_bundle : SYSTEM_BUNDLE);
    h->user_agent = c->user_agent;
    h->multi = curl_multi_init();
    if (h->multi == NULL)
        abort();
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)(c->max_idle > 0 ? c->max_idle : 1));
    *out = h;
    return ERR_OK;
}

void httpc_close(struct httpc *h)
{
    if (h == NULL)
        return;
    h->closing = true;
    struct transfer *t;
    while ((t = LIST_FIRST(&h->active)) != NULL) {
        curl_multi_remove_handle(h->multi, t->easy);
        give_up(t, ERR_CLOSED, "given up");
        finish(t, ERR_CLOSED);
    }
    while ((t = LIST_FIRST(&h->idle)) != NULL) {
        LIST_REMOVE(t, link);
        curl_easy_cleanup(t->easy);
        free(t);
    }
    curl_multi_cleanup(h->multi);
    free(h->ca_bundle);
    free(h);
}

void httpc_start(struct httpc *h, struct httpc_req *rq)
{
    assert(rq->done != NULL);
    start(h, rq);
}

size_t httpc_in_flight(const struct httpc *h)
{
    return h->in_flight;
}

void httpc_poll(struct httpc *h, struct pollfd *fds, unsigned n_fds, int64_t timeout_ms)
{
    struct curl_waitfd extra[HTTPC_FDS_MAX];
    int running;
    assert(n_fds <= HTTPC_FDS_MAX);
    for (unsigned i = 0; i < n_fds; i++)
        extra[i] = (struct curl_waitfd){
            .fd = fds[i].fd,
            .events = (short)((fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                              (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0)),
        };
    if (timeout_ms < 0)
        timeout_ms = 0;
    if (timeout_ms > POLL_MAX_MS)
        timeout_ms = POLL_MAX_MS;
    curl_multi_poll(h->multi, extra, n_fds, (int)timeout_ms, NULL);
    for (unsigned i = 0; i < n_fds; i++)
        fds[i].revents = (short)((extra[i].revents & CURL_WAIT_POLLIN ? POLLIN : 0) |
                                 (extra[i].revents & CURL_WAIT_POLLOUT ? POLLOUT : 0));
    curl_multi_perform(h->multi, &running);
    finish_ended(h);
}

void httpc_wake(struct httpc *h)
{
    curl_multi_wakeup(h->multi);
}

enum err httpc_perform(struct httpc *h, struct httpc_req *rq)
{
    struct await await = { .over = false };
    start(h, rq)->await = &await;
    while (!await.over)
        httpc_poll(h, NULL, 0, POLL_MAX_MS);
    return await.e;
}

struct str httpc_header(const struct httpc_req *rq, struct str name)
{
    struct str rest = buf_str(&rq->headers), line, key, found = STR_NONE;
    while (str_cut(&rest, '\n', &line))
        if (str_find(line, ':') >= 0 && str_cut(&line, ':', &key) && str_eq_nocase(key, name))
            found = str_trim(line);
    return found;
}

void httpc_req_fini(struct httpc_req *rq)
{
    assert(rq->handle == NULL);
    buf_fini(&rq->headers);
    buf_fini(&rq->answer);
    rq->status = 0;
    rq->took_us = 0;
    rq->why[0] = '\0';
    rq->tls = false;
}
