#include "net/kafka.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/kafka_rd.h"

#define SYSLOG_WARNING  4 /* <syslog.h> and base/log.h share names */
#define LOG_PERIOD_NS   INT64_C(10000000000)
#define LOG_BURST       10   /* lines of the library for each client and period */
#define CREATE_PAUSE_MS 200  /* between two tries */
#define CREATE_TRY_MS   5000 /* the broker's time for one try */

static enum err check_brokers(struct str value, struct errbuf *eb)
{
    struct str one;
    while (str_cut(&value, ',', &one)) {
        size_t colon = one.n;
        while (colon > 0 && one.p[colon - 1] != ':')
            colon--;
        uint64_t port = 0;
        if (colon < 2 || str_to_u64(str_from(one, colon), &port) != ERR_OK || port < 1 ||
            port > 65535)
            return errbuf_set(eb, ERR_INVAL, "host:port, separated by commas");
    }
    return ERR_OK;
}

const struct conf_key kafka_conf_keys[] = {
    { "LW_KAFKA_BROKERS", CONF_TEXT, offsetof(struct kafka_conf, brokers), .def = "127.0.0.1:9092",
      .check = check_brokers,
      .doc = "Kafka brokers to start from, as host:port separated by commas; the others of the "
             "cluster are learned from them." },
};

struct metric kafka_rows[KAFKA_NMETRICS] = {
    [KAFKA_CONSUMED] = { "labelwire_kafka_messages_consumed_total", NULL,
                         "Messages handed out by consumers.", METRIC_COUNTER, 0 },
    [KAFKA_DONE] = { "labelwire_kafka_messages_done_total", NULL,
                     "Messages finished while their partition was still ours.", METRIC_COUNTER, 0 },
    [KAFKA_LATE] = { "labelwire_kafka_messages_late_total", NULL,
                     "Messages finished after their partition had gone; they come again.",
                     METRIC_COUNTER, 0 },
    [KAFKA_IN_FLIGHT] = { "labelwire_kafka_window_in_flight", NULL,
                          "Messages handed out, and not yet finished or not yet below the "
                          "position.",
                          METRIC_GAUGE, 0 },
    [KAFKA_HEAD_AGE] = { "labelwire_kafka_window_head_age_ms", NULL,
                         "Age of the oldest unfinished message, in milliseconds.", METRIC_GAUGE,
                         0 },
    [KAFKA_REBALANCES] = { "labelwire_kafka_rebalances_total", NULL,
                           "Partitions were assigned or revoked.", METRIC_COUNTER, 0 },
    [KAFKA_PRODUCED] = { "labelwire_kafka_messages_produced_total", NULL,
                         "Messages that the broker acknowledged.", METRIC_COUNTER, 0 },
    [KAFKA_PRODUCE_FAILED] = { "labelwire_kafka_produce_failed_total", NULL,
                               "Messages that were given up.", METRIC_COUNTER, 0 },
};
const struct metric_set kafka_metrics = { kafka_rows, KAFKA_NMETRICS };

/* ---- the link to the brokers --------------------------------------------------------------- */

void kafka_link_set(struct kafka_link *l, bool up, const char *why)
{
    if (atomic_exchange(&l->up, up) == up)
        return;
    if (up)
        LOG(INFO, "kafka.connected");
    else
        LOG(WARN, "kafka.connection_lost", F_STR("why", why));
}

bool kafka_link_may_log(struct kafka_link *l)
{
    int64_t period = mono_now().ns / LOG_PERIOD_NS;
    if (atomic_exchange(&l->log_period, period) != period) {
        int64_t dropped = atomic_exchange(&l->log_lines, 0) - LOG_BURST;
        if (dropped > 0)
            LOG(WARN, "kafka.lines_suppressed", F_INT("lines", dropped));
    }
    return atomic_fetch_add(&l->log_lines, 1) < LOG_BURST;
}

/* On threads of the library. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct kafka_link *l = rk == NULL ? NULL : rd_kafka_opaque(rk);
    if (l != NULL && !kafka_link_may_log(l))
        return;
    if (level <= SYSLOG_WARNING)
        LOG(WARN, "kafka.library_warned", F_STR("facility", facility), F_STR("text", text));
    else
        LOG(DEBUG, "kafka.library_said", F_STR("facility", facility), F_STR("text", text));
}

static void on_error(rd_kafka_t *rk, int code, const char *text, void *opaque)
{
    struct kafka_link *l = opaque;
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        kafka_link_set(l, false, text);
    else if (code != RD_KAFKA_RESP_ERR__TRANSPORT && code != RD_KAFKA_RESP_ERR__RESOLVE &&
             kafka_link_may_log(l)) /* those two are in the library's log as well */
        LOG(WARN, "kafka.error_reported", F_STR("error", rd_kafka_err2name(code)),
            F_STR("text", text));
}

