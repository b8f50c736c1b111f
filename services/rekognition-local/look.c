#include "rekognition-local/look.h"

#include <math.h>
#include <string.h>

#define HUELESS 18U /* a smaller span between the channels is no hue that a person would name */

const char *color_name(enum color c)
{
    static const char *const names[] = {
#define X(id, name) [COLOR_##id] = (name),
        COLOR_LIST(X)
#undef X
    };
    return names[c];
}

static unsigned max3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a > b ? a : b;
    return m > c ? m : c;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Degrees, 0 to 359; span is max - min and not zero. */
static int hue_of(int r, int g, int b, int max, int span)
{
    int hue = max == r   ? 60 * (g - b) / span
              : max == g ? 120 + 60 * (b - r) / span
                         : 240 + 60 * (r - g) / span;
    return hue < 0 ? hue + 360 : hue;
}

static enum color colorless(unsigned value)
{
    return value < 50 ? COLOR_BLACK : value > 218 ? COLOR_WHITE : COLOR_GRAY;
}

enum color color_of(unsigned r, unsigned g, unsigned b)
{
    unsigned max = max3(r, g, b), span = max - min3(r, g, b);
    if (max < 40 || span < HUELESS || span * 100 < max * 12)
        return colorless(max);
    int hue = hue_of((int)r, (int)g, (int)b, (int)max, (int)span);
    bool pale = span * 100 < max * 45 && max > 190;
    if (hue < 15 || hue >= 345)
        return pale ? COLOR_PINK : max < 100 ? COLOR_BROWN : COLOR_RED;
    if (hue < 45)
        return max < 170 || (!pale && span * 100 < max * 50) ? COLOR_BROWN : COLOR_ORANGE;
    if (hue < 68)
        return max < 120 ? COLOR_BROWN : COLOR_YELLOW;
    if (hue < 165)
        return COLOR_GREEN;
    if (hue < 195)
        return COLOR_CYAN;
    if (hue < 258)
        return COLOR_BLUE;
    if (hue < 295)
        return COLOR_PURPLE;
    return max < 130 ? COLOR_PURPLE : COLOR_PINK;
}

static double luma(const unsigned char *p)
{
    return (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]) / 255.0;
}

static const unsigned char *pixel(const struct raster *r, uint32_t x, uint32_t y)
{
    return r->rgb + ((size_t)y * r->w + x) * 3;
}

/* Running sums over the pixels. */
struct sums {
    double y, yy;  /* luma */
    double yu, yv; /* luma times position, for the ramp */
    double rg, rg2, yb, yb2;
    double hue_x, hue_y, chroma, warm, cool;
    uint64_t hueless;
    uint64_t of[COLOR_N], red[COLOR_N], green[COLOR_N], blue[COLOR_N];
};

static void add_hue(struct sums *s, const unsigned char *p, unsigned max, unsigned span)
{
    if (span < HUELESS) {
        s->hueless++;
        return;
    }
    int hue = hue_of(p[0], p[1], p[2], (int)max, (int)span);
    double angle = hue * (3.14159265358979323846 / 180.0);
    s->hue_x += span * cos(angle);
    s->hue_y += span * sin(angle);
    s->chroma += span;
    if (hue < 70 || hue >= 330)
        s->warm += span;
    else if (hue >= 150 && hue < 270)
        s->cool += span;
}

/* u, v: position from -1 to 1 */
static void add_pixel(struct sums *s, const unsigned char *p, double u, double v)
{
    double light = luma(p), rg = (double)p[0] - p[1], yb = 0.5 * (p[0] + p[1]) - p[2];
    unsigned max = max3(p[0], p[1], p[2]);
    enum color c = color_of(p[0], p[1], p[2]);
    s->y += light;
    s->yy += light * light;
    s->yu += light * u;
    s->yv += light * v;
    s->rg += rg;
    s->rg2 += rg * rg;
    s->yb += yb;
    s->yb2 += yb * yb;
    s->of[c]++;
    s->red[c] += p[0];
    s->green[c] += p[1];
    s->blue[c] += p[2];
    add_hue(s, p, max, max - min3(p[0], p[1], p[2]));
}

static double centre(uint32_t i, uint32_t n)
{
    return n < 2 ? 0 : 2.0 * i / (n - 1) - 1.0;
}

/* Sum of centre() squared over n places. */
static double spread(uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += centre(i, n) * centre(i, n);
    return sum;
}

