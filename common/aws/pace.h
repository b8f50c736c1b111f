/* pace.h - how many calls per second a peer takes that does not tell its quota.  Pure.
 *
 * A token bucket whose rate finds itself.  It starts small and doubles every second up to the last
 * rate known to be good, then probes upwards, by 2 % a second at first and ever faster.  A
 * throttled call lowers it to 0.7, twice a second at most, and 0.8 of what was too much is the
 * new known good rate.  An outage lowers it too, but forgets nothing: the first answers bring
 * the old rate back within seconds.
 * It only grows while it is really used: to at most twice the calls that succeed in a second.
 *
 * Thread   one; time is an argument and must not go back.
 * Units    calls per second.
 * Source   AIMD, and its faster return as in TCP CUBIC (RFC 9438); botocore's adaptive mode
 *          (botocore/retries/throttling.py) has the same 0.7.
 */
#ifndef AWS_PACE_H
#define AWS_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define PACE_START 5.0 /* calls per second at first; the smallest of AWS' default quotas */
#define PACE_LEAST 1.0

struct pace {
    double rate, max;
    double good; /* up to here it doubles */
    double tokens;
    mono_t filled; /* tokens are of this moment */
    mono_t cut;    /* last lowered */
    mono_t second; /* when the second began whose successes are being counted */
    unsigned used, used_before;
};

void pace_init(struct pace *p, double max, mono_t now);

/* Milliseconds until pace_take() will succeed; 0: now. */
int64_t pace_wait_ms(const struct pace *p, mono_t now);
/* A token for one call.  False: wait. */
bool pace_take(struct pace *p, mono_t now);
/* The call was not made after all. */
void pace_give_back(struct pace *p);

/* How the call ended.  What says nothing about the peer's strength (a bad picture) succeeded. */
void pace_succeeded(struct pace *p, mono_t now);
void pace_throttled(struct pace *p, mono_t now);
void pace_failed(struct pace *p, mono_t now); /* unreachable, broken, or it denies us */

#endif
