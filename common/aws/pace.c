#include "aws/pace.h"

#include <math.h>

#define SECOND_NS      1000000000.0
#define BURST_S        0.25     /* seconds' worth of tokens that may be saved up */
#define DOUBLING       0.693147 /* ln 2: so much for each success doubles the rate in a second */
#define PROBING        0.02     /* of the rate, each second */
#define BOLDER_S       10.0
#define LOWERED        0.7
#define NEARLY         0.8 /* of what was too much */
#define AT_LEAST_APART (500 * INT64_C(1000000))

static double burst(const struct pace *p)
{
    return fmax(1, p->rate * BURST_S);
}

static double tokens_at(const struct pace *p, mono_t now)
{
    double filled = p->tokens + p->rate * (double)(now.ns - p->filled.ns) / SECOND_NS;
    return fmin(burst(p), filled);
}

/* Everything that changes the rate settles first what the old one has brought. */
static void fill(struct pace *p, mono_t now)
{
    p->tokens = tokens_at(p, now);
    p->filled = now;
}

void pace_init(struct pace *p, double max, mono_t now)
{
    *p = (struct pace){ .rate = fmin(PACE_START, max),
                        .max = max,
                        .good = max,
                        .tokens = 1,
                        .filled = now,
                        .cut = { now.ns - AT_LEAST_APART },
                        .second = now };
}

int64_t pace_wait_ms(const struct pace *p, mono_t now)
{
    double missing = 1 - tokens_at(p, now);
    return missing <= 0 ? 0 : (int64_t)ceil(missing / p->rate * 1000);
}

bool pace_take(struct pace *p, mono_t now)
{
    fill(p, now);
    if (p->tokens < 1)
        return false;
    p->tokens -= 1;
    return true;
}

void pace_give_back(struct pace *p)
{
    p->tokens = fmin(burst(p), p->tokens + 1);
}

static void count(struct pace *p, mono_t now)
{
    int64_t seconds = (now.ns - p->second.ns) / (int64_t)SECOND_NS;
    if (seconds > 0) {
        p->used_before = seconds == 1 ? p->used : 0;
        p->used = 0;
        p->second.ns += seconds * (int64_t)SECOND_NS;
    }
    p->used++;
}

/* The longer ago the last refusal, the bolder: what was found out then may not hold any more. */
static double probing(double seconds)
{
    return fmin(DOUBLING, PROBING * (1 + pow(seconds / BOLDER_S, 2)));
}

void pace_succeeded(struct pace *p, mono_t now)
{
    count(p, now);
    if (now.ns - p->cut.ns < AT_LEAST_APART)
        return;
    unsigned used = p->used > p->used_before ? p->used : p->used_before;
    double bound = fmin(p->max, 2 * (double)used);
    double grown = p->rate < p->good ? fmin(p->good, p->rate + DOUBLING)
                                     : p->rate + probing((double)(now.ns - p->cut.ns) / SECOND_NS);
    fill(p, now);
    p->rate = fmax(p->rate, fmin(bound, grown));
}

static bool lower(struct pace *p, mono_t now)
{
    if (now.ns - p->cut.ns < AT_LEAST_APART)
        return false;
    fill(p, now);
    p->cut = now;
    p->rate = fmax(PACE_LEAST, LOWERED * p->rate);
    p->tokens = fmin(p->tokens, burst(p));
    return true;
}

void pace_throttled(struct pace *p, mono_t now)
{
    double too_much = p->rate;
    if (lower(p, now))
        p->good = fmax(p->rate, NEARLY * too_much);
}

void pace_failed(struct pace *p, mono_t now)
{
    double before = p->rate;
    if (lower(p, now))
        p->good = fmax(p->good, before);
}
