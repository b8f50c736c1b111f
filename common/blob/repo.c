#include "blob/repo.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "blob/render.h"
#include "blob/repo_op.h"

#define RESUME_MS  200 /* between repeats while Redis is away */
#define ROUNDS_MAX 8   /* of one repo_turn(): done() may submit what can go at once */

const struct conf_key repo_conf_keys[] = {
    { "LW_SHARDS", CONF_INT, offsetof(struct repo_conf, shards), .def = "1", .min = 1,
      .max = REPO_SHARDS_MAX,
      .doc = "Number of shards the records are spread over, the same in every service: 1 for a "
             "single primary, 16 or 64 for a Redis Cluster.  Fixed with the first start." },
};

enum err repo_open(struct repo *r, const struct repo_conf *c, const struct life_policy *p,
                   const char *source, struct errbuf *eb)
{
    *r = (struct repo){ .shards = (unsigned)c->shards,
                        .policy = p,
                        .source = source,
                        .durability = c->redis.durability };
    return redis_open(&r->redis, &c->redis, scripts, SCRIPT_N, eb);
}

static void submit_waiting(struct repo *r)
{
    while (r->waiting != NULL) {
        struct redis_op *op = r->waiting;
        r->waiting = op->next;
        redis_submit(r->redis, op);
    }
}

void repo_close(struct repo *r)
{
    if (r->redis != NULL)
        submit_waiting(r);
    redis_close(r->redis);
    r->redis = NULL;
}

/* Keeps a call for later if Redis could not take it now.  Every script is safe to repeat. */
static bool keep_waiting(struct repo *r, struct redis_op *op, enum err e)
{
    if (e != ERR_IO && e != ERR_TIMEOUT && e != ERR_FULL)
        return false;
    if (r->waiting == NULL)
        r->resume = mono_after_ms(mono_now(), RESUME_MS);
    op->next = r->waiting;
    r->waiting = op;
    return true;
}

void repo_turn(struct repo *r, mono_t now)
{
    if (r->waiting != NULL && mono_until_ms(now, r->resume) == 0)
        submit_waiting(r);
    for (int i = 0; i < ROUNDS_MAX && redis_pending(r->redis); i++)
        redis_turn(r->redis);
}

int64_t repo_wait_ms(struct repo *r, mono_t now, int64_t at_most_ms)
{
    if (redis_pending(r->redis))
        return 0;
    int64_t ms = r->waiting != NULL ? mono_until_ms(now, r->resume) : at_most_ms;
    return ms < at_most_ms ? ms : at_most_ms;
}

static void op_fields(struct redis_op *op, const struct blob_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        op_arg(op, fields[i].name);
        op_arg(op, fields[i].value);
    }
}

/* The shard's data is gone, and with it perhaps this blob: nothing can be said about it now. */
static bool is_lost(const struct redis_val *v)
{
    return redis_int(redis_type(v) == REDIS_LIST ? redis_at(v, 0) : v) == -2;
}

#define READ_FIELDS 2 /* item of read.lua's answer where the record begins */

/* Reads field, value, … from item `from` of an answer on.  b->id stays, whatever comes: what is
 * said about a blob that is missing or unreadable names it. */
static enum err read_record(struct blob *b, const struct redis_val *v, size_t from)
{
    char id[sizeof b->id];
    if (is_lost(v))
        return ERR_IO;
    memcpy(id, b->id, sizeof id);
    memset(b, 0, sizeof *b);
    memcpy(b->id, id, sizeof id);
    for (size_t i = from; i + 1 < redis_len(v); i += 2) {
        struct str name = redis_text(redis_at(v, i));
        if (blob_set_field(b, name, redis_text(redis_at(v, i + 1))) != ERR_OK) {
            LOG(ERROR, "record.unreadable", F_STR("blob", b->id), F_VIEW("field", name));
            return ERR_REMOTE;
        }
    }
    return b->seq > 0 ? ERR_OK : ERR_MISSING;
}

/* One line for every transition, by whoever made it. */
static void log_step(const struct life_step *step)
{
    const struct blob *b = &step->next;
    LOG(INFO, step->event, F_STR("blob", b->id), F_INT("seq", b->seq),
        F_STR("phase", phase_name(b->phase)), F_STR("code", b->code), F_STR("detail", b->detail),
        F_STR("trace", b->traceparent), F_INT("timer_ms", step->delay_ms));
}

/* ---- applying an event */

static void apply_decide(struct repo_change *c);

static void apply_end(struct repo_change *c, enum err e)
{
    buf_fini(&c->event);
    buf_fini(&c->work);
    c->done(c, e);
}

/* The record that a repeated write met is the one that it writes: the first time had worked. */
static bool is_our_own(struct repo_change *c)
{
    return c->repeated && blob_fields(c->fields, &c->b, &c->step.next) == 0;
}

