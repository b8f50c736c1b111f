#include "rekognition-local/raster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum err raster_check_size(struct raster *out, uint32_t width, uint32_t height, struct errbuf *eb)
{
    out->width = width;
    out->height = height;
    if (width == 0 || height == 0)
        return errbuf_set(eb, ERR_INVAL, "Request has invalid image format");
    if (width > RASTER_PICTURE_MAX || height > RASTER_PICTURE_MAX)
        return errbuf_set(eb, ERR_TOOBIG,
                          "Input image dimensions %u x %u exceed maximum dimension size of %u "
                          "pixels",
                          width, height, RASTER_PICTURE_MAX);
    if (width < RASTER_PICTURE_MIN || height < RASTER_PICTURE_MIN)
        return errbuf_set(eb, ERR_RANGE, "Request has Invalid Parameters");
    return ERR_OK;
}

void raster_sink_open(struct raster_sink *s, struct raster *out, uint32_t from_w, uint32_t from_h)
{
    uint32_t longest = from_w > from_h ? from_w : from_h;
    out->w = from_w;
    out->h = from_h;
    if (longest > RASTER_SIDE) {
        out->w = from_w * RASTER_SIDE / longest;
        out->h = from_h * RASTER_SIDE / longest;
    }
    out->w = out->w == 0 ? 1 : out->w;
    out->h = out->h == 0 ? 1 : out->h;
    out->rgb = xcalloc((size_t)out->w * out->h, 3);
    *s = (struct raster_sink){ .out = out, .from_w = from_w, .from_h = from_h };
    s->sum = xcalloc((size_t)out->w * 3, sizeof *s->sum);
    s->columns = xcalloc(out->w, sizeof *s->columns);
    for (uint32_t x = 0; x < from_w; x++)
        s->columns[(uint64_t)x * out->w / from_w]++;
}

static void emit_row(struct raster_sink *s, uint32_t row)
{
    unsigned char *dst = s->out->rgb + (size_t)row * s->out->w * 3;
    for (uint32_t x = 0; x < s->out->w; x++)
        for (uint32_t c = 0; c < 3; c++) {
            uint32_t n = s->columns[x] * s->rows_in_sum;
            assert(n > 0); /* there are at least as many columns and rows as are kept */
            dst[3 * x + c] = (unsigned char)((s->sum[3 * x + c] + n / 2) / n);
        }
    memset(s->sum, 0, (size_t)s->out->w * 3 * sizeof *s->sum);
    s->rows_in_sum = 0;
}

void raster_sink_row(struct raster_sink *s, const unsigned char *rgb)
{
    if (s->y == s->from_h)
        return;
    uint32_t *sum = s->sum;
    for (uint32_t x = 0; x < s->out->w; x++, sum += 3)
        for (uint32_t k = 0; k < s->columns[x]; k++, rgb += 3) {
            sum[0] += rgb[0];
            sum[1] += rgb[1];
            sum[2] += rgb[2];
        }
    s->rows_in_sum++;
    uint32_t row = (uint32_t)((uint64_t)s->y * s->out->h / s->from_h);
    s->y++;
    if ((uint64_t)s->y * s->out->h / s->from_h != row)
        emit_row(s, row);
}

void raster_sink_close(struct raster_sink *s)
{
    free(s->sum);
    free(s->columns);
    *s = (struct raster_sink){ .out = NULL };
}

enum err raster_decode(struct raster *out, struct str bytes, struct errbuf *eb)
{
    enum err e;
    *out = (struct raster){ .rgb = NULL };
    if (str_starts(bytes, S("\xff\xd8\xff")))
        e = raster_from_jpeg(out, bytes, eb);
    else if (str_starts(bytes, S("\x89PNG\r\n\x1a\n")))
        e = raster_from_png(out, bytes, eb);
    else
        e = errbuf_set(eb, ERR_INVAL, "Request has invalid image format");
    if (e != ERR_OK)
        raster_fini(out);
    return e;
}

void raster_fini(struct raster *r)
{
    free(r->rgb);
    *r = (struct raster){ .rgb = NULL };
}
