/* callback-dispatcher - delivers results to callback URLs. */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "callback-dispatcher/dispatch.h"
#include "svc/svc.h"

#define WINDOW 1024U /* messages in flight for each partition */

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
    httpc_close(d->http);
    repo_close(&d->repo);
    kafka_consumer_close(d->work);
    close(d->work_fd);
    free(d);
}

static enum err app_open(struct svc *s, const void *arg, void **out, struct errbuf *eb)
{
    (void)s;
    const struct conf *c = arg;
    struct dispatch *d = xcalloc(1, sizeof *d);
    *out = d;
    d->work_fd = wake_open();
    d->timeout_ms = c->timeout_ms;
    const struct httpc_conf http = { .ca_bundle = c->ca_bundle,
                                     .max_idle = 512,
                                     .user_agent = "labelwire/" SVC_VERSION };
    enum err e = netguard_parse(&d->guard, str_of(c->allow_cidrs), eb);
    if (e == ERR_OK)
        e = httpc_open(&d->http, &http, eb);
    if (e == ERR_OK)
        e = repo_open(&d->repo, &c->repo, &c->policy, "callback-dispatcher", eb);
    if (e == ERR_OK)
        e = kafka_consumer_open(&d->work, &c->kafka, GROUP_DISPATCHER, TOPIC_DELIVER, WINDOW,
                                d->work_fd, eb);
    return e;
}

static void turn(struct dispatch *d, int stop_fd, bool stopping)
{
    struct pollfd fds[] = { { .fd = d->work_fd, .events = POLLIN },
                            { .fd = stopping ? -1 : stop_fd, .events = POLLIN } };
    int64_t wait_ms = stopping ? 50 : 1000;
    if (!stopping) {
        wake_drain(d->work_fd);
        dispatch_admit(d);
        if (kafka_more(d->work) && d->busy < DISPATCH_BUSY_MAX)
            wait_ms = 0;
    }
    repo_turn(&d->repo, mono_now());
    httpc_poll(d->http, fds, N_OF(fds), repo_wait_ms(&d->repo, mono_now(), wait_ms));
    repo_turn(&d->repo, mono_now());
}

static enum err app_run(struct svc *s, void *arg)
{
    struct dispatch *d = arg;
    struct errbuf eb = { "" };
    while (!svc_stopping(s) || d->busy > 0) {
        enum err e = repo_watch(&d->repo, mono_now(), &eb);
        if (e == ERR_CONFIG) {
            LOG(ERROR, "store.refused", F_STR("reason", eb.text));
            return e;
        }
        svc_dep(s, DEP_REDIS, e == ERR_OK);
        svc_dep(s, DEP_KAFKA, kafka_up(d->work));
        svc_beat(s);
        turn(d, svc_stop_fd(s), svc_stopping(s));
    }
    return ERR_OK;
}

static const struct svc_def callback_dispatcher = {
    .name = "callback-dispatcher",
    .about = "delivers results to callback URLs",
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .metrics = { &redis_metrics, &redis_link_metrics, &kafka_metrics, &work_metrics,
                 &dispatch_metrics },
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
