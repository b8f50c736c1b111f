/* rand.h - random bits from the kernel, and identifiers made of them.  Any thread. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define UUID_LEN 36

void rand_bytes(void *dst, size_t n);
uint64_t rand_u64(void);

/* UUID version 4, lower case (RFC 9562 section 5.4). */
void rand_uuid(char dst[UUID_LEN + 1]);
/* Pure: exactly the 36-character form, any version, lower-case hex. */
bool uuid_is_canonical(struct str s);

#endif
