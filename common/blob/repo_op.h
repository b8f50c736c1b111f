/* repo_op.h - a script call put together; between the files of repo only. */
#ifndef BLOB_REPO_OP_H
#define BLOB_REPO_OP_H

#include "blob/keys.h"
#include "blob/script.h"
#include "net/redis.h"

void op_number(char dst[24], int64_t n);
/* script: of enum script, or REDIS_PLAIN */
void op_init(struct redis_op *op, unsigned script,
             void (*done)(struct redis_op *, enum err, const struct redis_val *));
void op_key(struct redis_op *op, const struct key *k); /* k is borrowed until done() */
void op_arg(struct redis_op *op, struct str arg);      /* and so is this */

struct op_answer { /* of a script whose caller sleeps for it */
    struct redis_op op;
    enum err e;
    int64_t n[3]; /* the answer, or its first items */
};

void op_keep_answer(struct redis_op *op, enum err e, const struct redis_val *v); /* a done() */

#endif
