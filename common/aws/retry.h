/* retry.h - whether a failed call is tried again at once, and after which pause.  Pure.
 *
 * As the AWS SDKs do it in their standard mode: three attempts, full jitter, and one quota for
 * the whole process that retries use up and successes fill, so that an outage is not met with
 * three times the calls.
 *
 * Thread   one.
 * Source   AWS SDKs and Tools guide, "Retry behavior", with the rules of 2026; botocore
 *          retries/standard.py and retries/quota.py.
 */
#ifndef AWS_RETRY_H
#define AWS_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_ATTEMPTS 3 /* the first included */
#define RETRY_QUOTA    500
#define RETRY_NO_HINT  INT64_C(-1)
#define RETRY_GIVE_UP  INT64_C(-1)

struct retry_quota {
    int64_t left;
};

struct retry { /* one call; zeroed at its start */
    unsigned retries;
    int64_t cost; /* of the last one, returned by a success */
};

enum retry_reason { RETRY_TRANSIENT, RETRY_THROTTLED };

/* The pause in ms before the next attempt, which is then paid for, or RETRY_GIVE_UP.
 * hint_ms: the peer's x-amz-retry-after, or RETRY_NO_HINT.  left_ms: a longer pause is none.
 * dice: 64 random bits. */
int64_t retry_pause_ms(struct retry_quota *q, struct retry *r, enum retry_reason why,
                       int64_t hint_ms, int64_t left_ms, uint64_t dice);
void retry_succeeded(struct retry_quota *q, const struct retry *r);

#endif
