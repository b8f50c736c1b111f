#include "rekognition-local/control.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

static const char *const modes[] = {
    [CONTROL_NORMAL] = "normal", [CONTROL_THROTTLE] = "throttle", [CONTROL_FAIL] = "fail",
    [CONTROL_STALL] = "stall",   [CONTROL_LABELS] = "labels",     [CONTROL_BODY] = "body",
};
#define QUOTA_MAX 100000

/* ---- the object */

static enum err read_number(struct json v, const char *name, int64_t min, int64_t max, int64_t *out,
                            struct errbuf *eb)
{
    if (json_to_i64(v, out) != ERR_OK || *out < min || *out > max)
        return errbuf_set(eb, ERR_INVAL, "%s: want a whole number, %lld to %lld", name,
                          (long long)min, (long long)max);
    return ERR_OK;
}

static enum err read_mode(struct json v, enum control_mode *out, struct errbuf *eb)
{
    for (size_t i = 0; i < N_OF(modes); i++)
        if (json_is(v, str_of(modes[i]))) {
            *out = (enum control_mode)i;
            return ERR_OK;
        }
    return errbuf_set(eb, ERR_INVAL, "mode: want normal, throttle, fail, stall, labels or body");
}

static enum err read_word(struct json v, const char *name, char *dst, size_t cap, struct errbuf *eb)
{
    if (json_copy(dst, cap, v) == ERR_OK && dst[0] != '\0')
        return ERR_OK;
    return errbuf_set(eb, ERR_INVAL, "%s: want a text of 1 to %zu bytes", name, cap - 1);
}

static enum err read_text(struct json v, const char *name, enum json_type want, struct buf *out,
                          struct errbuf *eb)
{
    if (v.type != want)
        return errbuf_set(eb, ERR_INVAL, "%s: want %s, not %s", name, json_type_name(want),
                          json_type_name(v.type));
    buf_clear(out);
    if (want == JSON_STRING)
        json_text(out, v);
    else
        buf_put(out, v.raw);
    return ERR_OK;
}

static enum err read_member(struct control *c, struct json key, struct json v, struct errbuf *eb)
{
    int64_t n = 0;
    if (json_is(key, S("mode")))
        return read_mode(v, &c->mode, eb);
    if (json_is(key, S("delay_ms")))
        return read_number(v, "delay_ms", 0, CONTROL_DELAY_MS, &c->delay_ms, eb);
    if (json_is(key, S("count")))
        return read_number(v, "count", 0, INT32_MAX, &c->count, eb);
    if (json_is(key, S("quota")))
        return read_number(v, "quota", 1, QUOTA_MAX, &c->quota, eb);
    if (json_is(key, S("skew_ms")))
        return read_number(v, "skew_ms", -CONTROL_SKEW_MS, CONTROL_SKEW_MS, &c->skew_ms, eb);
    if (json_is(key, S("expired_token")))
        return read_word(v, "expired_token", c->expired_token, sizeof c->expired_token, eb);
    if (json_is(key, S("error")))
        return read_word(v, "error", c->fault.type, sizeof c->fault.type, eb);
    if (json_is(key, S("message")))
        return read_word(v, "message", c->fault.message, sizeof c->fault.message, eb);
    if (json_is(key, S("labels")))
        return read_text(v, "labels", JSON_ARRAY, &c->text, eb);
    if (json_is(key, S("body")))
        return read_text(v, "body", JSON_STRING, &c->text, eb);
    if (!json_is(key, S("status")))
        return errbuf_set(eb, ERR_INVAL, "unknown member %.*s", STR_ARG(str_head(key.raw, 40)));
    enum err e = read_number(v, "status", 200, 599, &n, eb);
    c->status = (int)n;
    return e;
}

/* What the members leave open. */
static enum err complete(struct control *c, bool has_delay, struct errbuf *eb)
{
    bool throttle = c->mode == CONTROL_THROTTLE;
    bool verbatim = c->mode == CONTROL_LABELS || c->mode == CONTROL_BODY;
    struct fault given = c->fault;
    if (c->mode == CONTROL_STALL && !has_delay)
        c->delay_ms = CONTROL_DELAY_MS;
    if (verbatim && c->text.p == NULL)
        return errbuf_set(eb, ERR_INVAL, "mode %s wants a member %s", modes[c->mode],
                          modes[c->mode]);
    if (c->quota > 0 && c->mode != CONTROL_NORMAL && c->mode != CONTROL_LABELS)
        return errbuf_set(eb, ERR_INVAL, "quota goes with mode normal or labels");
    const char *type = c->quota > 0 ? "ProvisionedThroughputExceededException"
                       : throttle   ? "ThrottlingException"
                                    : "InternalServerError";
    const char *message = c->quota > 0 ? "Provisioned Rate exceeded"
                          : throttle   ? "Slow down; sudden increase in rate of requests"
                                       : "Internal server error";
    (void)fault_set(&c->fault, given.type[0] != '\0' ? given.type : type, "%s",
                    given.message[0] != '\0' ? given.message : message);
    if (c->status == 0)
        c->status = verbatim ? 200 : c->fault.status;
    if (!verbatim)
        c->fault.status = c->status;
    return ERR_OK;
}

