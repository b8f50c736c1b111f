#include "net/redis.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"

#define BATCH_MAX 512U /* ops of one turn; the rest waits for the next */
#define COMMAND_MAX 136U /* words of a plain command */
#define SHA_LEN 40U
#define PAUSE_MIN_MS 50 /* between attempts to connect, doubling */
#define PAUSE_MAX_MS 1000

enum { M_OPS, M_TURNS, M_ERRORS, M_CONNECTS, M_UP };
static struct metric metrics[] = {
    [M_OPS] = { "labelwire_redis_ops_total", NULL, "Scripts called.", METRIC_COUNTER, 0 },
    [M_TURNS] = { "labelwire_redis_turns_total", NULL, "Round trips that carried them.",
                  METRIC_COUNTER, 0 },
    [M_ERRORS] = { "labelwire_redis_errors_total", NULL, "Ops that ended in an error.",
                   METRIC_COUNTER, 0 },
    [M_CONNECTS] = { "labelwire_redis_connects_total", NULL, "Connections made.", METRIC_COUNTER,
                     0 },
    [M_UP] = { "labelwire_redis_up", NULL, "1 while connected.", METRIC_GAUGE, 0 },
};
const struct metric_set redis_metrics = { metrics, N_OF(metrics) };

struct server {
    char host[256], user[128], password[256];
    int port, db;
};

struct redis {
    struct server server;
    int64_t timeout_ms;
    const struct redis_script *scripts;
    size_t n_scripts;
    char (*sha)[SHA_LEN + 1];

    /* the connection: touched only by the thread that does the turn */
    redisContext *ctx;
    mono_t next_connect;
    int64_t pause_ms;
    atomic_bool up;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t turned;
    struct redis_op *head, **tail;
    bool turning; /* a waiting thread does a turn for all */
};

/* ---- configuration */

static bool decode(char *dst, size_t cap, struct str text)
{
    struct buf plain = BUF_INIT(cap - 1);
    bool good = enc_percent_decode(&plain, text, false) == ERR_OK &&
                str_copy(dst, cap, buf_str(&plain)) == ERR_OK;
    buf_fini(&plain);
    return good;
}

/* A name or an IPv4 address; an '@' that should have been encoded must not end up here. */
static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '.' && c != '-' && c != '_')
            return false;
    }
    return s.n > 0;
}

static enum err parse_url(struct server *out, struct str url, struct errbuf *eb)
{
    static const char want[] = "redis://[user:password@]host:port/db";
    if (!str_starts(url, S("redis://")))
        return errbuf_set(eb, ERR_INVAL, "%s", want);
    struct str rest = str_from(url, 8), login, host, user;
    ptrdiff_t at = str_find(rest, '@');
    *out = (struct server){ .port = 6379 };
    if (at >= 0) {
        (void)str_cut(&rest, '@', &login);
        (void)str_cut(&login, ':', &user);
        if (!decode(out->user, sizeof out->user, user) ||
            !decode(out->password, sizeof out->password, login))
            return errbuf_set(eb, ERR_INVAL, "%s with user and password percent-encoded", want);
    }
    struct str authority;
    uint64_t port = 6379, db = 0;
    (void)str_cut(&rest, '/', &authority);
    (void)str_cut(&authority, ':', &host);
    bool good = is_host(host) && str_copy(out->host, sizeof out->host, host) == ERR_OK &&
                (authority.n == 0 || str_to_u64(authority, &port) == ERR_OK) && port > 0 &&
                port <= 65535 && (rest.n == 0 || str_to_u64(rest, &db) == ERR_OK) && db < 1000;
    out->port = (int)port;
    out->db = (int)db;
    return good ? ERR_OK : errbuf_set(eb, ERR_INVAL, "%s", want);
}

static enum err check_url(struct str url, struct errbuf *eb)
{
    struct server ignored;
    return parse_url(&ignored, url, eb);
}

const struct conf_key redis_conf_keys[] = {
    { "LW_REDIS_URL", CONF_TEXT, offsetof(struct redis_conf, url),
      .def = "redis://127.0.0.1:6379/0", .flags = CONF_SECRET, .check = check_url,
      .doc = "Redis server: redis://[user:password@]host:port/db, user and password "
             "percent-encoded." },
    { "LW_REDIS_TIMEOUT", CONF_MS, offsetof(struct redis_conf, timeout_ms), .def = "250ms",
      .min = 10, .max = 10000,
      .doc = "Limit for one round trip to Redis and for connecting; then the outcome is unknown "
             "and the connection is given up." },
};

/* ---- the connection */

static struct timeval in_ms(int64_t ms)
{
    return (struct timeval){ ms / 1000, ms % 1000 * 1000 };
}

static void disconnect(struct redis *r)
{
    if (r->ctx != NULL)
        redisFree(r->ctx);
    r->ctx = NULL;
    atomic_store(&r->up, false);
    metric_set(&metrics[M_UP], 0);
}

