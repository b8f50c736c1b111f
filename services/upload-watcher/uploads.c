/* uploads.c - S3 events from Kafka: each names an object that may be one of ours.
 *
 * A message is complete when every record in it has led to a stored transition or to the
 * knowledge that there is nothing to do.  One that cannot be read, or not all of it, becomes a
 * dead letter, and its good records go on: the upload's timer looks at the bucket anyway.
 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "blob/letter.h"
#include "blob/s3event.h"
#include "upload-watcher/watcher.h"

#define AGAIN_MS 1000

enum { M_RECORDS, M_FOREIGN };
static struct metric metrics[] = {
    [M_RECORDS] = { "labelwire_uploads_records_total", NULL, "Created objects told by S3 events.",
                    METRIC_COUNTER, 0 },
    [M_FOREIGN] = { "labelwire_uploads_foreign_total", NULL,
                    "Of these, objects of other buckets or keys, or of blobs that are gone.",
                    METRIC_COUNTER, 0 },
};
const struct metric_set uploads_metrics = { metrics, N_OF(metrics) };

struct message {
    struct watcher *w;
    struct kafka_ticket ticket;
    unsigned open; /* records in progress, a letter, and one while they are being read */
    bool lost;     /* one was given up: the message must come again */
};

struct record {
    struct message *m;
    struct record *next; /* resting */
    struct s3event ev;
    struct repo_change change;
    struct look look;
};

static void message_release(struct message *m, enum err e)
{
    m->lost |= e == ERR_CLOSED;
    if (--m->open > 0)
        return;
    if (!m->lost)
        kafka_done(m->w->uploads, m->ticket);
    free(m);
}

static void record_end(struct record *r, enum err e)
{
    struct message *m = r->m;
    m->w->uploads_busy--;
    free(r);
    message_release(m, e);
}

static void looked(struct look *l, enum err e);

static void look(struct record *r)
{
    r->look.done = looked;
    r->look.owner = r;
    look_start(r->m->w, &r->look, str_of(r->ev.key));
}

static void applied(struct repo_change *c, enum err e)
{
    struct record *r = c->owner;
    FAILPOINT("uploads.stored");
    if (e == ERR_CONFLICT && c->ev.hearsay && !str_eq(c->ev.etag, str_of(c->b.etag))) {
        /* Replaced, or an old event that comes late: only a look can tell. */
        look(r);
        return;
    }
    if (e == ERR_MISSING)
        metric_add(&metrics[M_FOREIGN], 1);
    else if (e != ERR_OK && e != ERR_CONFLICT && e != ERR_CLOSED)
        LOG(ERROR, "upload.failed", F_STR("blob", c->b.id), F_STR("error", err_name(e)));
    record_end(r, e);
}

static void apply(struct record *r, const struct life_event *ev)
{
    r->change.ev = *ev;
    r->change.done = applied;
    r->change.owner = r;
    repo_apply(&r->m->w->repo, &r->change);
}

static void looked(struct look *l, enum err e)
{
    struct record *r = l->owner;
    struct watcher *w = r->m->w;
    bool known = r->change.b.seq > 0; /* else it may be nobody's, and a blob's timer looks again */
    if (e == ERR_OK && l->found.type == LIFE_UPLOADED) {
        apply(r, &l->found);
    } else if (e == ERR_OK || e == ERR_CLOSED || (e != ERR_FULL && !known)) {
        record_end(r, e);
    } else {
        if (w->resting == NULL)
            w->look_again = mono_after_ms(mono_now(), AGAIN_MS);
        r->next = w->resting;
        w->resting = r;
    }
}

static struct record *take_resting(struct watcher *w)
{
    struct record *all = w->resting;
    w->resting = NULL;
    return all;
}

void uploads_look_again(struct watcher *w, mono_t now)
{
    struct record *next;
    if (mono_until_ms(now, w->look_again) > 0)
        return;
    for (struct record *r = take_resting(w); r != NULL; r = next) {
        next = r->next;
        look(r);
    }
}

void uploads_give_up(struct watcher *w)
{
    struct record *next;
    for (struct record *r = take_resting(w); r != NULL; r = next) {
        next = r->next;
        record_end(r, ERR_CLOSED);
    }
}

static void take_record(struct message *m, const struct s3event *ev)
{
    struct watcher *w = m->w;
    struct str id = keys_id_of_object(str_of(ev->key));
    metric_add(&metrics[M_RECORDS], 1);
    if (id.p == NULL || !str_eq(str_of(ev->bucket), w->bucket)) {
        metric_add(&metrics[M_FOREIGN], 1);
        LOG(DEBUG, "upload.foreign", F_STR("bucket", ev->bucket), F_STR("key", ev->key));
        return;
    }
    struct record *r = xcalloc(1, sizeof *r);
    r->m = m;
    r->ev = *ev;
    m->open++;
    w->uploads_busy++;
    FAILPOINT("uploads.taken");
    (void)!str_copy(r->change.b.id, sizeof r->change.b.id, id);
    if (ev->etag[0] != '\0' && ev->size >= 0) {
        apply(r, &(struct life_event){ .type = LIFE_UPLOADED,
                                       .hearsay = true,
                                       .etag = str_of(r->ev.etag),
                                       .size = ev->size });
    } else { /* a store that does not tell all: ask */
        look(r);
    }
}

static void letter_done(void *owner, struct kafka_ticket source, enum err e)
{
    (void)source; /* its records may be still in progress */
    message_release(owner, e);
}

static void bury(struct message *m, const struct kafka_msg *msg, const char *reason,
                 const struct errbuf *eb)
{
    LOG(WARN, "upload.unreadable", F_STR("reason", eb->text), F_INT("partition", msg->partition),
        F_INT("offset", msg->offset));
    m->open++;
    dead_put(&m->w->dead, msg, reason, eb->text, letter_done, m);
}

static void take_message(struct watcher *w, const struct kafka_msg *msg)
{
    struct s3event_iter it;
    struct s3event ev;
    struct errbuf eb = { "" };
    bool buried = false;
    struct message *m = xcalloc(1, sizeof *m);
    *m = (struct message){ .w = w, .ticket = msg->ticket, .open = 1 };
    enum err e = s3event_parse(&it, msg->value, &eb);
    if (e != ERR_OK)
        bury(m, msg, LETTER_NO_EVENT, &eb);
    while (e == ERR_OK || (e != ERR_MISSING && it.taken > 0)) {
        e = s3event_next(&it, &ev, &eb);
        if (e == ERR_OK) {
            take_record(m, &ev);
        } else if (e != ERR_MISSING && !buried) {
            bury(m, msg, LETTER_BAD_RECORD, &eb);
            buried = true; /* the whole message, once */
        }
    }
    message_release(m, ERR_OK);
}

bool uploads_have_room(const struct watcher *w)
{
    return w->uploads_busy < WATCHER_BUSY_MAX && !dead_full(&w->dead);
}

void uploads_admit(struct watcher *w)
{
    struct kafka_msg msg;
    while (uploads_have_room(w) && kafka_next(w->uploads, &msg))
        take_message(w, &msg);
    if (!uploads_have_room(w))
        kafka_serve(w->uploads);
}