static bool some_broker_is_up(struct str stats)
{
    struct json root, brokers, name, broker, state;
    if (json_parse(&root, stats, NULL) != ERR_OK || !json_get(root, S("brokers"), &brokers))
        return false;
    for (struct json_iter it = json_iter(brokers); json_next(&it, &name, &broker);)
        if (json_get(broker, S("state"), &state) &&
            (json_is(state, S("UP")) || json_is(state, S("UPDATE"))))
            return true;
    return false;
}

static int on_stats(rd_kafka_t *rk, char *text, size_t n, void *opaque)
{
    (void)rk;
    kafka_link_set(opaque, some_broker_is_up((struct str){ text, n }), "no broker is connected");
    return 0; /* the library frees the text */
}

/* ---- clients ------------------------------------------------------------------------------- */

static enum err set_all(rd_kafka_conf_t *conf, const struct kafka_setting *s, size_t n,
                        struct errbuf *eb)
{
    char text[256];
    for (size_t i = 0; i < n; i++)
        if (rd_kafka_conf_set(conf, s[i].name, s[i].value, text, sizeof text) != RD_KAFKA_CONF_OK &&
            !s[i].optional)
            return errbuf_set(eb, ERR_CONFIG, "kafka: %s", text);
    return ERR_OK;
}

enum err kafka_rd_conf(rd_kafka_conf_t **out, const struct kafka_conf *c, void *opaque,
                       const struct kafka_setting *settings, size_t n, struct errbuf *eb)
{
    const struct kafka_setting common[] = {
        { "bootstrap.servers", c->brokers, false },
        { "client.id", "labelwire", false },
        { "log.connection.close", "false", false }, /* idle connections end; nothing to tell */
        { "socket.keepalive.enable", "true", false },
        { "socket.nagle.disable", "true", false },
        { "socket.connection.setup.timeout.ms", "5000", false },
        { "reconnect.backoff.max.ms", "2000", false },
        { "topic.metadata.refresh.interval.ms", "10000", false }, /* finds topics made later */
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_opaque(conf, opaque);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, on_stats);
    enum err e = set_all(conf, common, N_OF(common), eb);
    if (e == ERR_OK)
        e = set_all(conf, settings, n, eb);
    if (e != ERR_OK) {
        rd_kafka_conf_destroy(conf);
        conf = NULL;
    }
    *out = conf;
    return e;
}

enum err kafka_rd_new(rd_kafka_t **out, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                      struct errbuf *eb)
{
    char text[256];
    *out = rd_kafka_new(type, conf, text, sizeof text);
    if (*out != NULL)
        return ERR_OK;
    rd_kafka_conf_destroy(conf);
    return errbuf_set(eb, ERR_CONFIG, "kafka: %s", text);
}

/* ---- messages ------------------------------------------------------------------------------ */

size_t kafka_rd_headers(struct kafka_header out[KAFKA_HEADERS_MAX], const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t n = 0, size;
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0; /* none, or they cannot be read */
    while (n < KAFKA_HEADERS_MAX &&
           rd_kafka_header_get_all(headers, n, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
        out[n++] = (struct kafka_header){ str_of(name), { value, size } };
    return n;
}

/* ---- topics -------------------------------------------------------------------------------- */

struct admin {
    struct kafka_link link; /* first: the library's opaque */
    rd_kafka_t *rk;
    rd_kafka_queue_t *answers;
    rd_kafka_NewTopic_t **wanted;
    size_t n;
};

/* What a cluster says while it is starting or choosing a controller. */
static bool may_pass(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
           code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR_NOT_CONTROLLER ||
           code == RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR; /* brokers not yet registered */
}

static bool is_silence(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
}

/* The worst code of one answer: something final before something that may pass. */
static rd_kafka_resp_err_t worst_of(rd_kafka_event_t *event, struct errbuf *eb)
{
    rd_kafka_resp_err_t worst = rd_kafka_event_error(event);
    if (worst != RD_KAFKA_RESP_ERR_NO_ERROR) {
        errbuf_set(eb, ERR_REMOTE, "kafka topics: %s", rd_kafka_event_error_string(event));
        return worst;
    }
    size_t n = 0;
    const rd_kafka_topic_result_t **topics =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(topics[i]);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ||
            (worst != RD_KAFKA_RESP_ERR_NO_ERROR && may_pass(code)))
            continue;
        const char *text = rd_kafka_topic_result_error_string(topics[i]);
        worst = code;
        errbuf_set(eb, ERR_REMOTE, "kafka topic %s: %s", rd_kafka_topic_result_name(topics[i]),
                   text != NULL ? text : rd_kafka_err2str(code));
    }
    return worst;
}

