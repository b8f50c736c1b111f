/* Every state that one blob can get into, whatever comes twice, late, never or from the dead.
 *
 * An explicit-state model checker: breadth first from the created blob over all that can happen
 * next, with the real life_next() as the step of the record.  On a violation it prints the
 * shortest way there and fails.
 *
 * What is modelled
 *   record     the fields that life_next reads or writes and that steer it.  The three kinds of
 *              failed recognition are one (RESULT_ERROR), so are those of a failed delivery.
 *              Two words are the checker's own: whose labels are stored, and whether the receiver
 *              answered 204 in this generation.
 *   seq, gen   only differences matter: what an actor holds is the record's seq, older, or, after
 *              a rewind, newer.  So neither has an upper end here.
 *   scripts    transition.lua: an actor decides on its own copy; the write is the difference
 *              between that copy and the next record, if the seq is the expected one; else it
 *              reads again and decides anew, with the fence.
 *   timer      armed until the blob is erased, and due whenever it likes: there is no clock.
 *   bucket     no object, A or B; the client PUTs nothing, A, or A and then B, at any time until
 *              the blob is being erased; where `late`, until the upload URL is over, come what may.
 *   S3 events  lost, late, out of order and repeated without end.
 *   work items an outbox row and its message in Kafka are one thing: on its way, as late as it
 *              likes, delivered again without end; one flag says "at least one".  Where `lossy`,
 *              they get lost too.
 *   actors     two recognizers and two dispatchers (start, effect outside, finish are separate
 *              steps, between any two of which they crash or lose their lease); the watcher's
 *              event side (hearsay, then a look) and its timer side (claim, look-up, look,
 *              transition).
 *   rewind     once, Redis loses its last transition: record, timer, and perhaps the row in the
 *              outbox.  The next transition gets the lost seq again (a twin), and who holds the
 *              lost record writes his difference over another one.  `unique_seq` is the model in
 *              which the write notices that.
 *   clients    one of recognize again, redeliver and delete.
 *
 * What an actor with an old fence says is refused.  Most runs rely on that and forget such an
 * actor at once, which keeps the graph small; so it is checked for every record that is reached
 * and for every fenced event.  The calm runs keep such actors.
 *
 * In every state and transition the rules of wrong_step() and wrong_state() hold; from every state
 * the end is in reach without a further fault (check_ends()); every phase is reached.
 *
 * What is not: time (delays are life_test.c's), Kafka and the relay (their own tests), more than
 * one lost transition, reading by reference (no If-Match there).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "blob/life.h"
#include "blob/render.h"

#define GONE PHASE_N /* the phase of a record that is erased */
#define SEQ  100     /* of every record given to life_next: only differences matter */

/* ---- the state: without a hole, compared and hashed as it is */

enum { NOTHING, A, B, UNKNOWN }; /* objects, by etag */

struct rec {
    uint32_t phase : 4, result : 3, delivery : 3, gen : 2, starts : 3, tries : 1, attempts : 2,
        looked : 1, etag : 2; /* gen: of now always 1; of other relative to it */
    uint32_t labels : 2;      /* of which object they are */
    uint32_t ok : 2;          /* the receiver's 204s in this generation, up to ok_max */
    uint32_t spare : 7;
};

enum { RECOGNIZER, DISPATCHER = 2, TIMER = 4, EVENTS, ACTORS };
enum fence { NONE, STALE, CURRENT, BEHIND /* by the one that will be lost */, AHEAD, TWIN };
/* TWIN: the seq that it holds was lost and then given to another transition. */
enum job {
    IDLE,
    STARTED,            /* recognizer, dispatcher: holds a fence */
    PROBED,             /* recognizer */
    CHANGED,            /* recognizer: another object is there; + which */
    ANSWERED = PROBED,  /* dispatcher: + enum answer */
    CLAIMED = 1,        /* timer */
    LOOKED_UP,          /* timer */
    FOUND,              /* timer: + which object, or nothing */
    ERASED = FOUND + 3, /* + 1: the URL was not over when the deletion began */
    LOOKING = 1,        /* events: told of A; + 1 of B */
    SEEN = 3,           /* events: A; + 1 B; + 2 when told of B */
};
enum answer { ANSWER_OK, ANSWER_BAD, ANSWER_GONE };

struct actor {
    uint8_t job : 4, fence : 4;
};
enum { FRESH, ARMED, USED }; /* rewind: ARMED means that the last transition will be lost */
enum { PUT_NONE, PUT_A_TOLD, PUT_A_LOST, PUT_B_TOLD, PUT_B_LOST };

struct state {
    struct rec now;
    struct rec other; /* ARMED: what Redis goes back to; USED: what was lost, while it matters */
    struct actor who[ACTORS];
    uint16_t mode : 2, said : 2; /* said: by the transition that will be lost */
    uint16_t recognize : 2, deliver : 2, told : 2, puts : 3, object : 2, asked : 1;
    uint32_t url_over; /* no PUT any more; always 0 where not `late` */
};
_Static_assert(sizeof(struct state) == 20, "no holes");

typedef void next_fn(const struct blob *, const struct life_event *, const struct life_policy *,
                     uint64_t, struct life_step *);

struct model { /* what may happen */
    const char *name;
    next_fn *next;
    bool callback, lossy, rewinds, asks, late;
    bool calm;         /* nothing crashes, is repeated or loses a lease while at work */
    bool forget_anew;  /* broken: the watcher does not see that a timer was set anew */
    bool unique_seq;   /* as if a lost seq were never given again */
    unsigned puts;     /* 0, 1, 2 */
    unsigned item_max; /* copies of a work item that are told apart */
};

static const struct life_policy policy = {
    .upload_grace_ms = 10000,
    .recognize_lease_ms = 60000,
    .recognize_tries = 2,
    .callback_attempts = 2,
    .callback_lease_ms = 20000,
    .callback_on_failure = true,
    .retention_ms = INT64_C(2592000000),
};

/* ---- the record's step, remembered: life_next is asked once for every record and event */

struct event {
    enum life_event_type type;
    unsigned etag;
    bool hearsay, gone, early;
    int lag; /* of its fence behind the record's seq, when it has one */
    bool fenced;
};

struct step {
    uint64_t key; /* 0: free */
    struct rec next;
    bool changed;
    unsigned says;
    const char *name, *wrong;
};
#define STEPS (1U << 19)

