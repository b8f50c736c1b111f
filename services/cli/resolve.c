/* resolve.c - `labelwire dead retry` and `labelwire dead discard`.
 *
 * A letter is sent to its source topic again, acknowledged, and then marked by a message on
 * labelwire.dead.  Who dies in between leaves a letter that was retried and is still open: it may
 * be retried twice, and every consumer of ours minds as little as any repeat.
 */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blob/keys.h"
#include "cli/dead.h"
#include "cli/letterbox.h"
#include "cli/verb.h"

#define BATCH    64
#define FLUSH_MS 10000

struct job {
    struct kafka_delivery delivery;
    struct letters_row *row;
    const char *topic; /* retried to; NULL: discarded */
    enum err e;
};

struct resolver {
    const struct dead_conf *conf;
    struct screen *screen;
    struct letters letters;
    struct kafka_producer *producer;
    enum letters_state mark;
    char by[160];
    struct job jobs[BATCH]; /* in hand */
    size_t n_jobs, chosen, resolved;
    bool failed; /* something was told on standard error */
};

static void say(struct resolver *r, const struct letters_row *row, const char *what)
{
    char id[LETTER_ID_MAX];
    letter_id_format(id, row->id);
    screen_say(r->screen, "%s: %s", id, what);
    r->failed = true;
}

/* ---- producing ----------------------------------------------------------------------------- */

static void told(struct kafka_delivery *d, enum err e)
{
    struct job *j = d->owner;
    j->e = e;
}

static enum err send(struct resolver *r, struct job *j, struct kafka_record *record)
{
    struct errbuf eb = { "" };
    j->delivery = (struct kafka_delivery){ told, j };
    record->delivery = &j->delivery;
    j->e = ERR_TIMEOUT; /* until it is told */
    enum err e = kafka_send(r->producer, record, &eb);
    if (e != ERR_OK)
        j->e = e;
    return e;
}

static enum err send_mark(struct resolver *r, struct job *j)
{
    char id[LETTER_ID_MAX], now[CLOCK_RFC3339_LEN + 1];
    letter_id_format(id, j->row->id);
    wall_to_rfc3339(wall_now(), now);
    const struct kafka_header headers[] = {
        { str_of(letter_field_name(LETTER_RESOLVES)), str_of(id) },
        { str_of(letter_field_name(LETTER_RESOLUTION)), str_of(letters_state_name(r->mark)) },
        { str_of(letter_field_name(LETTER_BY)), str_of(r->by) },
        { str_of(letter_field_name(LETTER_TIME)), str_of(now) },
    };
    return send(r, j,
                &(struct kafka_record){ .topic = TOPIC_DEAD,
                                        .key = str_of(id),
                                        .headers = headers,
                                        .n_headers = N_OF(headers) });
}

static enum err print_job(struct resolver *r, const struct job *j)
{
    struct buf out = BUF_INIT(256);
    char id[LETTER_ID_MAX];
    letter_id_format(id, j->row->id);
    if (j->topic != NULL)
        buf_printf(&out, "%s  retried to %s\n", id, j->topic);
    else
        buf_printf(&out, "%s  discarded\n", id);
    bool printed = screen_print(r->screen, &out);
    buf_fini(&out);
    return printed ? ERR_OK : ERR_CLOSED;
}

/* Waits until every job in hand is told what became of it, or says why that is not known. */
static enum err flush(struct resolver *r)
{
    struct errbuf eb = { "" };
    enum err e = r->n_jobs == 0 ? ERR_OK : kafka_flush(r->producer, FLUSH_MS, &eb);
    if (e != ERR_OK)
        screen_say(r->screen, "%s: %s", r->conf->kafka.brokers,
                   e == ERR_TIMEOUT ? "Kafka does not answer; is it up? try `make up`" : eb.text);
    return e;
}

/* Waits for what is in hand, marks it and prints it. */
static enum err settle(struct resolver *r)
{
    bool sent[BATCH] = { false };
    enum err e = flush(r), printed = ERR_OK;
    for (size_t i = 0; i < r->n_jobs; i++) {
        struct job *j = &r->jobs[i];
        sent[i] = j->e == ERR_OK;
        if (!sent[i])
            say(r, j->row, j->e == ERR_TIMEOUT ? "not acknowledged; it stays open" : "refused");
        else if (e == ERR_OK)
            (void)!send_mark(r, j);
    }
    if (e == ERR_OK)
        e = flush(r);
    for (size_t i = 0; i < r->n_jobs; i++) {
        struct job *j = &r->jobs[i];
        if (sent[i] && (e != ERR_OK || j->e != ERR_OK))
            say(r, j->row,
                j->topic != NULL ? "retried, but not marked: it stays open"
                                 : "not marked: it stays open");
        else if (sent[i] && printed == ERR_OK)
            printed = print_job(r, j);
        r->resolved += sent[i] && e == ERR_OK && j->e == ERR_OK;
    }
    r->n_jobs = 0;
    return e == ERR_OK ? printed : e;
}

static struct job *next_job(struct resolver *r, struct letters_row *row, const char *topic)
{
    struct job *j = &r->jobs[r->n_jobs++];
    *j = (struct job){ .row = row, .topic = topic };
    return j;
}

/* ---- the two ways -------------------------------------------------------------------------- */

static enum err discard_chosen(struct resolver *r)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < r->letters.n && e == ERR_OK; i++) {
        if (!r->letters.rows[i].chosen)
            continue;
        (void)next_job(r, &r->letters.rows[i], NULL);
        if (r->n_jobs == BATCH)
            e = settle(r);
    }
    return e == ERR_OK ? settle(r) : e;
}

