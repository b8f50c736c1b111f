#include "callback-dispatcher/dispatch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "blob/render.h"
#include "callback-dispatcher/verdict.h"

#define CONNECT_MS 3000
#define ANSWER_MAX 4096U

enum { M_DELIVERED, M_FAILURE, M_TIMEOUT, M_CONNECTION };
#define ATTEMPTS "labelwire_dispatcher_attempts_total"
static struct metric metrics[] = {
    [M_DELIVERED] = { ATTEMPTS, "class=\"delivered\"", "Callback attempts by how they ended.",
                      METRIC_COUNTER, 0 },
    [M_FAILURE] = { ATTEMPTS, "class=\"failure\"", NULL, METRIC_COUNTER, 0 },
    [M_TIMEOUT] = { ATTEMPTS, "class=\"time-out\"", NULL, METRIC_COUNTER, 0 },
    [M_CONNECTION] = { ATTEMPTS, "class=\"connection\"", NULL, METRIC_COUNTER, 0 },
};
const struct metric_set dispatch_metrics = { metrics, N_OF(metrics) };

/* One delivery on its way. */
struct item {
    struct dispatch *d;
    struct kafka_ticket ticket;
    struct repo_change change;
    struct repo_lookup result;
    struct httpc_req post;
    struct buf body;
    struct verdict verdict;
    char trace[80];
    const char *hdrs[3];
};

static void item_end(struct item *it, enum err e)
{
    struct worker *w = &it->d->worker;
    httpc_req_fini(&it->post);
    buf_fini(&it->result.labels);
    buf_fini(&it->body);
    worker_done(w, it->ticket, e);
    free(it);
}

static void ended(struct repo_change *c, enum err e)
{
    FAILPOINT("dispatcher.stored");
    item_end(c->owner, e);
}

static void count(const struct life_event *ev)
{
    metric_add(&metrics[ev->type == LIFE_DELIVERED            ? M_DELIVERED
                        : ev->delivery == DELIVERY_TIMEOUT    ? M_TIMEOUT
                        : ev->delivery == DELIVERY_CONNECTION ? M_CONNECTION
                                                              : M_FAILURE],
               1);
}

static void answered(struct httpc_req *rq, enum err e)
{
    struct item *it = rq->owner;
    FAILPOINT("dispatcher.answered");
    if (e == ERR_CLOSED) {
        item_end(it, e);
        return;
    }
    it->change.ev = verdict_of(&it->verdict, e, rq->status, httpc_header(rq, S("retry-after")));
    it->change.ev.fence = it->change.b.seq;
    count(&it->change.ev);
    LOG(INFO, "callback.answered", F_STR("blob", it->change.b.id),
        F_INT("attempt", it->change.b.attempts + 1), F_INT("status", rq->status),
        F_STR("code", it->verdict.code), F_STR("why", rq->why), F_INT("took_us", rq->took_us));
    it->change.done = ended;
    repo_apply(&it->d->worker.repo, &it->change);
}

static bool guard(const void *arg, const struct sockaddr *peer)
{
    return netguard_allows(arg, peer);
}

static void post(struct item *it)
{
    struct dispatch *d = it->d;
    const struct blob *b = &it->change.b;
    if (b->result == RESULT_LABELS)
        render_labels(&it->body, b, buf_str(&it->result.labels));
    else /* an older generation's labels are no outcome of this one */
        render_status_body(&it->body, str_of(b->id), render_status(b));
    (void)snprintf(it->trace, sizeof it->trace, "traceparent: %s", b->traceparent);
    it->hdrs[0] = "Content-Type: application/json";
    it->hdrs[1] = b->traceparent[0] != '\0' ? it->trace : NULL;
    it->post = (struct httpc_req){ .method = "POST",
                                   .url = b->callback_url,
                                   .hdrs = it->hdrs,
                                   .body = buf_str(&it->body),
                                   .connect_ms = CONNECT_MS,
                                   .total_ms = d->timeout_ms,
                                   .max_answer = ANSWER_MAX,
                                   .cut_answer = true,
                                   .guard = guard,
                                   .guard_arg = &d->guard,
                                   .done = answered,
                                   .owner = it };
    httpc_start(d->worker.http, &it->post);
}

static void got_result(struct repo_lookup *l, enum err e)
{
    struct item *it = l->owner;
    if (e != ERR_OK || l->b.seq != it->change.b.seq)
        item_end(it, e); /* gone or superseded meanwhile */
    else
        post(it);
}

static void started(struct repo_change *c, enum err e)
{
    struct item *it = c->owner;
    FAILPOINT("dispatcher.started");
    if (e != ERR_OK || c->b.phase != PHASE_ATTEMPTING) {
        item_end(it, e); /* not waiting for delivery any more */
        return;
    }
    (void)!str_copy(it->result.id, sizeof it->result.id, str_of(c->b.id));
    it->result.done = got_result;
    it->result.owner = it;
    repo_look_up(&it->d->worker.repo, &it->result);
}

void dispatch_take(struct worker *w, const struct event_work *work, struct kafka_ticket ticket)
{
    FAILPOINT("dispatcher.taken");
    struct item *it = xcalloc(1, sizeof *it);
    it->d = (struct dispatch *)w;
    it->ticket = ticket;
    it->body = BUF_INIT(RENDER_MAX_BYTES + 1024);
    it->change.ev.type = LIFE_DELIVER_START;
    it->change.done = started;
    it->change.owner = it;
    (void)!str_copy(it->change.b.id, sizeof it->change.b.id, str_of(work->id));
    repo_apply(&w->repo, &it->change);
}
