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
                 const char *control_path)
{
    pthread_condattr_t attr;
    *d = (struct detect){ .aws = aws, .s3 = s3, .control = control_file_new(control_path) };
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

static enum err check_signature(const struct detect *d, const struct http_call *call,
                                struct fault *f)
{
    const struct http_hdr *hdrs;
    struct sigv4_pair pairs[HTTPD_HEADERS_MAX];
    struct errbuf eb = { "" };
    struct aws_creds creds = aws_creds(d->aws);
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
    sigv4_key_init(&key, &creds, str_of(d->aws->region), S("rekognition"), wall_now());
    if (sigv4_verify(&key, &rq, wall_now(), DETECT_SKEW_MS, &eb) == ERR_OK)
        return ERR_OK;
    struct str message = str_of(eb.text), type = STR_NONE; /* "InvalidSignatureException: …" */
    char name[64];
    (void)str_cut(&message, ':', &type);
    if (message.p == NULL || str_copy(name, sizeof name, type) != ERR_OK)
        return fault_set(f, "AccessDeniedException", "%s", eb.text);
    message = str_trim(message);
    return fault_set(f, name, "%.*s", STR_ARG(message));
}

static enum err check_call(const struct detect *d, const struct http_call *call, struct fault *f)
{
    struct str type = http_header(call, "Content-Type"), target = http_header(call, "X-Amz-Target");
    struct str media = STR_NONE;
    (void)str_cut(&type, ';', &media);
    if (!str_eq_nocase(str_trim(media), S(CONTENT_TYPE)))
        return fault_set(f, "UnknownOperationException", "Content-Type must be " CONTENT_TYPE);
    if (!str_eq(target, S(TARGET)))
        return fault_set(f, "UnknownOperationException",
                         "X-Amz-Target must be " TARGET "; rekognition-local does nothing else");
    return check_signature(d, call, f);
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
        enum err fetched = fetch_object(a, d->s3, d->aws, f);
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

static enum err answer(struct detect *d, struct str body, struct buf *out, struct seen *seen,
                       struct fault *f)
{
    struct ask a;
    enum err e = ask_parse(&a, body, f);
    if (e == ERR_OK)
        e = label(d, &a, out, seen, f);
    ask_fini(&a);
    if (e == ERR_OK && buf_failed(out))
        e = fault_set(f, "InternalServerError", "the answer is too large");
    return e;
}

static void reply(struct http_call *call, const char *id, int status, struct str body)
{
    const struct http_hdr hdrs[] = {
        { "Content-Type", S(CONTENT_TYPE) },
        { "x-amzn-RequestId", str_of(id) },
    };
    http_reply(call, status, hdrs, N_OF(hdrs), body);
}

static void refuse(struct http_call *call, const char *id, const struct fault *f)
{
    struct buf out = BUF_INIT(4096);
    fault_put(&out, f, id);
    reply(call, id, f->status, buf_str(&out));
    buf_fini(&out);
}

/* True: the control answers, not the image. */
static bool obey(struct http_call *call, const char *id, const struct control *c)
{
    struct buf out = BUF_INIT(ANSWER_MAX);
    switch (c->mode) {
    case CONTROL_NORMAL:
    case CONTROL_STALL:
        return false;
    case CONTROL_THROTTLE:
    case CONTROL_FAIL:
        refuse(call, id, &c->fault);
        return true;
    case CONTROL_LABELS:
        answer_put_verbatim(&out, buf_str(&c->text));
        break;
    case CONTROL_BODY:
        buf_put(&out, buf_str(&c->text));
        break;
    }
    reply(call, id, c->status, buf_str(&out));
    buf_fini(&out);
    return true;
}

static void log_refused(const char *id, const struct fault *f, mono_t start)
{
    LOG(INFO, "detect.refused", F_STR("request_id", id), F_STR("error", f->type),
        F_STR("message", f->message), F_INT("status", f->status),
        F_INT("took_ms", mono_since_us(mono_now(), start) / 1000));
}

static void serve(struct detect *d, struct http_call *call, const char *id, mono_t start)
{
    struct buf out = BUF_INIT(ANSWER_MAX);
    struct seen seen = { .type = "" };
    struct fault f = { .status = 0 };
    if (answer(d, http_body(call), &out, &seen, &f) == ERR_OK) {
        metric_add(&metrics[CALLS_ANSWERED], 1);
        metric_add(&metrics[ANSWERED_BYTES], (int64_t)seen.bytes);
        LOG(INFO, "detect.answered", F_STR("request_id", id), F_STR("type", seen.type),
            F_INT("bytes", (int64_t)seen.bytes), F_INT("width", seen.width),
            F_INT("height", seen.height), F_INT("labels", (int64_t)seen.labels),
            F_INT("took_ms", mono_since_us(mono_now(), start) / 1000));
        reply(call, id, 200, buf_str(&out));
    } else {
        metric_add(&metrics[CALLS_REFUSED], 1);
        log_refused(id, &f, start);
        refuse(call, id, &f);
    }
    buf_fini(&out);
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

void detect_handle(struct http_call *call)
{
    struct detect *d = http_app(call);
    struct control c = { .count = -1 };
    struct fault f = { .status = 0 };
    char id[UUID_LEN + 1];
    mono_t start = mono_now();
    rand_uuid(id);
    enum err e = check_call(d, call, &f);
    if (e == ERR_OK)
        e = read_control(d, call, &c, &f);
    if (e != ERR_OK) {
        metric_add(&metrics[CALLS_REFUSED], 1);
        log_refused(id, &f, start);
        refuse(call, id, &f);
        return;
    }
    if (c.delay_ms > 0) {
        LOG(INFO, "detect.held", F_STR("request_id", id), F_INT("delay_ms", c.delay_ms));
        hold(d, c.delay_ms);
    }
    if (obey(call, id, &c)) {
        metric_add(&metrics[CALLS_CONTROLLED], 1);
        LOG(INFO, "detect.controlled", F_STR("request_id", id), F_INT("status", c.status),
            F_INT("took_ms", mono_since_us(mono_now(), start) / 1000));
    } else {
        serve(d, call, id, start);
    }
    control_fini(&c);
}
