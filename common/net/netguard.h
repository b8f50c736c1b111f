/* netguard.h - may we connect there?  An allow-list by address class.  Pure.
 *
 * Only global unicast addresses are allowed, in IPv6 only what lies in 2000::/3 and is not
 * reserved.  IPv4 inside IPv6 is judged as IPv4 when mapped, refused when compatible, NAT64, 6to4
 * or Teredo.  Private receivers are named by an explicit list of CIDRs, which never opens the
 * places where clouds keep their metadata, nor IPv6 that is translated to any IPv4 address.
 *
 * The question is asked about the very address of the socket, so a name that changes its
 * answer between check and connect gains nothing.
 * Source   IANA special-purpose address registries (RFC 6890 and successors).
 */
#ifndef NET_NETGUARD_H
#define NET_NETGUARD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

#define NETGUARD_CIDRS_MAX 32U

struct netguard_cidr {
    int family; /* AF_INET or AF_INET6 */
    unsigned char addr[16];
    unsigned bits;
};

struct netguard {
    struct netguard_cidr allow[NETGUARD_CIDRS_MAX];
    size_t n;
};

/* "10.1.0.0/16, fd12:3456::/32, ::1"; empty is fine, an address alone means itself.  ERR_INVAL,
 * ERR_TOOBIG; ERR_DENIED: it would open 169.254.0.0/16, fe80::/10, fd00:ec2::254 (so name less
 * than fd00::/8), 64:ff9b::/32, 2002::/16 or link-local as ::169.254.0.0/112.  *g is then empty. */
MUSTUSE enum err netguard_parse(struct netguard *g, struct str cidrs, struct errbuf *eb);
MUSTUSE enum err netguard_check_cidrs(struct str cidrs, struct errbuf *eb); /* conf_key.check */

/* False also for other families (AF_UNIX) and for an IPv6 zone.  g may be NULL: no list. */
bool netguard_allows(const struct netguard *g, const struct sockaddr *peer);

#endif
