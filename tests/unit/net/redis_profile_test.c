/* What INFO and CONFIG GET say, against what records need.  The texts are those of Redis 7.0. */
#include "net/redis_profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define INFO                                                                                       \
    "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:4194304\r\n"          \
    "maxmemory_human:4.00M\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\nloading:0\r\n"       \
    "aof_enabled:1\r\naof_rewrite_in_progress:0\r\n# Replication\r\nrole:master\r\n"               \
    "connected_slaves:2\r\n"                                                                       \
    "slave0:ip=127.0.0.1,port=7001,state=online,offset=14,lag=0\r\n"                               \
    "slave1:ip=127.0.0.1,port=7002,state=wait_bgsave,offset=0,lag=0\r\n"                           \
    "slave_note:state=online\r\nmaster_replid:x\r\n"

static void info_is_read(void **state)
{
    (void)state;
    struct redis_profile p = { .replicas = 7 };
    redis_profile_info(&p, S(INFO));
    assert_int_equal(p.used_bytes, 1048576);
    assert_int_equal(p.max_bytes, 4194304);
    assert_string_equal(p.setting[REDIS_MAXMEMORY_POLICY], "noeviction");
    assert_string_equal(p.setting[REDIS_APPENDONLY], "yes");
    assert_string_equal(p.setting[REDIS_APPENDFSYNC], "");
    assert_int_equal(p.replicas, 1); /* the other one has nothing yet */
    assert_false(p.read_only);
    redis_profile_info(&p, S("role:slave\nslave_read_only:1\nno colon\n:\naof_enabled:0"));
    assert_true(p.read_only);
    assert_int_equal(p.replicas, 0);
    assert_string_equal(p.setting[REDIS_APPENDONLY], "no");
    struct redis_profile nothing = { .used_bytes = 0 };
    redis_profile_info(&nothing, STR_NONE);
    redis_profile_info(&nothing, S("maxmemory:lots\r\nused_memory:\r\n"));
    assert_int_equal(nothing.max_bytes + nothing.used_bytes, 0);
}

static void config_is_read(void **state)
{
    (void)state;
    struct redis_profile p = { .replicas = 0 };
    redis_profile_config(&p, S("appendfsync"), S("always"));
    redis_profile_config(&p, S("no-appendfsync-on-rewrite"), S("no"));
    redis_profile_config(&p, S("appendfilename"), S("appendonly.aof"));
    redis_profile_config(&p, S("appendonly"), S("a value that is too long to be any of them"));
    assert_string_equal(p.setting[REDIS_APPENDFSYNC], "always");
    assert_string_equal(p.setting[REDIS_NO_FSYNC_ON_REWRITE], "no");
    assert_string_equal(p.setting[REDIS_APPENDONLY], "");
    struct buf names = BUF_INIT(200);
    redis_profile_unknown(&p, &names);
    assert_string_equal(names.p, "appendonly, maxmemory-policy");
    buf_fini(&names);
}

static const struct {
    const char *aof, *fsync, *on_rewrite, *policy;
    unsigned replicas;
    const char *strict, *standard; /* what the refusal is about; NULL: none */
} table[] = {
    { "yes", "always", "no", "noeviction", 0, NULL, NULL },
    { "yes", "everysec", "no", "noeviction", 0, "appendfsync of Redis is everysec", NULL },
    { "yes", "no", "no", "noeviction", 0, "appendfsync of Redis is no",
      "\"appendfsync everysec\"" },
    { "yes", "no", "no", "noeviction", 1, "appendfsync of Redis is no", NULL },
    { "yes", "always", "yes", "noeviction", 0, "\"no-appendfsync-on-rewrite no\"", NULL },
    { "no", "everysec", "no", "noeviction", 0, "appendonly of Redis is no", "connect a replica" },
    { "no", "everysec", "no", "noeviction", 2, "appendonly of Redis is no", NULL },
    { "yes", "always", "no", "allkeys-lru", 0, "maxmemory-policy of Redis is allkeys-lru",
      "maxmemory-policy of Redis is allkeys-lru" },
    { "yes", "always", "no", "volatile-lru", 1, "\"maxmemory-policy noeviction\"", "volatile-lru" },
    { "yes", "", "", "noeviction", 0, NULL, NULL }, /* CONFIG is barred */
    { "", "", "", "", 0, NULL, NULL },
    { "no", "", "", "noeviction", 0, "appendonly of Redis is no", "appendonly of Redis is no" },
};

static void expect(const struct redis_profile *p, enum redis_durability want, const char *about)
{
    struct errbuf eb = { "" };
    assert_int_equal(redis_profile_check(p, want, &eb), about != NULL ? ERR_CONFIG : ERR_OK);
    if (about == NULL)
        return;
    if (strstr(eb.text, about) == NULL)
        fail_msg("%s: not about %s", eb.text, about);
    assert_non_null(strstr(eb.text, "redis.conf"));
    assert_true(strlen(eb.text) < sizeof eb.text - 1); /* nothing was cut */
    bool advised = strstr(eb.text, "or set LW_REDIS_DURABILITY=standard") != NULL;
    assert_int_equal(advised, /* only where that would do */
                     want == REDIS_STRICT &&
                         redis_profile_check(p, REDIS_STANDARD, NULL) == ERR_OK);
}

static void settings_against_profiles(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(table); i++) {
        struct redis_profile p = { .replicas = table[i].replicas };
        redis_profile_config(&p, S("appendonly"), str_of(table[i].aof));
        redis_profile_config(&p, S("appendfsync"), str_of(table[i].fsync));
        redis_profile_config(&p, S("no-appendfsync-on-rewrite"), str_of(table[i].on_rewrite));
        redis_profile_config(&p, S("maxmemory-policy"), str_of(table[i].policy));
        expect(&p, REDIS_STRICT, table[i].strict);
        expect(&p, REDIS_STANDARD, table[i].standard);
    }
}

static void crowded_from_80_percent_until_below_75(void **state)
{
    (void)state;
    static const struct {
        int64_t used, max;
        bool was, is;
    } rows[] = {
        { 79, 100, false, false }, { 80, 100, false, true },
        { 79, 100, true, true },   { 75, 100, true, true },
        { 74, 100, true, false },  { 200, 100, false, true },
        { 5, 0, false, false },    { 5, 0, true, false }, /* the limit was taken away */
        { 0, 0, true, false },     { INT64_C(3) << 40, INT64_C(4) << 40, true, true },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct redis_profile p = { .used_bytes = rows[i].used, .max_bytes = rows[i].max };
        if (redis_profile_crowded(&p, rows[i].was) != rows[i].is)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_is_read),
        cmocka_unit_test(config_is_read),
        cmocka_unit_test(settings_against_profiles),
        cmocka_unit_test(crowded_from_80_percent_until_below_75),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
