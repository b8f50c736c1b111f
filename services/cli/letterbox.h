/* letterbox.h - reads labelwire.dead from its beginning to the end that it has now. */
#ifndef CLI_LETTERBOX_H
#define CLI_LETTERBOX_H

#include "blob/letter.h"
#include "cli/screen.h"
#include "net/kafka.h"

/* Each message with its headers, borrowed for the call; anything but ERR_OK ends the reading. */
typedef enum err letterbox_each(void *arg, const struct kafka_msg *m, const struct letter *l);

/* ERR_TIMEOUT, ERR_MISSING (no such topic), ERR_CONFIG: standard error has been told.  Else what
 * each() returned. */
MUSTUSE enum err letterbox_read(const struct kafka_conf *kafka, struct screen *s,
                                letterbox_each *each, void *arg);

#endif
