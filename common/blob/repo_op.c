#include "blob/repo_op.h"

#include <assert.h>
#include <stdio.h>

void op_number(char dst[24], int64_t n)
{
    (void)snprintf(dst, 24, "%lld", (long long)n);
}

void op_init(struct redis_op *op, unsigned script,
             void (*done)(struct redis_op *, enum err, const struct redis_val *))
{
    op->script = script;
    op->replicate = false;
    op->nkeys = op->nargs = 0;
    op->deadline = (mono_t){ 0 };
    op->done = done;
}

void op_key(struct redis_op *op, const struct key *k)
{
    assert(op->nkeys < REDIS_KEYS_MAX);
    op->key[op->nkeys++] = str_of(k->text);
}

void op_arg(struct redis_op *op, struct str arg)
{
    assert(op->nargs < REDIS_ARGS_MAX);
    op->arg[op->nargs++] = arg;
}

void op_keep_answer(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct op_answer *a = (struct op_answer *)((char *)op - offsetof(struct op_answer, op));
    a->e = e;
    a->n[0] = redis_int(v);
    for (size_t i = 0; i < N_OF(a->n) && i < redis_len(v); i++)
        a->n[i] = redis_int(redis_at(v, i));
}
