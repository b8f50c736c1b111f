/* clock.h - two kinds of time that cannot be mixed up.
 *
 * mono_t is for deadlines and durations and is never stored or sent; wall_t is Unix time,
 * stored and sent, and never used for a time-out.
 * Source   RFC 3339 (profile with "Z" and milliseconds); SigV4's basic ISO 8601 format;
 *          RFC 9110 section 5.6.7 (IMF-fixdate, as in the Date header).
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef struct {
    int64_t ns;
} mono_t;

typedef struct {
    int64_t ms;
} wall_t;

mono_t mono_now(void);
wall_t wall_now(void);

/* Saturates: INT64_MAX ms from now is never. */
mono_t mono_after_ms(mono_t t, int64_t ms);
/* Milliseconds from `now` until t, rounded up; 0 when t is past. */
int64_t mono_until_ms(mono_t now, mono_t t);
int64_t mono_since_us(mono_t now, mono_t earlier);

#define CLOCK_RFC3339_LEN 24 /* 2026-11-21T02:48:27.123Z */
#define CLOCK_AMZ_LEN     16 /* 20261121T024827Z */
#define CLOCK_HTTP_LEN    29 /* Sat, 21 Nov 2026 02:48:27 GMT */

/* dst gets LEN characters and a NUL.  Before 1970 and after 9999 the nearest end is written. */
void wall_to_rfc3339(wall_t t, char dst[CLOCK_RFC3339_LEN + 1]);
void wall_to_amz(wall_t t, char dst[CLOCK_AMZ_LEN + 1]);
void wall_to_http(wall_t t, char dst[CLOCK_HTTP_LEN + 1]);
/* ERR_INVAL also for a day or second that does not exist; *out is then left alone. */
MUSTUSE enum err wall_from_amz(struct str s, wall_t *out);
MUSTUSE enum err wall_from_http(struct str s, wall_t *out); /* and for another weekday */

#endif
