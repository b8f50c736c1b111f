#include "recognizer/item.h"

#include <stdlib.h>

#include "base/failpoint.h"
#include "base/mem.h"

#define OUTAGE_MAX_MS INT64_C(86400000)

enum { M_LABELED, M_INVALID, M_TOO_LARGE, M_FAILED, M_POSTPONED };
#define RESULTS "labelwire_recognizer_results_total"
static struct metric metrics[] = {
    [M_LABELED] = { RESULTS, "result=\"labels\"", "Recognitions by how they ended.", METRIC_COUNTER,
                    0 },
    [M_INVALID] = { RESULTS, "result=\"invalid\"", NULL, METRIC_COUNTER, 0 },
    [M_TOO_LARGE] = { RESULTS, "result=\"too-large\"", NULL, METRIC_COUNTER, 0 },
    [M_FAILED] = { RESULTS, "result=\"error\"", NULL, METRIC_COUNTER, 0 },
    [M_POSTPONED] = { RESULTS, "result=\"postponed\"", NULL, METRIC_COUNTER, 0 },
};
const struct metric_set item_metrics = { metrics, N_OF(metrics) };

struct item *item_new(struct pipeline *p, struct str id, struct kafka_ticket ticket)
{
    struct item *it = xcalloc(1, sizeof *it);
    it->p = p;
    it->ticket = ticket;
    it->begun = mono_now();
    it->labels = BUF_INIT(LABELS_BYTES);
    it->change.owner = it;
    it->call.owner = it;
    (void)!str_copy(it->change.b.id, sizeof it->change.b.id, id);
    return it;
}

void item_end(struct item *it, enum err e)
{
    struct worker *w = &it->p->worker;
    s3_req_fini(&it->object);
    call_fini(&it->call);
    buf_fini(&it->labels);
    worker_done(w, it->ticket, e);
    free(it);
}

static void ended(struct repo_change *c, enum err e)
{
    FAILPOINT("recognizer.stored");
    item_end(c->owner, e);
}

void item_end_with(struct item *it, const struct life_event *ev)
{
    it->change.ev = *ev;
    it->change.done = ended;
    repo_apply(&it->p->worker.repo, &it->change);
}

void item_labeled(struct item *it)
{
    metric_add(&metrics[M_LABELED], 1);
    it->change.labels = buf_str(&it->labels);
    item_end_with(it, &(struct life_event){ .type = LIFE_LABELED,
                                            .fence = it->change.b.seq,
                                            .model = str_of(it->model) });
}

void item_reject(struct item *it, enum blob_result result, const char *code, const char *detail)
{
    metric_add(&metrics[result == RESULT_INVALID     ? M_INVALID
                        : result == RESULT_TOO_LARGE ? M_TOO_LARGE
                                                     : M_FAILED],
               1);
    item_end_with(it, &(struct life_event){ .type = LIFE_REJECTED,
                                            .fence = it->change.b.seq,
                                            .result = result,
                                            .code = str_of(code),
                                            .detail = str_of(detail) });
}

bool item_in_outage(const struct item *it, mono_t last_through)
{
    return last_through.ns < it->begun.ns &&
           wall_now().ms - it->change.b.created_ms < OUTAGE_MAX_MS;
}

void item_postpone(struct item *it, bool ours, const char *code, const char *detail)
{
    metric_add(&metrics[M_POSTPONED], 1);
    item_end_with(it, &(struct life_event){ .type = LIFE_TRANSIENT,
                                            .fence = it->change.b.seq,
                                            .ours = ours,
                                            .code = str_of(code),
                                            .detail = str_of(detail) });
}
