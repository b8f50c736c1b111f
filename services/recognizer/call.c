#include "recognizer/call.h"

#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/rand.h"

#define NEVER_MS     60000 /* what caller_turn() says when nothing waits */
#define SKEW_NEWS_MS 30000 /* a clock that is so much more wrong is worth another line */

enum { M_CALLS, M_THROTTLED, M_RETRIES, M_RATE, M_QUOTA };
static struct metric metrics[] = {
    [M_CALLS] = { "labelwire_recognizer_calls_total", NULL,
                  "Calls of DetectLabels, further attempts included.", METRIC_COUNTER, 0 },
    [M_THROTTLED] = { "labelwire_recognizer_throttled_total", NULL,
                      "Calls that Rekognition refused as too many.", METRIC_COUNTER, 0 },
    [M_RETRIES] = { "labelwire_recognizer_retries_total", NULL,
                    "Calls that were made again within one attempt at a blob.", METRIC_COUNTER, 0 },
    [M_RATE] = { "labelwire_recognizer_rate", NULL,
                 "Calls per second that are allowed now, found by itself.", METRIC_GAUGE, 0 },
    [M_QUOTA] = { "labelwire_recognizer_retry_quota", NULL,
                  "What is left for retries; 14 or 5 each, 500 at most.", METRIC_GAUGE, 0 },
};
const struct metric_set call_metrics = { metrics, N_OF(metrics) };

void caller_init(struct caller *p, double rate_max)
{
    pace_init(&p->pace, rate_max, mono_now());
    p->retries.left = RETRY_QUOTA;
}

int64_t caller_wait_ms(const struct caller *p, mono_t now)
{
    return pace_wait_ms(&p->pace, now);
}

void call_reserve(struct call *c, struct caller *p)
{
    c->p = p;
    c->has_token = pace_take(&p->pace, mono_now());
}

void call_fini(struct call *c)
{
    if (c->has_token)
        pace_give_back(&c->p->pace);
    c->has_token = false;
    rekog_req_fini(&c->rq);
}

/* ---- sending */

static enum err sign(struct caller *p, struct call *c)
{
    wall_t now = { wall_now().ms + p->skew_ms };
    struct cred_keys *keys = cred_hold(p->cred);
    if (p->key_version != keys->version || !sigv4_key_is_for(&p->key, now))
        sigv4_key_init(&p->key, &keys->creds, p->region, S("rekognition"), now);
    p->key_version = c->key_version = keys->version;
    enum err e = rekog_sign(&c->rq, &p->rekog, &p->key, now);
    cred_release(keys);
    return e;
}

static void answered(struct httpc_req *rq, enum err e);

static enum err attempt(struct caller *p, struct call *c)
{
    httpc_req_fini(&c->rq.http);
    enum err e = sign(p, c);
    if (e != ERR_OK)
        return e;
    c->has_token = false; /* used up */
    c->rq.http.done = answered;
    c->rq.http.owner = c;
    metric_add(&metrics[M_CALLS], 1);
    httpc_start(*p->http, &c->rq.http);
    return ERR_OK;
}

enum err call_start(struct call *c, const struct rekog_ask *ask, mono_t lease_end)
{
    struct caller *p = c->p;
    c->latest = mono_after_ms(lease_end, -p->rekog.timeout_ms);
    enum err e = rekog_prepare(&c->rq, &p->rekog, ask);
    return e == ERR_OK ? attempt(p, c) : e;
}

/* ---- another attempt */

static void wait_until(struct caller *p, struct call *c, mono_t until)
{
    c->again = until;
    c->next = p->waiting;
    p->waiting = c;
}

static int64_t peers_wish_ms(const struct call *c)
{
    int64_t ms;
    bool told = str_to_i64(httpc_header(&c->rq.http, S("x-amz-retry-after")), &ms) == ERR_OK;
    return told && ms >= 0 ? ms : RETRY_NO_HINT;
}

static bool pause_before(struct caller *p, struct call *c, enum retry_reason why, mono_t now)
{
    int64_t ms = retry_pause_ms(&p->retries, &c->retry, why, peers_wish_ms(c),
                                mono_until_ms(now, c->latest) - 1, rand_u64());
    if (ms == RETRY_GIVE_UP)
        return false;
    metric_add(&metrics[M_RETRIES], 1);
    wait_until(p, c, mono_after_ms(now, ms));
    return true;
}

