/* relay.c - carries the outbox to Kafka: in order, nothing lost, one leader for each shard.
 *
 * A round: keep the leases, read rows (XREAD BLOCK, so a row is on its way at once), produce
 * them in order with the idempotent producer, wait for the acknowledgements, forget the rows.
 * A crash between produce and forget repeats rows, and consumers do not mind: the record
 * decides.  While Kafka is down the round waits and the outbox grows.  A row that Kafka refuses
 * holds up its own shard, whose rows must keep their order, and no other.
 *
 * Thread   all of it on the relay's own, but relay_start/stop/up.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/wake.h"
#include "upload-watcher/watcher.h"

#define LEASE_MS     3000
#define RENEW_MS     800
#define BLOCK_MS     500
#define ROWS_MAX     "500" /* of one shard and round */
#define FLUSH_MS     1000
#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 10000
#define ROW_ID_MAX   48U

enum { M_ROWS, M_LEADING, M_OUTBOX, M_OUTBOX_AGE, M_ERRORS };
static struct metric metrics[] = {
    [M_ROWS] = { "labelwire_relay_rows_total", NULL, "Outbox rows acknowledged by Kafka.",
                 METRIC_COUNTER, 0 },
    [M_LEADING] = { "labelwire_relay_leading_shards", NULL, "Shards whose outbox is relayed here.",
                    METRIC_GAUGE, 0 },
    [M_OUTBOX] = { "labelwire_relay_outbox_rows", NULL, "Rows waiting, of the shards led here.",
                   METRIC_GAUGE, 0 },
    [M_OUTBOX_AGE] = { "labelwire_relay_outbox_age_ms", NULL, "Age of the oldest waiting row.",
                       METRIC_GAUGE, 0 },
    [M_ERRORS] = { "labelwire_relay_errors_total", NULL,
                   "Rounds that had to be repeated, and rows that were refused.", METRIC_COUNTER,
                   0 },
};
const struct metric_set relay_metrics = { metrics, N_OF(metrics) };

struct shard {
    struct key outbox;
    bool leading;
    char read[ROW_ID_MAX]; /* id of the last row that was read; "0" from the beginning */
    bool unforgotten;      /* rows up to it are produced and not yet forgotten */
    mono_t resume;         /* a row was refused: not read before */
    int64_t pause_ms;      /* the last such pause; 0: none since a row got through */
    struct repo_outbox_state left;
};

struct relay {
    struct repo repo;
    struct kafka_conf kafka; /* borrowed */
    struct kafka_producer *producer;
    char who[UUID_LEN + 1];
    struct shard shard[REPO_SHARDS_MAX];
    mono_t renew;
    int64_t rows; /* of this round */
    enum err failed;
    atomic_bool up;
    const atomic_bool *may;
    int stop_fd;
    atomic_bool stopping;
    pthread_t thread;
};

/* Reads everything again that is not forgotten. */
static void begin_anew(struct relay *r)
{
    for (unsigned i = 0; i < r->repo.shards; i++)
        (void)!str_copy(r->shard[i].read, ROW_ID_MAX, S("0"));
}

static void publish(const struct relay *r)
{
    int64_t leading = 0, rows = 0, oldest_ms = 0;
    for (unsigned i = 0; i < r->repo.shards; i++) {
        const struct shard *s = &r->shard[i];
        leading += s->leading;
        rows += s->leading ? s->left.rows : 0;
        oldest_ms = s->leading && s->left.oldest_ms > oldest_ms ? s->left.oldest_ms : oldest_ms;
    }
    metric_set(&metrics[M_LEADING], leading);
    metric_set(&metrics[M_OUTBOX], rows);
    metric_set(&metrics[M_OUTBOX_AGE], oldest_ms);
}