struct edge {
    uint32_t from, to;
};

struct run {
    const struct model *m;
    struct step *steps;
    size_t n_steps;
    struct state *states;
    uint32_t *parent, *slots;
    uint32_t n, cap, n_slots;
    struct edge *edges; /* without faults: what must lead to the end */
    size_t n_edges, cap_edges, transitions;
    /* while a state is expanded */
    uint32_t at;
    const char *wrong; /* the rule that was broken; NULL: none so far */
    char said[160];    /* what happened when it was */
    uint32_t wrong_at;
    struct state wrong_state;
    /* while a trace is printed */
    const struct state *sought;
    char found[160];
};

static const char *etags[] = { "", "a", "b", "?" };

static void to_blob(struct blob *b, const struct rec *r, const struct model *m)
{
    b->phase = (enum blob_phase)r->phase;
    b->result = (enum blob_result)r->result;
    b->delivery = (enum blob_delivery)r->delivery;
    b->seq = SEQ;
    b->gen = r->gen;
    b->starts = r->starts;
    b->tries = r->tries;
    b->attempts = r->attempts;
    b->looked_late = r->looked;
    b->etag[0] = etags[r->etag][0];
    b->has_labels = r->labels != NOTHING;
    b->callback_url[0] = m->callback ? 'u' : '\0';
    b->owner[0] = 'o';
}

/* Labels and ok are left to the caller. */
static struct rec of_step(const struct life_step *s)
{
    const struct blob *b = &s->next;
    bool gone = s->erased || s->delay_ms == LIFE_NO_TIMER; /* transition.lua: -1 erases */
    struct rec r = { .phase = gone ? GONE : b->phase,
                     .result = b->result,
                     .delivery = b->delivery,
                     .gen = (uint32_t)b->gen & 3U,
                     .starts = (uint32_t)b->starts & 7U,
                     .tries = b->tries & 1,
                     .attempts = (uint32_t)b->attempts & 3U,
                     .looked = b->looked_late & 1,
                     .etag = b->etag[0] == 'a'   ? A
                             : b->etag[0] == 'b' ? B
                             : b->etag[0] == '?' ? UNKNOWN
                                                 : NOTHING };
    return r;
}

static bool is_final(enum status s)
{
    return s != STATUS_WAITING_FOR_UPLOAD && s != STATUS_IN_PROGRESS;
}

static bool is_callback_trouble(enum status s)
{
    return s == STATUS_CALLBACK_FAILURE || s == STATUS_CALLBACK_TIME_OUT ||
           s == STATUS_CALLBACK_CONNECTION;
}

/* What every single step must keep; NULL: all is well. */
static const char *wrong_step(const struct blob *b, const struct event *ev,
                              const struct life_step *s)
{
    const struct blob *n = &s->next;
    enum status was = render_status(b), is = render_status(n);
    bool again = n->gen == b->gen + 1;
    if (!s->changed)
        return NULL;
    if (ev->fenced && ev->lag != 0)
        return "a fenced event applied with another seq";
    if (n->seq != b->seq + 1)
        return "seq did not grow by one";
    if (s->erased ? s->delay_ms != LIFE_NO_TIMER : s->delay_ms < 0)
        return "not exactly one timer";
    if (s->erased && b->phase != PHASE_ERASING)
        return "erased without erasing";
    if (n->gen != b->gen && !again)
        return "gen jumped";
    if (again && ((ev->type != LIFE_UPLOADED && ev->type != LIFE_RECOGNIZE_AGAIN) ||
                  n->phase != PHASE_QUEUED || n->result != RESULT_NONE))
        return "gen grew by an arrow that must not";
    if (!again && b->result != RESULT_NONE && n->result != b->result)
        return "a second outcome in one generation";
    if (n->phase == PHASE_ERASING && (is != STATUS_NOT_FOUND || n->has_labels))
        return "erasing, and something can still be seen";
    if (!again && is_final(was) && is != was && is != STATUS_NOT_FOUND &&
        !(is_callback_trouble(was) && (is == STATUS_SUCCESS || is_callback_trouble(is))))
        return "a final status went back";
    if (n->has_labels && !b->has_labels && (ev->type != LIFE_LABELED || n->result != RESULT_LABELS))
        return "labels from nowhere";
    if (n->has_labels < b->has_labels && n->phase != PHASE_ERASING)
        return "labels were lost";
    if (((s->says & LIFE_SAYS_RECOGNIZE) != 0) != (n->phase == PHASE_QUEUED) ||
        ((s->says & LIFE_SAYS_DELIVER) != 0) != (n->phase == PHASE_DELIVERING))
        return "what is said does not go with the phase";
    if (n->delivery == DELIVERY_DONE && b->delivery != DELIVERY_DONE && ev->type != LIFE_DELIVERED)
        return "delivered without an answer";
    if (n->starts >= LIFE_STARTS_MAX || n->tries >= policy.recognize_tries ||
        n->attempts > policy.callback_attempts)
        return "a counter is over its limit";
    return NULL;
}

static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x7fb5d329728ea185);
    x = (x ^ (x >> 27)) * UINT64_C(0x81dadef4bc2dd44d);
    return x ^ (x >> 33);
}

/* Another generation, other dice, a hand-off that was often repeated: the same step. */
static const char *depends(const struct run *run, struct blob b, const struct life_event *ev,
                           const struct life_step *s)
{
    static struct life_step t;
    b.gen += 6;
    b.handoffs += 60;
    run->m->next(&b, ev, &policy, UINT64_MAX, &t);
    struct rec x = of_step(s), y = of_step(&t);
    y.gen = (uint32_t)(t.next.gen - 6) & 3U;
    bool alike = memcmp(&x, &y, sizeof x) == 0 && s->says == t.says && s->changed == t.changed &&
                 s->erased == t.erased && (s->delay_ms < 0) == (t.delay_ms < 0);
    return alike ? NULL : "the step depends on what must not steer it";
}

