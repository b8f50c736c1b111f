/* look.h - what can honestly be measured in a small raster: colours, light, texture, shape.
 *
 * Pure.  The same pixels give the same numbers.
 * Source   colourfulness: Hasler and Suesstrunk, "Measuring colourfulness in natural images"
 *          (2003).  Luma: ITU-R BT.601.
 */
#ifndef REKOGNITION_LOCAL_LOOK_H
#define REKOGNITION_LOCAL_LOOK_H

#include <stdint.h>

#include "rekognition-local/raster.h"

#define COLOR_LIST(X)                                                                              \
    X(BLACK, "Black")                                                                              \
    X(WHITE, "White")                                                                              \
    X(GRAY, "Gray")                                                                                \
    X(RED, "Red")                                                                                  \
    X(ORANGE, "Orange")                                                                            \
    X(BROWN, "Brown")                                                                              \
    X(YELLOW, "Yellow")                                                                            \
    X(GREEN, "Green")                                                                              \
    X(CYAN, "Cyan")                                                                                \
    X(BLUE, "Blue")                                                                                \
    X(PURPLE, "Purple")                                                                            \
    X(PINK, "Pink")

enum color {
#define X(id, name) COLOR_##id,
    COLOR_LIST(X)
#undef X
        COLOR_N
};
const char *color_name(enum color c); /* "Blue"; static */
enum color color_of(unsigned r, unsigned g, unsigned b);

struct look {
    double aspect; /* width / height of the picture */
    struct {
        double share;         /* of the pixels, 0 to 1 */
        unsigned char rgb[3]; /* their mean */
    } colors[COLOR_N];
    /* 0 to 1 */
    double brightness; /* mean luma */
    double contrast;   /* standard deviation of luma */
    double edges;      /* mean step of luma between neighbours */
    double colorless;  /* share of pixels without a hue */
    double one_hue;    /* how much the hues agree: 1 is a single one */
    double warm, cool; /* share of the colourfulness that is warm, cool; the rest is neither */
    double plane;      /* how much of the light a flat ramp explains (R squared) */
    double mirrored;   /* how alike the left half and the mirrored right half are */
    double sky;        /* share of the upper third that is blue, white or light grey */
    double sky_below;  /* the same of the lower third */
    double sky_edges;  /* edges of the upper third */
    double colorful;   /* Hasler and Suesstrunk's M: 0 none, 45 average, 109 extreme */
};

void look_at(struct look *out, const struct raster *r);

#endif
