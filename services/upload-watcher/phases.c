/* phases.c - how many blobs are in each phase, and for how long the first of them: gauges.
 *
 * Every watcher counts all shards, so that the figures stay when one dies: take the largest.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "upload-watcher/watcher.h"

#define COUNT_EVERY_MS 5000

#define BLOBS(phase)                                                                               \
    { "labelwire_phase_blobs", "phase=\"" phase "\"", "Blobs in each phase, all shards.",          \
      METRIC_GAUGE, 0 }
#define OLDEST(phase)                                                                              \
    { "labelwire_phase_oldest_ms", "phase=\"" phase "\"",                                          \
      "How long the first of the blobs in a phase has been there.", METRIC_GAUGE, 0 }
/* Of the finished ones the first is of no interest: erasing takes its row. */
#define OLDEST_AT(phase) (PHASE_N + ((phase) == PHASE_ERASING ? PHASE_FINISHED : (phase)))

static struct metric metrics[] = {
    [PHASE_AWAITING] = BLOBS("awaiting"),
    [PHASE_QUEUED] = BLOBS("queued"),
    [PHASE_RECOGNIZING] = BLOBS("recognizing"),
    [PHASE_RESTING] = BLOBS("resting"),
    [PHASE_PARKED] = BLOBS("parked"),
    [PHASE_DELIVERING] = BLOBS("delivering"),
    [PHASE_ATTEMPTING] = BLOBS("attempting"),
    [PHASE_HOLDING] = BLOBS("holding"),
    [PHASE_FINISHED] = BLOBS("finished"),
    [PHASE_ERASING] = BLOBS("erasing"),
    [OLDEST_AT(PHASE_AWAITING)] = OLDEST("awaiting"),
    [OLDEST_AT(PHASE_QUEUED)] = OLDEST("queued"),
    [OLDEST_AT(PHASE_RECOGNIZING)] = OLDEST("recognizing"),
    [OLDEST_AT(PHASE_RESTING)] = OLDEST("resting"),
    [OLDEST_AT(PHASE_PARKED)] = OLDEST("parked"),
    [OLDEST_AT(PHASE_DELIVERING)] = OLDEST("delivering"),
    [OLDEST_AT(PHASE_ATTEMPTING)] = OLDEST("attempting"),
    [OLDEST_AT(PHASE_HOLDING)] = OLDEST("holding"),
    [OLDEST_AT(PHASE_ERASING)] = OLDEST("erasing"),
};
const struct metric_set phases_metrics = { metrics, N_OF(metrics) };

struct phases {
    struct watcher *w;
    mono_t next;
    unsigned counting; /* counts on their way */
    bool failed;       /* one of them did not come: the figures stay as they are */
    int64_t n[PHASE_N], oldest_ms[PHASE_N];
    struct repo_count count[REPO_SHARDS_MAX][PHASE_N];
};

static void publish(const struct phases *ph)
{
    int64_t finished = ph->n[PHASE_FINISHED]; /* it is the number of all timers */
    for (int p = 0; p < PHASE_N; p++) {
        if (p == PHASE_FINISHED)
            continue;
        finished -= ph->n[p];
        metric_set(&metrics[p], ph->n[p]);
        metric_set(&metrics[OLDEST_AT(p)], ph->oldest_ms[p]);
    }
    metric_set(&metrics[PHASE_FINISHED], finished);
}

static void counted(struct repo_count *c, enum err e)
{
    struct phases *ph = c->owner;
    ph->failed |= e != ERR_OK;
    ph->n[c->phase] += c->n;
    if (c->oldest_ms > ph->oldest_ms[c->phase])
        ph->oldest_ms[c->phase] = c->oldest_ms;
    if (--ph->counting == 0 && !ph->failed)
        publish(ph);
}

void phases_count(struct phases *ph, mono_t now)
{
    if (ph->counting > 0 || mono_until_ms(now, ph->next) > 0)
        return;
    ph->next = mono_after_ms(now, COUNT_EVERY_MS);
    ph->failed = false;
    for (int p = 0; p < PHASE_N; p++)
        ph->n[p] = ph->oldest_ms[p] = 0;
    for (unsigned shard = 0; shard < ph->w->repo.shards; shard++)
        for (int p = 0; p < PHASE_N; p++) {
            struct repo_count *c = &ph->count[shard][p];
            *c = (struct repo_count){
                .shard = shard, .phase = (enum blob_phase)p, .done = counted, .owner = ph
            };
            ph->counting++;
            repo_count(&ph->w->repo, c);
        }
}

struct phases *phases_new(struct watcher *w)
{
    struct phases *ph = xcalloc(1, sizeof *ph);
    ph->w = w;
    return ph;
}

void phases_free(struct phases *ph)
{
    free(ph);
}