static void applied(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct repo_change *c = (struct repo_change *)((char *)op - offsetof(struct repo_change, op));
    if (keep_waiting(c->repo, op, e == ERR_OK && is_lost(v) ? ERR_IO : e)) {
        c->repeated = true;
        return;
    }
    int64_t verdict = redis_int(redis_at(v, 0));
    if (e == ERR_OK && verdict == 0) {
        e = read_record(&c->b, v, 1);
        if (e == ERR_OK && is_our_own(c)) {
            verdict = 1;
        } else if (e == ERR_OK && c->ev.fence != 0) {
            e = ERR_CONFLICT;     /* what this event ends is over, even if a lost seq came again */
        } else if (e == ERR_OK) { /* somebody was faster: decide anew */
            apply_decide(c);
            return;
        }
    }
    if (e == ERR_OK && verdict == 1) {
        FAILPOINT("transition.written");
        c->b = c->step.next;
        log_step(&c->step);
    } else if (e == ERR_OK) {
        e = ERR_MISSING;
    }
    apply_end(c, e);
}

static void apply_write(struct repo_change *c)
{
    struct redis_op *op = &c->op;
    const struct life_step *step = &c->step;
    struct str id = str_of(c->b.id);
    unsigned shards = c->repo->shards;
    keys_of_blob(&c->keys[0], KEY_BLOB, id, shards);
    keys_of_shard(&c->keys[1], KEY_TIMERS, keys_shard(id, shards));
    keys_of_shard(&c->keys[2], KEY_OUTBOX, keys_shard(id, shards));
    keys_of_blob(&c->keys[3], KEY_TIMELINE, id, shards);
    keys_of_blob(&c->keys[4], KEY_LABELS, id, shards);
    keys_of_phase(&c->keys[5], c->b.phase, keys_shard(id, shards));
    keys_of_phase(&c->keys[6], step->next.phase, keys_shard(id, shards));
    keys_of_shard(&c->keys[7], KEY_EPOCH, keys_shard(id, shards));
    buf_clear(&c->event);
    buf_clear(&c->work);
    event_put_transition(&c->event, step, c->repo->source, wall_now());
    if (step->says != 0)
        event_put_work(&c->work, &step->next);
    op_number(c->seq, c->b.seq);
    op_number(c->updated, c->b.updated_ms);
    op_number(c->delay, step->erased ? -1 : step->delay_ms);

    op_init(op, SCRIPT_transition, applied);
    for (size_t i = 0; i < N_OF(c->keys); i++)
        op_key(op, &c->keys[i]);
    op_arg(op, id);
    op_arg(op, str_of(c->seq));
    op_arg(op, str_of(c->updated));
    op_arg(op, str_of(c->delay));
    op_arg(op, c->ev.type == LIFE_LABELED                  ? c->labels
               : c->b.has_labels && !step->next.has_labels ? S("-")
                                                           : S(""));
    op_arg(op, str_of(step->event));
    op_arg(op, S(TOPIC_EVENTS));
    op_arg(op, buf_str(&c->event));
    op_arg(op, (step->says & LIFE_SAYS_RECOGNIZE) != 0 ? S(TOPIC_RECOGNIZE)
               : (step->says & LIFE_SAYS_DELIVER) != 0 ? S(TOPIC_DELIVER)
                                                       : S(""));
    op_arg(op, buf_str(&c->work));
    op_fields(op, c->fields, blob_fields(c->fields, &step->next, &c->b));
    FAILPOINT("transition.write");
    redis_submit(c->repo->redis, op);
}

static void apply_decide(struct repo_change *c)
{
    life_next(&c->b, &c->ev, c->repo->policy, rand_u64(), &c->step);
    c->step.next.updated_ms = wall_now().ms;
    c->repeated = false;
    if (c->step.changed)
        apply_write(c);
    else
        apply_end(c, ERR_CONFLICT);
}

static void apply_read(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct repo_change *c = (struct repo_change *)((char *)op - offsetof(struct repo_change, op));
    if (e == ERR_OK)
        e = read_record(&c->b, v, READ_FIELDS);
    if (keep_waiting(c->repo, op, e))
        return;
    if (e == ERR_OK)
        apply_decide(c);
    else
        apply_end(c, e);
}

static void read_op(struct redis_op *op, struct key keys[4], struct str id, unsigned shards,
                    void (*done)(struct redis_op *, enum err, const struct redis_val *))
{
    keys_of_blob(&keys[0], KEY_BLOB, id, shards);
    keys_of_blob(&keys[1], KEY_LABELS, id, shards);
    keys_of_shard(&keys[2], KEY_TIMERS, keys_shard(id, shards));
    keys_of_shard(&keys[3], KEY_EPOCH, keys_shard(id, shards));
    op_init(op, SCRIPT_read, done);
    for (size_t i = 0; i < 4; i++)
        op_key(op, &keys[i]);
    op_arg(op, id);
}

