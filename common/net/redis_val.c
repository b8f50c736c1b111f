/* A redis_val is a redisReply that nobody else may look into. */
#include <hiredis/hiredis.h>

#include "net/redis.h"

static const redisReply *reply_of(const struct redis_val *v)
{
    static const redisReply nil = { .type = REDIS_REPLY_NIL };
    return v == NULL ? &nil : (const redisReply *)v;
}

enum redis_type redis_type(const struct redis_val *v)
{
    switch (reply_of(v)->type) {
    case REDIS_REPLY_INTEGER:
        return REDIS_INT;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return REDIS_TEXT;
    case REDIS_REPLY_ARRAY:
        return REDIS_LIST;
    default:
        return REDIS_NIL;
    }
}

struct str redis_text(const struct redis_val *v)
{
    const redisReply *reply = reply_of(v);
    return redis_type(v) == REDIS_TEXT ? (struct str){ reply->str, (size_t)reply->len } : STR_NONE;
}

int64_t redis_int(const struct redis_val *v)
{
    int64_t n = 0;
    if (redis_type(v) == REDIS_INT)
        return reply_of(v)->integer;
    return str_to_i64(redis_text(v), &n) == ERR_OK ? n : 0;
}

size_t redis_len(const struct redis_val *v)
{
    return redis_type(v) == REDIS_LIST ? reply_of(v)->elements : 0;
}

const struct redis_val *redis_at(const struct redis_val *v, size_t i)
{
    return i < redis_len(v) ? (const struct redis_val *)reply_of(v)->element[i] : NULL;
}
