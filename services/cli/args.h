/* args.h - what was typed after the verb, and the configuration that it makes with the
 * environment.
 *
 * Variables of the environment that the verb has no row for are ignored, LW_ ones too: a shell
 * often holds those of the services.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/verb.h"

struct args_line {
    const struct verb_flag *flag;
    char *text; /* "NAME=value", owned */
};

struct args {
    struct args_line *lines;
    char **operands; /* borrowed from argv */
    size_t n_lines, n_operands;
    bool help;
};

/* Flags and operands in any order; "--" ends the flags, "-" is an operand.
 * ERR_INVAL: eb says what is wrong and what is wanted.  args_fini() in any case. */
MUSTUSE enum err args_parse(struct args *out, const struct verb *v, int argc, char **argv,
                            struct errbuf *eb);
void args_fini(struct args *a); /* safe on a zeroed struct */

/* Fills the verb's configuration; a flag wins over the variable.  As conf_load(), but a problem
 * of a flag's value names the flag. */
MUSTUSE enum err args_load(const struct args *a, const struct verb *v, void *conf,
                           char *const *environment, struct buf *problems);

/* The text of --help, from the verb's tables. */
void args_put_help(struct buf *out, const struct verb *v);
/* "usage: labelwire label [--json] FILE..." */
void args_put_usage(struct buf *out, const struct verb *v);

#endif
