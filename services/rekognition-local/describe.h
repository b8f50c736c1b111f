/* describe.h - what was measured, in words: labels with parents and confidence.  Pure.
 *
 * These are statements about pixels, no more: the stand-in recognises nothing and does not
 * pretend to.  The shape is Rekognition's: every parent is a label of its own, at least as sure
 * as its surest child; labels come by confidence, then by name.
 */
#ifndef REKOGNITION_LOCAL_DESCRIBE_H
#define REKOGNITION_LOCAL_DESCRIBE_H

#include <stddef.h>

#include "rekognition-local/look.h"

#define DESCRIBE_MODEL    "3.0-local"
#define DESCRIBE_CATEGORY "Colors and Visual Composition"
#define DESCRIBE_MAX      48U

struct label {
    const char *name;
    const char *parents[2]; /* NULL where there is none */
    float confidence;       /* 0 to 100; Rekognition's is a float as well */
};

/* Fills out[] and returns how many.  Each name once. */
size_t describe(struct label out[DESCRIBE_MAX], const struct look *look);

#endif
