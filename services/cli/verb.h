/* verb.h - what a command of `labelwire` is: one const struct, one file.
 *
 * A verb is configured by tables (base/conf.h) like a service.  A flag is nothing but a line put
 * in front of the environment, so the row of the variable checks and documents both; what only a
 * flag can set has a row whose name begins with "--", in a group without a title.
 *
 * Exit codes
 *   0  all well
 *   1  something failed; standard error says what
 *   2  wrong usage or configuration; nothing was done
 */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include <stddef.h>

#include "base/conf.h"

enum { EXIT_WELL = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct verb_flag {
    const char *name;  /* "--gateway" */
    const char *value; /* what its value is called, "URL"; NULL: a switch */
    const char *sets;  /* the row: "LW_GATEWAY", or the flag's own name */
    const char *doc;
};

struct verb {
    const char *name;     /* as typed: "label", "setup topics" */
    const char *operands; /* "FILE..."; "" for none */
    const char *about;    /* one line */
    const char *more;     /* further lines for --help, or NULL */
    const char *example;
    const struct verb_flag *flags;
    size_t n_flags;
    const struct conf_group *conf;
    size_t n_conf, conf_size;
    size_t least, most;       /* operands */
    const struct verb *parts; /* a first operand that names one of them runs only this part */
    size_t n_parts;
    /* conf is filled and checked, least <= n <= most.  Returns an exit code. */
    int (*run)(const void *conf, char *const *operands, size_t n);
};

extern const struct verb verb_label, verb_get, verb_tail, verb_dead, verb_setup;
extern const struct verb verb_recognize, verb_redeliver, verb_erase;

#endif
