#include "cli/picture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STEP_BYTES (1U << 20)

static enum err too_big(struct errbuf *eb)
{
    return errbuf_set(eb, ERR_TOOBIG, "is larger than %u MiB, the most that is uploaded",
                      PICTURE_MAX_BYTES >> 20);
}

static enum err check_kind(FILE *f, struct errbuf *eb)
{
    struct stat st;
    if (fstat(fileno(f), &st) != 0)
        return errbuf_set(eb, ERR_IO, "cannot be read: %s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return errbuf_set(eb, ERR_INVAL, "is a directory; name the files in it");
    return S_ISREG(st.st_mode) && st.st_size > PICTURE_MAX_BYTES ? too_big(eb) : ERR_OK;
}

static enum err read_all(struct buf *out, FILE *f, struct errbuf *eb)
{
    while (!feof(f) && !ferror(f) && out->n <= PICTURE_MAX_BYTES) {
        size_t left = out->cap - out->n, want = left < STEP_BYTES ? left : STEP_BYTES;
        char *at = buf_reserve(out, want);
        if (at == NULL)
            return errbuf_set(eb, ERR_TOOBIG, "does not fit into memory");
        buf_grew(out, fread(at, 1, want, f));
    }
    if (ferror(f))
        return errbuf_set(eb, ERR_IO, "cannot be read: %s", strerror(errno));
    if (out->n > PICTURE_MAX_BYTES)
        return too_big(eb);
    return out->n > 0 ? ERR_OK : errbuf_set(eb, ERR_INVAL, "is empty");
}

enum err picture_read(struct buf *out, const char *name, struct errbuf *eb)
{
    *out = BUF_INIT(PICTURE_MAX_BYTES + 1U);
    bool standard_input = strcmp(name, "-") == 0;
    FILE *f = standard_input ? stdin : fopen(name, "rbe");
    if (f == NULL)
        return errbuf_set(eb, errno == ENOENT ? ERR_MISSING : ERR_IO, "cannot be opened: %s",
                          strerror(errno));
    enum err e = check_kind(f, eb);
    if (e == ERR_OK)
        e = read_all(out, f, eb);
    if (!standard_input)
        (void)fclose(f);
    return e;
}
