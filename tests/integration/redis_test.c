/* Scripts over one connection, against a real server: many callers, a server that forgets, dies,
 * freezes, is full or wants a password. */
#include "net/redis.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "redis_server.h"

#define TIMEOUT_MS 250   /* as in the services */
#define PATIENT_MS 5000  /* where a time-out is not the point: a busy machine is no fault */
#define RECOVER_MS 10000 /* for what must happen, soon or later */

enum script { ECHO, APPEND, MANY, NO_WORD, WRONG_TYPE, REFUSE, MIXED };

static const struct redis_script scripts[] = {
    [ECHO] = { "echo", "return ARGV[1]" },
    [APPEND] = { "append", "return redis.call('RPUSH', KEYS[1], ARGV[1])" },
    [MANY] = { "many", "return {#KEYS, #ARGV, KEYS[#KEYS], ARGV[#ARGV]}" },
    [NO_WORD] = { "no_word", "return nothing.here" },
    [WRONG_TYPE] = { "wrong_type", "redis.call('SET', KEYS[1], 'x') return "
                                   "redis.call('RPUSH', KEYS[1], 'y')" },
    [REFUSE] = { "refuse", "return redis.error_reply('MINE no')" },
    [MIXED] = { "mixed", "return {-7, '42', 'x', {}, {'a', {1}}, false, "
                         "redis.call('SET', KEYS[1], '1'), '-9223372036854775808', '1x', ''}" },
};

/* ---- a call that keeps its answer --------------------------------------------------------- */

struct call {
    struct redis_op op;
    enum err e;
    int done, order;
    char text[64], arg[64];
    int64_t number;
    size_t items;
};

static int calls_done; /* of the calls of one thread */

static void keep(struct redis_op *op, enum err e, const struct redis_val *v)
{
    struct call *c = (struct call *)((char *)op - offsetof(struct call, op));
    c->e = e;
    c->done++;
    c->number = redis_int(v);
    c->items = redis_len(v);
    if (str_copy(c->text, sizeof c->text, redis_text(v)) != ERR_OK)
        (void)strcpy(c->text, "too long");
}

static void keep_order(struct redis_op *op, enum err e, const struct redis_val *v)
{
    keep(op, e, v);
    ((struct call *)((char *)op - offsetof(struct call, op)))->order = calls_done++;
}

static void call_init(struct call *c, unsigned script, const char *key, const char *arg)
{
    memset(c, 0, sizeof *c);
    (void)snprintf(c->arg, sizeof c->arg, "%s", arg);
    c->op.script = script;
    c->op.done = keep;
    c->op.nkeys = key != NULL;
    c->op.nargs = 1;
    c->op.key[0] = str_of(key);
    c->op.arg[0] = str_of(c->arg);
}

static enum err await(struct redis *r, struct call *c, enum script script, const char *key,
                      const char *arg)
{
    call_init(c, script, key, arg);
    redis_await(r, &c->op);
    assert_int_equal(c->done, 1);
    return c->e;
}

static struct redis *client_at(const char *url, int64_t timeout_ms)
{
    struct redis *r;
    char text[300];
    struct errbuf eb = { "" };
    (void)snprintf(text, sizeof text, "%s", url);
    const struct redis_conf conf = { .url = text, .timeout_ms = timeout_ms };
    if (redis_open(&r, &conf, scripts, N_OF(scripts), &eb) != ERR_OK)
        fail_msg("%s: %s", url, eb.text);
    return r;
}

static int64_t metric(const char *name)
{
    static const struct metric_set *const sets[] = { &redis_metrics, &redis_link_metrics };
    for (size_t s = 0; s < N_OF(sets); s++)
        for (size_t i = 0; i < sets[s]->n; i++)
            if (strcmp(sets[s]->rows[i].name, name) == 0)
                return atomic_load(&sets[s]->rows[i].value);
    fail_msg("no metric %s", name);
    return -1;
}

static int64_t ms_since(mono_t t)
{
    return mono_since_us(mono_now(), t) / 1000;
}

/* Calls until it works; the value that comes back must be the one of this very call. */
static void recover(struct redis *r)
{
    mono_t deadline = mono_after_ms(mono_now(), RECOVER_MS);
    for (int i = 0;; i++) {
        struct call c;
        char value[32];
        (void)snprintf(value, sizeof value, "again %d", i);
        if (await(r, &c, ECHO, NULL, value) == ERR_OK) {
            assert_string_equal(c.text, value);
            assert_true(redis_up(r));
            return;
        }
        assert_true(c.e == ERR_IO || c.e == ERR_TIMEOUT || c.e == ERR_FULL);
        assert_true(redis_server_look_again(deadline));
    }
}

/* ---- fixture ------------------------------------------------------------------------------ */

static struct redis_server server;

