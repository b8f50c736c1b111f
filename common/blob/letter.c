#include "blob/letter.h"

#include <stdio.h>

static const char *const names[LETTER_NFIELDS] = {
    [LETTER_REASON] = "reason",
    [LETTER_DETAIL] = "detail",
    [LETTER_TOPIC] = "source-topic",
    [LETTER_PARTITION] = "source-partition",
    [LETTER_OFFSET] = "source-offset",
    [LETTER_TIMESTAMP] = "source-timestamp",
    [LETTER_SERVICE] = "service",
    [LETTER_TIME] = "time",
    [LETTER_FULL_SIZE] = "full-size",
    [LETTER_FULL_KEY_SIZE] = "full-key-size",
    [LETTER_RESOLVES] = "resolves",
    [LETTER_RESOLUTION] = "resolution",
    [LETTER_BY] = "by",
};

const char *letter_field_name(enum letter_field f)
{
    return names[f];
}

void letter_take(struct letter *l, struct str name, struct str value)
{
    for (size_t i = 0; i < LETTER_NFIELDS; i++)
        if (l->field[i].p == NULL && str_eq(name, str_of(names[i])))
            l->field[i] = value;
}

static struct str put_number(char *dst, size_t cap, int64_t n)
{
    (void)snprintf(dst, cap, "%lld", (long long)n);
    return str_of(dst);
}

static struct str put_time(char dst[CLOCK_RFC3339_LEN + 1], wall_t t)
{
    wall_to_rfc3339(t, dst);
    return str_of(dst);
}

/* The value gives way before the key does. */
static void cut(struct letter *l, struct letter_text *text, struct letter_source *s,
                size_t max_bytes)
{
    size_t key_n = s->key.n, value_n = s->value.n;
    if (key_n + value_n <= max_bytes)
        return;
    s->key = str_head(s->key, LETTER_KEY_LEAST);
    s->value = str_head(s->value, max_bytes - s->key.n);
    if (s->key.n < key_n)
        l->field[LETTER_FULL_KEY_SIZE] =
            put_number(text->key_size, sizeof text->key_size, (int64_t)key_n);
    if (s->value.n < value_n)
        l->field[LETTER_FULL_SIZE] = put_number(text->size, sizeof text->size, (int64_t)value_n);
}

void letter_of(struct letter *out, struct letter_text *text, struct letter_source *source,
               const char *reason, const char *detail, wall_t now, size_t max_bytes)
{
    *out = (struct letter){
        .field = {
            [LETTER_REASON] = str_of(reason),
            [LETTER_DETAIL] = str_of(detail),
            [LETTER_TOPIC] = str_of(source->topic),
            [LETTER_PARTITION] =
                put_number(text->partition, sizeof text->partition, source->partition),
            [LETTER_OFFSET] = put_number(text->offset, sizeof text->offset, source->offset),
            [LETTER_SERVICE] = str_of(source->service),
            [LETTER_TIME] = put_time(text->time, now),
        },
    };
    if (source->timestamp_ms >= 0)
        out->field[LETTER_TIMESTAMP] = put_time(text->timestamp, (wall_t){ source->timestamp_ms });
    cut(out, text, source, max_bytes);
}

enum err letter_id_parse(struct letter_id *out, struct str text)
{
    struct str partition;
    uint64_t p, o;
    if (!str_cut(&text, '-', &partition) || str_to_u64(partition, &p) != ERR_OK || p > INT32_MAX ||
        str_to_u64(text, &o) != ERR_OK || o > INT64_MAX)
        return ERR_INVAL;
    *out = (struct letter_id){ (int32_t)p, (int64_t)o };
    return ERR_OK;
}

void letter_id_format(char dst[LETTER_ID_MAX], struct letter_id id)
{
    (void)snprintf(dst, LETTER_ID_MAX, "%d-%lld", (int)id.partition, (long long)id.offset);
}

int letter_id_cmp(struct letter_id a, struct letter_id b)
{
    if (a.partition != b.partition)
        return a.partition < b.partition ? -1 : 1;
    return a.offset < b.offset ? -1 : a.offset > b.offset;
}
