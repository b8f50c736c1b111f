/* s3event.h - "an object was created", in the shapes in which stores say it.  Pure.
 *
 *   struct s3event_iter it;
 *   e = s3event_parse(&it, text, eb);                 the message as a whole
 *   while (e == ERR_OK) { e = s3event_next(&it, &ev, eb); … }
 *
 * Understood: Records of AWS S3 (SQS, version 2.x), MinIO and versitygw, and EventBridge's
 * "Object Created".  A message may hold many records; what is no creation (TestEvent, removals)
 * is skipped and counted.  A bad record does not hide the good ones around it.
 *
 * An event is a hint: it may come twice, late or never, and only HEAD knows the object.
 *
 * Memory   the iterator borrows the text; an event is copied out.
 * Source   S3 User Guide "Event message structure" and "EventBridge event message structure";
 *          minio internal/event/event.go; versitygw s3event/event.go.
 */
#ifndef BLOB_S3EVENT_H
#define BLOB_S3EVENT_H

#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#define S3EVENT_MAX_BYTES   (1U << 20)
#define S3EVENT_RECORDS_MAX 1000U
#define S3EVENT_BUCKET_MAX  255U
#define S3EVENT_KEY_MAX     1024U
#define S3EVENT_ETAG_MAX    127U

struct s3event {
    char bucket[S3EVENT_BUCKET_MAX + 1];
    char key[S3EVENT_KEY_MAX + 1];   /* decoded; UTF-8 without NUL, never empty; not otherwise
                                        checked: it may be ours or "../x" */
    char etag[S3EVENT_ETAG_MAX + 1]; /* without quotes, visible ASCII; empty when not told */
    int64_t size;                    /* -1: not told, or not to be believed */
};

struct s3event_iter {
    struct json_iter records;
    struct json detail; /* an object: EventBridge's one event, not yet taken */
    unsigned taken;     /* records seen */
    unsigned ignored;   /* of these, no creation of a named object */
};

/* ERR_INVAL, ERR_TOOBIG: no such message, and it will not become one; eb has the reason. */
MUSTUSE enum err s3event_parse(struct s3event_iter *it, struct str text, struct errbuf *eb);

/* The next creation.  ERR_MISSING: no more.  ERR_INVAL, ERR_TOOBIG: one bad record, eb says
 * which and why; the next call goes on behind it. */
MUSTUSE enum err s3event_next(struct s3event_iter *it, struct s3event *out, struct errbuf *eb);

#endif
