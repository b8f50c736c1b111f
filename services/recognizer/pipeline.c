#include "recognizer/pipeline.h"

#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "blob/labels.h"
#include "recognizer/image.h"

#define HEAD_RANGE "bytes=0-65535"
_Static_assert(IMAGE_HEAD_BYTES == 65536, "HEAD_RANGE asks for these bytes");

enum { M_LABELED, M_INVALID, M_TOO_LARGE, M_FAILED, M_POSTPONED, M_CALLS };
#define RESULTS "labelwire_recognizer_results_total"
static struct metric metrics[] = {
    [M_LABELED] = { RESULTS, "result=\"labels\"", "Recognitions by how they ended.", METRIC_COUNTER,
                    0 },
    [M_INVALID] = { RESULTS, "result=\"invalid\"", NULL, METRIC_COUNTER, 0 },
    [M_TOO_LARGE] = { RESULTS, "result=\"too-large\"", NULL, METRIC_COUNTER, 0 },
    [M_FAILED] = { RESULTS, "result=\"error\"", NULL, METRIC_COUNTER, 0 },
    [M_POSTPONED] = { RESULTS, "result=\"postponed\"", NULL, METRIC_COUNTER, 0 },
    [M_CALLS] = { "labelwire_recognizer_calls_total", NULL, "Paid calls of DetectLabels.",
                  METRIC_COUNTER, 0 },
};
const struct metric_set pipeline_metrics = { metrics, N_OF(metrics) };

/* One blob on its way.  Steps follow one another; only one of the parts is in use at a time. */
struct item {
    struct pipeline *p;
    struct kafka_ticket ticket;
    struct repo_change change;
    struct s3_req object;
    struct rekog_req call;
    struct image_info image;
    struct rekog_error error;
    struct errbuf why; /* of a broken answer; the last transition borrows it */
    struct buf labels;
    char model[LABELS_VERSION_BYTES];
};

static void item_end(struct item *it, enum err e)
{
    struct worker *w = &it->p->worker;
    s3_req_fini(&it->object);
    rekog_req_fini(&it->call);
    buf_fini(&it->labels);
    worker_done(w, it->ticket, e);
    free(it);
}

/* ---- the last step: one transition says how it went */

static void ended(struct repo_change *c, enum err e)
{
    FAILPOINT("recognizer.stored");
    item_end(c->owner, e);
}

static void end_with(struct item *it, const struct life_event *ev)
{
    it->change.ev = *ev;
    it->change.done = ended;
    repo_apply(&it->p->worker.repo, &it->change);
}

static void reject(struct item *it, enum blob_result result, const char *code, const char *detail)
{
    metric_add(&metrics[result == RESULT_INVALID     ? M_INVALID
                        : result == RESULT_TOO_LARGE ? M_TOO_LARGE
                                                     : M_FAILED],
               1);
    end_with(it, &(struct life_event){ .type = LIFE_REJECTED,
                                       .fence = it->change.b.seq,
                                       .result = result,
                                       .code = str_of(code),
                                       .detail = str_of(detail) });
}

static void postpone(struct item *it, const char *code, const char *detail)
{
    metric_add(&metrics[M_POSTPONED], 1);
    end_with(it, &(struct life_event){ .type = LIFE_TRANSIENT,
                                       .fence = it->change.b.seq,
                                       .code = str_of(code),
                                       .detail = str_of(detail) });
}

/* ---- Rekognition */

static void broken_answer(struct item *it, const char *detail)
{
    if (it->change.b.tries == 0) /* once may be an accident */
        postpone(it, "bad_answer", detail);
    else
        reject(it, RESULT_ERROR, "bad_answer", detail);
}

static void take_labels(struct item *it)
{
    const struct blob *b = &it->change.b;
    enum err e = labels_from_rekognition(&it->labels, buf_str(&it->call.http.answer), b->max_labels,
                                         (double)b->min_confidence, it->model, &it->why);
    if (e != ERR_OK) {
        broken_answer(it, it->why.text);
        return;
    }
    metric_add(&metrics[M_LABELED], 1);
    it->change.labels = buf_str(&it->labels);
    end_with(it, &(struct life_event){
                     .type = LIFE_LABELED, .fence = b->seq, .model = str_of(it->model) });
}

