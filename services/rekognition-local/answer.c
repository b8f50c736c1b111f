#include "rekognition-local/answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_float(struct buf *out, float f)
{
    char text[40];
    for (int digits = 9; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, (double)f);
        if (strtod(text, NULL) == (double)f)
            break;
    }
    buf_puts(out, text);
    if (strpbrk(text, ".e") == NULL)
        buf_puts(out, ".0");
}

static void put_label(struct buf *out, const struct label *l)
{
    buf_puts(out, "{\"Name\":");
    buf_json(out, str_of(l->name));
    buf_puts(out, ",\"Confidence\":");
    put_float(out, l->confidence);
    buf_puts(out, ",\"Instances\":[],\"Parents\":[");
    for (size_t i = 0; i < N_OF(l->parents) && l->parents[i] != NULL; i++) {
        buf_puts(out, i == 0 ? "{\"Name\":" : ",{\"Name\":");
        buf_json(out, str_of(l->parents[i]));
        buf_putc(out, '}');
    }
    buf_puts(out, "],\"Aliases\":[],\"Categories\":[{\"Name\":\"" DESCRIBE_CATEGORY "\"}]}");
}

static size_t put_labels(struct buf *out, const struct ask *a, const struct look *look)
{
    struct label labels[DESCRIBE_MAX];
    size_t n = describe(labels, look), put = 0;
    buf_puts(out, "\"Labels\":[");
    for (size_t i = 0; i < n && (int64_t)put < a->max_labels; i++) {
        if ((double)labels[i].confidence < a->min_confidence)
            break; /* they come by confidence */
        if (put++ > 0)
            buf_putc(out, ',');
        put_label(out, &labels[i]);
    }
    buf_puts(out, "],\"LabelModelVersion\":\"" DESCRIBE_MODEL "\"");
    return put;
}

static int by_share(const struct look *look, enum color a, enum color b)
{
    double x = look->colors[a].share, y = look->colors[b].share;
    return x > y ? -1 : x < y ? 1 : (int)a - (int)b;
}

static void put_color(struct buf *out, const struct look *look, enum color c)
{
    const unsigned char *rgb = look->colors[c].rgb;
    char name[16];
    size_t n = 0;
    for (const char *p = color_name(c); *p != '\0'; p++)
        name[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    name[n] = '\0';
    buf_printf(out,
               "{\"Red\":%u,\"Green\":%u,\"Blue\":%u,\"HexCode\":\"#%02x%02x%02x\","
               "\"CSSColor\":\"%s\",\"SimplifiedColor\":\"%s\",\"PixelPercent\":",
               rgb[0], rgb[1], rgb[2], rgb[0], rgb[1], rgb[2], name, name);
    put_float(out, (float)(look->colors[c].share * 100));
    buf_putc(out, '}');
}

static void put_properties(struct buf *out, const struct ask *a, const struct look *look)
{
    enum color order[COLOR_N];
    for (size_t i = 0; i < COLOR_N; i++) { /* twelve: sorted as they are put in */
        size_t at = i;
        for (; at > 0 && by_share(look, order[at - 1], (enum color)i) > 0; at--)
            order[at] = order[at - 1];
        order[at] = (enum color)i;
    }
    buf_puts(out, "\"ImageProperties\":{\"Quality\":{\"Brightness\":");
    put_float(out, (float)(100 * look->brightness));
    buf_puts(out, ",\"Sharpness\":");
    put_float(out, (float)fmin(100, 1000 * look->edges));
    buf_puts(out, ",\"Contrast\":");
    put_float(out, (float)fmin(100, 200 * look->contrast));
    buf_puts(out, "},\"DominantColors\":[");
    for (size_t i = 0; i < COLOR_N && (int64_t)i < a->max_colors; i++) {
        if (look->colors[order[i]].share <= 0)
            break;
        if (i > 0)
            buf_putc(out, ',');
        put_color(out, look, order[i]);
    }
    buf_puts(out, "]}");
}

size_t answer_put(struct buf *out, const struct ask *a, const struct look *look)
{
    size_t n = 0;
    buf_putc(out, '{');
    if (a->labels)
        n = put_labels(out, a, look);
    if (a->labels && a->properties)
        buf_putc(out, ',');
    if (a->properties)
        put_properties(out, a, look);
    buf_putc(out, '}');
    return n;
}

void answer_put_verbatim(struct buf *out, struct str labels)
{
    buf_puts(out, "{\"Labels\":");
    buf_put(out, labels);
    buf_puts(out, ",\"LabelModelVersion\":\"" DESCRIBE_MODEL "\"}");
}
