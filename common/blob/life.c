#include "blob/life.h"

#include <string.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)

/* Kafka keeps messages: a backlog must not be flooded with repeats. */
#define HANDOFF_MS         HOUR_MS
#define HANDOFF_MAX_MS     (24 * HOUR_MS)
#define LATE_LOOK_MS       (10 * MINUTE_MS)
#define REST_MS            SECOND_MS
#define REST_MAX_MS        (15 * MINUTE_MS)
#define PARK_MS            (5 * MINUTE_MS)
#define APART_MS           (15 * SECOND_MS) /* long beside what an attempt takes */
#define ANONYMOUS_ATTEMPTS 3

const struct conf_key life_conf_keys[] = {
    { "LW_UPLOAD_GRACE", CONF_MS, offsetof(struct life_policy, upload_grace_ms), .def = "10s",
      .min = 0, .max = HOUR_MS,
      .doc = "How long after the upload URL's end the bucket is looked at before the upload "
             "counts as timed out.  Acts in api-gateway and upload-watcher." },
    { "LW_RECOGNIZE_LEASE", CONF_MS, offsetof(struct life_policy, recognize_lease_ms), .def = "60s",
      .min = SECOND_MS, .max = HOUR_MS,
      .doc =
          "After this long without a word from its recognizer a blob is given to another; "
          "longer than LW_REKOGNITION_TIMEOUT and LW_S3_TIMEOUT together.  Acts in recognizer." },
    { "LW_RECOGNIZE_TRIES", CONF_INT, offsetof(struct life_policy, recognize_tries), .def = "12",
      .min = 1, .max = 1000,
      .doc = "Attempts at recognizing a blob when S3 or Rekognition fail for it while other blobs "
             "get through, before it ends as unexpected-error; the pauses between them grow from "
             "1 s to 15 min.  What fails for all is waited out, for a day.  Acts in recognizer." },
    { "LW_CALLBACK_ATTEMPTS", CONF_INT, offsetof(struct life_policy, callback_attempts), .def = "9",
      .min = 1, .max = 9,
      .doc = "Delivery attempts for a callback: at once, then after 5 s, 30 s, 2 min, 10 min, "
             "30 min, 2 h, 5 h and 10 h, each with 20 % jitter.  Anonymous owners, as yet "
             "all, get at most 3.  Acts in callback-dispatcher." },
    { "LW_CALLBACK_LEASE", CONF_MS, offsetof(struct life_policy, callback_lease_ms), .def = "20s",
      .min = SECOND_MS, .max = HOUR_MS,
      .doc = "After this long without a word from its dispatcher a delivery is given to another; "
             "longer than LW_CALLBACK_TIMEOUT.  Acts in callback-dispatcher." },
    { "LW_CALLBACK_ON_FAILURE", CONF_BOOL, offsetof(struct life_policy, callback_on_failure),
      .def = "on",
      .doc = "Whether a failed recognition is called back too, with the body of GET's 404.  Acts "
             "in recognizer." },
    { "LW_RETENTION", CONF_MS, offsetof(struct life_policy, retention_ms), .def = "30d",
      .min = SECOND_MS, .max = INT64_C(3650) * 24 * HOUR_MS,
      .doc = "How long a finished blob is kept: its record, labels and image.  Acts in every "
             "service: give all the same." },
};

/* ---- delays */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t doubled(int64_t ms, int64_t times, int64_t max_ms)
{
    while (times-- > 0 && ms < max_ms)
        ms *= 2;
    return least(ms, max_ms);
}

/* Full jitter: anything from a tenth of ms to ms, so that those who failed together do not
 * come back together. */
static int64_t full_jitter(int64_t ms, uint64_t dice)
{
    return ms / 10 + (int64_t)(dice % (uint64_t)(ms - ms / 10 + 1));
}

/* 20 % to either side. */
static int64_t around(int64_t ms, uint64_t dice)
{
    return ms - ms / 5 + (int64_t)(dice % (uint64_t)(2 * (ms / 5) + 1));
}

static const int64_t callback_delays_ms[] = {
    5 * SECOND_MS,  30 * SECOND_MS, 2 * MINUTE_MS, 10 * MINUTE_MS,
    30 * MINUTE_MS, 2 * HOUR_MS,    5 * HOUR_MS,   10 * HOUR_MS,
};

