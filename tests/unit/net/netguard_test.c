#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>
#include <cmocka.h>

#include "net/netguard.h"

struct addr {
    int family;
    unsigned char b[16];
};

static struct addr addr_of(const char *text)
{
    struct addr a = { strchr(text, ':') == NULL ? AF_INET : AF_INET6, { 0 } };
    if (inet_pton(a.family, text, a.b) != 1)
        fail_msg("'%s' is no address", text);
    return a;
}

static struct addr step(struct addr a, int by)
{
    for (int i = (a.family == AF_INET ? 4 : 16) - 1; i >= 0; i--) {
        a.b[i] = (unsigned char)(a.b[i] + by);
        if (a.b[i] != (by > 0 ? 0 : 0xff))
            break;
    }
    return a;
}

static bool allows(const struct netguard *g, struct addr a)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    memcpy(&in.sin_addr, a.b, 4);
    memcpy(&in6.sin6_addr, a.b, 16);
    return a.family == AF_INET ? netguard_allows(g, (const struct sockaddr *)&in)
                               : netguard_allows(g, (const struct sockaddr *)&in6);
}

static size_t n_checked;

static void check(const struct netguard *g, struct addr a, bool want, size_t row, const char *what)
{
    char text[INET6_ADDRSTRLEN];
    inet_ntop(a.family, a.b, text, sizeof text);
    if (allows(g, a) != want)
        fail_msg("row %zu, %s: %s must be %s", row, what, text, want ? "allowed" : "refused");
    n_checked++;
}

/* The same IPv4 address inside IPv6: mapped means itself, every other form is refused. */
static void check_embedded(struct addr v4, bool want, size_t row)
{
    struct addr mapped = addr_of("::ffff:0:0"), compatible = addr_of("::"),
                nat64 = addr_of("64:ff9b::"), six_to_four = addr_of("2002::"),
                translated = addr_of("::ffff:0:0:0");
    memcpy(mapped.b + 12, v4.b, 4);
    memcpy(compatible.b + 12, v4.b, 4);
    memcpy(nat64.b + 12, v4.b, 4);
    memcpy(translated.b + 12, v4.b, 4);
    memcpy(six_to_four.b + 2, v4.b, 4);
    check(NULL, mapped, want, row, "mapped");
    check(NULL, compatible, false, row, "compatible");
    check(NULL, nat64, false, row, "NAT64");
    check(NULL, translated, false, row, "translated");
    check(NULL, six_to_four, false, row, "6to4");
}

