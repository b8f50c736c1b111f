#include "blob/render.h"

static const struct {
    const char *name, *description;
} statuses[] = {
    [STATUS_WAITING_FOR_UPLOAD] = { "waiting-for-upload", "Blob hasn't been uploaded yet." },
    [STATUS_IN_PROGRESS] = { "in-progress", "Recognition is in progress." },
    [STATUS_SUCCESS] = { "success", "Recognition succeeded." },
    [STATUS_UPLOAD_TIMED_OUT] = { "upload-timed-out", "Blob upload is timed out." },
    [STATUS_INVALID_BLOB] = { "invalid-blob-has-been-uploaded",
                              "Invalid image format has been uploaded." },
    [STATUS_TOO_LARGE_BLOB] = { "too-large-blob-has-been-uploaded",
                                "Too large image has been uploaded." },
    [STATUS_CALLBACK_FAILURE] = { "failed-due-to-callback-failure",
                                  "The callback URL answered with an unexpected status." },
    [STATUS_CALLBACK_TIME_OUT] = { "failed-due-to-callback-time-out",
                                   "The callback URL did not answer in time." },
    [STATUS_CALLBACK_CONNECTION] = { "failed-due-to-callback-connection",
                                     "The callback URL could not be connected to." },
    [STATUS_UNEXPECTED_ERROR] = { "unexpected-error",
                                  "Unexpected error occurred while recognition, try again." },
    [STATUS_NOT_FOUND] = { "not-found", "Blob not found." },
};

static enum status of_delivery(const struct blob *b)
{
    switch (b->delivery) {
    case DELIVERY_DONE:
        return STATUS_SUCCESS;
    case DELIVERY_FAILURE:
        return STATUS_CALLBACK_FAILURE;
    case DELIVERY_TIMEOUT:
        return STATUS_CALLBACK_TIME_OUT;
    case DELIVERY_CONNECTION:
        return STATUS_CALLBACK_CONNECTION;
    case DELIVERY_NONE:
    case DELIVERY_N:
        break;
    }
    return b->phase == PHASE_FINISHED ? STATUS_SUCCESS : STATUS_IN_PROGRESS;
}

enum status render_status(const struct blob *b)
{
    if (b->phase == PHASE_ERASING)
        return STATUS_NOT_FOUND;
    switch (b->result) {
    case RESULT_TIMED_OUT:
        return STATUS_UPLOAD_TIMED_OUT;
    case RESULT_INVALID:
        return STATUS_INVALID_BLOB;
    case RESULT_TOO_LARGE:
        return STATUS_TOO_LARGE_BLOB;
    case RESULT_ERROR:
        return STATUS_UNEXPECTED_ERROR;
    case RESULT_LABELS:
        return of_delivery(b);
    case RESULT_NONE:
    case RESULT_N:
        break;
    }
    return b->phase == PHASE_AWAITING ? STATUS_WAITING_FOR_UPLOAD : STATUS_IN_PROGRESS;
}

const char *render_status_name(enum status s)
{
    return statuses[s].name;
}

void render_labels(struct buf *out, const struct blob *b, struct str labels)
{
    buf_printf(out, "{\"blob_id\":\"%s\",\"labels\":", b->id);
    buf_put(out, labels);
    buf_putc(out, '}');
}

void render_status_body(struct buf *out, struct str id, enum status s)
{
    buf_puts(out, "{\"description\":");
    buf_json(out, str_of(statuses[s].description));
    buf_puts(out, ",\"payload\":{\"blob_id\":");
    buf_json(out, id);
    buf_printf(out, ",\"status\":\"%s\"}}", statuses[s].name);
}

int render_blob(struct buf *out, const struct blob *b, struct str labels)
{
    if (b->has_labels && labels.n > 0 && b->phase != PHASE_ERASING) {
        render_labels(out, b, labels);
        return 200;
    }
    render_status_body(out, str_of(b->id), render_status(b));
    return 404;
}
