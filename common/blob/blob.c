#include "blob/blob.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"

static const char *const phase_names[PHASE_N] = {
    "awaiting",   "queued",     "recognizing", "resting",  "parked",
    "delivering", "attempting", "holding",     "finished", "erasing",
};
static const char *const result_names[RESULT_N] = { "none",    "labels",    "timed-out",
                                                    "invalid", "too-large", "error" };
static const char *const delivery_names[DELIVERY_N] = { "none", "done", "failure", "timeout",
                                                        "connection" };

const char *phase_name(enum blob_phase p)
{
    return phase_names[p];
}

const char *result_name(enum blob_result r)
{
    return result_names[r];
}

const char *delivery_name(enum blob_delivery d)
{
    return delivery_names[d];
}

enum kind { TEXT, NUMBER, WORD };

/* One row for each field: the only place that knows how the record is stored. */
static const struct {
    const char *name;
    enum kind kind;
    size_t offset, size;      /* size: of a TEXT */
    const char *const *words; /* of a WORD */
    int n_words;
} fields[] = {
#define T(f)        { #f, TEXT, offsetof(struct blob, f), sizeof(((struct blob *)0)->f), NULL, 0 }
#define N(f)        { #f, NUMBER, offsetof(struct blob, f), 0, NULL, 0 }
#define W(f, names) { #f, WORD, offsetof(struct blob, f), 0, names, N_OF(names) }
    T(id),
    T(owner),
    W(phase, phase_names),
    W(result, result_names),
    W(delivery, delivery_names),
    N(seq),
    N(gen),
    N(starts),
    N(handoffs),
    N(tries),
    N(attempts),
    N(created_ms),
    N(updated_ms),
    N(window_ms),
    N(looked_late),
    N(size),
    N(width),
    N(height),
    N(max_labels),
    N(min_confidence),
    T(object_key),
    T(etag),
    T(content_type),
    T(callback_url),
    T(code),
    T(detail),
    T(model),
    T(traceparent),
    N(has_labels),
#undef T
#undef N
#undef W
};
_Static_assert(N_OF(fields) <= BLOB_FIELDS_MAX, "struct blob_field arrays hold every field");

static void *at(struct blob *b, size_t i)
{
    return (char *)b + fields[i].offset;
}

static const void *at_const(const struct blob *b, size_t i)
{
    return (const char *)b + fields[i].offset;
}

static bool same(const struct blob *b, const struct blob *old, size_t i)
{
    static const struct blob unset;
    const void *now = at_const(b, i), *then = at_const(old != NULL ? old : &unset, i);
    switch (fields[i].kind) {
    case TEXT:
        return strcmp(now, then) == 0;
    case NUMBER:
        return memcmp(now, then, sizeof(int64_t)) == 0;
    case WORD:
        return old != NULL && memcmp(now, then, sizeof(int)) == 0;
    }
    return false;
}

static void render(struct blob_field *out, const struct blob *b, size_t i)
{
    out->name = str_of(fields[i].name);
    switch (fields[i].kind) {
    case TEXT:
        out->value = str_of(at_const(b, i));
        break;
    case WORD:
        out->value = str_of(fields[i].words[*(const int *)at_const(b, i)]);
        break;
    case NUMBER: {
        int64_t n = *(const int64_t *)at_const(b, i);
        struct buf digits = BUF_INIT(sizeof out->text - 1);
        if (n < 0)
            buf_putc(&digits, '-');
        buf_u64(&digits, n < 0 ? -(uint64_t)n : (uint64_t)n);
        memcpy(out->text, digits.p, digits.n);
        out->value = (struct str){ out->text, digits.n };
        buf_fini(&digits);
        break;
    }
    }
}

size_t blob_fields(struct blob_field out[BLOB_FIELDS_MAX], const struct blob *b,
                   const struct blob *old)
{
    size_t n = 0;
    for (size_t i = 0; i < N_OF(fields); i++)
        if (!same(b, old, i))
            render(&out[n++], b, i);
    return n;
}

enum err blob_set_field(struct blob *b, struct str name, struct str value)
{
    for (size_t i = 0; i < N_OF(fields); i++) {
        if (!str_eq(name, str_of(fields[i].name)))
            continue;
        if (fields[i].kind == TEXT)
            return str_copy(at(b, i), fields[i].size, value);
        if (fields[i].kind == NUMBER)
            return str_to_i64(value, at(b, i));
        for (int w = 0; w < fields[i].n_words; w++)
            if (str_eq(value, str_of(fields[i].words[w]))) {
                *(int *)at(b, i) = w;
                return ERR_OK;
            }
        return ERR_INVAL;
    }
    return ERR_OK;
}
