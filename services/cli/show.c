#include "cli/show.h"

#include "cli/safe.h"

#define NAME_COLUMNS_MAX 40U
#define NAME_MAX_BYTES   1024U

/* ---- the table ----------------------------------------------------------------------------- */

static void read_name(struct buf *name, struct json label)
{
    struct json v;
    buf_clear(name);
    if (json_get(label, S("label"), &v))
        json_text(name, v);
}

static size_t name_columns(struct json labels)
{
    struct buf name = BUF_INIT(NAME_MAX_BYTES);
    struct json key, label;
    size_t widest = sizeof "LABEL" - 1;
    for (struct json_iter it = json_iter(labels); json_next(&it, &key, &label);) {
        read_name(&name, label);
        size_t n = safe_columns(buf_str(&name));
        widest = n > widest ? n : widest;
    }
    buf_fini(&name);
    return widest < NAME_COLUMNS_MAX ? widest : NAME_COLUMNS_MAX;
}

static void put_parents(struct buf *out, struct json label)
{
    struct buf name = BUF_INIT(NAME_MAX_BYTES);
    struct json parents, key, parent;
    const char *between = "  ";
    (void)json_get(label, S("parents"), &parents);
    for (struct json_iter it = json_iter(parents); json_next(&it, &key, &parent); between = ", ") {
        buf_clear(&name);
        json_text(&name, parent);
        buf_puts(out, between);
        safe_put(out, buf_str(&name));
    }
    buf_fini(&name);
}

static void put_label(struct buf *out, struct json label, size_t columns)
{
    struct buf name = BUF_INIT(NAME_MAX_BYTES);
    struct json v;
    double confidence;
    read_name(&name, label);
    buf_puts(out, "  ");
    safe_put_column(out, buf_str(&name), columns, true);
    if (json_get(label, S("confidence"), &v) && json_to_double(v, &confidence) == ERR_OK)
        buf_printf(out, "  %10.1f", confidence);
    else
        buf_printf(out, "  %10s", "-");
    put_parents(out, label);
    buf_putc(out, '\n');
    buf_fini(&name);
}

void show_table(struct buf *out, const struct screen *s, struct show_of of, struct json labels)
{
    struct json key, label;
    size_t columns = name_columns(labels), n = 0;
    if (of.file != NULL) {
        screen_paint(s, out, PAINT_BOLD, str_of(of.file));
        buf_puts(out, "  ");
    }
    safe_put(out, str_of(of.id));
    buf_putc(out, '\n');
    for (struct json_iter it = json_iter(labels); json_next(&it, &key, &label); n++) {
        if (n == 0) {
            struct buf head = BUF_INIT(256);
            buf_printf(&head, "  %-*s  CONFIDENCE  PARENTS", (int)columns, "LABEL");
            screen_paint(s, out, PAINT_DIM, buf_str(&head));
            buf_putc(out, '\n');
            buf_fini(&head);
        }
        put_label(out, label, columns);
    }
    if (n == 0)
        buf_puts(out, "  no labels\n");
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static void put_members(struct buf *out, struct show_of of, const char *status)
{
    buf_putc(out, '{');
    if (of.file != NULL) {
        buf_puts(out, "\"file\":");
        buf_json(out, str_of(of.file));
        buf_putc(out, ',');
    }
    buf_puts(out, "\"blob_id\":");
    if (of.id != NULL)
        buf_json(out, str_of(of.id));
    else
        buf_puts(out, "null");
    buf_puts(out, ",\"status\":");
    buf_json(out, str_of(status));
}

static void put_line(struct buf *out, const struct screen *s, struct buf *line)
{
    buf_putc(line, '}');
    safe_put_json(out, buf_str(line), s->out_is_terminal);
    buf_putc(out, '\n');
    buf_fini(line);
}

void show_json_labels(struct buf *out, const struct screen *s, struct show_of of,
                      struct json labels)
{
    struct buf line = BUF_INIT(SCREEN_TEXT_MAX);
    put_members(&line, of, "success");
    buf_puts(&line, ",\"labels\":");
    buf_put(&line, labels.raw);
    put_line(out, s, &line);
}

void show_json_status(struct buf *out, const struct screen *s, struct show_of of,
                      const char *status, struct str description)
{
    struct buf line = BUF_INIT(SCREEN_TEXT_MAX);
    put_members(&line, of, status);
    buf_puts(&line, ",\"description\":");
    buf_json(&line, description);
    put_line(out, s, &line);
}
