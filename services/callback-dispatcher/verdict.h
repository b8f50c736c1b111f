/* verdict.h - what the outcome of one callback request means.  Pure. */
#ifndef CALLBACK_DISPATCHER_VERDICT_H
#define CALLBACK_DISPATCHER_VERDICT_H

#include "base/err.h"
#include "base/str.h"
#include "blob/life.h"

#define VERDICT_RETRY_AFTER_MAX_MS INT64_C(86400000)

struct verdict {
    char code[48]; /* "http_500", "timeout", "blocked_address" */
};

/* status: 0 without a complete answer; retry_after: the header, or STR_NONE; e: what the request
 * ended with.  204 alone is success.  out->code is borrowed by the event. */
struct life_event verdict_of(struct verdict *out, enum err e, int status, struct str retry_after);

#endif
