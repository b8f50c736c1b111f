#include "base/conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define OUR_PREFIX "LW_"

static void *field(void *conf, const struct conf_group *g, const struct conf_key *k)
{
    return (char *)conf + g->offset + k->offset;
}

static struct str lookup(char *const *environment, struct str name)
{
    for (; *environment != NULL; environment++) {
        struct str line = str_of(*environment);
        if (str_starts(line, name) && line.n > name.n && line.p[name.n] == '=')
            return str_from(line, name.n + 1);
    }
    return STR_NONE;
}

/* One line stays one line, and a terminal is not driven by a value. */
static void put_shown(struct buf *problems, struct str s)
{
    for (size_t i = 0; i < s.n && i < 64; i++)
        buf_putc(problems, (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i]);
}

static void problem(struct buf *problems, const struct conf_key *k, struct str got,
                    const char *want)
{
    buf_printf(problems, "%s: got '", k->name);
    put_shown(problems, (k->flags & CONF_SECRET) != 0 ? S("<secret>") : got);
    buf_printf(problems, "', want %s\n", want);
}

static enum err read_number(const struct conf_key *k, struct str value, int64_t *out)
{
    enum err e = k->type == CONF_INT  ? str_to_i64(value, out)
                 : k->type == CONF_MS ? str_to_ms(value, out)
                                      : str_to_bytes(value, out);
    bool limited = k->min != 0 || k->max != 0;
    if (e == ERR_OK && limited && (*out < k->min || *out > k->max))
        return ERR_RANGE;
    return e;
}

/* Writes a number in the unit in which people would write it. */
static void put_number(struct buf *out, enum conf_type type, int64_t v)
{
    static const struct {
        enum conf_type type;
        int64_t factor;
        const char *suffix;
    } units[] = {
        { CONF_MS, 86400000, "d" },     { CONF_MS, 3600000, "h" },
        { CONF_MS, 60000, "m" },        { CONF_MS, 1000, "s" },
        { CONF_MS, 1, "ms" },           { CONF_BYTES, 1 << 30, "GiB" },
        { CONF_BYTES, 1 << 20, "MiB" }, { CONF_BYTES, 1 << 10, "KiB" },
    };
    for (size_t i = 0; i < N_OF(units); i++)
        if (units[i].type == type && v != 0 && v % units[i].factor == 0) {
            buf_printf(out, "%lld%s", (long long)(v / units[i].factor), units[i].suffix);
            return;
        }
    buf_printf(out, "%lld", (long long)v);
}

/* "a duration such as 250ms, 10s or 5m, from 1s to 1h" */
static void put_want(struct buf *out, const struct conf_key *k)
{
    static const char *const kinds[] = {
        [CONF_TEXT] = "text",
        [CONF_INT] = "a whole number",
        [CONF_MS] = "a duration such as 250ms, 10s, 5m, 2h or 30d",
        [CONF_BYTES] = "a size such as 512, 64KiB or 15MiB",
        [CONF_BOOL] = "on or off",
        [CONF_CHOICE] = "one of ",
    };
    buf_puts(out, kinds[k->type]);
    if (k->type == CONF_CHOICE)
        buf_puts(out, k->choices);
    if (k->min != 0 || k->max != 0) {
        buf_puts(out, ", from ");
        put_number(out, k->type, k->min);
        buf_puts(out, " to ");
        put_number(out, k->type, k->max);
    }
}

static bool read_choice(const struct conf_key *k, struct str value, int *out)
{
    struct str words = str_of(k->choices), word;
    for (int i = 0; str_cut(&words, '|', &word); i++)
        if (str_eq(word, value)) {
            *out = i;
            return true;
        }
    return false;
}

static void load_key(void *at, const struct conf_key *k, struct str value, struct buf *problems)
{
    struct buf want = BUF_INIT(256);
    put_want(&want, k);
    switch (k->type) {
    case CONF_TEXT: {
        char *copy = xcalloc(value.n + 1, 1);
        struct errbuf eb = { "" };
        if (str_copy(copy, value.n + 1, value) != ERR_OK)
            problem(problems, k, value, "text without NUL");
        else if (value.n > 0 && k->check != NULL && k->check(value, &eb) != ERR_OK)
            problem(problems, k, value, eb.text);
        free(*(char **)at);
        *(char **)at = copy;
        break;
    }
    case CONF_INT:
    case CONF_MS:
    case CONF_BYTES:
        if (value.n > 0 && read_number(k, value, at) != ERR_OK)
            problem(problems, k, value, want.p);
        break;
    case CONF_BOOL:
        if (!str_eq(value, S("on")) && !str_eq(value, S("off")) && value.n > 0)
            problem(problems, k, value, want.p);
        *(bool *)at = str_eq(value, S("on"));
        break;
    case CONF_CHOICE:
        if (value.n > 0 && !read_choice(k, value, at))
            problem(problems, k, value, want.p);
        break;
    }
    buf_fini(&want);
}

