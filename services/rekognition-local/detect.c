#include "rekognition-local/detect.h"

#include <stdio.h>
#include <time.h>

#include "aws/sigv4.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "rekognition-local/answer.h"
#include "rekognition-local/ask.h"
#include "rekognition-local/fetch.h"

#define ANSWER_MAX   (2U << 20)
#define TARGET       "RekognitionService.DetectLabels"
#define CONTENT_TYPE "application/x-amz-json-1.1"

enum { CALLS_ANSWERED, CALLS_REFUSED, CALLS_CONTROLLED, ANSWERED_BYTES, N_METRICS };

static struct metric metrics[N_METRICS] = {
    [CALLS_ANSWERED] = { .name = "labelwire_rekognition_local_calls_total",
                         .labels = "outcome=\"answered\"",
                         .help = "DetectLabels calls: answered with labels, refused with an "
                                 "error, or answered as the control file or header says.",
                         .kind = METRIC_COUNTER },
    [CALLS_REFUSED] = { .name = "labelwire_rekognition_local_calls_total",
                        .labels = "outcome=\"refused\"",
                        .kind = METRIC_COUNTER },
    [CALLS_CONTROLLED] = { .name = "labelwire_rekognition_local_calls_total",
                           .labels = "outcome=\"controlled\"",
                           .kind = METRIC_COUNTER },
    [ANSWERED_BYTES] = { .name = "labelwire_rekognition_local_images_bytes_total",
                         .help = "Bytes of the images that were labelled.",
                         .kind = METRIC_COUNTER },
};
struct metric_set detect_metrics = { metrics, N_METRICS };

void detect_init(struct detect *d, const struct aws_conf *aws, const struct s3_conf *s3,
                 struct cred *cred, const char *control_path)
{
    pthread_condattr_t attr;
    *d = (struct detect){
        .aws = aws, .s3 = s3, .cred = cred, .control = control_file_new(control_path)
    };
    (void)sem_init(&d->decoders, 0, DETECT_DECODERS);
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&d->release, &attr);
    (void)pthread_condattr_destroy(&attr);
}

void detect_release(struct detect *d)
{
    (void)pthread_mutex_lock(&d->lock);
    d->released = true;
    (void)pthread_cond_broadcast(&d->release);
    (void)pthread_mutex_unlock(&d->lock);
}

void detect_fini(struct detect *d)
{
    control_file_free(d->control);
    (void)sem_destroy(&d->decoders);
    (void)pthread_cond_destroy(&d->release);
    (void)pthread_mutex_destroy(&d->lock);
}

static void hold(struct detect *d, int64_t delay_ms)
{
    mono_t until = mono_after_ms(mono_now(), delay_ms);
    struct timespec t = { until.ns / 1000000000, until.ns % 1000000000 };
    (void)pthread_mutex_lock(&d->lock);
    while (!d->released && mono_until_ms(mono_now(), until) > 0)
        (void)pthread_cond_timedwait(&d->release, &d->lock, &t);
    (void)pthread_mutex_unlock(&d->lock);
}

/* ---- may they ask? */

static enum err refuse_signature(struct str message, struct fault *f)
{
    struct str type = STR_NONE; /* "InvalidSignatureException: …" */
    char name[64];
    (void)str_cut(&message, ':', &type);
    if (message.p == NULL || str_copy(name, sizeof name, type) != ERR_OK)
        return fault_set(f, "AccessDeniedException", STR_FMT, STR_ARG(type));
    message = str_trim(message);
    return fault_set(f, name, STR_FMT, STR_ARG(message));
}

