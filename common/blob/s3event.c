#include "blob/s3event.h"

#include "base/buf.h"
#include "base/enc.h"

#define SIZE_BELIEVED_MAX (INT64_C(1) << 53)

/* Where one record keeps what we want; JSON_NULL where it does not. */
struct found {
    struct json bucket, key, etag, size;
    bool key_is_raw; /* else form-encoded */
    bool zero_size_lies;
};

static struct json member(struct json v, struct str name)
{
    struct json out;
    (void)json_get(v, name, &out);
    return out;
}

enum err s3event_parse(struct s3event_iter *it, struct str text, struct errbuf *eb)
{
    struct json root, records;
    *it = (struct s3event_iter){ .taken = 0 };
    if (text.n > S3EVENT_MAX_BYTES)
        return errbuf_set(eb, ERR_TOOBIG, "the event is longer than %u bytes", S3EVENT_MAX_BYTES);
    enum err e = json_parse(&root, text, eb);
    if (e != ERR_OK)
        return e;
    if (json_get(root, S("Records"), &records)) {
        if (records.type != JSON_ARRAY)
            return errbuf_set(eb, ERR_INVAL, "Records is %s, expected an array",
                              json_type_name(records.type));
        struct json_iter walk = json_iter(records);
        struct json key, value;
        for (unsigned n = 0; json_next(&walk, &key, &value); n++)
            if (n == S3EVENT_RECORDS_MAX)
                return errbuf_set(eb, ERR_TOOBIG, "more than %u Records", S3EVENT_RECORDS_MAX);
        it->records = json_iter(records);
        return ERR_OK;
    }
    if (json_is(member(root, S("Event")), S("s3:TestEvent"))) {
        it->taken = it->ignored = 1;
        return ERR_OK;
    }
    if (json_is(member(root, S("source")), S("aws.s3"))) {
        if (json_is(member(root, S("detail-type")), S("Object Created")))
            it->detail = member(root, S("detail"));
        if (it->detail.type != JSON_OBJECT)
            it->taken = it->ignored = 1;
        return ERR_OK;
    }
    if (json_is(member(root, S("Type")), S("Notification")))
        return errbuf_set(eb, ERR_INVAL, "an SNS envelope: turn on raw message delivery");
    return errbuf_set(eb, ERR_INVAL, "no S3 event: it has no Records");
}

static enum err read_key(struct s3event *out, const struct found *f, struct errbuf *eb)
{
    struct buf text = BUF_INIT(3 * S3EVENT_KEY_MAX), key = BUF_INIT(S3EVENT_KEY_MAX);
    enum err e = ERR_OK;
    json_text(&text, f->key);
    if (f->key_is_raw)
        buf_put(&key, buf_str(&text));
    else
        e = enc_percent_decode(&key, buf_str(&text), true);
    if (buf_failed(&text) || buf_failed(&key))
        e = errbuf_set(eb, ERR_TOOBIG, "the object's key is longer than %u bytes", S3EVENT_KEY_MAX);
    else if (e != ERR_OK)
        (void)errbuf_set(eb, e, "the object's key has a broken percent escape");
    else if (key.n == 0)
        e = errbuf_set(eb, ERR_INVAL, "the object's key is empty");
    else if (str_copy(out->key, sizeof out->key, buf_str(&key)) != ERR_OK)
        e = errbuf_set(eb, ERR_INVAL, "the object's key holds a NUL");
    struct str rest = buf_str(&key);
    for (size_t len; e == ERR_OK && rest.n > 0; rest = str_from(rest, len)) {
        len = enc_utf8_len(rest);
        if (len == 0)
            e = errbuf_set(eb, ERR_INVAL, "the object's key is not UTF-8");
    }
    buf_fini(&key);
    buf_fini(&text);
    return e;
}