static void ask_life(const struct run *run, struct step *st, const struct rec *r,
                     const struct event *ev)
{
    static struct blob b;
    static struct life_step s;
    to_blob(&b, r, run->m);
    struct life_event le = { .type = ev->type,
                             .fence = ev->fenced ? SEQ - ev->lag : 0,
                             .etag = str_of(etags[ev->etag]),
                             .size = 1,
                             .result = RESULT_ERROR,
                             .delivery = DELIVERY_FAILURE,
                             .hearsay = ev->hearsay,
                             .gone = ev->gone,
                             .url_left_ms = ev->early };
    run->m->next(&b, &le, &policy, 0, &s);
    st->changed = s.changed;
    st->says = s.says;
    st->name = s.event;
    st->wrong = wrong_step(&b, ev, &s);
    if (st->wrong == NULL)
        st->wrong = depends(run, b, &le, &s);
    st->next = of_step(&s);
    st->next.labels = s.next.has_labels ? UNKNOWN : NOTHING;
}

static const struct step *step_of(struct run *run, struct rec r, const struct event *ev)
{
    uint32_t bits;
    r.ok = 0;
    r.labels = r.labels != NOTHING;
    memcpy(&bits, &r, sizeof bits);
    uint64_t code = (uint64_t)ev->type | (uint64_t)ev->etag << 5 | (uint64_t)ev->hearsay << 7 |
                    (uint64_t)ev->gone << 8 | (uint64_t)ev->fenced << 9 |
                    (uint64_t)(ev->lag + 1) << 10 | (uint64_t)ev->early << 12;
    uint64_t key = (code << 32 | bits) + 1;
    size_t i = mixed(key) & (STEPS - 1);
    while (run->steps[i].key != 0 && run->steps[i].key != key)
        i = (i + 1) & (STEPS - 1);
    struct step *st = &run->steps[i];
    if (st->key == 0) {
        assert_true(++run->n_steps < STEPS / 2);
        st->key = key;
        ask_life(run, st, &r, ev);
    }
    return st;
}

/* ---- the set of states */

