/* move.c - `labelwire recognize`, `redeliver`, `erase`: an operator moves blobs on by hand.
 *
 * Each is one event of life.h, applied to the record in Redis; the services do the rest, as if
 * the blob's own timer had asked for it.
 */
#include <poll.h>

#include "blob/repo.h"
#include "cli/screen.h"
#include "cli/verb.h"

#define LIMIT_MS 10000 /* for all operands together */
#define IDS_MAX  1000

struct conf {
    struct screen_conf screen;
    struct repo_conf repo;
    struct life_policy policy;
};

static const struct conf_group groups[] = {
    { "Redis", redis_conf_keys, N_OF(redis_conf_keys), offsetof(struct conf, repo.redis) },
    { "Records", repo_conf_keys, N_OF(repo_conf_keys), offsetof(struct conf, repo) },
    { NULL, life_conf_keys, N_OF(life_conf_keys), offsetof(struct conf, policy) },
    SCREEN_CONF_GROUP(struct conf, screen),
};

struct move {
    enum life_event_type event;
    const char *only; /* which blobs it is for */
};

struct one {
    struct repo_change change;
    bool ended;
    enum err e;
};

static void ended(struct repo_change *c, enum err e)
{
    struct one *one = c->owner;
    one->ended = true;
    one->e = e;
}

static void await(struct repo *r, struct one *one, mono_t deadline)
{
    while (!one->ended && mono_until_ms(mono_now(), deadline) > 0) {
        repo_turn(r, mono_now());
        if (!one->ended)
            (void)poll(NULL, 0, (int)repo_wait_ms(r, mono_now(), 100));
    }
}

static bool report(struct screen *s, const struct move *m, const struct one *one)
{
    const struct blob *b = &one->change.b;
    struct buf out = BUF_INIT(1024);
    bool printed = true;
    if (one->e == ERR_OK) {
        buf_printf(&out, "%s  %s, generation %lld\n", b->id, phase_name(b->phase),
                   (long long)b->gen);
        printed = screen_print(s, &out);
    } else if (one->e == ERR_CONFLICT) {
        screen_say(s, "%s: is %s; only %s", b->id, phase_name(b->phase), m->only);
    } else if (one->e == ERR_MISSING) {
        screen_say(s, "%s: not found", b->id);
    } else if (one->e == ERR_CLOSED) {
        screen_say(s, "%s: Redis did not take it within %d s", b->id, LIMIT_MS / 1000);
    } else {
        screen_say(s, "%s: Redis did not take it: %s", b->id, err_name(one->e));
    }
    buf_fini(&out);
    return one->e == ERR_OK && printed;
}

static bool move_one(struct repo *r, struct screen *s, const struct move *m, const char *id,
                     mono_t deadline)
{
    struct one one = { .change = { .ev.type = m->event, .done = ended }, .e = ERR_TIMEOUT };
    one.change.owner = &one;
    if (!uuid_is_canonical(str_of(id)) ||
        str_copy(one.change.b.id, sizeof one.change.b.id, str_of(id)) != ERR_OK) {
        screen_say(s, "'%.64s' is not a blob id", id);
        return false;
    }
    repo_apply(r, &one.change);
    await(r, &one, deadline);
    if (!one.ended)
        repo_close(r); /* ends it: what is on the stack is in use until then */
    return report(s, m, &one);
}

static int run(const void *arg, char *const *ids, size_t n, const struct move *m)
{
    const struct conf *c = arg;
    struct screen screen;
    struct errbuf eb = { "" };
    struct repo repo;
    mono_t deadline = mono_after_ms(mono_now(), LIMIT_MS);
    screen_init(&screen, &c->screen);
    enum err e = repo_open(&repo, &c->repo, &c->policy, "cli", &eb);
    if (e == ERR_OK)
        e = repo_watch(&repo, mono_now(), &eb);
    if (e != ERR_OK)
        screen_say(&screen, "%s", eb.text);
    bool all = e == ERR_OK;
    for (size_t i = 0; i < n && e == ERR_OK && repo.redis != NULL; i++)
        all &= move_one(&repo, &screen, m, ids[i], deadline);
    repo_close(&repo);
    return all ? EXIT_WELL : EXIT_FAILED;
}

static int run_recognize(const void *conf, char *const *ids, size_t n)
{
    static const struct move move = { LIFE_RECOGNIZE_AGAIN,
                                      "a finished blob that was uploaded can be recognized again" };
    return run(conf, ids, n, &move);
}

static int run_redeliver(const void *conf, char *const *ids, size_t n)
{
    static const struct move move = {
        LIFE_REDELIVER, "a finished blob with a callback URL can be delivered again"
    };
    return run(conf, ids, n, &move);
}

static int run_erase(const void *conf, char *const *ids, size_t n)
{
    static const struct move move = { LIFE_DELETE, "what is not being erased yet can be erased" };
    return run(conf, ids, n, &move);
}

#define MOVE_VERB                                                                                  \
    .operands = "ID...", .conf = groups, .n_conf = N_OF(groups), .conf_size = sizeof(struct conf), \
    .least = 1, .most = IDS_MAX

const struct verb verb_recognize = {
    .name = "recognize",
    .about = "recognize finished blobs again",
    .more = "Each gets a new generation: a new paid call, new labels in place of the old ones,\n"
            "and a callback about them.  Speaks to Redis, with the services' settings.\n",
    .example = "labelwire recognize 2f1c0a52-94c8-4b7e-8a39-5e0f6c1d7b24",
    .run = run_recognize,
    MOVE_VERB,
};

const struct verb verb_redeliver = {
    .name = "redeliver",
    .about = "send the callbacks of finished blobs again",
    .more = "The attempts begin anew.  Speaks to Redis, with the services' settings.\n",
    .example = "labelwire redeliver 2f1c0a52-94c8-4b7e-8a39-5e0f6c1d7b24",
    .run = run_redeliver,
    MOVE_VERB,
};

const struct verb verb_erase = {
    .name = "erase",
    .about = "erase blobs: picture, labels, record",
    .more = "From then on they are not found.  The picture is deleted at once, and once more when\n"
            "its upload URL is over.  Speaks to Redis, with the services' settings.\n",
    .example = "labelwire erase 2f1c0a52-94c8-4b7e-8a39-5e0f6c1d7b24",
    .run = run_erase,
    MOVE_VERB,
};
