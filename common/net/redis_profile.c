#include "net/redis_profile.h"

#define CROWDED_PERCENT 80
#define ROOMY_PERCENT   75

static const struct str names[REDIS_SETTINGS_N] = {
    [REDIS_APPENDONLY] = S("appendonly"),
    [REDIS_APPENDFSYNC] = S("appendfsync"),
    [REDIS_NO_FSYNC_ON_REWRITE] = S("no-appendfsync-on-rewrite"),
    [REDIS_MAXMEMORY_POLICY] = S("maxmemory-policy"),
};

static void set(struct redis_profile *p, enum redis_setting s, struct str value)
{
    if (str_copy(p->setting[s], sizeof p->setting[s], value) != ERR_OK)
        p->setting[s][0] = '\0';
}

static bool is(const struct redis_profile *p, enum redis_setting s, struct str value)
{
    return str_eq(str_of(p->setting[s]), value);
}

static bool known(const struct redis_profile *p, enum redis_setting s)
{
    return p->setting[s][0] != '\0';
}

/* "slave0:ip=10.0.0.7,port=6379,state=online,offset=14,lag=0" */
static bool is_replica_online(struct str name, struct str value)
{
    struct str part;
    uint64_t n;
    if (!str_starts(name, S("slave")) || str_to_u64(str_from(name, 5), &n) != ERR_OK)
        return false;
    while (str_cut(&value, ',', &part))
        if (str_eq(part, S("state=online")))
            return true;
    return false;
}

void redis_profile_info(struct redis_profile *p, struct str info)
{
    struct str line, name;
    p->replicas = 0;
    while (str_cut(&info, '\n', &line)) {
        struct str value = str_trim(line);
        if (!str_cut(&value, ':', &name))
            continue;
        if (str_eq(name, S("used_memory")))
            (void)!str_to_i64(value, &p->used_bytes);
        else if (str_eq(name, S("maxmemory")))
            (void)!str_to_i64(value, &p->max_bytes);
        else if (str_eq(name, S("maxmemory_policy")))
            set(p, REDIS_MAXMEMORY_POLICY, value);
        else if (str_eq(name, S("aof_enabled")))
            set(p, REDIS_APPENDONLY, str_eq(value, S("1")) ? S("yes") : S("no"));
        else if (str_eq(name, S("role")))
            p->read_only = str_eq(value, S("slave"));
        else if (is_replica_online(name, value))
            p->replicas++;
    }
}

void redis_profile_config(struct redis_profile *p, struct str name, struct str value)
{
    for (size_t s = 0; s < N_OF(names); s++)
        if (str_eq(name, names[s]))
            set(p, (enum redis_setting)s, value);
}

static enum err refuse(const struct redis_profile *p, enum redis_setting s, const char *profile,
                       const char *wanted, const char *other_way, struct errbuf *eb)
{
    return errbuf_set(eb, ERR_CONFIG,
                      "%s of Redis is %s, LW_REDIS_DURABILITY=%s wants %s: put \"%s %s\" in "
                      "redis.conf%s",
                      names[s].p, p->setting[s], profile, wanted, names[s].p, wanted, other_way);
}

static enum err check_standard(const struct redis_profile *p, struct errbuf *eb)
{
    if (p->replicas > 0)
        return ERR_OK;
    if (is(p, REDIS_APPENDONLY, S("no")))
        return errbuf_set(eb, ERR_CONFIG,
                          "appendonly of Redis is no and it has no replica, LW_REDIS_DURABILITY="
                          "standard wants one of them: put \"appendonly yes\" in redis.conf, or "
                          "connect a replica");
    if (is(p, REDIS_APPENDFSYNC, S("no")))
        return refuse(p, REDIS_APPENDFSYNC, "standard", "everysec", "", eb);
    return ERR_OK;
}

static enum err check_strict(const struct redis_profile *p, struct errbuf *eb)
{
    static const struct {
        enum redis_setting setting;
        const char *value;
    } wanted[] = {
        { REDIS_APPENDONLY, "yes" },
        { REDIS_APPENDFSYNC, "always" },
        { REDIS_NO_FSYNC_ON_REWRITE, "no" },
    };
    bool standard = check_standard(p, NULL) == ERR_OK;
    const char *other_way =
        standard ? ", or set LW_REDIS_DURABILITY=standard (a crash may lose seconds)" : "";
    for (size_t i = 0; i < N_OF(wanted); i++)
        if (known(p, wanted[i].setting) && !is(p, wanted[i].setting, str_of(wanted[i].value)))
            return refuse(p, wanted[i].setting, "strict", wanted[i].value, other_way, eb);
    return ERR_OK;
}

enum err redis_profile_check(const struct redis_profile *p, enum redis_durability want,
                             struct errbuf *eb)
{
    bool strict = want == REDIS_STRICT;
    if (known(p, REDIS_MAXMEMORY_POLICY) && !is(p, REDIS_MAXMEMORY_POLICY, S("noeviction")))
        return refuse(p, REDIS_MAXMEMORY_POLICY, strict ? "strict" : "standard", "noeviction", "",
                      eb);
    return strict ? check_strict(p, eb) : check_standard(p, eb);
}

void redis_profile_unknown(const struct redis_profile *p, struct buf *out)
{
    for (size_t s = 0; s < N_OF(names); s++)
        if (!known(p, (enum redis_setting)s)) {
            buf_puts(out, buf_str(out).n > 0 ? ", " : "");
            buf_put(out, names[s]);
        }
}

bool redis_profile_crowded(const struct redis_profile *p, bool was)
{
    int64_t percent = was ? ROOMY_PERCENT : CROWDED_PERCENT;
    return p->max_bytes > 0 && p->used_bytes * 100 >= p->max_bytes * percent;
}