void repo_apply(struct repo *r, struct repo_change *c)
{
    c->repo = r;
    c->event = BUF_INIT(EVENT_MAX_BYTES);
    c->work = BUF_INIT(EVENT_MAX_BYTES);
    if (c->b.seq > 0) {
        apply_decide(c);
        return;
    }
    read_op(&c->op, c->keys, str_of(c->b.id), r->shards, apply_read);
    redis_submit(r->redis, &c->op);
}

/* ---- reading */

static enum err take_lookup(struct repo_lookup *l, enum err e, const struct redis_val *v)
{
    memcpy(l->b.id, l->id, sizeof l->b.id);
    if (e == ERR_OK)
        e = read_record(&l->b, v, READ_FIELDS);
    if (e == ERR_OK) {
        buf_clear(&l->labels);
        buf_put(&l->labels, redis_text(redis_at(v, 0)));
        l->timer_ms = redis_int(redis_at(v, 1));
    }
    return e;
}

static void looked_up(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct repo_lookup *l = (struct repo_lookup *)((char *)op - offsetof(struct repo_lookup, op));
    e = take_lookup(l, e, v);
    if (!keep_waiting(l->repo, op, e))
        l->done(l, e);
}

void repo_look_up(struct repo *r, struct repo_lookup *l)
{
    l->repo = r;
    l->labels = BUF_INIT(RENDER_MAX_BYTES);
    read_op(&l->op, l->keys, str_of(l->id), r->shards, looked_up);
    redis_submit(r->redis, &l->op);
}

/* For a thread that sleeps: it wants to know at once when Redis is away. */
static void looked_up_now(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct repo_lookup *l = (struct repo_lookup *)((char *)op - offsetof(struct repo_lookup, op));
    *(enum err *)l->owner = take_lookup(l, e, v);
}

enum err repo_read(struct repo *r, struct str id, struct blob *b, struct buf *labels)
{
    enum err e = ERR_OK;
    struct repo_lookup l = { .labels = *labels, .owner = &e };
    if (str_copy(l.id, sizeof l.id, id) != ERR_OK)
        return ERR_MISSING;
    read_op(&l.op, l.keys, id, r->shards, looked_up_now);
    redis_await(r->redis, &l.op);
    *labels = l.labels;
    *b = l.b;
    return e;
}

/* ---- creating */

enum err repo_create(struct repo *r, struct blob *b)
{
    struct life_step step;
    struct key keys[6];
    struct blob_field fields[BLOB_FIELDS_MAX];
    char delay[24], cap[24];
    struct op_answer a = { .e = ERR_OK };
    struct buf event = BUF_INIT(EVENT_MAX_BYTES);
    struct str id = str_of(b->id);
    wall_t now = wall_now();
    if (atomic_load(&r->crowded))
        return ERR_FULL;
    life_create(b, r->policy, &step);
    step.next.created_ms = step.next.updated_ms = now.ms;
    event_put_transition(&event, &step, r->source, now);
    keys_of_blob(&keys[0], KEY_BLOB, id, r->shards);
    keys_of_shard(&keys[1], KEY_TIMERS, keys_shard(id, r->shards));
    keys_of_shard(&keys[2], KEY_OUTBOX, keys_shard(id, r->shards));
    keys_of_blob(&keys[3], KEY_TIMELINE, id, r->shards);
    keys_of_phase(&keys[4], step.next.phase, keys_shard(id, r->shards));
    keys_of_shard(&keys[5], KEY_EPOCH, keys_shard(id, r->shards));
    op_number(delay, step.delay_ms);
    op_number(cap, REPO_OUTBOX_MAX);

    op_init(&a.op, SCRIPT_create, op_keep_answer);
    a.op.replicate = atomic_load(&r->replicas) > 0;
    for (size_t i = 0; i < N_OF(keys); i++)
        op_key(&a.op, &keys[i]);
    op_arg(&a.op, id);
    op_arg(&a.op, str_of(delay));
    op_arg(&a.op, str_of(cap));
    op_arg(&a.op, str_of(step.event));
    op_arg(&a.op, S(TOPIC_EVENTS));
    op_arg(&a.op, buf_str(&event));
    size_t n_fields = blob_fields(fields, &step.next, NULL);
    op_fields(&a.op, fields, n_fields);
    redis_await(r->redis, &a.op);
    buf_fini(&event);
    if (a.e == ERR_OK && a.n[0] < 0)
        a.e = a.n[0] == -1 ? ERR_FULL : ERR_IO;
    if (a.e == ERR_OK) {
        *b = step.next;
        log_step(&step);
    }
    return a.e;
}
