/* offwin.h - which offset may be committed when work finishes out of order.
 *
 * One window for each assigned partition: begin() on delivery, done() on completion in any
 * order, advance() to learn the new position.  Pure: no I/O, no clock, no lock, no allocation
 * after init.
 *
 * Owner    the thread that polls the consumer; work only carries the ticket.
 * Memory   the caller owns slots[]; the window borrows it.
 * Units    offset: index of a message in its partition; cap: messages.
 * Errors   none; a wrong call is our bug and asserts.
 * Source   Kafka: a committed offset is the next one to read.  Offsets have gaps (compaction,
 *          transaction markers), so slots keep delivery order and are never found by offset.
 */
#ifndef NET_OFFWIN_H
#define NET_OFFWIN_H

#include <stdbool.h>
#include <stdint.h>

#define OFFWIN_NONE INT64_C(-1)

struct offwin_slot {
    int64_t offset;
    bool done;
};

struct offwin {
    struct offwin_slot *slots;
    uint32_t cap;        /* a power of two, 2 to 1 << 20 */
    uint32_t head, tail; /* free-running; tail - head messages are in flight */
    uint32_t epoch;      /* grows with every reset, so that late tickets are recognised */
};

struct offwin_ticket {
    uint32_t epoch, seq;
};

void offwin_init(struct offwin *w, struct offwin_slot *slots, uint32_t cap);
/* Forgets everything in flight; for a partition that was revoked or assigned again. */
void offwin_reset(struct offwin *w);
bool offwin_full(const struct offwin *w);
uint32_t offwin_in_flight(const struct offwin *w);
/* The offset delivered last, while anything is in flight; else OFFWIN_NONE. */
int64_t offwin_last(const struct offwin *w);
/* Records a delivered message.  Not when full; offsets grow. */
struct offwin_ticket offwin_begin(struct offwin *w, int64_t offset);
/* Marks one complete.  False: the ticket is from before a reset, nothing happened. */
bool offwin_done(struct offwin *w, struct offwin_ticket t);
/* Frees the completed prefix.  The position to store (last completed + 1), or OFFWIN_NONE when
 * the oldest is still in flight or nothing was. */
int64_t offwin_advance(struct offwin *w);

#endif
