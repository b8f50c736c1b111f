/* recognizer - asks Rekognition for the labels of uploaded pictures. */
#include <stdlib.h>

#include "base/mem.h"
#include "recognizer/object.h"
#include "recognizer/pipeline.h"
#include "svc/svc.h"

#define BUSY_BY_REFERENCE 256U /* blobs in progress; each holds 64 KiB of its picture */
#define BUSY_BY_VALUE     16U  /* each holds up to 12 MiB: the picture, and once more as base64 */

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
    aws_conf_check(&c->aws, problems);
    if (c->policy.recognize_lease_ms <= c->s3.timeout_ms + c->rekog.timeout_ms)
        buf_puts(problems, "LW_RECOGNIZE_LEASE: must be longer than LW_REKOGNITION_TIMEOUT and "
                           "LW_S3_TIMEOUT together, else a call is paid twice while it is still "
                           "under way\n");
}

static void app_close(void *arg)
{
    struct pipeline *p = arg;
    caller_close(&p->caller);
    worker_close(&p->worker);
    s3_fini(&p->s3);
    cred_close(p->cred);
    free(p);
}

static enum err app_open(struct svc *s, const void *arg, void **out, struct errbuf *eb)
{
    (void)s;
    const struct conf *c = arg;
    struct pipeline *p = xcalloc(1, sizeof *p);
    *out = p;
    struct str region = str_of(c->aws.region);
    p->bucket = str_of(c->s3.bucket);
    enum err e = rekog_init(&p->caller.rekog, &c->rekog, region, str_of(c->s3.endpoint), eb);
    if (e == ERR_OK)
        e = cred_open(&p->cred, &c->aws, eb);
    if (e == ERR_OK)
        e = s3_init(&p->s3, &c->s3, region, p->cred, eb);
    p->caller.cred = p->cred;
    p->caller.http = &p->worker.http;
    p->caller.region = region;
    caller_init(&p->caller, (double)c->rekog.rate);
    pipeline_init(p);
    p->worker.busy_max = p->caller.rekog.by_reference ? BUSY_BY_REFERENCE : BUSY_BY_VALUE;
    const struct worker_conf worker = {
        .source = "recognizer",
        .group = GROUP_RECOGNIZER,
        .topic = TOPIC_RECOGNIZE,
        .repo = &c->repo,
        .policy = &c->policy,
        .kafka = &c->kafka,
        .http = { .ca_bundle = c->aws.ca_bundle,
                  .max_idle = 2 * BUSY_BY_REFERENCE,
                  .user_agent = "labelwire-recognizer/" SVC_VERSION },
    };
    return e == ERR_OK ? worker_open(&p->worker, &worker, eb) : e;
}

static enum err app_run(struct svc *s, void *arg)
{
    struct pipeline *p = arg;
    struct errbuf eb = { "" };
    while (!svc_stopping(s) || p->worker.busy > 0) {
        enum err e = worker_turn(&p->worker, svc_stop_fd(s), svc_stopping(s), &eb);
        if (e == ERR_CONFIG)
            return svc_refuse(e, &eb);
        svc_dep(s, DEP_REDIS, e == ERR_OK);
        svc_dep(s, DEP_KAFKA, kafka_up(p->worker.work));
        svc_beat(s);
    }
    return ERR_OK;
}

static const struct svc_def recognizer = {
    .name = "recognizer",
    .about = "asks Rekognition for the labels of uploaded pictures",
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .metrics = { &redis_metrics, &redis_link_metrics, &kafka_metrics, &repo_metrics,
                 &worker_metrics, &dead_metrics, &item_metrics, &call_metrics },
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
