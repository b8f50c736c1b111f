/* fault.h - an error in Rekognition's words: HTTP status, exception, message.  Pure.
 *
 * Source   Rekognition developer guide, "Error handling"; the texts are the service's own where
 *          they are known (botocore issue 1366, aws-doc-sdk-examples issue 4848).
 */
#ifndef REKOGNITION_LOCAL_FAULT_H
#define REKOGNITION_LOCAL_FAULT_H

#include "base/buf.h"
#include "base/err.h"

struct fault {
    int status;
    char type[64];
    char message[256];
};

/* Always returns ERR_INVAL, so that `return fault_set(f, …)` is one line.  Status 400, but 500
 * for the service's own errors. */
enum err fault_set(struct fault *f, const char *type, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* {"__type":…,"Code":…,"Logref":…,"Message":…} */
void fault_put(struct buf *out, const struct fault *f, const char *logref);

#endif
