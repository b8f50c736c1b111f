/* redis_profile.h - what a Redis server says about itself in INFO and CONFIG GET, and whether that
 * is enough to be trusted with records.  Pure.
 *
 * Source   INFO and CONFIG GET in the Redis documentation of commands, "Redis persistence",
 *          redis.conf of 7.0.
 */
#ifndef NET_REDIS_PROFILE_H
#define NET_REDIS_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum redis_durability {
    REDIS_STRICT,   /* an acknowledged write survives a crash of the process or the machine */
    REDIS_STANDARD, /* the last seconds may be lost */
};

enum redis_setting {
    REDIS_APPENDONLY,
    REDIS_APPENDFSYNC,
    REDIS_NO_FSYNC_ON_REWRITE,
    REDIS_MAXMEMORY_POLICY,
    REDIS_SETTINGS_N,
};

struct redis_profile {
    char setting[REDIS_SETTINGS_N][32]; /* as in redis.conf; "": unknown */
    int64_t used_bytes, max_bytes;      /* of memory; max_bytes 0: no limit */
    unsigned replicas;                  /* connected, and past their first copy */
    bool read_only;                     /* it is a replica itself */
};

/* Takes what is of interest from lines "name:value"; the rest of *p stays. */
void redis_profile_info(struct redis_profile *p, struct str info);
/* Takes one parameter of CONFIG GET. */
void redis_profile_config(struct redis_profile *p, struct str name, struct str value);

/* ERR_CONFIG: a known setting is not what is wanted; eb names it, what it is, and the ways out. */
MUSTUSE enum err redis_profile_check(const struct redis_profile *p, enum redis_durability want,
                                     struct errbuf *eb);
/* Appends the names of the settings that the server does not tell, with commas. */
void redis_profile_unknown(const struct redis_profile *p, struct buf *out);

/* Whether memory is so scarce that nothing new may begin; from 80 % of the limit on until it is
 * below 75 %. */
bool redis_profile_crowded(const struct redis_profile *p, bool was);

#endif