static void take_colors(struct look *out, const struct sums *s, double n)
{
    for (size_t c = 0; c < COLOR_N; c++) {
        uint64_t of = s->of[c];
        out->colors[c].share = (double)of / n;
        if (of == 0)
            continue;
        out->colors[c].rgb[0] = (unsigned char)(s->red[c] / of);
        out->colors[c].rgb[1] = (unsigned char)(s->green[c] / of);
        out->colors[c].rgb[2] = (unsigned char)(s->blue[c] / of);
    }
    double rg = s->rg / n, yb = s->yb / n;
    double deviation = sqrt(fmax(0, s->rg2 / n - rg * rg) + fmax(0, s->yb2 / n - yb * yb));
    out->colorful = deviation + 0.3 * sqrt(rg * rg + yb * yb);
    out->colorless = (double)s->hueless / n;
    if (s->chroma > 0) {
        out->one_hue = sqrt(s->hue_x * s->hue_x + s->hue_y * s->hue_y) / s->chroma;
        out->warm = s->warm / s->chroma;
        out->cool = s->cool / s->chroma;
    }
}

static void take_light(struct look *out, const struct sums *s, const struct raster *r, double n)
{
    double mean = s->y / n, variance = fmax(0, s->yy / n - mean * mean);
    double uu = spread(r->w) * r->h, vv = spread(r->h) * r->w;
    out->brightness = mean;
    out->contrast = sqrt(variance);
    /* u and v are centred and independent, so the least-squares ramp falls apart in two. */
    double explained = (uu > 0 ? s->yu * s->yu / uu : 0) + (vv > 0 ? s->yv * s->yv / vv : 0);
    out->plane = variance * n > 1e-9 ? fmin(1, explained / (variance * n)) : 0;
}

/* Mean step of luma to the neighbours right and below, in rows from..to. */
static double edges_of(const struct raster *r, uint32_t from, uint32_t to)
{
    double sum = 0;
    uint64_t n = 0;
    for (uint32_t y = from; y < to; y++)
        for (uint32_t x = 0; x < r->w; x++) {
            double here = luma(pixel(r, x, y));
            if (x + 1 < r->w)
                sum += fabs(here - luma(pixel(r, x + 1, y)));
            if (y + 1 < to)
                sum += fabs(here - luma(pixel(r, x, y + 1)));
            n += 2;
        }
    return n == 0 ? 0 : sum / (double)n;
}

static double sky_of(const struct raster *r, uint32_t from, uint32_t to)
{
    uint64_t sky = 0;
    for (uint32_t y = from; y < to; y++)
        for (uint32_t x = 0; x < r->w; x++) {
            const unsigned char *p = pixel(r, x, y);
            enum color c = color_of(p[0], p[1], p[2]);
            bool light = luma(p) > 0.35;
            sky += light && (c == COLOR_BLUE || c == COLOR_CYAN || c == COLOR_WHITE ||
                             (c == COLOR_GRAY && luma(p) > 0.6));
        }
    return to == from ? 0 : (double)sky / ((double)(to - from) * r->w);
}

static double mirrored(const struct raster *r)
{
    double difference = 0;
    for (uint32_t y = 0; y < r->h; y++)
        for (uint32_t x = 0; x < r->w / 2; x++)
            difference += fabs(luma(pixel(r, x, y)) - luma(pixel(r, r->w - 1 - x, y)));
    uint64_t pairs = (uint64_t)(r->w / 2) * r->h;
    return pairs > 0 ? 1 - difference / (double)pairs : 1;
}

void look_at(struct look *out, const struct raster *r)
{
    struct sums s;
    double n = (double)r->w * r->h;
    memset(&s, 0, sizeof s);
    *out = (struct look){ .aspect = (double)r->width / r->height };
    for (uint32_t y = 0; y < r->h; y++)
        for (uint32_t x = 0; x < r->w; x++)
            add_pixel(&s, pixel(r, x, y), centre(x, r->w), centre(y, r->h));
    take_colors(out, &s, n);
    take_light(out, &s, r, n);
    uint32_t third = (r->h + 2) / 3;
    out->edges = edges_of(r, 0, r->h);
    out->sky_edges = edges_of(r, 0, third);
    out->sky = sky_of(r, 0, third);
    out->sky_below = sky_of(r, r->h - third, r->h);
    out->mirrored = mirrored(r);
}
