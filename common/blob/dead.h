/* dead.h - what cannot be worked on goes to labelwire.dead.
 *
 *   dead_put()  ─▶ letter, kept here ─▶ dead_turn() sends it ─▶ acknowledged ─▶ done(ERR_OK)
 *
 * The source message may be finished only then: nothing is lost meanwhile, whoever dies; it may
 * make a second letter.  A letter that is refused is sent again, a second later each time; one
 * that is too large for the topic is cut.  The producer is opened with the first letter.
 * Thread   one, the loop's.
 */
#ifndef BLOB_DEAD_H
#define BLOB_DEAD_H

#include "base/clock.h"
#include "base/metric.h"
#include "net/kafka.h"

#define DEAD_LETTERS_MAX 32U /* on their way; each holds its message, up to a megabyte */

typedef void dead_done(void *owner, struct kafka_ticket source, enum err e);

struct dead_letter {
    enum { DEAD_FREE, DEAD_WAITING, DEAD_SENT } state;
    struct kafka_delivery delivery;
    struct kafka_msg source; /* key and value point into .bytes; it borrows nothing */
    char *bytes;
    const char *reason; /* static text */
    char detail[256];
    size_t max_bytes; /* of key and value, halved when the topic takes less */
    dead_done *done;
    void *owner;
};

struct dead {
    struct kafka_conf kafka;     /* borrowed; so are the next two */
    const char *service, *topic; /* topic: the source */
    int wake_fd;
    struct kafka_producer *producer;
    bool broken;  /* the producer: to be opened anew */
    mono_t again; /* no letter is sent before */
    unsigned n;
    struct dead_letter letters[DEAD_LETTERS_MAX];
};

extern const struct metric_set dead_metrics;

/* wake_fd: what the loop polls; signalled when a letter has arrived. */
void dead_init(struct dead *d, const struct kafka_conf *kafka, const char *service,
               const char *topic, int wake_fd);
/* Calls done(ERR_CLOSED) for letters that are still here.  Safe on a zeroed struct. */
void dead_close(struct dead *d);

/* No room for a letter: take nothing more from Kafka. */
bool dead_full(const struct dead *d);
/* Copies the message, whose dead_full() was false before it was taken.  reason: a word of
 * letter.h; detail: one sentence. */
void dead_put(struct dead *d, const struct kafka_msg *m, const char *reason, const char *detail,
              dead_done *done, void *owner);
/* Every turn of the loop: sends and tells. */
void dead_turn(struct dead *d, mono_t now);

#endif
