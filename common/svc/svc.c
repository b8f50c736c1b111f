#include "svc/svc.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "net/httpd.h"
#include "svc/admin.h"

enum { EXIT_DRAINED = 0, EXIT_FAILED = 1, EXIT_CONFIG = 2, EXIT_GRACE_OVER = 3 };

extern char **environ;

const struct conf_key svc_conf_keys[] = {
    { "LW_ADMIN_LISTEN", CONF_TEXT, offsetof(struct svc_conf, admin_listen), .def = "",
      .doc = "Address and port for /livez, /readyz and /metrics, e.g. 127.0.0.1:7081. "
             "Empty: no admin port." },
    { "LW_LOG_LEVEL", CONF_CHOICE, offsetof(struct svc_conf, log_level), .def = "info",
      .choices = "debug|info|warn|error", .doc = "Least level that is logged." },
    { "LW_SHUTDOWN_GRACE", CONF_MS, offsetof(struct svc_conf, grace_ms), .def = "20s", .min = 100,
      .max = 600000,
      .doc = "After SIGTERM, how long work in flight may take to finish before the process "
             "leaves anyway." },
};

struct svc {
    const struct svc_def *def;
    const struct svc_conf *conf;
    sigset_t signals;
    int64_t grace_ms;
    int stop_fd;
    atomic_bool stopping, running;
    atomic_bool dep_up[SVC_DEPS_MAX];
    _Atomic int64_t last_beat_ns;
};

bool svc_stopping(const struct svc *s)
{
    return atomic_load(&s->stopping);
}

int svc_stop_fd(const struct svc *s)
{
    return s->stop_fd;
}

enum err svc_refuse(enum err e, const struct errbuf *eb)
{
    LOG(ERROR, "service.refused", F_STR("error", err_name(e)), F_STR("detail", eb->text));
    return e;
}

void svc_beat(struct svc *s)
{
    atomic_store(&s->last_beat_ns, mono_now().ns);
}

void svc_dep(struct svc *s, size_t dep, bool up)
{
    if (atomic_exchange(&s->dep_up[dep], up) == up)
        return;
    if (up)
        LOG(INFO, "dependency.reached", F_STR("dependency", s->def->deps[dep]));
    else
        LOG(WARN, "dependency.lost", F_STR("dependency", s->def->deps[dep]));
}

bool svc_is_live(const struct svc *s)
{
    int64_t silent_ns = mono_now().ns - atomic_load(&s->last_beat_ns);
    return !atomic_load(&s->running) || silent_ns < (int64_t)SVC_BEAT_MAX_MS * 1000000;
}

bool svc_is_ready(const struct svc *s, struct buf *why)
{
    if (!atomic_load(&s->running))
        buf_puts(why, "starting");
    else if (svc_stopping(s))
        buf_puts(why, "stopping");
    else
        for (size_t i = 0; i < SVC_DEPS_MAX && s->def->deps[i] != NULL; i++)
            if (!atomic_load(&s->dep_up[i]))
                buf_printf(why, "%swaiting for %s", why->n > 0 ? ", " : "", s->def->deps[i]);
    return why->n == 0;
}

void svc_metrics(const struct svc *s, struct buf *out)
{
    buf_printf(out,
               "# HELP labelwire_build_info Version of the program, as a label.\n"
               "# TYPE labelwire_build_info gauge\n"
               "labelwire_build_info{service=\"%s\",version=\"%s\"} 1\n",
               s->def->name, SVC_VERSION);
    for (size_t i = 0; i < SVC_METRICS_MAX && s->def->metrics[i] != NULL; i++)
        metric_format(out, s->def->metrics[i], 1);
}

/* Takes the signals for the whole process.  After the first one it only waits for a second one
 * or for the end of the grace. */
static void *signal_thread(void *arg)
{
    struct svc *s = arg;
    int64_t grace_ms = s->grace_ms;
    int sig;
    do {
        sig = sigwaitinfo(&s->signals, NULL);
    } while (sig == SIGHUP || (sig < 0 && errno == EINTR)); /* HUP: nothing to reload yet */
    LOG(INFO, "service.stopping", F_INT("signal", sig), F_INT("grace_ms", grace_ms));
    atomic_store(&s->stopping, true);
    wake_signal(s->stop_fd);

    struct timespec grace = { grace_ms / 1000, grace_ms % 1000 * 1000000 };
    do {
        sig = sigtimedwait(&s->signals, NULL, &grace);
    } while (sig == SIGHUP || (sig < 0 && errno == EINTR));
    if (sig > 0)
        _exit(EXIT_FAILED);
    LOG(WARN, "service.grace_ended", F_INT("grace_ms", grace_ms));
    _exit(EXIT_GRACE_OVER);
}

