/* upload-watcher - sees uploads land or time out, and carries the outbox to Kafka. */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/wake.h"
#include "svc/svc.h"
#include "upload-watcher/watcher.h"

#define WINDOW   1024U /* messages in flight for each partition */
#define SLEEP_MS 1000
#define DRAIN_MS 50

enum { DEP_REDIS, DEP_KAFKA };

struct conf {
    struct svc_conf svc;
    struct repo_conf repo;
    struct life_policy policy;
    struct kafka_conf kafka;
    struct aws_conf aws;
    struct s3_conf s3;
};

static const struct conf_group groups[] = {
    SVC_CONF_GROUP,
    { "Redis", redis_conf_keys, N_OF(redis_conf_keys), offsetof(struct conf, repo.redis) },
    { "Records", repo_conf_keys, N_OF(repo_conf_keys), offsetof(struct conf, repo) },
    { "Life of a blob", life_conf_keys, N_OF(life_conf_keys), offsetof(struct conf, policy) },
    { "Kafka", kafka_conf_keys, N_OF(kafka_conf_keys), offsetof(struct conf, kafka) },
    { "AWS", aws_conf_keys, N_OF(aws_conf_keys), offsetof(struct conf, aws) },
    { "S3", s3_conf_keys, N_OF(s3_conf_keys), offsetof(struct conf, s3) },
};

struct app {
    struct watcher watcher;
    struct relay *relay;
};

static void check(const void *arg, struct buf *problems)
{
    aws_conf_check(&((const struct conf *)arg)->aws, problems);
}

static void app_close(void *arg)
{
    struct app *a = arg;
    struct watcher *w = &a->watcher;
    relay_stop(a->relay);
    httpc_close(w->http);
    epoch_free(w->epoch);
    repo_close(&w->repo);
    uploads_give_up(w);
    dead_close(&w->dead);
    kafka_consumer_close(w->uploads);
    timers_free(w->timers);
    phases_free(w->phases);
    s3_fini(&w->s3);
    cred_close(w->cred);
    close(w->uploads_fd);
    free(a);
}

static enum err app_open(struct svc *s, const void *arg, void **out, struct errbuf *eb)
{
    (void)s;
    const struct conf *c = arg;
    struct app *a = xcalloc(1, sizeof *a);
    struct watcher *w = &a->watcher;
    *out = a;
    w->uploads_fd = wake_open();
    w->timers = timers_new(w);
    w->phases = phases_new(w);
    w->epoch = epoch_new(w);
    w->bucket = str_of(c->s3.bucket);
    const struct httpc_conf http = { .ca_bundle = c->aws.ca_bundle,
                                     .max_idle = 512,
                                     .user_agent = "labelwire-upload-watcher/" SVC_VERSION };
    enum err e = cred_open(&w->cred, &c->aws, eb);
    if (e == ERR_OK)
        e = s3_init(&w->s3, &c->s3, str_of(c->aws.region), w->cred, eb);
    if (e == ERR_OK)
        e = httpc_open(&w->http, &http, eb);
    if (e == ERR_OK)
        e = repo_open(&w->repo, &c->repo, &c->policy, "upload-watcher", eb);
    if (e == ERR_OK)
        e = kafka_consumer_open(&w->uploads, &c->kafka, GROUP_WATCHER, TOPIC_UPLOADS, WINDOW,
                                w->uploads_fd, eb);
    if (e == ERR_OK)
        e = relay_start(&a->relay, &c->repo, &c->kafka, &w->repo.checked, eb);
    dead_init(&w->dead, &c->kafka, "upload-watcher", TOPIC_UPLOADS, w->uploads_fd);
    return e;
}

static int64_t wait_ms(struct watcher *w, mono_t now, bool open)
{
    int64_t ms = open ? timers_wait_ms(w->timers, now) : DRAIN_MS;
    if (open && kafka_more(w->uploads) && uploads_have_room(w))
        ms = 0;
    return repo_wait_ms(&w->repo, now, ms < SLEEP_MS ? ms : SLEEP_MS);
}

/* open: new work is taken. */
static void turn(struct watcher *w, int stop_fd, bool open)
{
    struct pollfd fds[] = { { .fd = open ? w->uploads_fd : -1, .events = POLLIN },
                            { .fd = stop_fd, .events = POLLIN } };
    mono_t now = mono_now();
    if (open) {
        wake_drain(w->uploads_fd);
        uploads_admit(w);
        uploads_look_again(w, now);
        timers_claim(w->timers, now);
        phases_count(w->phases, now);
    } else {
        kafka_serve(w->uploads);
    }
    dead_turn(&w->dead, now);
    repo_turn(&w->repo, now);
    httpc_poll(w->http, fds, N_OF(fds), wait_ms(w, mono_now(), open));
    repo_turn(&w->repo, mono_now());
}

static enum err app_run(struct svc *s, void *arg)
{
    struct app *a = arg;
    struct watcher *w = &a->watcher;
    struct errbuf eb = { "" };
    while (!svc_stopping(s) || w->uploads_busy + w->timers_busy + w->dead.n > 0) {
        bool stopping = svc_stopping(s);
        enum err e = repo_watch(&w->repo, mono_now(), &eb);
        if (e == ERR_CONFIG)
            return svc_refuse(e, &eb);
        if (e == ERR_OK || e == ERR_MISSING)
            epoch_turn(w->epoch, mono_now());
        svc_dep(s, DEP_REDIS, e == ERR_OK);
        svc_dep(s, DEP_KAFKA, kafka_up(w->uploads) && relay_up(a->relay));
        svc_beat(s);
        if (stopping)
            uploads_give_up(w);
        turn(w, stopping ? -1 : svc_stop_fd(s), !stopping && atomic_load(&w->repo.checked));
    }
    return ERR_OK;
}

static const struct svc_def upload_watcher = {
    .name = "upload-watcher",
    .about = "sees uploads land or time out, and carries the outbox to Kafka",
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .metrics = { &redis_metrics, &redis_link_metrics, &kafka_metrics, &relay_metrics,
                 &timers_metrics, &uploads_metrics, &phases_metrics, &repo_metrics, &dead_metrics },
    .deps = { [DEP_REDIS] = "redis", [DEP_KAFKA] = "kafka" },
    .check = check,
    .open = app_open,
    .run = app_run,
    .close = app_close,
};

int main(int argc, char **argv)
{
    return svc_main(argc, argv, &upload_watcher);
}
