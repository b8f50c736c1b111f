/* Records, timers and the outbox on a real server: every step is stored whole and once, whatever
 * comes twice, late or at the same time.  All of it with one shard and with four. */
#include "blob/repo.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/rand.h"
#include "blob/render.h"
#include "blob/script.h"
#include "net/redis_profile.h"
#include "redis_server.h"

#define TIMEOUT_MS 5000 /* a busy machine is no fault */
#define QUICK_MS   250  /* as in the services, where a time-out is the point */
#define WAIT_MS    10000
#define HOUR_MS    INT64_C(3600000)

static struct redis_server server;
static const char *const strict[] = { "--appendonly", "yes", "--appendfsync", "always", NULL };
static unsigned shards;

static const struct life_policy policy = {
    .upload_grace_ms = 10000,
    .recognize_lease_ms = 60000,
    .recognize_tries = 12,
    .callback_attempts = 9,
    .callback_lease_ms = 20000,
    .callback_on_failure = true,
    .retention_ms = 720 * HOUR_MS,
};

/* ---- helpers ------------------------------------------------------------------------------ */

static void open_at(struct repo *r, struct redis_server *s, unsigned n_shards, int64_t timeout_ms)
{
    struct errbuf eb = { "" };
    const struct repo_conf conf = { .redis = { .url = s->url, .timeout_ms = timeout_ms },
                                    .shards = n_shards };
    if (repo_open(r, &conf, &policy, "repo-test", &eb) != ERR_OK)
        fail_msg("%s", eb.text);
}

static void open_repo(struct repo *r)
{
    open_at(r, &server, shards, TIMEOUT_MS);
}

/* Gives a server without data its epoch. */
static void establish(struct redis_server *s)
{
    struct repo r;
    open_at(&r, s, shards, TIMEOUT_MS);
    assert_int_equal(repo_establish(&r), ERR_OK);
    repo_close(&r);
}

