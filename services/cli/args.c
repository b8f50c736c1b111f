#include "cli/args.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PROBLEMS_MAX 65536U

/* ---- reading ------------------------------------------------------------------------------- */

static const struct verb_flag *find_flag(const struct verb *v, struct str name)
{
    for (size_t i = 0; i < v->n_flags; i++)
        if (str_eq(str_of(v->flags[i].name), name))
            return &v->flags[i];
    return NULL;
}

static void add_line(struct args *a, const struct verb_flag *flag, struct str value)
{
    size_t n = strlen(flag->sets);
    char *text = xcalloc(n + 1 + value.n + 1, 1);
    memcpy(text, flag->sets, n);
    text[n] = '=';
    if (value.p != NULL)
        memcpy(text + n + 1, value.p, value.n);
    a->lines[a->n_lines++] = (struct args_line){ flag, text };
}

/* Reads the flag in `word`, whose value may be the next word; *next is moved past that one. */
static enum err read_flag(struct args *a, const struct verb *v, struct str word, char ***next,
                          struct errbuf *eb)
{
    struct str name = STR_NONE;
    (void)str_cut(&word, '=', &name);
    const struct verb_flag *flag = find_flag(v, name);
    if (flag == NULL)
        return errbuf_set(eb, ERR_INVAL, "unknown option '" STR_FMT "'",
                          STR_ARG(str_head(name, 64)));
    if (flag->value == NULL) {
        if (word.p != NULL)
            return errbuf_set(eb, ERR_INVAL, "%s takes no value", flag->name);
        add_line(a, flag, S("on"));
        return ERR_OK;
    }
    if (word.p == NULL && **next != NULL)
        word = str_of(*(*next)++);
    if (str_trim(word).n == 0)
        return errbuf_set(eb, ERR_INVAL, "%s wants a value: %s %s", flag->name, flag->name,
                          flag->value);
    add_line(a, flag, word);
    return ERR_OK;
}

enum err args_parse(struct args *out, const struct verb *v, int argc, char **argv,
                    struct errbuf *eb)
{
    size_t room = (size_t)argc + 1;
    bool flags_over = false;
    *out = (struct args){ .lines = xcalloc(room, sizeof *out->lines),
                          .operands = xcalloc(room, sizeof *out->operands) };
    for (char **next = argv; *next != NULL;) {
        char *text = *next++;
        struct str word = str_of(text);
        enum err e = ERR_OK;
        if (flags_over || word.n < 2 || word.p[0] != '-')
            out->operands[out->n_operands++] = text;
        else if (str_eq(word, S("--")))
            flags_over = true;
        else if (str_eq(word, S("-h")) || str_eq(word, S("--help")))
            out->help = true;
        else
            e = read_flag(out, v, word, &next, eb);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

void args_fini(struct args *a)
{
    for (size_t i = 0; i < a->n_lines; i++)
        free(a->lines[i].text);
    free(a->lines);
    free(a->operands);
    *a = (struct args){ 0 };
}

/* ---- configuration ------------------------------------------------------------------------- */

static bool has_row(const struct verb *v, struct str name)
{
    for (size_t g = 0; g < v->n_conf; g++)
        for (size_t i = 0; i < v->conf[g].n; i++)
            if (str_eq(str_of(v->conf[g].keys[i].name), name))
                return true;
    return false;
}

/* The flags, the last one typed first, and of the environment what has a row: the first line of
 * a name decides. */
static char **make_environment(const struct args *a, const struct verb *v, char *const *environment)
{
    size_t n = 0, n_environment = 0;
    while (environment[n_environment] != NULL)
        n_environment++;
    char **lines = xcalloc(a->n_lines + n_environment + 1, sizeof *lines);
    for (size_t i = a->n_lines; i > 0; i--)
        lines[n++] = a->lines[i - 1].text;
    for (size_t i = 0; i < n_environment; i++) {
        struct str line = str_of(environment[i]), name = STR_NONE;
        if (str_cut(&line, '=', &name) && has_row(v, name))
            lines[n++] = environment[i];
    }
    return lines;
}

static const char *typed_name(const struct args *a, struct str row)
{
    for (size_t i = a->n_lines; i > 0; i--)
        if (str_eq(str_of(a->lines[i - 1].flag->sets), row))
            return a->lines[i - 1].flag->name;
    return NULL;
}

enum err args_load(const struct args *a, const struct verb *v, void *conf, char *const *environment,
                   struct buf *problems)
{
    struct buf found = BUF_INIT(PROBLEMS_MAX);
    char **lines = make_environment(a, v, environment);
    enum err e = conf_load(conf, v->conf, v->n_conf, lines, &found);
    struct str rest = buf_str(&found), line;
    while (str_cut(&rest, '\n', &line) && line.n > 0) {
        struct str name = STR_NONE, text = line;
        (void)str_cut(&text, ':', &name);
        const char *typed = typed_name(a, name);
        buf_printf(problems, "%s" STR_FMT "\n", typed != NULL ? typed : "",
                   STR_ARG(typed != NULL ? str_from(line, name.n) : line));
    }
    free(lines);
    buf_fini(&found);
    return e;
}

/* ---- help ---------------------------------------------------------------------------------- */

void args_put_usage(struct buf *out, const struct verb *v)
{
    buf_printf(out, "usage: labelwire %s", v->name);
    for (size_t i = 0; i < v->n_parts; i++)
        buf_printf(out, "%s%s", i == 0 ? " [" : "|", strrchr(v->parts[i].name, ' ') + 1);
    buf_puts(out, v->n_parts > 0 ? "]" : "");
    for (size_t i = 0; i < v->n_flags; i++)
        buf_printf(out, " [%s%s%s]", v->flags[i].name, v->flags[i].value != NULL ? " " : "",
                   v->flags[i].value != NULL ? v->flags[i].value : "");
    buf_printf(out, "%s%s\n", v->operands[0] != '\0' ? " " : "", v->operands);
}

static void put_flag(struct buf *out, const char *name, const char *value, const char *doc)
{
    int used = (int)(strlen(name) + (value[0] != '\0') + strlen(value));
    buf_printf(out, "  %s%s%s%*s %s\n", name, value[0] != '\0' ? " " : "", value,
               used < 17 ? 17 - used : 0, "", doc);
}

void args_put_help(struct buf *out, const struct verb *v)
{
    buf_printf(out, "labelwire %s - %s\n\n", v->name, v->about);
    args_put_usage(out, v);
    buf_putc(out, '\n');
    for (size_t i = 0; i < v->n_flags; i++)
        put_flag(out, v->flags[i].name, v->flags[i].value != NULL ? v->flags[i].value : "",
                 v->flags[i].doc);
    put_flag(out, "-h, --help", "", "this text");
    if (v->more != NULL)
        buf_printf(out, "\n%s", v->more);
    buf_printf(out, "\nExample\n  %s\n\nEnvironment; a flag wins over its variable\n", v->example);
    for (size_t g = 0; g < v->n_conf; g++)
        if (v->conf[g].title != NULL) {
            buf_putc(out, '\n');
            conf_manual(out, &v->conf[g], 1, CONF_AS_TEXT);
        }
}
