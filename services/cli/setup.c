/* setup.c - `labelwire setup`: the topics and the bucket that the services want to find. */
#include "aws/cred.h"
#include "aws/s3.h"
#include "blob/keys.h"
#include "cli/epoch.h"
#include "cli/screen.h"
#include "cli/verb.h"
#include "net/httpc.h"
#include "net/kafka.h"
#include "svc/svc.h"

#define TOPICS_MS      60000
#define BUCKET_MS      30000
#define PAUSE_MS       250
#define PARTITIONS_MAX 10000
#define DEAD_KEEP_MS                                                                               \
    (30 * INT64_C(86400000)) /* for an operator on holiday; the rest: a broker's week */

struct conf {
    struct screen_conf screen;
    struct kafka_conf kafka;
    struct aws_conf aws;
    struct s3_conf s3;
    int64_t partitions, replicas;
};

static enum err say_failed(struct screen *s, enum err e, const char *what, const char *why)
{
    screen_say(s, "%s: %s", what, why);
    return e;
}

/* ---- topics -------------------------------------------------------------------------------- */

static enum err make_topics(const struct conf *c, struct screen *s)
{
    static const struct {
        const char *name;
        int64_t keep_ms;
    } rows[] = { { TOPIC_UPLOADS, 0 },
                 { TOPIC_RECOGNIZE, 0 },
                 { TOPIC_DELIVER, 0 },
                 { TOPIC_EVENTS, 0 },
                 { TOPIC_DEAD, DEAD_KEEP_MS } };
    struct kafka_topic topics[N_OF(rows)];
    struct errbuf eb = { "" };
    struct buf out = BUF_INIT(SCREEN_TEXT_MAX);
    for (size_t i = 0; i < N_OF(rows); i++)
        topics[i] = (struct kafka_topic){ rows[i].name, (int)c->partitions, (int)c->replicas,
                                          rows[i].keep_ms };
    screen_status(s, S("creating topics..."));
    enum err e = kafka_create_topics(&c->kafka, topics, N_OF(rows), TOPICS_MS, &eb);
    if (e == ERR_TIMEOUT)
        return say_failed(s, e, c->kafka.brokers,
                          "no Kafka broker answers; is it up? try `make up`");
    if (e != ERR_OK)
        return say_failed(s, e, c->kafka.brokers, eb.text);
    buf_printf(&out, "topics at %s, new ones with %d partitions:\n", c->kafka.brokers,
               (int)c->partitions);
    for (size_t i = 0; i < N_OF(rows); i++)
        buf_printf(&out, "  %s\n", rows[i].name);
    e = screen_print(s, &out) ? ERR_OK : ERR_CLOSED;
    buf_fini(&out);
    return e;
}

/* ---- bucket -------------------------------------------------------------------------------- */

static enum err explain_bucket(const struct conf *c, struct screen *s, const struct s3_req *rq,
                               enum err e)
{
    struct str code = s3_error_code(&rq->http);
    struct buf what = BUF_INIT(1024);
    buf_printf(&what, "bucket %s at %s", c->s3.bucket, c->s3.endpoint);
    if (e != ERR_OK)
        screen_say(s, "%s: %s; is it up? try `make up`", what.p, rq->http.why);
    else if (str_eq(code, S("BucketAlreadyExists")))
        screen_say(s, "%s: the name is taken by somebody else; set another LW_S3_BUCKET", what.p);
    else
        screen_say(s,
                   "%s: refused with %d " STR_FMT "; check the AWS_ variables and "
                   "LW_S3_ENDPOINT",
                   what.p, rq->http.status, STR_ARG(code));
    buf_fini(&what);
    return e != ERR_OK ? e : ERR_REMOTE;
}

/* A store that is still starting refuses connections or says "later". */
static enum err ask_until_heard(const struct conf *c, struct screen *s, struct s3 *s3,
                                struct httpc *http, struct s3_req *rq)
{
    mono_t limit = mono_after_ms(mono_now(), BUCKET_MS);
    for (;;) {
        enum err e = s3_create_bucket(s3, rq, wall_now());
        if (e != ERR_OK)
            return say_failed(s, e, c->s3.endpoint, "the request could not be signed");
        e = httpc_perform(http, &rq->http);
        enum s3_verdict verdict = s3_verdict(&rq->http, e);
        if (verdict == S3_OK)
            return ERR_OK;
        mono_t again = mono_after_ms(mono_now(), PAUSE_MS);
        if (verdict != S3_RETRY || again.ns >= limit.ns)
            return explain_bucket(c, s, rq, e);
        screen_status(s, S("waiting for the store..."));
        for (int64_t left; (left = mono_until_ms(mono_now(), again)) > 0;)
            httpc_poll(http, NULL, 0, left);
    }
}

static enum err make_bucket(const struct conf *c, struct screen *s)
{
    struct s3 s3;
    struct cred *cred = NULL;
    struct s3_req rq = { 0 };
    struct httpc *http;
    struct errbuf eb = { "" };
    const struct httpc_conf hc = { .ca_bundle = c->aws.ca_bundle,
                                   .max_idle = 1,
                                   .user_agent = "labelwire-cli/" SVC_VERSION };
    enum err e = httpc_open(&http, &hc, &eb);
    if (e != ERR_OK)
        return say_failed(s, e, "AWS_CA_BUNDLE", eb.text);
    e = cred_open(&cred, &c->aws, &eb);
    if (e == ERR_OK)
        e = s3_init(&s3, &c->s3, str_of(c->aws.region), cred, &eb);
    if (e == ERR_OK) {
        e = ask_until_heard(c, s, &s3, http, &rq);
        s3_fini(&s3);
    } else {
        (void)say_failed(s, e, c->s3.endpoint, eb.text);
    }
    if (e == ERR_OK) {
        struct buf out = BUF_INIT(SCREEN_TEXT_MAX);
        buf_printf(&out, "bucket at %s:\n  %s\n", c->s3.endpoint, c->s3.bucket);
        e = screen_print(s, &out) ? ERR_OK : ERR_CLOSED;
        buf_fini(&out);
    }
    s3_req_fini(&rq);
    cred_close(cred);
    httpc_close(http);
    return e;
}

