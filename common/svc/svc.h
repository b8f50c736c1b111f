/* svc.h - the life of a service: flags, configuration, signals, probes, draining, exit code.
 *
 * A service fills in one const struct svc_def and writes its loop:
 *
 *   int main(int argc, char **argv) { return svc_main(argc, argv, &recognizer); }
 *
 * svc_main() reads the flags; blocks SIGTERM, SIGINT and SIGHUP before any thread exists (one
 * thread takes them with sigwait, so no code of ours runs in a handler); loads the
 * configuration; opens the admin port; then open(), run(), close().  The first TERM or INT
 * makes svc_stopping() true and svc_stop_fd() readable; run() finishes what is in flight and
 * returns within LW_SHUTDOWN_GRACE; a second signal leaves at once.
 *
 * Exit codes
 *   0  drained
 *   1  failed while running, or a second signal
 *   2  bad configuration: nothing was started
 *   3  the grace ended with work in flight (safe: it is delivered again)
 */
#ifndef SVC_SVC_H
#define SVC_SVC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/err.h"
#include "base/metric.h"

#define SVC_VERSION     "0.1.0"
#define SVC_DEPS_MAX    4U
#define SVC_METRICS_MAX 12U
/* The longest a loop may go between two beats before /livez says that it hangs. */
#define SVC_BEAT_MAX_MS 30000

struct svc;

struct svc_conf { /* the first member of every service's configuration struct */
    char *admin_listen;
    int log_level;
    int64_t grace_ms;
};
extern const struct conf_key svc_conf_keys[3];
#define SVC_CONF_GROUP { "Every service", svc_conf_keys, N_OF(svc_conf_keys), 0 }

struct svc_def {
    const char *name, *about; /* about: one line for --help */
    const struct conf_group *conf;
    size_t n_conf, conf_size;
    const struct metric_set *metrics[SVC_METRICS_MAX]; /* of the modules it uses */
    const char *deps[SVC_DEPS_MAX]; /* what /readyz waits for, e.g. "redis", "kafka" */
    /* Adds a line for every contradiction between values that are sound by themselves; may be
     * NULL. */
    void (*check)(const void *conf, struct buf *problems);
    /* Must not wait for a dependency: one that is down is met in run(), where /readyz tells. */
    enum err (*open)(struct svc *s, const void *conf, void **app, struct errbuf *eb);
    enum err (*run)(struct svc *s, void *app);
    void (*close)(void *app);
};

int svc_main(int argc, char **argv, const struct svc_def *def);

bool svc_stopping(const struct svc *s); /* any thread */
int svc_stop_fd(const struct svc *s);   /* readable from the first signal on */
/* Logs why the service cannot go on, for run() to return; gives e back. */
enum err svc_refuse(enum err e, const struct errbuf *eb);
void svc_beat(struct svc *s);                     /* once a turn, from the loop */
void svc_dep(struct svc *s, size_t dep, bool up); /* any thread; logs changes */

#endif