int64_t life_callback_delay_ms(int64_t attempt)
{
    int64_t last = (int64_t)N_OF(callback_delays_ms);
    return callback_delays_ms[(attempt < 1 ? 1 : least(attempt, last)) - 1];
}

int64_t life_callback_attempts(const struct blob *b, const struct life_policy *p)
{
    bool anonymous = strcmp(b->owner, "public") == 0;
    return anonymous ? least(p->callback_attempts, ANONYMOUS_ATTEMPTS) : p->callback_attempts;
}

/* ---- small moves that several transitions share */

static void copy(char *dst, size_t cap, struct str s)
{
    if (str_copy(dst, cap, str_head(s, cap - 1)) != ERR_OK)
        dst[0] = '\0';
}
#define COPY(array, s) copy((array), sizeof(array), (s))

bool life_wants_look(const struct blob *b)
{
    return b->phase == PHASE_AWAITING ||
           (b->phase == PHASE_FINISHED && b->result == RESULT_TIMED_OUT && !b->looked_late);
}

static void enter(struct life_step *out, enum blob_phase phase, int64_t delay_ms, const char *event)
{
    out->changed = true;
    if (out->next.phase != phase)
        out->next.handoffs = 0;
    out->next.phase = phase;
    out->next.seq++;
    out->delay_ms = delay_ms;
    out->event = event;
}

static void queue(struct life_step *out, const char *event)
{
    enter(out, PHASE_QUEUED, HANDOFF_MS, event);
    out->says |= LIFE_SAYS_RECOGNIZE;
}

static void deliver(struct life_step *out, const char *event)
{
    enter(out, PHASE_DELIVERING, HANDOFF_MS, event);
    out->says |= LIFE_SAYS_DELIVER;
}

static void hand_off_again(struct life_step *out)
{
    int64_t times = ++out->next.handoffs;
    if (out->next.phase == PHASE_QUEUED)
        queue(out, "recognition.queued_again");
    else
        deliver(out, "delivery.queued_again");
    out->delay_ms = doubled(HANDOFF_MS, times, HANDOFF_MAX_MS);
}

static void finish(struct life_step *out, const struct life_policy *p, const char *event)
{
    out->next.starts = 0;
    enter(out, PHASE_FINISHED, p->retention_ms, event);
    if (life_wants_look(&out->next))
        out->delay_ms = least(LATE_LOOK_MS, p->retention_ms);
}

/* The owner's data goes first; the record stays until the object is gone for good. */
static void erase(struct life_step *out, const char *event)
{
    out->next.has_labels = 0;
    enter(out, PHASE_ERASING, 0, event);
}

/* Recognition has its outcome: tell the owner, or be done. */
static void conclude(struct life_step *out, const struct life_policy *p, const char *event)
{
    struct blob *b = &out->next;
    bool tell =
        b->callback_url[0] != '\0' && (b->result == RESULT_LABELS || p->callback_on_failure);
    b->starts = 0;
    if (tell)
        deliver(out, event);
    else
        finish(out, p, event);
}

static void fail(struct life_step *out, const struct life_policy *p, enum blob_result result,
                 struct str code, struct str detail)
{
    out->next.result = result;
    COPY(out->next.code, code);
    COPY(out->next.detail, detail);
    conclude(out, p, "recognition.failed");
}

/* The object as it is now becomes what this generation is about. */
static void pin(struct blob *b, const struct life_event *ev)
{
    COPY(b->etag, ev->etag);
    b->size = ev->size > 0 ? ev->size : 0;
    b->width = b->height = 0;
    b->content_type[0] = '\0';
}

/* gen+1: the only way back.  A pending delivery is superseded; old labels stay until replaced. */
static void begin_again(struct life_step *out, const char *event)
{
    struct blob *b = &out->next;
    b->gen++;
    b->result = RESULT_NONE;
    b->delivery = DELIVERY_NONE;
    b->starts = b->tries = b->attempts = 0;
    b->code[0] = b->detail[0] = '\0';
    queue(out, event);
}

static void uploaded(const struct blob *b, const struct life_event *ev, struct life_step *out)
{
    bool same_object = str_eq(str_of(b->etag), ev->etag);
    if (b->phase == PHASE_ERASING || (ev->hearsay && b->phase != PHASE_AWAITING))
        return;
    if (b->phase == PHASE_AWAITING) {
        pin(&out->next, ev);
        queue(out, "upload.seen");
    } else if (b->phase == PHASE_FINISHED && b->result == RESULT_TIMED_OUT) {
        pin(&out->next, ev);
        begin_again(out, "upload.seen_late");
    } else if (!same_object) {
        pin(&out->next, ev);
        begin_again(out, "upload.replaced");
    }
}