static struct blob new_blob(void)
{
    struct blob b = { .owner = "acme",
                      .window_ms = 30000,
                      .max_labels = 10,
                      .min_confidence = 50,
                      .callback_url = "https://receiver.example/hook?token=s3cret",
                      .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
    rand_uuid(b.id);
    (void)snprintf(b.object_key, sizeof b.object_key, OBJECT_PREFIX "%s", b.id);
    return b;
}

static struct blob created(struct repo *r)
{
    struct blob b = new_blob();
    assert_int_equal(repo_create(r, &b), ERR_OK);
    assert_int_equal(b.seq, 1);
    return b;
}

/* Of the shard of this id. */
static struct blob created_beside(struct repo *r, const char *id)
{
    struct blob b;
    do
        b = new_blob();
    while (keys_shard(str_of(b.id), shards) != keys_shard(str_of(id), shards));
    assert_int_equal(repo_create(r, &b), ERR_OK);
    return b;
}

struct change {
    struct repo_change c;
    enum err e;
    int done;
};

static void change_done(struct repo_change *c, enum err e)
{
    struct change *ch = c->owner;
    ch->e = e;
    ch->done++;
}

static void change_begin(struct repo *r, struct change *ch, const struct blob *b,
                         struct life_event ev)
{
    memset(ch, 0, sizeof *ch);
    ch->c.b = *b;
    ch->c.ev = ev;
    ch->c.done = change_done;
    ch->c.owner = ch;
    repo_apply(r, &ch->c);
}

static void turn_until(struct repo *r, const int *done)
{
    mono_t deadline = mono_after_ms(mono_now(), WAIT_MS);
    for (repo_turn(r, mono_now()); *done == 0; repo_turn(r, mono_now()))
        assert_true(redis_server_look_again(deadline));
    assert_int_equal(*done, 1);
}

static enum err change_end(struct repo *r, struct change *ch)
{
    turn_until(r, &ch->done);
    return ch->e;
}

/* *b becomes the record as the repo reports it. */
static enum err apply(struct repo *r, struct blob *b, struct life_event ev)
{
    struct change *ch = calloc(1, sizeof *ch);
    assert_non_null(ch);
    change_begin(r, ch, b, ev);
    enum err e = change_end(r, ch);
    *b = ch->c.b;
    free(ch);
    return e;
}

static enum err apply_labels(struct repo *r, struct blob *b, struct str labels)
{
    struct change *ch = calloc(1, sizeof *ch);
    assert_non_null(ch);
    *ch = (struct change){ .c = { .b = *b,
                                  .ev = { .type = LIFE_LABELED, .model = S("3.0") },
                                  .labels = labels,
                                  .done = change_done,
                                  .owner = ch } };
    repo_apply(r, &ch->c);
    enum err e = change_end(r, ch);
    *b = ch->c.b;
    free(ch);
    return e;
}

struct lookup {
    struct repo_lookup l;
    enum err e;
    int done;
};

static void lookup_done(struct repo_lookup *l, enum err e)
{
    struct lookup *lo = l->owner;
    lo->e = e;
    lo->done++;
}

static void lookup_begin(struct repo *r, struct lookup *lo, const char *id)
{
    memset(lo, 0, sizeof *lo);
    (void)!str_copy(lo->l.id, sizeof lo->l.id, str_of(id));
    lo->l.done = lookup_done;
    lo->l.owner = lo;
    repo_look_up(r, &lo->l);
}

/* The caller calls buf_fini(&lo->l.labels). */
static enum err look_up(struct repo *r, struct lookup *lo, const char *id)
{
    lookup_begin(r, lo, id);
    turn_until(r, &lo->done);
    return lo->e;
}

static bool same_record(const struct blob *a, const struct blob *b)
{
    struct blob_field f[BLOB_FIELDS_MAX];
    size_t n = blob_fields(f, a, b);
    for (size_t i = 0; i < n; i++)
        print_message(STR_FMT " is " STR_FMT "\n", STR_ARG(f[i].name), STR_ARG(f[i].value));
    return n == 0;
}

static const char *key_of(enum key_kind kind, const char *id)
{
    static struct key k;
    keys_of_blob(&k, kind, str_of(id), shards);
    return k.text;
}

static const char *shard_key_of(enum shard_key kind, const char *id)
{
    static struct key k;
    keys_of_shard(&k, kind, keys_shard(str_of(id), shards));
    return k.text;
}

/* ---- the outbox --------------------------------------------------------------------------- */

#define ROWS_MAX 256U

struct row {
    char id[40], topic[32], key[UUID_LEN + 1], value[2100];
};
struct rows {
    size_t n;
    struct row row[ROWS_MAX];
};

static void copy_text(char *dst, size_t cap, const struct redis_val *v)
{
    assert_int_equal(str_copy(dst, cap, redis_text(v)), ERR_OK);
}

static void take_rows(void *arg, const struct redis_val *v)
{
    struct rows *rows = arg;
    rows->n = redis_len(v);
    assert_true(rows->n <= ROWS_MAX);
    for (size_t i = 0; i < rows->n; i++) {
        struct row *row = &rows->row[i];
        const struct redis_val *f = redis_at(redis_at(v, i), 1);
        copy_text(row->id, sizeof row->id, redis_at(redis_at(v, i), 0));
        assert_int_equal(redis_len(f), 6);
        assert_true(str_eq(redis_text(redis_at(f, 0)), S("t")));
        assert_true(str_eq(redis_text(redis_at(f, 2)), S("k")));
        assert_true(str_eq(redis_text(redis_at(f, 4)), S("v")));
        copy_text(row->topic, sizeof row->topic, redis_at(f, 1));
        copy_text(row->key, sizeof row->key, redis_at(f, 3));
        copy_text(row->value, sizeof row->value, redis_at(f, 5));
    }
}

/* All rows of the shard of this id; the caller calls free(). */
static struct rows *outbox(struct redis_server *s, const char *id)
{
    struct rows *rows = calloc(1, sizeof *rows);
    const struct str argv[] = { S("XRANGE"), str_of(shard_key_of(KEY_OUTBOX, id)), S("-"), S("+") };
    assert_non_null(rows);
    assert_int_equal(redis_command(s->admin, argv, N_OF(argv), 0, take_rows, rows), ERR_OK);
    return rows;
}

static void assert_event(const struct row *row, const struct blob *b, const char *event)
{
    struct json root, data, v;
    char want[96];
    int64_t seq;
    assert_string_equal(row->topic, TOPIC_EVENTS);
    assert_string_equal(row->key, b->id);
    assert_int_equal(json_parse(&root, str_of(row->value), NULL), ERR_OK);
    (void)snprintf(want, sizeof want, "labelwire.%s", event);
    assert_true(json_get(root, S("type"), &v) && json_is(v, str_of(want)));
    (void)snprintf(want, sizeof want, "%s/%lld", b->id, (long long)b->seq);
    assert_true(json_get(root, S("id"), &v) && json_is(v, str_of(want)));
    assert_true(json_get(root, S("source"), &v) && json_is(v, S("labelwire/repo-test")));
    assert_true(json_get(root, S("data"), &data) && json_get(data, S("seq"), &v));
    assert_int_equal(json_to_i64(v, &seq), ERR_OK);
    assert_int_equal(seq, b->seq);
    assert_null(strstr(row->value, "receiver.example"));
}

static void assert_work(const struct row *row, const struct blob *b, const char *topic)
{
    struct event_work work;
    assert_string_equal(row->topic, topic);
    assert_string_equal(row->key, b->id);
    assert_int_equal(event_read_work(&work, str_of(row->value), NULL), ERR_OK);
    assert_string_equal(work.id, b->id);
    assert_int_equal(work.seq, b->seq);
}

/* ---- what every stored step looks like ---------------------------------------------------- */

struct stepped { /* what is to be seen in Redis after one step */
    int64_t begin_ms, delay_ms;
    const char *event, *topic; /* topic: NULL without work */
};

static void assert_timeline(const struct blob *b, const struct stepped *want)
{
    long long seq, ms;
    char event[64];
    const char *last =
        redis_server_ask(&server, "LRANGE", key_of(KEY_TIMELINE, b->id), "-1", "-1", NULL);
    assert_int_equal(sscanf(last, "[%lld %lld %63[^]]]", &seq, &ms, event), 3);
    assert_int_equal(seq, b->seq);
    assert_in_range(ms, want->begin_ms - 1, wall_now().ms + 1);
    assert_string_equal(event, want->event);
    char n[24];
    (void)snprintf(n, sizeof n, "%lld", (long long)(b->seq < 100 ? b->seq : 100));
    assert_string_equal(redis_server_ask(&server, "LLEN", key_of(KEY_TIMELINE, b->id), NULL), n);
}

/* Its id stands in the set of its phase, and in no other. */
static void assert_phase_sets(const struct blob *b)
{
    for (int p = 0; p < PHASE_N; p++) {
        struct key key;
        keys_of_phase(&key, (enum blob_phase)p, keys_shard(str_of(b->id), shards));
        bool wanted = p == (int)b->phase && p != PHASE_FINISHED;
        const char *since = redis_server_ask(&server, "ZSCORE", key.text, b->id, NULL);
        if ((since[0] >= '0' && since[0] <= '9') != wanted)
            fail_msg("%s: %s holds '%s'", phase_name(b->phase), key.text, since);
    }
}

/* rows_before: what the outbox held; returns what it holds now. */
static size_t assert_step(struct repo *r, const struct blob *b, const struct stepped *want,
                          size_t rows_before)
{
    struct lookup lo;
    assert_int_equal(look_up(r, &lo, b->id), ERR_OK);
    assert_true(same_record(&lo.l.b, b));
    assert_in_range(b->updated_ms, want->begin_ms, wall_now().ms);
    assert_in_range(lo.l.timer_ms, want->begin_ms + want->delay_ms - 1,
                    wall_now().ms + want->delay_ms + 1);
    buf_fini(&lo.l.labels);
    assert_timeline(b, want);
    assert_phase_sets(b);

    struct rows *rows = outbox(&server, b->id);
    size_t said = want->topic != NULL ? 2 : 1, n = rows->n;
    assert_int_equal(n, rows_before + said);
    assert_event(&rows->row[rows_before], b, want->event);
    if (want->topic != NULL)
        assert_work(&rows->row[rows_before + 1], b, want->topic);
    free(rows);
    return n;
}

/* ---- fixture ------------------------------------------------------------------------------ */

static int start(void **state)
{
    (void)state;
    redis_server_start(&server, strict);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_free(&server);
    return 0;
}

static int empty(void **state)
{
    (void)state;
    if (server.frozen || server.pid == 0) { /* a test failed */
        redis_server_stop(&server, SIGKILL);
        redis_server_restart(&server);
    }
    (void)redis_server_ask(&server, "CONFIG", "SET", "maxmemory", "0", NULL);
    (void)redis_server_ask(&server, "FLUSHALL", NULL);
    establish(&server);
    return 0;
}

/* ---- creating ----------------------------------------------------------------------------- */

static void a_new_blob_is_stored_whole(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    for (int i = 0; i < 8; i++) { /* several shards */
        struct stepped want = { wall_now().ms, 40000, "blob.created", NULL };
        struct rows *before;
        struct blob b = new_blob(), asked = b;
        before = outbox(&server, b.id);
        assert_int_equal(repo_create(&r, &b), ERR_OK);
        assert_int_equal(b.seq, 1);
        assert_int_equal(b.gen, 1);
        assert_int_equal(b.phase, PHASE_AWAITING);
        assert_in_range(b.created_ms, want.begin_ms, wall_now().ms);
        assert_string_equal(b.callback_url, asked.callback_url);
        (void)assert_step(&r, &b, &want, before->n);
        free(before);
    }
    repo_close(&r);
}

static void creating_twice_changes_nothing(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob b = new_blob(), again = b;
    assert_int_equal(repo_create(&r, &b), ERR_OK);
    char digest[48];
    (void)snprintf(digest, sizeof digest, "%s", redis_server_ask(&server, "DEBUG", "DIGEST", NULL));
    (void)strcpy(again.owner, "another");
    assert_int_equal(repo_create(&r, &again), ERR_OK); /* as if it were the same call repeated */
    assert_int_equal(again.seq, 1);
    assert_string_equal(redis_server_ask(&server, "DEBUG", "DIGEST", NULL), digest);
    struct lookup lo;
    assert_int_equal(look_up(&r, &lo, b.id), ERR_OK);
    assert_true(same_record(&lo.l.b, &b));
    buf_fini(&lo.l.labels);
    repo_close(&r);
}

static void fill_outbox(const char *id, unsigned n)
{
    char rows[16];
    (void)snprintf(rows, sizeof rows, "%u", n);
    assert_string_equal(redis_server_ask(&server, "EVAL",
                                         "for i = redis.call('XLEN', KEYS[1]) + 1, ARGV[1] do "
                                         "redis.call('XADD', KEYS[1], '*', 'x', '') end "
                                         "return redis.call('XLEN', KEYS[1])",
                                         "1", shard_key_of(KEY_OUTBOX, id), rows, NULL),
                        rows);
}

static void a_full_outbox_refuses_new_work_only(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob old = created(&r);
    fill_outbox(old.id, REPO_OUTBOX_MAX - 1);
    struct blob last = created_beside(&r, old.id); /* the last one that has room */
    struct blob b;
    do
        b = new_blob();
    while (keys_shard(str_of(b.id), shards) != keys_shard(str_of(old.id), shards));
    assert_int_equal(repo_create(&r, &b), ERR_FULL);
    assert_int_equal(b.seq, 0);
    assert_string_equal(redis_server_ask(&server, "EXISTS", key_of(KEY_BLOB, b.id), NULL), "0");
    assert_string_equal(redis_server_ask(&server, "EXISTS", key_of(KEY_TIMELINE, b.id), NULL), "0");
    assert_string_equal(
        redis_server_ask(&server, "ZSCORE", shard_key_of(KEY_TIMERS, b.id), b.id, NULL), "nil");

    struct life_event seen = { .type = LIFE_UPLOADED, .etag = S("e1"), .size = 5 };
    assert_int_equal(apply(&r, &old, seen), ERR_OK); /* what was accepted goes on */
    assert_int_equal(apply(&r, &last, seen), ERR_OK);
    if (shards > 1) { /* and so do the other shards */
        do
            b = new_blob();
        while (keys_shard(str_of(b.id), shards) == keys_shard(str_of(old.id), shards));
        assert_int_equal(repo_create(&r, &b), ERR_OK);
    }
    repo_close(&r);
}

static void creating_without_redis_fails_and_may_be_repeated(void **state)
{
    (void)state;
    struct repo r;
    open_at(&r, &server, shards, QUICK_MS);
    struct blob b = new_blob(), asked = b;
    (void)created(&r); /* connected */
    redis_server_freeze(&server);
    assert_int_equal(repo_create(&r, &b), ERR_TIMEOUT); /* it may run yet, and it will */
    assert_memory_equal(&b, &asked, sizeof b);
    assert_int_equal(repo_create(&r, &b), ERR_IO);
    redis_server_thaw(&server);
    mono_t deadline = mono_after_ms(mono_now(), WAIT_MS);
    while (repo_create(&r, &b) != ERR_OK)
        assert_true(redis_server_look_again(deadline));
    struct lookup lo;
    assert_int_equal(look_up(&r, &lo, b.id), ERR_OK);
    assert_int_equal(lo.l.b.seq, 1);
    assert_int_equal(b.seq, 1);
    assert_string_equal(redis_server_ask(&server, "LLEN", key_of(KEY_TIMELINE, b.id), NULL), "1");
    buf_fini(&lo.l.labels);
    repo_close(&r);
}

/* ---- moving on ---------------------------------------------------------------------------- */

#define LABELS "[{\"label\":\"Car\",\"confidence\":98.95704650878906,\"parents\":[\"Vehicle\"]}]"

static const struct {
    struct life_event ev;
    enum blob_phase phase;
    int64_t delay_ms;
    const char *event, *topic;
} story[] = {
    { { .type = LIFE_UPLOADED, .etag = S("\"e1\""), .size = 1234 },
      PHASE_QUEUED,
      HOUR_MS,
      "upload.seen",
      TOPIC_RECOGNIZE },
    { { .type = LIFE_TIMER_DUE },
      PHASE_QUEUED,
      2 * HOUR_MS,
      "recognition.queued_again",
      TOPIC_RECOGNIZE },
    { { .type = LIFE_RECOGNIZE_START }, PHASE_RECOGNIZING, 60000, "recognition.started", NULL },
    { { .type = LIFE_PROBED,
        .content_type = S("image/jpeg"),
        .size = 1234,
        .width = 640,
        .height = 480 },
      PHASE_RECOGNIZING,
      60000,
      "image.probed",
      NULL },
    { { .type = LIFE_LABELED, .model = S("3.0") },
      PHASE_DELIVERING,
      HOUR_MS,
      "labels.saved",
      TOPIC_DELIVER },
    { { .type = LIFE_DELIVER_START }, PHASE_ATTEMPTING, 20000, "delivery.started", NULL },
    { { .type = LIFE_TIMER_DUE },
      PHASE_DELIVERING,
      HOUR_MS,
      "delivery.lease_ended",
      TOPIC_DELIVER },
    { { .type = LIFE_DELIVER_START }, PHASE_ATTEMPTING, 20000, "delivery.started", NULL },
    { { .type = LIFE_DELIVERED }, PHASE_FINISHED, 720 * HOUR_MS, "delivery.done", NULL },
    { { .type = LIFE_DELETE }, PHASE_ERASING, 0, "erasing.asked", NULL },
};

static void one_whole_life(struct repo *r)
{
    struct blob b = created(r);
    struct rows *rows = outbox(&server, b.id);
    size_t n = rows->n;
    free(rows);
    for (size_t i = 0; i < N_OF(story); i++) {
        struct stepped want = { wall_now().ms, story[i].delay_ms, story[i].event, story[i].topic };
        enum err e = story[i].ev.type == LIFE_LABELED ? apply_labels(r, &b, S(LABELS))
                                                      : apply(r, &b, story[i].ev);
        if (e != ERR_OK)
            fail_msg("%s: %s", story[i].event, err_name(e));
        assert_int_equal(b.seq, 2 + i);
        assert_int_equal(b.phase, story[i].phase);
        n = assert_step(r, &b, &want, n);
    }
    assert_int_equal(b.width, 640);
    assert_string_equal(b.content_type, "image/jpeg");
    assert_int_equal(b.size, 1234);
    assert_string_equal(b.model, "3.0");
}

static void a_life_step_by_step(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    for (int i = 0; i < 6; i++)
        one_whole_life(&r);
    repo_close(&r);
}

/* With seq 0 only the id is known and the record is read first. */
static void a_change_that_knows_the_id_only(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob b = created(&r), only_id = { .seq = 0 };
    (void)strcpy(only_id.id, b.id);
    assert_int_equal(
        apply(&r, &only_id, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") }), ERR_OK);
    assert_int_equal(only_id.seq, 2);
    assert_string_equal(only_id.callback_url, b.callback_url);
    /* what does not apply gives the record as it is */
    struct blob again = { .seq = 0 };
    (void)strcpy(again.id, b.id);
    assert_int_equal(apply(&r, &again, (struct life_event){ .type = LIFE_DELIVERED }),
                     ERR_CONFLICT);
    assert_true(same_record(&again, &only_id));
    repo_close(&r);
}

static void what_does_not_exist_is_missing(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob b = new_blob(), got;
    char id[UUID_LEN + 1];
    (void)strcpy(id, b.id);
    struct lookup lo;
    struct buf labels = BUF_INIT(100);
    assert_int_equal(look_up(&r, &lo, id), ERR_MISSING);
    assert_string_equal(lo.l.b.id, id); /* for whoever says so in the log */
    buf_fini(&lo.l.labels);
    assert_int_equal(repo_read(&r, str_of(id), &got, &labels), ERR_MISSING);
    assert_int_equal(repo_read(&r, S("far too long to be the id of any blob"), &got, &labels),
                     ERR_MISSING);
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_DELETE }), ERR_MISSING);
    assert_string_equal(b.id, id);
    b.seq = 7; /* a record that was read before it was erased */
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_DELETE }), ERR_MISSING);
    assert_string_equal(b.id, id);
    char untouched[8]; /* the facts and the epochs */
    (void)snprintf(untouched, sizeof untouched, "%u", shards + 1);
    assert_string_equal(redis_server_ask(&server, "DBSIZE", NULL), untouched);
    repo_close(&r);
}

