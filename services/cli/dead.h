/* dead.h - what the parts of `labelwire dead` share: dead.c looks, resolve.c deals. */
#ifndef CLI_DEAD_H
#define CLI_DEAD_H

#include "cli/letters.h"
#include "cli/screen.h"
#include "net/kafka.h"

struct dead_conf {
    struct screen_conf screen;
    struct kafka_conf kafka;
    char *reason; /* "": any */
    bool json, all, raw;
};

/* Reads the topic and folds it; what is wrong has been told. */
MUSTUSE enum err dead_read(const struct dead_conf *c, struct screen *s, struct letters *ls);
/* With --reason: the row has that one. */
bool dead_wants(const struct dead_conf *c, const struct letters_row *row);
/* ERR_INVAL: told. */
MUSTUSE enum err dead_parse_id(struct screen *s, struct letter_id *id, const char *operand);

/* For struct verb. */
int dead_run_retry(const void *conf, char *const *operands, size_t n);
int dead_run_discard(const void *conf, char *const *operands, size_t n);

#endif
