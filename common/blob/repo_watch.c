/* The part of repo.h that looks whether this Redis is the right one. */
#include "base/log.h"
#include "blob/repo.h"
#include "blob/repo_op.h"

#define SCHEMA         S("1")
#define SKEW_MAX_MS    2000
#define CHECK_EVERY_MS 1000

static enum err check(struct repo *r, struct errbuf *eb)
{
    struct op_answer a = { .e = ERR_OK };
    struct key key = { KEY_META };
    char shards[24];
    op_number(shards, r->shards);
    op_init(&a.op, SCRIPT_meta, op_keep_answer);
    op_key(&a.op, &key);
    op_arg(&a.op, str_of(shards));
    op_arg(&a.op, SCHEMA);
    wall_t before = wall_now();
    redis_await(r->redis, &a.op);
    if (a.e != ERR_OK)
        return errbuf_set(eb, a.e, "Redis does not answer");
    if (a.n[0] != r->shards)
        return errbuf_set(eb, ERR_CONFIG,
                          "LW_SHARDS is %u but this Redis was set up with %lld: set it to that",
                          r->shards, (long long)a.n[0]);
    if (a.n[1] != 1)
        return errbuf_set(eb, ERR_CONFIG, "Redis holds schema %lld, this program knows 1",
                          (long long)a.n[1]);
    int64_t behind_ms = a.n[2] - wall_now().ms, ahead_ms = before.ms - a.n[2];
    if (behind_ms > SKEW_MAX_MS || ahead_ms > SKEW_MAX_MS) /* later on only: not ready */
        return errbuf_set(eb, atomic_load(&r->checked) ? ERR_RANGE : ERR_CONFIG,
                          "the clock here and that of Redis differ by %lld ms",
                          (long long)(behind_ms > ahead_ms ? behind_ms : ahead_ms));
    atomic_store(&r->checked, true);
    return ERR_OK;
}

enum err repo_watch(struct repo *r, mono_t now, struct errbuf *eb)
{
    if (mono_until_ms(now, r->next_check) == 0) {
        enum err before = r->last_check;
        r->last_check = check(r, &r->last_why);
        r->next_check = mono_after_ms(now, CHECK_EVERY_MS);
        if (r->last_check == ERR_RANGE && before != ERR_RANGE)
            LOG(ERROR, "clock.differs", F_STR("detail", r->last_why.text));
    }
    *eb = r->last_why;
    return r->last_check;
}
