/* script.h - the Lua scripts, embedded at build time from lua/NAME.lua, in one table. */
#ifndef BLOB_SCRIPT_H
#define BLOB_SCRIPT_H

#include "net/redis.h"

#define SCRIPT_LIST(X)                                                                             \
    X(create) X(transition) X(read) X(claim) X(lead) X(trim) X(meta) X(epoch) X(oldest)

enum script {
#define X(name) SCRIPT_##name,
    SCRIPT_LIST(X)
#undef X
        SCRIPT_N,
};

extern const struct redis_script scripts[SCRIPT_N];

#endif
