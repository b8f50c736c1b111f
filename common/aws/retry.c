#include "aws/retry.h"

#define PAUSE_MAX_MS INT64_C(20000)
#define HINT_MAX_MS  INT64_C(5000) /* beyond our own pause */

static const struct {
    int64_t base_ms, cost;
} rules[] = {
    [RETRY_TRANSIENT] = { 50, 14 },
    [RETRY_THROTTLED] = { 1000, 5 },
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t retry_pause_ms(struct retry_quota *q, struct retry *r, enum retry_reason why,
                       int64_t hint_ms, int64_t left_ms, uint64_t dice)
{
    if (r->retries + 1 >= RETRY_ATTEMPTS || q->left < rules[why].cost)
        return RETRY_GIVE_UP;
    int64_t most = least(rules[why].base_ms << r->retries, PAUSE_MAX_MS);
    int64_t pause = (int64_t)(dice % (uint64_t)(most + 1));
    if (hint_ms > pause)
        pause = least(hint_ms, pause + HINT_MAX_MS);
    if (pause > left_ms)
        return RETRY_GIVE_UP;
    r->retries++;
    r->cost = rules[why].cost;
    q->left -= r->cost;
    return pause;
}

void retry_succeeded(struct retry_quota *q, const struct retry *r)
{
    q->left = least(RETRY_QUOTA, q->left + (r->retries > 0 ? r->cost : 1));
}
