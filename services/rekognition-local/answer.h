/* answer.h - the JSON of a DetectLabels answer.  Pure.
 *
 * Source   as ask.h: DetectLabelsResponse.  Confidence is a float there and is printed as the
 *          shortest decimal that reads back as that float made a double: 98.95704650878906.
 */
#ifndef REKOGNITION_LOCAL_ANSWER_H
#define REKOGNITION_LOCAL_ANSWER_H

#include "base/buf.h"
#include "rekognition-local/ask.h"
#include "rekognition-local/describe.h"
#include "rekognition-local/look.h"

/* Appends the answer for what was seen, as far as it was asked for.  Returns how many labels. */
size_t answer_put(struct buf *out, const struct ask *a, const struct look *look);
/* The same with labels that somebody else wrote: a JSON array. */
void answer_put_verbatim(struct buf *out, struct str labels);

#endif
