/* ask.h - the JSON of a DetectLabels request, checked and decoded.  Pure.
 *
 * Source   botocore data/rekognition/2016-06-27/service-2.json: DetectLabelsRequest, Image,
 *          S3Object; unknown members are ignored there, so they are here.
 */
#ifndef REKOGNITION_LOCAL_ASK_H
#define REKOGNITION_LOCAL_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "rekognition-local/fault.h"

#define ASK_BYTES_MAX  5242880U
#define ASK_LABELS_MAX 1000
#define ASK_COLORS_MAX 20

struct ask {
    struct buf image;                            /* the bytes, when no object is named */
    char bucket[256], name[1025], version[1025]; /* bucket "": bytes were sent */
    bool labels, properties;                     /* Features */
    int64_t max_labels;
    double min_confidence;
    int64_t max_colors;
};

/* ERR_INVAL: f says why, as Rekognition would.  ask_fini() in any case. */
MUSTUSE enum err ask_parse(struct ask *out, struct str body, struct fault *f);
void ask_fini(struct ask *a); /* safe on a zeroed struct */

#endif
