/* dead.c - `labelwire dead`: what could not be worked on, listed and shown. */
#include "cli/dead.h"

#include <stdlib.h>
#include <time.h>

#include "base/enc.h"
#include "cli/letterbox.h"
#include "cli/safe.h"
#include "cli/verb.h"

#define CHUNK_BYTES (1U << 20) /* of the list, printed at once */
#define TEXT_MAX    65536U     /* bytes of a value that `show` prints as text */
#define HEX_MAX     4096U      /* and as hex */

/* ---- reading ------------------------------------------------------------------------------- */

struct collect {
    struct letters *letters;
    struct screen *screen;
};

static struct letter_id id_of(const struct kafka_msg *m)
{
    return (struct letter_id){ m->partition, m->offset };
}

static enum err collect(void *arg, const struct kafka_msg *m, const struct letter *l)
{
    struct collect *c = arg;
    enum err e = letters_add(c->letters, id_of(m), m->timestamp_ms, l, m->value.n);
    if (e != ERR_OK)
        screen_say(c->screen, "more than %u letters were dealt with; which are open cannot be told",
                   LETTERS_MARKS_MAX);
    return e;
}

enum err dead_read(const struct dead_conf *c, struct screen *s, struct letters *ls)
{
    enum err e = letterbox_read(&c->kafka, s, collect, &(struct collect){ ls, s });
    letters_fold(ls);
    if (e == ERR_OK && ls->left_out > 0)
        screen_say(s, "%zu more letters are left out; deal with these first", ls->left_out);
    return e;
}

bool dead_wants(const struct dead_conf *c, const struct letters_row *row)
{
    return c->reason[0] == '\0' || str_eq(str_of(c->reason), str_of(row->reason));
}

enum err dead_parse_id(struct screen *s, struct letter_id *id, const char *operand)
{
    enum err e = letter_id_parse(id, str_of(operand));
    if (e != ERR_OK)
        screen_say(s, "dead: got '%.64s', want an ID as `labelwire dead ls` shows it, e.g. 0-17",
                   operand);
    return e;
}

/* ---- ls ------------------------------------------------------------------------------------ */