/* Sends one command and logs an error answer; true when the server said anything else. */
static bool ask(struct redis *r, const char *what, int argc, const char **argv, redisReply **out)
{
    redisReply *reply = redisCommandArgv(r->ctx, argc, argv, NULL);
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    if (!good)
        LOG(WARN, "redis.refused", F_STR("command", what),
            F_STR("error", reply != NULL ? reply->str : r->ctx->errstr));
    if (good && out != NULL) {
        *out = reply;
        return true;
    }
    if (reply != NULL)
        freeReplyObject(reply);
    return good;
}

static bool load_scripts(struct redis *r)
{
    for (size_t i = 0; i < r->n_scripts; i++) {
        const char *argv[] = { "SCRIPT", "LOAD", r->scripts[i].body };
        redisReply *sha;
        if (!ask(r, r->scripts[i].name, N_OF(argv), argv, &sha))
            return false;
        bool good = str_copy(r->sha[i], sizeof r->sha[i], str_of(sha->str)) == ERR_OK;
        freeReplyObject(sha);
        if (!good)
            return false;
    }
    return true;
}

static bool log_in(struct redis *r)
{
    const char *auth[] = { "AUTH", r->server.user, r->server.password };
    const char *plain[] = { "AUTH", r->server.password };
    char db[16];
    struct buf number = BUF_INIT(sizeof db - 1);
    buf_u64(&number, (uint64_t)r->server.db);
    bool copied = str_copy(db, sizeof db, buf_str(&number)) == ERR_OK;
    buf_fini(&number);
    const char *select[] = { "SELECT", db };
    if (r->server.user[0] != '\0' && !ask(r, "AUTH", N_OF(auth), auth, NULL))
        return false;
    if (r->server.user[0] == '\0' && r->server.password[0] != '\0' &&
        !ask(r, "AUTH", N_OF(plain), plain, NULL))
        return false;
    return copied && (r->server.db == 0 || ask(r, "SELECT", N_OF(select), select, NULL));
}

static bool connected(struct redis *r)
{
    if (r->ctx != NULL)
        return true;
    mono_t now = mono_now();
    if (mono_until_ms(now, r->next_connect) > 0)
        return false;
    r->ctx = redisConnectWithTimeout(r->server.host, r->server.port, in_ms(r->timeout_ms));
    bool good = r->ctx != NULL && r->ctx->err == 0;
    if (good) {
        redisSetTimeout(r->ctx, in_ms(r->timeout_ms));
        redisEnableKeepAlive(r->ctx);
        good = log_in(r) && load_scripts(r);
    }
    if (!good) {
        if (r->pause_ms == PAUSE_MIN_MS) /* the first of a row; the rest would only repeat it */
            LOG(WARN, "redis.connect_failed", F_STR("host", r->server.host),
                F_INT("port", r->server.port),
                F_STR("error", r->ctx == NULL ? "out of memory" : r->ctx->errstr));
        disconnect(r);
        r->next_connect = mono_after_ms(mono_now(), r->pause_ms);
        r->pause_ms = r->pause_ms * 2 < PAUSE_MAX_MS ? r->pause_ms * 2 : PAUSE_MAX_MS;
        return false;
    }
    LOG(INFO, "redis.connected", F_STR("host", r->server.host), F_INT("port", r->server.port));
    metric_add(&metrics[M_CONNECTS], 1);
    metric_set(&metrics[M_UP], 1);
    r->pause_ms = PAUSE_MIN_MS;
    atomic_store(&r->up, true);
    return true;
}

/* ---- one op */

static void append(struct redis *r, const struct redis_op *op)
{
    const char *argv[3 + REDIS_KEYS_MAX + REDIS_ARGS_MAX];
    size_t lens[N_OF(argv)];
    char nkeys = (char)('0' + op->nkeys);
    argv[0] = "EVALSHA", lens[0] = 7;
    argv[1] = r->sha[op->script], lens[1] = SHA_LEN;
    argv[2] = &nkeys, lens[2] = 1;
    size_t n = 3;
    for (size_t i = 0; i < op->nkeys; i++, n++)
        argv[n] = op->key[i].p, lens[n] = op->key[i].n;
    for (size_t i = 0; i < op->nargs; i++, n++)
        argv[n] = op->arg[i].p != NULL ? op->arg[i].p : "", lens[n] = op->arg[i].n;
    redisAppendCommandArgv(r->ctx, (int)n, argv, lens);
}

static void finish(struct redis *r, struct redis_op *op, enum err e, const redisReply *reply)
{
    if (e != ERR_OK)
        metric_add(&metrics[M_ERRORS], 1);
    bool awaited = op->awaited;
    op->done(op, e, (const struct redis_val *)reply);
    if (!awaited)
        return; /* the op may be gone by now */
    pthread_mutex_lock(&r->lock);
    op->finished = true;
    pthread_mutex_unlock(&r->lock);
}