static void records_of_other_versions(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob b = created(&r), got;
    struct buf labels = BUF_INIT(100);
    (void)redis_server_ask(&server, "HSET", key_of(KEY_BLOB, b.id), "colour", "blue", NULL);
    assert_int_equal(repo_read(&r, str_of(b.id), &got, &labels), ERR_OK);
    assert_true(same_record(&got, &b));
    struct life_event seen = { .type = LIFE_UPLOADED, .etag = S("e1") };
    assert_int_equal(apply(&r, &b, seen), ERR_OK);
    assert_string_equal(redis_server_ask(&server, "HGET", key_of(KEY_BLOB, b.id), "colour", NULL),
                        "blue");

    (void)redis_server_ask(&server, "HSET", key_of(KEY_BLOB, b.id), "phase", "dancing", NULL);
    log_open("repo_test", LOG_NOTHING); /* said, and expected here */
    assert_int_equal(repo_read(&r, str_of(b.id), &got, &labels), ERR_REMOTE);
    b = (struct blob){ .seq = 0 };
    (void)strcpy(b.id, got.id);
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_DELETE }), ERR_REMOTE);
    log_open("repo_test", LOG_ERROR);
    buf_fini(&labels);
    repo_close(&r);
}

static void the_timeline_keeps_the_last_hundred(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob b = created(&r);
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") }),
                     ERR_OK);
    for (int i = 0; i < 120; i++)
        assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_TIMER_DUE }), ERR_OK);
    assert_int_equal(b.seq, 122);
    assert_string_equal(redis_server_ask(&server, "LLEN", key_of(KEY_TIMELINE, b.id), NULL), "100");
    assert_int_equal(
        strncmp(redis_server_ask(&server, "LINDEX", key_of(KEY_TIMELINE, b.id), "0", NULL), "23 ",
                3),
        0);
    repo_close(&r);
}

/* ---- who comes late ----------------------------------------------------------------------- */

static struct blob queued(struct repo *r)
{
    struct blob b = created(r);
    assert_int_equal(apply(r, &b, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") }),
                     ERR_OK);
    return b;
}

/* A step decided on an old record is decided anew on the one that is there. */
static void two_with_the_same_record(void **state)
{
    (void)state;
    struct repo r, other;
    open_repo(&r);
    open_repo(&other);
    const struct blob before = queued(&r);
    struct blob first = before, late = before;
    const struct life_event begin = { .type = LIFE_RECOGNIZE_START };
    assert_int_equal(apply(&r, &first, begin), ERR_OK);
    assert_int_equal(apply(&other, &late, begin), ERR_CONFLICT); /* it was begun already */
    assert_int_equal(late.seq, 3);
    assert_true(same_record(&late, &first));

    late = before; /* this one applies to the newer record just as well */
    assert_int_equal(apply(&other, &late, (struct life_event){ .type = LIFE_DELETE }), ERR_OK);
    assert_int_equal(late.seq, 4);
    assert_int_equal(late.starts, 1);
    assert_int_equal(late.phase, PHASE_ERASING);
    repo_close(&other);
    repo_close(&r);
}

static void two_in_the_same_turn(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob b = queued(&r);
    static struct change one, two;
    struct rows *rows = outbox(&server, b.id);
    size_t n = rows->n;
    free(rows);
    change_begin(&r, &one, &b, (struct life_event){ .type = LIFE_RECOGNIZE_START });
    change_begin(&r, &two, &b, (struct life_event){ .type = LIFE_RECOGNIZE_START });
    assert_int_equal(change_end(&r, &one), ERR_OK);
    assert_int_equal(change_end(&r, &two), ERR_CONFLICT);
    assert_true(same_record(&one.c.b, &two.c.b));
    rows = outbox(&server, b.id);
    assert_int_equal(rows->n, n + 1);
    free(rows);
    repo_close(&r);
}

static void the_end_of_an_attempt_that_is_over_is_dropped(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob b = queued(&r);
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_RECOGNIZE_START }), ERR_OK);
    struct blob slow = b; /* this worker holds on to its start */
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_TIMER_DUE }), ERR_OK);
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_RECOGNIZE_START }), ERR_OK);
    char digest[48];
    (void)snprintf(digest, sizeof digest, "%s", redis_server_ask(&server, "DEBUG", "DIGEST", NULL));
    struct life_event end = { .type = LIFE_REJECTED, .fence = slow.seq, .result = RESULT_INVALID };
    struct blob unread = { .seq = 0 };
    (void)strcpy(unread.id, b.id);
    assert_int_equal(apply(&r, &slow, end), ERR_CONFLICT);
    assert_int_equal(slow.seq, b.seq);
    assert_int_equal(apply(&r, &unread, end), ERR_CONFLICT);
    assert_int_equal(apply(&r, &b, end), ERR_CONFLICT);
    assert_string_equal(redis_server_ask(&server, "DEBUG", "DIGEST", NULL), digest);
    end.fence = b.seq;
    assert_int_equal(apply(&r, &b, end), ERR_OK);
    assert_int_equal(b.result, RESULT_INVALID);
    repo_close(&r);
}

/* ---- a crowd ------------------------------------------------------------------------------ */

#define CROWD  6
#define EVENTS 40

struct member {
    pthread_t thread;
    struct blob b;
    uint64_t x;
    int64_t stored;
    bool failed;
    enum err why; /* ERR_OK: it did not end in time, or twice */
    struct repo r;
};

/* No assertions here: cmocka's belong to the first thread. */
static void *push_and_shove(void *arg)
{
    struct member *m = arg;
    struct change *ch = calloc(1, sizeof *ch);
    for (int i = 0; i < EVENTS && ch != NULL; i++) {
        m->x ^= m->x << 13, m->x ^= m->x >> 7, m->x ^= m->x << 17;
        struct life_event ev = { .type = (enum life_event_type)(m->x % LIFE_DELETE),
                                 .etag = (m->x >> 20) % 4 == 0 ? S("e2") : S("e1"),
                                 .result = RESULT_INVALID,
                                 .delivery = DELIVERY_FAILURE };
        if ((m->x >> 30) % 3 == 0)
            m->b.seq = 0; /* read first; else the record is what this one saw last */
        change_begin(&m->r, ch, &m->b, ev);
        mono_t deadline = mono_after_ms(mono_now(), WAIT_MS);
        while (ch->done == 0 && mono_until_ms(mono_now(), deadline) > 0)
            repo_turn(&m->r, mono_now());
        m->stored += ch->e == ERR_OK;
        bool ended = ch->done == 1 && (ch->e == ERR_OK || ch->e == ERR_CONFLICT);
        if (!ended && !m->failed)
            m->why = ch->done == 1 ? ch->e : ERR_OK;
        m->failed |= !ended;
        m->b = ch->c.b;
    }
    free(ch);
    return NULL;
}