static int start(void **state)
{
    (void)state;
    redis_server_start(&server, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_free(&server);
    return 0;
}

/* A new process, so that no test begins with what another one set, or left when it failed. */
static int empty(void **state)
{
    static bool touched;
    (void)state;
    if (touched) {
        redis_server_stop(&server, SIGKILL);
        redis_server_restart(&server);
    }
    touched = true;
    return 0;
}

/* ---- many callers ------------------------------------------------------------------------- */

#define THREADS 24
#define OPS     150

struct caller {
    struct redis *r;
    pthread_barrier_t *begin;
    pthread_t thread;
    int number, wrong;
};

static void *call_often(void *arg)
{
    struct caller *me = arg;
    (void)pthread_barrier_wait(me->begin);
    for (int i = 0; i < OPS; i++) {
        struct call c;
        char value[48];
        (void)snprintf(value, sizeof value, "%d of thread %d", i, me->number);
        call_init(&c, ECHO, NULL, value);
        redis_await(me->r, &c.op);
        me->wrong += c.done != 1 || c.e != ERR_OK || strcmp(c.text, value) != 0;
    }
    return NULL;
}

static int64_t call_from_threads(struct redis *r)
{
    struct caller callers[THREADS];
    pthread_barrier_t begin;
    assert_int_equal(pthread_barrier_init(&begin, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){ .r = r, .begin = &begin, .number = i };
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    int64_t wrong = 0;
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        wrong += callers[i].wrong;
    }
    pthread_barrier_destroy(&begin);
    return wrong;
}

static void many_threads_share_round_trips(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    int64_t ops = metric("labelwire_redis_ops_total");
    int64_t turns = metric("labelwire_redis_turns_total");
    int64_t connects = metric("labelwire_redis_connects_total");
    assert_int_equal(call_from_threads(r), 0);
    ops = metric("labelwire_redis_ops_total") - ops;
    turns = metric("labelwire_redis_turns_total") - turns;
    print_message("%lld calls in %lld round trips\n", (long long)ops, (long long)turns);
    assert_int_equal(ops, THREADS * OPS);
    assert_true(turns < ops);
    assert_int_equal(metric("labelwire_redis_connects_total") - connects, 1);
    redis_close(r);
}

static void calls_from_threads_that_all_fail(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, TIMEOUT_MS);
    redis_server_stop(&server, SIGKILL);
    assert_int_equal(call_from_threads(r), THREADS * OPS); /* told so, nobody hangs */
    redis_server_restart(&server);
    recover(r);
    assert_int_equal(call_from_threads(r), 0);
    redis_close(r);
}

/* ---- order -------------------------------------------------------------------------------- */

static void calls_run_and_end_in_order(void **state)
{
    (void)state;
    enum { N = 1200 }; /* more than one turn takes */
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call *calls = calloc(N, sizeof *calls);
    char number[16];
    assert_non_null(calls);
    for (int i = 0; i < N; i++) {
        (void)snprintf(number, sizeof number, "%d", i);
        call_init(&calls[i], APPEND, "list", number);
        calls[i].op.done = keep_order;
        redis_submit(r, &calls[i].op);
    }
    calls_done = 0;
    int turns = 0;
    for (; redis_pending(r); turns++)
        redis_turn(r);
    assert_true(turns > 1 && turns < 10);
    for (int i = 0; i < N; i++) {
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].e, ERR_OK);
        assert_int_equal(calls[i].order, i);
        assert_int_equal(calls[i].number, i + 1); /* length of the list then */
        (void)snprintf(number, sizeof number, "%d", i);
        if (i % 100 == 0)
            assert_string_equal(redis_server_ask(&server, "LINDEX", "list", number, NULL), number);
    }
    free(calls);
    redis_close(r);
}

static struct redis *chain_client;
static struct call second;

static void submit_second(struct redis_op *op, enum err e, const struct redis_val *v)
{
    keep(op, e, v);
    redis_submit(chain_client, &second.op);
}

static void what_done_submits_waits_for_the_next_turn(void **state)
{
    (void)state;
    struct call first;
    chain_client = client_at(server.url, PATIENT_MS);
    call_init(&first, ECHO, NULL, "first");
    call_init(&second, ECHO, NULL, "second");
    first.op.done = submit_second;
    assert_false(redis_pending(chain_client));
    redis_submit(chain_client, &first.op);
    assert_true(redis_pending(chain_client));
    redis_turn(chain_client);
    assert_string_equal(first.text, "first");
    assert_int_equal(second.done, 0);
    assert_true(redis_pending(chain_client));
    redis_turn(chain_client);
    assert_string_equal(second.text, "second");
    assert_false(redis_pending(chain_client));
    redis_turn(chain_client); /* nothing to do */
    redis_close(chain_client);
}

static void a_call_past_its_deadline_is_not_sent(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call late, other, early;
    call_init(&late, APPEND, "list", "late");
    call_init(&other, APPEND, "list", "other");
    call_init(&early, APPEND, "list", "early");
    late.op.deadline = mono_now();
    early.op.deadline = mono_after_ms(mono_now(), PATIENT_MS);
    redis_submit(r, &late.op);
    redis_submit(r, &other.op);
    redis_submit(r, &early.op);
    redis_turn(r);
    assert_int_equal(late.e, ERR_TIMEOUT);
    assert_int_equal(late.done, 1);
    assert_int_equal(other.e, ERR_OK);
    assert_int_equal(early.e, ERR_OK);
    assert_string_equal(redis_server_ask(&server, "LRANGE", "list", "0", "-1", NULL),
                        "[other,early]");
    redis_close(r);
}

/* ---- what goes in and what comes out ------------------------------------------------------ */

static void the_most_keys_and_arguments(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call c;
    char keys[REDIS_KEYS_MAX][8];
    call_init(&c, MANY, NULL, "");
    c.op.nkeys = REDIS_KEYS_MAX;
    c.op.nargs = REDIS_ARGS_MAX;
    for (unsigned i = 0; i < REDIS_KEYS_MAX; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%u", i);
        c.op.key[i] = str_of(keys[i]);
    }
    for (unsigned i = 0; i < REDIS_ARGS_MAX; i++)
        c.op.arg[i] = i % 2 == 0 ? STR_NONE : S("x"); /* an absent text is an empty one */
    redis_await(r, &c.op);
    assert_int_equal(c.e, ERR_OK);
    assert_int_equal(c.items, 4);
    redis_close(r);
}

