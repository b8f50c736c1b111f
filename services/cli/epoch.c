#include "cli/epoch.h"

#include "blob/epoch.h"
#include "net/httpc.h"
#include "svc/svc.h"

static const struct conf_key flag_keys[] = {
    { "--accept-loss", CONF_BOOL, offsetof(struct epoch_conf, accept_loss), .def = "off" },
};

const struct conf_group epoch_groups[EPOCH_GROUPS] = {
    { NULL, flag_keys, N_OF(flag_keys), 0 },
    { "Redis", redis_conf_keys, N_OF(redis_conf_keys), offsetof(struct epoch_conf, repo.redis) },
    { "Records", repo_conf_keys, N_OF(repo_conf_keys), offsetof(struct epoch_conf, repo) },
    SCREEN_CONF_GROUP(struct epoch_conf, screen),
    { "AWS", aws_conf_keys, N_OF(aws_conf_keys), offsetof(struct epoch_conf, aws) },
    { "S3", s3_conf_keys, N_OF(s3_conf_keys), offsetof(struct epoch_conf, s3) },
};

const struct verb_flag epoch_flags[EPOCH_FLAGS] = {
    { "--accept-loss", NULL, "--accept-loss", "give up what Redis held, and begin anew" },
};

struct sides { /* what is compared */
    struct repo_epoch redis;
    char mirror[UUID_LEN + 2];
};

static enum err ask_bucket(const struct epoch_conf *c, struct screen *s, struct s3 *s3,
                           struct httpc *http, const char *method, char text[UUID_LEN + 2])
{
    struct s3_req rq = { 0 };
    const struct s3_ask ask = { .method = method, .key = S(OBJECT_EPOCH) };
    enum err e = s3_request(s3, &rq, &ask, wall_now());
    if (e == ERR_OK) {
        e = httpc_perform(http, &rq.http);
        enum s3_verdict verdict = s3_verdict(&rq.http, e);
        struct str got = verdict == S3_OK ? str_trim(buf_str(&rq.http.answer)) : S("");
        bool good = (verdict == S3_OK || verdict == S3_ABSENT) &&
                    str_copy(text, UUID_LEN + 2, str_head(got, UUID_LEN + 1)) == ERR_OK;
        if (!good)
            screen_say(s, "bucket %s at %s: %s of %s failed: %s %d " STR_FMT, c->s3.bucket,
                       c->s3.endpoint, method, OBJECT_EPOCH, rq.http.why, rq.http.status,
                       STR_ARG(s3_error_code(&rq.http)));
        e = good ? ERR_OK : ERR_REMOTE;
    }
    s3_req_fini(&rq);
    return e;
}

static enum err ask_redis(const struct epoch_conf *c, struct screen *s, struct repo_epoch *out)
{
    struct repo r;
    struct errbuf eb = { "" };
    enum err e = repo_open(&r, &c->repo, NULL, "cli", &eb);
    if (e == ERR_OK)
        e = repo_epoch(&r, out);
    if (e != ERR_OK)
        screen_say(s, "Redis (LW_REDIS_URL): %s%s; is it up? try `make up`", eb.text,
                   eb.text[0] == '\0' ? err_name(e) : "");
    repo_close(&r);
    return e;
}

static enum epoch_verdict judge(const struct sides *of)
{
    return epoch_judge(str_of(of->redis.facts), of->redis.differing, str_of(of->mirror));
}

static bool print_sides(struct screen *s, const struct epoch_conf *c, const struct sides *of)
{
    static const char none[] = "none";
    struct buf out = BUF_INIT(SCREEN_TEXT_MAX);
    buf_printf(&out, "epoch of Redis:  %s", of->redis.facts[0] != '\0' ? of->redis.facts : none);
    if (of->redis.facts[0] != '\0' && of->redis.differing > 0)
        buf_printf(&out, ", not in %u of %lld shards", of->redis.differing,
                   (long long)c->repo.shards);
    buf_printf(&out, "\nepoch of bucket: %s\n%s\n", of->mirror[0] != '\0' ? of->mirror : none,
               epoch_text(judge(of)));
    bool good = screen_print(s, &out);
    buf_fini(&out);
    return good;
}

static enum err accept_loss(const struct epoch_conf *c, struct screen *s, struct s3 *s3,
                            struct httpc *http, const struct sides *of)
{
    char ignored[UUID_LEN + 2];
    enum epoch_verdict v = judge(of);
    if (v < EPOCH_LOST) {
        screen_say(s, "nothing is lost, so nothing is done");
        return ERR_OK;
    }
    if (v == EPOCH_PARTLY) {
        screen_say(s, "the other shards still hold their data: restore those that lost it, or "
                      "empty all of Redis (FLUSHALL) and run this again");
        return ERR_CONFLICT;
    }
    screen_say(s, "blobs that Redis does not hold any more are given up: they answer 404, nothing "
                  "is called back for them, and their images stay in the bucket");
    enum err e = ask_bucket(c, s, s3, http, "DELETE", ignored);
    if (e == ERR_OK)
        screen_say(s, "the bucket's epoch is removed; now restart every service, and the "
                      "upload-watcher begins anew with what Redis holds");
    return e;
}

static enum err look_and_act(const struct epoch_conf *c, struct screen *s, struct s3 *s3,
                             struct httpc *http)
{
    struct sides sides = { .mirror = "" };
    enum err e = ask_bucket(c, s, s3, http, "GET", sides.mirror);
    if (e == ERR_OK)
        e = ask_redis(c, s, &sides.redis);
    if (e == ERR_OK && !print_sides(s, c, &sides))
        e = ERR_CLOSED;
    if (e != ERR_OK || c->accept_loss)
        return e != ERR_OK ? e : accept_loss(c, s, s3, http, &sides);
    return judge(&sides) < EPOCH_LOST ? ERR_OK : ERR_MISSING; /* a script is to notice */
}

int epoch_run(const void *arg, char *const *operands, size_t n)
{
    const struct epoch_conf *c = arg;
    struct screen s;
    struct s3 s3;
    struct cred *cred = NULL;
    struct httpc *http;
    struct errbuf eb = { "" };
    const struct httpc_conf hc = { .ca_bundle = c->aws.ca_bundle,
                                   .max_idle = 1,
                                   .user_agent = "labelwire-cli/" SVC_VERSION };
    (void)operands;
    (void)n;
    screen_init(&s, &c->screen);
    enum err e = httpc_open(&http, &hc, &eb);
    if (e != ERR_OK) {
        screen_say(&s, "AWS_CA_BUNDLE: %s", eb.text);
        return EXIT_FAILED;
    }
    e = cred_open(&cred, &c->aws, &eb);
    if (e == ERR_OK)
        e = s3_init(&s3, &c->s3, str_of(c->aws.region), cred, &eb);
    if (e == ERR_OK) {
        e = look_and_act(c, &s, &s3, http);
        s3_fini(&s3);
    } else {
        screen_say(&s, "%s", eb.text);
    }
    cred_close(cred);
    httpc_close(http);
    return e == ERR_OK ? EXIT_WELL : EXIT_FAILED;
}