static void a_crowd_at_one_blob(void **state)
{
    (void)state;
    static struct member crowd[CROWD];
    struct repo r;
    open_repo(&r);
    struct blob b = created(&r);
    int64_t seq = 1;
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct member){ .b = b, .x = 88172645463325252U + (uint64_t)i };
        open_repo(&crowd[i].r);
        assert_int_equal(pthread_create(&crowd[i].thread, NULL, push_and_shove, &crowd[i]), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        (void)pthread_join(crowd[i].thread, NULL);
        if (crowd[i].failed)
            fail_msg("member %d: %s", i, err_name(crowd[i].why));
        seq += crowd[i].stored;
        repo_close(&crowd[i].r);
    }
    print_message("%lld steps\n", (long long)seq);
    assert_true(seq > 10);
    struct lookup lo;
    assert_int_equal(look_up(&r, &lo, b.id), ERR_OK);
    assert_int_equal(lo.l.b.seq, seq);
    buf_fini(&lo.l.labels);

    /* every step is told once and in order, and work comes with the step that says it */
    struct rows *rows = outbox(&server, b.id);
    int64_t told = 0;
    for (size_t i = 0; i < rows->n; i++) {
        struct json root, v;
        struct event_work work;
        char id[64];
        assert_int_equal(json_parse(&root, str_of(rows->row[i].value), NULL), ERR_OK);
        if (strcmp(rows->row[i].topic, TOPIC_EVENTS) == 0) {
            (void)snprintf(id, sizeof id, "%s/%lld", b.id, (long long)++told);
            assert_true(json_get(root, S("id"), &v) && json_is(v, str_of(id)));
        } else {
            assert_int_equal(event_read_work(&work, str_of(rows->row[i].value), NULL), ERR_OK);
            assert_int_equal(work.seq, told);
        }
    }
    assert_int_equal(told, seq);
    free(rows);
    repo_close(&r);
}

/* ---- labels ------------------------------------------------------------------------------- */

static void assert_labels(struct repo *r, const char *id, struct str want)
{
    struct lookup lo;
    struct blob b;
    struct buf labels = BUF_INIT(RENDER_MAX_BYTES);
    assert_int_equal(look_up(r, &lo, id), ERR_OK);
    assert_true(str_eq(buf_str(&lo.l.labels), want));
    assert_int_equal(repo_read(r, str_of(id), &b, &labels), ERR_OK);
    assert_true(str_eq(buf_str(&labels), want));
    assert_true(same_record(&b, &lo.l.b));
    buf_fini(&labels);
    buf_fini(&lo.l.labels);
}

static void labels_are_kept_byte_by_byte(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct buf bytes = BUF_INIT(65536);
    for (int i = 0; i < 65536; i++)
        buf_putc(&bytes, (char)(i % 256 + i / 256));
    const struct str labels[] = { S(LABELS), S("[]"), S("[{\"label\":\"\xc3\x89t\xc3\xa9\"}]"),
                                  buf_str(&bytes) };
    struct blob b = created(&r);
    assert_labels(&r, b.id, S(""));
    for (size_t i = 0; i < N_OF(labels); i++) { /* each generation replaces the last one's */
        char etag[8];
        (void)snprintf(etag, sizeof etag, "e%zu", i);
        struct life_event seen = { .type = LIFE_UPLOADED, .etag = str_of(etag) };
        assert_int_equal(apply(&r, &b, seen), ERR_OK);
        assert_labels(&r, b.id, i == 0 ? S("") : labels[i - 1]); /* old ones stay until then */
        assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_RECOGNIZE_START }),
                         ERR_OK);
        assert_int_equal(apply_labels(&r, &b, labels[i]), ERR_OK);
        assert_int_equal(b.has_labels, 1);
        assert_labels(&r, b.id, labels[i]);
    }
    /* labels that come with anything else are not stored */
    static struct change ch;
    ch = (struct change){ .c = { .b = b,
                                 .ev = { .type = LIFE_DELIVER_START },
                                 .labels = S("[1]"),
                                 .done = change_done,
                                 .owner = &ch } };
    repo_apply(&r, &ch.c);
    assert_int_equal(change_end(&r, &ch), ERR_OK);
    assert_labels(&r, b.id, labels[N_OF(labels) - 1]);
    buf_fini(&bytes);
    repo_close(&r);
}

static void what_is_erased_leaves_nothing(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct blob b = queued(&r), neighbour = created_beside(&r, b.id);
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_RECOGNIZE_START }), ERR_OK);
    assert_int_equal(apply_labels(&r, &b, S(LABELS)), ERR_OK);
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_ERASED }), ERR_CONFLICT);
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_DELETE }), ERR_OK);
    struct rows *rows = outbox(&server, b.id);
    size_t n = rows->n;
    free(rows);
    struct blob before = b;
    assert_int_equal(apply(&r, &b, (struct life_event){ .type = LIFE_ERASED }), ERR_OK);

    char pattern[48];
    (void)snprintf(pattern, sizeof pattern, "*%s*", b.id);
    assert_string_equal(
        redis_server_ask(&server, "SCAN", "0", "MATCH", pattern, "COUNT", "100000", NULL),
        "[0,[]]");
    assert_string_equal(
        redis_server_ask(&server, "ZSCORE", shard_key_of(KEY_TIMERS, b.id), b.id, NULL), "nil");
    rows = outbox(&server, b.id);
    assert_int_equal(rows->n, n + 1); /* its end is still told */
    assert_event(&rows->row[n], &b, "blob.erased");
    free(rows);

    assert_int_equal(apply(&r, &before, (struct life_event){ .type = LIFE_ERASED }), ERR_MISSING);
    struct lookup lo;
    assert_int_equal(look_up(&r, &lo, b.id), ERR_MISSING);
    buf_fini(&lo.l.labels);
    assert_int_equal(look_up(&r, &lo, neighbour.id), ERR_OK);
    assert_true(lo.l.timer_ms > 0);
    buf_fini(&lo.l.labels);
    repo_close(&r);
}

/* ---- every script twice ------------------------------------------------------------------- */

struct raw {
    struct redis_op op;
    enum err e;
    int64_t answer; /* the number, or the first of the list */
    size_t items;
};

static void keep_raw(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct raw *raw = (struct raw *)((char *)op - offsetof(struct raw, op));
    raw->e = e;
    raw->items = redis_len(v);
    raw->answer = redis_type(v) == REDIS_LIST ? redis_int(redis_at(v, 0)) : redis_int(v);
}

#define RAW_ID "0b9f1c3e-7d0a-4c55-9d5e-1f2a3b4c5d6e"

enum raw_key { BLOB, TIMERS, OUTBOX, TIMELINE, RAW_LABELS, RELAY, FROM, TO, FINISHED, EPOCH, META };

static const struct {
    const char *why;
    enum script script;
    enum raw_key keys[8];
    uint8_t nkeys;
    const char *args[16];
    int64_t first, again;
} calls[] = {
    { "facts", SCRIPT_meta, { META }, 1, { "4", "1", "" }, 4, 4 },
    { "other facts", SCRIPT_meta, { META }, 1, { "16", "2", "2" }, 4, 4 },
    { "no epoch", SCRIPT_epoch, { EPOCH }, 1, { "" }, 0, 0 },
    { "epoch", SCRIPT_epoch, { EPOCH }, 1, { "7" }, 7, 7 },
    { "another epoch", SCRIPT_epoch, { EPOCH }, 1, { "8" }, 7, 7 },
    { "create, due at once",
      SCRIPT_create,
      { BLOB, TIMERS, OUTBOX, TIMELINE, FROM, EPOCH },
      6,
      { RAW_ID, "0", "10", "blob.created", TOPIC_EVENTS, "{}", "id", RAW_ID, "updated_ms", "1",
        "seq", "1" },
      1,
      0 },
    { "move on with work",
      SCRIPT_transition,
      { BLOB, TIMERS, OUTBOX, TIMELINE, RAW_LABELS, FROM, TO, EPOCH },
      8,
      { RAW_ID, "1", "1", "0", "", "upload.seen", TOPIC_EVENTS, "{}", TOPIC_RECOGNIZE, "{}", "seq",
        "2" },
      1,
      0 },
    { "move on with labels",
      SCRIPT_transition,
      { BLOB, TIMERS, OUTBOX, TIMELINE, RAW_LABELS, TO, FINISHED, EPOCH },
      8,
      { RAW_ID, "2", "1", "0", "[]", "labels.saved", TOPIC_EVENTS, "{}", "", "", "seq", "3" },
      1,
      0 },
    { "another step from an old record",
      SCRIPT_transition,
      { BLOB, TIMERS, OUTBOX, TIMELINE, RAW_LABELS, TO, FROM, EPOCH },
      8,
      { RAW_ID, "2", "1", "5", "[1]", "other", TOPIC_EVENTS, "{}", TOPIC_DELIVER, "{}", "seq",
        "9" },
      0,
      0 },
    { "forget the labels",
      SCRIPT_transition,
      { BLOB, TIMERS, OUTBOX, TIMELINE, RAW_LABELS, FINISHED, TO, EPOCH },
      8,
      { RAW_ID, "3", "1", "0", "-", "erasing.asked", TOPIC_EVENTS, "{}", "", "", "seq", "4" },
      1,
      0 },
    { "count", SCRIPT_oldest, { TO }, 1, { NULL }, 1, 1 },
    { "count none", SCRIPT_oldest, { FROM }, 1, { NULL }, 0, 0 },
    { "claim", SCRIPT_claim, { TIMERS }, 1, { "64", "60000" }, 1, 0 },
    { "lead", SCRIPT_lead, { RELAY }, 1, { "me", "60000" }, 1, 1 },
    { "another would lead", SCRIPT_lead, { RELAY }, 1, { "you", "60000" }, 0, 0 },
    { "another would forget",
      SCRIPT_trim,
      { RELAY, OUTBOX },
      2,
      { "you", "99999999999999-0" },
      -1,
      -1 },
    { "read", SCRIPT_read, { BLOB, RAW_LABELS, TIMERS, EPOCH }, 4, { RAW_ID }, 0, 0 },
    { "erase",
      SCRIPT_transition,
      { BLOB, TIMERS, OUTBOX, TIMELINE, RAW_LABELS, TO, TO, EPOCH },
      8,
      { RAW_ID, "4", "1", "-1", "", "blob.erased", TOPIC_EVENTS, "{}", "", "", "seq", "5" },
      1,
      -1 },
    { "forget", SCRIPT_trim, { RELAY, OUTBOX }, 2, { "me", "99999999999999-0" }, 0, 0 },
};

