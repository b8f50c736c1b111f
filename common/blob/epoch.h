/* epoch.h - whether Redis and the bucket go together.  Pure.
 *
 * The epoch, a UUID, is born with an installation.  It stands in Redis (repo.h) and, mirrored, in
 * the bucket (OBJECT_EPOCH): whichever of the two is lost or exchanged, the other one tells.
 */
#ifndef BLOB_EPOCH_H
#define BLOB_EPOCH_H

#include "base/str.h"

enum epoch_verdict {
    EPOCH_GOOD,
    EPOCH_FRESH,      /* neither has one: establish it */
    EPOCH_UNMIRRORED, /* Redis has one, the bucket none: write it there */
    EPOCH_LOST,       /* the bucket has one, Redis none: its data was lost */
    EPOCH_PARTLY,     /* Redis has one, but not in every shard: data of those was lost */
    EPOCH_OTHER,      /* they differ: another Redis, or another bucket */
};

/* Either "" for none; differing: shards that do not hold what the facts hold.  Read the bucket
 * first: establishing writes Redis first, so that it cannot look like a loss. */
enum epoch_verdict epoch_judge(struct str redis, unsigned differing, struct str mirror);

const char *epoch_text(enum epoch_verdict v); /* a sentence for people; static */

#endif
