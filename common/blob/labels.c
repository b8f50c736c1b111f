#include "blob/labels.h"

#include <stdbool.h>

#include "base/json.h"

struct reading {
    struct buf array;             /* what goes out */
    uint32_t name_at[LABELS_MAX]; /* where the names of the labels taken so far stand in it */
    size_t n, max;
    double min_confidence;
    size_t nth; /* label of the answer, for messages */
    struct errbuf *eb;
};

/* Appends the name as a JSON string: always escaped in the one way of buf_json(), so that equal
 * names are equal bytes. */
static enum err put_name(struct reading *r, struct buf *row, struct json object, const char *what)
{
    char text[LABELS_NAME_BYTES + 1];
    struct json name;
    if (!json_get(object, S("Name"), &name) || name.type != JSON_STRING)
        return errbuf_set(r->eb, ERR_INVAL, "Labels[%zu]%s: expected Name to be a string, not %s",
                          r->nth, what, json_type_name(name.type));
    enum err e = json_copy(text, sizeof text, name);
    if (e == ERR_TOOBIG)
        return errbuf_set(r->eb, ERR_INVAL, "Labels[%zu]%s: Name is longer than %u bytes", r->nth,
                          what, LABELS_NAME_BYTES);
    if (e != ERR_OK || text[0] == '\0')
        return errbuf_set(r->eb, ERR_INVAL, "Labels[%zu]%s: Name is %s", r->nth, what,
                          e != ERR_OK ? "text with a NUL in it" : "empty");
    buf_json(row, str_of(text));
    return ERR_OK;
}

static enum err read_confidence(struct reading *r, struct json label, struct str *digits,
                                double *value)
{
    struct json c;
    (void)json_get(label, S("Confidence"), &c);
    if (c.type != JSON_NUMBER)
        return errbuf_set(r->eb, ERR_INVAL,
                          "Labels[%zu]: expected Confidence to be a number, not %s", r->nth,
                          json_type_name(c.type));
    if (json_to_double(c, value) != ERR_OK || *value < 0 || *value > 100)
        return errbuf_set(r->eb, ERR_INVAL, "Labels[%zu]: Confidence is outside 0 to 100", r->nth);
    *digits = c.raw;
    return ERR_OK;
}

static enum err put_parents(struct reading *r, struct buf *row, struct json label)
{
    struct json parents, key, parent;
    if (json_get(label, S("Parents"), &parents) && parents.type != JSON_ARRAY &&
        parents.type != JSON_NULL)
        return errbuf_set(r->eb, ERR_INVAL, "Labels[%zu]: expected Parents to be an array, not %s",
                          r->nth, json_type_name(parents.type));
    struct json_iter it = json_iter(parents);
    for (size_t i = 0; i < LABELS_PARENTS_MAX && json_next(&it, &key, &parent); i++) {
        if (i > 0)
            buf_putc(row, ',');
        enum err e = put_name(r, row, parent, ".Parents");
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static bool is_known(const struct reading *r, struct str name)
{
    for (size_t i = 0; i < r->n; i++)
        if (str_starts(str_from(buf_str(&r->array), r->name_at[i]), name))
            return true; /* name ends in its quote, so this is equality */
    return false;
}

/* Writes one label to row and adds it to the array if it is wanted.  *full: it did not fit. */
static enum err read_label(struct reading *r, struct buf *row, struct json label, bool *full)
{
    static const struct str before_name = S("{\"label\":");
    struct str digits = STR_NONE;
    double confidence = 0;
    if (label.type != JSON_OBJECT)
        return errbuf_set(r->eb, ERR_INVAL, "Labels[%zu]: expected an object, not %s", r->nth,
                          json_type_name(label.type));
    buf_clear(row);
    buf_put(row, before_name);
    enum err e = put_name(r, row, label, "");
    size_t name_end = row->n;
    if (e == ERR_OK)
        e = read_confidence(r, label, &digits, &confidence);
    if (e != ERR_OK)
        return e;
    buf_puts(row, ",\"confidence\":");
    buf_put(row, digits);
    buf_puts(row, ",\"parents\":[");
    e = put_parents(r, row, label);
    buf_puts(row, "]}");
    struct str name = str_from(str_head(buf_str(row), name_end), before_name.n);
    if (e != ERR_OK || confidence < r->min_confidence || is_known(r, name))
        return e;
    *full = buf_failed(row) || r->array.n + row->n + 2 > r->array.cap;
    if (*full)
        return ERR_OK;
    if (r->n > 0)
        buf_putc(&r->array, ',');
    r->name_at[r->n++] = (uint32_t)(r->array.n + before_name.n);
    buf_put(&r->array, buf_str(row));
    return ERR_OK;
}

static enum err read_labels(struct reading *r, struct json labels)
{
    struct buf row = BUF_INIT(LABELS_BYTES);
    struct json_iter it = json_iter(labels);
    struct json key, label;
    enum err e = ERR_OK;
    bool full = false;
    buf_putc(&r->array, '[');
    for (; e == ERR_OK && !full && r->n < r->max && r->nth < LABELS_MAX; r->nth++) {
        if (!json_next(&it, &key, &label))
            break;
        e = read_label(r, &row, label, &full);
    }
    buf_putc(&r->array, ']');
    buf_fini(&row);
    return e;
}

static void read_version(struct json root, char version[LABELS_VERSION_BYTES])
{
    struct json v;
    if (!json_get(root, S("LabelModelVersion"), &v) ||
        json_copy(version, LABELS_VERSION_BYTES, v) != ERR_OK)
        version[0] = '\0';
}

enum err labels_from_rekognition(struct buf *out, struct str answer, int64_t max_labels,
                                 double min_confidence, char model_version[LABELS_VERSION_BYTES],
                                 struct errbuf *eb)
{
    struct reading r = { .array = BUF_INIT(LABELS_BYTES),
                         .min_confidence = min_confidence,
                         .eb = eb };
    struct json root, labels;
    model_version[0] = '\0';
    if (json_parse(&root, answer, eb) != ERR_OK)
        return errbuf_wrap(eb, ERR_INVAL, "Rekognition's answer");
    if (!json_get(root, S("Labels"), &labels) || labels.type != JSON_ARRAY)
        return errbuf_set(eb, ERR_INVAL,
                          "Rekognition's answer: expected Labels to be an array, not %s",
                          root.type == JSON_OBJECT ? json_type_name(labels.type) : "absent");
    r.max = max_labels < 0 ? 0 : max_labels > LABELS_MAX ? LABELS_MAX : (size_t)max_labels;
    enum err e = read_labels(&r, labels);
    if (e == ERR_OK) {
        read_version(root, model_version);
        buf_put(out, buf_str(&r.array));
        if (buf_failed(out))
            e = errbuf_set(eb, ERR_TOOBIG, "the labels do not fit");
    } else {
        errbuf_wrap(eb, e, "Rekognition's answer");
    }
    buf_fini(&r.array);
    return e;
}