static void run_raw(struct redis *r, struct raw *raw, size_t i)
{
    struct key keys[META + 1] = { [META] = { KEY_META } };
    unsigned shard = keys_shard(S(RAW_ID), shards);
    keys_of_blob(&keys[BLOB], KEY_BLOB, S(RAW_ID), shards);
    keys_of_shard(&keys[TIMERS], KEY_TIMERS, shard);
    keys_of_shard(&keys[OUTBOX], KEY_OUTBOX, shard);
    keys_of_blob(&keys[TIMELINE], KEY_TIMELINE, S(RAW_ID), shards);
    keys_of_blob(&keys[RAW_LABELS], KEY_LABELS, S(RAW_ID), shards);
    keys_of_shard(&keys[RELAY], KEY_RELAY, shard);
    keys_of_phase(&keys[FROM], PHASE_AWAITING, shard);
    keys_of_phase(&keys[TO], PHASE_QUEUED, shard);
    keys_of_phase(&keys[FINISHED], PHASE_FINISHED, shard);
    keys_of_shard(&keys[EPOCH], KEY_EPOCH, shard);
    *raw = (struct raw){ .op = { .script = calls[i].script, .done = keep_raw } };
    for (; raw->op.nkeys < calls[i].nkeys; raw->op.nkeys++)
        raw->op.key[raw->op.nkeys] = str_of(keys[calls[i].keys[raw->op.nkeys]].text);
    for (; calls[i].args[raw->op.nargs] != NULL; raw->op.nargs++)
        raw->op.arg[raw->op.nargs] = str_of(calls[i].args[raw->op.nargs]);
    redis_await(r, &raw->op);
    if (raw->e != ERR_OK)
        fail_msg("%s: %s", calls[i].why, err_name(raw->e));
}

static void every_script_may_be_repeated(void **state)
{
    (void)state;
    struct redis *r;
    const struct redis_conf conf = { .url = server.url, .timeout_ms = TIMEOUT_MS };
    assert_int_equal(redis_open(&r, &conf, scripts, SCRIPT_N, NULL), ERR_OK);
    bool seen[SCRIPT_N] = { false };
    (void)redis_server_ask(&server, "FLUSHALL", NULL);
    for (size_t i = 0; i < N_OF(calls); i++) {
        struct raw raw;
        char digest[48];
        seen[calls[i].script] = true;
        run_raw(r, &raw, i);
        if (raw.answer != calls[i].first)
            fail_msg("%s: %lld", calls[i].why, (long long)raw.answer);
        (void)snprintf(digest, sizeof digest, "%s",
                       redis_server_ask(&server, "DEBUG", "DIGEST", NULL));
        for (int times = 0; times < 2; times++) {
            run_raw(r, &raw, i);
            if (raw.answer != calls[i].again)
                fail_msg("%s again: %lld", calls[i].why, (long long)raw.answer);
            if (strcmp(redis_server_ask(&server, "DEBUG", "DIGEST", NULL), digest) != 0)
                fail_msg("%s again changed something", calls[i].why);
        }
    }
    for (size_t i = 0; i < SCRIPT_N; i++)
        assert_true(seen[i]);
    redis_close(r);
}

/* A shard may live on any node of a cluster, so no script touches a key it was not given. */
static void all_keys_of_a_shard_share_its_tag(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    struct errbuf eb;
    struct blob b = queued(&r);
    assert_int_equal(repo_watch(&r, mono_now(), &eb), ERR_OK);
    assert_int_equal(repo_lead(&r, keys_shard(str_of(b.id), shards), S("me"), 1000), ERR_OK);
    char pattern[24], total[24];
    (void)snprintf(pattern, sizeof pattern, "lw:{%u}:*", keys_shard(str_of(b.id), shards));
    (void)snprintf(total, sizeof total, "%s", redis_server_ask(&server, "DBSIZE", NULL));
    /* blob, timeline, timers, outbox, relay, those queued, the facts, and an epoch for each shard
     */
    assert_int_equal(atoi(total), 7 + (int)shards);
    const char *found = redis_server_ask(&server, "EVAL", "return #redis.call('KEYS', ARGV[1])",
                                         "0", pattern, NULL);
    assert_string_equal(found, "7");
    repo_close(&r);
}

/* ---- timers ------------------------------------------------------------------------------- */

#define HOLD_MS 15000

struct claim {
    struct repo_claim c;
    enum err e;
    size_t n;
    int done;
};

static void claim_done(struct repo_claim *c, enum err e, size_t n)
{
    struct claim *cl = c->owner;
    cl->e = e;
    cl->n = n;
    cl->done++;
}

static void claim_begin(struct repo *r, struct claim *cl, unsigned shard, int64_t hold_ms)
{
    *cl = (struct claim){ .c = { .shard = shard, .done = claim_done, .owner = cl } };
    repo_claim(r, &cl->c, hold_ms);
}

static enum err claim(struct repo *r, struct claim *cl, unsigned shard, int64_t hold_ms)
{
    claim_begin(r, cl, shard, hold_ms);
    turn_until(r, &cl->done);
    return cl->e;
}

/* Its timer is due since late_ms. */
static void make_due(const char *id, int64_t late_ms)
{
    char score[24];
    (void)snprintf(score, sizeof score, "%lld", (long long)(wall_now().ms - late_ms));
    assert_string_equal(redis_server_ask(&server, "ZADD", shard_key_of(KEY_TIMERS, id), "XX", "CH",
                                         score, id, NULL),
                        "1");
}

#define DUE 150U

static void due_timers_are_claimed_once(void **state)
{
    (void)state;
    struct repo one, two;
    open_repo(&one);
    open_repo(&two);
    static struct blob due[DUE];
    static struct claim cl;
    int times[DUE] = { 0 };
    for (size_t i = 0; i < DUE; i++) {
        due[i] = created(&one);
        make_due(due[i].id, 5000);
        (void)created(&one); /* and as many that are not due */
    }
    size_t claimed = 0, by[2] = { 0 };
    for (unsigned shard = 0; shard < shards; shard++) {
        int64_t left = -1;
        for (int turn = 0; left != 0; turn++) { /* two claimers take turns */
            int64_t begin = wall_now().ms;
            assert_int_equal(claim(turn % 2 == 0 ? &one : &two, &cl, shard, HOLD_MS), ERR_OK);
            assert_true(cl.n <= REPO_CLAIM_MAX);
            assert_int_equal(cl.n, cl.c.due < REPO_CLAIM_MAX ? cl.c.due : REPO_CLAIM_MAX);
            if (left >= 0)
                assert_int_equal(cl.c.due, left);
            left = cl.c.due - (int64_t)cl.n;
            assert_in_range(cl.c.held_until_ms, begin + HOLD_MS - 1, wall_now().ms + HOLD_MS + 1);
            if (cl.n > 0)
                assert_in_range(cl.c.late_ms, 4999, 60000);
            else
                assert_int_equal(cl.c.late_ms, 0);
            by[turn % 2] += cl.n;
            claimed += cl.n;
            for (size_t i = 0; i < cl.n; i++) {
                struct lookup lo;
                size_t which = 0;
                while (which < DUE && strcmp(due[which].id, cl.c.ids[i]) != 0)
                    which++;
                assert_true(which < DUE); /* one that was not due would not be found */
                times[which]++;
                assert_int_equal(look_up(&two, &lo, cl.c.ids[i]), ERR_OK);
                assert_true(lo.l.timer_ms == cl.c.held_until_ms);
                assert_int_equal(lo.l.b.seq, 1); /* claiming is no step */
                buf_fini(&lo.l.labels);
            }
        }
        assert_int_equal(claim(&one, &cl, shard, HOLD_MS), ERR_OK);
        assert_int_equal(cl.n + (size_t)cl.c.due, 0);
    }
    assert_int_equal(claimed, DUE);
    for (size_t i = 0; i < DUE; i++)
        assert_int_equal(times[i], 1);
    if (shards == 1)
        assert_true(by[0] > 0 && by[1] > 0);
    repo_close(&two);
    repo_close(&one);
}

static void a_claim_that_is_not_followed_up_falls_due_again(void **state)
{
    (void)state;
    struct repo r;
    open_repo(&r);
    static struct claim cl;
    struct blob b = created(&r);
    unsigned shard = keys_shard(str_of(b.id), shards);
    make_due(b.id, 0);
    mono_t begin = mono_now(), deadline = mono_after_ms(begin, WAIT_MS);
    assert_int_equal(claim(&r, &cl, shard, 100), ERR_OK);
    assert_int_equal(cl.n, 1);
    while (claim(&r, &cl, shard, 100) == ERR_OK && cl.n == 0)
        assert_true(redis_server_look_again(deadline));
    assert_string_equal(cl.c.ids[0], b.id);
    assert_true(mono_since_us(mono_now(), begin) >= 95000);
    repo_close(&r);
}

