/* look.c - asks S3 about one object. */
#include "base/log.h"
#include "upload-watcher/watcher.h"

static enum err read_answer(struct look *l, const struct httpc_req *rq, enum s3_verdict verdict)
{
    struct s3_object object;
    if (verdict == S3_ABSENT || (verdict == S3_OK && rq->status == 204)) /* 204: deleted */
        return ERR_OK;
    if (verdict != S3_OK || s3_object(rq, &object) != ERR_OK ||
        str_copy(l->etag, sizeof l->etag, object.etag) != ERR_OK)
        return ERR_IO;
    l->found.type = LIFE_UPLOADED;
    l->found.size = object.size;
    l->found.etag = str_of(l->etag);
    return ERR_OK;
}

static void complain(const struct httpc_req *rq, enum s3_verdict verdict)
{
    LOG(WARN, "s3.look_failed", F_INT("status", rq->status), F_VIEW("code", s3_error_code(rq)),
        F_STR("why", rq->why),
        F_STR("hint", verdict == S3_DENIED ? "check the keys; s3:ListBucket is needed to tell a "
                                             "missing object from a forbidden one"
                                           : ""));
}

static void answered(struct httpc_req *rq, enum err e)
{
    struct look *l = rq->owner;
    if (e != ERR_CLOSED) {
        enum s3_verdict verdict = s3_verdict(rq, e);
        e = read_answer(l, rq, verdict);
        if (e != ERR_OK)
            complain(rq, verdict);
    }
    s3_req_fini(&l->request);
    l->w->looking--;
    l->done(l, e);
}

static void start(struct watcher *w, struct look *l, const char *method, struct str object_key)
{
    l->w = w;
    l->found = (struct life_event){ .type = LIFE_ABSENT };
    if (w->looking == WATCHER_LOOKS_MAX) {
        l->done(l, ERR_FULL);
        return;
    }
    const struct s3_ask ask = { .method = method, .key = object_key };
    enum err e = s3_request(&w->s3, &l->request, &ask, wall_now());
    if (e != ERR_OK) {
        s3_req_fini(&l->request);
        l->done(l, e);
        return;
    }
    l->request.http.done = answered;
    l->request.http.owner = l;
    w->looking++;
    httpc_start(w->http, &l->request.http);
}

void look_start(struct watcher *w, struct look *l, struct str object_key)
{
    start(w, l, "HEAD", object_key);
}

void look_erase(struct watcher *w, struct look *l, struct str object_key)
{
    start(w, l, "DELETE", object_key);
}
