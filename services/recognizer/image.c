#include "recognizer/image.h"

#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"

#define PNG_HEADER_BYTES 33U /* signature, and the IHDR chunk with its CRC */

static const struct {
    const char *content_type, *text;
} formats[] = {
#define X(name, type, text) [IMAGE_##name] = { type, text },
    IMAGE_FORMATS(X)
#undef X
};

const char *image_content_type(enum image_format f)
{
    return formats[f].content_type;
}

static unsigned u8(struct str s, size_t at)
{
    return (unsigned char)s.p[at];
}

static uint32_t be16(struct str s, size_t at)
{
    return u8(s, at) << 8 | u8(s, at + 1);
}

static uint32_t be32(struct str s, size_t at)
{
    return be16(s, at) << 16 | be16(s, at + 2);
}

/* ---- which format: by magic bytes, and by brand where the container is shared ---- */

static bool has(struct str s, size_t at, struct str bytes)
{
    return str_starts(str_from(s, at), bytes);
}

/* "ftyp" boxes begin HEIC, AVIF and MP4 alike; the brand behind it tells. */
static enum image_format by_brand(struct str brand)
{
    static const struct {
        struct str start;
        enum image_format format;
    } rows[] = {
        { { "avi", 3 }, IMAGE_AVIF }, { { "hei", 3 }, IMAGE_HEIC }, { { "hev", 3 }, IMAGE_HEIC },
        { { "mif", 3 }, IMAGE_HEIC }, { { "msf", 3 }, IMAGE_HEIC },
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        if (str_starts(brand, rows[i].start))
            return rows[i].format;
    return IMAGE_VIDEO;
}

/* XML does not say in its first bytes what it is; the first 1 KiB does. */
static enum image_format by_text(struct str head)
{
    if (has(head, 0, S("\xef\xbb\xbf")))
        head = str_from(head, 3);
    head = str_head(str_trim(head), 1024);
    if (!has(head, 0, S("<")))
        return IMAGE_UNKNOWN;
    for (size_t i = 0; i < head.n; i++) {
        struct str at = str_from(head, i);
        if (str_eq_nocase(str_head(at, 4), S("<svg")))
            return IMAGE_SVG;
        if (str_eq_nocase(str_head(at, 5), S("<html")) ||
            str_eq_nocase(str_head(at, 14), S("<!doctype html")))
            return IMAGE_HTML;
    }
    return IMAGE_UNKNOWN;
}

static enum image_format sniff(struct str head)
{
    static const struct {
        struct str magic;
        enum image_format format;
    } rows[] = {
        { { "\xff\xd8\xff", 3 }, IMAGE_JPEG },
        { { "\x89PNG\r\n\x1a\n", 8 }, IMAGE_PNG },
        { { "GIF87a", 6 }, IMAGE_GIF },
        { { "GIF89a", 6 }, IMAGE_GIF },
        { { "II*\0", 4 }, IMAGE_TIFF },
        { { "MM\0*", 4 }, IMAGE_TIFF },
        { { "II+\0", 4 }, IMAGE_TIFF },
        { { "MM\0+", 4 }, IMAGE_TIFF },
        { { "\xff\x0a", 2 }, IMAGE_JXL },
        { { "\0\0\0\x0cJXL ", 8 }, IMAGE_JXL },
        { { "%PDF-", 5 }, IMAGE_PDF },
        { { "PK\x03\x04", 4 }, IMAGE_ZIP },
        { { "\x1a\x45\xdf\xa3", 4 }, IMAGE_VIDEO }, /* Matroska, WebM */
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        if (str_starts(head, rows[i].magic))
            return rows[i].format;
    if (has(head, 0, S("RIFF")) && has(head, 8, S("WEBP")))
        return IMAGE_WEBP;
    if (has(head, 0, S("BM")) && has(head, 6, S("\0\0\0\0")))
        return IMAGE_BMP;
    if (has(head, 4, S("ftyp")))
        return by_brand(str_from(head, 8));
    return by_text(head);
}

/* ---- width and height; a fault is told as the rest of "The JPEG …" ---- */

/* The position behind the next marker from `at` on, 0 when there is none.  Fill bytes, stray
 * bytes and stuffed zeros are passed over, as decoders do. */
static size_t next_marker(struct str s, size_t at, unsigned *code)
{
    for (; at + 1 < s.n; at++) {
        *code = u8(s, at + 1);
        if (u8(s, at) == 0xff && *code != 0xff && *code != 0)
            return at + 2;
    }
    return 0;
}

/* C4 is a Huffman table, C8 reserved, CC arithmetic conditioning; the others begin a frame. */
static bool begins_frame(unsigned code)
{
    return code >= 0xc0 && code <= 0xcf && code != 0xc4 && code != 0xc8 && code != 0xcc;
}

static const char *read_frame(struct str frame, unsigned code, struct image_info *out)
{
    /* Baseline, extended, progressive; their arithmetic forms C9 and CA are left to the
     * recogniser.  Nobody on the web reads the rest. */
    if (code > 0xc2 && code != 0xc9 && code != 0xca)
        return "uses lossless or hierarchical coding, which cannot be read";
    unsigned components = u8(frame, 7);
    if (components < 1 || components > 4 || be16(frame, 0) != 8 + 3 * components)
        return "has a broken frame header";
    out->height = be16(frame, 3); /* 0 would mean "told behind the scan": nobody reads that */
    out->width = be16(frame, 5);
    return out->width == 0 || out->height == 0 ? "has no width or no height" : NULL;
}

static const char *read_jpeg(struct str head, uint64_t total, struct image_info *out)
{
    unsigned code = 0;
    size_t at = 2;
    while ((at = next_marker(head, at, &code)) != 0) {
        if (code == 0x01 || (code >= 0xd0 && code <= 0xd7))
            continue; /* stand alone, without length */
        if (code >= 0xd8 && code <= 0xda)
            return "does not tell its size before the picture begins";
        if (at + 2 > head.n)
            break;
        uint32_t len = be16(head, at);
        if (len < 2 || at + len > total)
            return "has a segment with an impossible length";
        if (begins_frame(code)) {
            if (len < 8)
                return "has a broken frame header";
            if (at + 8 > head.n)
                break;
            return read_frame(str_from(head, at), code, out);
        }
        at += len;
    }
    return head.n < total ? NULL : "ends before it tells its size";
}

static uint32_t crc32_of(struct str s)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < s.n; i++) {
        crc ^= u8(s, i);
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0);
    }
    return ~crc;
}

