#include "rekognition-local/describe.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "pictures.h"
#include "rekognition-local/answer.h"

enum how { PNG, JPEG, PROGRESSIVE };

struct seen {
    struct look look;
    struct label labels[DESCRIBE_MAX];
    size_t n;
};

static void see(struct seen *s, uint32_t w, uint32_t h, paint_fn *paint, enum how how)
{
    struct picture p = picture_paint(w, h, paint);
    struct str bytes = how == PNG ? picture_png(&p) : picture_jpeg(&p, 92, how == PROGRESSIVE);
    struct raster r;
    struct errbuf eb;
    assert_int_equal(raster_decode(&r, bytes, &eb), ERR_OK);
    look_at(&s->look, &r);
    s->n = describe(s->labels, &s->look);
    raster_fini(&r);
    free((void *)(uintptr_t)bytes.p);
    free(p.rgb);
}

static double confidence(const struct seen *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->labels[i].name, name) == 0)
            return (double)s->labels[i].confidence;
    return 0;
}

static void paint_blue_grey(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    (void)x, (void)y, (void)w, (void)h;
    picture_set(rgb, 30, 32, 34);
}

static void paint_white(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    (void)x, (void)y, (void)w, (void)h;
    picture_set(rgb, 255, 255, 255);
}

static void paint_sky(unsigned char *rgb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    (void)x, (void)w;
    if (y < h / 2)
        picture_set(rgb, 120, 170, (int)(230 - y % 8));
    else
        picture_set(rgb, 120, 80, 40);
}

#define SAYS_MAX 9

static void what_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *title;
        uint32_t w, h;
        paint_fn *paint;
        const char *says[SAYS_MAX], *never[6];
    } rows[] = {
        { "red",
          200,
          200,
          paint_red,
          { "Red", "Color", "Solid Color", "Monochrome", "Single Hue", "Warm Colors", "Smooth",
            "Low Contrast", "Square" },
          { "Blue", "Gradient", "Grayscale", "Textured", "Cool Colors", "Bright" } },
        { "ramp",
          400,
          300,
          paint_ramp,
          { "Gradient", "Grayscale", "Gray", "Black", "White", "Smooth", "Landscape Orientation",
            "High Contrast", "Balanced Exposure" },
          { "Solid Color", "Colorful", "Warm Colors", "Cool Colors", "Textured", "Symmetrical" } },
        { "scene",
          640,
          480,
          paint_scene,
          { "Blue", "Green", "Yellow", "Colorful", "Landscape Orientation", "Sky-like Top" },
          { "Grayscale", "Monochrome", "Solid Color", "Portrait Orientation", "Dark" } },
        { "noise",
          300,
          500,
          paint_noise,
          { "Textured", "Fine Detail", "Colorful", "Portrait Orientation" },
          { "Smooth", "Monochrome", "Gradient", "Symmetrical", "Panorama", "Sky-like Top" } },
        { "checks",
          256,
          256,
          paint_checks,
          { "Black And White", "Grayscale", "High Contrast", "Textured", "Black", "White" },
          { "Colorful", "Low Contrast", "Smooth", "Gradient", "Warm Colors" } },
        { "dark",
          300,
          100,
          paint_blue_grey,
          { "Dark", "Black", "Solid Color", "Grayscale", "Panorama", "Landscape Orientation" },
          { "Bright", "Blue", "Square", "Cool Colors" } },
        { "white",
          100,
          240,
          paint_white,
          { "Bright", "White", "Solid Color", "Symmetrical", "Portrait Orientation" },
          { "Dark", "Panorama", "Sky-like Top" } },
        { "sky",
          800,
          600,
          paint_sky,
          { "Sky-like Top", "Blue", "Brown", "Landscape Orientation" },
          { "Grayscale", "Dark" } },
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        for (int how = PNG; how <= PROGRESSIVE; how++) {
            struct seen s;
            see(&s, rows[i].w, rows[i].h, rows[i].paint, (enum how)how);
            for (size_t k = 0; k < SAYS_MAX && rows[i].says[k] != NULL; k++)
                if (confidence(&s, rows[i].says[k]) < 55)
                    fail_msg("%s, %d: %s only %.1f", rows[i].title, how, rows[i].says[k],
                             confidence(&s, rows[i].says[k]));
            for (size_t k = 0; k < N_OF(rows[i].never) && rows[i].never[k] != NULL; k++)
                if (confidence(&s, rows[i].never[k]) >= 55)
                    fail_msg("%s, %d: %s at %.1f", rows[i].title, how, rows[i].never[k],
                             confidence(&s, rows[i].never[k]));
        }
}

