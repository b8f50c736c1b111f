/* mem.h - allocation of small fixed things: never NULL, abort on exhaustion.
 *
 * The orchestrator restarts us and a thousand untested branches disappear.  Anything whose
 * size comes from outside is capped first and lives in a struct buf, which fails as a value.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));

#endif
