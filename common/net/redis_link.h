/* redis_link.h - the connection under redis.c: address, login, scripts, growing pauses.
 *
 * Internal to redis*.c, the home of hiredis.
 * Thread   one at a time; .up from any.
 */
#ifndef NET_REDIS_LINK_H
#define NET_REDIS_LINK_H

#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <sys/time.h>

#include "net/redis.h"

#define REDIS_SHA_LEN 40U

struct redis_address {
    char host[256], user[128], password[256];
    int port, db;
};

struct redis_link {
    struct redis_address to;
    int64_t timeout_ms;
    const struct redis_script *scripts;
    size_t n_scripts;
    char (*sha)[REDIS_SHA_LEN + 1]; /* of each script, as the server told it */
    redisContext *ctx;              /* NULL: not connected */
    mono_t next_connect;
    int64_t pause_ms;
    atomic_bool up;
};

MUSTUSE enum err redis_link_init(struct redis_link *l, const struct redis_conf *c,
                                 const struct redis_script *scripts, size_t n_scripts,
                                 struct errbuf *eb);
void redis_link_fini(struct redis_link *l);

/* Connects, logs in and loads the scripts if that is not done yet; false while the server is
 * away and while the pause after a failure lasts. */
bool redis_link_ready(struct redis_link *l);
void redis_link_drop(struct redis_link *l);
bool redis_link_load_scripts(struct redis_link *l);

static inline struct timeval redis_in_ms(int64_t ms)
{
    return (struct timeval){ ms / 1000, ms % 1000 * 1000 };
}

#endif