/* For every picture: sorted, names once, confidences sound, parents present and no less sure. */
static void shape_of_the_list(void **state)
{
    (void)state;
    static paint_fn *const paints[] = { paint_red,    paint_ramp,      paint_scene, paint_noise,
                                        paint_checks, paint_blue_grey, paint_white, paint_sky };
    for (size_t i = 0; i < N_OF(paints); i++) {
        struct seen s;
        size_t sure = 0;
        see(&s, 320, 200 + 20 * (uint32_t)i, paints[i], PNG);
        for (size_t k = 0; k < s.n; k++) {
            const struct label *l = &s.labels[k];
            sure += l->confidence >= 55;
            assert_true(l->confidence >= 0 && l->confidence <= 100);
            assert_true(k == 0 || s.labels[k - 1].confidence >= l->confidence);
            for (size_t m = 0; m < k; m++)
                assert_string_not_equal(s.labels[m].name, l->name);
            for (size_t m = 0; m < N_OF(l->parents) && l->parents[m] != NULL; m++)
                assert_true(confidence(&s, l->parents[m]) >= (double)l->confidence);
        }
        assert_in_range(sure, 8, 22);
    }
}

static void put(struct buf *out, const struct seen *s)
{
    const struct ask a = { .labels = true,
                           .properties = true,
                           .max_labels = 1000,
                           .min_confidence = 0,
                           .max_colors = 10 };
    buf_clear(out);
    (void)answer_put(out, &a, &s->look);
    assert_false(buf_failed(out));
}

static void same_picture_same_answer(void **state)
{
    (void)state;
    struct buf first = BUF_INIT(1U << 20), again = BUF_INIT(1U << 20);
    for (int how = PNG; how <= PROGRESSIVE; how++) {
        struct seen s;
        see(&s, 777, 555, paint_scene, (enum how)how);
        put(&first, &s);
        for (int i = 0; i < 3; i++) {
            memset(&s, 0xa5, sizeof s);
            see(&s, 777, 555, paint_scene, (enum how)how);
            put(&again, &s);
            assert_string_equal(first.p, again.p);
        }
    }
    buf_fini(&first);
    buf_fini(&again);
}

/* What JPEG does to a picture changes little of what is said about it. */
static void png_and_jpeg_agree(void **state)
{
    (void)state;
    static paint_fn *const paints[] = { paint_red, paint_ramp, paint_scene, paint_checks,
                                        paint_sky };
    for (size_t i = 0; i < N_OF(paints); i++) {
        struct seen png, jpeg;
        see(&png, 900, 700, paints[i], PNG);
        for (int how = JPEG; how <= PROGRESSIVE; how++) {
            see(&jpeg, 900, 700, paints[i], (enum how)how);
            for (size_t k = 0; k < png.n; k++) {
                double there = confidence(&jpeg, png.labels[k].name);
                double off = there - (double)png.labels[k].confidence;
                if (png.labels[k].confidence >= 75 && (off > 12 || off < -12))
                    fail_msg("picture %zu: %s %.1f, as JPEG %.1f", i, png.labels[k].name,
                             (double)png.labels[k].confidence, there);
            }
        }
    }
}

static void colors_have_names(void **state)
{
    (void)state;
    static const struct {
        unsigned rgb[3];
        enum color color;
    } rows[] = {
        { { 0, 0, 0 }, COLOR_BLACK },      { { 255, 255, 255 }, COLOR_WHITE },
        { { 128, 128, 128 }, COLOR_GRAY }, { { 255, 0, 0 }, COLOR_RED },
        { { 255, 128, 0 }, COLOR_ORANGE }, { { 139, 69, 19 }, COLOR_BROWN },
        { { 255, 255, 0 }, COLOR_YELLOW }, { { 0, 128, 0 }, COLOR_GREEN },
        { { 0, 255, 255 }, COLOR_CYAN },   { { 0, 0, 255 }, COLOR_BLUE },
        { { 135, 206, 250 }, COLOR_BLUE }, { { 128, 0, 128 }, COLOR_PURPLE },
        { { 255, 105, 180 }, COLOR_PINK }, { { 255, 192, 203 }, COLOR_PINK },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        enum color c = color_of(rows[i].rgb[0], rows[i].rgb[1], rows[i].rgb[2]);
        if (c != rows[i].color)
            fail_msg("row %zu: %s, not %s", i, color_name(c), color_name(rows[i].color));
    }
    for (unsigned v = 0; v < 4096; v++) /* every colour has one */
        assert_in_range(color_of((v >> 8) * 17, (v >> 4 & 15) * 17, (v & 15) * 17), 0, COLOR_N - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said),
        cmocka_unit_test(shape_of_the_list),
        cmocka_unit_test(same_picture_same_answer),
        cmocka_unit_test(png_and_jpeg_agree),
        cmocka_unit_test(colors_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
