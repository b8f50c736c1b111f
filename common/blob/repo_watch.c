/* The part of repo.h that looks whether this Redis is the right one, and fit for the work. */
#include "blob/repo_watch.h"

#include <string.h>

#include "base/log.h"
#include "blob/repo_op.h"

#define SCHEMA           S("1")
#define SKEW_MAX_MS      2000
#define CHECK_EVERY_MS   1000
#define PROFILE_EVERY_MS 30000

enum { M_EPOCH_OK, M_DURABLE, M_USED, M_MAX };
static struct metric metrics[] = {
    [M_EPOCH_OK] = { "labelwire_redis_epoch_ok", NULL,
                     "1: Redis holds our data; 0: not set up yet, lost, or another Redis.",
                     METRIC_GAUGE, 0 },
    [M_DURABLE] = { "labelwire_redis_durability_ok", NULL,
                    "1: Redis is set to what LW_REDIS_DURABILITY says.", METRIC_GAUGE, 0 },
    [M_USED] = { "labelwire_redis_memory_used_bytes", NULL, "Memory that Redis uses.", METRIC_GAUGE,
                 0 },
    [M_MAX] = { "labelwire_redis_memory_max_bytes", NULL, "Its maxmemory; 0: no limit.",
                METRIC_GAUGE, 0 },
};
const struct metric_set repo_metrics = { metrics, N_OF(metrics) };

/* ---- looking */

static void looked(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct look *l = (struct look *)((char *)op - offsetof(struct look, op));
    l->e = e;
    l->shards = redis_int(redis_at(v, 0));
    l->schema = redis_int(redis_at(v, 1));
    l->now_ms = redis_int(redis_at(v, 2));
    (void)!str_copy(l->epoch, sizeof l->epoch, redis_text(redis_at(v, 3)));
    redis_profile_info(&l->profile, redis_text(redis_at(v, 4)));
}

void look_at_facts(struct repo *r, bool agree, struct str establish, struct look *out)
{
    struct key key = { KEY_META };
    char shards[24];
    *out = (struct look){ .e = ERR_OK };
    op_number(shards, r->shards);
    op_init(&out->op, SCRIPT_meta, looked);
    op_key(&out->op, &key);
    op_arg(&out->op, agree ? str_of(shards) : S(""));
    op_arg(&out->op, SCHEMA);
    op_arg(&out->op, establish);
    redis_await(r->redis, &out->op);
}

static void configured(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct look *l = (struct look *)((char *)op - offsetof(struct look, op));
    l->e = e;
    for (size_t i = 0; i + 1 < redis_len(v); i += 2)
        redis_profile_config(&l->profile, redis_text(redis_at(v, i)),
                             redis_text(redis_at(v, i + 1)));
}

/* Adds what only CONFIG GET tells; where that is barred the settings stay unknown. */
static enum err look_at_settings(struct repo *r, struct look *l)
{
    op_init(&l->op, REDIS_PLAIN, configured);
    op_arg(&l->op, S("CONFIG"));
    op_arg(&l->op, S("GET"));
    op_arg(&l->op, S("*append*"));
    redis_await(r->redis, &l->op);
    return l->e == ERR_DENIED ? ERR_OK : l->e;
}

/* ---- judging */

static enum err check_facts(struct repo *r, const struct look *l, wall_t before, struct errbuf *eb)
{
    if (l->epoch[0] == '\0' && l->shards == 0)
        return ERR_OK; /* nobody has set it up: check_epoch() says what that means */
    if (l->shards != r->shards)
        return errbuf_set(eb, ERR_CONFIG,
                          "LW_SHARDS is %u but this Redis was set up with %lld: set it to that",
                          r->shards, (long long)l->shards);
    if (l->schema != 1)
        return errbuf_set(eb, ERR_CONFIG, "Redis holds schema %lld, this program knows 1",
                          (long long)l->schema);
    int64_t behind_ms = l->now_ms - wall_now().ms, ahead_ms = before.ms - l->now_ms;
    if (behind_ms > SKEW_MAX_MS || ahead_ms > SKEW_MAX_MS) /* later on only: not ready */
        return errbuf_set(eb, r->accepted ? ERR_RANGE : ERR_CONFIG,
                          "the clock here and that of Redis differ by %lld ms",
                          (long long)(behind_ms > ahead_ms ? behind_ms : ahead_ms));
    return ERR_OK;
}

static void tell_unknown(struct repo *r, const struct redis_profile *p)
{
    struct buf names = BUF_INIT(200);
    redis_profile_unknown(p, &names);
    if (buf_str(&names).n > 0 && !r->told_unknown)
        LOG(WARN, "redis.durability_unknown", F_VIEW("settings", buf_str(&names)),
            F_STR("hint", "the server does not let us see them: make sure that they are as "
                          "LW_REDIS_DURABILITY in deploy/CONFIG.md wants them"));
    r->told_unknown = true;
    buf_fini(&names);
}

