/* url.h - http and https URLs, parsed strictly.  Pure.
 *
 * A host is a DNS name (one label is fine, '_' too), four decimal parts, or an IPv6 address in
 * brackets without zone.  Refused: user-info, fragments, blanks, control characters, backslash,
 * bytes past ASCII, escapes and empty labels in the host (so no dot at its end), and every other
 * spelling of a number (0x7f.1, 2130706433, 127.1, 0177.0.0.1), which resolvers read as an address.
 *
 * Source   RFC 3986; what callers may send is narrower.  WHATWG URL, "ends in a number checker".
 */
#ifndef NET_URL_H
#define NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define URL_MAX_BYTES 2048U

struct url { /* views into the parsed text */
    bool https;
    struct str host; /* without brackets; case as given */
    bool host_is_v6; /* was written in brackets */
    uint16_t port;   /* 80 or 443 when not written */
    bool port_given;
    struct str path;  /* "/…" or empty */
    struct str query; /* after '?', or STR_NONE */
};

/* ERR_INVAL, ERR_TOOBIG: eb says what is wrong with which part, never echoing the URL; *out is
 * then zeroed. */
MUSTUSE enum err url_parse(struct url *out, struct str text, struct errbuf *eb);

/* For configuration: scheme, host and port only (a lone "/" path is fine). */
MUSTUSE enum err url_parse_endpoint(struct url *out, struct str text, struct errbuf *eb);
/* conf_key.check for such a value. */
MUSTUSE enum err url_check_endpoint(struct str text, struct errbuf *eb);

/* "host" or "host:port", the port only when it is not the scheme's own: the Host header. */
#define URL_AUTHORITY_MAX 264U
void url_authority(const struct url *u, char dst[URL_AUTHORITY_MAX]);

#endif