static bool same(const struct state *a, const struct state *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static uint64_t hash(const struct state *s)
{
    uint64_t w[3] = { 0 };
    memcpy(w, s, sizeof *s);
    return mixed(w[0] + mixed(w[1] + mixed(w[2])));
}

static void grow(struct run *run)
{
    run->cap = run->cap == 0 ? 1U << 16 : 2 * run->cap;
    run->n_slots = 2 * run->cap;
    run->states = xrealloc(run->states, run->cap * sizeof *run->states);
    run->parent = xrealloc(run->parent, run->cap * sizeof *run->parent);
    free(run->slots);
    run->slots = xcalloc(run->n_slots, sizeof *run->slots);
    for (uint32_t n = 0; n < run->n; n++) {
        uint64_t i = hash(&run->states[n]) & (run->n_slots - 1);
        while (run->slots[i] != 0)
            i = (i + 1) & (run->n_slots - 1);
        run->slots[i] = n + 1;
    }
}

static uint32_t number_of(struct run *run, const struct state *s)
{
    if (run->n == run->cap)
        grow(run);
    uint64_t i = hash(s) & (run->n_slots - 1);
    for (; run->slots[i] != 0; i = (i + 1) & (run->n_slots - 1))
        if (same(&run->states[run->slots[i] - 1], s))
            return run->slots[i] - 1;
    run->states[run->n] = *s;
    run->parent[run->n] = run->at;
    run->slots[i] = ++run->n;
    return run->n - 1;
}

/* ---- what must hold in every state */

/* What S3 told, and did not lose, is seen once all is quiet. */
static bool overlooked(const struct state *s)
{
    const struct rec *r = &s->now;
    bool told = s->puts == PUT_A_TOLD || s->puts == PUT_B_TOLD;
    return told && s->told == 0 && s->who[EVENTS].job == IDLE && s->mode == FRESH &&
           r->phase < PHASE_ERASING && s->object != r->etag;
}

static const char *wrong_state(const struct model *m, const struct state *s)
{
    const struct rec *r = &s->now;
    bool before = r->phase >= PHASE_QUEUED && r->phase <= PHASE_PARKED;
    bool telling = r->phase >= PHASE_DELIVERING && r->phase <= PHASE_HOLDING;
    if (r->phase == GONE)
        return m->late && s->object != NOTHING ? "an object was left behind" : NULL;
    if (before && (r->result != RESULT_NONE || r->etag == NOTHING))
        return "recognized although there is a result, or no object";
    if (telling && (r->result == RESULT_NONE || !m->callback))
        return "a delivery before the result";
    if (r->phase == PHASE_FINISHED && r->result == RESULT_NONE)
        return "finished without a result";
    if (r->result == RESULT_LABELS && r->labels != r->etag && r->phase != PHASE_ERASING)
        return "labels of another object";
    if (r->delivery == DELIVERY_DONE && r->ok == 0)
        return "delivered, but the receiver did not answer 204";
    if (m->calm && r->ok > 1 && !s->asked)
        return "one POST too many";
    if (overlooked(s))
        return "a told object was overlooked";
    return NULL;
}

/* The premise of forgetting actors with an old fence. */
static const char *wrong_refusal(struct run *run, const struct rec *r)
{
    static const enum life_event_type fenced[] = {
        LIFE_UPLOADED,  LIFE_ABSENT,          LIFE_TIMER_DUE, LIFE_PROBED,
        LIFE_LABELED,   LIFE_REJECTED,        LIFE_TRANSIENT, LIFE_OVER_CAP,
        LIFE_DELIVERED, LIFE_DELIVERY_FAILED, LIFE_ERASED
    };
    for (size_t i = 0; i < N_OF(fenced) && r->phase != GONE; i++)
        for (int lag = -1; lag <= 1; lag += 2) {
            const struct event ev = {
                .type = fenced[i], .etag = UNKNOWN, .fenced = true, .lag = lag
            };
            const char *wrong = step_of(run, *r, &ev)->wrong;
            if (wrong != NULL)
                return wrong;
        }
    return NULL;
}

/* ---- leaving a state */

static struct rec no_record(void)
{
    return (struct rec){ .phase = 0 };
}

/* Brings what means the same into the same form. */
static void normalize(const struct model *m, struct state *s)
{
    bool other = s->mode == ARMED;
    for (int i = 0; i < ACTORS; i++) {
        struct actor *a = &s->who[i];
        if (a->fence == STALE && i != EVENTS && !(m->calm && i != TIMER))
            *a = (struct actor){ IDLE, NONE };
        if (i == EVENTS && (a->fence == BEHIND || (!m->rewinds && a->fence != NONE)))
            a->fence = STALE; /* it decides anew either way */
        if (i == EVENTS && s->mode == USED && a->fence == CURRENT)
            a->fence = STALE;
        other |= a->fence == AHEAD || a->fence == TWIN;
    }
    for (int i = RECOGNIZER; i <= DISPATCHER; i += DISPATCHER)
        if (memcmp(&s->who[i], &s->who[i + 1], sizeof s->who[i]) < 0) {
            struct actor a = s->who[i];
            s->who[i] = s->who[i + 1];
            s->who[i + 1] = a;
        }
    if (!other)
        s->other = no_record();
    else if (s->other.gen > 0) /* else it is older by more than one */
        s->other.gen = (s->other.gen + 1U - s->now.gen) & 3U;
    s->now.gen = 1;
    if (s->now.phase == GONE && s->mode != ARMED) {
        struct rec r = { .phase = GONE, .gen = 1 };
        *s = (struct state){ .now = r,
                             .mode = s->mode,
                             .puts = s->puts,
                             .object = m->late ? s->object : NOTHING,
                             .asked = s->asked,
                             .url_over = s->url_over };
    }
}

static void complain(struct run *run, const char *wrong, const struct state *s, const char *what)
{
    run->wrong = wrong;
    run->wrong_at = run->at;
    run->wrong_state = *s;
    (void)snprintf(run->said, sizeof run->said, "%s", what);
}

static void leave_with(struct run *run, struct state s, const char *what, bool fault)
{
    normalize(run->m, &s);
    if (run->sought != NULL) { /* a trace is printed: which way was it? */
        if (run->found[0] == '\0' && same(&s, run->sought))
            (void)snprintf(run->found, sizeof run->found, "%s", what);
        return;
    }
    if (run->wrong != NULL)
        return;
    run->transitions++;
    const char *wrong = wrong_state(run->m, &s);
    if (wrong != NULL) {
        complain(run, wrong, &s, what);
        return;
    }
    uint32_t to = number_of(run, &s);
    if (fault || to == run->at)
        return;
    if (run->n_edges == run->cap_edges) {
        run->cap_edges = run->cap_edges == 0 ? 1U << 16 : 2 * run->cap_edges;
        run->edges = xrealloc(run->edges, run->cap_edges * sizeof *run->edges);
    }
    run->edges[run->n_edges++] = (struct edge){ run->at, to };
}

/* ---- one event applied to the record, as repo.c and transition.lua do it */

static const char *type_names[] = {
    "uploaded", "absent",    "timer due", "recognizer starts", "probed",    "labels",
    "rejected", "transient", "over cap",  "dispatcher starts", "delivered", "delivery failed",
    "again",    "redeliver", "delete",    "object erased",
};

static void write_difference(struct rec *now, const struct rec *copy, const struct rec *next)
{
#define WRITE(field)                                                                               \
    if (next->field != copy->field)                                                                \
    now->field = next->field
    WRITE(phase);
    WRITE(result);
    WRITE(delivery);
    WRITE(gen);
    WRITE(starts);
    WRITE(tries);
    WRITE(attempts);
    WRITE(looked);
    WRITE(etag);
#undef WRITE
}

/* The record's seq grew: what everybody holds is one older. */
static void grow_seq(const struct model *m, struct state *s, bool arm, bool new_gen)
{
    for (int i = 0; i < ACTORS; i++) {
        struct actor *a = &s->who[i];
        bool posting = i >= DISPATCHER && i < TIMER;
        if (m->calm && new_gen && posting)
            *a = (struct actor){ IDLE, NONE }; /* about a past generation */
        if (i == TIMER && a->job == CLAIMED && !m->forget_anew)
            *a = (struct actor){ IDLE, NONE }; /* set anew: the look-up will see it */
        if (a->fence == CURRENT)
            a->fence = arm ? BEHIND : STALE;
        else if (a->fence == AHEAD)
            a->fence = TWIN;
        else if (a->fence == TWIN)
            a->fence = STALE;
    }
}

static void say(const struct model *m, struct state *s, unsigned says)
{
    if ((says & LIFE_SAYS_RECOGNIZE) != 0 && s->recognize < m->item_max)
        s->recognize++;
    if ((says & LIFE_SAYS_DELIVER) != 0 && s->deliver < m->item_max)
        s->deliver++;
}

struct act { /* one actor's next event */
    struct state s;
    int who; /* -1: a client */
    enum fence fence;
    const char *what;
    bool fault;
    enum job then;    /* its job when the event applied and the phase is .then_in */
    int then_in;      /* -1: any */
    enum job refused; /* its job when the event was refused */
};

static void leave_applied(struct run *run, const struct act *a, const struct step *st,
                          const struct rec *copy, bool labeled, bool arm)
{
    char what[160];
    struct state s = a->s;
    struct rec before = s.now;
    write_difference(&s.now, copy, &st->next);
    if (labeled)
        s.now.labels = a->fence == STALE ? UNKNOWN : copy->etag;
    else if (copy->labels != NOTHING && st->next.labels == NOTHING)
        s.now.labels = NOTHING;
    if (st->next.gen != copy->gen)
        s.now.ok = 0;
    if (a->who >= 0)
        s.who[a->who] = (struct actor){ IDLE, NONE };
    grow_seq(run->m, &s, arm, st->next.gen != copy->gen);
    if (a->who >= 0 && a->then != IDLE && (a->then_in < 0 || s.now.phase == (unsigned)a->then_in))
        s.who[a->who] = (struct actor){ (uint8_t)a->then, CURRENT };
    say(run->m, &s, st->says);
    if (arm) {
        s.mode = ARMED;
        s.other = before;
        s.said = st->says & 3U;
    }
    (void)snprintf(what, sizeof what, "%s: %s%s%s", a->what, st->name,
                   a->fence == TWIN ? " (decided on a lost record of the same seq)" : "",
                   arm ? " (will be lost)" : "");
    leave_with(run, s, what, a->fault || arm);
}

static void apply(struct run *run, const struct act *a, struct event ev)
{
    struct state s = a->s;
    struct rec copy = a->fence == TWIN ? s.other : s.now;
    if (s.mode == ARMED) /* Redis goes back before the next transition */
        return;
    bool gone = s.now.phase == GONE;
    ev.lag = a->fence == AHEAD ? -1 : a->fence == STALE || a->fence == BEHIND ? 1 : 0;
    const struct step *st = gone ? NULL : step_of(run, copy, &ev);
    if (!gone && st->wrong != NULL && run->wrong == NULL && run->sought == NULL) {
        s.now = st->next;
        char what[160];
        (void)snprintf(what, sizeof what, "%s: %s", a->what, st->name);
        complain(run, st->wrong, &s, what);
        return;
    }
    if (gone || !st->changed) {
        char what[160];
        (void)snprintf(what, sizeof what, "%s: refused", a->what);
        if (a->who >= 0)
            s.who[a->who] =
                (struct actor){ (uint8_t)a->refused, a->refused == IDLE ? NONE : CURRENT };
        leave_with(run, s, what, a->fault);
        return;
    }
    leave_applied(run, a, st, &copy, ev.type == LIFE_LABELED, false);
    if (run->m->rewinds && s.mode == FRESH)
        leave_applied(run, a, st, &copy, ev.type == LIFE_LABELED, true);
}

/* An actor ends its work with this event. */
static void end_with(struct run *run, const struct state *s, int who, struct event ev)
{
    char what[80];
    (void)snprintf(what, sizeof what, "%s says %s%s",
                   who == TIMER        ? "timer"
                   : who == EVENTS     ? "event side"
                   : who >= DISPATCHER ? "dispatcher"
                                       : "recognizer",
                   type_names[ev.type],
                   ev.etag == A   ? " A"
                   : ev.etag == B ? " B"
                                  : "");
    struct act a = { .s = *s, .who = who, .fence = s->who[who].fence, .what = what, .then_in = -1 };
    ev.fenced = who != EVENTS;
    if (ev.type == LIFE_PROBED)
        a.then = PROBED;
    apply(run, &a, ev);
}

static void set_job(struct run *run, struct state s, int who, enum job job, const char *what)
{
    s.who[who].job = (uint8_t)job & 15U;
    if (job == IDLE)
        s.who[who].fence = NONE;
    leave_with(run, s, what, false);
}

/* ---- the actors */

static void client_moves(struct run *run, const struct state *s)
{
    bool first = s->puts == PUT_NONE;
    unsigned done = first ? 0 : s->puts <= PUT_A_LOST ? 1 : 2;
    if (run->m->late && !s->url_over) {
        struct state t = *s;
        t.url_over = 1;
        leave_with(run, t, "the upload URL is over", false);
    }
    bool may = run->m->late ? !s->url_over : s->now.phase < PHASE_ERASING;
    if (done < run->m->puts && may) {
        struct state t = *s;
        t.object = first ? A : B;
        t.puts = (first ? PUT_A_LOST : PUT_B_LOST) & 7U;
        leave_with(run, t, first ? "PUT A, event lost" : "PUT B, event lost", true);
        t.puts = (first ? PUT_A_TOLD : PUT_B_TOLD) & 7U;
        t.told |= first ? 1U : 2U;
        leave_with(run, t, first ? "PUT A" : "PUT B", true);
    }
    if (!run->m->asks || s->asked)
        return;
    static const enum life_event_type asks[] = { LIFE_RECOGNIZE_AGAIN, LIFE_REDELIVER,
                                                 LIFE_DELETE };
    for (size_t i = 0; i < N_OF(asks); i++) {
        struct act a = { .s = *s, .who = -1, .what = "client", .fault = true, .then_in = -1 };
        a.s.asked = 1;
        apply(run, &a, (struct event){ .type = asks[i] });
    }
}

static void event_moves(struct run *run, const struct state *s)
{
    unsigned job = s->who[EVENTS].job;
    if (job == IDLE) {
        for (unsigned x = A; x <= B; x++)
            for (int keep = 0; keep <= !run->m->calm && (s->told & x) != 0; keep++) {
                struct act a = { .s = *s, .who = EVENTS, .then_in = -1, .fault = keep };
                a.what = keep ? "S3 event (comes again)" : "S3 event";
                a.s.told &= keep ? 3U : ~x & 3U;
                a.refused = x == s->now.etag || s->now.phase == GONE ? IDLE : LOOKING + x - A;
                apply(run, &a, (struct event){ .type = LIFE_UPLOADED, .etag = x, .hearsay = true });
            }
        return;
    }
    unsigned told = job < SEEN ? job : job - SEEN >= 2 ? 2 : 1; /* as a bit */
    if ((s->told & told) != 0) {                                /* its message was not committed */
        struct state t = *s;
        t.who[EVENTS] = (struct actor){ IDLE, NONE };
        leave_with(run, t, "event side crashes, or S3 cannot say", true);
    }
    if (job < SEEN && s->object == NOTHING)
        set_job(run, *s, EVENTS, IDLE, "event side finds nothing");
    else if (job < SEEN)
        set_job(run, *s, EVENTS, SEEN + s->object - A + 2 * (told - 1), "event side finds it");
    else
        end_with(run, s, EVENTS,
                 (struct event){ .type = LIFE_UPLOADED, .etag = (job - SEEN) % 2 == 0 ? A : B });
}

/* In calm no lease ends while its holder lives. */
static bool may_be_due(const struct model *m, const struct state *s)
{
    int who = s->now.phase == PHASE_RECOGNIZING ? RECOGNIZER : DISPATCHER;
    if (!m->calm || (s->now.phase != PHASE_RECOGNIZING && s->now.phase != PHASE_ATTEMPTING))
        return s->now.phase != GONE;
    return s->who[who].fence != CURRENT && s->who[who + 1].fence != CURRENT;
}

static void timer_looked_up(struct run *run, const struct state *s)
{
    static struct blob b;
    struct state t = *s;
    const struct rec *copy = s->who[TIMER].fence == CURRENT ? &s->now : &s->other;
    to_blob(&b, copy, run->m);
    if (life_wants_look(&b)) {
        set_job(run, t, TIMER, FOUND + t.object, "timer is due: a look into the bucket");
    } else if (copy->phase == PHASE_ERASING) {
        t.object = NOTHING;
        unsigned early = run->m->late && !s->url_over;
        set_job(run, t, TIMER, ERASED + early, "timer is due: the object is deleted");
    } else {
        end_with(run, s, TIMER, (struct event){ .type = LIFE_TIMER_DUE });
    }
}

static void timer_claims(struct run *run, const struct state *s)
{
    struct state t = *s;
    if (!may_be_due(run->m, s))
        return;
    t.who[TIMER] = (struct actor){ LOOKED_UP, CURRENT };
    if (run->m->calm) {
        t.who[TIMER] = (struct actor){ CLAIMED, NONE };
        leave_with(run, t, "timer is claimed", false);
    } else if (run->m->rewinds &&
               !run->m->unique_seq) { /* any timer may be due: nothing to see between these two */
        leave_with(run, t, "timer is claimed and looked up", false);
    } else { /* nor here: in between the record would only make the claim void */
        timer_looked_up(run, &t);
    }
}

static void timer_moves(struct run *run, const struct state *s)
{
    struct actor a = s->who[TIMER];
    struct state t = *s;
    if (a.job == IDLE) {
        timer_claims(run, s);
        return;
    }
    t.who[TIMER] = (struct actor){ IDLE, NONE };
    if (!run->m->calm)
        leave_with(run, t, "timer side crashes, or S3 cannot say", true);
    if (a.job == CLAIMED) {
        t.who[TIMER] = (struct actor){ LOOKED_UP, CURRENT };
        leave_with(run, t, "timer is looked up", false);
    } else if (a.job == LOOKED_UP) {
        timer_looked_up(run, s);
    } else if (a.job >= ERASED) {
        end_with(run, s, TIMER, (struct event){ .type = LIFE_ERASED, .early = a.job > ERASED });
    } else if (a.job == FOUND) {
        end_with(run, s, TIMER, (struct event){ .type = LIFE_ABSENT });
    } else {
        unsigned found = a.job - (unsigned)FOUND;
        end_with(run, s, TIMER, (struct event){ .type = LIFE_UPLOADED, .etag = found });
    }
}

static void take_item(struct run *run, const struct state *s, int who)
{
    bool recognizer = who < DISPATCHER;
    unsigned items = recognizer ? s->recognize : s->deliver;
    for (int keep = 0; keep <= !run->m->calm && items > 0; keep++) {
        struct act a = { .s = *s, .who = who, .then = STARTED, .fault = keep };
        a.what = keep ? "work item (comes again)" : "work item";
        a.then_in = recognizer ? PHASE_RECOGNIZING : PHASE_ATTEMPTING;
        if (!keep && recognizer)
            a.s.recognize = (items - 1) & 3U;
        else if (!keep)
            a.s.deliver = (items - 1) & 3U;
        apply(run, &a,
              (struct event){ .type = recognizer ? LIFE_RECOGNIZE_START : LIFE_DELIVER_START });
    }
}

static void crash(struct run *run, const struct state *s, int who)
{
    struct state t = *s;
    if (run->m->calm)
        return;
    t.who[who] = (struct actor){ IDLE, NONE };
    say(run->m, &t, who < DISPATCHER ? LIFE_SAYS_RECOGNIZE : LIFE_SAYS_DELIVER);
    leave_with(run, t, who < DISPATCHER ? "recognizer crashes" : "dispatcher crashes", true);
}

static void recognizer_moves(struct run *run, const struct state *s, int who)
{
    struct actor a = s->who[who];
    const struct rec *copy = a.fence == CURRENT ? &s->now : &s->other;
    bool there = s->object != NOTHING && (a.fence == STALE || s->object == copy->etag);
    bool changed = s->object != NOTHING && (a.fence == STALE || s->object != copy->etag);
    crash(run, s, who);
    if (a.job > CHANGED) {
        end_with(run, s, who,
                 (struct event){ .type = LIFE_UPLOADED, .etag = a.job - (unsigned)CHANGED });
        return;
    }
    if (a.job == STARTED && there)
        end_with(run, s, who, (struct event){ .type = LIFE_PROBED });
    if (a.job == STARTED)
        end_with(run, s, who, (struct event){ .type = LIFE_OVER_CAP });
    if (a.job == PROBED) /* read before, whatever is there now */
        end_with(run, s, who, (struct event){ .type = LIFE_LABELED });
    end_with(run, s, who, (struct event){ .type = LIFE_REJECTED });
    end_with(run, s, who, (struct event){ .type = LIFE_TRANSIENT });
    if (changed)
        set_job(run, *s, who, CHANGED + s->object, "recognizer finds another object");
}

/* The receiver remembers what it answered, whatever Redis forgets. */
static void count_ok(const struct model *m, struct state *s, enum fence fence)
{
    unsigned ok_max = m->calm ? 3 : 1;
    bool same_gen = fence == CURRENT || fence == STALE || s->other.gen == s->now.gen;
    struct rec *r = same_gen ? &s->now : &s->other;
    if (r->ok < ok_max)
        r->ok++;
}

static void dispatcher_moves(struct run *run, const struct state *s, int who)
{
    struct actor a = s->who[who];
    crash(run, s, who);
    if (a.job == STARTED) {
        struct state t = *s;
        set_job(run, t, who, ANSWERED + ANSWER_BAD, "POST, bad answer");
        set_job(run, t, who, ANSWERED + ANSWER_GONE, "POST, 410");
        count_ok(run->m, &t, a.fence);
        set_job(run, t, who, ANSWERED + ANSWER_OK, "POST, 204");
    } else if (a.job == ANSWERED + ANSWER_OK) {
        end_with(run, s, who, (struct event){ .type = LIFE_DELIVERED });
    } else {
        end_with(run, s, who,
                 (struct event){ .type = LIFE_DELIVERY_FAILED,
                                 .gone = a.job == ANSWERED + ANSWER_GONE });
    }
}

/* Redis comes back without its last transition. */
static void rewind_moves(struct run *run, const struct state *s)
{
    struct state t = *s;
    if (s->mode != ARMED)
        return;
    t.now = s->other;
    t.other = s->now;
    if (t.now.gen == t.other.gen && t.other.ok > t.now.ok)
        t.now.ok = t.other.ok;
    t.mode = USED;
    t.said = 0;
    uint8_t ahead = run->m->unique_seq ? STALE : AHEAD; /* never met again: as good as old */
    for (int i = 0; i < ACTORS; i++) {
        uint8_t f = t.who[i].fence;
        t.who[i].fence = f == CURRENT ? ahead : f == BEHIND ? CURRENT : f;
    }
    leave_with(run, t, "Redis goes back by one transition", false);
    if ((s->said & LIFE_SAYS_RECOGNIZE) != 0 && t.recognize > 0)
        t.recognize--;
    else if ((s->said & LIFE_SAYS_DELIVER) != 0 && t.deliver > 0)
        t.deliver--;
    else
        return;
    leave_with(run, t, "Redis goes back by one transition and its row", false);
}

static void expand(struct run *run, struct state s)
{
    client_moves(run, &s);
    event_moves(run, &s);
    timer_moves(run, &s);
    for (int who = RECOGNIZER; who < TIMER; who++) {
        bool recognizer = who < DISPATCHER;
        int first = recognizer ? RECOGNIZER : DISPATCHER;
        if (s.who[who].job == IDLE && (who == first || s.who[first].job != IDLE))
            take_item(run, &s, who);
        else if (s.who[who].job != IDLE && recognizer)
            recognizer_moves(run, &s, who);
        else if (s.who[who].job != IDLE)
            dispatcher_moves(run, &s, who);
    }
    rewind_moves(run, &s);
    if (run->m->lossy && s.recognize + s.deliver > 0) {
        struct state t = s;
        t.recognize = t.deliver = 0;
        leave_with(run, t, "work items are lost", true);
    }
}

/* ---- a run */

static void print_state(const struct state *s)
{
    const struct rec *r = &s->now;
    print_message("      %s result %s delivery %s starts %u tries %u attempts %u etag %s "
                  "labels %s ok %u | object %s items %u %u told %u |",
                  r->phase == GONE ? "gone" : phase_name((enum blob_phase)r->phase),
                  result_name((enum blob_result)r->result),
                  delivery_name((enum blob_delivery)r->delivery), r->starts, r->tries, r->attempts,
                  etags[r->etag], etags[r->labels], r->ok, etags[s->object], s->recognize,
                  s->deliver, s->told);
    for (int i = 0; i < ACTORS; i++)
        print_message(" %u/%u", s->who[i].job, s->who[i].fence);
    print_message("%s\n", s->mode == ARMED ? " armed" : s->mode == USED ? " rewound" : "");
}

static void print_trace(struct run *run, uint32_t to)
{
    if (to != 0) {
        print_trace(run, run->parent[to]);
        run->sought = &run->states[to];
        run->found[0] = '\0';
        expand(run, run->states[run->parent[to]]);
        print_message("   %s\n", run->found);
        run->sought = NULL;
    }
    print_state(&run->states[to]);
}

/* From every state the blob comes to its end without another fault: backwards from the ends. */
static void check_ends(struct run *run)
{
    uint8_t *good = xcalloc(run->n, 1);
    for (uint32_t i = 0; i < run->n; i++)
        good[i] = run->states[i].mode != ARMED &&
                  (run->states[i].now.phase == PHASE_FINISHED || run->states[i].now.phase == GONE);
    for (bool more = true; more;) {
        more = false;
        for (size_t e = run->n_edges; e-- > 0;)
            if (good[run->edges[e].to] && !good[run->edges[e].from])
                good[run->edges[e].from] = more = true;
    }
    for (uint32_t i = 0; i < run->n && run->wrong == NULL; i++)
        if (!good[i]) {
            run->at = i;
            complain(run, "stuck: the end cannot be reached from here", &run->states[i],
                     "no way on");
        }
    free(good);
}

/* Else a run could pass by doing nothing. */
static void check_phases(struct run *run)
{
    unsigned reached = 0, all = (1U << (GONE + 1)) - 1;
    if (!run->m->callback)
        all &= ~(1U << PHASE_DELIVERING | 1U << PHASE_ATTEMPTING | 1U << PHASE_HOLDING);
    for (uint32_t i = 0; i < run->n; i++)
        reached |= 1U << run->states[i].now.phase;
    run->at = 0;
    if (reached != all)
        complain(run, "a phase was never reached, or must not", &run->states[0], "all that is");
}

static struct state created(void)
{
    struct rec r = { .phase = PHASE_AWAITING, .gen = 1 };
    return (struct state){ .now = r };
}

static void run_free(struct run *run)
{
    free(run->steps);
    free(run->states);
    free(run->parent);
    free(run->slots);
    free(run->edges);
}

/* Returns the broken rule, or NULL. */
static const char *check(const struct model *m, bool tell)
{
    struct run run = { .m = m, .steps = xcalloc(STEPS, sizeof(struct step)) };
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    struct state first = created();
    (void)number_of(&run, &first);
    for (run.at = 0; run.at < run.n && run.wrong == NULL; run.at++) {
        const char *wrong = wrong_refusal(&run, &run.states[run.at].now);
        if (wrong != NULL)
            complain(&run, wrong, &run.states[run.at], "an actor with an old fence");
        expand(&run, run.states[run.at]);
    }
    if (run.wrong == NULL)
        check_ends(&run);
    if (run.wrong == NULL)
        check_phases(&run);
    clock_gettime(CLOCK_MONOTONIC, &to);
    print_message("%s: %u states, %zu transitions, %zu steps of life_next, %.2f s\n", m->name,
                  run.n, run.transitions, run.n_steps,
                  (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    if (run.wrong != NULL && tell) {
        print_trace(&run, run.wrong_at);
        print_message("   %s\n", run.said);
        print_state(&run.wrong_state);
        print_message("   ^ %s\n", run.wrong);
    }
    run_free(&run);
    return run.wrong;
}

/* ---- the runs */

static void whatever_comes_twice_late_or_never(void **state)
{
    (void)state;
    const struct model m = { .name = "faults",
                             .next = life_next,
                             .callback = true,
                             .lossy = true,
                             .asks = true,
                             .puts = 2,
                             .item_max = 1 };
    assert_null(check(&m, true));
}

static void the_same_without_a_callback(void **state)
{
    (void)state;
    const struct model m = { .name = "no callback",
                             .next = life_next,
                             .lossy = true,
                             .asks = true,
                             .puts = 2,
                             .item_max = 1 };
    assert_null(check(&m, true));
}

static void an_upload_that_lands_while_its_blob_is_erased(void **state)
{
    (void)state;
    const struct model m = { .name = "late upload",
                             .next = life_next,
                             .asks = true,
                             .late = true,
                             .puts = 2,
                             .item_max = 1 };
    assert_null(check(&m, true));
}

static void two_copies_of_every_item(void **state)
{
    (void)state;
    const struct model m = {
        .name = "two copies", .next = life_next, .callback = true, .puts = 1, .item_max = 2
    };
    assert_null(check(&m, true));
}

static const struct model calm = { .name = "calm",
                                   .next = life_next,
                                   .callback = true,
                                   .calm = true,
                                   .asks = true,
                                   .puts = 2,
                                   .item_max = 2 };

static void one_post_for_each_generation_when_all_is_calm(void **state)
{
    (void)state;
    assert_null(check(&calm, true));
}

static const struct model rewound = { .name = "rewind",
                                      .next = life_next,
                                      .callback = true,
                                      .rewinds = true,
                                      .unique_seq = true,
                                      .puts = 2,
                                      .item_max = 1 };

static void redis_loses_a_transition(void **state)
{
    (void)state;
    assert_null(check(&rewound, true));
}

/* Why comparing seq alone is not enough across a rewind: the timer side looks up a blob that rests,
 * which is then lost; the recognizer fails it for good and gets the same seq; and what failed is
 * queued again. */
static void within_one_generation_a_seq_must_not_be_given_twice(void **state)
{
    (void)state;
    struct model m = rewound;
    m.name = "rewind, seq given twice";
    m.unique_seq = false;
    m.puts = 1;
    assert_string_equal(check(&m, false), "recognized although there is a result, or no object");
}

/* Nor across generations: the recognizer of A holds a lost seq, B begins a generation that gets the
 * same one, and A's labels become B's. */
static void across_generations_a_seq_must_not_be_given_twice(void **state)
{
    (void)state;
    struct model m = rewound;
    m.name = "rewind, seq given twice, A replaced by B";
    m.unique_seq = false;
    assert_string_equal(check(&m, false), "labels of another object");
}

/* ---- the checker can fail: each of these breaks one promise */

static void no_fence(const struct blob *b, const struct life_event *ev, const struct life_policy *p,
                     uint64_t dice, struct life_step *out)
{
    struct life_event unfenced = *ev;
    unfenced.fence = 0;
    life_next(b, &unfenced, p, dice, out);
}

static void no_timer(const struct blob *b, const struct life_event *ev, const struct life_policy *p,
                     uint64_t dice, struct life_step *out)
{
    life_next(b, ev, p, dice, out);
    if (out->next.phase == PHASE_RESTING)
        out->delay_ms = LIFE_NO_TIMER;
}

static void no_lease_end(const struct blob *b, const struct life_event *ev,
                         const struct life_policy *p, uint64_t dice, struct life_step *out)
{
    life_next(b, ev, p, dice, out);
    if (b->phase == PHASE_RECOGNIZING && ev->type == LIFE_TIMER_DUE)
        out->changed = false;
}

static void no_word(const struct blob *b, const struct life_event *ev, const struct life_policy *p,
                    uint64_t dice, struct life_step *out)
{
    life_next(b, ev, p, dice, out);
    if (ev->type == LIFE_LABELED)
        out->says = 0;
}

static void no_memory(const struct blob *b, const struct life_event *ev,
                      const struct life_policy *p, uint64_t dice, struct life_step *out)
{
    life_next(b, ev, p, dice, out);
    if (ev->type == LIFE_DELIVERY_FAILED)
        out->next.delivery = ev->delivery;
}

static void no_doubt(const struct blob *b, const struct life_event *ev, const struct life_policy *p,
                     uint64_t dice, struct life_step *out)
{
    struct life_event certain = *ev;
    certain.hearsay = false;
    life_next(b, &certain, p, dice, out);
}

static void no_turn(const struct blob *b, const struct life_event *ev, const struct life_policy *p,
                    uint64_t dice, struct life_step *out)
{
    struct blob waiting = *b;
    if (ev->type == LIFE_DELIVER_START && b->phase == PHASE_ATTEMPTING)
        waiting.phase = PHASE_DELIVERING;
    life_next(&waiting, ev, p, dice, out);
}

static void no_limit(const struct blob *b, const struct life_event *ev, const struct life_policy *p,
                     uint64_t dice, struct life_step *out)
{
    struct blob fresh = *b;
    fresh.tries = 0;
    life_next(&fresh, ev, p, dice, out);
    out->next.tries = b->tries + (out->next.phase == PHASE_RESTING);
}

static void no_second_deletion(const struct blob *b, const struct life_event *ev,
                               const struct life_policy *p, uint64_t dice, struct life_step *out)
{
    struct life_event once = *ev;
    once.url_left_ms = 0;
    life_next(b, &once, p, dice, out);
}

static void what_is_broken_is_caught(void **state)
{
    static const struct {
        struct model m;
        const char *want;
    } broken[] = {
        { { .name = "no fence", .next = no_fence }, "a fenced event applied with another seq" },
        { { .name = "no timer", .next = no_timer }, "not exactly one timer" },
        { { .name = "no lease", .next = no_lease_end },
          "stuck: the end cannot be reached from here" },
        { { .name = "no word", .next = no_word }, "what is said does not go with the phase" },
        { { .name = "no memory", .next = no_memory, .asks = true }, "a final status went back" },
        { { .name = "no doubt", .next = no_doubt }, "a told object was overlooked" },
        { { .name = "no limit", .next = no_limit }, "a counter is over its limit" },
        { { .name = "no turn", .next = no_turn, .calm = true }, "one POST too many" },
        { { .name = "one deletion", .next = no_second_deletion, .asks = true, .late = true },
          "an object was left behind" },
        { { .name = "timer not set anew", .next = life_next, .calm = true, .forget_anew = true },
          "one POST too many" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(broken); i++) {
        struct model m = broken[i].m;
        m.callback = true;
        m.puts = 2;
        m.item_max = m.calm ? 2 : 1;
        const char *wrong = check(&m, false);
        assert_non_null(wrong);
        assert_string_equal(wrong, broken[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_comes_twice_late_or_never),
        cmocka_unit_test(the_same_without_a_callback),
        cmocka_unit_test(an_upload_that_lands_while_its_blob_is_erased),
        cmocka_unit_test(two_copies_of_every_item),
        cmocka_unit_test(one_post_for_each_generation_when_all_is_calm),
        cmocka_unit_test(redis_loses_a_transition),
        cmocka_unit_test(within_one_generation_a_seq_must_not_be_given_twice),
        cmocka_unit_test(across_generations_a_seq_must_not_be_given_twice),
        cmocka_unit_test(what_is_broken_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