static enum err check_signature(const struct detect *d, const struct http_call *call, wall_t now,
                                struct fault *f)
{
    const struct http_hdr *hdrs;
    struct sigv4_pair pairs[HTTPD_HEADERS_MAX];
    struct errbuf eb = { "" };
    struct sigv4_key key;
    char hash[SHA256_HEX_LEN + 1];
    size_t n = http_headers(call, &hdrs);
    for (size_t i = 0; i < n && i < N_OF(pairs); i++)
        pairs[i] = (struct sigv4_pair){ str_of(hdrs[i].name), hdrs[i].value };
    sha256_hex(hash, http_body(call));
    const struct sigv4_req rq = {
        .method = S("POST"),
        .path = S("/"),
        .headers = pairs,
        .n_headers = n < N_OF(pairs) ? n : N_OF(pairs),
        .payload_hash = str_of(hash),
    };
    struct cred_keys *keys = cred_hold(d->cred);
    sigv4_key_init(&key, &keys->creds, str_of(d->aws->region), S("rekognition"), now);
    enum err e = sigv4_verify(&key, &rq, now, DETECT_SKEW_MS, &eb);
    cred_release(keys);
    return e == ERR_OK ? e : refuse_signature(str_of(eb.text), f);
}

/* Whether the request is signed with keys of this session token or access key id. */
static bool has_expired(const struct http_call *call, struct str token)
{
    struct str authorization = http_header(call, "Authorization"), before, id = STR_NONE;
    (void)str_cut(&authorization, '=', &before); /* … Credential=ID/20261121/… */
    (void)str_cut(&authorization, '/', &id);
    return token.n > 0 &&
           (str_eq(http_header(call, "X-Amz-Security-Token"), token) || str_eq(id, token));
}

static enum err check_call(const struct detect *d, const struct http_call *call,
                           const struct control *c, struct fault *f)
{
    struct str type = http_header(call, "Content-Type"), target = http_header(call, "X-Amz-Target");
    struct str media = STR_NONE;
    (void)str_cut(&type, ';', &media);
    if (!str_eq_nocase(str_trim(media), S(CONTENT_TYPE)))
        return fault_set(f, "UnknownOperationException", "Content-Type must be " CONTENT_TYPE);
    if (!str_eq(target, S(TARGET)))
        return fault_set(f, "UnknownOperationException",
                         "X-Amz-Target must be " TARGET "; rekognition-local does nothing else");
    if (has_expired(call, str_of(c->expired_token)))
        return fault_set(f, "ExpiredTokenException",
                         "The security token included in the request is expired");
    return check_signature(d, call, (wall_t){ wall_now().ms + c->skew_ms }, f);
}

/* ---- the answer */

struct seen {
    const char *type;
    size_t bytes, labels;
    uint32_t width, height;
};

static enum err label(struct detect *d, struct ask *a, struct buf *out, struct seen *seen,
                      struct fault *f)
{
    struct raster r = { .rgb = NULL };
    struct look look;
    struct errbuf eb = { "" };
    if (a->bucket[0] != '\0') {
        enum err fetched = fetch_object(a, d->s3, d->aws, d->cred, f);
        if (fetched != ERR_OK)
            return fetched;
    }
    while (sem_wait(&d->decoders) != 0)
        continue; /* interrupted */
    enum err e = raster_decode(&r, buf_str(&a->image), &eb);
    if (e == ERR_OK)
        look_at(&look, &r);
    (void)sem_post(&d->decoders);
    if (e != ERR_OK)
        return fault_set(f,
                         e == ERR_TOOBIG  ? "ImageTooLargeException"
                         : e == ERR_RANGE ? "InvalidParameterException"
                                          : "InvalidImageFormatException",
                         "%s", eb.text);
    *seen = (struct seen){ r.type, a->image.n, answer_put(out, a, &look), r.width, r.height };
    raster_fini(&r);
    return ERR_OK;
}

/* What the control says instead of the image. */
static enum err obey(const struct control *c, struct buf *out, int *status, struct fault *f)
{
    *status = c->status;
    if (c->mode == CONTROL_LABELS) {
        answer_put_verbatim(out, buf_str(&c->text));
    } else if (c->mode == CONTROL_BODY) {
        buf_put(out, buf_str(&c->text));
    } else {
        *f = c->fault;
        return ERR_INVAL;
    }
    return ERR_OK;
}