/* Refuses at the start; later, when somebody has changed Redis, it is only told. */
static enum err check_durability(struct repo *r, mono_t now, struct look *l, struct errbuf *eb)
{
    struct errbuf why = { "" };
    if (mono_until_ms(now, r->next_profile) > 0)
        return ERR_OK;
    enum err e = look_at_settings(r, l);
    if (e != ERR_OK)
        return errbuf_set(eb, e, "Redis (LW_REDIS_URL) does not answer");
    r->next_profile = mono_after_ms(now, PROFILE_EVERY_MS);
    tell_unknown(r, &l->profile);
    e = redis_profile_check(&l->profile, (enum redis_durability)r->durability, &why);
    metric_set(&metrics[M_DURABLE], e == ERR_OK);
    if (e != ERR_OK && !r->accepted)
        return errbuf_set(eb, e, "%s", why.text);
    if (e != ERR_OK && strcmp(why.text, r->last_profile_why.text) != 0)
        LOG(ERROR, "redis.durability_changed", F_STR("detail", why.text));
    if (e == ERR_OK && r->last_profile_why.text[0] != '\0')
        LOG(INFO, "redis.durability_restored");
    r->last_profile_why = why;
    return ERR_OK;
}

static void tell_epoch(const struct repo *r, const char *found)
{
    if (r->epoch_state == REPO_EPOCH_NONE)
        LOG(WARN, "redis.not_set_up",
            F_STR("hint", "this Redis has no epoch yet; the upload-watcher gives it one: does it "
                          "run, and does it reach S3?"));
    else if (r->epoch_state == REPO_EPOCH_LOST)
        LOG(ERROR, "redis.data_lost", F_STR("epoch", found), F_STR("expected", r->epoch),
            F_STR("hint", "restore Redis from its AOF or a backup, or let LW_REDIS_URL lead to the "
                          "right one: all goes on by itself.  If the data is gone for good: "
                          "labelwire setup epoch --accept-loss, then restart every service"));
    else if (r->epoch_state == REPO_EPOCH_GOOD)
        LOG(INFO, "redis.epoch", F_STR("epoch", found));
}

static enum err check_epoch(struct repo *r, struct str found, struct errbuf *eb)
{
    enum repo_epoch_state before = r->epoch_state;
    if (r->epoch[0] != '\0' && !str_eq(found, str_of(r->epoch)))
        r->epoch_state = REPO_EPOCH_LOST;
    else if (r->foreign)
        r->epoch_state = REPO_EPOCH_FOREIGN;
    else
        r->epoch_state = found.n > 0 ? REPO_EPOCH_GOOD : REPO_EPOCH_NONE;
    if (r->epoch_state == REPO_EPOCH_GOOD)
        (void)!str_copy(r->epoch, sizeof r->epoch, found);
    if (r->epoch_state != before)
        tell_epoch(r, found.p);
    metric_set(&metrics[M_EPOCH_OK], r->epoch_state == REPO_EPOCH_GOOD);
    return r->epoch_state == REPO_EPOCH_GOOD
               ? ERR_OK
               : errbuf_set(eb, ERR_MISSING, "this Redis does not hold our data");
}

static void note_room(struct repo *r, const struct redis_profile *p)
{
    bool was = atomic_load(&r->crowded), is = redis_profile_crowded(p, was);
    metric_set(&metrics[M_USED], p->used_bytes);
    metric_set(&metrics[M_MAX], p->max_bytes);
    atomic_store(&r->replicas, p->replicas);
    atomic_store(&r->crowded, is);
    if (is && !was)
        LOG(ERROR, "redis.crowded", F_INT("used_bytes", p->used_bytes),
            F_INT("max_bytes", p->max_bytes),
            F_STR("hint", "nothing new is accepted until Redis is below 75 % of its maxmemory"));
    else if (was && !is)
        LOG(INFO, "redis.roomy", F_INT("used_bytes", p->used_bytes),
            F_INT("max_bytes", p->max_bytes));
}

static enum err check(struct repo *r, mono_t now, struct errbuf *eb)
{
    struct look l;
    wall_t before = wall_now();
    look_at_facts(r, r->epoch[0] == '\0', S(""), &l);
    if (l.e != ERR_OK)
        return errbuf_set(eb, l.e, "Redis (LW_REDIS_URL) does not answer");
    note_room(r, &l.profile);
    enum err facts = check_facts(r, &l, before, eb);
    if (facts != ERR_OK && facts != ERR_RANGE)
        return facts;
    enum err e = check_durability(r, now, &l, eb);
    if (e != ERR_OK)
        return e;
    r->accepted = true;
    e = check_epoch(r, str_of(l.epoch), eb);
    atomic_store(&r->checked, e == ERR_OK);
    if (e == ERR_OK && l.profile.read_only)
        return errbuf_set(eb, ERR_FULL, "this Redis is a replica and takes no writes");
    return e != ERR_OK ? e : facts;
}

enum err repo_watch(struct repo *r, mono_t now, struct errbuf *eb)
{
    if (mono_until_ms(now, r->next_check) == 0) {
        enum err before = r->last_check;
        r->last_check = check(r, now, &r->last_why);
        r->next_check = mono_after_ms(now, CHECK_EVERY_MS);
        if (r->last_check == ERR_RANGE && before != ERR_RANGE)
            LOG(ERROR, "clock.differs", F_STR("detail", r->last_why.text));
    }
    *eb = r->last_why;
    return r->last_check;
}

void repo_say_foreign(struct repo *r, bool foreign)
{
    if (r->foreign != foreign)
        r->next_check = (mono_t){ 0 };
    if (foreign)
        r->epoch[0] = '\0'; /* not to be waited for */
    r->foreign = foreign;
}
