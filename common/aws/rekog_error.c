/* The reading half of rekog.h: error answers into verdicts. */
#include "aws/rekog.h"

#include <string.h>

#include "base/json.h"

static const struct {
    const char *code;
    enum rekog_verdict verdict;
} codes[] = {
    { "InvalidImageFormatException", REKOG_INVALID_IMAGE },
    { "ImageTooLargeException", REKOG_TOO_LARGE },
    { "InvalidS3ObjectException", REKOG_NO_OBJECT },

    { "ThrottlingException", REKOG_THROTTLED }, /* 400 and 500 */
    { "ProvisionedThroughputExceededException", REKOG_THROTTLED },
    { "Throttling", REKOG_THROTTLED },
    { "ThrottledException", REKOG_THROTTLED },
    { "RequestThrottled", REKOG_THROTTLED },
    { "RequestThrottledException", REKOG_THROTTLED },
    { "TooManyRequestsException", REKOG_THROTTLED },
    { "TransactionInProgressException", REKOG_THROTTLED },
    { "RequestLimitExceeded", REKOG_THROTTLED },
    { "BandwidthLimitExceeded", REKOG_THROTTLED },
    { "LimitExceededException", REKOG_THROTTLED },
    { "SlowDown", REKOG_THROTTLED },
    { "PriorRequestNotComplete", REKOG_THROTTLED },
    { "EC2ThrottledException", REKOG_THROTTLED },

    { "InternalServerError", REKOG_TRANSIENT },
    { "InternalServerException", REKOG_TRANSIENT },
    { "InternalFailure", REKOG_TRANSIENT },
    { "ServiceUnavailable", REKOG_TRANSIENT },
    { "ServiceUnavailableException", REKOG_TRANSIENT },
    { "RequestTimeout", REKOG_TRANSIENT },
    { "RequestTimeoutException", REKOG_TRANSIENT },

    { "AccessDeniedException", REKOG_DENIED },
    { "AccessDenied", REKOG_DENIED },
    { "UnrecognizedClientException", REKOG_DENIED },
    { "InvalidClientTokenId", REKOG_DENIED },
    { "MissingAuthenticationToken", REKOG_DENIED },
    { "MissingAuthenticationTokenException", REKOG_DENIED },
    { "IncompleteSignature", REKOG_DENIED },
    { "IncompleteSignatureException", REKOG_DENIED },
    { "InvalidSignatureException", REKOG_DENIED }, /* or skew: the message tells */
    { "SignatureDoesNotMatch", REKOG_DENIED },
    { "NotAuthorized", REKOG_DENIED },
    { "OptInRequired", REKOG_DENIED },
    { "SubscriptionRequiredException", REKOG_DENIED },
    { "UnknownOperationException", REKOG_DENIED }, /* the endpoint is something else */
    { "InvalidAction", REKOG_DENIED },

    { "ExpiredTokenException", REKOG_EXPIRED_CREDENTIALS },
    { "ExpiredToken", REKOG_EXPIRED_CREDENTIALS },
    { "InvalidToken", REKOG_EXPIRED_CREDENTIALS },

    { "RequestExpired", REKOG_CLOCK_SKEW },
    { "RequestTimeTooSkewed", REKOG_CLOCK_SKEW },
    { "RequestInTheFuture", REKOG_CLOCK_SKEW },
};

/* What the message says where the code says too little; the first row that holds counts. */
static const struct {
    const char *code, *part;
    enum rekog_verdict verdict;
} refinements[] = {
    { "InvalidSignatureException", "Signature expired", REKOG_CLOCK_SKEW },
    { "InvalidSignatureException", "Signature not yet current", REKOG_CLOCK_SKEW },
    { "UnrecognizedClientException", "token included in the request is expired",
      REKOG_EXPIRED_CREDENTIALS },
    /* "Value at 'image.bytes' failed to satisfy constraint: Member must have length …" */
    { "ValidationException", "length less than or equal to 5242880", REKOG_TOO_LARGE },
    { "ValidationException", "length greater than or equal to 1", REKOG_INVALID_IMAGE },
    { "InvalidParameterException", "exceed maximum dimension", REKOG_TOO_LARGE },
};