/* Static text; NULL: none of the topics that our services read. */
static const char *source_topic(struct str name)
{
    static const char *const topics[] = { TOPIC_UPLOADS, TOPIC_RECOGNIZE, TOPIC_DELIVER };
    for (size_t i = 0; i < N_OF(topics); i++)
        if (str_eq(name, str_of(topics[i])))
            return topics[i];
    return NULL;
}

static enum err retry_message(void *arg, const struct kafka_msg *m, const struct letter *l)
{
    struct resolver *r = arg;
    struct letters_row *row =
        letters_find(&r->letters, (struct letter_id){ m->partition, m->offset });
    const char *topic = source_topic(l->field[LETTER_TOPIC]);
    if (row == NULL || !row->chosen)
        return ERR_OK;
    row->chosen = false;
    if (topic == NULL || row->cut) {
        say(r, row,
            row->cut ? "was cut when it came here and cannot be sent as it was; discard it"
                     : "came from none of our topics; discard it");
        return ERR_OK;
    }
    struct job *j = next_job(r, row, topic);
    (void)!send(r, j, &(struct kafka_record){ .topic = topic, .key = m->key, .value = m->value });
    return r->n_jobs == BATCH ? settle(r) : ERR_OK;
}

static enum err retry_chosen(struct resolver *r)
{
    enum err e = letterbox_read(&r->conf->kafka, r->screen, retry_message, r);
    for (size_t i = 0; i < r->letters.n && e == ERR_OK; i++)
        if (r->letters.rows[i].chosen)
            say(r, &r->letters.rows[i], "is not kept any more");
    return e == ERR_OK ? settle(r) : e;
}

/* ---- choosing ------------------------------------------------------------------------------ */

static void choose_all(struct resolver *r)
{
    for (size_t i = 0; i < r->letters.n; i++) {
        struct letters_row *row = &r->letters.rows[i];
        row->chosen = row->state == LETTERS_OPEN && dead_wants(r->conf, row);
        r->chosen += row->chosen;
    }
}

static void choose(struct resolver *r, struct letter_id id)
{
    struct letters_row *row = letters_find(&r->letters, id);
    char why[64];
    if (row == NULL) {
        say(r, &(struct letters_row){ .id = id }, "no such letter; see `labelwire dead ls --all`");
    } else if (row->state != LETTERS_OPEN) {
        (void)snprintf(why, sizeof why, "already %s", letters_state_name(row->state));
        say(r, row, why);
    } else {
        r->chosen += !row->chosen; /* named twice: once */
        row->chosen = true;
    }
}

static void who(char *dst, size_t cap)
{
    char host[64] = "";
    const struct passwd *user = getpwuid(geteuid());
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(dst, cap, "%s@%s", user != NULL ? user->pw_name : "?", host);
}

static enum err work(struct resolver *r)
{
    struct errbuf eb = { "" };
    enum err e = kafka_producer_open(&r->producer, &r->conf->kafka, &eb);
    if (e != ERR_OK)
        screen_say(r->screen, "%s", eb.text);
    else
        e = r->mark == LETTERS_RETRIED ? retry_chosen(r) : discard_chosen(r);
    kafka_producer_close(r->producer); /* before the jobs go */
    return e;
}

static enum err print_count(struct resolver *r)
{
    struct buf out = BUF_INIT(128);
    buf_printf(&out, "%zu %s %s\n", r->resolved, r->resolved == 1 ? "letter" : "letters",
               letters_state_name(r->mark));
    bool printed = screen_print(r->screen, &out);
    buf_fini(&out);
    return printed ? ERR_OK : ERR_CLOSED;
}

static enum err check_usage(const struct dead_conf *c, struct screen *s, size_t n)
{
    if (c->all == (n == 0) && (c->all || c->reason[0] == '\0'))
        return ERR_OK;
    screen_say(s, "dead: want %s; --help tells more",
               c->all == (n == 0) ? "--reason with --all only" : "either IDs or --all");
    return ERR_INVAL;
}

static int run(const struct dead_conf *c, enum letters_state mark, char *const *operands, size_t n)
{
    struct screen screen;
    struct letter_id id;
    screen_init(&screen, &c->screen);
    enum err e = check_usage(c, &screen, n);
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        e = dead_parse_id(&screen, &id, operands[i]);
    if (e != ERR_OK)
        return EXIT_USAGE;
    struct resolver r = { .conf = c, .screen = &screen, .mark = mark };
    r.letters.keep_all = !c->all; /* so that one that was dealt with is told from none */
    who(r.by, sizeof r.by);
    e = dead_read(c, &screen, &r.letters);
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        if (letter_id_parse(&id, str_of(operands[i])) == ERR_OK)
            choose(&r, id);
    if (e == ERR_OK && c->all)
        choose_all(&r);
    if (e == ERR_OK && r.chosen > 0)
        e = work(&r);
    if (e == ERR_OK && c->all)
        e = print_count(&r);
    letters_fini(&r.letters);
    return e == ERR_OK && !r.failed ? EXIT_WELL : EXIT_FAILED;
}

int dead_run_retry(const void *conf, char *const *operands, size_t n)
{
    return run(conf, LETTERS_RETRIED, operands, n);
}

int dead_run_discard(const void *conf, char *const *operands, size_t n)
{
    return run(conf, LETTERS_DISCARDED, operands, n);
}
