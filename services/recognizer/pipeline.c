#include "recognizer/pipeline.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "recognizer/item.h"
#include "recognizer/object.h"

#define HEAD_RANGE "bytes=0-65535"
_Static_assert(IMAGE_HEAD_BYTES == 65536, "HEAD_RANGE asks for these bytes");

/* ---- Rekognition */

static void broken_answer(struct item *it, const char *detail)
{
    if (it->change.b.tries == 0) /* once may be an accident */
        item_postpone(it, false, "bad_answer", detail);
    else
        item_reject(it, RESULT_ERROR, "bad_answer", detail);
}

static void take_labels(struct item *it)
{
    const struct blob *b = &it->change.b;
    enum err e =
        labels_from_rekognition(&it->labels, buf_str(&it->call.rq.http.answer), b->max_labels,
                                (double)b->min_confidence, it->model, &it->why);
    if (e != ERR_OK) {
        broken_answer(it, it->why.text);
        return;
    }
    item_labeled(it);
}

static void answered(struct call *c, enum err e)
{
    struct item *it = c->owner;
    const char *code = rekog_verdict_name(c->verdict), *message = c->error.message;
    if (e == ERR_CLOSED) {
        item_end(it, e);
        return;
    }
    if (e != ERR_OK) {
        item_postpone(it, false, "not_sent", err_name(e));
        return;
    }
    switch (c->verdict) {
    case REKOG_OK:
        take_labels(it);
        return;
    case REKOG_INVALID_IMAGE:
        item_reject(it, RESULT_INVALID, "invalid_image", message);
        return;
    case REKOG_TOO_LARGE:
        item_reject(it, RESULT_TOO_LARGE, "too_large", message);
        return;
    case REKOG_THROTTLED:
    case REKOG_DENIED:
    case REKOG_EXPIRED_CREDENTIALS:
    case REKOG_CLOCK_SKEW:
        item_postpone(it, true, code, message);
        return;
    case REKOG_BROKEN:
    case REKOG_TRANSIENT:
    case REKOG_NO_OBJECT:
        break;
    }
    LOG(WARN, "rekognition.failed", F_STR("blob", it->change.b.id), F_STR("verdict", code),
        F_STR("code", c->error.code), F_STR("message", message), F_INT("status", c->rq.http.status),
        F_STR("hint", c->rq.http.status > 0
                          ? ""
                          : "is it Rekognition that answers at LW_REKOGNITION_ENDPOINT?"));
    if (c->verdict == REKOG_BROKEN)
        broken_answer(it, message);
    else
        item_postpone(it, item_in_outage(it, c->p->through), code, message);
}

static void call(struct item *it, struct str image)
{
    struct pipeline *p = it->p;
    const struct blob *b = &it->change.b;
    struct rekog_ask ask = { .max_labels = b->max_labels,
                             .min_confidence = (double)b->min_confidence };
    if (p->caller.rekog.by_reference) {
        ask.bucket = p->bucket;
        ask.key = str_of(b->object_key);
    } else {
        ask.image = image;
    }
    it->call.done = answered;
    enum err e = call_start(&it->call, &ask, it->lease_end);
    s3_req_fini(&it->object); /* the bytes are in the request now */
    if (e != ERR_OK)
        item_postpone(it, false, "not_sent", err_name(e));
}

/* ---- the object */

/* Half a picture would be called invalid, which is not its owner's fault. */
static void came_short(struct item *it)
{
    item_postpone(it, false, "s3_unavailable", "S3 handed out less than all of the object.");
}

static void got_whole(struct httpc_req *rq, enum err e)
{
    struct item *it = rq->owner;
    if (!object_got(it, rq, e))
        return;
    if ((int64_t)rq->answer.n == it->change.b.size)
        call(it, buf_str(&rq->answer));
    else
        came_short(it);
}

static void probed(struct repo_change *c, enum err e)
{
    struct item *it = c->owner;
    FAILPOINT("recognizer.probed");
    if (e != ERR_OK) {
        item_end(it, e); /* superseded: whoever did that goes on */
        return;
    }
    struct str head = buf_str(&it->object.http.answer);
    if (it->p->caller.rekog.by_reference || (int64_t)head.n == c->b.size)
        call(it, head);
    else
        object_get(it, STR_NONE, IMAGE_BYTES_MAX_BY_VALUE, got_whole);
}

static void got_head(struct httpc_req *rq, enum err e)
{
    struct item *it = rq->owner;
    FAILPOINT("recognizer.fetched");
    bool empty = e == ERR_OK && rq->status == 416; /* no first byte: nothing was uploaded */
    if (!empty && !object_got(it, rq, e))
        return;
    struct s3_object found = { .size = 0 };
    if (!empty && s3_object(rq, &found) != ERR_OK) {
        item_postpone(it, false, "s3_unavailable", "S3 did not say how large the object is.");
        return;
    }
    int64_t want = found.size < IMAGE_HEAD_BYTES ? found.size : IMAGE_HEAD_BYTES;
    if ((int64_t)rq->answer.n < want) {
        came_short(it);
        return;
    }
    image_probe(empty ? STR_NONE : buf_str(&rq->answer), (uint64_t)found.size,
                it->p->caller.rekog.by_reference ? IMAGE_BYTES_MAX_BY_REFERENCE
                                                 : IMAGE_BYTES_MAX_BY_VALUE,
                &it->image);
    if (it->image.verdict == IMAGE_INVALID) {
        item_reject(it, RESULT_INVALID, "invalid_image", it->image.reason);
    } else if (it->image.verdict == IMAGE_TOO_LARGE) {
        item_reject(it, RESULT_TOO_LARGE, "too_large", it->image.reason);
    } else {
        it->change.ev = (struct life_event){
            .type = LIFE_PROBED,
            .fence = it->change.b.seq,
            .content_type = str_of(image_content_type(it->image.format)),
            .size = found.size,
            .width = it->image.width,
            .height = it->image.height,
        };
        it->change.done = probed;
        it->lease_end = mono_after_ms(mono_now(), it->p->worker.repo.policy->recognize_lease_ms);
        repo_apply(&it->p->worker.repo, &it->change);
    }
}

/* ---- the first step */

static void started(struct repo_change *c, enum err e)
{
    struct item *it = c->owner;
    FAILPOINT("recognizer.started");
    if (e != ERR_OK || c->b.phase != PHASE_RECOGNIZING)
        item_end(it, e); /* not queued any more, or given up: nothing to do */
    else
        object_get(it, S(HEAD_RANGE), IMAGE_HEAD_BYTES, got_head);
}

static void take(struct worker *w, const struct event_work *work, struct kafka_ticket ticket)
{
    FAILPOINT("recognizer.taken");
    struct pipeline *p = (struct pipeline *)w;
    struct item *it = item_new(p, str_of(work->id), ticket);
    call_reserve(&it->call, &p->caller);
    it->change.ev.type = LIFE_RECOGNIZE_START;
    it->change.done = started;
    repo_apply(&w->repo, &it->change);
}

/* ---- with the worker's loop */

static int64_t hold_ms(struct worker *w, mono_t now)
{
    return caller_wait_ms(&((struct pipeline *)w)->caller, now);
}

static int64_t move_on(struct worker *w, mono_t now)
{
    return caller_turn(&((struct pipeline *)w)->caller, now);
}

void pipeline_init(struct pipeline *p)
{
    p->worker.take = take;
    p->worker.hold_ms = hold_ms;
    p->worker.move_on = move_on;
}