static void absent(const struct blob *b, const struct life_policy *p, struct life_step *out)
{
    if (b->phase == PHASE_AWAITING) {
        out->next.result = RESULT_TIMED_OUT;
        COPY(out->next.code, S("upload_timed_out"));
        finish(out, p, "upload.timed_out");
    } else if (life_wants_look(b)) {
        out->next.looked_late = 1;
        finish(out, p, "upload.looked_late");
    }
}

/* A worker died over this blob, and perhaps over others: which of them it was, only another
 * death can tell. */
static void lease_ended(const struct blob *b, uint64_t dice, struct life_step *out)
{
    bool recognizing = b->phase == PHASE_RECOGNIZING;
    const char *event = recognizing ? "recognition.lease_ended" : "delivery.lease_ended";
    if (b->starts >= 2)
        enter(out, recognizing ? PHASE_RESTING : PHASE_HOLDING,
              full_jitter(doubled(APART_MS, b->starts - 2, MINUTE_MS), dice), event);
    else if (recognizing)
        queue(out, event);
    else
        deliver(out, event);
}

static void timer_due(const struct blob *b, uint64_t dice, struct life_step *out)
{
    switch (b->phase) {
    case PHASE_AWAITING: /* needs a look first */
    case PHASE_ERASING:  /* and this a deletion */
        break;
    case PHASE_QUEUED:
    case PHASE_DELIVERING:
        hand_off_again(out);
        break;
    case PHASE_RECOGNIZING:
    case PHASE_ATTEMPTING:
        lease_ended(b, dice, out);
        break;
    case PHASE_RESTING:
    case PHASE_PARKED:
        queue(out, "recognition.queued");
        break;
    case PHASE_HOLDING:
        deliver(out, "delivery.queued");
        break;
    case PHASE_FINISHED:
        if (!life_wants_look(b))
            erase(out, "retention.ended");
        break;
    case PHASE_N:
        break;
    }
}

static void recognize_start(const struct blob *b, const struct life_policy *p,
                            struct life_step *out)
{
    if (b->phase != PHASE_QUEUED)
        return;
    if (b->starts + 1 >= LIFE_STARTS_MAX) {
        fail(out, p, RESULT_ERROR, S("crashed"),
             S("Recognition was begun several times and never ended."));
        return;
    }
    out->next.starts++;
    enter(out, PHASE_RECOGNIZING, p->recognize_lease_ms, "recognition.started");
}

static void recognized(const struct blob *b, const struct life_event *ev,
                       const struct life_policy *p, uint64_t dice, struct life_step *out)
{
    struct blob *next = &out->next;
    if (b->phase != PHASE_RECOGNIZING)
        return;
    if (ev->type == LIFE_PROBED) {
        COPY(next->content_type, ev->content_type);
        next->size = ev->size;
        next->width = ev->width;
        next->height = ev->height;
        enter(out, PHASE_RECOGNIZING, p->recognize_lease_ms, "image.probed");
    } else if (ev->type == LIFE_LABELED) {
        next->result = RESULT_LABELS;
        next->has_labels = 1;
        next->code[0] = next->detail[0] = '\0';
        COPY(next->model, ev->model);
        conclude(out, p, "labels.saved");
    } else if (ev->type == LIFE_REJECTED) {
        fail(out, p, ev->result, ev->code, ev->detail);
    } else if (ev->type == LIFE_OVER_CAP) {
        next->starts = 0;
        enter(out, PHASE_PARKED, PARK_MS, "recognition.parked");
    } else if (b->tries + 1 >= p->recognize_tries && !ev->ours) {
        fail(out, p, RESULT_ERROR, ev->code, ev->detail);
    } else {
        next->starts = 0;
        if (b->tries + 1 < p->recognize_tries)
            next->tries++;
        COPY(next->code, ev->code);
        COPY(next->detail, ev->detail);
        enter(out, PHASE_RESTING, full_jitter(doubled(REST_MS, b->tries, REST_MAX_MS), dice),
              "recognition.postponed");
    }
}