/* It will be sent in If-Match, so nothing that could end a header or its quotes. */
static enum err read_etag(struct s3event *out, struct json etag, struct errbuf *eb)
{
    char quoted[S3EVENT_ETAG_MAX + 3];
    if (etag.type == JSON_NULL)
        return ERR_OK;
    if (json_copy(quoted, sizeof quoted, etag) != ERR_OK)
        return errbuf_set(eb, ERR_INVAL, "the object's ETag is no text of at most %u characters",
                          S3EVENT_ETAG_MAX);
    struct str s = str_of(quoted);
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s = (struct str){ s.p + 1, s.n - 2 };
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"')
            return errbuf_set(eb, ERR_INVAL, "the object's ETag holds a character it must not");
    if (str_copy(out->etag, sizeof out->etag, s) != ERR_OK)
        return errbuf_set(eb, ERR_INVAL, "the object's ETag is longer than %u characters",
                          S3EVENT_ETAG_MAX);
    return ERR_OK;
}

static enum err read_object(struct s3event *out, const struct found *f, struct errbuf *eb)
{
    if (json_copy(out->bucket, sizeof out->bucket, f->bucket) != ERR_OK || out->bucket[0] == '\0')
        return errbuf_set(eb, ERR_INVAL, "the bucket's name is missing or no text");
    if (f->key.type != JSON_STRING)
        return errbuf_set(eb, ERR_INVAL, "the object's key is missing or no text");
    int64_t size = -1;
    if (json_to_i64(f->size, &size) == ERR_OK && size >= 0 && size <= SIZE_BELIEVED_MAX &&
        !(size == 0 && f->zero_size_lies))
        out->size = size;
    enum err e = read_key(out, f, eb);
    return e == ERR_OK ? read_etag(out, f->etag, eb) : e;
}

/* Finds the parts of one of Records.  ERR_MISSING: it tells of no created object. */
static enum err find_record(struct found *f, struct json record, struct errbuf *eb)
{
    char version[16], name_text[128];
    if (json_copy(version, sizeof version, member(record, S("eventVersion"))) != ERR_OK ||
        !str_starts(str_of(version), S("2.")))
        return errbuf_set(eb, ERR_INVAL, "eventVersion is not 2.x");
    if (json_copy(name_text, sizeof name_text, member(record, S("eventName"))) != ERR_OK)
        return errbuf_set(eb, ERR_INVAL, "eventName is missing or no text");
    struct str name = str_of(name_text);
    bool prefixed = str_starts(name, S("s3:"));
    if (!str_starts(str_from(name, prefixed ? 3 : 0), S("ObjectCreated:")))
        return ERR_MISSING;
    struct json s3 = member(record, S("s3")), object = member(s3, S("object"));
    f->bucket = member(member(s3, S("bucket")), S("name"));
    f->key = member(object, S("key"));
    f->etag = member(object, S("eTag"));
    f->size = member(object, S("size"));
    /* versitygw alone says aws:s3 and prefixes the name.  It does not encode keys, reports
     * multipart uploads and copies with size 0, and form uploads without key: only a look at
     * the bucket finds those. */
    bool versitygw = prefixed && json_is(member(record, S("eventSource")), S("aws:s3"));
    f->key_is_raw = f->zero_size_lies = versitygw;
    return versitygw && json_is(f->key, S("")) ? ERR_MISSING : ERR_OK;
}

/* EventBridge does not say how keys are encoded; in practice they are raw. */
static enum err find_detail(struct found *f, struct json detail)
{
    struct json object = member(detail, S("object"));
    f->bucket = member(member(detail, S("bucket")), S("name"));
    f->key = member(object, S("key"));
    f->etag = member(object, S("etag"));
    f->size = member(object, S("size"));
    f->key_is_raw = true;
    return ERR_OK;
}

enum err s3event_next(struct s3event_iter *it, struct s3event *out, struct errbuf *eb)
{
    enum err e = ERR_MISSING;
    while (e == ERR_MISSING) {
        struct found f = { .key_is_raw = false };
        struct json key, record;
        if (it->detail.type == JSON_OBJECT) {
            e = find_detail(&f, it->detail);
            it->detail.type = JSON_NULL;
        } else if (json_next(&it->records, &key, &record)) {
            e = find_record(&f, record, eb);
        } else {
            return ERR_MISSING;
        }
        it->taken++;
        it->ignored += e == ERR_MISSING;
        *out = (struct s3event){ .size = -1 };
        if (e == ERR_OK)
            e = read_object(out, &f, eb);
    }
    return e == ERR_OK ? e : errbuf_wrap(eb, e, "record %u", it->taken);
}
