#include "rekognition-local/raster.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pictures.h"

static void release(struct str s)
{
    free((void *)(uintptr_t)s.p);
}

/* Decodes a copy of exactly these bytes, so that the sanitizer sees any read past the end. */
static enum err decode(struct raster *r, const char *p, size_t n, struct errbuf *eb)
{
    char *copy = malloc(n == 0 ? 1 : n);
    assert_non_null(copy);
    memcpy(copy, p, n);
    eb->text[0] = '\0';
    enum err e = raster_decode(r, (struct str){ copy, n }, eb);
    free(copy);
    if (e != ERR_OK) {
        assert_null(r->rgb);
        assert_true(eb->text[0] != '\0');
    }
    return e;
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        uint32_t w, h;
        enum err e;
        uint32_t kept_w, kept_h;
    } rows[] = {
        { 80, 80, ERR_OK, 80, 80 },      { 79, 200, ERR_RANGE, 0, 0 },
        { 200, 79, ERR_RANGE, 0, 0 },    { 512, 100, ERR_OK, 512, 100 },
        { 513, 300, ERR_OK, 512, 299 },  { 1000, 2000, ERR_OK, 256, 512 },
        { 10000, 80, ERR_OK, 512, 4 },   { 10001, 80, ERR_TOOBIG, 0, 0 },
        { 80, 10001, ERR_TOOBIG, 0, 0 },
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        for (int kind = 0; kind < 3; kind++) {
            struct picture p = picture_paint(rows[i].w, rows[i].h, paint_red);
            struct str s = kind == 0 ? picture_png(&p) : picture_jpeg(&p, 90, kind == 2);
            struct raster r;
            struct errbuf eb;
            enum err e = decode(&r, s.p, s.n, &eb);
            if (e != rows[i].e)
                fail_msg("row %zu kind %d: %s: %s", i, kind, err_name(e), eb.text);
            if (e == ERR_OK) {
                assert_int_equal(r.width, rows[i].w);
                assert_int_equal(r.height, rows[i].h);
                assert_int_equal(r.w, rows[i].kept_w);
                assert_int_equal(r.h, rows[i].kept_h);
                assert_string_equal(r.type, kind == 0 ? "image/png" : "image/jpeg");
                assert_in_range(r.rgb[0], 214, 224);
                assert_in_range(r.rgb[(size_t)r.w * r.h * 3 - 1], 24, 36);
            }
            raster_fini(&r);
            release(s);
            free(p.rgb);
        }
}

/* Averaging a ramp gives the ramp. */
static void averages(void **state)
{
    (void)state;
    struct picture p = picture_paint(1536, 300, paint_ramp);
    struct str s = picture_png(&p);
    struct raster r;
    struct errbuf eb;
    assert_int_equal(decode(&r, s.p, s.n, &eb), ERR_OK);
    assert_int_equal(r.w, 512);
    for (uint32_t x = 0; x < r.w; x++) {
        int want = (int)((x * 3 + 1) * 255 / 1535);
        assert_in_range(r.rgb[x * 3] + 2, want, want + 4);
    }
    raster_fini(&r);
    release(s);
    free(p.rgb);
}

