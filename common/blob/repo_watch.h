/* repo_watch.h - one look at the facts that all services must agree on; between the files of repo
 * only. */
#ifndef BLOB_REPO_WATCH_H
#define BLOB_REPO_WATCH_H

#include "blob/repo.h"
#include "net/redis_profile.h"

struct look {
    struct redis_op op;
    enum err e;
    int64_t shards, schema, now_ms;
    char epoch[UUID_LEN + 1]; /* "": none */
    struct redis_profile profile;
};

/* agree: writes number of shards and schema if nobody has; establish: the epoch to write if there
 * is none, or "".  Sleeps. */
void look_at_facts(struct repo *r, bool agree, struct str establish, struct look *out);

#endif