/* What an error answer of the server means for the caller. */
static enum err classify(struct redis *r, const struct redis_op *op, struct str text)
{
    static const char *const later[] = { "OOM ",      "READONLY ",   "LOADING ",     "BUSY ",
                                         "MISCONF ",  "NOREPLICAS ", "MASTERDOWN ",  "TRYAGAIN ",
                                         "NOSCRIPT ", "-OOM ",       "CLUSTERDOWN ", "MOVED " };
    LOG(WARN, "redis.script_failed", F_STR("script", r->scripts[op->script].name),
        F_VIEW("error", text));
    for (size_t i = 0; i < N_OF(later); i++)
        if (str_starts(text, str_of(later[i])))
            return ERR_FULL;
    return ERR_REMOTE;
}

/* ---- a turn */

static struct redis_op *take_batch(struct redis *r)
{
    pthread_mutex_lock(&r->lock);
    struct redis_op *batch = r->head, **end = &r->head;
    for (size_t n = 0; n < BATCH_MAX && *end != NULL; n++)
        end = &(*end)->next;
    r->head = *end;
    if (r->head == NULL)
        r->tail = &r->head;
    *end = NULL;
    pthread_mutex_unlock(&r->lock);
    return batch;
}

static void fail_all(struct redis *r, struct redis_op *op, enum err e)
{
    while (op != NULL) {
        struct redis_op *next = op->next;
        finish(r, op, e, NULL);
        op = next;
    }
}

/* The connection broke while op and all behind it waited for their answers. */
static enum err break_off(struct redis *r, struct redis_op *op)
{
    bool timed_out = r->ctx->err == REDIS_ERR_IO || r->ctx->err == 0;
    enum err e = timed_out ? ERR_TIMEOUT : ERR_IO;
    LOG(WARN, "redis.connection_lost", F_STR("error", r->ctx->err ? r->ctx->errstr : "timed out"));
    disconnect(r);
    fail_all(r, op, e);
    return e;
}

/* Reads the answers of a batch in order.  Ops whose script the server did not know are put in
 * *again. */
static void read_answers(struct redis *r, struct redis_op *op, mono_t deadline,
                         struct redis_op **again)
{
    while (op != NULL) {
        void *answer = NULL;
        if (mono_until_ms(mono_now(), deadline) == 0 ||
            redisGetReply(r->ctx, &answer) != REDIS_OK) {
            (void)break_off(r, op);
            return;
        }
        redisReply *reply = answer;
        struct redis_op *next = op->next;
        op->next = NULL;
        struct str text = { reply->str, reply->type == REDIS_REPLY_ERROR ? (size_t)reply->len : 0 };
        if (again != NULL && str_starts(text, S("NOSCRIPT "))) {
            *again = op;
            again = &op->next;
        } else if (text.n > 0) {
            finish(r, op, classify(r, op, text), NULL);
        } else {
            finish(r, op, ERR_OK, reply);
        }
        freeReplyObject(reply);
        op = next;
    }
}

static void send_all(struct redis *r, const struct redis_op *batch)
{
    for (; batch != NULL; batch = batch->next) {
        append(r, batch);
        metric_add(&metrics[M_OPS], 1);
    }
    metric_add(&metrics[M_TURNS], 1);
}

/* Drops from the batch what nobody waits for any more. */
static struct redis_op *drop_late(struct redis *r, struct redis_op *batch)
{
    mono_t now = mono_now();
    struct redis_op *kept = NULL, **end = &kept;
    while (batch != NULL) {
        struct redis_op *op = batch;
        batch = op->next;
        if (op->deadline.ns != 0 && mono_until_ms(now, op->deadline) == 0) {
            finish(r, op, ERR_TIMEOUT, NULL);
            continue;
        }
        *end = op;
        end = &op->next;
        *end = NULL;
    }
    return kept;
}

void redis_turn(struct redis *r)
{
    struct redis_op *batch = drop_late(r, take_batch(r));
    if (batch == NULL)
        return;
    if (!connected(r)) {
        fail_all(r, batch, ERR_IO);
        return;
    }
    mono_t deadline = mono_after_ms(mono_now(), r->timeout_ms);
    struct redis_op *again = NULL;
    send_all(r, batch);
    read_answers(r, batch, deadline, &again);
    if (again == NULL)
        return;
    if (r->ctx == NULL || !load_scripts(r)) { /* a failover while we look: later */
        disconnect(r);
        fail_all(r, again, ERR_IO);
        return;
    }
    send_all(r, again);
    read_answers(r, again, mono_after_ms(mono_now(), r->timeout_ms), NULL);
}