static void put_row(struct buf *out, const struct dead_conf *c, const struct letters_row *row)
{
    char id[LETTER_ID_MAX];
    struct tm tm = { 0 };
    time_t seconds = (time_t)(row->when_ms / 1000);
    struct str source = row->source[0] != '\0' ? str_of(row->source) : S("-");
    letter_id_format(id, row->id);
    (void)localtime_r(&seconds, &tm);
    buf_printf(out, "%-10s  %04d-%02d-%02d %02d:%02d:%02d  ", id, tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    safe_put_column(out, source, 26, true);
    buf_puts(out, "  ");
    safe_put_column(out, row->reason[0] != '\0' ? str_of(row->reason) : S("-"), 17, true);
    buf_printf(out, "  %8lld", (long long)row->size);
    if (c->all)
        buf_printf(out, "  %s", letters_state_name(row->state));
    buf_putc(out, '\n');
}

static void put_member(struct buf *line, const char *name, const char *value)
{
    buf_printf(line, ",\"%s\":", name);
    if (value[0] != '\0')
        buf_json(line, str_of(value));
    else
        buf_puts(line, "null");
}

static void put_json(struct buf *out, const struct screen *s, const struct letters_row *row)
{
    struct buf line = BUF_INIT(4096);
    char id[LETTER_ID_MAX], time[CLOCK_RFC3339_LEN + 1];
    letter_id_format(id, row->id);
    wall_to_rfc3339((wall_t){ row->when_ms }, time);
    buf_printf(&line, "{\"id\":\"%s\",\"time\":\"%s\"", id, time);
    put_member(&line, "source", row->source);
    put_member(&line, "reason", row->reason);
    buf_printf(&line, ",\"size\":%lld,\"state\":\"%s\"}", (long long)row->size,
               letters_state_name(row->state));
    safe_put_json(out, buf_str(&line), s->out_is_terminal);
    buf_putc(out, '\n');
    buf_fini(&line);
}

static bool print_list(const struct dead_conf *c, struct screen *s, const struct letters *ls)
{
    struct buf out = BUF_INIT(SCREEN_TEXT_MAX);
    size_t shown = 0;
    bool going = true;
    for (size_t i = 0; i < ls->n && going; i++) {
        const struct letters_row *row = &ls->rows[i];
        if ((!c->all && row->state != LETTERS_OPEN) || !dead_wants(c, row))
            continue;
        if (shown++ == 0 && !c->json) {
            screen_paint(s, &out, PAINT_DIM,
                         S("ID          WHEN                 SOURCE                      REASON"
                           "                 SIZE"));
            screen_paint(s, &out, PAINT_DIM, c->all ? S("  STATE") : S(""));
            buf_putc(&out, '\n');
        }
        if (c->json)
            put_json(&out, s, row);
        else
            put_row(&out, c, row);
        if (out.n > CHUNK_BYTES) {
            going = screen_print(s, &out);
            buf_clear(&out);
        }
    }
    if (shown == 0 && !c->json)
        buf_puts(&out, "no dead letters\n");
    going = going && screen_print(s, &out);
    buf_fini(&out);
    return going;
}

static int run_ls(const void *arg, char *const *operands, size_t n)
{
    const struct dead_conf *c = arg;
    struct screen s;
    struct letters ls = { .keep_all = c->all };
    (void)operands;
    (void)n;
    screen_init(&s, &c->screen);
    bool well = dead_read(c, &s, &ls) == ERR_OK;
    if (well) {
        letters_sort_by_time(&ls);
        well = print_list(c, &s, &ls) || !s.broken;
    }
    letters_fini(&ls);
    return well ? EXIT_WELL : EXIT_FAILED;
}

/* ---- show ---------------------------------------------------------------------------------- */

struct view {
    const struct dead_conf *conf;
    const struct screen *screen;
    struct letter_id id;
    struct buf out, mark; /* mark: how it was dealt with */
    bool found;
};

static bool is_text(struct str s)
{
    while (s.n > 0) {
        size_t len = enc_utf8_len(s);
        unsigned char c = (unsigned char)s.p[0];
        if (len == 0 || (c < ' ' && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
            return false;
        s = str_from(s, len);
    }
    return true;
}

static void put_hex(struct buf *out, struct str s)
{
    for (size_t at = 0; at < s.n; at += 16) {
        struct str row = str_head(str_from(s, at), 16);
        buf_printf(out, "%08zx ", at);
        for (size_t i = 0; i < 16; i++) {
            if (i < row.n)
                buf_printf(out, " %02x", (unsigned char)row.p[i]);
            else
                buf_puts(out, "   ");
        }
        buf_puts(out, "  ");
        for (size_t i = 0; i < row.n; i++)
            buf_putc(out, row.p[i] >= ' ' && row.p[i] < 0x7f ? row.p[i] : '.');
        buf_putc(out, '\n');
    }
}

static void put_value(struct buf *out, struct str value)
{
    struct str rest = value, line;
    bool text = is_text(value);
    size_t max = text ? TEXT_MAX : HEX_MAX;
    if (value.n == 0) {
        buf_puts(out, value.p == NULL ? "no value\n" : "an empty value\n");
        return;
    }
    rest = str_head(rest, max);
    if (!text)
        put_hex(out, rest);
    while (text && str_cut(&rest, '\n', &line)) {
        safe_put(out, line);
        buf_putc(out, '\n');
    }
    if (value.n > max)
        buf_printf(out, "... and %zu bytes more; --raw writes all of them\n", value.n - max);
}

static void put_field(const struct screen *s, struct buf *out, const char *name, struct str value)
{
    struct buf padded = BUF_INIT(64);
    buf_printf(&padded, "%-17s ", name);
    screen_paint(s, out, PAINT_DIM, buf_str(&padded));
    safe_put(out, value);
    buf_putc(out, '\n');
    buf_fini(&padded);
}

static enum err view_message(void *arg, const struct kafka_msg *m, const struct letter *l)
{
    struct view *v = arg;
    struct letter_id resolves;
    if (letter_id_parse(&resolves, l->field[LETTER_RESOLVES]) == ERR_OK) {
        if (letter_id_cmp(resolves, v->id) == 0 && v->mark.n == 0) {
            put_field(v->screen, &v->mark, "resolution", l->field[LETTER_RESOLUTION]);
            put_field(v->screen, &v->mark, "by", l->field[LETTER_BY]);
            put_field(v->screen, &v->mark, "at", l->field[LETTER_TIME]);
        }
        return ERR_OK;
    }
    if (letter_id_cmp(id_of(m), v->id) != 0)
        return ERR_OK;
    v->found = true;
    if (v->conf->raw) {
        buf_put(&v->out, m->value);
        return ERR_OK;
    }
    for (size_t i = 0; i < m->n_headers; i++) {
        struct buf name = BUF_INIT(128);
        buf_put(&name, str_head(m->headers[i].name, 100));
        put_field(v->screen, &v->out, buf_failed(&name) || name.n == 0 ? "" : name.p,
                  m->headers[i].value);
        buf_fini(&name);
    }
    put_field(v->screen, &v->out, "key", m->key.p != NULL ? m->key : S("none"));
    buf_putc(&v->out, '\n');
    put_value(&v->out, m->value);
    return ERR_OK;
}

static int run_show(const void *arg, char *const *operands, size_t n)
{
    const struct dead_conf *c = arg;
    struct screen s;
    struct view v = {
        .conf = c, .screen = &s, .out = BUF_INIT(SCREEN_TEXT_MAX), .mark = BUF_INIT(SCREEN_TEXT_MAX)
    };
    (void)n;
    screen_init(&s, &c->screen);
    if (dead_parse_id(&s, &v.id, operands[0]) != ERR_OK)
        return EXIT_USAGE;
    bool well = letterbox_read(&c->kafka, &s, view_message, &v) == ERR_OK;
    if (well && !v.found)
        screen_say(&s, "%s: no such letter; `labelwire dead ls --all` lists them", operands[0]);
    well = well && v.found;
    if (well && !c->raw)
        well = screen_print(&s, &v.mark);
    well = well && screen_print(&s, &v.out);
    buf_fini(&v.out);
    buf_fini(&v.mark);
    return well ? EXIT_WELL : EXIT_FAILED;
}

/* ---- the verb and its parts ---------------------------------------------------------------- */

static int run_unknown(const void *arg, char *const *operands, size_t n)
{
    const struct dead_conf *c = arg;
    struct screen s;
    (void)n;
    screen_init(&s, &c->screen);
    screen_say(&s, "dead: unknown part '%.64s', want ls, show, retry or discard", operands[0]);
    return EXIT_USAGE;
}

static const struct conf_key flag_keys[] = {
    { "--all", CONF_BOOL, offsetof(struct dead_conf, all), .def = "off" },
    { "--json", CONF_BOOL, offsetof(struct dead_conf, json), .def = "off" },
    { "--raw", CONF_BOOL, offsetof(struct dead_conf, raw), .def = "off" },
    { "--reason", CONF_TEXT, offsetof(struct dead_conf, reason), .def = "" },
};

static const struct conf_group groups[] = {
    { NULL, flag_keys, N_OF(flag_keys), 0 },
    { "Kafka", kafka_conf_keys, N_OF(kafka_conf_keys), offsetof(struct dead_conf, kafka) },
    SCREEN_CONF_GROUP(struct dead_conf, screen),
};
#define CONF .conf = groups, .n_conf = N_OF(groups), .conf_size = sizeof(struct dead_conf)

#define BROKERS                                                                                    \
    { "--brokers", "LIST", "LW_KAFKA_BROKERS", "Kafka as host:port,... (LW_KAFKA_BROKERS)" }
#define REASON { "--reason", "WORD", "--reason", "only letters with this reason" }

static const struct verb_flag ls_flags[] = {
    BROKERS,
    REASON,
    { "--all", NULL, "--all", "also those that were dealt with" },
    { "--json", NULL, "--json", "one JSON object for each, on one line" },
};
static const struct verb_flag show_flags[] = {
    BROKERS,
    { "--raw", NULL, "--raw", "only the value's bytes, as they are" },
};
static const struct verb_flag resolve_flags[] = {
    BROKERS,
    REASON,
    { "--all", NULL, "--all", "instead of IDs: all that are open" },
};
#define FLAGS(table) .flags = (table), .n_flags = N_OF(table)
#define ANY_NUMBER   SIZE_MAX

static const struct verb parts[] = {
    { .name = "dead ls",
      .operands = "",
      .about = "list the dead letters, the newest last",
      .more = "SOURCE is topic/partition/offset of the message, SIZE its value's bytes.\n",
      .example = "labelwire dead ls --reason not-an-s3-event",
      FLAGS(ls_flags),
      CONF,
      .run = run_ls },
    { .name = "dead show",
      .operands = "ID",
      .about = "print one dead letter: its headers and its value",
      .example = "labelwire dead show 0-17 --raw > value",
      FLAGS(show_flags),
      CONF,
      .least = 1,
      .most = 1,
      .run = run_show },
    { .name = "dead retry",
      .operands = "ID...",
      .about = "send dead letters to their source topic again, as they were",
      .more = "Each is marked when Kafka has it.  What cannot be read is back soon, as a new "
              "letter.\n",
      .example = "labelwire dead retry --all --reason not-a-work-item",
      FLAGS(resolve_flags),
      CONF,
      .most = ANY_NUMBER,
      .run = dead_run_retry },
    { .name = "dead discard",
      .operands = "ID...",
      .about = "mark dead letters as dealt with",
      .more = "They stay on the topic as long as it keeps them; `ls --all` shows them.\n",
      .example = "labelwire dead discard 0-17 0-18",
      FLAGS(resolve_flags),
      CONF,
      .most = ANY_NUMBER,
      .run = dead_run_discard },
};

const struct verb verb_dead = {
    .name = "dead",
    .operands = "",
    .about = "list, show, retry or discard what could not be worked on",
    .more = "Messages that no service can read are kept on the topic labelwire.dead:\n"
            "  ls       lists them\n"
            "  show     prints one\n"
            "  retry    sends them to their source topic again\n"
            "  discard  marks them as dealt with\n"
            "`labelwire dead ls --help` and so on tell more.\n",
    .example = "labelwire dead ls",
    .conf = groups + 1,
    .n_conf = 2,
    .conf_size = sizeof(struct dead_conf),
    .least = 1,
    .most = 1,
    .parts = parts,
    .n_parts = N_OF(parts),
    .run = run_unknown,
};
