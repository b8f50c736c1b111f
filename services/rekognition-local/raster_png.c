/* The PNG half of raster.h. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/mem.h"
#include "rekognition-local/raster.h"

/* An interlaced picture up to this size is decoded whole (4 bytes each); of a larger one the
 * first pass is taken, which is every eighth pixel of every eighth row. */
#define WHOLE_PIXELS_MAX (16U << 20)
#define HEAD_BYTES       33U /* signature, then the IHDR chunk with its checksum */

struct job {
    png_structp png;
    png_infop info;
    jmp_buf failed;
    struct str rest; /* bytes not read yet */
    struct raster *out;
    struct raster_sink sink;
    unsigned char *pixels; /* RGBA: one row, or the whole picture */
    struct errbuf *eb;
    enum err e;
};

static void fail(png_structp png, png_const_charp why)
{
    struct job *j = png_get_error_ptr(png);
    j->e = errbuf_set(j->eb, ERR_INVAL, "Request has invalid image format (%s)", why);
    longjmp(j->failed, 1);
}

static void ignore(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

static void take_bytes(png_structp png, png_bytep dst, size_t n)
{
    struct job *j = png_get_io_ptr(png);
    if (n > j->rest.n)
        png_error(png, "ends too early");
    memcpy(dst, j->rest.p, n);
    j->rest = str_from(j->rest, n);
}

static uint32_t be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* The size stands at a fixed place, so it is known before libpng sees a byte. */
static enum err check_head(struct job *j)
{
    if (j->rest.n < HEAD_BYTES || memcmp(j->rest.p + 8, "\0\0\0\x0dIHDR", 8) != 0)
        return errbuf_set(j->eb, ERR_INVAL, "Request has invalid image format (no IHDR)");
    return raster_check_size(j->out, be32(j->rest.p + 16), be32(j->rest.p + 20), j->eb);
}

static void deliver(struct job *j, const unsigned char *rgba, unsigned char *rgb)
{
    for (uint32_t x = 0; x < j->sink.from_w; x++)
        for (uint32_t c = 0; c < 3; c++) { /* on white */
            unsigned a = rgba[4 * x + 3];
            rgb[3 * x + c] = (unsigned char)((rgba[4 * x + c] * a + 255U * (255U - a)) / 255U);
        }
    raster_sink_row(&j->sink, rgb);
}

static void open_pixels(struct job *j, uint32_t w, uint32_t h, size_t rows)
{
    raster_sink_open(&j->sink, j->out, w, h);
    j->pixels = xcalloc((size_t)j->out->width * 4, rows + 1); /* one more for RGB */
}

/* Row after row: the whole picture, or the first pass of an interlaced one. */
static void read_rows(struct job *j, uint32_t w, uint32_t h)
{
    open_pixels(j, w, h, 1);
    for (uint32_t y = 0; y < h; y++) {
        png_read_row(j->png, j->pixels, NULL);
        deliver(j, j->pixels, j->pixels + (size_t)j->out->width * 4);
    }
}

static void read_passes(struct job *j, int passes)
{
    uint32_t h = j->out->height;
    size_t stride = (size_t)j->out->width * 4;
    open_pixels(j, j->out->width, h, h);
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < h; y++)
            png_read_row(j->png, j->pixels + y * stride, NULL);
    for (uint32_t y = 0; y < h; y++)
        deliver(j, j->pixels + y * stride, j->pixels + h * stride);
}

static void decode(struct job *j)
{
    uint32_t w = j->out->width, h = j->out->height;
    png_set_read_fn(j->png, j, take_bytes);
    /* Text, profiles and thumbnails are not even unpacked. */
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_user_limits(j->png, RASTER_PICTURE_MAX, RASTER_PICTURE_MAX);
    png_read_info(j->png, j->info);
    png_set_expand(j->png);
    png_set_scale_16(j->png);
    png_set_gray_to_rgb(j->png);
    png_set_add_alpha(j->png, 0xff, PNG_FILLER_AFTER);
    bool interlaced = png_get_interlace_type(j->png, j->info) != PNG_INTERLACE_NONE;
    bool whole = !interlaced || (uint64_t)w * h <= WHOLE_PIXELS_MAX;
    int passes = interlaced && whole ? png_set_interlace_handling(j->png) : 1;
    png_read_update_info(j->png, j->info);
    if (png_get_rowbytes(j->png, j->info) != (size_t)w * 4)
        png_error(j->png, "unexpected pixel layout");
    if (passes > 1)
        read_passes(j, passes);
    else if (whole)
        read_rows(j, w, h);
    else
        read_rows(j, (w + 7) / 8, (h + 7) / 8);
    if (whole)
        png_read_end(j->png, NULL);
}

enum err raster_from_png(struct raster *out, struct str bytes, struct errbuf *eb)
{
    struct job j = { .out = out, .rest = bytes, .eb = eb };
    out->type = "image/png";
    j.e = check_head(&j);
    if (j.e != ERR_OK)
        return j.e;
    j.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &j, fail, ignore);
    j.info = j.png == NULL ? NULL : png_create_info_struct(j.png);
    if (j.info == NULL)
        j.e = errbuf_set(eb, ERR_TOOBIG, "no memory for the picture");
    else if (setjmp(j.failed) == 0)
        decode(&j);
    png_destroy_read_struct(&j.png, &j.info, NULL);
    raster_sink_close(&j.sink);
    free(j.pixels);
    return j.e;
}