/* Edit distance of two short names, for the suggestion only. */
static size_t distance(struct str a, struct str b)
{
    size_t row[65];
    if (a.n > 64 || b.n > 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[b.n];
}

static const char *nearest(struct str name, const struct conf_group *groups, size_t n)
{
    const char *best = NULL;
    size_t least = 6; /* further away is no suggestion */
    for (size_t g = 0; g < n; g++)
        for (size_t i = 0; i < groups[g].n; i++) {
            size_t d = distance(name, str_of(groups[g].keys[i].name));
            if (d < least) {
                least = d;
                best = groups[g].keys[i].name;
            }
        }
    return best;
}

static bool is_known(struct str name, const struct conf_group *groups, size_t n)
{
    for (size_t g = 0; g < n; g++)
        for (size_t i = 0; i < groups[g].n; i++)
            if (str_eq(name, str_of(groups[g].keys[i].name)))
                return true;
    return false;
}

static void refuse_unknown(const struct conf_group *groups, size_t n, char *const *environment,
                           struct buf *problems)
{
    for (; *environment != NULL; environment++) {
        struct str line = str_of(*environment), name;
        if (!str_starts(line, S(OUR_PREFIX)) || !str_cut(&line, '=', &name) ||
            is_known(name, groups, n))
            continue;
        const char *near = nearest(name, groups, n);
        put_shown(problems, name);
        buf_printf(problems, ": unknown variable%s%s%s\n",
                   near != NULL ? "; did you mean " : "; see --config-help",
                   near != NULL ? near : "", near != NULL ? "?" : "");
    }
}

enum err conf_load(void *conf, const struct conf_group *groups, size_t n, char *const *environment,
                   struct buf *problems)
{
    for (size_t g = 0; g < n; g++)
        for (size_t i = 0; i < groups[g].n; i++) {
            const struct conf_key *k = &groups[g].keys[i];
            void *at = field(conf, &groups[g], k);
            struct str value = str_trim(lookup(environment, str_of(k->name)));
            load_key(at, k, str_of(k->def), problems);
            if (value.n > 0)
                load_key(at, k, value, problems);
            else if ((k->flags & CONF_REQUIRED) != 0 && k->def == NULL)
                buf_printf(problems, "%s: not set; %s\n", k->name, k->doc);
        }
    refuse_unknown(groups, n, environment, problems);
    return problems->n > 0 || buf_failed(problems) ? ERR_CONFIG : ERR_OK;
}

void conf_fini(void *conf, const struct conf_group *groups, size_t n)
{
    for (size_t g = 0; g < n; g++)
        for (size_t i = 0; i < groups[g].n; i++)
            if (groups[g].keys[i].type == CONF_TEXT) {
                char **text = field(conf, &groups[g], &groups[g].keys[i]);
                free(*text);
                *text = NULL;
            }
}

/* "|" would end the cell of a Markdown table. */
static void put_escaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_printf(out, s.p[i] == '|' ? "\\%c" : "%c", s.p[i]);
}

static void manual_key(struct buf *out, const struct conf_key *k, enum conf_format as)
{
    struct buf want = BUF_INIT(256);
    put_want(&want, k);
    bool required = (k->flags & CONF_REQUIRED) != 0 && k->def == NULL;
    const char *def = k->def == NULL ? "" : k->def;
    switch (as) {
    case CONF_AS_TEXT:
        buf_printf(out, "  %s\n      %s\n      %s%s%s\n", k->name, k->doc, want.p,
                   required ? "; required" : "; default ",
                   required ? ""
                   : def[0] ? def
                            : "empty");
        break;
    case CONF_AS_MD:
        buf_printf(out, "| `%s` | %s%s%s | %s | ", k->name, def[0] ? "`" : "",
                   required ? "**required**"
                   : def[0] ? def
                            : "empty",
                   def[0] ? "`" : "", k->doc);
        put_escaped(out, buf_str(&want));
        buf_puts(out, " |\n");
        break;
    case CONF_AS_ENV:
        buf_printf(out, "# %s\n# %s\n%s%s=%s\n\n", k->doc, want.p, required ? "" : "#", k->name,
                   def);
        break;
    }
    buf_fini(&want);
}

void conf_manual(struct buf *out, const struct conf_group *groups, size_t n, enum conf_format as)
{
    for (size_t g = 0; g < n; g++) {
        if (as == CONF_AS_MD)
            buf_printf(
                out,
                "\n### %s\n\n| variable | default | what it means | value |\n|---|---|---|---|\n",
                groups[g].title);
        else
            buf_printf(out, "%s%s\n\n", as == CONF_AS_ENV ? "## " : "", groups[g].title);
        for (size_t i = 0; i < groups[g].n; i++)
            manual_key(out, &groups[g].keys[i], as);
    }
}
