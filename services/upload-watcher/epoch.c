/* epoch.c - compares Redis with the bucket, and begins a new installation.
 *
 * One question to S3 at a time: GET, then perhaps PUT.  While S3 cannot be reached the work goes
 * on: Redis by itself tells whether its data is still there.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "blob/epoch.h"
#include "upload-watcher/watcher.h"

#define ASK_MS       3000
#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 15000
#define WELL_MS      60000 /* between two looks while all is well */

struct epoch {
    struct watcher *w;
    struct s3_req request;
    bool asking, failing;
    bool well; /* at the last turn */
    mono_t next;
    int64_t pause_ms;
    enum epoch_verdict verdict;
    char text[UUID_LEN + 1]; /* what is written to the bucket */
};

static void again_in(struct epoch *e, int64_t ms)
{
    e->next = mono_after_ms(mono_now(), ms);
}

static void ask(struct epoch *e, const char *method, struct str body,
                void (*done)(struct httpc_req *, enum err))
{
    const struct s3_ask what = { .method = method, .key = S(OBJECT_EPOCH), .body = body };
    e->request.http.total_ms = ASK_MS;
    e->request.http.done = done;
    e->request.http.owner = e;
    if (s3_request(&e->w->s3, &e->request, &what, wall_now()) != ERR_OK) {
        again_in(e, PAUSE_MAX_MS);
        return;
    }
    e->asking = true;
    httpc_start(e->w->http, &e->request.http);
}

/* True when S3 could say.  The first failure of a row is logged. */
static bool heard(struct epoch *e, struct httpc_req *rq, enum s3_verdict verdict)
{
    bool good = verdict == S3_OK || verdict == S3_ABSENT;
    e->asking = false;
    if (!good && !e->failing)
        LOG(WARN, "epoch.bucket_silent", F_STR("method", rq->method), F_INT("status", rq->status),
            F_VIEW("code", s3_error_code(rq)), F_STR("why", rq->why),
            F_STR("hint", "s3:GetObject and s3:PutObject on " OBJECT_EPOCH
                          " and s3:ListBucket are needed"));
    if (!good) {
        int64_t longer_ms = e->failing ? 2 * e->pause_ms : PAUSE_MIN_MS;
        e->pause_ms = longer_ms < PAUSE_MAX_MS ? longer_ms : PAUSE_MAX_MS;
        e->failing = true;
    }
    again_in(e, e->failing ? e->pause_ms : PAUSE_MIN_MS);
    return good;
}

static void written(struct httpc_req *rq, enum err err)
{
    struct epoch *e = rq->owner;
    if (err != ERR_CLOSED && heard(e, rq, s3_verdict(rq, err))) {
        LOG(INFO, "epoch.mirrored", F_STR("epoch", e->text));
        again_in(e, 0);
    }
}

/* Not where an epoch was seen that the bucket had not heard of yet: that is a loss too. */
static void establish(struct epoch *e)
{
    if (e->w->repo.epoch[0] == '\0' && repo_establish(&e->w->repo) == ERR_OK)
        again_in(e, 0);
}

static void act(struct epoch *e, const struct repo_epoch *redis, struct str mirror)
{
    enum epoch_verdict before = e->verdict;
    e->verdict = epoch_judge(str_of(redis->facts), redis->differing, mirror);
    bool foreign = e->verdict >= EPOCH_LOST;
    if (e->verdict != before && foreign)
        LOG(ERROR, "redis.data_lost", F_STR("reason", epoch_text(e->verdict)),
            F_STR("epoch", redis->facts), F_VIEW("bucket", mirror),
            F_INT("shards_without", redis->differing),
            F_STR("hint", "restore Redis, or let LW_REDIS_URL and LW_S3_BUCKET lead to those that "
                          "belong together: all goes on by itself.  If the data is gone for good: "
                          "labelwire setup epoch --accept-loss, then restart every service"));
    repo_say_foreign(&e->w->repo, foreign);
    if (e->verdict != EPOCH_UNMIRRORED) /* else reading is not all that must work */
        e->failing = false;
    (void)!str_copy(e->text, sizeof e->text, str_of(redis->facts));
    if (e->verdict == EPOCH_GOOD)
        again_in(e, WELL_MS);
    else if (e->verdict == EPOCH_FRESH)
        establish(e);
    else if (e->verdict == EPOCH_UNMIRRORED)
        ask(e, "PUT", str_of(e->text), written);
}

static void answered(struct httpc_req *rq, enum err err)
{
    struct epoch *e = rq->owner;
    enum s3_verdict verdict = s3_verdict(rq, err);
    struct repo_epoch redis;
    char mirror[UUID_LEN + 2]; /* one more, so that what is too long is not like it */
    if (err == ERR_CLOSED || !heard(e, rq, verdict))
        return;
    struct str text = verdict == S3_OK ? str_trim(buf_str(&rq->answer)) : S("");
    if (str_copy(mirror, sizeof mirror, str_head(text, UUID_LEN + 1)) == ERR_OK &&
        repo_epoch(&e->w->repo, &redis) == ERR_OK)
        act(e, &redis, str_of(mirror));
}

void epoch_turn(struct epoch *e, mono_t now)
{
    bool well = atomic_load(&e->w->repo.checked);
    if (e->asking)
        return;
    if (e->well && !well) /* what was compared is not so any more */
        e->next = (mono_t){ 0 };
    e->well = well;
    if (mono_until_ms(now, e->next) == 0)
        ask(e, "GET", STR_NONE, answered);
}

struct epoch *epoch_new(struct watcher *w)
{
    struct epoch *e = xcalloc(1, sizeof *e);
    e->w = w;
    return e;
}

void epoch_free(struct epoch *e)
{
    if (e != NULL)
        s3_req_fini(&e->request);
    free(e);
}