void redis_submit(struct redis *r, struct redis_op *op)
{
    op->next = NULL;
    op->awaited = op->finished = false;
    pthread_mutex_lock(&r->lock);
    *r->tail = op;
    r->tail = &op->next;
    pthread_mutex_unlock(&r->lock);
}

bool redis_pending(struct redis *r)
{
    pthread_mutex_lock(&r->lock);
    bool pending = r->head != NULL;
    pthread_mutex_unlock(&r->lock);
    return pending;
}

void redis_await(struct redis *r, struct redis_op *op)
{
    op->next = NULL;
    op->awaited = true;
    op->finished = false;
    pthread_mutex_lock(&r->lock);
    *r->tail = op;
    r->tail = &op->next;
    while (!op->finished) {
        if (r->turning) {
            pthread_cond_wait(&r->turned, &r->lock);
            continue;
        }
        r->turning = true; /* the first to wait does the turn for all who joined meanwhile */
        pthread_mutex_unlock(&r->lock);
        redis_turn(r);
        pthread_mutex_lock(&r->lock);
        r->turning = false;
        pthread_cond_broadcast(&r->turned);
    }
    pthread_mutex_unlock(&r->lock);
}

bool redis_up(struct redis *r)
{
    return atomic_load(&r->up);
}

enum err redis_command(struct redis *r, const struct str *argv, size_t n, int64_t block_ms,
                       void (*done)(void *arg, const struct redis_val *), void *arg)
{
    const char *words[COMMAND_MAX];
    size_t lens[N_OF(words)];
    if (n > N_OF(words))
        return ERR_TOOBIG;
    if (!connected(r))
        return ERR_IO;
    for (size_t i = 0; i < n; i++)
        words[i] = argv[i].p, lens[i] = argv[i].n;
    redisSetTimeout(r->ctx, in_ms(r->timeout_ms + block_ms));
    redisReply *reply = redisCommandArgv(r->ctx, (int)n, words, lens);
    if (reply == NULL)
        return break_off(r, NULL);
    bool refused = reply->type == REDIS_REPLY_ERROR;
    if (refused)
        LOG(WARN, "redis.refused", F_VIEW("command", argv[0]), F_STR("error", reply->str));
    else
        done(arg, (const struct redis_val *)reply);
    freeReplyObject(reply);
    redisSetTimeout(r->ctx, in_ms(r->timeout_ms));
    return refused ? ERR_REMOTE : ERR_OK;
}

enum err redis_open(struct redis **out, const struct redis_conf *c,
                    const struct redis_script *scripts, size_t n_scripts, struct errbuf *eb)
{
    struct redis *r = xcalloc(1, sizeof *r);
    enum err e = parse_url(&r->server, str_of(c->url), eb);
    if (e != ERR_OK) {
        free(r);
        return e;
    }
    r->timeout_ms = c->timeout_ms;
    r->scripts = scripts;
    r->n_scripts = n_scripts;
    r->sha = xcalloc(n_scripts, sizeof *r->sha);
    r->pause_ms = PAUSE_MIN_MS;
    r->tail = &r->head;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->turned, NULL);
    *out = r;
    return ERR_OK;
}

void redis_close(struct redis *r)
{
    if (r == NULL)
        return;
    for (struct redis_op *batch; (batch = take_batch(r)) != NULL;)
        fail_all(r, batch, ERR_CLOSED);
    disconnect(r);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->turned);
    free(r->sha);
    free(r);
}

/* ---- reading an answer: a redis_val is a redisReply that nobody else may look into */

static const redisReply *reply_of(const struct redis_val *v)
{
    static const redisReply nil = { .type = REDIS_REPLY_NIL };
    return v == NULL ? &nil : (const redisReply *)v;
}

enum redis_type redis_type(const struct redis_val *v)
{
    switch (reply_of(v)->type) {
    case REDIS_REPLY_INTEGER:
        return REDIS_INT;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return REDIS_TEXT;
    case REDIS_REPLY_ARRAY:
        return REDIS_LIST;
    default:
        return REDIS_NIL;
    }
}

struct str redis_text(const struct redis_val *v)
{
    const redisReply *reply = reply_of(v);
    return redis_type(v) == REDIS_TEXT ? (struct str){ reply->str, (size_t)reply->len } : STR_NONE;
}

int64_t redis_int(const struct redis_val *v)
{
    int64_t n = 0;
    if (redis_type(v) == REDIS_INT)
        return reply_of(v)->integer;
    return str_to_i64(redis_text(v), &n) == ERR_OK ? n : 0;
}

size_t redis_len(const struct redis_val *v)
{
    return redis_type(v) == REDIS_LIST ? reply_of(v)->elements : 0;
}

const struct redis_val *redis_at(const struct redis_val *v, size_t i)
{
    return i < redis_len(v) ? (const struct redis_val *)reply_of(v)->element[i] : NULL;
}
