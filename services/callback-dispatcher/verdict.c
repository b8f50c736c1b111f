#include "callback-dispatcher/verdict.h"

#include <stdio.h>

static enum blob_delivery class_of(enum err e)
{
    switch (e) {
    case ERR_TIMEOUT:
        return DELIVERY_TIMEOUT;
    case ERR_IO:
    case ERR_DENIED:
        return DELIVERY_CONNECTION;
    case ERR_OK:
    case ERR_INVAL:
    case ERR_RANGE:
    case ERR_TOOBIG:
    case ERR_MISSING:
    case ERR_CONFLICT:
    case ERR_FULL:
    case ERR_REMOTE:
    case ERR_CLOSED:
    case ERR_CONFIG:
        break;
    }
    return DELIVERY_FAILURE; /* some answer came, but not the wanted one */
}

/* Only seconds are honoured: a date would need the receiver's clock to be right. */
static int64_t wish_ms(struct str retry_after)
{
    uint64_t seconds = 0;
    enum err e = str_to_u64(str_trim(retry_after), &seconds);
    if (e == ERR_RANGE || seconds > VERDICT_RETRY_AFTER_MAX_MS / 1000)
        return VERDICT_RETRY_AFTER_MAX_MS;
    return (int64_t)seconds * 1000; /* 0 for what is no number */
}

struct life_event verdict_of(struct verdict *out, enum err e, int status, struct str retry_after)
{
    out->code[0] = '\0';
    if (e == ERR_OK && status == 204)
        return (struct life_event){ .type = LIFE_DELIVERED };
    if (e == ERR_OK)
        (void)snprintf(out->code, sizeof out->code, "http_%d", status);
    else
        (void)snprintf(out->code, sizeof out->code, "%s",
                       e == ERR_TIMEOUT  ? "timeout"
                       : e == ERR_DENIED ? "blocked_address"
                       : e == ERR_IO     ? "connection_failed"
                                         : "bad_answer");
    return (struct life_event){ .type = LIFE_DELIVERY_FAILED,
                                .delivery = class_of(e),
                                .code = str_of(out->code),
                                .gone = e == ERR_OK && status == 410,
                                .retry_after_ms = wish_ms(retry_after) };
}
