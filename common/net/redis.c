#include "net/redis.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/redis_link.h"

#define BATCH_MAX   512U /* ops of one turn; the rest waits for the next */
#define COMMAND_MAX 136U /* words of a plain command */
#define REPLICA_MS  50   /* how long a batch waits for a replica; at most half a turn */

enum { M_OPS, M_TURNS, M_ERRORS, M_WAIT_MISSED };
static struct metric metrics[] = {
    [M_OPS] = { "labelwire_redis_ops_total", NULL, "Scripts called.", METRIC_COUNTER, 0 },
    [M_TURNS] = { "labelwire_redis_turns_total", NULL, "Round trips that carried them.",
                  METRIC_COUNTER, 0 },
    [M_ERRORS] = { "labelwire_redis_errors_total", NULL, "Ops that ended in an error.",
                   METRIC_COUNTER, 0 },
    [M_WAIT_MISSED] = { "labelwire_redis_wait_missed_total", NULL,
                        "Batches with new blobs that no replica had in time.", METRIC_COUNTER, 0 },
};
const struct metric_set redis_metrics = { metrics, N_OF(metrics) };

struct redis {
    /* touched only by the thread that does the turn */
    struct redis_link link;
    bool refusing; /* the last script was answered with an error */

    pthread_mutex_t lock; /* guards what follows */
    struct redis_op *head, **tail;
    bool turning; /* a waiting thread does a turn for all */
};

/* ---- one op */

static void append(struct redis *r, const struct redis_op *op)
{
    const char *argv[3 + REDIS_KEYS_MAX + REDIS_ARGS_MAX];
    size_t lens[N_OF(argv)];
    char nkeys = (char)('0' + op->nkeys);
    size_t n = 0;
    if (op->script != REDIS_PLAIN) {
        argv[0] = "EVALSHA", lens[0] = 7;
        argv[1] = r->link.sha[op->script], lens[1] = REDIS_SHA_LEN;
        argv[2] = &nkeys, lens[2] = 1;
        n = 3;
    }
    for (size_t i = 0; i < op->nkeys; i++, n++)
        argv[n] = op->key[i].p, lens[n] = op->key[i].n;
    for (size_t i = 0; i < op->nargs; i++, n++)
        argv[n] = op->arg[i].p != NULL ? op->arg[i].p : "", lens[n] = op->arg[i].n;
    redisAppendCommandArgv(r->link.ctx, (int)n, argv, lens);
}

static void finish(struct redis *r, struct redis_op *op, enum err e, const redisReply *reply)
{
    if (e != ERR_OK)
        metric_add(&metrics[M_ERRORS], 1);
    else
        r->refusing = false;
    sem_t *wake = op->wake;
    op->done(op, e, (const struct redis_val *)reply);
    if (wake == NULL)
        return; /* the op may be gone by now */
    op->finished = true;
    sem_post(wake);
}

/* What an error answer of the server means for the caller. */
static enum err classify(struct redis *r, const struct redis_op *op, struct str text)
{
    static const char *const later[] = { "OOM ",      "READONLY ",   "LOADING ",     "BUSY ",
                                         "MISCONF ",  "NOREPLICAS ", "MASTERDOWN ",  "TRYAGAIN ",
                                         "NOSCRIPT ", "-OOM ",       "CLUSTERDOWN ", "MOVED ",
                                         "ASK " };
    bool plain = op->script == REDIS_PLAIN;
    if (plain && (str_starts(text, S("NOPERM ")) || str_starts(text, S("ERR unknown command"))))
        return ERR_DENIED;
    if (!r->refusing) /* the first of a row; while Redis is full the rest would only repeat it */
        LOG(WARN, "redis.script_failed",
            F_VIEW("script", plain ? op->arg[0] : str_of(r->link.scripts[op->script].name)),
            F_VIEW("error", text));
    r->refusing = true;
    for (size_t i = 0; i < N_OF(later); i++)
        if (str_starts(text, str_of(later[i])))
            return ERR_FULL;
    return ERR_REMOTE;
}

/* ---- a turn */

static struct redis_op *take_batch(struct redis *r)
{
    pthread_mutex_lock(&r->lock);
    struct redis_op *batch = r->head, **end = &r->head;
    for (size_t n = 0; n < BATCH_MAX && *end != NULL; n++)
        end = &(*end)->next;
    r->head = *end;
    if (r->head == NULL)
        r->tail = &r->head;
    *end = NULL;
    pthread_mutex_unlock(&r->lock);
    return batch;
}