static rd_kafka_resp_err_t create_once(struct admin *a, int64_t left_ms, struct errbuf *eb)
{
    int try_ms = (int)(left_ms < CREATE_TRY_MS ? left_ms : CREATE_TRY_MS);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(a->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, try_ms, NULL, 0);
    rd_kafka_AdminOptions_set_operation_timeout(options, try_ms, NULL, 0);
    rd_kafka_CreateTopics(a->rk, a->wanted, a->n, options, a->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_event_t *event = rd_kafka_queue_poll(a->answers, -1); /* comes after try_ms at last */
    rd_kafka_resp_err_t code = worst_of(event, eb);
    rd_kafka_event_destroy(event);
    return code;
}

static enum err create_until(struct admin *a, mono_t limit, struct errbuf *eb)
{
    enum err e = ERR_TIMEOUT;
    for (;;) {
        struct errbuf told = { "" };
        int64_t left_ms = mono_until_ms(mono_now(), limit);
        rd_kafka_resp_err_t code = create_once(a, left_ms > 1 ? left_ms : 1, &told);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return ERR_OK;
        if (!is_silence(code) || e == ERR_TIMEOUT) { /* an answer says more than silence after it */
            e = is_silence(code) ? ERR_TIMEOUT : ERR_REMOTE;
            errbuf_set(eb, e, "%s", told.text);
        }
        left_ms = mono_until_ms(mono_now(), limit);
        if (!may_pass(code) || left_ms == 0)
            return e;
        /* Nothing is on its way, so this is a pause. */
        int pause_ms = (int)(left_ms < CREATE_PAUSE_MS ? left_ms : CREATE_PAUSE_MS);
        rd_kafka_queue_poll(a->answers, pause_ms);
    }
}

static enum err want_topic(struct admin *a, size_t i, const struct kafka_topic *t,
                           struct errbuf *eb)
{
    char text[256], keep[24];
    a->wanted[i] = rd_kafka_NewTopic_new(t->name, t->partitions, t->replicas, text, sizeof text);
    if (a->wanted[i] == NULL)
        return errbuf_set(eb, ERR_INVAL, "kafka topic %s: %s", t->name, text);
    if (t->keep_ms == 0)
        return ERR_OK;
    (void)snprintf(keep, sizeof keep, "%lld", (long long)t->keep_ms);
    rd_kafka_NewTopic_set_config(a->wanted[i], "cleanup.policy", "delete");
    rd_kafka_NewTopic_set_config(a->wanted[i], "retention.ms", keep);
    rd_kafka_NewTopic_set_config(a->wanted[i], "retention.bytes", "-1");
    return ERR_OK;
}

enum err kafka_create_topics(const struct kafka_conf *c, const struct kafka_topic *topics, size_t n,
                             int64_t deadline_ms, struct errbuf *eb)
{
    struct admin a = { .n = n };
    rd_kafka_conf_t *conf;
    mono_t limit = mono_after_ms(mono_now(), deadline_ms);
    if (n == 0)
        return ERR_OK;
    enum err e = kafka_rd_conf(&conf, c, &a, NULL, 0, eb);
    if (e == ERR_OK)
        e = kafka_rd_new(&a.rk, RD_KAFKA_PRODUCER, conf, eb);
    if (e != ERR_OK)
        return e;
    a.answers = rd_kafka_queue_new(a.rk);
    a.wanted = xcalloc(n, sizeof *a.wanted);
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        e = want_topic(&a, i, &topics[i], eb);
    if (e == ERR_OK)
        e = create_until(&a, limit, eb);
    for (size_t i = 0; i < n && a.wanted[i] != NULL; i++)
        rd_kafka_NewTopic_destroy(a.wanted[i]);
    free(a.wanted);
    rd_kafka_queue_destroy(a.answers);
    rd_kafka_destroy(a.rk);
    return e;
}