/* Rekognition's clock is right by definition. */
static bool correct_clock(struct caller *p, struct call *c)
{
    wall_t theirs;
    if (c->corrected || wall_from_http(httpc_header(&c->rq.http, S("date")), &theirs) != ERR_OK)
        return false;
    int64_t skew_ms = theirs.ms - wall_now().ms;
    if (llabs(skew_ms - p->skew_ms) > SKEW_NEWS_MS)
        LOG(WARN, "clock.skewed", F_INT("behind_ms", skew_ms),
            F_STR("hint", "signatures for Rekognition are corrected; set this machine's clock"));
    p->skew_ms = skew_ms;
    c->corrected = true;
    return true;
}

static bool renew_keys(struct caller *p, struct call *c)
{
    if (c->renewed || !cred_renew(p->cred, c->key_version))
        return false;
    c->renewed = true;
    return true;
}

static void say_denied(struct caller *p, const struct call *c)
{
    if (log_once_a_minute(&p->next_alarm))
        LOG(ERROR, "rekognition.denied", F_STR("code", c->error.code),
            F_STR("message", c->error.message), F_INT("status", c->rq.http.status),
            F_STR("hint", c->rq.http.tls ? AWS_TLS_HINT
                                         : "the keys need the IAM actions rekognition:DetectLabels "
                                           "and s3:GetObject on the bucket; are AWS_REGION and "
                                           "LW_REKOGNITION_ENDPOINT right?"));
}

/* ---- the answer */

/* True: there will be another attempt. */
static bool judge(struct caller *p, struct call *c, mono_t now)
{
    bool again = false;
    switch (c->verdict) {
    case REKOG_THROTTLED:
        metric_add(&metrics[M_THROTTLED], 1);
        pace_throttled(&p->pace, now);
        return pause_before(p, c, RETRY_THROTTLED, now);
    case REKOG_TRANSIENT:
        pace_failed(&p->pace, now);
        return pause_before(p, c, RETRY_TRANSIENT, now);
    case REKOG_EXPIRED_CREDENTIALS:
        again = renew_keys(p, c);
        break;
    case REKOG_CLOCK_SKEW:
        again = correct_clock(p, c);
        break;
    case REKOG_DENIED:
        say_denied(p, c);
        break;
    case REKOG_OK:
    case REKOG_INVALID_IMAGE:
    case REKOG_TOO_LARGE:
    case REKOG_NO_OBJECT:
    case REKOG_BROKEN:
        p->through = now;
        pace_succeeded(&p->pace, now);
        retry_succeeded(&p->retries, &c->retry);
        return false;
    }
    if (again)
        wait_until(p, c, now);
    else
        pace_failed(&p->pace, now);
    return again;
}

static void answered(struct httpc_req *rq, enum err e)
{
    struct call *c = rq->owner;
    FAILPOINT("recognizer.called");
    if (e == ERR_CLOSED) {
        c->done(c, e);
        return;
    }
    c->verdict = rekog_verdict(&c->error, &c->rq, e);
    if (!judge(c->p, c, mono_now()))
        c->done(c, ERR_OK);
}

/* ---- those that wait */

/* Milliseconds until its turn; 0: it is not waiting any more. */
static int64_t move_on(struct caller *p, struct call *c, mono_t now)
{
    bool too_late = now.ns > c->latest.ns;
    int64_t ms = mono_until_ms(now, c->again);
    if (ms == 0 && !too_late)
        ms = pace_wait_ms(&p->pace, now);
    if (ms > 0 && !too_late)
        return ms;
    if (too_late) {
        c->done(c, ERR_OK); /* as the last attempt ended */
        return 0;
    }
    call_reserve(c, p);
    enum err e = attempt(p, c);
    if (e != ERR_OK)
        c->done(c, e);
    return 0;
}

int64_t caller_turn(struct caller *p, mono_t now)
{
    struct call *all = p->waiting, *c;
    int64_t wait_ms = NEVER_MS;
    p->waiting = NULL;
    while ((c = all) != NULL) {
        all = c->next;
        int64_t ms = move_on(p, c, now);
        if (ms == 0)
            continue;
        c->next = p->waiting;
        p->waiting = c;
        wait_ms = ms < wait_ms ? ms : wait_ms;
    }
    metric_set(&metrics[M_RATE], (int64_t)(p->pace.rate + 0.5));
    metric_set(&metrics[M_QUOTA], p->retries.left);
    return wait_ms;
}

void caller_close(struct caller *p)
{
    while (p->waiting != NULL) {
        struct call *c = p->waiting;
        p->waiting = c->next;
        c->done(c, ERR_CLOSED);
    }
}
