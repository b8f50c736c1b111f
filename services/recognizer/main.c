/* recognizer - asks Rekognition for the labels of uploaded pictures. */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "recognizer/pipeline.h"
#include "svc/svc.h"

#define WINDOW            1024U /* messages in flight for each partition */
#define BUSY_BY_REFERENCE 256U  /* blobs in progress; each holds 64 KiB of its picture */
#define BUSY_BY_VALUE     16U   /* each holds up to 12 MiB: the picture, and once more as base64 */

enum { DEP_REDIS, DEP_KAFKA };

struct conf {
    struct svc_conf svc;
    struct repo_conf repo;
    struct life_policy policy;
    struct kafka_conf kafka;
    struct aws_conf aws;
    struct s3_conf s3;
    struct rekog_conf rekog;
};

static const struct conf_group groups[] = {
    SVC_CONF_GROUP,
    { "Redis", redis_conf_keys, N_OF(redis_conf_keys), offsetof(struct conf, repo.redis) },
    { "Records", repo_conf_keys, N_OF(repo_conf_keys), offsetof(struct conf, repo) },
    { "Life of a blob", life_conf_keys, N_OF(life_conf_keys), offsetof(struct conf, policy) },
    { "Kafka", kafka_conf_keys, N_OF(kafka_conf_keys), offsetof(struct conf, kafka) },
    { "AWS", aws_conf_keys, N_OF(aws_conf_keys), offsetof(struct conf, aws) },
    { "S3", s3_conf_keys, N_OF(s3_conf_keys), offsetof(struct conf, s3) },
    { "Rekognition", rekog_conf_keys, N_OF(rekog_conf_keys), offsetof(struct conf, rekog) },
};

static void check(const void *arg, struct buf *problems)
{
    const struct conf *c = arg;
    if (c->policy.recognize_lease_ms <= c->rekog.timeout_ms)
        buf_puts(problems, "LW_RECOGNIZE_LEASE: must be longer than LW_REKOGNITION_TIMEOUT, else "
                           "a call is paid twice while it is still under way\n");
}

static void app_close(void *arg)
{
    struct pipeline *p = arg;
    httpc_close(p->http);
    repo_close(&p->repo);
    kafka_consumer_close(p->work);
    s3_fini(&p->s3);
    close(p->work_fd);
    free(p);
}

static enum err app_open(struct svc *s, const void *arg, void **out, struct errbuf *eb)
{
    (void)s;
    const struct conf *c = arg;
    struct pipeline *p = xcalloc(1, sizeof *p);
    *out = p;
    p->work_fd = wake_open();
    p->creds = aws_creds(&c->aws);
    p->region = str_of(c->aws.region);
    p->bucket = str_of(c->s3.bucket);
    const struct httpc_conf http = { .ca_bundle = c->aws.ca_bundle,
                                     .max_idle = 512,
                                     .user_agent = "labelwire-recognizer/" SVC_VERSION };
    enum err e = rekog_init(&p->rekog, &c->rekog, p->region, str_of(c->s3.endpoint), eb);
    p->busy_max = p->rekog.by_reference ? BUSY_BY_REFERENCE : BUSY_BY_VALUE;
    if (e == ERR_OK)
        e = s3_init(&p->s3, &c->s3, &c->aws, eb);
    if (e == ERR_OK)
        e = httpc_open(&p->http, &http, eb);
    if (e == ERR_OK)
        e = repo_open(&p->repo, &c->repo, &c->policy, "recognizer", eb);
    if (e == ERR_OK)
        e = kafka_consumer_open(&p->work, &c->kafka, GROUP_RECOGNIZER, TOPIC_RECOGNIZE, WINDOW,
                                p->work_fd, eb);
    return e;
}

static void turn(struct pipeline *p, int stop_fd, bool stopping)
{
    struct pollfd fds[] = { { .fd = p->work_fd, .events = POLLIN },
                            { .fd = stopping ? -1 : stop_fd, .events = POLLIN } };
    int64_t wait_ms = stopping ? 50 : 1000;
    if (!stopping) {
        wake_drain(p->work_fd);
        pipeline_admit(p);
        if (kafka_more(p->work) && p->busy < p->busy_max)
            wait_ms = 0;
    }
    repo_turn(&p->repo, mono_now());
    httpc_poll(p->http, fds, N_OF(fds), repo_wait_ms(&p->repo, mono_now(), wait_ms));
    repo_turn(&p->repo, mono_now());
}

static enum err app_run(struct svc *s, void *arg)
{
    struct pipeline *p = arg;
    struct errbuf eb = { "" };
    while (!svc_stopping(s) || p->busy > 0) {
        enum err e = repo_watch(&p->repo, mono_now(), &eb);
        if (e == ERR_CONFIG) {
            LOG(ERROR, "store.refused", F_STR("reason", eb.text));
            return e;
        }
        svc_dep(s, DEP_REDIS, e == ERR_OK);
        svc_dep(s, DEP_KAFKA, kafka_up(p->work));
        svc_beat(s);
        turn(p, svc_stop_fd(s), svc_stopping(s));
    }
    return ERR_OK;
}

static const struct svc_def recognizer = {
    .name = "recognizer",
    .about = "asks Rekognition for the labels of uploaded pictures",
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .metrics = { &redis_metrics, &redis_link_metrics, &kafka_metrics, &work_metrics,
                 &pipeline_metrics },
    .deps = { [DEP_REDIS] = "redis", [DEP_KAFKA] = "kafka" },
    .check = check,
    .open = app_open,
    .run = app_run,
    .close = app_close,
};

int main(int argc, char **argv)
{
    return svc_main(argc, argv, &recognizer);
}
