#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jpeglib.h>
#include <png.h>

#include "base/buf.h"
#include "recognizer/image.h"

#define LIMIT IMAGE_BYTES_MAX_BY_REFERENCE

/* Probes a copy that ends where the allocation ends: the sanitizer sees one byte too many. */
static struct image_info probe(struct str head, uint64_t total, uint64_t limit)
{
    struct image_info out;
    char *exact = malloc(head.n > 0 ? head.n : 1);
    assert_non_null(exact);
    if (head.n > 0)
        memcpy(exact, head.p, head.n);
    image_probe((struct str){ exact, head.n }, total, limit, &out);
    free(exact);
    assert_int_equal(out.verdict == IMAGE_OK, out.reason[0] == '\0');
    if (out.reason[0] != '\0')
        assert_true(strlen(out.reason) < sizeof out.reason - 1 &&
                    str_ends(str_of(out.reason), S(".")));
    return out;
}

static void check(const char *test, size_t row, const struct image_info *got,
                  enum image_verdict verdict, uint32_t width, uint32_t height, const char *reason)
{
    if (got->verdict != verdict || got->width != width || got->height != height ||
        strstr(got->reason, reason) == NULL)
        fail_msg("%s row %zu: verdict %d, %u x %u, '%s'; want %d, %u x %u, '%s'", test, row,
                 got->verdict, got->width, got->height, got->reason, verdict, width, height,
                 reason);
}

/* ---- JPEG ---- */