/* ---- the verb and its parts ---------------------------------------------------------------- */

static enum err check_replicas(const struct conf *c, struct screen *s)
{
    if (c->replicas != 0)
        return ERR_OK;
    return say_failed(s, ERR_INVAL, "--replicas",
                      "0 keeps nothing; want 1 or more, or -1 for "
                      "the broker's default");
}

static int run_topics(const void *arg, char *const *operands, size_t n)
{
    const struct conf *c = arg;
    struct screen s;
    (void)operands;
    (void)n;
    screen_init(&s, &c->screen);
    if (check_replicas(c, &s) != ERR_OK)
        return EXIT_USAGE;
    return make_topics(c, &s) == ERR_OK ? EXIT_WELL : EXIT_FAILED;
}

static int run_bucket(const void *arg, char *const *operands, size_t n)
{
    const struct conf *c = arg;
    struct screen s;
    (void)operands;
    (void)n;
    screen_init(&s, &c->screen);
    return make_bucket(c, &s) == ERR_OK ? EXIT_WELL : EXIT_FAILED;
}

/* What is missing afterwards has been told, so the second half is done in any case. */
static int run_both(const void *arg, char *const *operands, size_t n)
{
    int topics = run_topics(arg, operands, n);
    if (topics == EXIT_USAGE)
        return topics;
    int bucket = run_bucket(arg, operands, n);
    return topics != EXIT_WELL ? topics : bucket;
}

static const struct conf_key flag_keys[] = {
    { "--partitions", CONF_INT, offsetof(struct conf, partitions), .def = "4", .min = 1,
      .max = PARTITIONS_MAX },
    { "--replicas", CONF_INT, offsetof(struct conf, replicas), .def = "-1", .min = -1, .max = 32 },
};

/* In an order in which each part's groups stand together. */
static const struct conf_group groups[] = {
    { NULL, flag_keys, N_OF(flag_keys), 0 },
    { "Kafka", kafka_conf_keys, N_OF(kafka_conf_keys), offsetof(struct conf, kafka) },
    SCREEN_CONF_GROUP(struct conf, screen),
    { "AWS", aws_conf_keys, N_OF(aws_conf_keys), offsetof(struct conf, aws) },
    { "S3", s3_conf_keys, N_OF(s3_conf_keys), offsetof(struct conf, s3) },
};

static const struct verb_flag flags[] = {
    { "--brokers", "LIST", "LW_KAFKA_BROKERS", "Kafka as host:port,... (LW_KAFKA_BROKERS)" },
    { "--partitions", "N", "--partitions", "of each new topic (4)" },
    { "--replicas", "N", "--replicas", "of each new topic (-1: the broker's default)" },
};

static const struct verb parts[] = {
    { .name = "setup topics",
      .operands = "",
      .about = "create the Kafka topics that are missing",
      .example = "labelwire setup topics --brokers kafka:9092 --replicas 3",
      .flags = flags,
      .n_flags = N_OF(flags),
      .conf = groups,
      .n_conf = 3,
      .conf_size = sizeof(struct conf),
      .run = run_topics },
    { .name = "setup bucket",
      .operands = "",
      .about = "create the S3 bucket if it is missing",
      .example = "LW_S3_BUCKET=pictures labelwire setup bucket",
      .conf = groups + 2,
      .n_conf = 3,
      .conf_size = sizeof(struct conf),
      .run = run_bucket },
    { .name = "setup epoch",
      .operands = "",
      .about = "tell whether Redis and the bucket go together",
      .more = "Every installation has an epoch, in Redis and in the bucket.  When Redis lost its "
              "data the\n"
              "services refuse to work, because they would answer 404 for blobs that were "
              "accepted.  Restore\n"
              "Redis, or give the data up with --accept-loss and restart every service.\n"
              "Exit code 1 when data was lost.\n",
      .example = "labelwire setup epoch",
      .flags = epoch_flags,
      .n_flags = EPOCH_FLAGS,
      .conf = epoch_groups,
      .n_conf = EPOCH_GROUPS,
      .conf_size = sizeof(struct epoch_conf),
      .run = epoch_run },
};

const struct verb verb_setup = {
    .name = "setup",
    .operands = "",
    .about = "create what is missing: the Kafka topics and the S3 bucket",
    .more =
        "Without a word it makes topics and bucket.  Repeating it does no harm: what exists is\n"
        "left as it is.  A broker or store that is still starting is waited for.\n"
        "`setup epoch` creates nothing: it tells whether Redis lost its data.\n",
    .example = "labelwire setup topics",
    .flags = flags,
    .n_flags = N_OF(flags),
    .conf = groups,
    .n_conf = N_OF(groups),
    .conf_size = sizeof(struct conf),
    .parts = parts,
    .n_parts = N_OF(parts),
    .run = run_both,
};