static bool png_depth_fits(unsigned depth, unsigned colour)
{
    static const uint32_t depths[] = {
        /* bit n set: depth n is allowed */
        [0] = 1U << 1 | 1U << 2 | 1U << 4 | 1U << 8 | 1U << 16,
        [2] = 1U << 8 | 1U << 16,
        [3] = 1U << 1 | 1U << 2 | 1U << 4 | 1U << 8,
        [4] = 1U << 8 | 1U << 16,
        [6] = 1U << 8 | 1U << 16,
    };
    return colour < N_OF(depths) && depth <= 16 && (depths[colour] >> depth & 1) != 0;
}

static const char *read_png(struct str head, struct image_info *out)
{
    if (head.n < PNG_HEADER_BYTES)
        return "ends inside its header";
    if (!has(head, 8, S("\0\0\0\x0dIHDR")))
        return "does not begin with its header chunk";
    if (crc32_of(str_head(str_from(head, 12), 17)) != be32(head, 29))
        return "has a damaged header (its check sum is wrong)";
    uint32_t width = be32(head, 16), height = be32(head, 20);
    if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX)
        return "has an impossible width or height";
    if (!png_depth_fits(u8(head, 24), u8(head, 25)) || u8(head, 26) != 0 || u8(head, 27) != 0 ||
        u8(head, 28) > 1)
        return "has a header with values that do not exist";
    out->width = width;
    out->height = height;
    return NULL;
}

/* ---- the verdict ---- */

__attribute__((format(printf, 3, 4))) static void refuse(struct image_info *out,
                                                         enum image_verdict verdict,
                                                         const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(out->reason, sizeof out->reason, fmt, ap);
    va_end(ap);
    out->verdict = verdict;
}

void image_probe(struct str head, uint64_t total_bytes, uint64_t max_bytes, struct image_info *out)
{
    *out = (struct image_info){ .verdict = IMAGE_OK };
    head = str_head(head, IMAGE_HEAD_BYTES);
    if (head.n == 0 || total_bytes == 0) {
        refuse(out, IMAGE_INVALID, "The file is empty.");
        return;
    }
    out->format = sniff(head);
    const char *name = formats[out->format].text, *fault = NULL;
    if (out->format == IMAGE_JPEG)
        fault = read_jpeg(head, total_bytes, out);
    else if (out->format == IMAGE_PNG)
        fault = read_png(head, out);
    else
        refuse(out, IMAGE_INVALID, "The file is %s; only JPEG and PNG can be recognised.", name);
    if (fault != NULL)
        refuse(out, IMAGE_INVALID, "The file is %s that %s.", name, fault);
    if (out->verdict != IMAGE_OK)
        return;

    uint32_t w = out->width, h = out->height;
    bool known = w > 0;
    if (known && (w < IMAGE_SIDE_MIN || h < IMAGE_SIDE_MIN))
        refuse(out, IMAGE_INVALID, "The image has %u x %u pixels; both sides need at least %u.", w,
               h, IMAGE_SIDE_MIN);
    else if (w > IMAGE_SIDE_MAX || h > IMAGE_SIDE_MAX)
        refuse(out, IMAGE_TOO_LARGE, "The image has %u x %u pixels; no side may have over %u.", w,
               h, IMAGE_SIDE_MAX);
    else if (total_bytes > max_bytes)
        refuse(out, IMAGE_TOO_LARGE, "The file has %llu bytes; at most %llu are allowed.",
               (unsigned long long)total_bytes, (unsigned long long)max_bytes);
}