/* clang-format off */
#define SOI "\xff\xd8"
#define APP0 "\xff\xe0\0\x10" "JFIF\0\1\1\0\0\1\0\1\0\0"
#define H100 "\0\x64"
#define W200 "\0\xc8"
#define FRAME(len, side) len "\x08" side "\3\1\x22\0\2\x11\1\3\x11\1"
#define SOF(code, side) "\xff" code FRAME("\0\x11", side)
#define SOF0 SOF("\xc0", H100 W200)
#define THUMB SOI SOF("\xc0", "\0\1\0\1") /* 21 bytes: 1 x 1, to stand inside a segment */
#define CUT(bytes, total, verdict, w, h, reason) \
    { { bytes, sizeof(bytes) - 1 }, total, IMAGE_##verdict, w, h, reason }
#define ROW(bytes, verdict, w, h, reason) CUT(bytes, 0, verdict, w, h, reason)
/* clang-format on */
#define NO_SIZE "ends before it tells its size"
#define SEGMENT "a segment with an impossible length"
#define FRAMING "a broken frame header"
#define BEGINS  "before the picture begins"
#define CODING  "lossless or hierarchical"
#define SMALL   "pixels; both sides need at least 80."
#define LARGE   "pixels; no side may have over 10000."

struct row {
    struct str bytes;
    uint64_t total; /* 0: the bytes are the whole file */
    enum image_verdict verdict;
    uint32_t width, height;
    const char *reason;
};

/* clang-format off */
static const struct row jpegs[] = {
    ROW(SOI APP0 SOF0, OK, 200, 100, ""),
    ROW(SOI SOF0, OK, 200, 100, ""),
    ROW(SOI "\xff\xff\xff" "\xff\xff\xff\xff" "\xc0" FRAME("\0\x11", H100 W200), OK, 200, 100, ""),
    ROW(SOI APP0 "stray" SOF0, OK, 200, 100, ""),     /* decoders pass over it too */
    ROW(SOI APP0 "\xff\0\xff\0" SOF0, OK, 200, 100, ""),
    ROW(SOI "\xff\xd0\xff\xd7\xff\x01" SOF0, OK, 200, 100, ""), /* markers without length */
    ROW(SOI "\xff\xc4\0\2\xff\xcc\0\2\xff\xc8\0\2" SOF0, OK, 200, 100, ""), /* no frames these */
    ROW(SOI "\xff\xfe\0\4\xff\xc0" SOF0, OK, 200, 100, ""),
    ROW(SOI "\xff\xe1\0\x17" THUMB SOF0, OK, 200, 100, ""), /* a thumbnail in APP1 */
    ROW(SOI "\xff\xe2\0\x17" THUMB "\xff\xe1\0\x17" THUMB SOF0, OK, 200, 100, ""),
    ROW(SOI SOF("\xc1", H100 W200), OK, 200, 100, ""),
    ROW(SOI SOF("\xc2", H100 W200), OK, 200, 100, ""), /* progressive */
    ROW(SOI SOF("\xc9", H100 W200), OK, 200, 100, ""), /* arithmetic: the recogniser's business */
    ROW(SOI SOF("\xca", H100 W200), OK, 200, 100, ""),
    ROW(SOI SOF("\xc3", H100 W200), INVALID, 0, 0, CODING),
    ROW(SOI SOF("\xc5", H100 W200), INVALID, 0, 0, CODING),
    ROW(SOI SOF("\xc7", H100 W200), INVALID, 0, 0, CODING),
    ROW(SOI SOF("\xcb", H100 W200), INVALID, 0, 0, CODING),
    ROW(SOI SOF("\xcd", H100 W200), INVALID, 0, 0, CODING),
    ROW(SOI SOF("\xcf", H100 W200), INVALID, 0, 0, CODING),
    ROW(SOI SOF("\xc0", "\0\x50\0\x50"), OK, 80, 80, ""),
    ROW(SOI SOF("\xc0", "\0\x4f\0\x50"), INVALID, 80, 79, "80 x 79 " SMALL),
    ROW(SOI SOF("\xc0", "\0\x50\0\x4f"), INVALID, 79, 80, "79 x 80 " SMALL),
    ROW(SOI SOF("\xc0", "\x27\x10\x27\x10"), OK, 10000, 10000, ""),
    ROW(SOI SOF("\xc0", "\x27\x10\x27\x11"), TOO_LARGE, 10001, 10000, LARGE),
    ROW(SOI SOF("\xc0", "\x27\x11\x27\x10"), TOO_LARGE, 10000, 10001, LARGE),
    ROW(SOI SOF("\xc0", "\xff\xff\xff\xff"), TOO_LARGE, 65535, 65535, "65535 x 65535"),
    ROW(SOI SOF("\xc0", "\0\1\xff\xff"), INVALID, 65535, 1, "65535 x 1 " SMALL),
    ROW(SOI SOF("\xc0", "\0\0\0\0"), INVALID, 0, 0, "no width or no height"),
    ROW(SOI SOF("\xc0", "\0\0" W200), INVALID, 200, 0, "no width or no height"),
    ROW(SOI SOF("\xc0", H100 "\0\0"), INVALID, 0, 100, "no width or no height"),
    ROW(SOI "\xff\xc0" FRAME("\0\x10", H100 W200), INVALID, 0, 0, FRAMING),
    ROW(SOI "\xff\xc0" FRAME("\0\x07", H100 W200), INVALID, 0, 0, FRAMING),
    ROW(SOI "\xff\xc0\0\x08\x08" H100 W200 "\0", INVALID, 0, 0, FRAMING), /* no components */
    ROW(SOI "\xff\xc0\0\x17\x08" H100 W200 "\5" "123456789abcdef", INVALID, 0, 0, FRAMING),
    ROW(SOI "\xff\xc0\0\x0b\x08" H100 W200 "\1\1\x11\0", OK, 200, 100, ""), /* grey */
    ROW(SOI "\xff\xc0\0\x14\x08" H100 W200 "\4" "123456789abc", OK, 200, 100, ""), /* CMYK */
    ROW(SOI "\xff", INVALID, 0, 0, NO_SIZE),
    ROW(SOI "\xff\xff", INVALID, 0, 0, NO_SIZE),
    ROW(SOI "\xff\0", INVALID, 0, 0, NO_SIZE),
    ROW(SOI "\xff\xe0", INVALID, 0, 0, NO_SIZE),
    ROW(SOI "\xff\xe0\0", INVALID, 0, 0, NO_SIZE),
    ROW(SOI APP0, INVALID, 0, 0, NO_SIZE), /* no frame at all */
    ROW(SOI "\xff\xc0", INVALID, 0, 0, NO_SIZE),
    ROW(SOI "\xff\xe0\0\0" SOF0, INVALID, 0, 0, SEGMENT), /* would stand still */
    ROW(SOI "\xff\xe0\0\1" SOF0, INVALID, 0, 0, SEGMENT), /* would step back */
    ROW(SOI "\xff\xe0\xff\xff" SOF0, INVALID, 0, 0, SEGMENT),
    ROW(SOI "\xff\xe0\0\x16" SOF0, INVALID, 0, 0, SEGMENT), /* one byte past the end */
    ROW(SOI "\xff\xe0\0\x15" SOF0, INVALID, 0, 0, NO_SIZE), /* it swallows the frame */
    ROW(SOI "\xff\xd8" SOF0, INVALID, 0, 0, BEGINS),
    ROW(SOI "\xff\xd9" SOF0, INVALID, 0, 0, BEGINS),
    ROW(SOI "\xff\xda\0\2" SOF0, INVALID, 0, 0, BEGINS),
    CUT(SOI APP0, 70000, OK, 0, 0, ""), /* the size may stand behind what we have */
    CUT(SOI "\xff\xe1\xff\xff", 70000, OK, 0, 0, ""),
    CUT(SOI "\xff\xe1\xff\xff", 65538, INVALID, 0, 0, SEGMENT),
    CUT(SOI "\xff\xc0\0\x11\x08" H100, 70000, OK, 0, 0, ""),
    CUT(SOI "\xff\xc0\0\x11\x08" H100 W200 "\3", 70000, OK, 200, 100, ""),
    CUT(SOI APP0, LIMIT + 1, TOO_LARGE, 0, 0, "at most 15728640"),
    CUT(SOI SOF0, LIMIT, OK, 200, 100, ""),
    CUT(SOI SOF0, LIMIT + 1, TOO_LARGE, 200, 100, "15728641 bytes; at most 15728640"),
    CUT(SOI SOF0, UINT64_MAX, TOO_LARGE, 200, 100, "18446744073709551615 bytes"),
};
/* clang-format on */

static void jpeg_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(jpegs); i++) {
        const struct row *r = &jpegs[i];
        struct image_info got = probe(r->bytes, r->total > 0 ? r->total : r->bytes.n, LIMIT);
        check("jpeg", i, &got, r->verdict, r->width, r->height, r->reason);
        assert_int_equal(got.format, IMAGE_JPEG);
    }
}