static void block_signals(struct svc *s)
{
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGINT);
    sigaddset(&s->signals, SIGHUP);
    sigset_t blocked = s->signals;
    sigaddset(&blocked, SIGPIPE); /* a closed socket is an error code, not a death */
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

static enum err serve(struct svc *s, const void *conf, struct errbuf *eb)
{
    struct httpd *admin = NULL;
    void *app = NULL;
    pthread_t signals;
    if (pthread_create(&signals, NULL, signal_thread, s) != 0)
        return errbuf_set(eb, ERR_FULL, "no thread for signals");
    pthread_detach(signals);

    enum err e = ERR_OK;
    if (s->conf->admin_listen[0] != '\0')
        e = admin_open(&admin, s, s->conf->admin_listen, eb);
    if (e == ERR_OK)
        e = s->def->open(s, conf, &app, eb);
    if (e == ERR_OK) {
        LOG(INFO, "service.started", F_STR("version", SVC_VERSION));
        svc_beat(s);
        atomic_store(&s->running, true);
        e = s->def->run(s, app);
        if (e != ERR_OK)
            errbuf_set(eb, e, "run ended early");
    }
    if (app != NULL)
        s->def->close(app);
    httpd_close(admin);
    return e;
}

static int print_manual(const struct svc_def *def, enum conf_format as)
{
    struct buf out = BUF_INIT(1 << 20);
    if (as == CONF_AS_MD)
        buf_printf(&out, "## %s\n\n%s\n", def->name, def->about);
    conf_manual(&out, def->conf, def->n_conf, as);
    fwrite(out.p, 1, out.n, stdout);
    buf_fini(&out);
    return 0;
}

static int print_help(const struct svc_def *def)
{
    printf("%s - %s\n\n"
           "Configured by environment variables only.\n\n"
           "  --help              this text\n"
           "  --version           the version\n"
           "  --config-help       every variable, what it means and its default\n"
           "  --config-help=md    the same as Markdown\n"
           "  --config-help=env   the same as a commented environment file\n"
           "  --check-config      check the environment, start nothing; exit code 2 on problems\n",
           def->name, def->about);
    return 0;
}

static int load(const struct svc_def *def, void *conf)
{
    struct buf problems = BUF_INIT(65536);
    enum err e = conf_load(conf, def->conf, def->n_conf, environ, &problems);
    if (def->check != NULL && e == ERR_OK)
        def->check(conf, &problems);
    if (problems.n > 0)
        e = ERR_CONFIG;
    if (e != ERR_OK)
        fprintf(stderr, "%s: configuration:\n%s", def->name, problems.p);
    buf_fini(&problems);
    return e == ERR_OK ? 0 : EXIT_CONFIG;
}

static int start(const struct svc_def *def, void *conf)
{
    static struct svc s; /* the thread for signals has it until the process is gone */
    struct errbuf eb = { "" };
    s.def = def;
    s.conf = conf;
    s.grace_ms = s.conf->grace_ms;
    s.stop_fd = wake_open();
    block_signals(&s);
    log_open(def->name, (enum log_level)s.conf->log_level);
    enum err e = serve(&s, conf, &eb);
    if (e != ERR_OK)
        LOG(ERROR, "service.failed", F_STR("error", err_name(e)), F_STR("detail", eb.text));
    else
        LOG(INFO, "service.drained");
    return e == ERR_OK ? EXIT_DRAINED : e == ERR_CONFIG ? EXIT_CONFIG : EXIT_FAILED;
}

int svc_main(int argc, char **argv, const struct svc_def *def)
{
    const char *flag = argc < 2 ? "" : argv[1];
    if (strcmp(flag, "--help") == 0)
        return print_help(def);
    if (strcmp(flag, "--config-help") == 0)
        return print_manual(def, CONF_AS_TEXT);
    if (strcmp(flag, "--config-help=md") == 0)
        return print_manual(def, CONF_AS_MD);
    if (strcmp(flag, "--config-help=env") == 0)
        return print_manual(def, CONF_AS_ENV);
    if (strcmp(flag, "--version") == 0) {
        printf("%s %s\n", def->name, SVC_VERSION);
        return 0;
    }
    bool check_only = strcmp(flag, "--check-config") == 0;
    if (argc > 1 && !check_only) {
        fprintf(stderr, "%s: unknown argument '%s'; see --help\n", def->name, flag);
        return EXIT_CONFIG;
    }
    void *conf = xcalloc(1, def->conf_size);
    int code = load(def, conf);
    if (code == 0 && check_only)
        printf("%s: configuration is sound\n", def->name);
    else if (code == 0)
        code = start(def, conf);
    conf_fini(conf, def->conf, def->n_conf);
    free(conf);
    return code;
}