static void a_step_between_claim_and_look_shows(void **state)
{
    (void)state;
    struct repo r, other;
    open_repo(&r);
    open_repo(&other);
    static struct claim cl;
    struct lookup lo;
    struct blob b = created(&r);
    make_due(b.id, 10);
    assert_int_equal(claim(&r, &cl, keys_shard(str_of(b.id), shards), HOLD_MS), ERR_OK);
    assert_int_equal(cl.n, 1);
    assert_int_equal(
        apply(&other, &b, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") }), ERR_OK);
    assert_int_equal(look_up(&r, &lo, b.id), ERR_OK);
    assert_true(lo.l.timer_ms != cl.c.held_until_ms);
    assert_int_equal(lo.l.b.seq, 2);
    buf_fini(&lo.l.labels);
    repo_close(&other);
    repo_close(&r);
}

/* ---- Redis away --------------------------------------------------------------------------- */

static void a_step_waits_until_redis_is_back(void **state)
{
    (void)state;
    static struct redis_server durable;
    static struct change ch;
    static struct claim cl;
    struct repo r;
    struct lookup lo;
    redis_server_start(&durable, strict);
    establish(&durable);
    open_at(&r, &durable, shards, QUICK_MS);
    struct blob b = created(&r);
    assert_int_equal(repo_wait_ms(&r, mono_now(), 5000), 5000); /* nothing to do */
    redis_server_stop(&durable, SIGKILL);
    change_begin(&r, &ch, &b, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") });
    lookup_begin(&r, &lo, b.id);
    claim_begin(&r, &cl, 0, HOLD_MS);
    assert_int_equal(repo_wait_ms(&r, mono_now(), 5000), 0); /* something to send */
    for (int i = 0; i < 3; i++) {
        mono_t deadline = mono_after_ms(mono_now(), WAIT_MS);
        repo_turn(&r, mono_now());
        assert_in_range(repo_wait_ms(&r, mono_now(), 5000), 0, 1000);
        while (repo_wait_ms(&r, mono_now(), 5000) > 0)
            assert_true(redis_server_look_again(deadline));
        assert_int_equal(ch.done + lo.done, 0); /* they wait */
    }
    assert_int_equal(cl.done, 1); /* claiming can be left to the next time */
    assert_int_equal(cl.e, ERR_IO);
    assert_int_equal(cl.n, 0);
    redis_server_restart(&durable);
    assert_int_equal(change_end(&r, &ch), ERR_OK);
    turn_until(&r, &lo.done);
    assert_int_equal(lo.e, ERR_OK);
    buf_fini(&lo.l.labels);
    assert_int_equal(ch.c.b.seq, 2);
    struct rows *rows = outbox(&durable, b.id);
    assert_int_equal(rows->n, 3);
    assert_event(&rows->row[1], &ch.c.b, "upload.seen");
    assert_work(&rows->row[2], &ch.c.b, TOPIC_RECOGNIZE);
    free(rows);
    assert_int_equal(repo_wait_ms(&r, mono_now(), 5000), 5000);
    repo_close(&r);
    redis_server_free(&durable);
}

/* A call that timed out may run all the same; it is repeated and stored once. */
/* A failover lost the last step, and another one took its seq: the copy in a worker's hand is of
 * a life that did not happen. */
static void a_seq_that_came_again_is_told_apart(void **state)
{
    (void)state;
    static struct change ch;
    struct repo r;
    open_at(&r, &server, shards, TIMEOUT_MS);
    struct blob b = created(&r);
    change_begin(&r, &ch, &b, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") });
    assert_int_equal(change_end(&r, &ch), ERR_OK);
    b = ch.c.b;
    change_begin(&r, &ch, &b, (struct life_event){ .type = LIFE_RECOGNIZE_START });
    assert_int_equal(change_end(&r, &ch), ERR_OK);
    b = ch.c.b;
    (void)redis_server_ask(&server, "HSET", key_of(KEY_BLOB, b.id), "updated_ms", "1", NULL);
    change_begin(&r, &ch, &b, (struct life_event){ .type = LIFE_LABELED, .fence = b.seq });
    assert_int_equal(change_end(&r, &ch), ERR_CONFLICT);
    assert_int_equal(ch.c.b.seq, b.seq);
    assert_int_equal(ch.c.b.phase, PHASE_RECOGNIZING);
    repo_close(&r);
}

static void a_step_that_timed_out_is_stored_once(void **state)
{
    (void)state;
    static struct change ch;
    struct repo r;
    open_at(&r, &server, shards, QUICK_MS);
    struct blob b = created(&r);
    redis_server_freeze(&server);
    change_begin(&r, &ch, &b, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") });
    repo_turn(&r, mono_now());
    assert_int_equal(ch.done, 0);
    redis_server_thaw(&server);
    /* The repeat finds it done, and that it was itself: the step is ours to go on from. */
    assert_int_equal(change_end(&r, &ch), ERR_OK);
    assert_int_equal(ch.c.b.seq, 2);
    assert_int_equal(ch.c.b.phase, PHASE_QUEUED);
    struct rows *rows = outbox(&server, b.id);
    assert_int_equal(rows->n, 3);
    free(rows);
    assert_string_equal(redis_server_ask(&server, "LLEN", key_of(KEY_TIMELINE, b.id), NULL), "2");
    repo_close(&r);
}

static void a_step_waits_while_redis_is_full(void **state)
{
    (void)state;
    static struct change ch;
    struct repo r;
    open_repo(&r);
    struct blob b = created(&r), refused = new_blob();
    (void)redis_server_ask(&server, "CONFIG", "SET", "maxmemory", "1", NULL);
    assert_int_equal(repo_create(&r, &refused), ERR_FULL);
    change_begin(&r, &ch, &b, (struct life_event){ .type = LIFE_UPLOADED, .etag = S("e1") });
    repo_turn(&r, mono_now());
    assert_int_equal(ch.done, 0);
    (void)redis_server_ask(&server, "CONFIG", "SET", "maxmemory", "0", NULL);
    assert_int_equal(change_end(&r, &ch), ERR_OK);
    assert_int_equal(ch.c.b.seq, 2);
    repo_close(&r);
}

static void closing_ends_what_waits(void **state)
{
    (void)state;
    static struct change ch[4];
    static struct claim cl;
    struct repo r;
    struct lookup lo;
    open_at(&r, &server, shards, QUICK_MS);
    struct blob b = created(&r), only_id = { .seq = 0 };
    (void)strcpy(only_id.id, b.id);
    struct life_event seen = { .type = LIFE_UPLOADED, .etag = S("e1") };
    redis_server_stop(&server, SIGTERM);
    change_begin(&r, &ch[0], &b, seen);
    change_begin(&r, &ch[1], &only_id, seen);
    repo_turn(&r, mono_now()); /* these wait for Redis now, the others were never sent */
    change_begin(&r, &ch[2], &b, seen);
    change_begin(&r, &ch[3], &only_id, seen);
    lookup_begin(&r, &lo, b.id);
    claim_begin(&r, &cl, 0, HOLD_MS);
    repo_close(&r);
    for (size_t i = 0; i < N_OF(ch); i++) {
        assert_int_equal(ch[i].done, 1);
        assert_int_equal(ch[i].e, ERR_CLOSED);
        assert_string_equal(ch[i].c.b.id, b.id);
    }
    assert_int_equal(lo.done, 1);
    assert_int_equal(lo.e, ERR_CLOSED);
    buf_fini(&lo.l.labels);
    assert_int_equal(cl.done, 1);
    assert_int_equal(cl.e, ERR_CLOSED);
    assert_int_equal(cl.n, 0);
    repo_close(&r); /* safe twice */
    redis_server_restart(&server);
}

/* ---- what all agree on -------------------------------------------------------------------- */

static void all_agree_on_the_shards(void **state)
{
    (void)state;
    struct repo r, same, other;
    struct errbuf eb = { "" };
    open_repo(&r);
    open_repo(&same);
    open_at(&other, &server, 63, TIMEOUT_MS);
    assert_int_equal(repo_watch(&r, mono_now(), &eb), ERR_OK); /* the first one decides */
    assert_int_equal(repo_watch(&same, mono_now(), &eb), ERR_OK);
    assert_int_equal(repo_watch(&other, mono_now(), &eb), ERR_CONFIG);
    char number[8];
    (void)snprintf(number, sizeof number, " %u:", shards);
    assert_non_null(strstr(eb.text, " 63 "));
    assert_non_null(strstr(eb.text, number));
    assert_string_equal(redis_server_ask(&server, "HGET", KEY_META, "schema", NULL), "1");

    /* asked again after a second, not before */
    mono_t now = mono_now();
    assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
    (void)redis_server_ask(&server, "HSET", KEY_META, "schema", "2", NULL);
    assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
    assert_int_equal(repo_watch(&r, mono_after_ms(now, 1001), &eb), ERR_CONFIG);
    assert_non_null(strstr(eb.text, "schema 2"));
    (void)redis_server_ask(&server, "HSET", KEY_META, "schema", "1", NULL);
    assert_int_equal(repo_watch(&r, mono_after_ms(now, 2002), &eb), ERR_OK);
    repo_close(&other);
    repo_close(&same);
    repo_close(&r);
}

/* ---- data that was lost ------------------------------------------------------------------- */

static void an_epoch_is_established_once(void **state)
{
    (void)state;
    struct repo r, other;
    struct repo_epoch seen;
    struct errbuf eb = { "" };
    open_repo(&r);
    open_repo(&other);
    (void)redis_server_ask(&server, "FLUSHALL", NULL);
    assert_int_equal(repo_epoch(&r, &seen), ERR_OK);
    assert_string_equal(seen.facts, "");
    assert_string_equal(redis_server_ask(&server, "DBSIZE", NULL),
                        "0"); /* looking writes nothing */
    assert_int_equal(repo_watch(&r, mono_now(), &eb), ERR_MISSING);
    assert_false(r.checked);
    /* one that died half-way: what it began is gone on with */
    (void)redis_server_ask(&server, "SET", "lw:{0}:epoch", RAW_ID, NULL);
    assert_int_equal(repo_epoch(&r, &seen), ERR_OK);
    assert_string_equal(seen.facts, "");
    assert_int_equal(repo_establish(&r), ERR_OK);
    assert_int_equal(repo_establish(&other), ERR_OK);
    assert_int_equal(repo_epoch(&other, &seen), ERR_OK);
    assert_string_equal(seen.facts, RAW_ID);
    assert_int_equal(seen.differing, 0);
    assert_int_equal(repo_watch(&r, mono_now(), &eb), ERR_OK); /* at once, not in a second */
    assert_true(r.checked);
    assert_string_equal(r.epoch, RAW_ID);
    (void)redis_server_ask(&server, "DEL", "lw:{0}:epoch", NULL);
    assert_int_equal(repo_epoch(&r, &seen), ERR_OK);
    assert_int_equal(seen.differing, 1);
    repo_close(&other);
    repo_close(&r);
}

/* SWAPDB: the data is gone from one moment to the next, and comes back as it was. */
static void nothing_wrong_is_said_while_the_data_is_gone(void **state)
{
    (void)state;
    static struct change known, by_id;
    struct repo r;
    struct lookup lo;
    struct errbuf eb = { "" };
    struct buf labels = BUF_INIT(100);
    open_repo(&r);
    mono_t now = mono_now();
    assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
    struct blob b = created(&r), b2 = created(&r), got, fresh = new_blob(), only_id = { .seq = 0 };
    (void)strcpy(only_id.id, b2.id);
    (void)redis_server_ask(&server, "SWAPDB", "0", "1", NULL);
    /* before anybody has looked */
    assert_int_equal(repo_create(&r, &fresh), ERR_IO);
    assert_int_equal(fresh.seq, 0);
    assert_int_equal(repo_read(&r, str_of(b.id), &got, &labels), ERR_IO);
    struct life_event seen = { .type = LIFE_UPLOADED, .etag = S("e1") };
    change_begin(&r, &known, &b, seen);
    change_begin(&r, &by_id, &only_id, seen);
    lookup_begin(&r, &lo, b.id);
    for (int i = 0; i < 3; i++) {
        mono_t deadline = mono_after_ms(mono_now(), WAIT_MS);
        repo_turn(&r, mono_now());
        while (repo_wait_ms(&r, mono_now(), 5000) > 0)
            assert_true(redis_server_look_again(deadline));
    }
    assert_int_equal(known.done + by_id.done + lo.done, 0);
    assert_string_equal(redis_server_ask(&server, "DBSIZE", NULL), "0");
    now = mono_after_ms(now, 1001);
    assert_int_equal(repo_watch(&r, now, &eb), ERR_MISSING);
    assert_false(r.checked);
    assert_int_equal(r.epoch_state, REPO_EPOCH_LOST);

    /* an epoch, but not the one that was seen */
    establish(&server);
    now = mono_after_ms(now, 1001);
    assert_int_equal(repo_watch(&r, now, &eb), ERR_MISSING);
    assert_false(r.checked);

    (void)redis_server_ask(&server, "SWAPDB", "0", "1", NULL);
    assert_int_equal(repo_watch(&r, mono_after_ms(now, 1001), &eb), ERR_OK);
    assert_true(r.checked);
    assert_int_equal(change_end(&r, &known), ERR_OK);
    assert_int_equal(change_end(&r, &by_id), ERR_OK);
    turn_until(&r, &lo.done);
    assert_int_equal(lo.e, ERR_OK);
    assert_int_equal(known.c.b.seq, 2);
    assert_int_equal(by_id.c.b.seq, 2);
    assert_int_equal(repo_create(&r, &fresh), ERR_OK);
    buf_fini(&lo.l.labels);
    buf_fini(&labels);
    repo_close(&r);
}

static void who_knows_better_stops_the_work(void **state)
{
    (void)state;
    struct repo r;
    struct errbuf eb = { "" };
    open_repo(&r);
    mono_t now = mono_now();
    assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
    repo_say_foreign(&r, true);
    assert_int_equal(repo_watch(&r, now, &eb), ERR_MISSING); /* at once */
    assert_false(r.checked);
    assert_string_equal(r.epoch, ""); /* of another, not to be waited for */
    repo_say_foreign(&r, false);
    assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
    assert_true(r.checked);
    repo_close(&r);
}

/* ---- how Redis is set --------------------------------------------------------------------- */

static int64_t metric(const char *name)
{
    for (size_t i = 0; i < repo_metrics.n; i++)
        if (strcmp(repo_metrics.rows[i].name, name) == 0)
            return atomic_load(&repo_metrics.rows[i].value);
    fail_msg("no metric %s", name);
    return -1;
}

static enum err first_look(int durability, struct errbuf *eb)
{
    struct repo r;
    open_repo(&r);
    r.durability = durability;
    enum err e = repo_watch(&r, mono_now(), eb);
    assert_int_equal(r.checked, e == ERR_OK);
    repo_close(&r);
    return e;
}

static void set(const char *name, const char *value)
{
    assert_string_equal(redis_server_ask(&server, "CONFIG", "SET", name, value, NULL), "OK");
}

static void what_is_not_durable_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *good;
        bool strict_only;
    } wrong[] = {
        { "appendfsync", "everysec", "always", true },
        { "appendfsync", "no", "always", false },
        { "appendonly", "no", "yes", false },
        { "no-appendfsync-on-rewrite", "yes", "no", true },
        { "maxmemory-policy", "allkeys-lru", "noeviction", false },
    };
    struct errbuf eb = { "" };
    assert_int_equal(first_look(REDIS_STRICT, &eb), ERR_OK);
    for (size_t i = 0; i < N_OF(wrong); i++) {
        set(wrong[i].name, wrong[i].value);
        enum err strictly = first_look(REDIS_STRICT, &eb);
        enum err standard = first_look(REDIS_STANDARD, &eb);
        set(wrong[i].name, wrong[i].good);
        assert_int_equal(strictly, ERR_CONFIG);
        assert_int_equal(standard, wrong[i].strict_only ? ERR_OK : ERR_CONFIG);
    }
}

static void what_is_changed_later_is_told(void **state)
{
    (void)state;
    struct repo r;
    struct errbuf eb = { "" };
    open_repo(&r);
    mono_t now = mono_now();
    assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
    assert_int_equal(metric("labelwire_redis_durability_ok"), 1);
    set("appendfsync", "everysec");
    enum err after_a_second = repo_watch(&r, mono_after_ms(now, 1001), &eb);
    int64_t still = metric("labelwire_redis_durability_ok");
    enum err later = repo_watch(&r, mono_after_ms(now, 31000), &eb);
    int64_t then = metric("labelwire_redis_durability_ok");
    set("appendfsync", "always");
    assert_int_equal(after_a_second, ERR_OK);
    assert_int_equal(still, 1);
    assert_int_equal(later, ERR_OK); /* what runs goes on */
    assert_int_equal(then, 0);
    assert_true(r.checked);
    assert_int_equal(repo_watch(&r, mono_after_ms(now, 62000), &eb), ERR_OK);
    assert_int_equal(metric("labelwire_redis_durability_ok"), 1);
    repo_close(&r);
}

/* As on managed servers: what cannot be known is accepted, what is known still counts. */
static void settings_that_may_not_be_seen(void **state)
{
    (void)state;
    struct errbuf eb = { "" };
    static const char *const bars[] = { "-config|get", "-info" };
    set("appendfsync", "everysec");
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", bars[0], NULL);
    enum err without_config = first_look(REDIS_STRICT, &eb);
    set("appendonly", "no");
    enum err known = first_look(REDIS_STRICT, &eb);
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", bars[1], NULL);
    enum err without_both = first_look(REDIS_STRICT, &eb);
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", "+config|get", "+info", NULL);
    set("appendonly", "yes");
    set("appendfsync", "always");
    assert_int_equal(without_config, ERR_OK);
    assert_int_equal(known, ERR_CONFIG);
    assert_int_equal(without_both, ERR_OK);
}

static int64_t used_memory(void)
{
    long long used = 0;
    const char *info = redis_server_ask(&server, "INFO", "memory", NULL);
    assert_int_equal(sscanf(strstr(info, "used_memory:"), "used_memory:%lld", &used), 1);
    return used;
}

static void limit_memory(int64_t bytes)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)bytes);
    set("maxmemory", text);
}

