/* labels.h - Rekognition's answer, turned into the labels that are served.
 *
 * The answer comes from outside and is treated so: a wrong shape is refused with a reason, too
 * much of the right shape is cut.  Numbers go out with the digits they came with.  Pure.
 *
 * Source   Rekognition API reference, DetectLabels: Labels[].{Name, Confidence, Parents[].Name}
 *          and LabelModelVersion; at most 1,000 labels, highest confidence first.
 */
#ifndef BLOB_LABELS_H
#define BLOB_LABELS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define LABELS_MAX           1000U  /* labels looked at; the service sends no more */
#define LABELS_NAME_BYTES    256U   /* a longer name is refused */
#define LABELS_PARENTS_MAX   64U    /* further parents of a label are left out */
#define LABELS_BYTES         65536U /* of the array; it ends before the label that does not fit */
#define LABELS_VERSION_BYTES 32U    /* of the model version, with its NUL */

/* Appends [{"label":"Car","confidence":98.95704650878906,"parents":["Vehicle"]}, …]: at most
 * max_labels, none below min_confidence, each name once (the first one stays).
 *
 * model_version becomes "" when the answer names none that fits.
 * ERR_INVAL   the answer has the wrong shape; eb says where; out is as it was
 * ERR_TOOBIG  out is full */
MUSTUSE enum err labels_from_rekognition(struct buf *out, struct str answer, int64_t max_labels,
                                         double min_confidence,
                                         char model_version[LABELS_VERSION_BYTES],
                                         struct errbuf *eb);

#endif
