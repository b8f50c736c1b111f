#include "net/netguard.h"

#include <arpa/inet.h>
#include <string.h>

/* clang-format off */
static const struct netguard_cidr global_v6 = { AF_INET6, { 0x20 }, 3 };

/* No list opens these. */
static const struct netguard_cidr never[] = {
    { AF_INET, { 169, 254 }, 16 },                                       /* cloud metadata */
    { AF_INET6, { 0xfe, 0x80 }, 10 },                                    /* link-local */
    { AF_INET6, { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54 }, 128 },    /* AWS metadata */
    { AF_INET6, { [12] = 169, 254 }, 112 },                              /* compatible metadata */
    { AF_INET6, { 0x00, 0x64, 0xff, 0x9b }, 32 },                        /* NAT64: any IPv4 */
    { AF_INET6, { 0x20, 0x02 }, 16 },                                    /* 6to4: any IPv4 */
};

static const struct netguard_cidr reserved[] = {
    { AF_INET, { 0 }, 8 },                                  /* this network */
    { AF_INET, { 10 }, 8 },                                 /* private */
    { AF_INET, { 100, 64 }, 10 },                           /* carrier NAT */
    { AF_INET, { 127 }, 8 },                                /* loopback */
    { AF_INET, { 168, 63, 129, 16 }, 32 },                  /* Azure's host agent */
    { AF_INET, { 172, 16 }, 12 },                           /* private */
    { AF_INET, { 192, 0, 0 }, 24 },                         /* protocol assignments */
    { AF_INET, { 192, 0, 2 }, 24 },                         /* documentation */
    { AF_INET, { 192, 88, 99 }, 24 },                       /* 6to4 relays */
    { AF_INET, { 192, 168 }, 16 },                          /* private */
    { AF_INET, { 198, 18 }, 15 },                           /* benchmarks */
    { AF_INET, { 198, 51, 100 }, 24 },                      /* documentation */
    { AF_INET, { 203, 0, 113 }, 24 },                       /* documentation */
    { AF_INET, { 224 }, 3 },                                /* multicast, reserved, broadcast */
    { AF_INET6, { 0x20, 0x01 }, 23 },                       /* Teredo, ORCHID, benchmarks */
    { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8 }, 32 },           /* documentation */
    { AF_INET6, { 0x3f, 0xff }, 20 },                       /* documentation */
};
/* clang-format on */

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    unsigned mask = 0xff00U >> rest & 0xffU;
    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool holds(const struct netguard_cidr *list, size_t n, int family, const unsigned char *addr)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].family == family && same_bits(list[i].addr, addr, list[i].bits))
            return true;
    return false;
}

static bool overlaps(const struct netguard_cidr *a, const struct netguard_cidr *b)
{
    return a->family == b->family &&
           same_bits(a->addr, b->addr, a->bits < b->bits ? a->bits : b->bits);
}

static bool judge(const struct netguard *g, int family, const unsigned char *addr)
{
    if (holds(never, N_OF(never), family, addr))
        return false;
    if (g != NULL && holds(g->allow, g->n, family, addr))
        return true;
    if (family == AF_INET6 && !holds(&global_v6, 1, family, addr))
        return false;
    return !holds(reserved, N_OF(reserved), family, addr);
}

bool netguard_allows(const struct netguard *g, const struct sockaddr *peer)
{
    if (peer->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, peer, sizeof in);
        return judge(g, AF_INET, (const unsigned char *)&in.sin_addr);
    }
    if (peer->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, peer, sizeof in6);
    const unsigned char *addr = in6.sin6_addr.s6_addr;
    if (in6.sin6_scope_id != 0)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
        return judge(g, AF_INET, addr + 12);
    return judge(g, AF_INET6, addr);
}

/* Bits behind the prefix are a typo more often than not, and which way is not ours to guess. */
static bool is_network(const struct netguard_cidr *c, unsigned width)
{
    for (unsigned i = c->bits; i < width; i++)
        if ((c->addr[i / 8] >> (7 - i % 8) & 1) != 0)
            return false;
    return true;
}

static enum err read_cidr(struct netguard_cidr *c, struct str item, struct errbuf *eb)
{
    char text[INET6_ADDRSTRLEN];
    struct str bits_text = item, addr_text = STR_NONE;
    (void)str_cut(&bits_text, '/', &addr_text);
    *c = (struct netguard_cidr){ .family = str_find(addr_text, ':') < 0 ? AF_INET : AF_INET6 };
    unsigned width = c->family == AF_INET ? 32 : 128;
    uint64_t bits = width;
    if (str_copy(text, sizeof text, addr_text) != ERR_OK ||
        inet_pton(c->family, text, c->addr) != 1 ||
        (bits_text.p != NULL && str_to_u64(bits_text, &bits) != ERR_OK) || bits > width)
        return errbuf_set(eb, ERR_INVAL, "an address range such as 10.1.0.0/16 or fd12:3456::/32");
    c->bits = (unsigned)bits;
    static const struct netguard_cidr mapped = { AF_INET6, { [10] = 0xff, 0xff }, 96 };
    if (c->bits >= mapped.bits && overlaps(c, &mapped))
        return errbuf_set(eb, ERR_INVAL, "IPv4 ranges written as IPv4");
    if (!is_network(c, width))
        return errbuf_set(eb, ERR_INVAL, "no bits of the address set behind its /%u", c->bits);
    return ERR_OK;
}

static enum err add(struct netguard *g, struct str item, struct errbuf *eb)
{
    if (g->n == NETGUARD_CIDRS_MAX)
        return errbuf_set(eb, ERR_TOOBIG, "at most %u address ranges", NETGUARD_CIDRS_MAX);
    struct netguard_cidr *c = &g->allow[g->n];
    enum err e = read_cidr(c, item, eb);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i < N_OF(never); i++)
        if (overlaps(c, &never[i]))
            return errbuf_set(eb, ERR_DENIED,
                              "ranges without link-local addresses, cloud metadata, NAT64 and 6to4 "
                              "(" STR_FMT " would open some)",
                              STR_ARG(str_head(item, 48)));
    g->n++;
    return ERR_OK;
}

enum err netguard_parse(struct netguard *g, struct str cidrs, struct errbuf *eb)
{
    *g = (struct netguard){ .n = 0 };
    struct str rest = str_trim(cidrs), item;
    if (rest.n == 0)
        return ERR_OK;
    while (str_cut(&rest, ',', &item)) {
        enum err e = add(g, str_trim(item), eb);
        if (e != ERR_OK) {
            *g = (struct netguard){ .n = 0 };
            return e;
        }
    }
    return ERR_OK;
}

enum err netguard_check_cidrs(struct str cidrs, struct errbuf *eb)
{
    struct netguard g;
    return netguard_parse(&g, cidrs, eb);
}
