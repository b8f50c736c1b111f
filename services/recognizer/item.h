/* item.h - one blob on its way through the recognizer, and the ways in which it ends.
 *
 * Steps follow one another; only one of the parts is in use at a time.
 */
#ifndef RECOGNIZER_ITEM_H
#define RECOGNIZER_ITEM_H

#include "blob/labels.h"
#include "recognizer/call.h"
#include "recognizer/image.h"
#include "recognizer/pipeline.h"

struct item {
    struct pipeline *p;
    struct kafka_ticket ticket;
    struct repo_change change;
    struct s3_req object;
    struct call call;
    struct image_info image;
    mono_t begun, lease_end;
    struct errbuf why; /* of a broken answer; the last transition borrows it */
    struct buf labels;
    char model[LABELS_VERSION_BYTES];
};

struct item *item_new(struct pipeline *p, struct str id, struct kafka_ticket ticket);
/* Without a word: e is what repo said last, or ERR_CLOSED. */
void item_end(struct item *it, enum err e);

/* The last step: one transition says how it went.  code and detail are borrowed until then. */
void item_end_with(struct item *it, const struct life_event *ev);
void item_labeled(struct item *it); /* it->labels and it->model are filled */
void item_reject(struct item *it, enum blob_result result, const char *code, const char *detail);
/* A peer failed although nothing is wrong with this blob, as far as we know: none got through there
 * since this one was begun.  For a day a blob is patient with that. */
bool item_in_outage(const struct item *it, mono_t last_through);
/* ours: the trouble is ours, and no blob is given up for it. */
void item_postpone(struct item *it, bool ours, const char *code, const char *detail);

#endif
