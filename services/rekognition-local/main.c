/* rekognition-local: speaks Rekognition's DetectLabels on a developer's machine.
 *
 * The wire is Rekognition's, signatures and errors included, so the recognizer cannot tell; the
 * labels are honest statements about colour, light and shape (describe.h).  It can be told to
 * throttle, fail or stall (control.h). */
#include <poll.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/httpd.h"
#include "rekognition-local/detect.h"
#include "svc/svc.h"

#define TURN_MS (SVC_BEAT_MAX_MS / 3)

struct conf {
    struct svc_conf svc;
    struct {
        char *listen, *tls_cert, *control;
        int64_t threads;
    } own;
    struct s3_conf s3;
    struct aws_conf aws;
};

#define OWN(member) offsetof(struct conf, own.member) - offsetof(struct conf, own)

static const struct conf_key own_keys[] = {
    { "LW_LISTEN", CONF_TEXT, OWN(listen), .def = "127.0.0.1:7443",
      .doc = "Address and port of the API." },
    { "LW_TLS_CERT", CONF_TEXT, OWN(tls_cert),
      .doc = "PEM file with certificate and key. Empty: plain HTTP, for tests." },
    { "LW_REKOGNITION_CONTROL", CONF_TEXT, OWN(control),
      .doc =
          "JSON file that makes it throttle, fail, stall or answer fixed labels; read again "
          "when it changes, absent is normal. {\"mode\":\"throttle\",\"count\":20} throttles "
          "twenty calls, {\"quota\":50} those beyond 50 a second, "
          "{\"mode\":\"fail\",\"error\":\"AccessDeniedException\",\"status\":400} refuses all." },
    { "LW_THREADS", CONF_INT, OWN(threads), .def = "64", .min = 1, .max = 512,
      .doc = "Calls served at a time, delayed ones included; more are answered 503." },
};

static const struct conf_group groups[] = {
    SVC_CONF_GROUP,
    { "rekognition-local", own_keys, N_OF(own_keys), offsetof(struct conf, own) },
    { "S3, for images named by their object", s3_conf_keys, N_OF(s3_conf_keys),
      offsetof(struct conf, s3) },
    { "AWS", aws_conf_keys, N_OF(aws_conf_keys), offsetof(struct conf, aws) },
};

static const struct http_route routes[] = {
    { "POST", "/", DETECT_BODY_MAX, HTTP_LENGTH_OPTIONAL, detect_handle },
};

struct app {
    struct svc *svc;
    struct cred *cred;
    struct detect detect;
    struct httpd *httpd;
};

static void check(const void *arg, struct buf *problems)
{
    aws_conf_check(&((const struct conf *)arg)->aws, problems);
}

static void app_close(void *arg)
{
    struct app *a = arg;
    detect_release(&a->detect);
    httpd_close(a->httpd);
    detect_fini(&a->detect);
    cred_close(a->cred);
    free(a);
}

static enum err app_open(struct svc *s, const void *conf, void **app, struct errbuf *eb)
{
    const struct conf *c = conf;
    struct app *a = xcalloc(1, sizeof *a);
    a->svc = s;
    *app = a; /* app_close() follows, also after an error */
    enum err e = cred_open(&a->cred, &c->aws, eb);
    detect_init(&a->detect, &c->aws, &c->s3, a->cred, c->own.control);
    const struct httpd_conf h = {
        .listen = c->own.listen,
        .tls_cert = c->own.tls_cert,
        .threads = (unsigned)c->own.threads,
        .max_busy = (unsigned)c->own.threads,
        .routes = routes,
        .n_routes = N_OF(routes),
        .app = &a->detect,
    };
    if (e == ERR_OK)
        e = httpd_open(&a->httpd, &h, eb);
    if (e == ERR_OK)
        LOG(INFO, "rekognition.listening", F_STR("listen", c->own.listen),
            F_INT("port", httpd_port(a->httpd)),
            F_STR("tls", c->own.tls_cert[0] == '\0' ? "off" : "on"));
    return e;
}

/* Everything happens on the server's threads. */
static enum err app_run(struct svc *s, void *app)
{
    (void)app;
    struct pollfd stop = { .fd = svc_stop_fd(s), .events = POLLIN };
    while (!svc_stopping(s)) {
        (void)poll(&stop, 1, TURN_MS);
        svc_beat(s);
    }
    return ERR_OK;
}

static const struct svc_def rekognition_local = {
    .name = "rekognition-local",
    .about = "a stand-in for Amazon Rekognition's DetectLabels, for development and tests",
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .metrics = { &detect_metrics, &httpd_metrics },
    .check = check,
    .open = app_open,
    .run = app_run,
    .close = app_close,
};

int main(int argc, char **argv)
{
    return svc_main(argc, argv, &rekognition_local);
}