static void jpeg_fill_bytes(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(200000);
    buf_put(&text, S(SOI));
    memset(buf_reserve(&text, 100000), 0xff, 100000);
    buf_grew(&text, 100000);
    buf_put(&text, S(SOF0));
    struct image_info got = probe(str_head(buf_str(&text), IMAGE_HEAD_BYTES), text.n, LIMIT);
    check("fill", 0, &got, IMAGE_OK, 0, 0, "");
    got = probe(buf_str(&text), text.n, LIMIT); /* no more than the head is looked at */
    check("fill", 1, &got, IMAGE_OK, 0, 0, "");
    got = probe(str_head(buf_str(&text), 60000), 60000, LIMIT);
    check("fill", 2, &got, IMAGE_INVALID, 0, 0, NO_SIZE);
    buf_fini(&text);
}

/* ---- PNG ---- */

/* Written from the definition, most significant bit first, unlike the module's. */
static uint32_t crc_of(const char *p, size_t n)
{
    uint32_t crc = UINT32_MAX, out = 0;
    for (size_t bit = 0; bit < 8 * n; bit++) {
        uint32_t in = (uint32_t)(unsigned char)p[bit / 8] >> bit % 8 & 1;
        crc = (crc >> 31 ^ in) != 0 ? crc << 1 ^ 0x04c11db7U : crc << 1;
    }
    for (int i = 0; i < 32; i++)
        out |= (crc >> i & 1) << (31 - i);
    return ~out;
}

struct png_row {
    uint32_t width, height;
    unsigned char depth, colour, compression, filter, interlace;
    enum image_verdict verdict;
    const char *reason;
};