static struct buf bytes_back;

static void keep_bytes(struct redis_op *op, enum err e, const struct redis_val *v)
{
    (void)op;
    assert_int_equal(e, ERR_OK);
    buf_put(&bytes_back, redis_text(v));
}

static void bytes_are_bytes(void **state)
{
    (void)state;
    enum { N = 300000 };
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct buf sent = BUF_INIT(N);
    struct redis_op op = { .script = ECHO, .nargs = 1, .done = keep_bytes };
    for (int i = 0; i < N; i++)
        buf_putc(&sent, (char)(i * 7 % 256));
    bytes_back = BUF_INIT(N);
    op.arg[0] = buf_str(&sent);
    redis_await(r, &op);
    assert_true(str_eq(buf_str(&bytes_back), buf_str(&sent)));
    buf_fini(&bytes_back);
    buf_fini(&sent);
    redis_close(r);
}

static void read_mixed(struct redis_op *op, enum err e, const struct redis_val *v)
{
    keep(op, e, v);
    assert_int_equal(redis_type(v), REDIS_LIST);
    assert_int_equal(redis_len(v), 10);
    assert_int_equal(redis_type(redis_at(v, 0)), REDIS_INT);
    assert_int_equal(redis_int(redis_at(v, 0)), -7);
    assert_null(redis_text(redis_at(v, 0)).p); /* not a text */
    assert_int_equal(redis_type(redis_at(v, 1)), REDIS_TEXT);
    assert_int_equal(redis_int(redis_at(v, 1)), 42);
    assert_int_equal(redis_int(redis_at(v, 2)), 0);
    assert_int_equal(redis_type(redis_at(v, 3)), REDIS_LIST);
    assert_int_equal(redis_len(redis_at(v, 3)), 0);
    const struct redis_val *inner = redis_at(redis_at(v, 4), 1);
    assert_int_equal(redis_int(redis_at(inner, 0)), 1);
    assert_int_equal(redis_type(redis_at(v, 5)), REDIS_NIL);
    assert_true(str_eq(redis_text(redis_at(v, 6)), S("OK")));
    assert_true(redis_int(redis_at(v, 7)) == INT64_MIN);
    assert_int_equal(redis_int(redis_at(v, 8)), 0);
    assert_non_null(redis_text(redis_at(v, 9)).p);
    assert_int_equal(redis_text(redis_at(v, 9)).n, 0);
    assert_int_equal(redis_type(redis_at(v, 10)), REDIS_NIL); /* past the end */
    assert_int_equal(redis_type(redis_at(redis_at(redis_at(v, 99), 3), 1)), REDIS_NIL);
    assert_int_equal(redis_len(redis_at(v, 1)), 0);
}

static void reading_any_answer(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call c;
    call_init(&c, MIXED, "key", "");
    c.op.done = read_mixed;
    redis_await(r, &c.op);
    assert_int_equal(c.done, 1);
    redis_close(r);
}

/* ---- a server that forgot the scripts ----------------------------------------------------- */

static void a_batch(struct redis *r, struct call *calls, size_t n)
{
    char number[24];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(number, sizeof number, "%zu", i);
        call_init(&calls[i], i % 2 == 0 ? APPEND : ECHO, i % 2 == 0 ? "list" : NULL, number);
        redis_submit(r, &calls[i].op);
    }
    redis_turn(r);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].e, ERR_OK);
        if (i % 2 == 1)
            assert_int_equal(calls[i].number, i);
    }
}

static void forgotten_scripts_are_loaded_again(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call calls[6];
    int64_t connects = metric("labelwire_redis_connects_total");
    a_batch(r, calls, N_OF(calls));
    (void)redis_server_ask(&server, "SCRIPT", "FLUSH", NULL);
    a_batch(r, calls, N_OF(calls));
    (void)redis_server_ask(&server, "SCRIPT", "FLUSH", NULL);
    assert_int_equal(await(r, &calls[0], ECHO, NULL, "x"), ERR_OK);
    assert_string_equal(calls[0].text, "x");
    /* each ran once, and in order */
    assert_string_equal(redis_server_ask(&server, "LRANGE", "list", "0", "-1", NULL),
                        "[0,2,4,0,2,4]");
    assert_int_equal(metric("labelwire_redis_connects_total") - connects, 1);
    redis_close(r);
}

static void scripts_that_cannot_be_loaded_again(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call calls[4];
    a_batch(r, calls, 2);
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", "-script|load", NULL);
    (void)redis_server_ask(&server, "SCRIPT", "FLUSH", NULL);
    for (size_t i = 0; i < N_OF(calls); i++) {
        call_init(&calls[i], ECHO, NULL, "x");
        redis_submit(r, &calls[i].op);
    }
    redis_turn(r);
    for (size_t i = 0; i < N_OF(calls); i++) {
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].e, ERR_IO);
    }
    assert_false(redis_up(r));
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", "+script|load", NULL);
    recover(r);
    redis_close(r);
}

/* ---- a server that goes away -------------------------------------------------------------- */