static void nothing_new_while_memory_runs_out(void **state)
{
    (void)state;
    struct repo r;
    struct errbuf eb = { "" };
    open_repo(&r);
    mono_t now = mono_now();
    assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
    struct blob b = created(&r), fresh = new_blob();
    limit_memory(used_memory() * 100 / 88);
    assert_int_equal(repo_watch(&r, mono_after_ms(now, 1001), &eb), ERR_OK);
    assert_int_equal(repo_create(&r, &fresh), ERR_FULL);
    assert_true(metric("labelwire_redis_memory_used_bytes") * 100 >
                metric("labelwire_redis_memory_max_bytes") * 80);
    struct life_event seen = { .type = LIFE_UPLOADED, .etag = S("e1") };
    assert_int_equal(apply(&r, &b, seen), ERR_OK);
    limit_memory(used_memory() * 100 / 77); /* better, but not much */
    assert_int_equal(repo_watch(&r, mono_after_ms(now, 2002), &eb), ERR_OK);
    assert_int_equal(repo_create(&r, &fresh), ERR_FULL);
    limit_memory(used_memory() * 2);
    assert_int_equal(repo_watch(&r, mono_after_ms(now, 3003), &eb), ERR_OK);
    assert_int_equal(repo_create(&r, &fresh), ERR_OK);
    repo_close(&r);
}

/* More than full: what can be read is read, and who it is can be told. */
static void a_full_redis_is_still_ours(void **state)
{
    (void)state;
    struct repo r;
    struct errbuf eb = { "" };
    struct blob got, fresh = new_blob();
    struct buf labels = BUF_INIT(100);
    open_repo(&r);
    struct blob b = created(&r);
    limit_memory(1);
    assert_int_equal(repo_watch(&r, mono_now(), &eb), ERR_OK);
    assert_true(r.checked);
    assert_int_equal(repo_create(&r, &fresh), ERR_FULL);
    assert_int_equal(repo_read(&r, str_of(b.id), &got, &labels), ERR_OK);
    buf_fini(&labels);
    repo_close(&r);
}

