/* request.h - the body of POST /blobs, read strictly.  Pure. */
#ifndef API_GATEWAY_REQUEST_H
#define API_GATEWAY_REQUEST_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "blob/blob.h"

struct create_request {
    char callback_url[BLOB_URL_MAX + 1]; /* trimmed; empty: none was asked for */
};

/* An empty body asks for no callback.  "calback_url" is read like "callback_url"; members with
 * other names are ignored.
 * ERR_INVAL   the JSON is not sound; eb says where
 * ERR_DENIED  the callback URL is not one; *sent is its value as it stood in the body */
MUSTUSE enum err request_parse(struct create_request *out, struct str body, struct str *sent,
                               struct errbuf *eb);

/* W3C Trace Context: version 00 only. */
bool request_is_traceparent(struct str s);

#endif
