/* tail.c - `labelwire tail`: every transition, as it happens. */
#include <poll.h>
#include <unistd.h>

#include "base/json.h"
#include "base/wake.h"
#include "blob/keys.h"
#include "cli/safe.h"
#include "cli/screen.h"
#include "cli/transition.h"
#include "cli/verb.h"
#include "net/kafka.h"

#define WINDOW     1024U /* unused by a consumer that only watches, but a power of two */
#define TURN_MS    1000
#define SILENCE_MS 4000 /* without a broker, before it is told */

struct conf {
    struct screen_conf screen;
    struct kafka_conf kafka;
    bool json, from_start;
};

static const struct conf_key flag_keys[] = {
    { "--json", CONF_BOOL, offsetof(struct conf, json), .def = "off" },
    { "--from-start", CONF_BOOL, offsetof(struct conf, from_start), .def = "off" },
};

static const struct conf_group groups[] = {
    { NULL, flag_keys, N_OF(flag_keys), 0 },
    { "Kafka", kafka_conf_keys, N_OF(kafka_conf_keys), offsetof(struct conf, kafka) },
    SCREEN_CONF_GROUP(struct conf, screen),
};

static const struct verb_flag flags[] = {
    { "--brokers", "LIST", "LW_KAFKA_BROKERS", "Kafka as host:port,... (LW_KAFKA_BROKERS)" },
    { "--from-start", NULL, "--from-start", "first all events that Kafka still keeps" },
    { "--json", NULL, "--json", "the events as they are: CloudEvents, one JSON line each" },
};

struct tail {
    const struct conf *conf;
    struct screen screen;
    struct kafka_consumer *events;
    mono_t up; /* a broker was there, or the start */
    bool told; /* that there is none */
};

/* False: nobody reads any more. */
static bool print_event(struct tail *t, const struct kafka_msg *m)
{
    struct buf out = BUF_INIT(SCREEN_TEXT_MAX);
    struct errbuf eb = { "" };
    struct json root;
    bool going = true;
    enum err e = t->conf->json ? json_parse(&root, m->value, &eb)
                               : transition_put(&out, &t->screen, m->value, m->timestamp_ms, &eb);
    if (e == ERR_OK && t->conf->json) {
        safe_put_json(&out, m->value, t->screen.out_is_terminal);
        buf_putc(&out, '\n');
    }
    if (e == ERR_OK)
        going = screen_print(&t->screen, &out);
    else
        screen_say(&t->screen, "left out what is no event (partition %d, offset %lld): %s",
                   (int)m->partition, (long long)m->offset, eb.text);
    buf_fini(&out);
    return going;
}

static void tell_about_brokers(struct tail *t)
{
    mono_t now = mono_now();
    if (kafka_up(t->events)) {
        if (t->told)
            screen_say(&t->screen, "Kafka answers again");
        t->told = false;
        t->up = now;
    } else if (!t->told && mono_since_us(now, t->up) > SILENCE_MS * 1000) {
        screen_say(&t->screen, "no Kafka broker answers at %s; is it up? try `make up`.  Waiting.",
                   t->conf->kafka.brokers);
        t->told = true;
    }
}

/* Until nobody reads: what is written fails, or (found without writing) the pipe is closed. */
static void follow(struct tail *t, int wake_fd)
{
    struct pollfd fds[] = { { .fd = wake_fd, .events = POLLIN }, { .fd = STDOUT_FILENO } };
    struct kafka_msg m;
    while ((fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0) {
        wake_drain(wake_fd);
        while (kafka_next(t->events, &m))
            if (!print_event(t, &m))
                return;
        tell_about_brokers(t);
        (void)poll(fds, N_OF(fds), kafka_more(t->events) ? 0 : TURN_MS);
    }
}

static int run(const void *arg, char *const *operands, size_t n)
{
    struct tail t = { .conf = arg, .up = mono_now() };
    struct errbuf eb = { "" };
    (void)operands;
    (void)n;
    screen_init(&t.screen, &t.conf->screen);
    int wake_fd = wake_open();
    enum err e =
        kafka_consumer_open(&t.events, &t.conf->kafka, NULL, TOPIC_EVENTS, WINDOW, wake_fd, &eb);
    if (e == ERR_OK) {
        if (t.conf->from_start)
            kafka_watch_from_start(t.events);
        if (t.screen.out_is_terminal && t.screen.err_is_terminal)
            screen_say(&t.screen, "waiting for events at %s; Ctrl-C ends", t.conf->kafka.brokers);
        follow(&t, wake_fd);
    } else {
        screen_say(&t.screen, "%s", eb.text);
    }
    kafka_consumer_close(t.events);
    (void)close(wake_fd);
    return e == ERR_OK && !t.screen.broken ? EXIT_WELL : EXIT_FAILED;
}

const struct verb verb_tail = {
    .name = "tail",
    .operands = "",
    .about = "print every transition of every blob, as it happens",
    .more =
        "One line each: local time, blob, transition, phase, status, and the code of a failure.\n"
        "The blob is the beginning of its id; --json has all of it.\n"
        "Runs until Ctrl-C or until its reader leaves.\n",
    .example = "labelwire tail --from-start | grep labels.saved",
    .flags = flags,
    .n_flags = N_OF(flags),
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .run = run,
};
