#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_name(enum err e)
{
    static const char *const names[] = {
#define X(name, text) [ERR_##name] = (text),
        ERR_LIST(X)
#undef X
    };
    return (unsigned)e < N_OF(names) ? names[e] : "unknown";
}

enum err errbuf_set(struct errbuf *eb, enum err e, const char *fmt, ...)
{
    if (eb == NULL)
        return e;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(eb->text, sizeof eb->text, fmt, ap);
    va_end(ap);
    return e;
}

enum err errbuf_wrap(struct errbuf *eb, enum err e, const char *fmt, ...)
{
    if (eb == NULL)
        return e;
    char inner[sizeof eb->text];
    memcpy(inner, eb->text, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(eb->text, sizeof eb->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n + 3 < sizeof eb->text)
        (void)snprintf(eb->text + n, sizeof eb->text - (size_t)n, ": %.*s",
                       (int)sizeof eb->text - n - 3, inner);
    return e;
}
