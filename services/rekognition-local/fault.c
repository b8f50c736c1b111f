#include "rekognition-local/fault.h"

#include <stdarg.h>
#include <stdio.h>

enum err fault_set(struct fault *f, const char *type, const char *fmt, ...)
{
    va_list ap;
    bool ours = str_eq(str_of(type), S("InternalServerError"));
    f->status = ours ? 500 : 400;
    if (str_copy(f->type, sizeof f->type, str_of(type)) != ERR_OK)
        f->type[0] = '\0';
    va_start(ap, fmt);
    (void)vsnprintf(f->message, sizeof f->message, fmt, ap);
    va_end(ap);
    return ERR_INVAL;
}

void fault_put(struct buf *out, const struct fault *f, const char *logref)
{
    buf_puts(out, "{\"__type\":");
    buf_json(out, str_of(f->type));
    buf_puts(out, ",\"Code\":");
    buf_json(out, str_of(f->type));
    buf_puts(out, ",\"Logref\":");
    buf_json(out, str_of(logref));
    buf_puts(out, ",\"Message\":");
    buf_json(out, str_of(f->message));
    buf_puts(out, "}");
}