#define SIZE   "impossible width or height"
#define VALUES "values that do not exist"

static const struct png_row pngs[] = {
    { 200, 100, 8, 2, 0, 0, 0, IMAGE_OK, "" },
    { 200, 100, 8, 2, 0, 0, 1, IMAGE_OK, "" },
    { 200, 100, 16, 6, 0, 0, 0, IMAGE_OK, "" },
    { 80, 80, 8, 6, 0, 0, 0, IMAGE_OK, "" },
    { 79, 80, 8, 6, 0, 0, 0, IMAGE_INVALID, "at least 80" },
    { 80, 79, 8, 6, 0, 0, 0, IMAGE_INVALID, "at least 80" },
    { 10000, 10000, 8, 6, 0, 0, 0, IMAGE_OK, "" },
    { 10001, 80, 8, 6, 0, 0, 0, IMAGE_TOO_LARGE, "over 10000" },
    { 80, 10001, 8, 6, 0, 0, 0, IMAGE_TOO_LARGE, "over 10000" },
    { INT32_MAX, INT32_MAX, 8, 6, 0, 0, 0, IMAGE_TOO_LARGE, "2147483647 x 2147483647" },
    { 0, 100, 8, 2, 0, 0, 0, IMAGE_INVALID, SIZE },
    { 100, 0, 8, 2, 0, 0, 0, IMAGE_INVALID, SIZE },
    { UINT32_C(0x80000000), 100, 8, 2, 0, 0, 0, IMAGE_INVALID, SIZE },
    { 100, UINT32_MAX, 8, 2, 0, 0, 0, IMAGE_INVALID, SIZE },
    { 200, 100, 0, 0, 0, 0, 0, IMAGE_INVALID, VALUES },
    { 200, 100, 255, 2, 0, 0, 0, IMAGE_INVALID, VALUES },
    { 200, 100, 8, 255, 0, 0, 0, IMAGE_INVALID, VALUES },
    { 200, 100, 8, 2, 1, 0, 0, IMAGE_INVALID, VALUES },
    { 200, 100, 8, 2, 0, 1, 0, IMAGE_INVALID, VALUES },
    { 200, 100, 8, 2, 0, 0, 2, IMAGE_INVALID, VALUES },
};

#define PNG_BYTES 33

static void put_be32(char *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(v >> (24 - 8 * i) & 0xff);
}

static void make_png(char png[PNG_BYTES], const struct png_row *r)
{
    memcpy(png, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16);
    put_be32(png + 16, r->width);
    put_be32(png + 20, r->height);
    png[24] = (char)r->depth;
    png[25] = (char)r->colour;
    png[26] = (char)r->compression;
    png[27] = (char)r->filter;
    png[28] = (char)r->interlace;
    put_be32(png + 29, crc_of(png + 12, 17));
}

static void png_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(pngs); i++) {
        char png[PNG_BYTES];
        make_png(png, &pngs[i]);
        struct image_info got = probe((struct str){ png, sizeof png }, 5000, LIMIT);
        bool told = strcmp(pngs[i].reason, VALUES) != 0 && strcmp(pngs[i].reason, SIZE) != 0;
        check("png", i, &got, pngs[i].verdict, told ? pngs[i].width : 0, told ? pngs[i].height : 0,
              pngs[i].reason);
        assert_int_equal(got.format, IMAGE_PNG);
    }
}

/* The pairs of the specification's table 12, and no others. */
static void png_depths(void **state)
{
    static const char *const depths[] = { " 1 2 4 8 16 ", "", " 8 16 ", " 1 2 4 8 ",
                                          " 8 16 ",       "", " 8 16 " };
    (void)state;
    for (unsigned colour = 0; colour < 256; colour++)
        for (unsigned depth = 0; depth < 256; depth++) {
            char png[PNG_BYTES], text[8];
            struct png_row row = {
                200, 100, (unsigned char)depth, (unsigned char)colour, 0, 0, 0, IMAGE_OK, ""
            };
            make_png(png, &row);
            (void)snprintf(text, sizeof text, " %u ", depth);
            bool want = colour < N_OF(depths) && strstr(depths[colour], text) != NULL;
            struct image_info got = probe((struct str){ png, sizeof png }, 5000, LIMIT);
            if ((got.verdict == IMAGE_OK) != want)
                fail_msg("colour %u, depth %u: '%s'", colour, depth, got.reason);
        }
}

