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

/* A moment that exists. */
static enum err from_utc(struct tm *tm, wall_t *out)
{
    if (tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_mday < 1 || tm->tm_mday > 31 ||
        tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 59)
        return ERR_INVAL;
    int day = tm->tm_mday;
    int64_t seconds = (int64_t)timegm(tm);
    if (tm->tm_mday != day)
        return ERR_INVAL; /* 31 April became 1 May */
    out->ms = seconds * 1000;
    return ERR_OK;
}

/* The characters of s where the shape has a 'd', as digits; the others must be as in the shape,
 * where '?' is any. */
static bool read_digits(struct str s, const char *shape, int *digit)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_digit = s.p[i] >= '0' && s.p[i] <= '9';
        if (shape[i] == 'd' ? !is_digit : shape[i] != '?' && s.p[i] != shape[i])
            return false;
        digit[i] = s.p[i] - '0';
    }
    return true;
}

#define TWO(i) (digit[i] * 10 + digit[(i) + 1])

enum err wall_from_amz(struct str s, wall_t *out)
{
    static const char shape[] = "dddddddd"
                                "T"
                                "dddddd"
                                "Z";
    int digit[CLOCK_AMZ_LEN] = { 0 };
    if (s.n != CLOCK_AMZ_LEN || !read_digits(s, shape, digit))
        return ERR_INVAL;
    struct tm tm = { .tm_year = TWO(0) * 100 + TWO(2) - 1900,
                     .tm_mon = TWO(4) - 1,
                     .tm_mday = TWO(6),
                     .tm_hour = TWO(9),
                     .tm_min = TWO(11),
                     .tm_sec = TWO(13) };
    return from_utc(&tm, out);
}

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void wall_to_http(wall_t t, char dst[CLOCK_HTTP_LEN + 1])
{
    struct tm tm = utc(writable(t));
    size_t n = (size_t)snprintf(dst, CLOCK_HTTP_LEN + 1, "%.3s, %02u %.3s ", days + 3 * tm.tm_wday,
                                (unsigned)tm.tm_mday % 100U, months + 3 * tm.tm_mon);
    (void)strftime(dst + n, CLOCK_HTTP_LEN + 1 - n, "%Y %H:%M:%S GMT", &tm);
}

static int index_of(const char *names, struct str name)
{
    for (int i = 0; names[3 * (size_t)i] != '\0'; i++)
        if (str_eq(name, (struct str){ names + 3 * (size_t)i, 3 }))
            return i;
    return -1;
}

enum err wall_from_http(struct str s, wall_t *out)
{
    static const char shape[] = "???, dd ??? dddd dd:dd:dd GMT";
    int digit[CLOCK_HTTP_LEN] = { 0 };
    wall_t t;
    if (s.n != CLOCK_HTTP_LEN || !read_digits(s, shape, digit))
        return ERR_INVAL;
    int weekday = index_of(days, str_head(s, 3));
    struct tm tm = { .tm_year = TWO(12) * 100 + TWO(14) - 1900,
                     .tm_mon = index_of(months, str_head(str_from(s, 8), 3)),
                     .tm_mday = TWO(5),
                     .tm_hour = TWO(17),
                     .tm_min = TWO(20),
                     .tm_sec = TWO(23) };
    if (from_utc(&tm, &t) != ERR_OK || tm.tm_wday != weekday)
        return ERR_INVAL;
    *out = t;
    return ERR_OK;
}
