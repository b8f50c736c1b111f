#include "rekognition-local/describe.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 1.0F /* below this a statement is not worth making */

struct list {
    struct label *labels;
    size_t n;
};

static struct label *find(struct list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->labels[i].name, name) == 0)
            return &l->labels[i];
    return NULL;
}

/* A parent is as sure as its surest child. */
static void raise_parent(struct list *l, const char *name, const char *grandparent, float c)
{
    struct label *at = find(l, name);
    if (at == NULL) {
        assert(l->n < DESCRIBE_MAX);
        at = &l->labels[l->n++];
        *at = (struct label){ name, { grandparent, NULL }, c };
    }
    if (at->confidence < c)
        at->confidence = c;
}

static void say(struct list *l, const char *name, const char *parent, const char *grandparent,
                double confidence)
{
    float c = (float)fmin(confidence, 99.99);
    if (!(c >= LEAST))
        return;
    assert(l->n < DESCRIBE_MAX && find(l, name) == NULL);
    l->labels[l->n++] = (struct label){ name, { parent, grandparent }, c };
    raise_parent(l, parent, grandparent, c);
    if (grandparent != NULL)
        raise_parent(l, grandparent, NULL, c);
}

/* 50 where x is the border, towards 100 a few widths beyond it. */
static double beyond(double x, double border, double width)
{
    return 100 / (1 + exp((border - x) / width));
}

/* 100 at the middle, 60 one width away. */
static double near(double x, double middle, double width)
{
    return 100 * exp(-0.5 * (x - middle) * (x - middle) / (width * width));
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static void say_colors(struct list *l, const struct look *k)
{
    double most = 0;
    for (size_t c = 0; c < COLOR_N; c++) {
        double share = k->colors[c].share;
        most = share > most ? share : most;
        if (share >= 0.002) /* a hundredth of the picture is 55, all of it 99.9 */
            say(l, color_name((enum color)c), "Color", NULL, 50 + 49.9 * sqrt(share));
    }
    double grayscale = beyond(k->colorless, 0.985, 0.004);
    double two = k->colors[COLOR_BLACK].share + k->colors[COLOR_WHITE].share;
    say(l, "Solid Color", "Color", NULL,
        smaller(beyond(most, 0.96, 0.01), beyond(-k->contrast, -0.03, 0.006)));
    say(l, "Grayscale", "Monochrome", "Color", grayscale);
    if (grayscale < 50)
        say(l, "Single Hue", "Monochrome", "Color", beyond(k->one_hue, 0.94, 0.015));
    say(l, "Black And White", "Monochrome", "Color", smaller(beyond(two, 0.95, 0.012), grayscale));
    say(l, "Colorful", "Color", NULL, beyond(k->colorful, 40, 9));
    say(l, "Muted Colors", "Color", NULL, smaller(beyond(-k->colorful, -30, 6), 100 - grayscale));
    double tinted = beyond(k->colorful, 10, 3);
    say(l, "Warm Colors", "Color", NULL, smaller(beyond(k->warm, 0.6, 0.08), tinted));
    say(l, "Cool Colors", "Color", NULL, smaller(beyond(k->cool, 0.6, 0.08), tinted));
}

static void say_light(struct list *l, const struct look *k)
{
    say(l, "Bright", "Brightness", NULL, beyond(k->brightness, 0.6, 0.06));
    say(l, "Dark", "Brightness", NULL, beyond(-k->brightness, -0.3, 0.05));
    say(l, "Balanced Exposure", "Brightness", NULL, near(k->brightness, 0.46, 0.12));
    say(l, "High Contrast", "Contrast", NULL, beyond(k->contrast, 0.24, 0.025));
    say(l, "Low Contrast", "Contrast", NULL, beyond(-k->contrast, -0.12, 0.02));
}

static void say_texture(struct list *l, const struct look *k)
{
    say(l, "Smooth", "Texture", NULL, beyond(-k->edges, -0.014, 0.004));
    say(l, "Textured", "Texture", NULL, beyond(k->edges, 0.026, 0.006));
    say(l, "Fine Detail", "Textured", "Texture",
        smaller(beyond(k->edges, 0.07, 0.012), beyond(k->edges, 0.026, 0.006)));
    say(l, "Gradient", "Texture", NULL,
        smaller(beyond(k->plane, 0.85, 0.04), beyond(k->contrast, 0.035, 0.006)));
}

static void say_shape(struct list *l, const struct look *k)
{
    double wide = k->aspect >= 1 ? k->aspect : 1 / k->aspect;
    double square = near(wide, 1, 0.04), oblong = beyond(wide, 1.08, 0.07);
    bool lying = k->aspect > 1;
    if (wide > 1.02)
        say(l, lying ? "Landscape Orientation" : "Portrait Orientation", "Orientation", NULL,
            oblong);
    say(l, "Square", "Orientation", NULL, square);
    if (lying)
        say(l, "Panorama", "Landscape Orientation", "Orientation",
            smaller(beyond(wide, 2, 0.12), oblong));
    say(l, "Symmetrical", "Composition", NULL, beyond(k->mirrored, 0.965, 0.008));
    say(l, "Sky-like Top", "Composition", NULL,
        smaller(beyond(k->sky - k->sky_below, 0.25, 0.08),
                smaller(beyond(k->sky, 0.55, 0.1), beyond(-k->sky_edges, -0.03, 0.008))));
}

static int by_confidence(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    if (x->confidence != y->confidence)
        return x->confidence > y->confidence ? -1 : 1;
    return strcmp(x->name, y->name);
}

size_t describe(struct label out[DESCRIBE_MAX], const struct look *look)
{
    struct list l = { out, 0 };
    say_colors(&l, look);
    say_light(&l, look);
    say_texture(&l, look);
    say_shape(&l, look);
    qsort(out, l.n, sizeof *out, by_confidence);
    return l.n;
}
