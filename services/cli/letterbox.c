#include "cli/letterbox.h"

#include <poll.h>
#include <unistd.h>

#include "base/wake.h"
#include "blob/keys.h"

#define WINDOW     1024U /* unused by a consumer that only watches, but a power of two */
#define FIND_MS    5000  /* to reach a broker and find the topic */
#define SILENCE_MS 10000 /* then, without a message or the end, before it is given up */
#define TURN_MS    1000

static enum err give_up(const struct kafka_conf *kafka, struct screen *s,
                        const struct kafka_consumer *c)
{
    if (!kafka_up(c)) {
        screen_say(s, "%s: no Kafka broker answers; is it up? try `make up`", kafka->brokers);
        return ERR_TIMEOUT;
    }
    if (!kafka_watching(c)) {
        screen_say(s, "%s: there is no topic %s; `labelwire setup topics` creates it",
                   kafka->brokers, TOPIC_DEAD);
        return ERR_MISSING;
    }
    screen_say(s, "%s: %s could not be read to its end: no answer for %d s", kafka->brokers,
               TOPIC_DEAD, SILENCE_MS / 1000);
    return ERR_TIMEOUT;
}

static enum err each_message(struct kafka_consumer *c, letterbox_each *each, void *arg,
                             mono_t *heard)
{
    struct kafka_msg m;
    enum err e = ERR_OK;
    while (e == ERR_OK && kafka_next(c, &m)) {
        struct letter l = { 0 };
        for (size_t i = 0; i < m.n_headers; i++)
            letter_take(&l, m.headers[i].name, m.headers[i].value);
        e = each(arg, &m, &l);
        *heard = mono_now();
    }
    return e;
}

enum err letterbox_read(const struct kafka_conf *kafka, struct screen *s, letterbox_each *each,
                        void *arg)
{
    struct kafka_consumer *c;
    struct errbuf eb = { "" };
    struct pollfd fd = { .fd = wake_open(), .events = POLLIN };
    mono_t heard = mono_now();
    enum err e = kafka_consumer_open(&c, kafka, NULL, TOPIC_DEAD, WINDOW, fd.fd, &eb);
    if (e == ERR_OK)
        kafka_watch_from_start(c);
    else
        screen_say(s, "%s", eb.text);
    screen_status(s, S("reading " TOPIC_DEAD "..."));
    while (e == ERR_OK) {
        e = each_message(c, each, arg, &heard);
        if (e != ERR_OK || kafka_at_end(c))
            break;
        int64_t patience_ms = kafka_watching(c) ? SILENCE_MS : FIND_MS;
        if (mono_since_us(mono_now(), heard) > patience_ms * 1000)
            e = give_up(kafka, s, c);
        else
            (void)poll(&fd, 1, kafka_more(c) ? 0 : TURN_MS);
        wake_drain(fd.fd);
    }
    screen_wipe(s);
    kafka_consumer_close(c);
    (void)close(fd.fd);
    return e;
}
