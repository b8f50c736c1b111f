#include "net/redis_link.h"

#include <stdlib.h>

#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"

#define PAUSE_MIN_MS 50 /* between attempts to connect, doubling */
#define PAUSE_MAX_MS 1000

enum { M_CONNECTS, M_UP };
static struct metric metrics[] = {
    [M_CONNECTS] = { "labelwire_redis_connects_total", NULL, "Connections made.", METRIC_COUNTER,
                     0 },
    [M_UP] = { "labelwire_redis_up", NULL, "Connections that are up.", METRIC_GAUGE, 0 },
};
const struct metric_set redis_link_metrics = { metrics, N_OF(metrics) };

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

static enum err parse_url(struct redis_address *out, struct str url, struct errbuf *eb)
{
    static const char want[] = "redis://[user:password@]host:port/db";
    if (!str_starts(url, S("redis://")))
        return errbuf_set(eb, ERR_INVAL, "%s", want);
    struct str rest = str_from(url, 8), login, host, user;
    ptrdiff_t at = str_find(rest, '@');
    *out = (struct redis_address){ .port = 6379 };
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
    struct redis_address ignored;
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
    { "LW_REDIS_DURABILITY", CONF_CHOICE, offsetof(struct redis_conf, durability), .def = "strict",
      .choices = "strict|standard",
      .doc =
          "How Redis must be set; checked at the start and watched afterwards.  strict: appendonly "
          "yes, appendfsync always, no-appendfsync-on-rewrite no: what was answered survives a "
          "crash of Redis.  standard: appendonly yes with appendfsync everysec, or a replica: a "
          "crash may lose the last 2 s of what was answered, without an AOF more.  Both: "
          "maxmemory-policy noeviction." },
};

/* ---- the connection */

void redis_link_drop(struct redis_link *l)
{
    if (l->ctx != NULL)
        redisFree(l->ctx);
    l->ctx = NULL;
    if (atomic_exchange(&l->up, false))
        metric_add(&metrics[M_UP], -1);
}

/* Sends one command and logs an error answer; true when the server said anything else. */
static bool ask(struct redis_link *l, const char *what, int argc, const char **argv,
                redisReply **out)
{
    redisReply *reply = redisCommandArgv(l->ctx, argc, argv, NULL);
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    if (!good)
        LOG(WARN, "redis.refused", F_STR("command", what),
            F_STR("error", reply != NULL ? reply->str : l->ctx->errstr));
    if (good && out != NULL) {
        *out = reply;
        return true;
    }
    if (reply != NULL)
        freeReplyObject(reply);
    return good;
}

bool redis_link_load_scripts(struct redis_link *l)
{
    for (size_t i = 0; i < l->n_scripts; i++) {
        const char *argv[] = { "SCRIPT", "LOAD", l->scripts[i].body };
        redisReply *sha;
        if (!ask(l, l->scripts[i].name, N_OF(argv), argv, &sha))
            return false;
        bool good = str_copy(l->sha[i], sizeof l->sha[i], str_of(sha->str)) == ERR_OK;
        freeReplyObject(sha);
        if (!good)
            return false;
    }
    return true;
}

static bool log_in(struct redis_link *l)
{
    const char *auth[] = { "AUTH", l->to.user, l->to.password };
    const char *plain[] = { "AUTH", l->to.password };
    char db[16];
    struct buf number = BUF_INIT(sizeof db - 1);
    buf_u64(&number, (uint64_t)l->to.db);
    bool copied = str_copy(db, sizeof db, buf_str(&number)) == ERR_OK;
    buf_fini(&number);
    const char *select[] = { "SELECT", db };
    if (l->to.user[0] != '\0' && !ask(l, "AUTH", N_OF(auth), auth, NULL))
        return false;
    if (l->to.user[0] == '\0' && l->to.password[0] != '\0' &&
        !ask(l, "AUTH", N_OF(plain), plain, NULL))
        return false;
    return copied && (l->to.db == 0 || ask(l, "SELECT", N_OF(select), select, NULL));
}

bool redis_link_ready(struct redis_link *l)
{
    if (l->ctx != NULL)
        return true;
    mono_t now = mono_now();
    if (mono_until_ms(now, l->next_connect) > 0)
        return false;
    l->ctx = redisConnectWithTimeout(l->to.host, l->to.port, redis_in_ms(l->timeout_ms));
    bool good = l->ctx != NULL && l->ctx->err == 0;
    if (good) {
        redisSetTimeout(l->ctx, redis_in_ms(l->timeout_ms));
        redisEnableKeepAlive(l->ctx);
        good = log_in(l) && redis_link_load_scripts(l);
    }
    if (!good) {
        if (l->pause_ms == PAUSE_MIN_MS) /* the first of a row; the rest would only repeat it */
            LOG(WARN, "redis.connect_failed", F_STR("host", l->to.host), F_INT("port", l->to.port),
                F_STR("error", l->ctx == NULL ? "out of memory" : l->ctx->errstr));
        redis_link_drop(l);
        l->next_connect = mono_after_ms(mono_now(), l->pause_ms);
        l->pause_ms = l->pause_ms * 2 < PAUSE_MAX_MS ? l->pause_ms * 2 : PAUSE_MAX_MS;
        return false;
    }
    LOG(INFO, "redis.connected", F_STR("host", l->to.host), F_INT("port", l->to.port));
    metric_add(&metrics[M_CONNECTS], 1);
    metric_add(&metrics[M_UP], 1);
    l->pause_ms = PAUSE_MIN_MS;
    atomic_store(&l->up, true);
    return true;
}

enum err redis_link_init(struct redis_link *l, const struct redis_conf *c,
                         const struct redis_script *scripts, size_t n_scripts, struct errbuf *eb)
{
    enum err e = parse_url(&l->to, str_of(c->url), eb);
    if (e != ERR_OK)
        return e;
    l->timeout_ms = c->timeout_ms;
    l->scripts = scripts;
    l->n_scripts = n_scripts;
    l->sha = xcalloc(n_scripts, sizeof *l->sha);
    l->pause_ms = PAUSE_MIN_MS;
    return ERR_OK;
}

void redis_link_fini(struct redis_link *l)
{
    redis_link_drop(l);
    free(l->sha);
}