static enum err read_control(struct detect *d, const struct http_call *call, struct control *out,
                             struct fault *f)
{
    struct errbuf eb = { "" };
    struct str header = http_header(call, "X-Labelwire-Control");
    if (header.p == NULL)
        control_file_next(d->control, out);
    else if (control_parse(out, header, &eb) != ERR_OK)
        return fault_set(f, "ValidationException", "X-Labelwire-Control: %s", eb.text);
    return ERR_OK;
}

/* ---- one call */

static void log_called(const char *id, const struct ask *a, int status, const struct fault *f,
                       const struct seen *seen, mono_t start)
{
    LOG(INFO, "detect.called", F_STR("request_id", id), F_INT("status", status),
        F_STR("bucket", a->bucket), F_STR("key", a->name), F_STR("error", f->type),
        F_STR("message", f->message), F_STR("type", seen->type),
        F_INT("bytes", (int64_t)seen->bytes), F_INT("width", seen->width),
        F_INT("height", seen->height), F_INT("labels", (int64_t)seen->labels),
        F_INT("took_ms", mono_since_us(mono_now(), start) / 1000));
}

static void reply(struct http_call *call, const char *id, int status, int64_t skew_ms,
                  struct str body)
{
    char date[CLOCK_HTTP_LEN + 1];
    wall_to_http((wall_t){ wall_now().ms + skew_ms }, date);
    const struct http_hdr hdrs[] = {
        { "Content-Type", S(CONTENT_TYPE) },
        { "x-amzn-RequestId", str_of(id) },
        { "Date", str_of(date) },
    };
    http_reply(call, status, hdrs, N_OF(hdrs), body);
}

/* From the control's word to the answer's body. */
static enum err decide(struct detect *d, struct ask *a, const struct control *c, struct buf *out,
                       struct seen *seen, int *status, struct fault *f)
{
    bool looks = c->mode == CONTROL_NORMAL || c->mode == CONTROL_STALL;
    enum err e = ERR_INVAL; /* the request is not understood, as f says */
    if (!looks)
        e = obey(c, out, status, f);
    else if (f->type[0] == '\0')
        e = label(d, a, out, seen, f);
    if (e == ERR_OK && buf_failed(out))
        e = fault_set(f, "InternalServerError", "the answer is too large");
    metric_add(&metrics[!looks        ? CALLS_CONTROLLED
                        : e == ERR_OK ? CALLS_ANSWERED
                                      : CALLS_REFUSED],
               1);
    metric_add(&metrics[ANSWERED_BYTES], (int64_t)seen->bytes);
    return e;
}

void detect_handle(struct http_call *call)
{
    struct detect *d = http_app(call);
    struct control c = { .count = -1 };
    struct fault f = { .status = 0 }, bad_ask = f;
    struct seen seen = { .type = "" };
    struct ask a;
    struct buf out = BUF_INIT(ANSWER_MAX);
    int status = 200;
    char id[UUID_LEN + 1];
    mono_t start = mono_now();
    rand_uuid(id);
    (void)!ask_parse(&a, http_body(call), &bad_ask);
    enum err e = read_control(d, call, &c, &f);
    if (e == ERR_OK)
        e = check_call(d, call, &c, &f);
    if (e == ERR_OK && c.delay_ms > 0) {
        LOG(INFO, "detect.held", F_STR("request_id", id), F_INT("delay_ms", c.delay_ms));
        hold(d, c.delay_ms);
    }
    if (e == ERR_OK) {
        f = bad_ask;
        e = decide(d, &a, &c, &out, &seen, &status, &f);
    } else {
        metric_add(&metrics[CALLS_REFUSED], 1);
    }
    if (e == ERR_OK) {
        f.type[0] = f.message[0] = '\0';
    } else {
        status = f.status;
        buf_clear(&out);
        fault_put(&out, &f, id);
    }
    log_called(id, &a, status, &f, &seen, start);
    reply(call, id, status, c.skew_ms, buf_str(&out));
    ask_fini(&a);
    buf_fini(&out);
    control_fini(&c);
}
