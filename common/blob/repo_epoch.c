/* The part of repo.h that tells lost data from blobs that never were.
 *
 * The shards are written before the facts: who finds an epoch in the facts may rely on the
 * shards.  Shard 0 decides, so that two who begin at the same time, or one who goes on where
 * another died, establish one epoch. */
#include "base/rand.h"
#include "blob/repo.h"
#include "blob/repo_op.h"
#include "blob/repo_watch.h"

struct ask {
    struct redis_op op;
    enum err e;
    char epoch[UUID_LEN + 1];
};

static void answered(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct ask *a = (struct ask *)((char *)op - offsetof(struct ask, op));
    a->e = e == ERR_OK ? str_copy(a->epoch, sizeof a->epoch, redis_text(v)) : e;
}

/* epoch: what to establish where there is none, or ""; becomes what is there. */
static enum err shard_epoch(struct repo *r, unsigned shard, char epoch[UUID_LEN + 1])
{
    struct ask a = { .e = ERR_OK };
    struct key key;
    keys_of_shard(&key, KEY_EPOCH, shard);
    op_init(&a.op, SCRIPT_epoch, answered);
    op_key(&a.op, &key);
    op_arg(&a.op, str_of(epoch));
    redis_await(r->redis, &a.op);
    return a.e != ERR_OK ? a.e : str_copy(epoch, UUID_LEN + 1, str_of(a.epoch));
}

enum err repo_epoch(struct repo *r, struct repo_epoch *out)
{
    struct look look;
    look_at_facts(r, false, S(""), &look);
    *out = (struct repo_epoch){ .differing = 0 };
    enum err e =
        look.e != ERR_OK ? look.e : str_copy(out->facts, sizeof out->facts, str_of(look.epoch));
    for (unsigned i = 0; i < r->shards && e == ERR_OK; i++) {
        char epoch[UUID_LEN + 1] = "";
        e = shard_epoch(r, i, epoch);
        out->differing += !str_eq(str_of(epoch), str_of(out->facts));
    }
    return e;
}

enum err repo_establish(struct repo *r)
{
    char first[UUID_LEN + 1];
    rand_uuid(first);
    enum err e = shard_epoch(r, 0, first);
    for (unsigned i = 1; i < r->shards && e == ERR_OK; i++) {
        char epoch[UUID_LEN + 1];
        (void)!str_copy(epoch, sizeof epoch, str_of(first));
        e = shard_epoch(r, i, epoch);
    }
    if (e != ERR_OK)
        return e;
    struct look look;
    look_at_facts(r, true, str_of(first), &look);
    r->next_check = (mono_t){ 0 };
    return look.e;
}