/* Any changed or missing byte of the header is noticed. */
static void png_damage(void **state)
{
    (void)state;
    char png[PNG_BYTES];
    make_png(png, &pngs[0]);
    for (size_t i = 0; i < sizeof png; i++) {
        struct image_info got = probe((struct str){ png, i }, i, LIMIT);
        if (got.verdict != IMAGE_INVALID)
            fail_msg("%zu bytes: '%s'", i, got.reason);
        png[i] ^= 0x20;
        got = probe((struct str){ png, sizeof png }, 5000, LIMIT);
        const char *want = i < 8 ? "not an image" : i < 16 ? "header chunk" : "check sum";
        if (got.verdict != IMAGE_INVALID || strstr(got.reason, want) == NULL)
            fail_msg("byte %zu: '%s'", i, got.reason);
        png[i] ^= 0x20;
    }
    static const char *const lengths[] = { "\0\0\0\0", "\0\0\0\x0c", "\0\0\0\x0e", "\x80\0\0\0",
                                           "\xff\xff\xff\xff" };
    for (size_t i = 0; i < N_OF(lengths); i++) {
        memcpy(png + 8, lengths[i], 4);
        struct image_info got = probe((struct str){ png, sizeof png }, 5000, LIMIT);
        check("png length", i, &got, IMAGE_INVALID, 0, 0, "header chunk");
    }
}

/* ---- everything else ---- */

