/* image.h - what is this file, and will Rekognition take it?  Pure; allocates nothing.
 *
 * Looks at the content, never at the name: width and height come from the header without
 * decoding, so that a hopeless picture is refused before the paid call.  Time is bounded by
 * the bytes given, and every loop moves forward.
 *
 * Source   ITU-T T.81 Annex B (JPEG markers); PNG specification (third edition) 5.2 to 5.6 and
 *          11.2.1; Rekognition "Guidelines and quotas" (80 px, 10,000 px, 5 MB, 15 MB).
 */
#ifndef RECOGNIZER_IMAGE_H
#define RECOGNIZER_IMAGE_H

#include <stdint.h>

#include "base/str.h"

#define IMAGE_HEAD_BYTES             65536U /* what image_probe() looks at, at most */
#define IMAGE_SIDE_MIN               80U
#define IMAGE_SIDE_MAX               10000U
#define IMAGE_BYTES_MAX_BY_REFERENCE (UINT64_C(15) << 20)
#define IMAGE_BYTES_MAX_BY_VALUE     (UINT64_C(5) << 20)

#define IMAGE_FORMATS(X)                                                                           \
    X(UNKNOWN, "application/octet-stream", "not an image")                                         \
    X(JPEG, "image/jpeg", "a JPEG")                                                                \
    X(PNG, "image/png", "a PNG")                                                                   \
    X(GIF, "image/gif", "a GIF")                                                                   \
    X(WEBP, "image/webp", "a WebP")                                                                \
    X(BMP, "image/bmp", "a BMP")                                                                   \
    X(TIFF, "image/tiff", "a TIFF")                                                                \
    X(HEIC, "image/heic", "an HEIC")                                                               \
    X(AVIF, "image/avif", "an AVIF")                                                               \
    X(JXL, "image/jxl", "a JPEG XL")                                                               \
    X(SVG, "image/svg+xml", "an SVG")                                                              \
    X(VIDEO, "video/mp4", "a video")                                                               \
    X(PDF, "application/pdf", "a PDF")                                                             \
    X(ZIP, "application/zip", "a ZIP archive")                                                     \
    X(HTML, "text/html", "an HTML page")

enum image_format {
#define X(name, type, text) IMAGE_##name,
    IMAGE_FORMATS(X)
#undef X
};

const char *image_content_type(enum image_format f); /* static */

enum image_verdict {
    IMAGE_OK,
    IMAGE_INVALID,   /* no JPEG or PNG, broken, or under IMAGE_SIDE_MIN */
    IMAGE_TOO_LARGE, /* over IMAGE_SIDE_MAX or the byte limit */
};

struct image_info {
    enum image_verdict verdict;
    enum image_format format;
    uint32_t width, height; /* as stored, before EXIF rotation; 0 x 0: not known */
    char reason[128];       /* one sentence for people; empty when OK */
};

/* head: the first min(total_bytes, IMAGE_HEAD_BYTES) bytes; max_bytes: one of the limits above.
 *
 * A JPEG whose size stands behind the head (large EXIF, ICC or thumbnail segments) is OK with
 * 0 x 0: such files are real, and the recogniser, which must decode the picture anyway, applies
 * the same limits; refusing would punish good files and reading on would cost every big one. */
void image_probe(struct str head, uint64_t total_bytes, uint64_t max_bytes, struct image_info *out);

#endif