static void a_replica_is_ours_but_not_ready(void **state)
{
    (void)state;
    struct repo r;
    struct errbuf eb = { "" };
    open_repo(&r);
    mono_t now = mono_now();
    (void)redis_server_ask(&server, "REPLICAOF", "127.0.0.1", "1", NULL);
    enum err e = repo_watch(&r, now, &eb);
    (void)redis_server_ask(&server, "REPLICAOF", "NO", "ONE", NULL);
    assert_int_equal(e, ERR_FULL);
    assert_true(r.checked); /* reading goes on */
    assert_int_equal(repo_watch(&r, mono_after_ms(now, 1001), &eb), ERR_OK);
    repo_close(&r);
}

static void new_blobs_reach_a_replica(void **state)
{
    (void)state;
    static struct redis_server replica;
    static char of[32];
    static const char *const options[] = { "--replicaof", of, NULL };
    struct repo r;
    struct errbuf eb = { "" };
    open_repo(&r);
    mono_t now = mono_now(), deadline = mono_after_ms(now, WAIT_MS);
    assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
    assert_int_equal(r.replicas, 0);
    (void)snprintf(of, sizeof of, "127.0.0.1 %d", server.port);
    (void)redis_server_ask(&server, "CONFIG", "SET", "repl-diskless-sync-delay", "0", NULL);
    redis_server_start(&replica, options);
    while (r.replicas == 0) {
        now = mono_after_ms(now, 1001);
        assert_int_equal(repo_watch(&r, now, &eb), ERR_OK);
        assert_true(redis_server_look_again(deadline));
    }
    struct blob b = created(&r);
    deadline = mono_after_ms(mono_now(), WAIT_MS); /* WAIT may have been missed by a busy machine */
    while (strcmp(redis_server_ask(&replica, "EXISTS", key_of(KEY_BLOB, b.id), NULL), "1") != 0)
        assert_true(redis_server_look_again(deadline));
    redis_server_freeze(&replica);
    mono_t begin = mono_now();
    (void)created(&r);
    assert_in_range(mono_since_us(mono_now(), begin) / 1000, 40, 1000);
    redis_server_thaw(&replica);
    redis_server_free(&replica);
    repo_close(&r);
}

static void watching_while_redis_is_away(void **state)
{
    (void)state;
    struct repo r;
    struct errbuf eb = { "" };
    open_at(&r, &server, shards, QUICK_MS);
    redis_server_stop(&server, SIGKILL);
    mono_t now = mono_now();
    assert_int_equal(repo_watch(&r, now, &eb), ERR_IO);
    assert_int_equal(repo_watch(&r, now, &eb), ERR_IO);
    redis_server_restart(&server);
    mono_t deadline = mono_after_ms(mono_now(), WAIT_MS);
    while (repo_watch(&r, mono_after_ms(mono_now(), 5000), &eb) != ERR_OK) {
        r.next_check = (mono_t){ 0 };
        assert_true(redis_server_look_again(deadline));
    }
    repo_close(&r);
}

/* ---- the relay's steps -------------------------------------------------------------------- */

static void one_relay_leads_a_shard(void **state)
{
    (void)state;
    struct repo r, other;
    open_repo(&r);
    open_repo(&other);
    for (unsigned shard = 0; shard < shards; shard++) {
        assert_int_equal(repo_lead(&r, shard, S("me"), HOUR_MS), ERR_OK);
        assert_int_equal(repo_lead(&other, shard, S("you"), HOUR_MS), ERR_CONFLICT);
        assert_int_equal(repo_lead(&r, shard, S("me"), 200), ERR_OK); /* kept, and shorter now */
        assert_int_equal(repo_lead(&other, shard, S("you"), HOUR_MS), ERR_CONFLICT);
    }
    mono_t begin = mono_now(), deadline = mono_after_ms(begin, WAIT_MS);
    for (unsigned shard = 0; shard < shards; shard++) {
        while (repo_lead(&other, shard, S("you"), HOUR_MS) != ERR_OK)
            assert_true(redis_server_look_again(deadline));
        assert_int_equal(repo_lead(&r, shard, S("me"), HOUR_MS), ERR_CONFLICT);
    }
    assert_true(mono_since_us(mono_now(), begin) >= 100000);
    repo_close(&other);
    repo_close(&r);
}

static void the_leader_alone_forgets_rows(void **state)
{
    (void)state;
    struct repo r;
    struct repo_outbox_state left;
    open_repo(&r);
    struct blob b = created(&r);
    unsigned shard = keys_shard(str_of(b.id), shards);
    for (int i = 0; i < 4; i++)
        (void)created_beside(&r, b.id);
    struct rows *rows = outbox(&server, b.id);
    assert_int_equal(rows->n, 5);
    struct str second = str_of(rows->row[1].id), last = str_of(rows->row[4].id);

    assert_int_equal(repo_trim(&r, shard, S("me"), last, &left), ERR_CONFLICT); /* nobody leads */
    assert_int_equal(repo_lead(&r, shard, S("you"), HOUR_MS), ERR_OK);
    assert_int_equal(repo_trim(&r, shard, S("me"), last, &left), ERR_CONFLICT);
    assert_string_equal(redis_server_ask(&server, "XLEN", shard_key_of(KEY_OUTBOX, b.id), NULL),
                        "5");
    for (int times = 0; times < 2; times++) { /* once more is fine */
        assert_int_equal(repo_trim(&r, shard, S("you"), second, &left), ERR_OK);
        assert_int_equal(left.rows, 3);
        assert_in_range(left.oldest_ms, 0, WAIT_MS);
    }
    struct rows *rest = outbox(&server, b.id);
    assert_int_equal(rest->n, 3);
    for (size_t i = 0; i < rest->n; i++)
        assert_string_equal(rest->row[i].id, rows->row[i + 2].id);
    assert_int_equal(repo_trim(&r, shard, S("you"), S("0"), &left), ERR_OK); /* up to nothing */
    assert_int_equal(left.rows, 3);
    assert_int_equal(repo_trim(&r, shard, S("you"), last, &left), ERR_OK);
    assert_int_equal(left.rows, 0);
    assert_int_equal(left.oldest_ms, 0);
    free(rest);
    free(rows);
    repo_close(&r);
}

static void the_age_of_the_oldest_row(void **state)
{
    (void)state;
    struct repo r;
    struct repo_outbox_state left;
    char id[32];
    open_repo(&r);
    struct key outbox_key;
    unsigned shard = shards - 1;
    keys_of_shard(&outbox_key, KEY_OUTBOX, shard);
    assert_int_equal(repo_lead(&r, shard, S("me"), HOUR_MS), ERR_OK);
    assert_int_equal(repo_trim(&r, shard, S("me"), S("0"), &left), ERR_OK); /* no outbox yet */
    assert_int_equal(left.rows, 0);
    for (int i = 9; i >= 7; i--) { /* 9, 8 and 7 minutes old */
        (void)snprintf(id, sizeof id, "%lld-3", (long long)(wall_now().ms - i * 60000));
        (void)redis_server_ask(&server, "XADD", outbox_key.text, id, "t", "x", NULL);
        if (i == 9)
            assert_int_equal(repo_trim(&r, shard, S("me"), S("1-0"), &left), ERR_OK);
    }
    assert_int_equal(left.rows, 1);
    assert_in_range(left.oldest_ms, 540000, 540000 + WAIT_MS);
    (void)snprintf(id, sizeof id, "%lld", (long long)(wall_now().ms - 450000));
    assert_int_equal(repo_trim(&r, shard, S("me"), str_of(id), &left), ERR_OK);
    assert_int_equal(left.rows, 1);
    assert_in_range(left.oldest_ms, 420000, 420000 + WAIT_MS);
    repo_close(&r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, empty)
    const struct CMUnitTest tests[] = {
        T(a_new_blob_is_stored_whole),
        T(creating_twice_changes_nothing),
        T(a_full_outbox_refuses_new_work_only),
        T(creating_without_redis_fails_and_may_be_repeated),
        T(a_life_step_by_step),
        T(a_change_that_knows_the_id_only),
        T(what_does_not_exist_is_missing),
        T(records_of_other_versions),
        T(the_timeline_keeps_the_last_hundred),
        T(two_with_the_same_record),
        T(two_in_the_same_turn),
        T(the_end_of_an_attempt_that_is_over_is_dropped),
        T(a_crowd_at_one_blob),
        T(labels_are_kept_byte_by_byte),
        T(what_is_erased_leaves_nothing),
        T(every_script_may_be_repeated),
        T(all_keys_of_a_shard_share_its_tag),
        T(due_timers_are_claimed_once),
        T(a_claim_that_is_not_followed_up_falls_due_again),
        T(a_step_between_claim_and_look_shows),
        T(a_step_waits_until_redis_is_back),
        T(a_seq_that_came_again_is_told_apart),
        T(a_step_that_timed_out_is_stored_once),
        T(a_step_waits_while_redis_is_full),
        T(closing_ends_what_waits),
        T(all_agree_on_the_shards),
        T(an_epoch_is_established_once),
        T(nothing_wrong_is_said_while_the_data_is_gone),
        T(who_knows_better_stops_the_work),
        T(what_is_not_durable_is_refused),
        T(what_is_changed_later_is_told),
        T(settings_that_may_not_be_seen),
        T(nothing_new_while_memory_runs_out),
        T(a_full_redis_is_still_ours),
        T(a_replica_is_ours_but_not_ready),
        T(new_blobs_reach_a_replica),
        T(watching_while_redis_is_away),
        T(one_relay_leads_a_shard),
        T(the_leader_alone_forgets_rows),
        T(the_age_of_the_oldest_row),
    };
    log_open("repo_test", LOG_ERROR);
    shards = 1;
    int failed = cmocka_run_group_tests_name("one shard", tests, start, stop);
    shards = 4;
    return failed + cmocka_run_group_tests_name("four shards", tests, start, stop);
}
