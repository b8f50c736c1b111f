#include "blob/epoch.h"

enum epoch_verdict epoch_judge(struct str redis, unsigned differing, struct str mirror)
{
    if (redis.n == 0)
        return mirror.n == 0 ? EPOCH_FRESH : EPOCH_LOST;
    if (mirror.n > 0 && !str_eq(redis, mirror))
        return EPOCH_OTHER;
    if (differing > 0)
        return EPOCH_PARTLY;
    return mirror.n == 0 ? EPOCH_UNMIRRORED : EPOCH_GOOD;
}

const char *epoch_text(enum epoch_verdict v)
{
    switch (v) {
    case EPOCH_GOOD:
        return "Redis and the bucket go together";
    case EPOCH_FRESH:
        return "a new installation: the upload-watcher gives it an epoch";
    case EPOCH_UNMIRRORED:
        return "the bucket has no epoch: the upload-watcher writes it there";
    case EPOCH_LOST:
        return "Redis lost its data";
    case EPOCH_PARTLY:
        return "some shards of Redis lost their data";
    case EPOCH_OTHER:
        return "Redis and the bucket do not go together: one of them is another's, or was "
               "restored from something else";
    }
    return "";
}
