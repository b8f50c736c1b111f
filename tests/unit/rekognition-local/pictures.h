/* pictures.h - test pictures: drawn in memory, written as PNG or JPEG. */
#ifndef TESTS_PICTURES_H
#define TESTS_PICTURES_H

#include <stdint.h>
#include <stdio.h> /* jpeglib.h needs it */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "base/str.h"

struct picture {
    uint32_t w, h;
    uint32_t rows; /* that are painted; a JPEG may repeat them */
    unsigned char *rgb;
};

typedef void paint_fn(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h);

static inline struct picture picture_paint(uint32_t w, uint32_t h, paint_fn *paint)
{
    struct picture p = { w, h, h, malloc((size_t)w * h * 3) };
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            paint(p.rgb + ((size_t)y * w + x) * 3, x, y, w, h);
    return p;
}

/* The caller frees .p. */
static inline struct str picture_png(const struct picture *p)
{
    png_image im;
    memset(&im, 0, sizeof im);
    im.version = PNG_IMAGE_VERSION;
    im.width = p->w;
    im.height = p->h;
    im.format = PNG_FORMAT_RGB;
    size_t n = (size_t)p->w * p->h * 4 + 65536;
    char *bytes = malloc(n);
    if (!png_image_write_to_memory(&im, bytes, &n, 0, p->rgb, 0, NULL))
        abort();
    return (struct str){ bytes, n };
}

static inline struct str picture_jpeg(const struct picture *p, int quality, int progressive)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    c.image_width = p->w;
    c.image_height = p->h;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        unsigned char *row = p->rgb + (size_t)(c.next_scanline % p->rows) * p->w * 3;
        (void)jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return (struct str){ (char *)bytes, n };
}

static inline void picture_set(unsigned char *rgb, int r, int g, int b)
{
    rgb[0] = (unsigned char)r;
    rgb[1] = (unsigned char)g;
    rgb[2] = (unsigned char)b;
}

static inline void paint_red(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    (void)x, (void)y, (void)w, (void)h;
    picture_set(rgb, 220, 20, 30);
}

static inline void paint_ramp(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    (void)y, (void)h;
    int v = (int)(x * 255 / (w - 1));
    picture_set(rgb, v, v, v);
}

/* Blue above, green below, a yellow disc. */
static inline void paint_scene(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    double dx = (double)x / w - 0.7, dy = (double)y / h - 0.25;
    if (dx * dx + dy * dy < 0.01)
        picture_set(rgb, 250, 220, 40);
    else if (y < h / 2)
        picture_set(rgb, 60, 120, 215);
    else
        picture_set(rgb, 40, 140 + (int)(x % 3), 50);
}

static inline void paint_noise(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    (void)w, (void)h;
    uint32_t v = (x * 2654435761U) ^ (y * 2246822519U);
    v ^= v >> 15;
    v *= 2654435761U;
    picture_set(rgb, (int)(v >> 8 & 255), (int)(v >> 16 & 255), (int)(v >> 24));
}

static inline void paint_checks(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    (void)w, (void)h;
    int v = (x / 4 + y / 4) % 2 == 0 ? 0 : 255;
    picture_set(rgb, v, v, v);
}

#endif
