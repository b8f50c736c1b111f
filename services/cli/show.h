/* show.h - results as a table for people or as one line of JSON for programs. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "base/json.h"
#include "cli/screen.h"

/* What the result is about; file NULL: only the blob is known, id NULL: there is no blob. */
struct show_of {
    const char *file, *id;
};

/* A heading and the labels: name, confidence with one decimal, parents. */
void show_table(struct buf *out, const struct screen *s, struct show_of of, struct json labels);

/* {"file":…,"blob_id":…,"status":"success","labels":[…]} and a line end; the labels as they are. */
void show_json_labels(struct buf *out, const struct screen *s, struct show_of of,
                      struct json labels);
/* {"file":…,"blob_id":…,"status":…,"description":…} and a line end. */
void show_json_status(struct buf *out, const struct screen *s, struct show_of of,
                      const char *status, struct str description);

#endif
