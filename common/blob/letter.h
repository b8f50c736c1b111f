/* letter.h - what a message on labelwire.dead says in its headers.  Pure.
 *
 * A letter is a message that could not be worked on: key and value as they came, its headers say
 * why and where from.  A mark, on the same topic, says that a letter was dealt with: it names it
 * by partition and offset, "0-17".
 *
 * Memory   fields borrow; letter_of() points into the storage that it is given.
 */
#ifndef BLOB_LETTER_H
#define BLOB_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

/* The reasons; stable words. */
#define LETTER_NO_WORK    "not-a-work-item"
#define LETTER_NO_EVENT   "not-an-s3-event"
#define LETTER_BAD_RECORD "unreadable-record" /* one or more among others, which were worked on */

enum letter_field {
    LETTER_REASON,
    LETTER_DETAIL, /* one sentence */
    LETTER_TOPIC,  /* the source's; so are the next three */
    LETTER_PARTITION,
    LETTER_OFFSET,
    LETTER_TIMESTAMP, /* RFC 3339, as those below; left out when the message had none */
    LETTER_SERVICE,
    LETTER_TIME,
    LETTER_FULL_SIZE,     /* bytes of the value, which was cut; left out when it was not */
    LETTER_FULL_KEY_SIZE, /* the same of the key */
    LETTER_RESOLVES,      /* of a mark: the letter's id */
    LETTER_RESOLUTION,    /* "retried" or "discarded" */
    LETTER_BY,
    LETTER_NFIELDS,
};

struct letter {
    struct str field[LETTER_NFIELDS]; /* .p NULL: not there */
};

const char *letter_field_name(enum letter_field f);
/* Keeps the value of a header that letters have; of one that comes twice, the first. */
void letter_take(struct letter *l, struct str name, struct str value);

struct letter_source {
    const char *topic, *service;
    struct str key, value;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* -1: none */
};
struct letter_text {
    char partition[12], offset[24], size[24], key_size[24];
    char timestamp[CLOCK_RFC3339_LEN + 1], time[CLOCK_RFC3339_LEN + 1];
};
/* The letter for a message.  When key and value are longer than max_bytes together, which is at
 * least LETTER_KEY_LEAST, the source's are cut. */
#define LETTER_KEY_LEAST 1024U /* bytes of a key that are never cut */
void letter_of(struct letter *out, struct letter_text *text, struct letter_source *source,
               const char *reason, const char *detail, wall_t now, size_t max_bytes);

struct letter_id {
    int32_t partition;
    int64_t offset;
};
#define LETTER_ID_MAX 36U
/* "0-17".  ERR_INVAL: it is none. */
MUSTUSE enum err letter_id_parse(struct letter_id *out, struct str text);
void letter_id_format(char dst[LETTER_ID_MAX], struct letter_id id);
int letter_id_cmp(struct letter_id a, struct letter_id b);

#endif
