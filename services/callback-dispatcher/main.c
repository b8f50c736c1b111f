/* callback-dispatcher - delivers results to callback URLs. */
#include <stdlib.h>

#include "base/mem.h"
#include "callback-dispatcher/dispatch.h"
#include "svc/svc.h"

enum { DEP_REDIS, DEP_KAFKA };

struct conf {
    struct svc_conf svc;
    int64_t timeout_ms;
    char *allow_cidrs;
    char *ca_bundle;
    struct repo_conf repo;
    struct life_policy policy;
    struct kafka_conf kafka;
};

static const struct conf_key keys[] = {
    { "LW_CALLBACK_TIMEOUT", CONF_MS, offsetof(struct conf, timeout_ms), .def = "10s", .min = 100,
      .max = 60000,
      .doc = "Limit for one delivery attempt, from the name's lookup to the last byte of the "
             "answer." },
    { "LW_CALLBACK_ALLOW_CIDRS", CONF_TEXT, offsetof(struct conf, allow_cidrs), .def = "",
      .check = netguard_check_cidrs,
      .doc =
          "Private networks that callbacks may reach, e.g. 10.1.0.0/16,fd12:3456::/32.  Without it "
          "only public addresses are connected to; the clouds' metadata addresses never." },
    { "LW_CALLBACK_CA_BUNDLE", CONF_TEXT, offsetof(struct conf, ca_bundle), .def = "",
      .doc = "PEM file of the certificate authorities that receivers' certificates are checked "
             "with.  Empty: the system's." },
};

static const struct conf_group groups[] = {
    SVC_CONF_GROUP,
    { "Callbacks", keys, N_OF(keys), 0 },
    { "Redis", redis_conf_keys, N_OF(redis_conf_keys), offsetof(struct conf, repo.redis) },
    { "Records", repo_conf_keys, N_OF(repo_conf_keys), offsetof(struct conf, repo) },
    { "Life of a blob", life_conf_keys, N_OF(life_conf_keys), offsetof(struct conf, policy) },
    { "Kafka", kafka_conf_keys, N_OF(kafka_conf_keys), offsetof(struct conf, kafka) },
};

static void check(const void *arg, struct buf *problems)
{
    const struct conf *c = arg;
    if (c->policy.callback_lease_ms <= c->timeout_ms)
        buf_puts(problems, "LW_CALLBACK_LEASE: must be longer than LW_CALLBACK_TIMEOUT, else a "
                           "delivery is repeated while it is still under way\n");
}

static void app_close(void *arg)
{
    struct dispatch *d = arg;
    worker_close(&d->worker);
    free(d);
}

static enum err app_open(struct svc *s, const void *arg, void **out, struct errbuf *eb)
{
    (void)s;
    const struct conf *c = arg;
    struct dispatch *d = xcalloc(1, sizeof *d);
    *out = d;
    d->timeout_ms = c->timeout_ms;
    d->worker.take = dispatch_take;
    d->worker.busy_max = DISPATCH_BUSY_MAX;
    const struct worker_conf worker = {
        .source = "callback-dispatcher",
        .group = GROUP_DISPATCHER,
        .topic = TOPIC_DELIVER,
        .repo = &c->repo,
        .policy = &c->policy,
        .kafka = &c->kafka,
        .http = { .ca_bundle = c->ca_bundle,
                  .max_idle = 2 * DISPATCH_BUSY_MAX,
                  .user_agent = "labelwire/" SVC_VERSION },
    };
    enum err e = netguard_parse(&d->guard, str_of(c->allow_cidrs), eb);
    return e == ERR_OK ? worker_open(&d->worker, &worker, eb) : e;
}

static enum err app_run(struct svc *s, void *arg)
{
    struct dispatch *d = arg;
    struct errbuf eb = { "" };
    while (!svc_stopping(s) || d->worker.busy > 0) {
        enum err e = worker_turn(&d->worker, svc_stop_fd(s), svc_stopping(s), &eb);
        if (e == ERR_CONFIG)
            return svc_refuse(e, &eb);
        svc_dep(s, DEP_REDIS, e == ERR_OK);
        svc_dep(s, DEP_KAFKA, kafka_up(d->worker.work));
        svc_beat(s);
    }
    return ERR_OK;
}

static const struct svc_def callback_dispatcher = {
    .name = "callback-dispatcher",
    .about = "delivers results to callback URLs",
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .metrics = { &redis_metrics, &redis_link_metrics, &kafka_metrics, &repo_metrics,
                 &worker_metrics, &dead_metrics, &dispatch_metrics },
    .deps = { [DEP_REDIS] = "redis", [DEP_KAFKA] = "kafka" },
    .check = check,
    .open = app_open,
    .run = app_run,
    .close = app_close,
};

int main(int argc, char **argv)
{
    return svc_main(argc, argv, &callback_dispatcher);
}