static void names_other_files(void **state)
{
    static const struct {
        struct str bytes;
        enum image_format format;
        const char *reason;
    } rows[] = {
        { { "GIF87a\1\0\1\0", 10 }, IMAGE_GIF, "is a GIF; only JPEG and PNG" },
        { { "GIF89a", 6 }, IMAGE_GIF, "a GIF" },
        { { "RIFF\x24\0\0\0WEBPVP8 ", 16 }, IMAGE_WEBP, "a WebP" },
        { { "RIFF\x24\0\0\0WAVEfmt ", 16 }, IMAGE_UNKNOWN, "not an image" },
        { { "BM\x36\0\0\0\0\0\0\0\x36\0\0\0", 14 }, IMAGE_BMP, "a BMP" },
        { { "BMW is a car maker", 18 }, IMAGE_UNKNOWN, "not an image" },
        { { "II*\0\x08\0\0\0", 8 }, IMAGE_TIFF, "a TIFF" },
        { { "MM\0*\0\0\0\x08", 8 }, IMAGE_TIFF, "a TIFF" },
        { { "II+\0\x08\0\0\0", 8 }, IMAGE_TIFF, "a TIFF" },
        { { "\0\0\0\x18"
            "ftypheic\0\0\0\0mif1",
            20 },
          IMAGE_HEIC,
          "an HEIC" },
        { { "\0\0\0\x18"
            "ftypmif1\0\0\0\0",
            16 },
          IMAGE_HEIC,
          "an HEIC" },
        { { "\0\0\0\x1c"
            "ftypavif\0\0\0\0",
            16 },
          IMAGE_AVIF,
          "an AVIF" },
        { { "\0\0\0\x18"
            "ftypmp42\0\0\0\0",
            16 },
          IMAGE_VIDEO,
          "a video" },
        { { "\0\0\0\x14"
            "ftypqt  ",
            12 },
          IMAGE_VIDEO,
          "a video" },
        { { "\0\0\0\x14"
            "ftyp",
            8 },
          IMAGE_VIDEO,
          "a video" },
        { { "\x1a\x45\xdf\xa3", 4 }, IMAGE_VIDEO, "a video" },
        { { "\0\0\0\x0cJXL \r\n\x87\n", 12 }, IMAGE_JXL, "a JPEG XL" },
        { { "\xff\x0a\0\0", 4 }, IMAGE_JXL, "a JPEG XL" },
        { { "%PDF-1.7\n", 9 }, IMAGE_PDF, "a PDF" },
        { { "PK\x03\x04\x14\0", 6 }, IMAGE_ZIP, "a ZIP archive" },
        { { "<svg xmlns=\"…\">", 18 }, IMAGE_SVG, "an SVG" },
        { { "\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- x --><SVG>", 41 }, IMAGE_SVG, "an SVG" },
        { { " \r\n<!DocType HTML><html>", 24 }, IMAGE_HTML, "an HTML page" },
        { { "<html><img src=x.jpg>", 21 }, IMAGE_HTML, "an HTML page" },
        { { "<?xml version=\"1.0\"?><Error><Code>", 34 }, IMAGE_UNKNOWN, "not an image" },
        { { "hello", 5 }, IMAGE_UNKNOWN, "not an image" },
        { { "\0", 1 }, IMAGE_UNKNOWN, "not an image" },
        { { "\xff\xd8", 2 }, IMAGE_UNKNOWN, "not an image" },
        { { "\x89PNG\n\x1a\n", 7 }, IMAGE_UNKNOWN, "not an image" }, /* mangled as text */
        { { " \xff\xd8\xff", 4 }, IMAGE_UNKNOWN, "not an image" },
        { { "some bytes before GIF89a", 24 }, IMAGE_UNKNOWN, "not an image" },
        { { "GIF89a\xff\xd8\xff", 9 }, IMAGE_GIF, "a GIF" }, /* the first bytes decide */
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct image_info got = probe(rows[i].bytes, LIMIT + 1, LIMIT);
        check("other", i, &got, IMAGE_INVALID, 0, 0, rows[i].reason);
        if (got.format != rows[i].format)
            fail_msg("row %zu: format %s", i, image_content_type(got.format));
    }
    struct image_info got = probe(STR_NONE, 0, LIMIT);
    check("empty", 0, &got, IMAGE_INVALID, 0, 0, "The file is empty.");
    got = probe(S("\xff\xd8\xff\xe0"), 0, LIMIT);
    check("empty", 1, &got, IMAGE_INVALID, 0, 0, "The file is empty.");
    assert_string_equal(image_content_type(IMAGE_JPEG), "image/jpeg");
    assert_string_equal(image_content_type(IMAGE_UNKNOWN), "application/octet-stream");
}

/* Every length up to 40 bytes of every start, and noise: an answer, nothing read outside. */
static void short_and_noisy(void **state)
{
    static const struct str starts[] = {
        { "\xff\xd8\xff", 3 },
        { "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16 },
        { "RIFF", 4 },
        { "BM", 2 },
        { "\0\0\0\x18"
          "ftyp",
          8 },
        { "<", 1 },
        { "", 0 },
    };
    (void)state;
    unsigned seed = 7;
    for (size_t i = 0; i < N_OF(starts); i++)
        for (int round = 0; round < 4000; round++) {
            char bytes[400];
            size_t n = round < 41 ? (size_t)round : (size_t)rand_r(&seed) % sizeof bytes;
            for (size_t j = 0; j < n; j++) { /* many 0xff: markers everywhere */
                int c = rand_r(&seed);
                bytes[j] = (char)(j < starts[i].n ? starts[i].p[j]
                                  : c % 3 == 0    ? 0xff
                                  : c % 3 == 1    ? c >> 8 & 3
                                                  : c >> 8);
            }
            struct image_info got =
                probe((struct str){ bytes, n }, round % 2 == 0 ? n : n + 100000, LIMIT);
            if (got.verdict == IMAGE_OK)
                assert_true(got.width <= IMAGE_SIDE_MAX && got.height <= IMAGE_SIDE_MAX);
        }
}

/* ---- files as the libraries write them ---- */

static void encode_jpeg(struct buf *out, unsigned width, unsigned height, bool progressive,
                        struct str app1, unsigned n_app1)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *mem = NULL, *line = calloc(width, 3);
    unsigned long n = 0;
    assert_non_null(line);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &mem, &n);
    c.image_width = width;
    c.image_height = height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    for (unsigned i = 0; i < n_app1; i++)
        jpeg_write_marker(&c, JPEG_APP0 + 1, (const JOCTET *)app1.p, (unsigned)app1.n);
    while (c.next_scanline < height)
        (void)jpeg_write_scanlines(&c, &line, 1);
    jpeg_finish_compress(&c);
    buf_put(out, (struct str){ (const char *)mem, n });
    jpeg_destroy_compress(&c);
    free(mem);
    free(line);
    assert_false(buf_failed(out));
}

