#include "blob/dead.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "blob/keys.h"
#include "blob/letter.h"

#define PAUSE_MS    1000     /* before what was refused is sent again */
#define BYTES_MAX   1040000U /* of key and value: with the headers just what a broker takes */
#define BYTES_LEAST 4096U

enum { M_LETTERS, M_WAITING, M_REFUSED };
static struct metric metrics[] = {
    [M_LETTERS] = { "labelwire_dead_letters_total", NULL,
                    "Messages that could not be worked on and are on labelwire.dead.",
                    METRIC_COUNTER, 0 },
    [M_WAITING] = { "labelwire_dead_letters_waiting", NULL,
                    "Letters that Kafka has not acknowledged yet; their source is unfinished.",
                    METRIC_GAUGE, 0 },
    [M_REFUSED] = { "labelwire_dead_letters_refused_total", NULL,
                    "Times that Kafka refused one; it is sent again.", METRIC_COUNTER, 0 },
};
const struct metric_set dead_metrics = { metrics, N_OF(metrics) };

void dead_init(struct dead *d, const struct kafka_conf *kafka, const char *service,
               const char *topic, int wake_fd)
{
    *d = (struct dead){ .kafka = *kafka, .service = service, .topic = topic, .wake_fd = wake_fd };
}

static void end(struct dead *d, struct dead_letter *l, enum err e)
{
    l->state = DEAD_FREE;
    free(l->bytes);
    d->n--;
    metric_set(&metrics[M_WAITING], d->n);
    l->done(l->owner, l->source.ticket, e);
}

void dead_close(struct dead *d)
{
    kafka_producer_close(d->producer);
    for (size_t i = 0; i < DEAD_LETTERS_MAX; i++)
        if (d->letters[i].state != DEAD_FREE)
            end(d, &d->letters[i], ERR_CLOSED);
}

bool dead_full(const struct dead *d)
{
    return d->n == DEAD_LETTERS_MAX;
}

/* Copies s to `at`; none stays none. */
static struct str copy(char *at, struct str s)
{
    if (s.p == NULL)
        return STR_NONE;
    memcpy(at, s.p, s.n);
    return (struct str){ at, s.n };
}

void dead_put(struct dead *d, const struct kafka_msg *m, const char *reason, const char *detail,
              dead_done *done, void *owner)
{
    struct dead_letter *l = d->letters;
    assert(!dead_full(d));
    while (l->state != DEAD_FREE)
        l++;
    *l = (struct dead_letter){ .state = DEAD_WAITING,
                               .source = *m,
                               .bytes = xcalloc(1, m->key.n + m->value.n + 1),
                               .reason = reason,
                               .max_bytes = BYTES_MAX,
                               .done = done,
                               .owner = owner };
    (void)snprintf(l->detail, sizeof l->detail, "%s", detail);
    l->source.key = copy(l->bytes, m->key);
    l->source.value = copy(l->bytes + m->key.n, m->value);
    l->source.topic = STR_NONE;
    l->source.headers = NULL;
    l->source.n_headers = 0;
    metric_set(&metrics[M_WAITING], ++d->n);
}

static void refused(struct dead *d, struct dead_letter *l, enum err e)
{
    l->state = DEAD_WAITING;
    d->again = mono_after_ms(mono_now(), PAUSE_MS);
    d->broken |= e == ERR_CLOSED;
    if (e == ERR_TOOBIG && l->max_bytes / 2 >= BYTES_LEAST)
        l->max_bytes /= 2;
    if (e == ERR_CLOSED)
        return;
    metric_add(&metrics[M_REFUSED], 1);
    LOG(ERROR, "letter.refused", F_STR("error", err_name(e)), F_STR("source_topic", d->topic),
        F_INT("source_partition", l->source.partition), F_INT("source_offset", l->source.offset));
}

static void told(struct kafka_delivery *delivery, enum err e)
{
    struct dead *d = delivery->owner;
    struct dead_letter *l = d->letters;
    while (&l->delivery != delivery)
        l++;
    if (e != ERR_OK) {
        refused(d, l, e);
        return;
    }
    FAILPOINT("dead.acknowledged");
    metric_add(&metrics[M_LETTERS], 1);
    end(d, l, ERR_OK);
}

static enum err send(struct dead *d, struct dead_letter *l, struct errbuf *eb)
{
    struct letter letter;
    struct letter_text text;
    struct kafka_header headers[LETTER_NFIELDS];
    struct letter_source source = { .topic = d->topic,
                                    .service = d->service,
                                    .key = l->source.key,
                                    .value = l->source.value,
                                    .partition = l->source.partition,
                                    .offset = l->source.offset,
                                    .timestamp_ms = l->source.timestamp_ms };
    size_t n = 0;
    letter_of(&letter, &text, &source, l->reason, l->detail, wall_now(), l->max_bytes);
    for (size_t i = 0; i < LETTER_NFIELDS; i++)
        if (letter.field[i].p != NULL)
            headers[n++] = (struct kafka_header){ str_of(letter_field_name((enum letter_field)i)),
                                                  letter.field[i] };
    l->delivery = (struct kafka_delivery){ told, d };
    return kafka_send(d->producer,
                      &(struct kafka_record){ .topic = TOPIC_DEAD,
                                              .key = source.key,
                                              .value = source.value,
                                              .headers = headers,
                                              .n_headers = n,
                                              .delivery = &l->delivery },
                      eb);
}

static enum err open_producer(struct dead *d, struct errbuf *eb)
{
    kafka_producer_close(d->producer); /* its letters wait again */
    d->broken = false;
    enum err e = kafka_producer_open(&d->producer, &d->kafka, eb);
    if (e == ERR_OK)
        kafka_producer_wake(d->producer, d->wake_fd);
    return e;
}

static enum err send_waiting(struct dead *d, struct errbuf *eb)
{
    enum err e = ERR_OK;
    if (d->producer == NULL || d->broken)
        e = open_producer(d, eb);
    for (size_t i = 0; i < DEAD_LETTERS_MAX && e == ERR_OK; i++) {
        struct dead_letter *l = &d->letters[i];
        if (l->state != DEAD_WAITING)
            continue;
        l->state = DEAD_SENT;
        e = send(d, l, eb);
        if (e != ERR_OK)
            refused(d, l, e);
        if (e == ERR_TOOBIG)
            e = ERR_OK; /* its own trouble: the others go on */
    }
    return e;
}

void dead_turn(struct dead *d, mono_t now)
{
    struct errbuf eb = { "" };
    if (d->producer != NULL)
        kafka_poll(d->producer);
    if (d->n == 0 || mono_until_ms(now, d->again) > 0)
        return;
    enum err e = send_waiting(d, &eb);
    if (e == ERR_OK)
        return;
    d->again = mono_after_ms(now, PAUSE_MS);
    LOG(ERROR, "letter.unsent", F_STR("error", err_name(e)), F_STR("detail", eb.text));
}
