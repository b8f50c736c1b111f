#include "aws/profile.h"

enum err profile_check_key(struct str value, struct errbuf *eb)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] <= ' ' || value.p[i] == 0x7f)
            return errbuf_set(eb, ERR_INVAL, "no blanks, line ends or letters outside ASCII");
    return ERR_OK;
}

/* "[name]" and, as in the other file of AWS' tools, "[profile name]". */
static bool is_header_of(struct str line, struct str name)
{
    struct str inner;
    line = str_from(line, 1);
    if (!str_cut(&line, ']', &inner) || line.p == NULL)
        return false;
    inner = str_trim(inner);
    if (str_eq(inner, name))
        return true;
    return str_starts(inner, S("profile ")) && str_eq(str_trim(str_from(inner, 8)), name);
}

static void read_line(struct aws_creds *out, struct str line)
{
    struct str name;
    (void)str_cut(&line, '=', &name);
    name = str_trim(name);
    line = str_trim(line);
    if (str_eq_nocase(name, S("aws_access_key_id")))
        out->access_key = line;
    else if (str_eq_nocase(name, S("aws_secret_access_key")))
        out->secret_key = line;
    else if (str_eq_nocase(name, S("aws_session_token")))
        out->session_token = line.n > 0 ? line : STR_NONE;
}

static enum err check(const struct aws_creds *c, struct str name, struct errbuf *eb)
{
    const struct {
        const char *name;
        struct str value;
        bool needed;
    } rows[] = {
        { "aws_access_key_id", c->access_key, true },
        { "aws_secret_access_key", c->secret_key, true },
        { "aws_session_token", c->session_token, false },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct errbuf why = { "" };
        if (rows[i].needed && rows[i].value.n == 0)
            return errbuf_set(eb, ERR_CONFIG, "profile %.*s has no %s", STR_ARG(name),
                              rows[i].name);
        if (profile_check_key(rows[i].value, &why) != ERR_OK)
            return errbuf_set(eb, ERR_CONFIG, "profile %.*s: %s: want %s", STR_ARG(name),
                              rows[i].name, why.text);
    }
    return ERR_OK;
}

enum err profile_read(struct aws_creds *out, struct str text, struct str name, struct errbuf *eb)
{
    struct str line;
    bool found = false, inside = false;
    *out = (struct aws_creds){ .session_token = STR_NONE };
    while (str_cut(&text, '\n', &line)) {
        bool indented = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
        line = str_trim(line);
        if (line.n == 0 || indented || line.p[0] == '#' || line.p[0] == ';')
            continue;
        if (line.p[0] == '[') {
            inside = is_header_of(line, name);
            found = found || inside;
        } else if (inside) {
            read_line(out, line);
        }
    }
    return found ? check(out, name, eb)
                 : errbuf_set(eb, ERR_CONFIG, "there is no profile %.*s", STR_ARG(name));
}
