#include "recognizer/object.h"

#include "base/log.h"

static void ask_s3(struct item *it, const struct s3_ask *ask, size_t max_answer,
                   void (*done)(struct httpc_req *, enum err))
{
    s3_req_fini(&it->object);
    it->object = (struct s3_req){ .http = { .max_answer = max_answer } };
    enum err e = s3_request(&it->p->s3, &it->object, ask, wall_now());
    if (e != ERR_OK) {
        item_postpone(it, false, "not_sent", err_name(e));
        return;
    }
    it->object.http.done = done;
    it->object.http.owner = it;
    httpc_start(it->p->worker.http, &it->object.http);
}

void object_get(struct item *it, struct str range, size_t max_answer,
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
    } else if (s3_verdict(rq, e) != S3_OK || s3_object(rq, &found) != ERR_OK || found.etag.n == 0 ||
               str_eq(found.etag, str_of(it->change.b.etag))) {
        item_postpone(it, false, "object_changed", "The object was replaced while it was read.");
    } else {
        item_end_with(it, &(struct life_event){ .type = LIFE_UPLOADED,
                                                .fence = it->change.b.seq,
                                                .etag = found.etag,
                                                .size = found.size });
    }
}

static void denied(struct item *it, const struct httpc_req *rq)
{
    struct str code = s3_error_code(rq);
    bool expired = str_eq(code, S("ExpiredToken")) || str_eq(code, S("InvalidToken"));
    if (expired && cred_renew(it->p->cred, it->object.key_version)) {
        item_postpone(it, true, "expired_credentials", "S3 says that our keys have expired.");
        return; /* the next attempt has the new ones */
    }
    if (log_once_a_minute(&it->p->next_s3_alarm))
        LOG(ERROR, "s3.denied", F_STR("blob", it->change.b.id), F_INT("status", rq->status),
            F_VIEW("code", code), F_STR("why", rq->why),
            F_STR("hint", rq->tls
                              ? AWS_TLS_HINT
                              : "the keys need the IAM action s3:GetObject on LW_S3_BUCKET; are "
                                "AWS_REGION and LW_S3_ENDPOINT right?"));
    item_postpone(it, true, "s3_denied", "S3 refused to hand out the object.");
}

bool object_got(struct item *it, struct httpc_req *rq, enum err e)
{
    if (e == ERR_CLOSED) {
        item_end(it, e);
        return false;
    }
    switch (s3_verdict(rq, e)) {
    case S3_OK:
        it->p->fetched = mono_now();
        return true;
    case S3_CHANGED:
        ask_s3(it, &(struct s3_ask){ .method = "HEAD", .key = str_of(it->change.b.object_key) },
               S3_ERROR_MAX, replaced);
        return false;
    case S3_ABSENT:
        item_postpone(it, false, "object_missing", "The object is not in the bucket.");
        return false;
    case S3_DENIED:
        denied(it, rq);
        return false;
    case S3_RETRY:
        break;
    }
    LOG(WARN, "s3.get_failed", F_STR("blob", it->change.b.id), F_INT("status", rq->status),
        F_STR("why", rq->why), F_STR("hint", s3_hint(rq, e)));
    item_postpone(it, item_in_outage(it, it->p->fetched), "s3_unavailable",
                  "S3 did not hand out the object.");
    return false;
}
