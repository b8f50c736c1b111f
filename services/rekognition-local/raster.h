/* raster.h - a JPEG or PNG from a stranger, made into a small square of RGB bytes.
 *
 * Whatever the picture claims, memory stays bounded: rows are averaged into the small raster as
 * they are decoded, and the decoders' own memory is capped.  Home of libjpeg and libpng.
 *
 * Pure.  Source  Rekognition developer guide, "Guidelines and quotas" (80 to 10,000 pixels).
 */
#ifndef REKOGNITION_LOCAL_RASTER_H
#define REKOGNITION_LOCAL_RASTER_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define RASTER_SIDE        512U /* longest side that is kept */
#define RASTER_PICTURE_MIN 80U  /* pixels of the picture, each side */
#define RASTER_PICTURE_MAX 10000U

struct raster {
    const char *type;       /* "image/jpeg", "image/png" */
    uint32_t width, height; /* of the picture */
    uint32_t w, h;          /* of what is kept */
    unsigned char *rgb;     /* w * h * 3, row by row; owned */
};

/* ERR_INVAL   not a JPEG or PNG, or a broken one
 * ERR_RANGE   smaller than RASTER_PICTURE_MIN
 * ERR_TOOBIG  larger than RASTER_PICTURE_MAX, or it wants more memory than is given */
MUSTUSE enum err raster_decode(struct raster *out, struct str bytes, struct errbuf *eb);
void raster_fini(struct raster *r); /* safe on a zeroed struct */

/* ---- between the decoders and raster.c */

/* Averages decoded rows into the raster. */
struct raster_sink {
    struct raster *out;
    uint32_t from_w, from_h; /* size of what the decoder delivers */
    uint32_t y;              /* rows seen */
    uint32_t rows_in_sum;
    uint32_t *sum;     /* 3 * out->w */
    uint32_t *columns; /* out->w: decoded columns that fall on each pixel */
};

MUSTUSE enum err raster_check_size(struct raster *out, uint32_t width, uint32_t height,
                                   struct errbuf *eb);
void raster_sink_open(struct raster_sink *s, struct raster *out, uint32_t from_w, uint32_t from_h);
void raster_sink_row(struct raster_sink *s, const unsigned char *rgb); /* from_w * 3 bytes */
void raster_sink_close(struct raster_sink *s);                         /* safe when not open */

MUSTUSE enum err raster_from_jpeg(struct raster *out, struct str bytes, struct errbuf *eb);
MUSTUSE enum err raster_from_png(struct raster *out, struct str bytes, struct errbuf *eb);

#endif
