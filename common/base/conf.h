/* conf.h - configuration: one table of rows, read once from the environment into one struct.
 *
 * The same row parses, checks, documents and redacts.  All problems are reported together, and
 * a variable that starts with LW_ and has no row is refused with the nearest name: a typo in a
 * deployment must not mean "default".  No getenv() anywhere else.
 *
 * Memory   text values are owned by the struct and released by conf_fini().
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum conf_type {
    CONF_TEXT,   /* char *; never NULL: "" when unset and without default */
    CONF_INT,    /* int64_t */
    CONF_MS,     /* int64_t; written "250ms", "10s", "5m", "2h", "30d" */
    CONF_BYTES,  /* int64_t; written "512", "64KiB", "15MiB" */
    CONF_BOOL,   /* bool; written on or off */
    CONF_CHOICE, /* int: index into the words of .choices */
};

enum conf_flag {
    CONF_REQUIRED = 1, /* unset or empty is a problem */
    CONF_SECRET = 2,   /* shown as <set> */
};

struct conf_key {
    const char *name;
    enum conf_type type;
    size_t offset;       /* in the group's struct */
    const char *def;     /* as it would be written in the environment; NULL: empty or zero */
    int64_t min, max;    /* numbers: inclusive; both 0: no limit */
    const char *choices; /* "debug|info|warn|error" */
    unsigned flags;
    /* Further check of a text that is not empty; says what it wants.  May be NULL. */
    enum err (*check)(struct str value, struct errbuf *eb);
    const char *doc; /* one sentence or two, with the unit */
};

struct conf_group {
    const char *title;
    const struct conf_key *keys;
    size_t n;
    size_t offset; /* of the group's struct in the service's struct */
};

/* Fills *conf from `environment` ("NAME=value" lines, NULL-terminated, as environ).
 * ERR_CONFIG: problems holds one line for each.  *conf is then still safe to conf_fini(). */
MUSTUSE enum err conf_load(void *conf, const struct conf_group *groups, size_t n,
                           char *const *environment, struct buf *problems);
void conf_fini(void *conf, const struct conf_group *groups, size_t n);

/* The manual of the tables: plain text for people, Markdown, or a commented env file. */
enum conf_format { CONF_AS_TEXT, CONF_AS_MD, CONF_AS_ENV };
void conf_manual(struct buf *out, const struct conf_group *groups, size_t n, enum conf_format as);

#endif