static void fail_all(struct redis *r, struct redis_op *op, enum err e)
{
    while (op != NULL) {
        struct redis_op *next = op->next;
        finish(r, op, e, NULL);
        op = next;
    }
}

/* Ends the ops that waited for a replica. */
static void finish_held(struct redis *r, struct redis_op *op, enum err e)
{
    while (op != NULL) {
        struct redis_op *next = op->next;
        redisReply *reply = op->held;
        finish(r, op, e, e == ERR_OK ? reply : NULL);
        freeReplyObject(reply);
        op = next;
    }
}

/* The connection broke while op and all behind it waited for their answers. */
static enum err break_off(struct redis *r, struct redis_op *op)
{
    bool timed_out = r->link.ctx->err == REDIS_ERR_IO || r->link.ctx->err == 0;
    enum err e = timed_out ? ERR_TIMEOUT : ERR_IO;
    LOG(WARN, "redis.connection_lost",
        F_STR("error", r->link.ctx->err ? r->link.ctx->errstr : "timed out"));
    redis_link_drop(&r->link);
    fail_all(r, op, e);
    return e;
}

static redisReply *read_answer(struct redis *r, mono_t deadline)
{
    void *answer = NULL;
    bool in_time = mono_until_ms(mono_now(), deadline) > 0;
    return in_time && redisGetReply(r->link.ctx, &answer) == REDIS_OK ? answer : NULL;
}

/* Whoever waits for a replica wants to hear of a primary that died meanwhile: what it had said may
 * be lost with it. */
static void wait_for_replica(struct redis *r, struct redis_op *held, mono_t deadline)
{
    redisReply *reply = read_answer(r, deadline);
    if (reply == NULL) {
        finish_held(r, held, break_off(r, NULL));
        return;
    }
    if (held != NULL && (reply->type != REDIS_REPLY_INTEGER || reply->integer < 1))
        metric_add(&metrics[M_WAIT_MISSED], 1);
    freeReplyObject(reply);
    finish_held(r, held, ERR_OK);
}

/* Reads the answers of a batch in order.  Ops whose script the server did not know are put in
 * *again. */
static void read_answers(struct redis *r, struct redis_op *op, bool waits, struct redis_op **again)
{
    mono_t deadline = mono_after_ms(mono_now(), r->link.timeout_ms);
    struct redis_op *held = NULL, **held_end = &held;
    while (op != NULL) {
        redisReply *reply = read_answer(r, deadline);
        if (reply == NULL) {
            finish_held(r, held, break_off(r, op));
            return;
        }
        struct redis_op *next = op->next;
        op->next = NULL;
        struct str text = { reply->str, reply->type == REDIS_REPLY_ERROR ? (size_t)reply->len : 0 };
        if (again != NULL && str_starts(text, S("NOSCRIPT "))) {
            *again = op;
            again = &op->next;
        } else if (text.n > 0) {
            finish(r, op, classify(r, op, text), NULL);
        } else if (op->replicate) {
            op->held = reply;
            reply = NULL;
            *held_end = op;
            held_end = &op->next;
        } else {
            finish(r, op, ERR_OK, reply);
        }
        freeReplyObject(reply);
        op = next;
    }
    if (waits)
        wait_for_replica(r, held, deadline);
}

/* True: behind the batch stands a WAIT, one for all that it is to replicate. */
static bool send_all(struct redis *r, const struct redis_op *batch)
{
    bool replicate = false;
    for (; batch != NULL; batch = batch->next) {
        append(r, batch);
        replicate = replicate || batch->replicate;
        metric_add(&metrics[M_OPS], 1);
    }
    if (replicate) {
        int64_t half_ms = r->link.timeout_ms / 2;
        redisAppendCommand(r->link.ctx, "WAIT 1 %d",
                           (int)(half_ms < REPLICA_MS ? half_ms : REPLICA_MS));
    }
    metric_add(&metrics[M_TURNS], 1);
    return replicate;
}

/* Drops from the batch what nobody waits for any more. */
static struct redis_op *drop_late(struct redis *r, struct redis_op *batch)
{
    mono_t now = mono_now();
    struct redis_op *kept = NULL, **end = &kept;
    while (batch != NULL) {
        struct redis_op *op = batch;
        batch = op->next;
        if (op->deadline.ns != 0 && mono_until_ms(now, op->deadline) == 0) {
            finish(r, op, ERR_TIMEOUT, NULL);
            continue;
        }
        *end = op;
        end = &op->next;
        *end = NULL;
    }
    return kept;
}