static void strangers(void **state)
{
    (void)state;
    static const struct str rows[] = {
        S(""),
        S("\xff"),
        S("\xff\xd8"),
        S("\xff\xd8\xff"),
        S("\xff\xd8\xff\xe0"),
        S("\xff\xd8\xff\xe0\0\0"),
        S("\xff\xd8\xff\xe0\0\x01"),
        S("\xff\xd8\xff\xe0\xff\xff"),
        S("\xff\xd8\xff\xd9"),
        S("\xff\xd8\xff\xda\0\x0c"),
        S("\xff\xd8\xff\xc0\0\x11\x08\0\0\0\0\x03\x01\x22\0\x02\x11\x01\x03\x11\x01"), /* 0 x 0 */
        S("\xff\xd8\xff\xc0\0\x11\x08\0\x64\0\x64\x03\x01\x22\0\x02\x11\x01\x03\x11\x01\xff\xd9"),
        S("\xff\xd8\xff\xc3\0\x11\x08\0\x64\0\x64\x03\x01\x22\0\x02\x11\x01\x03\x11\x01\xff\xd9"),
        S("\x89PNG\r\n\x1a\n"),
        S("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"),
        S("\x89PNG\r\n\x1a\n\0\0\0\x0dIDAT\0\0\0\x64\0\0\0\x64\x08\x02\0\0\0\0\0\0\0"),
        S("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x64\0\0\0\x64\x08\x02\0\0\0\0\0\0\0"),
        S("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\0\x08\x02\0\0\0\0\0\0\0"),
        S("\x89PNG\r\n\x1a\n\x80\0\0\0IHDR\0\0\0\x64\0\0\0\x64\x08\x02\0\0\0\0\0\0\0"),
        S("GIF89a\x64\0\x64\0\0\0\0;"),
        S("RIFF\0\0\0\0WEBPVP8 "),
        S("BM"),
        S("II*\0"),
        S("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
        S("%PDF-1.7"),
        S("PK\x03\x04"),
        S("just a text that was named .jpg"),
        S("\0\0\0\x1c"
          "ftypheic"),
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct raster r;
        struct errbuf eb;
        enum err e = decode(&r, rows[i].p, rows[i].n, &eb);
        if (e != ERR_INVAL)
            fail_msg("row %zu: %s: %s", i, err_name(e), eb.text);
    }
    struct raster r;
    struct errbuf eb;
    struct str wide = S("\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01\x22\0\x02\x11\x01\x03"
                        "\x11\x01\xff\xda\0\x0c\x03\x01\0\x02\x11\x03\x11\0\x3f\0");
    assert_int_equal(decode(&r, wide.p, wide.n, &eb), ERR_TOOBIG);
    wide = S("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\x80\0\0\0\0\0\0\x64\x08\x02\0\0\0\0\0\0\0");
    assert_int_equal(decode(&r, wide.p, wide.n, &eb), ERR_TOOBIG);
}

/* Cut anywhere, a picture is refused; PNG also with any byte of its pixels changed, by its
 * checksums. */
static void damaged(void **state)
{
    (void)state;
    struct picture p = picture_paint(96, 80, paint_noise);
    for (int kind = 0; kind < 3; kind++) {
        struct str s = kind == 0 ? picture_png(&p) : picture_jpeg(&p, 80, kind == 2);
        struct raster r;
        struct errbuf eb;
        for (size_t n = 0; n < s.n - 2; n += n < 700 ? 1 : 97) {
            enum err e = decode(&r, s.p, n, &eb);
            if (e != ERR_INVAL)
                fail_msg("kind %d cut at %zu of %zu: %s: %s", kind, n, s.n, err_name(e), eb.text);
        }
        char *copy = malloc(s.n);
        assert_non_null(copy);
        const char *pixels = kind == 0 ? memmem(s.p, s.n, "IDAT", 4) : NULL;
        for (size_t at = 0; at < s.n; at += at < 700 ? 1 : 41) {
            memcpy(copy, s.p, s.n);
            copy[at] = (char)(copy[at] ^ 0x5a);
            enum err e = decode(&r, copy, s.n, &eb); /* a JPEG may well survive this */
            if (pixels != NULL && s.p + at >= pixels && e == ERR_OK)
                fail_msg("PNG changed at %zu is accepted", at);
            raster_fini(&r);
        }
        free(copy);
        release(s);
    }
    free(p.rgb);
}

/* What claims 100 megapixels costs no more memory than it should, and little time. */
static void promises(void **state)
{
    (void)state;
    struct picture p = picture_paint(10000, 16, paint_red);
    struct raster r;
    struct errbuf eb;
    p.h = 10000;
    struct str s = picture_jpeg(&p, 50, 0);
    mono_t start = mono_now();
    assert_int_equal(decode(&r, s.p, s.n, &eb), ERR_OK);
    raster_fini(&r);
    assert_int_equal(decode(&r, s.p, s.n / 2, &eb), ERR_INVAL);
    char *progressive = memmem(s.p, s.n, "\xff\xc0", 2);
    assert_non_null(progressive);
    progressive[1] = '\xc2'; /* now all coefficients are to be held, which passes the limit */
    assert_int_equal(decode(&r, s.p, s.n, &eb), ERR_TOOBIG);
    assert_true(mono_since_us(mono_now(), start) < 20 * 1000000);
    release(s);
    free(p.rgb);
}

/* One scan is cheap to write and dear to read: more of them than anybody needs are refused. */
static void scans_are_counted(void **state)
{
    (void)state;
    struct picture p = picture_paint(640, 640, paint_red);
    struct str s = picture_jpeg(&p, 50, 1);
    size_t last = s.n - 2;
    while (last > 0 && !((unsigned char)s.p[last] == 0xff && (unsigned char)s.p[last + 1] == 0xda))
        last--;
    size_t scan = s.n - 2 - last;
    assert_true(last > 0 && scan > 0);
    for (int copies = 2; copies < 400; copies *= 2) {
        char *many = malloc(s.n + scan * (size_t)copies);
        assert_non_null(many);
        memcpy(many, s.p, s.n - 2);
        for (int i = 0; i < copies; i++)
            memcpy(many + s.n - 2 + scan * (size_t)i, s.p + last, scan);
        memcpy(many + s.n - 2 + scan * (size_t)copies, "\xff\xd9", 2);
        struct raster r;
        struct errbuf eb;
        enum err e = decode(&r, many, s.n + scan * (size_t)copies, &eb);
        if (copies > 64)
            assert_int_equal(e, ERR_INVAL);
        raster_fini(&r);
        free(many);
    }
    release(s);
    free(p.rgb);
}

static void interlaced_and_alpha(void **state)
{
    (void)state;
    /* tests/data/rekognition: made by make.py there */
    static const struct {
        const char *file;
        int r, g, b; /* of the first pixel */
    } rows[] = {
        { "tests/data/rekognition/alpha.png", 255, 255, 255 }, /* clear is white */
        { "tests/data/rekognition/interlaced.png", 200, 100, 50 },
        { "tests/data/rekognition/palette.png", 10, 200, 30 },
        { "tests/data/rekognition/gray16.png", 128, 128, 128 },
        { "tests/data/rekognition/cmyk.jpg", 200, 40, 40 },
        { "tests/data/rekognition/gray.jpg", 90, 90, 90 },
        { "tests/data/rekognition/interlaced-large.png", 200, 100, 50 },
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char bytes[65536];
        FILE *f = fopen(rows[i].file, "rb");
        if (f == NULL)
            fail_msg("%s is missing (run from the top folder)", rows[i].file);
        size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        struct raster r;
        struct errbuf eb;
        enum err e = decode(&r, bytes, n, &eb);
        if (e != ERR_OK)
            fail_msg("%s: %s", rows[i].file, eb.text);
        int off = abs(r.rgb[0] - rows[i].r) + abs(r.rgb[1] - rows[i].g) + abs(r.rgb[2] - rows[i].b);
        if (off > 12)
            fail_msg("%s: %d %d %d", rows[i].file, r.rgb[0], r.rgb[1], r.rgb[2]);
        raster_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(averages),
        cmocka_unit_test(strangers),
        cmocka_unit_test(damaged),
        cmocka_unit_test(promises),
        cmocka_unit_test(scans_are_counted),
        cmocka_unit_test(interlaced_and_alpha),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
