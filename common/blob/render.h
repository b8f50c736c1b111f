/* render.h - what clients see of a record: the flat status and the bodies of /blobs.  Pure.
 *
 * A callback's body is that of GET: 200's for labels, 404's for a failure of this generation
 * (GET goes on showing an older generation's labels).
 */
#ifndef BLOB_RENDER_H
#define BLOB_RENDER_H

#include "base/buf.h"
#include "blob/blob.h"

#define RENDER_MAX_BYTES (96U * 1024)

enum status { /* exactly these ten, and "not-found" for what does not exist */
              STATUS_WAITING_FOR_UPLOAD,
              STATUS_IN_PROGRESS,
              STATUS_SUCCESS,
              STATUS_UPLOAD_TIMED_OUT,
              STATUS_INVALID_BLOB,
              STATUS_TOO_LARGE_BLOB,
              STATUS_CALLBACK_FAILURE,
              STATUS_CALLBACK_TIME_OUT,
              STATUS_CALLBACK_CONNECTION,
              STATUS_UNEXPECTED_ERROR,
              STATUS_NOT_FOUND,
};
enum status render_status(const struct blob *b);
const char *render_status_name(enum status s);

/* {"blob_id":…,"labels":[…]}; labels: the stored array. */
void render_labels(struct buf *out, const struct blob *b, struct str labels);
/* {"description":…,"payload":{"blob_id":…,"status":…}} */
void render_status_body(struct buf *out, struct str id, enum status s);
/* The body that GET answers now, and its HTTP status (200 or 404). */
int render_blob(struct buf *out, const struct blob *b, struct str labels);

#endif
