/* httpd_check.h - is a request sound, and which route does it fit?
 *
 * Pure.  Everything is judged on the bytes as they were sent: nothing is decoded first.  A
 * refusal carries the status, a stable code word and a sentence that names the field and the
 * limit; values that the client sent are not repeated.
 *
 * Source   RFC 9112 section 6 (message body), RFC 9110 sections 7.2, 8.4 and 10.1.1.
 */
#ifndef NET_HTTPD_CHECK_H
#define NET_HTTPD_CHECK_H

#include "net/httpd.h"

#define HTTPD_REQUEST_ID_MAX 64U

struct httpd_head {
    struct str method, path, query;
    bool http_10;
    const struct http_hdr *hdrs;
    size_t n_hdrs;
};

/* What the headers say, as far as they are sound. */
struct httpd_facts {
    struct str request_id;   /* empty: none that we take over */
    struct str content_type; /* STR_NONE: absent */
    struct str cors_headers; /* Access-Control-Request-Headers, if a list of names */
    uint64_t length;
    bool has_length;     /* and it can be trusted */
    bool chunked;        /* Transfer-Encoding was sent */
    bool wants_continue; /* Expect: 100-continue */
};

struct httpd_refusal {
    int status;
    const char *code;
    struct errbuf detail;
};

/* Target, header census and framing.  Not ERR_OK: *no is filled; *f always is. */
MUSTUSE enum err httpd_check_head(const struct httpd_head *h, struct httpd_facts *f,
                                  struct httpd_refusal *no);
/* Length and type of the body against a route. */
MUSTUSE enum err httpd_check_body(const struct httpd_head *h, const struct httpd_facts *f,
                                  const struct http_route *route, struct httpd_refusal *no);

/* False for what must fit no route: empty, "." or ".." segments, escapes that are broken or
 * stand for a control character. */
bool httpd_check_path(struct str path);
/* The values of {…} go to param; those of a path that does not fit are undefined. */
bool httpd_check_match(const char *pattern, struct str path, struct str param[HTTPD_PARAMS_MAX]);

#endif