static void deliver_start(const struct blob *b, const struct life_policy *p, struct life_step *out)
{
    if (b->phase != PHASE_DELIVERING)
        return;
    if (b->starts + 1 >= LIFE_STARTS_MAX) {
        if (b->delivery != DELIVERY_DONE)
            out->next.delivery = DELIVERY_FAILURE;
        finish(out, p, "delivery.gave_up");
        return;
    }
    out->next.starts++;
    enter(out, PHASE_ATTEMPTING, p->callback_lease_ms, "delivery.started");
}

static int64_t next_attempt_ms(int64_t attempt, int64_t wish_ms, uint64_t dice)
{
    int64_t ms = around(life_callback_delay_ms(attempt), dice);
    return wish_ms > ms ? least(wish_ms, 2 * ms) : ms;
}

static void delivered(const struct blob *b, const struct life_event *ev,
                      const struct life_policy *p, uint64_t dice, struct life_step *out)
{
    struct blob *next = &out->next;
    if (b->phase != PHASE_ATTEMPTING)
        return;
    next->starts = 0;
    next->attempts++;
    if (ev->type == LIFE_DELIVERED) {
        next->delivery = DELIVERY_DONE;
        finish(out, p, "delivery.done");
        return;
    }
    if (b->delivery != DELIVERY_DONE) /* a failed redelivery does not undo a success */
        next->delivery = ev->delivery;
    if (ev->gone || next->attempts >= life_callback_attempts(b, p))
        finish(out, p, "delivery.gave_up");
    else
        enter(out, PHASE_HOLDING, next_attempt_ms(next->attempts, ev->retry_after_ms, dice),
              "delivery.failed");
}

static void redeliver(const struct blob *b, struct life_step *out)
{
    if (b->phase != PHASE_FINISHED || b->callback_url[0] == '\0' || b->result == RESULT_NONE)
        return;
    out->next.attempts = out->next.starts = 0;
    deliver(out, "delivery.asked_again");
}

static void erased(const struct blob *b, const struct life_event *ev, struct life_step *out)
{
    if (b->phase != PHASE_ERASING)
        return;
    if (ev->url_left_ms > 0) {
        enter(out, PHASE_ERASING, ev->url_left_ms, "object.erased");
        return;
    }
    enter(out, PHASE_ERASING, LIFE_NO_TIMER, "blob.erased");
    out->erased = true;
}

/* ---- the function */

int64_t life_uploads_until_ms(const struct blob *b, const struct life_policy *p)
{
    return b->created_ms + b->window_ms + p->upload_grace_ms;
}

void life_create(const struct blob *b, const struct life_policy *p, struct life_step *out)
{
    *out = (struct life_step){ .next = *b };
    out->next.gen = 1;
    enter(out, PHASE_AWAITING, b->window_ms + p->upload_grace_ms, "blob.created");
}

void life_next(const struct blob *b, const struct life_event *ev, const struct life_policy *p,
               uint64_t dice, struct life_step *out)
{
    *out = (struct life_step){ .next = *b, .delay_ms = LIFE_NO_TIMER };
    if (ev->fence != 0 && ev->fence != b->seq)
        return; /* what this event ends is over already */
    switch (ev->type) {
    case LIFE_UPLOADED:
        uploaded(b, ev, out);
        break;
    case LIFE_ABSENT:
        absent(b, p, out);
        break;
    case LIFE_TIMER_DUE:
        timer_due(b, dice, out);
        break;
    case LIFE_RECOGNIZE_START:
        recognize_start(b, p, out);
        break;
    case LIFE_PROBED:
    case LIFE_LABELED:
    case LIFE_REJECTED:
    case LIFE_TRANSIENT:
    case LIFE_OVER_CAP:
        recognized(b, ev, p, dice, out);
        break;
    case LIFE_DELIVER_START:
        deliver_start(b, p, out);
        break;
    case LIFE_DELIVERED:
    case LIFE_DELIVERY_FAILED:
        delivered(b, ev, p, dice, out);
        break;
    case LIFE_RECOGNIZE_AGAIN:
        if (b->phase == PHASE_FINISHED && b->etag[0] != '\0')
            begin_again(out, "recognition.asked_again");
        break;
    case LIFE_REDELIVER:
        redeliver(b, out);
        break;
    case LIFE_DELETE:
        if (b->phase != PHASE_ERASING)
            erase(out, "erasing.asked");
        break;
    case LIFE_ERASED:
        erased(b, ev, out);
        break;
    case LIFE_EVENT_N:
        break;
    }
}
