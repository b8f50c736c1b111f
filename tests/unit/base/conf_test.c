#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/conf.h"

struct one {
    char *url, *secret;
    int64_t shards, window_ms, body_bytes;
};
struct two {
    bool anonymous;
    int level;
    char *name;
};
struct all {
    int64_t before;
    struct one one;
    struct two two;
};

static enum err starts_with_h(struct str value, struct errbuf *eb)
{
    if (str_starts(value, S("h")))
        return ERR_OK;
    return errbuf_set(eb, ERR_INVAL, "something with h");
}

static enum err long_enough(struct str value, struct errbuf *eb)
{
    return value.n >= 8 ? ERR_OK : errbuf_set(eb, ERR_INVAL, "at least 8 characters");
}

static const struct conf_key keys_one[] = {
    { "LW_URL", CONF_TEXT, offsetof(struct one, url), .def = "http://h", .check = starts_with_h,
      .doc = "Where the other is." },
    { "LW_SECRET", CONF_TEXT, offsetof(struct one, secret), .flags = CONF_REQUIRED | CONF_SECRET,
      .check = long_enough, .doc = "Signs links." },
    { "LW_SHARDS", CONF_INT, offsetof(struct one, shards), .def = "1", .min = 1, .max = 64,
      .doc = "Parts of the key space." },
    { "LW_UPLOAD_WINDOW", CONF_MS, offsetof(struct one, window_ms), .def = "15m", .min = 1000,
      .max = 43200000, .doc = "How long a link lives." },
    { "LW_MAX_BODY", CONF_BYTES, offsetof(struct one, body_bytes), .def = "8KiB", .min = 0,
      .max = 15 << 20, .doc = "Longest request." },
};
static const struct conf_key keys_two[] = {
    { "LW_ANONYMOUS", CONF_BOOL, offsetof(struct two, anonymous), .def = "on",
      .doc = "Callers without key." },
    { "LW_LOG_LEVEL", CONF_CHOICE, offsetof(struct two, level), .def = "info",
      .choices = "debug|info|warn", .doc = "Least important line written." },
    { "LW_NAME", CONF_TEXT, offsetof(struct two, name), .doc = "Any." },
};
static const struct conf_group groups[] = {
    { "First", keys_one, N_OF(keys_one), offsetof(struct all, one) },
    { "Second", keys_two, N_OF(keys_two), offsetof(struct all, two) },
};

#define SECRET "LW_SECRET=correct-horse"

/* environ's type is older than const. */
static enum err load_into(struct all *c, const char **environment, struct buf *problems)
{
    return conf_load(c, groups, N_OF(groups), (char *const *)(uintptr_t)environment, problems);
}

static void load(struct all *c, const char **environment, enum err want, const char *problems)
{
    struct buf got = BUF_INIT(4096);
    *c = (struct all){ .before = 77 };
    enum err e = load_into(c, environment, &got);
    if (e != want || !str_eq(buf_str(&got), str_of(problems)))
        fail_msg("%s, problems:\n%swant:\n%s", err_name(e), got.p, problems);
    assert_int_equal(c->before, 77);
    buf_fini(&got);
}

static void defaults(void **state)
{
    (void)state;
    struct all c;
    const char *env[] = { "PATH=/bin", SECRET, "lw_url=ignored", "XLW_URL=x", NULL };
    load(&c, env, ERR_OK, "");
    assert_string_equal(c.one.url, "http://h");
    assert_string_equal(c.one.secret, "correct-horse");
    assert_int_equal(c.one.shards, 1);
    assert_int_equal(c.one.window_ms, 900000);
    assert_int_equal(c.one.body_bytes, 8192);
    assert_true(c.two.anonymous);
    assert_int_equal(c.two.level, 1);
    assert_string_equal(c.two.name, "");
    conf_fini(&c, groups, N_OF(groups));
    conf_fini(&c, groups, N_OF(groups)); /* twice is fine */
}

static void values(void **state)
{
    (void)state;
    struct all c;
    const char *env[] = { SECRET,
                          "LW_URL= https://x?a=b ",
                          "LW_SHARDS=64",
                          "LW_UPLOAD_WINDOW=1s",
                          "LW_MAX_BODY=0",
                          "LW_ANONYMOUS=off",
                          "LW_LOG_LEVEL=warn",
                          "LW_NAME=a=b, c",
                          "LW_SHARDS=2" /* the first counts */,
                          NULL };
    load(&c, env, ERR_OK, "");
    assert_string_equal(c.one.url, "https://x?a=b"); /* trimmed; '=' is part of it */
    assert_int_equal(c.one.shards, 64);
    assert_int_equal(c.one.window_ms, 1000);
    assert_int_equal(c.one.body_bytes, 0);
    assert_false(c.two.anonymous);
    assert_int_equal(c.two.level, 2);
    assert_string_equal(c.two.name, "a=b, c");
    conf_fini(&c, groups, N_OF(groups));
    const char *empty[] = { SECRET, "LW_URL=", "LW_SHARDS=  ", "LW_NAME=", NULL }; /* as if unset */
    load(&c, empty, ERR_OK, "");
    assert_string_equal(c.one.url, "http://h");
    conf_fini(&c, groups, N_OF(groups));
}

