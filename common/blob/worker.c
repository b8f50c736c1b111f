#include "blob/worker.h"

#include <unistd.h>

#include "base/log.h"
#include "base/wake.h"
#include "blob/letter.h"

#define WINDOW   1024U /* messages in flight for each partition */
#define SLEEP_MS 1000
#define DRAIN_MS 50

enum { M_OBSOLETE, M_FAILED };
static struct metric metrics[] = {
    [M_OBSOLETE] = { "labelwire_worker_obsolete_total", NULL,
                     "Work items of blobs that are erased; nothing is to be done.", METRIC_COUNTER,
                     0 },
    [M_FAILED] = { "labelwire_worker_failed_total", NULL,
                   "Work items whose record could not be read or written.", METRIC_COUNTER, 0 },
};
const struct metric_set worker_metrics = { metrics, N_OF(metrics) };

enum err worker_open(struct worker *w, const struct worker_conf *c, struct errbuf *eb)
{
    w->work_fd = wake_open();
    enum err e = httpc_open(&w->http, &c->http, eb);
    if (e == ERR_OK)
        e = repo_open(&w->repo, c->repo, c->policy, c->source, eb);
    if (e == ERR_OK)
        e = kafka_consumer_open(&w->work, c->kafka, c->group, c->topic, WINDOW, w->work_fd, eb);
    dead_init(&w->dead, c->kafka, c->source, c->topic, w->work_fd);
    return e;
}

void worker_close(struct worker *w)
{
    httpc_close(w->http);
    repo_close(&w->repo);
    dead_close(&w->dead);
    kafka_consumer_close(w->work);
    if (w->work_fd > 0)
        close(w->work_fd);
}

void worker_done(struct worker *w, struct kafka_ticket ticket, enum err e)
{
    w->busy--;
    if (e == ERR_CLOSED)
        return;
    if (e == ERR_MISSING) {
        metric_add(&metrics[M_OBSOLETE], 1);
    } else if (e != ERR_OK && e != ERR_CONFLICT) { /* the blob's own timer says it again */
        metric_add(&metrics[M_FAILED], 1);
        LOG(ERROR, "work.failed", F_STR("error", err_name(e)));
    }
    kafka_done(w->work, ticket);
}

static bool has_room(const struct worker *w)
{
    return w->busy < w->busy_max && !dead_full(&w->dead);
}

static void letter_done(void *owner, struct kafka_ticket source, enum err e)
{
    worker_done(owner, source, e);
}

/* The next message that is a work item. */
static bool next_item(struct worker *w, struct event_work *item, struct kafka_ticket *ticket)
{
    struct kafka_msg msg;
    while (has_room(w) && kafka_next(w->work, &msg)) {
        struct errbuf eb = { "" };
        enum err e = event_read_work(item, msg.value, &eb);
        *ticket = msg.ticket;
        if (e == ERR_OK)
            return true;
        if (e == ERR_RANGE) {
            LOG(ERROR, "work.too_new", F_STR("reason", eb.text), F_INT("offset", msg.offset));
            continue;
        }
        LOG(WARN, "work.unreadable", F_STR("reason", eb.text), F_INT("partition", msg.partition),
            F_INT("offset", msg.offset));
        w->busy++;
        dead_put(&w->dead, &msg, LETTER_NO_WORK, eb.text, letter_done, w);
    }
    return false;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Returns milliseconds until more can be taken, as far as that is known. */
static int64_t admit(struct worker *w)
{
    struct event_work item;
    struct kafka_ticket ticket;
    int64_t hold_ms = 0;
    wake_drain(w->work_fd);
    while (has_room(w)) {
        hold_ms = w->hold_ms == NULL ? 0 : w->hold_ms(w, mono_now());
        if (hold_ms > 0 || !next_item(w, &item, &ticket))
            break;
        w->busy++;
        w->take(w, &item, ticket);
    }
    bool full = !has_room(w);
    if (full || hold_ms > 0)
        kafka_serve(w->work);
    return full ? SLEEP_MS : hold_ms > 0 ? hold_ms : kafka_more(w->work) ? 0 : SLEEP_MS;
}

enum err worker_turn(struct worker *w, int stop_fd, bool stopping, struct errbuf *eb)
{
    bool open = !stopping && atomic_load(&w->repo.checked);
    struct pollfd fds[] = { { .fd = open ? w->work_fd : -1, .events = POLLIN },
                            { .fd = stopping ? -1 : stop_fd, .events = POLLIN } };
    int64_t wait_ms = stopping ? DRAIN_MS : SLEEP_MS;
    enum err e = repo_watch(&w->repo, mono_now(), eb);
    if (e == ERR_CONFIG)
        return e;
    if (w->move_on != NULL)
        wait_ms = least(wait_ms, w->move_on(w, mono_now()));
    if (open)
        wait_ms = least(wait_ms, admit(w));
    else
        kafka_serve(w->work);
    dead_turn(&w->dead, mono_now());
    repo_turn(&w->repo, mono_now());
    httpc_poll(w->http, fds, N_OF(fds), repo_wait_ms(&w->repo, mono_now(), wait_ms));
    repo_turn(&w->repo, mono_now());
    return e;
}
