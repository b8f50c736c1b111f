/* blob.h - the record of one blob, and its form as fields of a Redis hash.  Pure.
 *
 * The record decides: everything a client can see is rendered from it, and `seq` is at once
 * the compare-and-set version, the fencing token, the event number and the ETag.
 * Memory   fixed size, copied by assignment; about 5 KiB.
 */
#ifndef BLOB_BLOB_H
#define BLOB_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rand.h"
#include "base/str.h"

#define BLOB_URL_MAX    2048U
#define BLOB_KEY_MAX    1024U
#define BLOB_FIELDS_MAX 32U

/* One phase is active at a time; what its timer means is in life.h. */
enum blob_phase {
    PHASE_AWAITING,
    PHASE_QUEUED,
    PHASE_RECOGNIZING,
    PHASE_RESTING,
    PHASE_PARKED,
    PHASE_DELIVERING,
    PHASE_ATTEMPTING,
    PHASE_HOLDING,
    PHASE_FINISHED,
    PHASE_ERASING,
    PHASE_N,
};

/* How upload and recognition of this generation ended. */
enum blob_result {
    RESULT_NONE,
    RESULT_LABELS,
    RESULT_TIMED_OUT,
    RESULT_INVALID,
    RESULT_TOO_LARGE,
    RESULT_ERROR,
    RESULT_N,
};

/* How the last delivery attempt of this generation ended. */
enum blob_delivery {
    DELIVERY_NONE,
    DELIVERY_DONE,
    DELIVERY_FAILURE,    /* any answer but the wanted one */
    DELIVERY_TIMEOUT,    /* connecting or in all */
    DELIVERY_CONNECTION, /* refused, DNS, TLS, blocked address */
    DELIVERY_N,
};

struct blob {
    char id[UUID_LEN + 1];
    char owner[64];
    enum blob_phase phase;
    enum blob_result result;
    enum blob_delivery delivery;
    int64_t seq;      /* grows by one with every transition; 0: not stored */
    int64_t gen;      /* counts outcomes, from 1 */
    int64_t starts;   /* attempts begun in this phase without an end */
    int64_t handoffs; /* times the hand-off of this phase was repeated */
    int64_t tries;    /* recognition attempts of this generation that failed for a while */
    int64_t attempts; /* delivery attempts of this generation that ended */
    int64_t created_ms, updated_ms; /* Unix time */
    int64_t window_ms;              /* life of the upload URL */
    int64_t looked_late;            /* 1: the late look for a slow upload was taken */
    int64_t size, width, height;    /* bytes, pixels; 0: not known */
    int64_t max_labels;
    int64_t min_confidence; /* percent */
    char object_key[BLOB_KEY_MAX + 1];
    char etag[130];                      /* pinned when the upload was seen */
    char content_type[64];               /* sniffed */
    char callback_url[BLOB_URL_MAX + 1]; /* empty: none */
    char code[48];                       /* why it failed: a stable word */
    char detail[192];                    /* and one sentence */
    char model[48];                      /* label model version */
    char traceparent[56];                /* W3C trace context of the creating request */
    int64_t has_labels;                  /* 1: labels of some generation are stored */
};

const char *phase_name(enum blob_phase p);
const char *result_name(enum blob_result r);
const char *delivery_name(enum blob_delivery d);

/* A name and value of the hash; value points into the record or into text[]. */
struct blob_field {
    struct str name, value;
    char text[24];
};

/* The fields in which b differs from `old` (all that are set when old is NULL).  Returns how
 * many; at most BLOB_FIELDS_MAX. */
size_t blob_fields(struct blob_field out[BLOB_FIELDS_MAX], const struct blob *b,
                   const struct blob *old);

/* Sets one field from the hash.  ERR_INVAL: unreadable value.  A name that is not known is
 * ignored: a newer version wrote it. */
MUSTUSE enum err blob_set_field(struct blob *b, struct str name, struct str value);

#endif