void redis_turn(struct redis *r)
{
    struct redis_op *batch = drop_late(r, take_batch(r));
    if (batch == NULL)
        return;
    if (!redis_link_ready(&r->link)) {
        fail_all(r, batch, ERR_IO);
        return;
    }
    struct redis_op *again = NULL;
    read_answers(r, batch, send_all(r, batch), &again);
    if (again == NULL)
        return;
    if (r->link.ctx == NULL ||
        !redis_link_load_scripts(&r->link)) { /* a failover while we look: later */
        redis_link_drop(&r->link);
        fail_all(r, again, ERR_IO);
        return;
    }
    read_answers(r, again, send_all(r, again), NULL);
}

void redis_submit(struct redis *r, struct redis_op *op)
{
    op->next = NULL;
    op->wake = NULL;
    pthread_mutex_lock(&r->lock);
    *r->tail = op;
    r->tail = &op->next;
    pthread_mutex_unlock(&r->lock);
}

bool redis_pending(struct redis *r)
{
    pthread_mutex_lock(&r->lock);
    bool pending = r->head != NULL;
    pthread_mutex_unlock(&r->lock);
    return pending;
}

/* The next turn is that of the first who waits for it, if there is one. */
static void hand_on(struct redis *r)
{
    pthread_mutex_lock(&r->lock);
    struct redis_op *op = r->head;
    while (op != NULL && op->wake == NULL)
        op = op->next;
    sem_t *wake = op != NULL ? op->wake : NULL;
    r->turning = wake != NULL;
    pthread_mutex_unlock(&r->lock);
    if (wake != NULL)
        sem_post(wake);
}

void redis_await(struct redis *r, struct redis_op *op)
{
    sem_t wake;
    sem_init(&wake, 0, 0);
    op->next = NULL;
    /* cppcheck-suppress autoVariables -- it outlives its use: we sleep on it until then */
    op->wake = &wake;
    op->finished = false;
    pthread_mutex_lock(&r->lock);
    *r->tail = op;
    r->tail = &op->next;
    bool lead = !r->turning;
    r->turning = true;
    pthread_mutex_unlock(&r->lock);
    if (!lead) {
        while (sem_wait(&wake) != 0)
            ;
        lead = !op->finished;
    }
    if (lead) {
        while (!op->finished)
            redis_turn(r);
        hand_on(r);
    }
    sem_destroy(&wake);
}

bool redis_up(struct redis *r)
{
    return atomic_load(&r->link.up);
}

enum err redis_command(struct redis *r, const struct str *argv, size_t n, int64_t block_ms,
                       void (*done)(void *arg, const struct redis_val *), void *arg)
{
    const char *words[COMMAND_MAX];
    size_t lens[N_OF(words)];
    if (n > N_OF(words))
        return ERR_TOOBIG;
    if (!redis_link_ready(&r->link))
        return ERR_IO;
    for (size_t i = 0; i < n; i++)
        words[i] = argv[i].p, lens[i] = argv[i].n;
    redisSetTimeout(r->link.ctx, redis_in_ms(r->link.timeout_ms + block_ms));
    redisReply *reply = redisCommandArgv(r->link.ctx, (int)n, words, lens);
    if (reply == NULL)
        return break_off(r, NULL);
    redisSetTimeout(r->link.ctx, redis_in_ms(r->link.timeout_ms));
    bool refused = reply->type == REDIS_REPLY_ERROR;
    if (refused)
        LOG(WARN, "redis.refused", F_VIEW("command", argv[0]), F_STR("error", reply->str));
    else
        done(arg, (const struct redis_val *)reply);
    freeReplyObject(reply);
    return refused ? ERR_REMOTE : ERR_OK;
}

enum err redis_open(struct redis **out, const struct redis_conf *c,
                    const struct redis_script *scripts, size_t n_scripts, struct errbuf *eb)
{
    struct redis *r = xcalloc(1, sizeof *r);
    enum err e = redis_link_init(&r->link, c, scripts, n_scripts, eb);
    if (e != ERR_OK) {
        free(r);
        return e;
    }
    r->tail = &r->head;
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return ERR_OK;
}

void redis_close(struct redis *r)
{
    if (r == NULL)
        return;
    for (struct redis_op *batch; (batch = take_batch(r)) != NULL;)
        fail_all(r, batch, ERR_CLOSED);
    pthread_mutex_destroy(&r->lock);
    redis_link_fini(&r->link);
    free(r);
}