static void a_server_that_is_down_is_said_so_quickly(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, TIMEOUT_MS);
    struct call c;
    assert_int_equal(await(r, &c, ECHO, NULL, "x"), ERR_OK);
    assert_true(redis_up(r));
    redis_server_stop(&server, SIGKILL);
    int slow = 0;
    for (int i = 0; i < 50; i++) {
        mono_t begin = mono_now();
        assert_int_equal(await(r, &c, ECHO, NULL, "x"), ERR_IO);
        slow += ms_since(begin) >= 300;
        assert_false(redis_up(r));
    }
    assert_true(slow < 5); /* a busy machine is no fault, but that is not one by one */
    assert_int_equal(metric("labelwire_redis_up"), 0);
    redis_server_restart(&server);
    recover(r);                                        /* its scripts are new to the server */
    assert_int_equal(metric("labelwire_redis_up"), 2); /* ours, and that of redis_server.c */
    redis_close(r);
}

static void a_server_that_was_never_there(void **state)
{
    (void)state;
    redis_server_stop(&server, SIGTERM);
    struct redis *r = client_at(server.url, TIMEOUT_MS);
    struct call c;
    mono_t begin = mono_now();
    assert_int_equal(await(r, &c, ECHO, NULL, "x"), ERR_IO);
    assert_int_equal(await(r, &c, ECHO, NULL, "x"), ERR_IO);
    assert_true(ms_since(begin) < 300);
    assert_false(redis_up(r));
    redis_server_restart(&server);
    recover(r);
    redis_close(r);
}

static void a_server_that_freezes(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, TIMEOUT_MS);
    struct call c, behind[3];
    assert_int_equal(await(r, &c, ECHO, NULL, "before"), ERR_OK);
    redis_server_freeze(&server);
    for (size_t i = 0; i < N_OF(behind); i++) {
        call_init(&behind[i], APPEND, "list", "sent");
        redis_submit(r, &behind[i].op);
    }
    mono_t begin = mono_now();
    redis_turn(r);
    assert_in_range(ms_since(begin), TIMEOUT_MS - 50, 3 * TIMEOUT_MS);
    for (size_t i = 0; i < N_OF(behind); i++) {
        assert_int_equal(behind[i].done, 1);
        assert_int_equal(behind[i].e, ERR_TIMEOUT); /* they may yet run */
    }
    for (int i = 0; i < 5; i++) { /* the kernel takes the connection, nobody takes the scripts */
        begin = mono_now();
        assert_int_equal(await(r, &c, ECHO, NULL, "meanwhile"), ERR_IO);
        assert_true(ms_since(begin) < 3 * TIMEOUT_MS);
    }
    redis_server_thaw(&server);
    recover(r);
    /* The old answers arrive now, on a connection that nobody reads any more. */
    for (int i = 0; i < 200; i++) {
        char value[32];
        (void)snprintf(value, sizeof value, "after %d", i);
        assert_int_equal(await(r, &c, ECHO, NULL, value), ERR_OK);
        assert_string_equal(c.text, value);
    }
    redis_close(r);
}

static const struct redis_script slow[] = {
    { "echo", "return ARGV[1]" },
    /* TIME stands still within a script of Redis 8, which has os.clock(); Redis 7.0 has no os. */
    { "spin", "local has_os, os = pcall(function() return os end) "
              "local function now() "
              "  if has_os then return os.clock() * 1000 end "
              "  local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 "
              "end "
              "local stop = now() + ARGV[1] repeat until now() > stop return 'slow'" },
};

static struct redis *slow_client(void)
{
    struct redis *r;
    struct call c;
    const struct redis_conf conf = { .url = server.url, .timeout_ms = TIMEOUT_MS };
    assert_int_equal(redis_open(&r, &conf, slow, N_OF(slow), NULL), ERR_OK);
    assert_int_equal(await(r, &c, ECHO, NULL, "x"), ERR_OK); /* connected, scripts loaded */
    return r;
}

/* One slow answer among quick ones: those before it are good, those behind it unknown. */
static void a_time_out_in_the_middle_of_a_batch(void **state)
{
    (void)state;
    struct redis *r = slow_client();
    struct call before, spin, behind;
    call_init(&before, ECHO, NULL, "before");
    call_init(&spin, ECHO, NULL, "700");
    call_init(&behind, ECHO, NULL, "behind");
    spin.op.script = 1;
    redis_submit(r, &before.op);
    redis_submit(r, &spin.op);
    redis_submit(r, &behind.op);
    redis_turn(r);
    assert_int_equal(spin.e, ERR_TIMEOUT);
    assert_int_equal(behind.e, ERR_TIMEOUT);
    assert_true(before.e == ERR_OK ? strcmp(before.text, "before") == 0
                                   : before.e == ERR_TIMEOUT); /* the server may keep it back */
    assert_int_equal(before.done + spin.done + behind.done, 3);
    recover(r);
    redis_close(r);
}

