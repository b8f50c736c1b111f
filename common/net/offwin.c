#include "net/offwin.h"

#include <assert.h>
#include <stddef.h>

#define CAP_MAX (UINT32_C(1) << 20)

/* Sequence numbers run free and wrap; cap divides 2^32, so the slot survives the wrap too. */
static struct offwin_slot *slot_of(const struct offwin *w, uint32_t seq)
{
    return &w->slots[seq & (w->cap - 1)];
}

void offwin_init(struct offwin *w, struct offwin_slot *slots, uint32_t cap)
{
    assert(slots != NULL && cap >= 2 && cap <= CAP_MAX && (cap & (cap - 1)) == 0);
    *w = (struct offwin){ .slots = slots, .cap = cap };
}

void offwin_reset(struct offwin *w)
{
    w->head = w->tail;
    w->epoch++;
}

bool offwin_full(const struct offwin *w)
{
    return offwin_in_flight(w) == w->cap;
}

uint32_t offwin_in_flight(const struct offwin *w)
{
    return w->tail - w->head;
}

int64_t offwin_last(const struct offwin *w)
{
    return w->tail == w->head ? OFFWIN_NONE : slot_of(w, w->tail - 1)->offset;
}

struct offwin_ticket offwin_begin(struct offwin *w, int64_t offset)
{
    assert(!offwin_full(w) && offset >= 0 && offset < INT64_MAX);
    assert(offwin_last(w) < offset);
    *slot_of(w, w->tail) = (struct offwin_slot){ .offset = offset };
    return (struct offwin_ticket){ .epoch = w->epoch, .seq = w->tail++ };
}

bool offwin_done(struct offwin *w, struct offwin_ticket t)
{
    if (t.epoch != w->epoch)
        return false;
    assert(t.seq - w->head < w->tail - w->head); /* completed and freed before: our bug */
    struct offwin_slot *s = slot_of(w, t.seq);
    assert(!s->done); /* completed twice */
    s->done = true;
    return true;
}

int64_t offwin_advance(struct offwin *w)
{
    int64_t position = OFFWIN_NONE;
    while (w->head != w->tail && slot_of(w, w->head)->done)
        position = slot_of(w, w->head++)->offset + 1;
    return position;
}
