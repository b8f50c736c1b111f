/* look.c - asks S3 about one object. */
#include "base/log.h"
#include "upload-watcher/watcher.h"

#define BUCKET_SEEN_MS 1000 /* so long the bucket is believed to be there still */

/* After so many failures in a row one at a time asks, and not before the pause is over: a store
 * in trouble is not helped by all that wait for it. */
#define FAILURES_MAX 16
#define PAUSE_MS     1000

static bool may_start(const struct watcher *w, const struct asking *a)
{
    if (a->failed < FAILURES_MAX)
        return w->looks.n + w->erasures.n < WATCHER_LOOKS_MAX;
    return a->n == 0 && mono_until_ms(mono_now(), a->pause) == 0;
}

static void finish(struct look *l, enum err e)
{
    struct asking *a = l->among;
    s3_req_fini(&l->request);
    a->n--;
    a->failed = e == ERR_OK ? 0 : a->failed + 1;
    a->pause = mono_after_ms(mono_now(), PAUSE_MS);
    l->done(l, e);
}

static void ask(struct look *l, const char *method, struct str object_key,
                void (*done)(struct httpc_req *, enum err))
{
    const struct s3_ask ask = { .method = method, .key = object_key };
    l->request.http.total_ms = mono_until_ms(mono_now(), l->deadline) + 1; /* 0 is no limit */
    enum err e = s3_request(&l->w->s3, &l->request, &ask, wall_now());
    if (e != ERR_OK) {
        finish(l, e);
        return;
    }
    l->request.http.done = done;
    l->request.http.owner = l;
    httpc_start(l->w->http, &l->request.http);
}

static void complain(const struct httpc_req *rq, enum err e)
{
    LOG(WARN, "s3.look_failed", F_INT("status", rq->status), F_VIEW("code", s3_error_code(rq)),
        F_STR("why", rq->why), F_STR("hint", s3_hint(rq, e)));
}

/* ERR_OK: l->found says what is there.  An object without an etag could not be told from one
 * that replaces it. */
static enum err read_object(struct look *l, const struct httpc_req *rq)
{
    struct s3_object object;
    if (s3_object(rq, &object) != ERR_OK || object.etag.n == 0 ||
        str_copy(l->etag, sizeof l->etag, object.etag) != ERR_OK)
        return ERR_IO;
    l->found.type = LIFE_UPLOADED;
    l->found.size = object.size;
    l->found.etag = str_of(l->etag);
    return ERR_OK;
}

static void bucket_seen(struct watcher *w)
{
    w->bucket_is_there = mono_after_ms(mono_now(), BUCKET_SEEN_MS);
}

static void looked_at_bucket(struct httpc_req *rq, enum err e)
{
    struct look *l = rq->owner;
    bool there = s3_verdict(rq, e) == S3_OK;
    if (there)
        bucket_seen(l->w);
    else if (e != ERR_CLOSED)
        complain(rq, e);
    finish(l, there ? ERR_OK : e == ERR_CLOSED ? e : ERR_IO);
}

/* The answer to a HEAD has no body to tell a missing object from a missing bucket: before the
 * uploader is told that nothing came, the bucket must be there. */
static void absent(struct look *l)
{
    if (mono_until_ms(mono_now(), l->w->bucket_is_there) > 0)
        finish(l, ERR_OK);
    else
        ask(l, "HEAD", STR_NONE, looked_at_bucket);
}

static void looked(struct httpc_req *rq, enum err e)
{
    struct look *l = rq->owner;
    enum s3_verdict verdict = s3_verdict(rq, e);
    if (e == ERR_CLOSED) {
        finish(l, e);
    } else if (verdict == S3_ABSENT) {
        absent(l);
    } else if (verdict == S3_OK && read_object(l, rq) == ERR_OK) {
        bucket_seen(l->w);
        finish(l, ERR_OK);
    } else {
        complain(rq, e);
        finish(l, ERR_IO);
    }
}

static void erased(struct httpc_req *rq, enum err e)
{
    enum s3_verdict verdict = s3_verdict(rq, e);
    bool gone = verdict == S3_OK || verdict == S3_ABSENT;
    if (!gone && e != ERR_CLOSED)
        complain(rq, e);
    finish(rq->owner, gone ? ERR_OK : e == ERR_CLOSED ? e : ERR_IO);
}

static void start(struct watcher *w, struct asking *among, struct look *l, const char *method,
                  struct str object_key, void (*done)(struct httpc_req *, enum err))
{
    l->w = w;
    l->among = among;
    l->deadline = mono_after_ms(mono_now(), w->s3.timeout_ms);
    l->found = (struct life_event){ .type = LIFE_ABSENT };
    if (!may_start(w, among)) {
        l->done(l, ERR_FULL);
        return;
    }
    among->n++;
    ask(l, method, object_key, done);
}

void look_start(struct watcher *w, struct look *l, struct str object_key)
{
    start(w, &w->looks, l, "HEAD", object_key, looked);
}

void look_erase(struct watcher *w, struct look *l, struct str object_key)
{
    start(w, &w->erasures, l, "DELETE", object_key, erased);
}