/* Every answer comes in time, but all of them together do not: the turn ends all the same. */
static void a_turn_ends_although_answers_keep_coming(void **state)
{
    (void)state;
    enum { N = 12, EACH_MS = 120 };
    struct redis *r = slow_client();
    struct buf ballast = BUF_INIT(65536); /* so that the server answers one by one */
    static struct call calls[N];
    while (!buf_failed(&ballast))
        buf_putc(&ballast, 'x');
    for (int i = 0; i < N; i++) {
        call_init(&calls[i], ECHO, NULL, "120");
        calls[i].op.script = 1;
        calls[i].op.nargs = 2;
        calls[i].op.arg[1] = buf_str(&ballast);
        redis_submit(r, &calls[i].op);
    }
    mono_t begin = mono_now();
    redis_turn(r);
    assert_in_range(ms_since(begin), TIMEOUT_MS - 50, N * EACH_MS * 2 / 3);
    assert_int_equal(calls[N - 1].e, ERR_TIMEOUT);
    for (int i = 0; i < N; i++) {
        assert_int_equal(calls[i].done, 1);
        if (i > 0 && calls[i - 1].e == ERR_TIMEOUT) /* and those behind it neither */
            assert_int_equal(calls[i].e, ERR_TIMEOUT);
    }
    buf_fini(&ballast);
    recover(r);
    redis_close(r);
}

/* ---- a server that says no ---------------------------------------------------------------- */

static void a_full_server_is_for_later(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call c;
    assert_int_equal(await(r, &c, APPEND, "list", "x"), ERR_OK);
    (void)redis_server_ask(&server, "CONFIG", "SET", "maxmemory", "1", NULL);
    assert_int_equal(await(r, &c, APPEND, "list", "y"), ERR_FULL);
    assert_int_equal(await(r, &c, ECHO, NULL, "reading goes on"), ERR_OK);
    (void)redis_server_ask(&server, "CONFIG", "SET", "maxmemory", "0", NULL);
    assert_int_equal(await(r, &c, APPEND, "list", "z"), ERR_OK);
    assert_string_equal(redis_server_ask(&server, "LRANGE", "list", "0", "-1", NULL), "[x,z]");
    redis_close(r);
}

static void a_replica_is_for_later(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call c;
    (void)redis_server_ask(&server, "REPLICAOF", "127.0.0.1", "1", NULL);
    assert_int_equal(await(r, &c, APPEND, "list", "x"), ERR_FULL);
    (void)redis_server_ask(&server, "REPLICAOF", "NO", "ONE", NULL);
    (void)redis_server_ask(&server, "CONFIG", "SET", "min-replicas-to-write", "1", NULL);
    assert_int_equal(await(r, &c, APPEND, "list", "y"), ERR_FULL);
    (void)redis_server_ask(&server, "CONFIG", "SET", "min-replicas-to-write", "0", NULL);
    assert_int_equal(await(r, &c, APPEND, "list", "z"), ERR_OK);
    assert_int_equal(c.number, 1);
    redis_close(r);
}

static void a_script_that_fails_concerns_nobody_else(void **state)
{
    (void)state;
    static const enum script failing[] = { NO_WORD, WRONG_TYPE, REFUSE };
    struct redis *r = client_at(server.url, PATIENT_MS);
    int64_t errors = metric("labelwire_redis_errors_total");
    struct call before, c, behind;
    for (size_t i = 0; i < N_OF(failing); i++) {
        call_init(&before, ECHO, NULL, "before");
        call_init(&c, failing[i], "key", "");
        call_init(&behind, ECHO, NULL, "behind");
        redis_submit(r, &before.op);
        redis_submit(r, &c.op);
        redis_submit(r, &behind.op);
        redis_turn(r);
        assert_int_equal(c.e, ERR_REMOTE);
        assert_int_equal(c.done, 1);
        assert_string_equal(before.text, "before");
        assert_string_equal(behind.text, "behind");
    }
    assert_true(redis_up(r));
    assert_int_equal(metric("labelwire_redis_errors_total") - errors, N_OF(failing));
    redis_close(r);
}

/* ---- plain commands among scripts --------------------------------------------------------- */

static void call_plain(struct call *c, const char *command, const char *key, const char *arg)
{
    call_init(c, REDIS_PLAIN, NULL, "");
    c->op.nargs = 3;
    c->op.arg[0] = str_of(command);
    c->op.arg[1] = str_of(key);
    c->op.arg[2] = str_of(arg);
}

static void a_plain_command_in_a_turn(void **state)
{
    (void)state;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call before, c, behind;
    call_init(&before, APPEND, "list", "x");
    call_plain(&c, "CONFIG", "GET", "appendfsync");
    call_init(&behind, APPEND, "list", "y");
    redis_submit(r, &before.op);
    redis_submit(r, &c.op);
    redis_submit(r, &behind.op);
    redis_turn(r);
    assert_int_equal(c.e, ERR_OK);
    assert_int_equal(c.items, 2);
    assert_int_equal(before.number, 1);
    assert_int_equal(behind.number, 2);
    call_plain(&c, "NOTHING", "of", "this");
    redis_await(r, &c.op);
    assert_int_equal(c.e, ERR_DENIED);
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", "-config|get", NULL);
    call_plain(&c, "CONFIG", "GET", "appendfsync");
    redis_await(r, &c.op);
    assert_int_equal(c.e, ERR_DENIED);
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", "+config|get", NULL);
    call_plain(&c, "LPUSH", "list", "");
    c.op.nargs = 2;
    redis_await(r, &c.op);
    assert_int_equal(c.e, ERR_REMOTE);
    redis_close(r);
}

/* ---- a replica ---------------------------------------------------------------------------- */

static void wait_online(struct redis_server *primary)
{
    mono_t deadline = mono_after_ms(mono_now(), RECOVER_MS);
    while (strstr(redis_server_ask(primary, "INFO", "replication", NULL), "state=online") == NULL)
        assert_true(redis_server_look_again(deadline));
}

