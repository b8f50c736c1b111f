/* The JPEG half of raster.h. */
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs it */
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

#include "base/mem.h"
#include "rekognition-local/raster.h"

/* A progressive picture is held as coefficients until its last scan: enough for 24 megapixels
 * at full chroma, 64 at half. */
#define MEMORY_MAX (192L << 20)
#define SCANS_MAX  64 /* ordinary progressive files have ten; each costs time */

struct job {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    struct raster *out;
    struct raster_sink sink;
    unsigned char *row;
    struct errbuf *eb;
    enum err e;
};

static void fail(j_common_ptr c)
{
    struct job *j = c->client_data;
    char text[JMSG_LENGTH_MAX];
    int code = j->errors.msg_code;
    j->errors.format_message(c, text);
    if (code == JERR_OUT_OF_MEMORY || code == JERR_NO_BACKING_STORE)
        j->e = errbuf_set(j->eb, ERR_TOOBIG, "Input image wants more than %ld MiB to decode",
                          MEMORY_MAX >> 20);
    else if (code == JERR_IMAGE_TOO_BIG)
        j->e = errbuf_set(j->eb, ERR_TOOBIG, "Input image dimensions are too large");
    else
        j->e = errbuf_set(j->eb, ERR_INVAL, "Request has invalid image format (%s)", text);
    longjmp(j->failed, 1);
}

/* Damage that libjpeg would paint over in grey is damage; oddities between markers are not. */
static void warn(j_common_ptr c, int level)
{
    struct job *j = c->client_data;
    if (level < 0 && j->errors.msg_code != JWRN_EXTRANEOUS_DATA &&
        j->errors.msg_code != JWRN_ADOBE_XFORM && j->errors.msg_code != JWRN_JFIF_MAJOR)
        fail(c);
}

static void watch_scans(j_common_ptr c)
{
    struct job *j = c->client_data;
    if (j->jpeg.input_scan_number > SCANS_MAX) {
        j->e = errbuf_set(j->eb, ERR_INVAL, "Request has invalid image format (too many scans)");
        longjmp(j->failed, 1);
    }
}

/* Decodes at the eighths of the size that are just enough for the raster. */
static void choose_scale(struct jpeg_decompress_struct *jpeg)
{
    uint32_t longest =
        jpeg->image_width > jpeg->image_height ? jpeg->image_width : jpeg->image_height;
    jpeg->scale_denom = 8;
    jpeg->scale_num = 1;
    while (jpeg->scale_num < 8 && longest * jpeg->scale_num / 8 < RASTER_SIDE)
        jpeg->scale_num++;
}

/* Adobe writes CMYK inverted, and so does everybody since. */
static void cmyk_to_rgb(unsigned char *row, uint32_t n, bool inverted)
{
    unsigned char *dst = row;
    for (uint32_t x = 0; x < n; x++, row += 4, dst += 3)
        for (uint32_t c = 0; c < 3; c++) {
            unsigned ink = inverted ? row[c] : 255U - row[c];
            unsigned black = inverted ? row[3] : 255U - row[3];
            dst[c] = (unsigned char)(ink * black / 255);
        }
}

static void decode(struct job *j, struct str bytes)
{
    struct jpeg_decompress_struct *jpeg = &j->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->mem->max_memory_to_use = MEMORY_MAX;
    jpeg->progress = &j->progress;
    jpeg_mem_src(jpeg, (const unsigned char *)bytes.p, bytes.n);
    (void)jpeg_read_header(jpeg, TRUE);
    j->e = raster_check_size(j->out, jpeg->image_width, jpeg->image_height, j->eb);
    if (j->e != ERR_OK)
        return;
    choose_scale(jpeg);
    bool four = jpeg->num_components == 4;
    jpeg->out_color_space = four ? JCS_CMYK : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW; /* the same everywhere */
    (void)jpeg_start_decompress(jpeg);
    raster_sink_open(&j->sink, j->out, jpeg->output_width, jpeg->output_height);
    j->row = xcalloc(jpeg->output_width, 4);
    while (jpeg->output_scanline < jpeg->output_height) {
        (void)jpeg_read_scanlines(jpeg, &j->row, 1);
        if (four)
            cmyk_to_rgb(j->row, jpeg->output_width, jpeg->saw_Adobe_marker != 0);
        raster_sink_row(&j->sink, j->row);
    }
    (void)jpeg_finish_decompress(jpeg);
}

enum err raster_from_jpeg(struct raster *out, struct str bytes, struct errbuf *eb)
{
    struct job j = { .out = out, .eb = eb };
    out->type = "image/jpeg";
    j.jpeg.err = jpeg_std_error(&j.errors);
    j.jpeg.client_data = &j;
    j.errors.error_exit = fail;
    j.errors.emit_message = warn;
    j.progress.progress_monitor = watch_scans;
    if (setjmp(j.failed) == 0)
        decode(&j, bytes);
    jpeg_destroy_decompress(&j.jpeg);
    raster_sink_close(&j.sink);
    free(j.row);
    return j.e;
}