static void answered(struct httpc_req *rq, enum err e)
{
    struct item *it = rq->owner;
    FAILPOINT("recognizer.called");
    enum rekog_verdict verdict = rekog_verdict(&it->error, &it->call, e);
    if (e == ERR_CLOSED) {
        item_end(it, e);
        return;
    }
    if (verdict != REKOG_OK)
        LOG(WARN, "rekognition.failed", F_STR("blob", it->change.b.id),
            F_STR("verdict", rekog_verdict_name(verdict)), F_STR("code", it->error.code),
            F_STR("message", it->error.message), F_INT("status", rq->status));
    switch (verdict) {
    case REKOG_OK:
        take_labels(it);
        break;
    case REKOG_INVALID_IMAGE:
        reject(it, RESULT_INVALID, "invalid_image", it->error.message);
        break;
    case REKOG_TOO_LARGE:
        reject(it, RESULT_TOO_LARGE, "too_large", it->error.message);
        break;
    case REKOG_BROKEN:
        broken_answer(it, it->error.message);
        break;
    case REKOG_THROTTLED:
    case REKOG_TRANSIENT:
    case REKOG_NO_OBJECT:
    case REKOG_DENIED:
    case REKOG_EXPIRED_CREDENTIALS:
    case REKOG_CLOCK_SKEW:
        postpone(it, rekog_verdict_name(verdict), it->error.message);
        break;
    }
}

static void call(struct item *it, struct str image)
{
    struct pipeline *p = it->p;
    const struct blob *b = &it->change.b;
    struct rekog_ask ask = { .max_labels = b->max_labels,
                             .min_confidence = (double)b->min_confidence };
    wall_t now = wall_now();
    if (p->rekog.by_reference) {
        ask.bucket = p->bucket;
        ask.key = str_of(b->object_key);
    } else {
        ask.image = image;
    }
    struct cred_keys *keys = cred_hold(p->cred);
    struct sigv4_key key;
    sigv4_key_init(&key, &keys->creds, p->region, S("rekognition"), now);
    enum err e = rekog_prepare(&it->call, &p->rekog, &ask);
    if (e == ERR_OK)
        e = rekog_sign(&it->call, &p->rekog, &key, now);
    cred_release(keys);
    s3_req_fini(&it->object); /* the bytes are in the request now */
    if (e != ERR_OK) {
        postpone(it, "not_sent", err_name(e));
        return;
    }
    it->call.http.done = answered;
    it->call.http.owner = it;
    metric_add(&metrics[M_CALLS], 1);
    httpc_start(p->worker.http, &it->call.http);
}

/* ---- the object */

static void ask_s3(struct item *it, const struct s3_ask *ask, size_t max_answer,
                   void (*done)(struct httpc_req *, enum err))
{
    s3_req_fini(&it->object);
    it->object = (struct s3_req){ .http = { .max_answer = max_answer } };
    enum err e = s3_request(&it->p->s3, &it->object, ask, wall_now());
    if (e != ERR_OK) {
        postpone(it, "not_sent", err_name(e));
        return;
    }
    it->object.http.done = done;
    it->object.http.owner = it;
    httpc_start(it->p->worker.http, &it->object.http);
}

static void get(struct item *it, struct str range, size_t max_answer,
                void (*done)(struct httpc_req *, enum err))
{
    const struct blob *b = &it->change.b;
    ask_s3(it,
           &(struct s3_ask){ .method = "GET",
                             .key = str_of(b->object_key),
                             .range = range,
                             .if_match = str_of(b->etag) },
           max_answer, done);
}

