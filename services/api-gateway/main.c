/* api-gateway - what clients talk to: creates blobs and answers for them. */
#include <poll.h>
#include <stdlib.h>

#include "api-gateway/gateway.h"
#include "base/mem.h"
#include "svc/svc.h"

enum { DEP_REDIS };

struct conf {
    struct svc_conf svc;
    char *listen;
    int64_t threads;
    int64_t upload_window_ms;
    struct repo_conf repo;
    struct life_policy policy;
    struct aws_conf aws;
    struct s3_conf s3;
};

static const struct conf_key keys[] = {
    { "LW_LISTEN", CONF_TEXT, offsetof(struct conf, listen), .def = "127.0.0.1:8080",
      .doc = "Address and port for clients, e.g. 0.0.0.0:8080." },
    { "LW_HTTP_THREADS", CONF_INT, offsetof(struct conf, threads), .def = "256", .min = 4,
      .max = 4096, .doc = "Connections served at a time; each has a thread of its own." },
    { "LW_UPLOAD_WINDOW", CONF_MS, offsetof(struct conf, upload_window_ms), .def = "30s",
      .min = 1000, .max = 604800000, .doc = "How long an upload URL is good for; whole seconds." },
};

static const struct conf_group groups[] = {
    SVC_CONF_GROUP,
    { "API gateway", keys, N_OF(keys), 0 },
    { "Redis", redis_conf_keys, N_OF(redis_conf_keys), offsetof(struct conf, repo.redis) },
    { "Records", repo_conf_keys, N_OF(repo_conf_keys), offsetof(struct conf, repo) },
    { "Life of a blob", life_conf_keys, N_OF(life_conf_keys), offsetof(struct conf, policy) },
    { "AWS", aws_conf_keys, N_OF(aws_conf_keys), offsetof(struct conf, aws) },
    { "S3", s3_conf_keys, N_OF(s3_conf_keys), offsetof(struct conf, s3) },
};

struct app {
    struct gateway gateway;
    struct httpd *http;
};

static void check(const void *arg, struct buf *problems)
{
    aws_conf_check(&((const struct conf *)arg)->aws, problems);
}

static void app_close(void *arg)
{
    struct app *a = arg;
    httpd_close(a->http);
    repo_close(&a->gateway.repo);
    s3_fini(&a->gateway.s3);
    cred_close(a->gateway.cred);
    free(a);
}

static enum err app_open(struct svc *s, const void *arg, void **out, struct errbuf *eb)
{
    (void)s;
    const struct conf *c = arg;
    struct app *a = xcalloc(1, sizeof *a);
    *out = a;
    a->gateway.upload_window_ms = c->upload_window_ms;
    enum err e = cred_open(&a->gateway.cred, &c->aws, eb);
    if (e == ERR_OK)
        e = s3_init(&a->gateway.s3, &c->s3, str_of(c->aws.region), a->gateway.cred, eb);
    if (e == ERR_OK)
        e = repo_open(&a->gateway.repo, &c->repo, &c->policy, "api-gateway", eb);
    const struct httpd_conf http = { .listen = c->listen,
                                     .threads = (unsigned)c->threads,
                                     .max_busy = (unsigned)c->threads / 2,
                                     .routes = blobs_routes,
                                     .n_routes = blobs_routes_n,
                                     .cors = true,
                                     .app = &a->gateway };
    return e == ERR_OK ? httpd_open(&a->http, &http, eb) : e;
}

static enum err app_run(struct svc *s, void *arg)
{
    struct app *a = arg;
    struct errbuf eb = { "" };
    struct pollfd stop = { .fd = svc_stop_fd(s), .events = POLLIN };
    while (!svc_stopping(s)) {
        enum err e = repo_watch(&a->gateway.repo, mono_now(), &eb);
        if (e == ERR_CONFIG)
            return svc_refuse(e, &eb);
        svc_dep(s, DEP_REDIS, e == ERR_OK);
        svc_beat(s);
        (void)poll(&stop, 1, 1000);
    }
    return ERR_OK;
}

static const struct svc_def api_gateway = {
    .name = "api-gateway",
    .about = "accepts blobs, hands out upload URLs and answers for results",
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .metrics = { &redis_metrics, &redis_link_metrics, &repo_metrics, &httpd_metrics },
    .deps = { [DEP_REDIS] = "redis" },
    .check = check,
    .open = app_open,
    .run = app_run,
    .close = app_close,
};

int main(int argc, char **argv)
{
    return svc_main(argc, argv, &api_gateway);
}