static size_t keep_leases(struct relay *r)
{
    bool renew = mono_until_ms(mono_now(), r->renew) == 0;
    size_t leading = 0;
    for (unsigned i = 0; i < r->repo.shards; i++) {
        struct shard *s = &r->shard[i];
        if (renew) {
            bool was = s->leading;
            s->leading = repo_lead(&r->repo, i, str_of(r->who), LEASE_MS) == ERR_OK;
            if (s->leading && !was) {
                LOG(INFO, "relay.leading", F_INT("shard", i));
                (void)!str_copy(s->read, ROW_ID_MAX, S("0"));
                s->unforgotten = true; /* what it knows of the outbox is old */
            }
        }
        leading += s->leading;
    }
    if (renew)
        r->renew = mono_after_ms(mono_now(), RENEW_MS);
    publish(r);
    return leading;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Keeps the leases meanwhile: the shard stays with us. */
static void pause_round(struct relay *r, int64_t ms)
{
    struct pollfd stop = { .fd = r->stop_fd, .events = POLLIN };
    mono_t until = mono_after_ms(mono_now(), ms);
    while ((ms = mono_until_ms(mono_now(), until)) > 0 && !atomic_load(&r->stopping)) {
        (void)poll(&stop, 1, (int)least(ms, RENEW_MS));
        (void)keep_leases(r);
    }
}

static void stand_by(struct relay *r, int64_t ms)
{
    struct pollfd stop = { .fd = r->stop_fd, .events = POLLIN };
    for (unsigned i = 0; i < r->repo.shards; i++)
        r->shard[i].leading = false;
    publish(r);
    (void)poll(&stop, 1, (int)ms);
}

static struct shard *shard_of(struct relay *r, struct str outbox)
{
    for (unsigned i = 0; i < r->repo.shards; i++)
        if (str_eq(outbox, str_of(r->shard[i].outbox.text)))
            return &r->shard[i];
    return NULL;
}

static struct str field(const struct redis_val *row, struct str name)
{
    const struct redis_val *pairs = redis_at(row, 1);
    for (size_t i = 0; i + 1 < redis_len(pairs); i += 2)
        if (str_eq(redis_text(redis_at(pairs, i)), name))
            return redis_text(redis_at(pairs, i + 1));
    return STR_NONE;
}

/* Queues one row.  ERR_FULL: not now, the rest of the round comes with the next. */
static enum err produce(struct relay *r, const struct redis_val *row)
{
    /* CloudEvents, Kafka protocol binding 1.0.2, 3.3: structured content mode */
    static const struct kafka_header event_type = { S("content-type"),
                                                    S("application/cloudevents+json") };
    char topic[64];
    struct errbuf eb = { "" };
    if (str_copy(topic, sizeof topic, field(row, S("t"))) != ERR_OK || topic[0] == '\0') {
        LOG(ERROR, "outbox.row_unreadable", F_VIEW("row", redis_text(redis_at(row, 0))));
        return ERR_OK; /* nobody could ever send it */
    }
    const struct kafka_record record = { .topic = topic,
                                         .key = field(row, S("k")),
                                         .value = field(row, S("v")),
                                         .headers = &event_type,
                                         .n_headers = strcmp(topic, TOPIC_EVENTS) == 0 };
    enum err e = kafka_send(r->producer, &record, &eb);
    if (e != ERR_OK && e != ERR_FULL)
        LOG(ERROR, "outbox.row_refused", F_STR("topic", topic), F_STR("detail", eb.text));
    return e;
}

/* What is refused for good must not be repeated at full speed. */
static int64_t longer(int64_t pause_ms)
{
    return pause_ms == 0 ? PAUSE_MIN_MS : least(2 * pause_ms, PAUSE_MAX_MS);
}

static void rest(struct shard *s)
{
    s->pause_ms = longer(s->pause_ms);
    s->resume = mono_after_ms(mono_now(), s->pause_ms);
    s->unforgotten = true; /* that is how the gauges follow */
    metric_add(&metrics[M_ERRORS], 1);
}

static bool is_read(const struct shard *s)
{
    return s->leading && mono_until_ms(mono_now(), s->resume) == 0;
}

/* Those of one shard. */
static enum err produce_all(struct relay *r, struct shard *s, const struct redis_val *rows)
{
    enum err e = ERR_OK;
    for (size_t n = 0; n < redis_len(rows) && e == ERR_OK; n++) {
        const struct redis_val *row = redis_at(rows, n);
        e = produce(r, row);
        if (e == ERR_REMOTE || e == ERR_TOOBIG) {
            rest(s);
            return ERR_OK;
        }
        if (e == ERR_OK)
            e = str_copy(s->read, ROW_ID_MAX, redis_text(redis_at(row, 0)));
        if (e == ERR_OK) {
            s->unforgotten = true;
            s->pause_ms = 0;
            r->rows++;
        }
    }
    return e;
}

static void take_rows(void *arg, const struct redis_val *streams)
{
    struct relay *r = arg;
    for (size_t i = 0; i < redis_len(streams) && r->failed == ERR_OK; i++) {
        const struct redis_val *stream = redis_at(streams, i);
        struct shard *s = shard_of(r, redis_text(redis_at(stream, 0)));
        if (s != NULL)
            r->failed = produce_all(r, s, redis_at(stream, 1));
    }
}

static enum err read_rows(struct relay *r)
{
    struct str argv[6 + 2 * REPO_SHARDS_MAX] = { S("XREAD"), S("COUNT"), S(ROWS_MAX),
                                                 S("BLOCK"), S("500"),   S("STREAMS") };
    struct shard *of[REPO_SHARDS_MAX];
    size_t n_of = 0, n = 6;
    r->rows = 0;
    r->failed = ERR_OK;
    for (unsigned i = 0; i < r->repo.shards; i++)
        if (is_read(&r->shard[i]))
            of[n_of++] = &r->shard[i];
    if (n_of == 0) {
        pause_round(r, BLOCK_MS);
        return ERR_OK;
    }
    for (size_t i = 0; i < n_of; i++)
        argv[n++] = str_of(of[i]->outbox.text);
    for (size_t i = 0; i < n_of; i++)
        argv[n++] = str_of(of[i]->read);
    _Static_assert(BLOCK_MS == 500, "the argument above is this number");
    enum err e = redis_command(r->repo.redis, argv, n, BLOCK_MS, take_rows, r);
    return e != ERR_OK ? e : r->failed;
}

/* Forgets rows of a shard up to that one ("0": none) and learns what is left. */
static enum err trim(struct relay *r, unsigned shard, const char *upto)
{
    struct shard *s = &r->shard[shard];
    enum err e = repo_trim(&r->repo, shard, str_of(r->who), str_of(upto), &s->left);
    if (e != ERR_CONFLICT)
        return e;
    s->leading = false;
    return ERR_OK;
}

/* Waits for Kafka as long as it takes; the leases are kept meanwhile, and the gauges told. */
static enum err flush(struct relay *r)
{
    struct errbuf eb = { "" };
    enum err e;
    while ((e = kafka_flush(r->producer, FLUSH_MS, &eb)) == ERR_TIMEOUT &&
           !atomic_load(&r->stopping)) {
        atomic_store(&r->up, false);
        (void)keep_leases(r);
        for (unsigned i = 0; i < r->repo.shards; i++)
            if (r->shard[i].leading)
                (void)!trim(r, i, "0");
        publish(r);
    }
    atomic_store(&r->up, e == ERR_OK);
    if (e != ERR_OK && e != ERR_TIMEOUT)
        LOG(WARN, "relay.refused", F_STR("error", err_name(e)), F_STR("detail", eb.text));
    return e;
}

static enum err forget(struct relay *r)
{
    for (unsigned i = 0; i < r->repo.shards; i++) {
        struct shard *s = &r->shard[i];
        if (!s->leading || !s->unforgotten)
            continue;
        enum err e = trim(r, i, s->read);
        if (e != ERR_OK)
            return e;
        s->unforgotten = false;
    }
    publish(r);
    return ERR_OK;
}

static enum err renew_producer(struct relay *r)
{
    struct errbuf eb = { "" };
    kafka_producer_close(r->producer);
    r->producer = NULL;
    enum err e = kafka_producer_open(&r->producer, &r->kafka, &eb);
    if (e != ERR_OK)
        LOG(ERROR, "relay.producer_failed", F_STR("detail", eb.text));
    return e;
}

static enum err one_round(struct relay *r)
{
    if (r->producer == NULL && renew_producer(r) != ERR_OK)
        return ERR_IO;
    if (keep_leases(r) == 0)
        return redis_up(r->repo.redis) ? ERR_MISSING : ERR_IO;
    enum err read = read_rows(r), e = ERR_OK;
    if (r->rows > 0) {
        FAILPOINT("relay.read");
        e = flush(r);
        FAILPOINT("relay.produced");
    }
    if (e == ERR_OK)
        e = forget(r);
    if (e == ERR_OK && r->rows > 0) {
        FAILPOINT("relay.forgotten");
        metric_add(&metrics[M_ROWS], r->rows);
    }
    if (e == ERR_CLOSED || read == ERR_CLOSED)
        (void)renew_producer(r);
    return e != ERR_OK ? e : read == ERR_FULL ? ERR_OK : read;
}

static void *relay_thread(void *arg)
{
    struct relay *r = arg;
    int64_t pause_ms = 0;
    begin_anew(r);
    while (!atomic_load(&r->stopping)) {
        if (!atomic_load(r->may)) { /* not our Redis: its leases and rows are not ours either */
            begin_anew(r);
            stand_by(r, PAUSE_MIN_MS);
            continue;
        }
        enum err e = one_round(r);
        if (e == ERR_OK) {
            pause_ms = 0;
            continue;
        }
        if (e == ERR_MISSING) { /* another leads, we stand by */
            pause_round(r, PAUSE_MIN_MS);
            continue;
        }
        metric_add(&metrics[M_ERRORS], 1);
        begin_anew(r);
        pause_ms = e == ERR_REMOTE ? longer(pause_ms) : PAUSE_MIN_MS; /* or a connection was lost */
        pause_round(r, pause_ms);
    }
    for (unsigned i = 0; i < r->repo.shards; i++) /* so that another need not wait it out */
        if (r->shard[i].leading)
            (void)!repo_lead(&r->repo, i, str_of(r->who), 1);
    return NULL;
}

enum err relay_start(struct relay **out, const struct repo_conf *rc, const struct kafka_conf *kc,
                     const atomic_bool *may, struct errbuf *eb)
{
    struct relay *r = xcalloc(1, sizeof *r);
    enum err e = repo_open(&r->repo, rc, NULL, "upload-watcher", eb);
    if (e != ERR_OK) {
        free(r);
        return e;
    }
    r->kafka = *kc;
    r->may = may;
    r->stop_fd = wake_open();
    r->up = true;
    rand_uuid(r->who);
    for (unsigned i = 0; i < r->repo.shards; i++)
        keys_of_shard(&r->shard[i].outbox, KEY_OUTBOX, i);
    if (pthread_create(&r->thread, NULL, relay_thread, r) != 0)
        abort();
    *out = r;
    return ERR_OK;
}

void relay_stop(struct relay *r)
{
    if (r == NULL)
        return;
    atomic_store(&r->stopping, true);
    wake_signal(r->stop_fd);
    (void)pthread_join(r->thread, NULL);
    kafka_producer_close(r->producer);
    repo_close(&r->repo);
    free(r);
}

bool relay_up(const struct relay *r)
{
    return atomic_load(&r->up);
}
