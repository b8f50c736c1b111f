/* picture.h - the bytes of a file that is to be labelled. */
#ifndef CLI_PICTURE_H
#define CLI_PICTURE_H

#include "base/buf.h"
#include "base/err.h"

#define PICTURE_MAX_BYTES (64U << 20)

/* Reads the whole file; "-" is standard input.  *out is born here and the caller's to free.
 * ERR_MISSING, ERR_INVAL, ERR_IO, ERR_TOOBIG: eb says why, without the file's name. */
MUSTUSE enum err picture_read(struct buf *out, const char *name, struct errbuf *eb);

#endif