static void start_replica(struct redis_server *replica)
{
    static char of[32];
    static const char *const options[] = { "--replicaof", of, NULL };
    (void)snprintf(of, sizeof of, "127.0.0.1 %d", server.port);
    (void)redis_server_ask(&server, "CONFIG", "SET", "repl-diskless-sync-delay", "0", NULL);
    redis_server_start(replica, options);
    wait_online(&server);
}

static void what_is_acknowledged_has_reached_a_replica(void **state)
{
    (void)state;
    static struct redis_server replica;
    struct redis *r = client_at(server.url, PATIENT_MS);
    struct call c, beside;
    start_replica(&replica);
    int64_t missed = metric("labelwire_redis_wait_missed_total");
    for (int i = 1; i <= 100; i++) {
        char n[16];
        call_init(&c, APPEND, "list", "x");
        call_init(&beside, ECHO, NULL, "beside");
        c.op.replicate = true;
        redis_submit(r, &c.op);
        redis_submit(r, &beside.op);
        redis_turn(r);
        assert_int_equal(c.e, ERR_OK);
        assert_int_equal(c.number, i);
        assert_string_equal(beside.text, "beside");
        (void)snprintf(n, sizeof n, "%d", i);
        if (metric("labelwire_redis_wait_missed_total") == missed) /* a busy machine is no fault */
            assert_string_equal(redis_server_ask(&replica, "LLEN", "list", NULL), n);
    }
    assert_true(metric("labelwire_redis_wait_missed_total") - missed < 50);
    (void)redis_server_ask(&server, "SCRIPT", "FLUSH", NULL); /* they are loaded and sent again */
    call_init(&c, APPEND, "list", "x");
    c.op.replicate = true;
    redis_await(r, &c.op);
    assert_int_equal(c.number, 101);
    assert_int_equal(c.done, 1);
    redis_server_free(&replica);
    redis_close(r);
}

static void a_replica_that_freezes_holds_nobody_up(void **state)
{
    (void)state;
    static struct redis_server replica;
    struct redis *r = client_at(server.url, TIMEOUT_MS);
    struct call calls[3];
    start_replica(&replica);
    redis_server_freeze(&replica);
    int64_t missed = metric("labelwire_redis_wait_missed_total");
    mono_t begin = mono_now();
    for (size_t i = 0; i < N_OF(calls); i++) {
        call_init(&calls[i], APPEND, "list", "x");
        calls[i].op.replicate = true;
        redis_submit(r, &calls[i].op);
    }
    redis_turn(r);
    assert_true(ms_since(begin) < 1000);
    for (size_t i = 0; i < N_OF(calls); i++) {
        assert_int_equal(calls[i].e, ERR_OK);
        assert_int_equal(calls[i].number, i + 1);
        assert_int_equal(calls[i].done, 1);
    }
    assert_int_equal(metric("labelwire_redis_wait_missed_total"), missed + 1); /* one for all */
    assert_true(redis_up(r));
    redis_server_thaw(&replica);
    redis_server_free(&replica);
    redis_close(r);
}

/* It had answered, but nobody knows whether that will survive it. */
static void a_primary_that_dies_before_a_replica_has_it(void **state)
{
    (void)state;
    static struct redis_server replica;
    struct redis *r = slow_client();
    struct call c, spin;
    start_replica(&replica);
    redis_server_freeze(&replica);
    call_init(&c, ECHO, NULL, "x");
    c.op.replicate = true;
    call_init(&spin, ECHO, NULL, "700");
    spin.op.script = 1;
    redis_submit(r, &c.op);
    redis_submit(r, &spin.op);
    redis_turn(r);
    assert_int_equal(c.e, ERR_TIMEOUT);
    assert_int_equal(spin.e, ERR_TIMEOUT);
    assert_int_equal(c.done + spin.done, 2);
    redis_server_free(&replica);
    recover(r);
    redis_close(r);
}

static void closing_ends_what_was_not_sent(void **state)
{
    (void)state;
    enum { N = 600 };
    struct redis *r = client_at(server.url, PATIENT_MS);
    static struct call calls[N];
    for (int i = 0; i < N; i++) {
        call_init(&calls[i], APPEND, "list", "x");
        redis_submit(r, &calls[i].op);
    }
    redis_close(r);
    for (int i = 0; i < N; i++) {
        assert_int_equal(calls[i].e, ERR_CLOSED);
        assert_int_equal(calls[i].done, 1);
    }
    assert_string_equal(redis_server_ask(&server, "EXISTS", "list", NULL), "0");
    redis_close(NULL);
}

/* ---- logging in --------------------------------------------------------------------------- */

static void url_for(char dst[300], const struct redis_server *s, const char *login, const char *db)
{
    (void)snprintf(dst, 300, "redis://%s127.0.0.1:%d%s", login, s->port, db);
}

static enum err call_at(const struct redis_server *s, const char *login, const char *db)
{
    char url[300];
    struct call c;
    url_for(url, s, login, db);
    struct redis *r = client_at(url, PATIENT_MS);
    enum err e = await(r, &c, APPEND, "who", login);
    assert_int_equal(redis_up(r), e == ERR_OK);
    redis_close(r);
    return e;
}

