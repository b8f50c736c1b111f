/* The part of repo.h that is about a whole shard: its due timers and its outbox. */
#include "blob/repo.h"
#include "blob/repo_op.h"

/* ---- timers */

static void claimed(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct repo_claim *c = (struct repo_claim *)((char *)op - offsetof(struct repo_claim, op));
    size_t n = 0;
    c->due = redis_int(redis_at(v, 0));
    c->late_ms = redis_int(redis_at(v, 1));
    c->held_until_ms = redis_int(redis_at(v, 2));
    for (size_t i = 3; i < redis_len(v) && n < REPO_CLAIM_MAX; i++)
        if (str_copy(c->ids[n], sizeof c->ids[n], redis_text(redis_at(v, i))) == ERR_OK)
            n++;
    c->done(c, e, n);
}

void repo_claim(struct repo *r, struct repo_claim *c, int64_t hold_ms)
{
    _Static_assert(REPO_CLAIM_MAX == 64, "the argument below is this number");
    keys_of_shard(&c->key, KEY_TIMERS, c->shard);
    op_number(c->hold, hold_ms);
    op_init(&c->op, SCRIPT_claim, claimed);
    op_key(&c->op, &c->key);
    op_arg(&c->op, S("64"));
    op_arg(&c->op, str_of(c->hold));
    redis_submit(r->redis, &c->op);
}

static void counted(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct repo_count *c = (struct repo_count *)((char *)op - offsetof(struct repo_count, op));
    c->n = redis_int(redis_at(v, 0));
    c->oldest_ms = redis_int(redis_at(v, 1));
    c->done(c, e);
}

void repo_count(struct repo *r, struct repo_count *c)
{
    if (c->phase == PHASE_FINISHED)
        keys_of_shard(&c->key, KEY_TIMERS, c->shard);
    else
        keys_of_phase(&c->key, c->phase, c->shard);
    op_init(&c->op, SCRIPT_oldest, counted);
    op_key(&c->op, &c->key);
    redis_submit(r->redis, &c->op);
}

/* ---- the relay's steps */

enum err repo_lead(struct repo *r, unsigned shard, struct str who, int64_t lease_ms)
{
    struct op_answer a = { .e = ERR_OK };
    struct key key;
    char lease[24];
    keys_of_shard(&key, KEY_RELAY, shard);
    op_number(lease, lease_ms);
    op_init(&a.op, SCRIPT_lead, op_keep_answer);
    op_key(&a.op, &key);
    op_arg(&a.op, who);
    op_arg(&a.op, str_of(lease));
    redis_await(r->redis, &a.op);
    return a.e != ERR_OK ? a.e : a.n[0] == 1 ? ERR_OK : ERR_CONFLICT;
}

enum err repo_trim(struct repo *r, unsigned shard, struct str who, struct str last_id,
                   struct repo_outbox_state *left)
{
    struct op_answer a = { .e = ERR_OK };
    struct key keys[2];
    keys_of_shard(&keys[0], KEY_RELAY, shard);
    keys_of_shard(&keys[1], KEY_OUTBOX, shard);
    op_init(&a.op, SCRIPT_trim, op_keep_answer);
    op_key(&a.op, &keys[0]);
    op_key(&a.op, &keys[1]);
    op_arg(&a.op, who);
    op_arg(&a.op, last_id);
    redis_await(r->redis, &a.op);
    *left = (struct repo_outbox_state){ a.n[0], a.n[1] };
    return a.e != ERR_OK ? a.e : a.n[0] < 0 ? ERR_CONFLICT : ERR_OK;
}
