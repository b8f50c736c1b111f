/* transition.h - an event of labelwire.events as one line for people. */
#ifndef CLI_TRANSITION_H
#define CLI_TRANSITION_H

#include <stdint.h>

#include "cli/screen.h"

/* Appends time (local), the first 8 characters of the blob's id, the transition, phase, status
 * and code.  What the event lacks is "-"; without a time, kafka_ms (Unix) stands for it.
 * ERR_INVAL: not JSON, eb says why; out is as it was. */
MUSTUSE enum err transition_put(struct buf *out, const struct screen *s, struct str event,
                                int64_t kafka_ms, struct errbuf *eb);

#endif