enum err control_parse(struct control *out, struct str json, struct errbuf *eb)
{
    struct json root, key, v;
    *out = (struct control){ .count = -1, .delay_ms = -1, .text = BUF_INIT(CONTROL_BYTES) };
    enum err e = json_parse(&root, json, eb);
    if (e == ERR_OK && root.type != JSON_OBJECT)
        e = errbuf_set(eb, ERR_INVAL, "want an object, not %s", json_type_name(root.type));
    struct json_iter it = json_iter(root);
    while (e == ERR_OK && json_next(&it, &key, &v))
        e = read_member(out, key, v, eb);
    bool has_delay = out->delay_ms >= 0;
    out->delay_ms = has_delay ? out->delay_ms : 0;
    if (e == ERR_OK)
        e = complete(out, has_delay, eb);
    if (e == ERR_OK)
        return ERR_OK;
    control_fini(out);
    *out = (struct control){ .count = -1 };
    return ERR_INVAL;
}

void control_fini(struct control *c)
{
    buf_fini(&c->text);
}

/* ---- the file */

struct control_file {
    char *path;
    pthread_mutex_t lock; /* over the rest */
    struct stat seen;     /* zeroed: no file */
    struct control control;
    double tokens; /* calls that the quota leaves; of this moment: */
    mono_t filled;
};

struct control_file *control_file_new(const char *path)
{
    struct control_file *f = xcalloc(1, sizeof *f);
    f->path = xstrdup(path == NULL ? "" : path);
    f->control.count = -1;
    (void)pthread_mutex_init(&f->lock, NULL);
    return f;
}

void control_file_free(struct control_file *f)
{
    if (f == NULL)
        return;
    (void)pthread_mutex_destroy(&f->lock);
    control_fini(&f->control);
    free(f->path);
    free(f);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum err load(struct control *out, const char *path, struct errbuf *eb)
{
    struct buf text = BUF_INIT(CONTROL_BYTES);
    enum err e = ERR_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errbuf_set(eb, ERR_IO, "cannot be opened: %m");
    char part[4096];
    while (!feof(file) && !ferror(file) && !buf_failed(&text)) {
        size_t n = fread(part, 1, sizeof part, file);
        buf_put(&text, (struct str){ part, n });
    }
    if (ferror(file) || buf_failed(&text))
        e = errbuf_set(eb, ERR_TOOBIG, "cannot be read, or is larger than %d bytes", CONTROL_BYTES);
    (void)fclose(file);
    if (e == ERR_OK)
        e = control_parse(out, buf_str(&text), eb);
    buf_fini(&text);
    return e;
}

static void look_again(struct control_file *f)
{
    struct stat now;
    struct errbuf eb = { "" };
    if (f->path[0] == '\0' || stat(f->path, &now) != 0)
        memset(&now, 0, sizeof now);
    if (same_file(&f->seen, &now))
        return;
    f->seen = now;
    control_fini(&f->control);
    f->control = (struct control){ .count = -1 };
    f->filled = (mono_t){ 0 }; /* long ago: a quota begins full */
    if (now.st_ino == 0)
        LOG(INFO, "control.removed", F_STR("file", f->path));
    else if (load(&f->control, f->path, &eb) != ERR_OK)
        LOG(WARN, "control.refused", F_STR("file", f->path), F_STR("why", eb.text));
    else
        LOG(INFO, "control.read", F_STR("file", f->path), F_STR("mode", modes[f->control.mode]),
            F_INT("count", f->control.count));
}

static bool over_quota(struct control_file *f)
{
    double quota = (double)f->control.quota;
    mono_t now = mono_now();
    f->tokens = fmin(quota, f->tokens + quota * (double)(now.ns - f->filled.ns) / 1e9);
    f->filled = now;
    if (f->tokens < 1)
        return true;
    f->tokens -= 1;
    return false;
}

void control_file_next(struct control_file *f, struct control *out)
{
    (void)pthread_mutex_lock(&f->lock);
    look_again(f);
    bool used_up = f->control.count == 0;
    if (f->control.count > 0)
        f->control.count--;
    if (used_up) {
        *out = (struct control){ .count = -1 };
    } else {
        *out = f->control;
        out->text = BUF_INIT(CONTROL_BYTES);
        buf_put(&out->text, buf_str(&f->control.text));
        if (out->quota > 0 && over_quota(f))
            out->mode = CONTROL_OVER_QUOTA;
    }
    (void)pthread_mutex_unlock(&f->lock);
}