/* Of each refused range: first, last, and whether the neighbours on both sides are allowed. */
static const struct {
    const char *first, *last;
    bool before, after;
} ranges[] = {
    { "0.0.0.0", "0.255.255.255", false, true },
    { "10.0.0.0", "10.255.255.255", true, true },
    { "100.64.0.0", "100.127.255.255", true, true },
    { "127.0.0.0", "127.255.255.255", true, true },
    { "168.63.129.16", "168.63.129.16", true, true },
    { "169.254.0.0", "169.254.255.255", true, true },
    { "172.16.0.0", "172.31.255.255", true, true },
    { "192.0.0.0", "192.0.0.255", true, true },
    { "192.0.2.0", "192.0.2.255", true, true },
    { "192.88.99.0", "192.88.99.255", true, true },
    { "192.168.0.0", "192.168.255.255", true, true },
    { "198.18.0.0", "198.19.255.255", true, true },
    { "198.51.100.0", "198.51.100.255", true, true },
    { "203.0.113.0", "203.0.113.255", true, true },
    { "224.0.0.0", "239.255.255.255", true, false },
    { "240.0.0.0", "255.255.255.255", false, false },

    { "::", "::", false, false },
    { "::1", "::1", false, false },
    { "::2", "::ffff:ffff", false, false },          /* compatible */
    { "::1:0:0", "::fffe:ffff:ffff", false, false }, /* up to the mapped ones */
    { "::1:0:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", false, false },
    { "64:ff9b::", "64:ff9b::ffff:ffff", false, false },
    { "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false, false },
    { "100::", "100::ffff:ffff:ffff:ffff", false, false },
    { "100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", false, false },
    { "200::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, true },
    { "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", true, false }, /* Teredo */
    { "2001:1::1", "2001:1::3", false, false },
    { "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", false, false },      /* benchmarks */
    { "2001:10::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", false, false }, /* ORCHID */
    { "2001:30::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false, true },
    { "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true, true },
    { "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, true },
    { "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", true, true },
    { "4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, false },
    { "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false },
    { "6000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false },
    { "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false },
    { "fd00:ec2::254", "fd00:ec2::254", false, false },
    { "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false },
    { "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false },
    { "ff00::", "ff00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false },
    { "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", false, false },
};

static void every_range_and_its_neighbours(void **state)
{
    (void)state;
    n_checked = 0;
    for (size_t i = 0; i < N_OF(ranges); i++) {
        struct addr first = addr_of(ranges[i].first), last = addr_of(ranges[i].last);
        struct addr middle = first; /* half way in the byte that differs */
        for (size_t b = 0; b < 16; b++)
            if (first.b[b] != last.b[b]) {
                middle.b[b] = (unsigned char)((first.b[b] + last.b[b]) / 2);
                break;
            }
        struct addr before = step(first, -1), after = step(last, 1);
        check(NULL, first, false, i, "first");
        check(NULL, middle, false, i, "middle");
        check(NULL, last, false, i, "last");
        check(NULL, before, ranges[i].before, i, "before");
        check(NULL, after, ranges[i].after, i, "after");
        if (first.family == AF_INET) {
            check_embedded(first, false, i);
            check_embedded(last, false, i);
            check_embedded(before, ranges[i].before, i);
            check_embedded(after, ranges[i].after, i);
        }
    }
    assert_true(n_checked >= 200);
}

static void public_addresses(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "1.1.1.1",         "8.8.8.8",          "99.255.255.255",  "100.128.0.0",  "128.0.0.1",
        "172.15.0.1",      "172.32.0.1",       "191.255.255.255", "192.31.196.1", "192.52.193.1",
        "192.175.48.1",    "223.255.255.255",  "2000::",          "2001:200::1",  "2001:4860::8888",
        "2606:4700::1111", "2620:4f:8000::1",  "2a00:1450::1",    "2600:1f18::1", "::ffff:8.8.8.8",
        "3fff:ffff::1",    "2001:db7:ffff::1",
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        check(NULL, addr_of(rows[i]), true, i, "public");
}

static void the_list_opens(void **state)
{
    static const struct {
        const char *list, *addr;
        bool want;
    } rows[] = {
        { "", "10.0.0.1", false },
        { "10.1.0.0/16", "10.1.0.0", true },
        { "10.1.0.0/16", "10.1.255.255", true },
        { "10.1.0.0/16", "10.0.255.255", false },
        { "10.1.0.0/16", "10.2.0.0", false },
        { "10.1.0.0/16", "::ffff:10.1.2.3", true },
        { "10.1.0.0/16", "::10.1.2.3", false },
        { "10.1.0.0/16", "64:ff9b::10.1.2.3", false },
        { "10.1.0.0/16", "2002:a01:203::", false },
        { "10.1.0.0/16", "8.8.8.8", true }, /* what is public stays open */
        { "10.1.0.0/16", "169.254.169.254", false },
        { "10.1.0.0/16", "::ffff:169.254.169.254", false },
        { "172.20.128.0/17", "172.20.128.0", true },
        { "172.20.128.0/17", "172.20.127.255", false },
        { "192.168.1.4/31", "192.168.1.5", true },
        { "192.168.1.4/31", "192.168.1.6", false },
        { "127.0.0.1", "127.0.0.1", true },
        { "127.0.0.1", "127.0.0.2", false },
        { "127.0.0.0/8, ::1", "::1", true },
        { "127.0.0.0/8, ::1", "::ffff:127.9.9.9", true },
        { " fd12:3456::/32 , 10.0.0.0/8 ", "fd12:3456:ffff::1", true },
        { "fd12:3456::/32,10.0.0.0/8", "10.255.255.255", true },
        { "fd12:3456::/32,10.0.0.0/8", "fd12:3457::", false },
        { "fd00:ec3::/32", "fd00:ec2::254", false },
        { "2001:db8::/32", "2001:db8::1", true },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct netguard g;
        struct errbuf eb = { "" };
        if (netguard_parse(&g, str_of(rows[i].list), &eb) != ERR_OK)
            fail_msg("row %zu '%s': %s", i, rows[i].list, eb.text);
        check(&g, addr_of(rows[i].addr), rows[i].want, i, rows[i].list);
    }
}

static void refused_lists(void **state)
{
    static const struct {
        const char *list;
        enum err want;
    } rows[] = {
        { "169.254.169.254", ERR_DENIED },
        { "169.254.0.0/16", ERR_DENIED },
        { "169.254.128.0/17", ERR_DENIED },
        { "169.0.0.0/8", ERR_DENIED },
        { "128.0.0.0/1", ERR_DENIED },
        { "0.0.0.0/0", ERR_DENIED },
        { "10.0.0.0/8,0.0.0.0/0", ERR_DENIED },
        { "::/0", ERR_DENIED },
        { "8000::/1", ERR_DENIED },
        { "fe80::/10", ERR_DENIED },
        { "fe80::/64", ERR_DENIED },
        { "febf:ffff::1", ERR_DENIED },
        { "fe80::1", ERR_DENIED },
        { "fe00::/8", ERR_DENIED },
        { "fd00:ec2::254", ERR_DENIED },
        { "fd00:ec2::/32", ERR_DENIED },
        { "fd00::/8", ERR_DENIED },
        { "fc00::/7", ERR_DENIED },
        { "64:ff9b::/96", ERR_DENIED },
        { "64:ff9b::a9fe:a9fe", ERR_DENIED },
        { "64:ff9b:1::/48", ERR_DENIED },
        { "64:ff9b:8000::/33", ERR_DENIED },
        { "2002::/16", ERR_DENIED },
        { "2002:a9fe:a9fe::/48", ERR_DENIED },
        { "::169.254.169.254", ERR_DENIED },
        { "::/64", ERR_DENIED },
        { "::ffff:10.0.0.0/104", ERR_INVAL }, /* mapped peers are judged as IPv4 */
        { "::ffff:169.254.169.254", ERR_INVAL },
        { "::ffff:0:0/96", ERR_INVAL },
        { ",", ERR_INVAL },
        { "10.0.0.0/8,", ERR_INVAL },
        { "10.0.0.0/8,,::1", ERR_INVAL },
        { "10.0.0.0/8;::1", ERR_INVAL },
        { "10.0.0.0/8 ::1", ERR_INVAL },
        { "10.0.0.0/", ERR_INVAL },
        { "10.0.0.0/33", ERR_INVAL },
        { "10.0.0.0/-1", ERR_INVAL },
        { "10.0.0.0/a", ERR_INVAL },
        { "10.0.0.0/8/8", ERR_INVAL },
        { "10.0.0.0 /8", ERR_INVAL },
        { "10.0.0.0/18446744073709551616", ERR_INVAL },
        { "10/8", ERR_INVAL },
        { "10.0.0/24", ERR_INVAL },
        { "010.0.0.0/8", ERR_INVAL },
        { "0x0a.0.0.0/8", ERR_INVAL },
        { "256.0.0.0/8", ERR_INVAL },
        { "/8", ERR_INVAL },
        { "10.0.0.1/8", ERR_INVAL }, /* bits behind the prefix */
        { "10.0.0.0/6", ERR_INVAL },
        { "fd12::1/32", ERR_INVAL },
        { "fd12::/129", ERR_INVAL },
        { "[::1]", ERR_INVAL },
        { "::1%lo", ERR_INVAL },
        { "localhost", ERR_INVAL },
        { "*", ERR_INVAL },
    };
    (void)state;
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct netguard g;
        struct errbuf eb = { "" };
        enum err e = netguard_parse(&g, str_of(rows[i].list), &eb);
        if (e != rows[i].want || g.n != 0 || eb.text[0] == '\0' ||
            netguard_check_cidrs(str_of(rows[i].list), NULL) != e)
            fail_msg("row %zu '%s': %s, '%s'", i, rows[i].list, err_name(e), eb.text);
    }
}

static void list_is_bounded(void **state)
{
    (void)state;
    char text[(NETGUARD_CIDRS_MAX + 1) * 9];
    for (size_t i = 0; i <= NETGUARD_CIDRS_MAX; i++)
        memcpy(text + 9 * i, "10.0.0.1,", 9);
    struct netguard g;
    assert_int_equal(netguard_parse(&g, (struct str){ text, sizeof text - 10 }, NULL), ERR_OK);
    assert_int_equal(g.n, NETGUARD_CIDRS_MAX);
    assert_int_equal(netguard_parse(&g, (struct str){ text, sizeof text - 1 }, NULL), ERR_TOOBIG);
    assert_int_equal(netguard_parse(&g, S("  "), NULL), ERR_OK);
    assert_int_equal(netguard_parse(&g, STR_NONE, NULL), ERR_OK);
}

static void other_peers(void **state)
{
    (void)state;
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    assert_false(netguard_allows(NULL, (const struct sockaddr *)&local));
    struct sockaddr_in6 zone = { .sin6_family = AF_INET6, .sin6_scope_id = 1 };
    assert_int_equal(inet_pton(AF_INET6, "2606:4700::1111", &zone.sin6_addr), 1);
    assert_false(netguard_allows(NULL, (const struct sockaddr *)&zone));
}

/* A list that was not parsed by us cannot open what is never opened. */
static void never_means_never(void **state)
{
    (void)state;
    struct netguard g = { .allow = { { AF_INET, { 0 }, 0 }, { AF_INET6, { 0 }, 0 } }, .n = 2 };
    static const char *const rows[] = {
        "169.254.169.254",   "::ffff:169.254.0.1", "fe80::1",           "fd00:ec2::254",
        "::169.254.169.254", "2002:a9fe:a9fe::",   "64:ff9b::a9fe:a9fe"
    };
    for (size_t i = 0; i < N_OF(rows); i++)
        check(&g, addr_of(rows[i]), false, i, "never");
    check(&g, addr_of("10.0.0.1"), true, 0, "open");
    check(&g, addr_of("::1"), true, 0, "open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_range_and_its_neighbours),
        cmocka_unit_test(public_addresses),
        cmocka_unit_test(the_list_opens),
        cmocka_unit_test(refused_lists),
        cmocka_unit_test(list_is_bounded),
        cmocka_unit_test(other_peers),
        cmocka_unit_test(never_means_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