static void real_jpegs(void **state)
{
    (void)state;
    struct buf plain = BUF_INIT(1U << 20), file = BUF_INIT(1U << 20);
    encode_jpeg(&plain, 160, 120, false, STR_NONE, 0);
    struct image_info got = probe(buf_str(&plain), plain.n, LIMIT);
    check("real", 0, &got, IMAGE_OK, 160, 120, "");
    got = probe(buf_str(&plain), plain.n, plain.n - 1);
    check("real", 1, &got, IMAGE_TOO_LARGE, 160, 120, "at most");

    encode_jpeg(&file, 1234, 567, true, buf_str(&plain), 3); /* whole pictures as thumbnails */
    got = probe(str_head(buf_str(&file), IMAGE_HEAD_BYTES), file.n, LIMIT);
    check("real", 2, &got, IMAGE_OK, 1234, 567, "");

    buf_clear(&file);
    char *big = calloc(65000, 1);
    assert_non_null(big);
    encode_jpeg(&file, 300, 200, false, (struct str){ big, 65000 }, 2);
    free(big);
    got = probe(str_head(buf_str(&file), IMAGE_HEAD_BYTES), file.n, LIMIT);
    check("real", 3, &got, IMAGE_OK, 0, 0, ""); /* the frame stands behind the head */

    buf_clear(&file);
    encode_jpeg(&file, 79, 600, false, STR_NONE, 0);
    got = probe(buf_str(&file), file.n, LIMIT);
    check("real", 4, &got, IMAGE_INVALID, 79, 600, "both sides need at least 80");
    buf_fini(&file);
    buf_fini(&plain);
}

static void real_pngs(void **state)
{
    static const struct {
        unsigned width, height;
        uint32_t format;
        enum image_verdict verdict;
    } rows[] = {
        { 160, 120, PNG_FORMAT_RGB, IMAGE_OK },
        { 80, 80, PNG_FORMAT_GRAY, IMAGE_OK },
        { 300, 81, PNG_FORMAT_RGBA, IMAGE_OK },
        { 300, 81, PNG_FORMAT_LINEAR_Y_ALPHA, IMAGE_OK }, /* 16 bits */
        { 79, 80, PNG_FORMAT_RGB, IMAGE_INVALID },
        { 10001, 80, PNG_FORMAT_GRAY, IMAGE_TOO_LARGE },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        png_image image = { .version = PNG_IMAGE_VERSION,
                            .width = rows[i].width,
                            .height = rows[i].height,
                            .format = rows[i].format };
        char *pixels = calloc(PNG_IMAGE_SIZE(image), 1);
        png_alloc_size_t n = 1U << 20;
        char *file = malloc(n);
        assert_true(pixels != NULL && file != NULL);
        assert_true(png_image_write_to_memory(&image, file, &n, 0, pixels, 0, NULL));
        struct image_info got = probe((struct str){ file, n }, n, LIMIT);
        check("real png", i, &got, rows[i].verdict, rows[i].width, rows[i].height, "");
        free(file);
        free(pixels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_headers),    cmocka_unit_test(jpeg_fill_bytes),
        cmocka_unit_test(png_headers),     cmocka_unit_test(png_damage),
        cmocka_unit_test(png_depths),      cmocka_unit_test(names_other_files),
        cmocka_unit_test(short_and_noisy), cmocka_unit_test(real_jpegs),
        cmocka_unit_test(real_pngs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
