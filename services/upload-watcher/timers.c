/* timers.c - what is due: claimed on every shard, looked at, moved on.
 *
 * A claimed timer is held for HOLD_MS; if this process dies, or S3 cannot say whether the
 * object is there, it simply falls due again after that.
 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "upload-watcher/watcher.h"

#define POLL_MS 100
#define HOLD_MS 15000
#define BUSY_MS 1000
_Static_assert(HOLD_MS > S3_TIMEOUT_MAX_MS, "a look ends before its timer falls due again");

enum { M_CLAIMED, M_DUE, M_LATE };
static struct metric metrics[] = {
    [M_CLAIMED] = { "labelwire_timers_claimed_total", NULL, "Due timers worked on.", METRIC_COUNTER,
                    0 },
    [M_DUE] = { "labelwire_timers_due", NULL, "Timers due at the last look, all shards.",
                METRIC_GAUGE, 0 },
    [M_LATE] = { "labelwire_timers_late_ms", NULL, "How late the oldest of them was.", METRIC_GAUGE,
                 0 },
};
const struct metric_set timers_metrics = { metrics, N_OF(metrics) };

struct timers {
    struct watcher *w;
    mono_t next;
    unsigned claiming; /* claims on their way */
    unsigned left;     /* shards whose turn comes before the round is over */
    unsigned cursor;   /* the shard whose turn it is */
    int64_t due, late_ms;
    struct repo_claim claim[REPO_SHARDS_MAX];
};

/* One due timer: look up, perhaps ask S3, move on. */
struct item {
    struct watcher *w;
    int64_t held_until_ms;
    int64_t url_left_ms; /* when the deletion began */
    struct repo_lookup lookup;
    struct repo_change change;
    struct look look;
};

static void item_end(struct item *it)
{
    it->w->timers_busy--;
    buf_fini(&it->lookup.labels);
    free(it);
}

static void moved_on(struct repo_change *c, enum err e)
{
    FAILPOINT("timers.moved");
    if (e != ERR_OK && e != ERR_CONFLICT && e != ERR_CLOSED)
        LOG(WARN, "timer.failed", F_STR("blob", c->b.id), F_STR("error", err_name(e)));
    item_end(c->owner);
}

static void move_on(struct item *it, const struct life_event *ev)
{
    it->change.b = it->lookup.b;
    it->change.ev = *ev;
    it->change.ev.fence = it->lookup.b.seq;
    it->change.done = moved_on;
    it->change.owner = it;
    repo_apply(&it->w->repo, &it->change);
}

static void headed(struct look *l, enum err e)
{
    struct item *it = l->owner;
    FAILPOINT("timers.looked");
    if (e == ERR_OK)
        move_on(it, &l->found);
    else
        item_end(it); /* S3 could not say: the timer falls due again */
}

static void erased(struct look *l, enum err e)
{
    struct item *it = l->owner;
    FAILPOINT("timers.erased");
    if (e == ERR_OK)
        move_on(it, &(struct life_event){ .type = LIFE_ERASED, .url_left_ms = it->url_left_ms });
    else
        item_end(it);
}

static void looked_up(struct repo_lookup *lookup, enum err e)
{
    struct item *it = lookup->owner;
    const struct blob *b = &lookup->b;
    it->look.owner = it;
    if (e != ERR_OK || lookup->timer_ms != it->held_until_ms) {
        item_end(it); /* gone, or set anew by a transition meanwhile: not due */
    } else if (life_wants_look(b)) {
        it->look.done = headed;
        look_start(it->w, &it->look, str_of(b->object_key));
    } else if (b->phase == PHASE_ERASING) {
        it->url_left_ms = life_uploads_until_ms(b, it->w->repo.policy) - wall_now().ms;
        it->look.done = erased;
        look_erase(it->w, &it->look, str_of(b->object_key));
    } else {
        move_on(it, &(struct life_event){ .type = LIFE_TIMER_DUE });
    }
}

static void claimed(struct repo_claim *c, enum err e, size_t n)
{
    struct timers *t = c->owner;
    t->claiming--;
    if (e != ERR_OK)
        return;
    t->due += c->due;
    t->late_ms = c->late_ms > t->late_ms ? c->late_ms : t->late_ms;
    if (c->due > (int64_t)n)
        t->next = (mono_t){ 0 }; /* more is due than one claim takes: again at once */
    metric_add(&metrics[M_CLAIMED], (int64_t)n);
    if (n > 0)
        FAILPOINT("timers.claimed");
    for (size_t i = 0; i < n; i++) {
        struct item *it = xcalloc(1, sizeof *it);
        it->w = t->w;
        it->w->timers_busy++;
        it->held_until_ms = c->held_until_ms;
        it->lookup.done = looked_up;
        it->lookup.owner = it;
        (void)!str_copy(it->lookup.id, sizeof it->lookup.id, str_of(c->ids[i]));
        repo_look_up(&t->w->repo, &it->lookup);
    }
}

static bool has_room(const struct timers *t)
{
    return t->w->timers_busy + (t->claiming + 1) * REPO_CLAIM_MAX <= WATCHER_BUSY_MAX;
}

static void begin_round(struct timers *t, mono_t now)
{
    metric_set(&metrics[M_DUE], t->due);
    metric_set(&metrics[M_LATE], t->late_ms);
    t->due = t->late_ms = 0;
    t->left = t->w->repo.shards;
    t->next = mono_after_ms(now, POLL_MS);
}

/* With many shards there is no room for a claim on each at once: a round takes several turns. */
void timers_claim(struct timers *t, mono_t now)
{
    if (t->claiming > 0 || (t->left == 0 && mono_until_ms(now, t->next) > 0))
        return;
    if (t->left == 0)
        begin_round(t, now);
    for (; t->left > 0 && has_room(t); t->left--) {
        struct repo_claim *c = &t->claim[t->cursor];
        c->shard = t->cursor;
        c->done = claimed;
        c->owner = t;
        t->cursor = (t->cursor + 1) % t->w->repo.shards;
        t->claiming++;
        repo_claim(&t->w->repo, c, HOLD_MS);
    }
}

/* While there is no room the end of an item wakes the loop. */
int64_t timers_wait_ms(const struct timers *t, mono_t now)
{
    if (t->claiming > 0 || !has_room(t))
        return BUSY_MS;
    return t->left > 0 ? 0 : mono_until_ms(now, t->next);
}

struct timers *timers_new(struct watcher *w)
{
    struct timers *t = xcalloc(1, sizeof *t);
    t->w = w;
    return t;
}

void timers_free(struct timers *t)
{
    free(t);
}