static void users_and_passwords(void **state)
{
    (void)state;
    /* the password of the default user: p@ss:w/rd% */
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", "resetpass", ">p@ss:w/rd%", NULL);
    (void)redis_server_ask(&server, "ACL", "SETUSER", "al@ice:%41", "on", ">s e\tcret", "~*",
                           "+@all", NULL);
    assert_int_equal(call_at(&server, ":p%40ss%3Aw%2Frd%25@", ""), ERR_OK);
    assert_int_equal(call_at(&server, "default:p%40ss%3aw%2frd%25@", "/0"), ERR_OK);
    assert_int_equal(call_at(&server, "al%40ice%3A%2541:s%20e%09cret@", "/0"), ERR_OK);
    assert_int_equal(call_at(&server, "", ""), ERR_IO);
    assert_int_equal(call_at(&server, ":wrong@", ""), ERR_IO);
    assert_int_equal(call_at(&server, "nobody:p%40ss%3Aw%2Frd%25@", ""), ERR_IO);
    assert_int_equal(call_at(&server, "al%40ice%3A%2541:@", ""), ERR_IO);
    (void)redis_server_ask(&server, "ACL", "SETUSER", "default", "nopass", NULL);
    (void)redis_server_ask(&server, "ACL", "DELUSER", "al@ice:%41", NULL);
    assert_string_equal(redis_server_ask(&server, "LLEN", "who", NULL), "3");
}

static void databases(void **state)
{
    (void)state;
    assert_int_equal(call_at(&server, "", "/3"), ERR_OK);
    assert_int_equal(call_at(&server, "", "/"), ERR_OK);
    assert_int_equal(call_at(&server, "", "/999"), ERR_IO); /* this server has 16 */
    assert_string_equal(redis_server_ask(&server, "LLEN", "who", NULL), "1");
    (void)redis_server_ask(&server, "SELECT", "3", NULL);
    assert_string_equal(redis_server_ask(&server, "LLEN", "who", NULL), "1");
    (void)redis_server_ask(&server, "SELECT", "0", NULL);
}

static const struct {
    const char *url;
    bool good;
} urls[] = {
    { "redis://127.0.0.1:6379/0", true },
    { "redis://redis", true },
    { "redis://redis/", true },
    { "redis://redis/15", true },
    { "redis://redis.internal_net-1:65535/999", true },
    { "redis://:secret@redis:6379/0", true },
    { "redis://user:secret@redis", true },
    { "redis://us%40er:se%3Acret@redis", true },
    { "", false },
    { "redis", false },
    { "redis:", false },
    { "redis://", false },
    { "redis:///0", false },
    { "redis://:6379", false },
    { "rediss://redis", false }, /* TLS is a matter of the client library's version */
    { "REDIS://redis", false },
    { "http://redis", false },
    { " redis://redis", false },
    { "redis://redis ", false },
    { "redis://re dis", false },
    { "redis://redis\n", false },
    { "redis://redis:0", false },
    { "redis://redis:65536", false },
    { "redis://redis:-1", false },
    { "redis://redis:x", false },
    { "redis://redis:6379:6379", false },
    { "redis://redis:18446744073709551617", false },
    { "redis://redis/-1", false },
    { "redis://redis/x", false },
    { "redis://redis/0/1", false },
    { "redis://redis/1000", false },
    { "redis://redis/4294967296", false },
    { "redis://redis/0?timeout=1", false },
    { "redis://redis/0#x", false },
    { "redis://a@b@redis", false }, /* '@' must be encoded */
    { "redis://user:p@ss@redis", false },
    { "redis://user:100%@redis", false }, /* and '%' */
    { "redis://user:%zz@redis", false },
    { "redis://us%er:secret@redis", false },
    { "redis://user:a%00b@redis", false },
    { "redis://[::1]:6379", false },
};

static void urls_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(urls); i++) {
        char url[128];
        struct errbuf eb = { "" }, eb_open = { "" };
        struct redis *r = NULL;
        (void)snprintf(url, sizeof url, "%s", urls[i].url);
        const struct redis_conf conf = { .url = url, .timeout_ms = TIMEOUT_MS };
        bool good = redis_conf_keys[0].check(str_of(url), &eb) == ERR_OK;
        bool opened = redis_open(&r, &conf, scripts, N_OF(scripts), &eb_open) == ERR_OK;
        if (good != urls[i].good || opened != urls[i].good)
            fail_msg("row %zu (%s): %d, %d", i, url, good, opened);
        assert_int_equal(strstr(eb.text, "redis://") != NULL, !good);
        assert_null(strstr(eb.text, "secret")); /* what it wants, never what it got */
        redis_close(r);
    }
    char text[400];
    memset(text, 'a', sizeof text);
    memcpy(text, "redis://", 8);
    text[sizeof text - 1] = '\0';
    assert_int_not_equal(redis_conf_keys[0].check(str_of(text), NULL), ERR_OK);
    memcpy(text, "redis://u:", 10);
    memcpy(text + sizeof text - 10, "@redis/0", 9);
    assert_int_not_equal(redis_conf_keys[0].check(str_of(text), NULL), ERR_OK);
}

/* ---- plain commands ----------------------------------------------------------------------- */

struct plain {
    struct redis *r;
    int64_t block_ms, took_ms;
    enum err e;
    int done;
    enum redis_type type;
    char row[64];
};

static void keep_plain(void *arg, const struct redis_val *v)
{
    struct plain *p = arg;
    p->done++;
    p->type = redis_type(v);
    const struct redis_val *rows = redis_at(redis_at(v, 0), 1);
    (void)!str_copy(p->row, sizeof p->row, redis_text(redis_at(redis_at(redis_at(rows, 0), 1), 1)));
}