const char *rekog_verdict_name(enum rekog_verdict v)
{
    static const char *const names[] = {
        [REKOG_OK] = "ok",
        [REKOG_INVALID_IMAGE] = "invalid_image",
        [REKOG_TOO_LARGE] = "too_large",
        [REKOG_THROTTLED] = "throttled",
        [REKOG_TRANSIENT] = "transient",
        [REKOG_NO_OBJECT] = "no_object",
        [REKOG_DENIED] = "denied",
        [REKOG_EXPIRED_CREDENTIALS] = "expired_credentials",
        [REKOG_CLOCK_SKEW] = "clock_skew",
        [REKOG_BROKEN] = "broken",
    };
    return names[v];
}

/* "com.amazonaws.rekognition#ThrottlingException:http://internal…" -> "ThrottlingException".
 * What is not a name gives "". */
static void read_code(char dst[REKOG_CODE_MAX], struct str text)
{
    struct str code = STR_NONE;
    for (ptrdiff_t at = str_find(text, '#'); at >= 0; at = str_find(text, '#'))
        text = str_from(text, (size_t)at + 1);
    (void)str_cut(&text, ':', &code);
    code = str_trim(code);
    for (size_t i = 0; i < code.n; i++) {
        char c = code.p[i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
            c != '.' && c != '_' && c != '-')
            code = STR_NONE;
    }
    if (str_copy(dst, REKOG_CODE_MAX, code) != ERR_OK)
        dst[0] = '\0';
}

/* As much of the text as fits, whole characters, control characters as blanks. */
static void read_message(char *dst, size_t cap, struct str text)
{
    size_t n = 0;
    while (text.n > 0) {
        size_t len = enc_utf8_len(text);
        bool plain = len > 0 && (unsigned char)text.p[0] >= 0x20 && text.p[0] != 0x7f;
        if (n + (plain ? len : 1) >= cap)
            break;
        if (plain)
            memcpy(dst + n, text.p, len);
        else
            dst[n] = ' ';
        n += plain ? len : 1;
        text = str_from(text, len > 0 ? len : 1);
    }
    dst[n] = '\0';
}

static bool get_string(struct json object, struct str name, struct json *out)
{
    return json_get(object, name, out) && out->type == JSON_STRING;
}

static void read_body(struct rekog_error *out, struct str error_type, struct str body)
{
    struct json root, type, message;
    struct buf text = BUF_INIT(REKOG_ANSWER_MAX);
    if (json_parse(&root, body, NULL) != ERR_OK)
        root = (struct json){ JSON_NULL, STR_NONE };
    if (get_string(root, S("__type"), &type))
        json_text(&text, type);
    if (text.n == 0)
        buf_put(&text, error_type);
    if (text.n == 0 && (get_string(root, S("code"), &type) || get_string(root, S("Code"), &type)))
        json_text(&text, type);
    read_code(out->code, buf_str(&text));
    buf_clear(&text);
    if (get_string(root, S("message"), &message) || get_string(root, S("Message"), &message))
        json_text(&text, message);
    read_message(out->message, sizeof out->message, buf_str(&text));
    buf_fini(&text);
}

static enum rekog_verdict by_status(int status)
{
    if (status == 429)
        return REKOG_THROTTLED;
    if (status == 408 || status >= 500)
        return REKOG_TRANSIENT;
    if (status == 413)
        return REKOG_TOO_LARGE;
    /* No code of Rekognition's: something else sits at the endpoint, or in front of it. */
    if (status == 401 || status == 403 || status == 404 || status == 405 || status == 407)
        return REKOG_DENIED;
    return REKOG_BROKEN;
}

enum rekog_verdict rekog_read_error(struct rekog_error *out, int status, struct str error_type,
                                    struct str body)
{
    *out = (struct rekog_error){ "", "" };
    if (status == 200)
        return REKOG_OK;
    read_body(out, error_type, body);
    for (size_t i = 0; i < N_OF(refinements); i++)
        if (strcmp(out->code, refinements[i].code) == 0 &&
            strstr(out->message, refinements[i].part) != NULL)
            return refinements[i].verdict;
    for (size_t i = 0; i < N_OF(codes); i++)
        if (strcmp(out->code, codes[i].code) == 0)
            return codes[i].verdict;
    return by_status(status);
}

enum rekog_verdict rekog_verdict(struct rekog_error *out, const struct rekog_req *rq, enum err e)
{
    if (e == ERR_OK)
        return rekog_read_error(out, rq->http.status,
                                httpc_header(&rq->http, S("x-amzn-errortype")),
                                buf_str(&rq->http.answer));
    *out = (struct rekog_error){ "", "" };
    read_message(out->message, sizeof out->message, str_of(rq->http.why));
    return e == ERR_DENIED || rq->http.tls ? REKOG_DENIED : REKOG_TRANSIENT;
}
