#include "blob/event.h"

#include "base/json.h"
#include "blob/render.h"

static void put_member(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, ",\"%s\":", name);
    buf_json(out, str_of(value));
}

void event_put_transition(struct buf *out, const struct life_step *step, const char *source,
                          wall_t now)
{
    const struct blob *b = &step->next;
    char time[CLOCK_RFC3339_LEN + 1];
    wall_to_rfc3339(now, time);
    buf_printf(out,
               "{\"specversion\":\"1.0\",\"id\":\"%s/%lld\",\"source\":\"labelwire/%s\","
               "\"type\":\"labelwire.%s\",\"subject\":\"%s\",\"time\":\"%s\"",
               b->id, (long long)b->seq, source, step->event, b->id, time);
    if (b->traceparent[0] != '\0')
        put_member(out, "traceparent", b->traceparent);
    buf_printf(out,
               ",\"datacontenttype\":\"application/json\",\"data\":{\"seq\":%lld,\"gen\":%lld,"
               "\"phase\":\"%s\",\"status\":\"%s\"",
               (long long)b->seq, (long long)b->gen, phase_name(b->phase),
               render_status_name(render_status(b)));
    if (b->code[0] != '\0')
        put_member(out, "code", b->code);
    if (b->attempts > 0)
        buf_printf(out, ",\"attempts\":%lld", (long long)b->attempts);
    if (step->delay_ms != LIFE_NO_TIMER)
        buf_printf(out, ",\"timer_ms\":%lld", (long long)step->delay_ms);
    buf_puts(out, "}}");
}

void event_put_work(struct buf *out, const struct blob *b)
{
    buf_printf(out, "{\"v\":%d,\"id\":\"%s\",\"seq\":%lld", EVENT_WORK_VERSION, b->id,
               (long long)b->seq);
    if (b->traceparent[0] != '\0')
        put_member(out, "traceparent", b->traceparent);
    buf_putc(out, '}');
}

enum err event_read_work(struct event_work *out, struct str text, struct errbuf *eb)
{
    struct json root, v;
    int64_t version;
    enum err e = json_parse(&root, text, eb);
    if (e != ERR_OK)
        return ERR_INVAL;
    if (!json_get(root, S("v"), &v) || json_to_i64(v, &version) != ERR_OK || version < 1)
        return errbuf_set(eb, ERR_INVAL, "$.v: expected the version, a whole number");
    if (version > EVENT_WORK_VERSION)
        return errbuf_set(eb, ERR_RANGE, "$.v: version %lld is newer than this program (%d)",
                          (long long)version, EVENT_WORK_VERSION);
    if (!json_get(root, S("id"), &v) || json_copy(out->id, sizeof out->id, v) != ERR_OK ||
        !uuid_is_canonical(str_of(out->id)))
        return errbuf_set(eb, ERR_INVAL, "$.id: expected a blob id");
    if (!json_get(root, S("seq"), &v) || json_to_i64(v, &out->seq) != ERR_OK || out->seq < 1)
        return errbuf_set(eb, ERR_INVAL, "$.seq: expected a whole number from 1");
    return ERR_OK;
}
