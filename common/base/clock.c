#include "base/clock.h"

#include <stdio.h>
#include <time.h>

mono_t mono_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (mono_t){ (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec };
}

wall_t wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (wall_t){ (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 };
}

mono_t mono_after_ms(mono_t t, int64_t ms)
{
    int64_t ns;
    if (__builtin_mul_overflow(ms, 1000000, &ns) || __builtin_add_overflow(t.ns, ns, &ns))
        ns = ms < 0 ? INT64_MIN : INT64_MAX; /* "never" is a fine deadline */
    return (mono_t){ ns };
}

int64_t mono_until_ms(mono_t now, mono_t t)
{
    if (t.ns <= now.ns)
        return 0;
    uint64_t left = (uint64_t)t.ns - (uint64_t)now.ns;
    return (int64_t)(left / 1000000 + (left % 1000000 != 0));
}

int64_t mono_since_us(mono_t now, mono_t earlier)
{
    return (now.ns - earlier.ns) / 1000;
}

/* The formats hold four digits of a year; the years before 1970 are nobody's. */
static wall_t writable(wall_t t)
{
    const int64_t last = INT64_C(253402300799999);
    return (wall_t){ t.ms < 0 ? 0 : t.ms > last ? last : t.ms };
}

static struct tm utc(wall_t t)
{
    time_t seconds = (time_t)(t.ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    return tm;
}

void wall_to_rfc3339(wall_t t, char dst[CLOCK_RFC3339_LEN + 1])
{
    t = writable(t);
    struct tm tm = utc(t);
    size_t n = strftime(dst, CLOCK_RFC3339_LEN + 1, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(dst + n, CLOCK_RFC3339_LEN + 1 - n, ".%03uZ", (unsigned)(t.ms % 1000) % 1000U);
}

void wall_to_amz(wall_t t, char dst[CLOCK_AMZ_LEN + 1])
{
    struct tm tm = utc(writable(t));
    (void)strftime(dst, CLOCK_AMZ_LEN + 1, "%Y%m%dT%H%M%SZ", &tm);
}

enum err wall_from_amz(struct str s, wall_t *out)
{
    static const char shape[] = "dddddddd"
                                "T"
                                "dddddd"
                                "Z";
    if (s.n != CLOCK_AMZ_LEN)
        return ERR_INVAL;
    int digit[CLOCK_AMZ_LEN] = { 0 };
    for (size_t i = 0; i < s.n; i++) {
        bool is_digit = s.p[i] >= '0' && s.p[i] <= '9';
        if (shape[i] == 'd' ? !is_digit : s.p[i] != shape[i])
            return ERR_INVAL;
        digit[i] = s.p[i] - '0';
    }
#define TWO(i) (digit[i] * 10 + digit[(i) + 1])
    struct tm tm = { .tm_year = TWO(0) * 100 + TWO(2) - 1900,
                     .tm_mon = TWO(4) - 1,
                     .tm_mday = TWO(6),
                     .tm_hour = TWO(9),
                     .tm_min = TWO(11),
                     .tm_sec = TWO(13) };
#undef TWO
    if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 59)
        return ERR_INVAL;
    int day = tm.tm_mday;
    int64_t seconds = (int64_t)timegm(&tm);
    if (tm.tm_mday != day)
        return ERR_INVAL; /* 31 April became 1 May */
    out->ms = seconds * 1000;
    return ERR_OK;
}