/* The object is another than the one that was announced: this generation is about that one. */
static void replaced(struct httpc_req *rq, enum err e)
{
    struct item *it = rq->owner;
    struct s3_object found;
    if (e == ERR_CLOSED) {
        item_end(it, e);
    } else if (s3_verdict(rq, e) != S3_OK || s3_object(rq, &found) != ERR_OK ||
               str_eq(found.etag, str_of(it->change.b.etag))) {
        postpone(it, "object_changed", "The object was replaced while it was read.");
    } else {
        end_with(it, &(struct life_event){ .type = LIFE_UPLOADED,
                                           .fence = it->change.b.seq,
                                           .etag = found.etag,
                                           .size = found.size });
    }
}

/* True when the answer is the object; else the item goes another way. */
static bool got_object(struct item *it, struct httpc_req *rq, enum err e)
{
    if (e == ERR_CLOSED) {
        item_end(it, e);
        return false;
    }
    switch (s3_verdict(rq, e)) {
    case S3_OK:
        return true;
    case S3_CHANGED:
        ask_s3(it, &(struct s3_ask){ .method = "HEAD", .key = str_of(it->change.b.object_key) },
               S3_ERROR_MAX, replaced);
        return false;
    case S3_ABSENT:
        postpone(it, "object_missing", "The object is not in the bucket.");
        return false;
    case S3_DENIED:
        LOG(ERROR, "s3.denied", F_STR("blob", it->change.b.id), F_INT("status", rq->status),
            F_VIEW("code", s3_error_code(rq)));
        postpone(it, "s3_denied", "S3 refused to hand out the object.");
        return false;
    case S3_RETRY:
        break;
    }
    LOG(WARN, "s3.get_failed", F_STR("blob", it->change.b.id), F_INT("status", rq->status),
        F_STR("why", rq->why));
    postpone(it, "s3_unavailable", "S3 did not hand out the object.");
    return false;
}

static void got_whole(struct httpc_req *rq, enum err e)
{
    struct item *it = rq->owner;
    if (got_object(it, rq, e))
        call(it, buf_str(&rq->answer));
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
    if (it->p->rekog.by_reference || (int64_t)head.n == c->b.size)
        call(it, head);
    else
        get(it, STR_NONE, IMAGE_BYTES_MAX_BY_VALUE, got_whole);
}

static void got_head(struct httpc_req *rq, enum err e)
{
    struct item *it = rq->owner;
    FAILPOINT("recognizer.fetched");
    bool empty = e == ERR_OK && rq->status == 416; /* no first byte: nothing was uploaded */
    if (!empty && !got_object(it, rq, e))
        return;
    struct s3_object found = { .size = 0 };
    if (!empty && s3_object(rq, &found) != ERR_OK) {
        postpone(it, "s3_unavailable", "S3 did not say how large the object is.");
        return;
    }
    image_probe(empty ? STR_NONE : buf_str(&rq->answer), (uint64_t)found.size,
                it->p->rekog.by_reference ? IMAGE_BYTES_MAX_BY_REFERENCE : IMAGE_BYTES_MAX_BY_VALUE,
                &it->image);
    if (it->image.verdict == IMAGE_INVALID) {
        reject(it, RESULT_INVALID, "invalid_image", it->image.reason);
    } else if (it->image.verdict == IMAGE_TOO_LARGE) {
        reject(it, RESULT_TOO_LARGE, "too_large", it->image.reason);
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
        get(it, S(HEAD_RANGE), IMAGE_HEAD_BYTES, got_head);
}

void pipeline_take(struct worker *w, const struct event_work *work, struct kafka_ticket ticket)
{
    FAILPOINT("recognizer.taken");
    struct item *it = xcalloc(1, sizeof *it);
    it->p = (struct pipeline *)w;
    it->ticket = ticket;
    it->labels = BUF_INIT(LABELS_BYTES);
    it->change.ev.type = LIFE_RECOGNIZE_START;
    it->change.done = started;
    it->change.owner = it;
    (void)!str_copy(it->change.b.id, sizeof it->change.b.id, str_of(work->id));
    repo_apply(&w->repo, &it->change);
}