static void all_problems_at_once(void **state)
{
    (void)state;
    struct all c;
    const char *env[] = { "LW_URL=ftp://x",
                          "LW_SECRET=hunter2",
                          "LW_SHARDS=65",
                          "LW_UPLOAD_WINDOW=30",
                          "LW_MAX_BODY=16MiB",
                          "LW_ANONYMOUS=yes",
                          "LW_LOG_LEVEL=INFO",
                          "LW_UPLOAD_WINDOWS=1h",
                          "LW_COMPLETELY_DIFFERENT=1",
                          "LW_SHARD",
                          NULL };
    load(&c, env, ERR_CONFIG,
         "LW_URL: got 'ftp://x', want something with h\n"
         "LW_SECRET: got '<secret>', want at least 8 characters\n"
         "LW_SHARDS: got '65', want a whole number, from 1 to 64\n"
         "LW_UPLOAD_WINDOW: got '30', want a duration such as 250ms, 10s, 5m, 2h or 30d, from 1s "
         "to 12h\n"
         "LW_MAX_BODY: got '16MiB', want a size such as 512, 64KiB or 15MiB, from 0 to 15MiB\n"
         "LW_ANONYMOUS: got 'yes', want on or off\n"
         "LW_LOG_LEVEL: got 'INFO', want one of debug|info|warn\n"
         "LW_UPLOAD_WINDOWS: unknown variable; did you mean LW_UPLOAD_WINDOW?\n"
         "LW_COMPLETELY_DIFFERENT: unknown variable; see --config-help\n"
         "LW_SHARD: unknown variable; did you mean LW_SHARDS?\n");
    conf_fini(&c, groups, N_OF(groups));
}

static void one_problem(void **state)
{
    static const struct {
        const char *setting;
        const char *want;
    } rows[] = {
        { "LW_SHARDS=0", "LW_SHARDS: got '0', want a whole number, from 1 to 64\n" },
        { "LW_SHARDS=-1", "LW_SHARDS: got '-1', want a whole number, from 1 to 64\n" },
        { "LW_SHARDS=1.5", "LW_SHARDS: got '1.5', want a whole number, from 1 to 64\n" },
        { "LW_SHARDS=99999999999999999999",
          "LW_SHARDS: got '99999999999999999999', want a whole number, from 1 to 64\n" },
        { "LW_UPLOAD_WINDOW=999ms", "LW_UPLOAD_WINDOW: got '999ms', want a duration such as 250ms, "
                                    "10s, 5m, 2h or 30d, from 1s to 12h\n" },
        { "LW_UPLOAD_WINDOW=13h", "LW_UPLOAD_WINDOW: got '13h', want a duration such as 250ms, "
                                  "10s, 5m, 2h or 30d, from 1s to 12h\n" },
        { "LW_ANONYMOUS=1", "LW_ANONYMOUS: got '1', want on or off\n" },
        { "LW_LOG_LEVEL=debug|info",
          "LW_LOG_LEVEL: got 'debug|info', want one of debug|info|warn\n" },
        { "LW_URL=\x1b[2Jx\ny", "LW_URL: got '?[2Jx?y', want something with h\n" },
        { "LW_X\ny=1", "LW_X?y: unknown variable; did you mean LW_URL?\n" },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct all c;
        const char *env[] = { SECRET, rows[i].setting, NULL };
        load(&c, env, ERR_CONFIG, rows[i].want);
        conf_fini(&c, groups, N_OF(groups));
    }
    struct all c;
    const char *none[] = { "LW_SECRET= ", NULL };
    load(&c, none, ERR_CONFIG, "LW_SECRET: not set; Signs links.\n");
    conf_fini(&c, groups, N_OF(groups));
}

static void never_ok_when_problems_do_not_fit(void **state)
{
    (void)state;
    struct all c = { .before = 0 };
    struct buf got = BUF_INIT(3);
    const char *env[] = { NULL };
    assert_int_equal(load_into(&c, env, &got), ERR_CONFIG);
    conf_fini(&c, groups, N_OF(groups));
    buf_fini(&got);
}

static void manuals(void **state)
{
    static const char *const want[] = {
        [CONF_AS_TEXT] = "Second\n\n"
                         "  LW_ANONYMOUS\n      Callers without key.\n      on or off; default on\n"
                         "  LW_LOG_LEVEL\n      Least important line written.\n"
                         "      one of debug|info|warn; default info\n"
                         "  LW_NAME\n      Any.\n      text; default empty\n",
        [CONF_AS_MD] =
            "\n### Second\n\n| variable | default | what it means | value |\n|---|---|---|---|\n"
            "| `LW_ANONYMOUS` | `on` | Callers without key. | on or off |\n"
            "| `LW_LOG_LEVEL` | `info` | Least important line written. "
            "| one of debug\\|info\\|warn |\n"
            "| `LW_NAME` | empty | Any. | text |\n",
        [CONF_AS_ENV] = "## Second\n\n"
                        "# Callers without key.\n# on or off\n#LW_ANONYMOUS=on\n\n"
                        "# Least important line written.\n# one of debug|info|warn\n"
                        "#LW_LOG_LEVEL=info\n\n"
                        "# Any.\n# text\n#LW_NAME=\n\n",
    };
    static const char *const required[] = {
        [CONF_AS_TEXT] = "  LW_SECRET\n      Signs links.\n      text; required\n",
        [CONF_AS_MD] = "| `LW_SECRET` | **required** | Signs links. | text |\n",
        [CONF_AS_ENV] = "# Signs links.\n# text\nLW_SECRET=\n\n",
    };
    (void)state;
    for (int as = CONF_AS_TEXT; as <= CONF_AS_ENV; as++) {
        struct buf out = BUF_INIT(8192);
        conf_manual(&out, groups, N_OF(groups), (enum conf_format)as);
        if (!str_ends(buf_str(&out), str_of(want[as])) || strstr(out.p, required[as]) == NULL)
            fail_msg("format %d:\n%s", as, out.p);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(values),
        cmocka_unit_test(all_problems_at_once),
        cmocka_unit_test(one_problem),
        cmocka_unit_test(never_ok_when_problems_do_not_fit),
        cmocka_unit_test(manuals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