static void *read_stream(void *arg)
{
    struct plain *p = arg;
    char block[24];
    (void)snprintf(block, sizeof block, "%lld", (long long)p->block_ms);
    const struct str argv[] = { S("XREAD"),   S("BLOCK"), str_of(block),
                                S("STREAMS"), S("rows"),  S("0") };
    mono_t begin = mono_now();
    p->e = redis_command(p->r, argv, N_OF(argv), p->block_ms, keep_plain, p);
    p->took_ms = ms_since(begin);
    return NULL;
}

static void a_blocked_read_ends_in_time(void **state)
{
    (void)state;
    struct plain p = { .r = client_at(server.url, TIMEOUT_MS), .block_ms = 2 * TIMEOUT_MS };
    (void)read_stream(&p);
    assert_int_equal(p.e, ERR_OK);
    assert_int_equal(p.done, 1);
    assert_int_equal(p.type, REDIS_NIL);
    assert_in_range(p.took_ms, 2 * TIMEOUT_MS - 20, 2 * TIMEOUT_MS + TIMEOUT_MS);
    struct call c; /* and the connection has its own time limit back */
    assert_int_equal(await(p.r, &c, ECHO, NULL, "x"), ERR_OK);
    redis_server_freeze(&server);
    mono_t begin = mono_now();
    assert_int_equal(await(p.r, &c, ECHO, NULL, "y"), ERR_TIMEOUT);
    assert_in_range(ms_since(begin), TIMEOUT_MS - 50, 3 * TIMEOUT_MS);
    redis_server_thaw(&server);
    redis_close(p.r);
}

static void a_blocked_read_ends_with_a_row(void **state)
{
    (void)state;
    struct plain p = { .r = client_at(server.url, TIMEOUT_MS), .block_ms = RECOVER_MS };
    pthread_t reader;
    mono_t deadline = mono_after_ms(mono_now(), RECOVER_MS);
    assert_int_equal(pthread_create(&reader, NULL, read_stream, &p), 0);
    while (strstr(redis_server_ask(&server, "INFO", "clients", NULL), "blocked_clients:1") == NULL)
        assert_true(redis_server_look_again(deadline));
    (void)redis_server_ask(&server, "XADD", "rows", "*", "name", "the row", NULL);
    (void)pthread_join(reader, NULL);
    assert_int_equal(p.e, ERR_OK);
    assert_int_equal(p.type, REDIS_LIST);
    assert_string_equal(p.row, "the row");
    assert_true(p.took_ms < RECOVER_MS);
    redis_close(p.r);
}

static enum err ping(struct plain *p)
{
    const struct str argv[] = { S("PING") };
    return redis_command(p->r, argv, 1, 0, keep_plain, p);
}

static void a_plain_command_and_its_errors(void **state)
{
    (void)state;
    struct plain p = { .r = client_at(server.url, TIMEOUT_MS) };
    assert_int_equal(ping(&p), ERR_OK);
    assert_int_equal(p.done, 1);

    const struct str unknown[] = { S("NO-SUCH-COMMAND"), S("x") };
    assert_int_equal(redis_command(p.r, unknown, 2, 0, keep_plain, &p), ERR_REMOTE);
    assert_int_equal(ping(&p), ERR_OK);

    struct str many[200];
    for (size_t i = 0; i < N_OF(many); i++)
        many[i] = S("PING");
    assert_int_equal(redis_command(p.r, many, N_OF(many), 0, keep_plain, &p), ERR_TOOBIG);

    redis_server_freeze(&server);
    assert_int_equal(ping(&p), ERR_TIMEOUT);
    assert_false(redis_up(p.r));
    redis_server_thaw(&server);
    recover(p.r);
    redis_server_stop(&server, SIGKILL);
    assert_int_equal(ping(&p), ERR_IO); /* the connection had ended */
    assert_int_equal(ping(&p), ERR_IO); /* there is nothing to connect to */
    assert_int_equal(p.done, 2);
    redis_close(p.r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, empty)
    const struct CMUnitTest tests[] = {
        T(many_threads_share_round_trips),
        T(calls_from_threads_that_all_fail),
        T(calls_run_and_end_in_order),
        T(what_done_submits_waits_for_the_next_turn),
        T(a_call_past_its_deadline_is_not_sent),
        T(the_most_keys_and_arguments),
        T(bytes_are_bytes),
        T(reading_any_answer),
        T(forgotten_scripts_are_loaded_again),
        T(scripts_that_cannot_be_loaded_again),
        T(a_server_that_is_down_is_said_so_quickly),
        T(a_server_that_was_never_there),
        T(a_server_that_freezes),
        T(a_time_out_in_the_middle_of_a_batch),
        T(a_turn_ends_although_answers_keep_coming),
        T(a_full_server_is_for_later),
        T(a_replica_is_for_later),
        T(a_script_that_fails_concerns_nobody_else),
        T(a_plain_command_in_a_turn),
        T(what_is_acknowledged_has_reached_a_replica),
        T(a_replica_that_freezes_holds_nobody_up),
        T(a_primary_that_dies_before_a_replica_has_it),
        T(closing_ends_what_was_not_sent),
        T(users_and_passwords),
        T(databases),
        T(urls_are_checked),
        T(a_blocked_read_ends_in_time),
        T(a_blocked_read_ends_with_a_row),
        T(a_plain_command_and_its_errors),
    };
    log_open("redis_test", LOG_ERROR);
    return cmocka_run_group_tests(tests, start, stop);
}
