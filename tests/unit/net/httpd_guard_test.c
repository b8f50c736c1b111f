/* The guard finds a connection among all descriptors and cuts it at the deadline, not before. */
#include "net/httpd_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS 60

struct pair {
    int listener, client, server;
    struct sockaddr_in addr;
    uint16_t client_port;
};

static void pair_open(struct pair *p)
{
    socklen_t n = sizeof p->addr;
    p->addr = (struct sockaddr_in){ .sin_family = AF_INET };
    p->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&p->addr, n), 0);
    assert_int_equal(listen(p->listener, 4), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&p->addr, &n), 0);
    p->client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(p->client, (struct sockaddr *)&p->addr, n), 0);
    struct sockaddr_in peer;
    p->server = accept(p->listener, (struct sockaddr *)&peer, &n);
    assert_true(p->server >= 0);
    p->client_port = ntohs(peer.sin_port);
}

static void pair_close(struct pair *p)
{
    close(p->client);
    close(p->server);
    close(p->listener);
}

static struct httpd_watch watch_of(const struct pair *p, int how, int64_t ms)
{
    return (struct httpd_watch){ .remote = "127.0.0.1",
                                 .remote_port = p->client_port,
                                 .local_port = ntohs(p->addr.sin_port),
                                 .how = how,
                                 .deadline = mono_after_ms(mono_now(), ms) };
}

/* A read on the server's side blocks until the guard ends it; the way back stays open. */
static void test_read_is_cut(void **state)
{
    (void)state;
    struct pair p, other;
    pair_open(&p);
    pair_open(&other);
    struct httpd_guard *g = httpd_guard_open();
    struct httpd_watch far = watch_of(&other, SHUT_RDWR, 60000);
    struct httpd_watch w = watch_of(&p, SHUT_RD, DEADLINE_MS);
    httpd_guard_enter(g, &far);
    mono_t begin = mono_now();
    httpd_guard_enter(g, &w);
    char c;
    assert_int_equal(recv(p.server, &c, 1, 0), 0);
    int64_t took_us = mono_since_us(mono_now(), begin);
    assert_true(httpd_guard_leave(g, &w));
    assert_in_range(took_us, DEADLINE_MS * 1000, 5000000);
    assert_int_equal(send(p.server, "x", 1, 0), 1);
    assert_int_equal(recv(p.client, &c, 1, 0), 1);
    assert_int_equal(send(other.client, "y", 1, 0), 1); /* the neighbour is untouched */
    assert_int_equal(recv(other.server, &c, 1, 0), 1);
    assert_false(httpd_guard_leave(g, &far));
    httpd_guard_close(g);
    pair_close(&p);
    pair_close(&other);
}

/* A write blocks on a full buffer until the guard ends it. */
static void test_write_is_cut(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct httpd_guard *g = httpd_guard_open();
    struct httpd_watch w = watch_of(&p, SHUT_RDWR, DEADLINE_MS);
    httpd_guard_enter(g, &w);
    static char block[1 << 20];
    while (send(p.server, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    assert_true(httpd_guard_leave(g, &w));
    httpd_guard_close(g);
    pair_close(&p);
}

/* Many come and go in time; none is cut. */
static void test_in_time(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct httpd_guard *g = httpd_guard_open();
    struct httpd_watch w[3];
    for (int round = 0; round < 1000; round++) {
        for (size_t i = 0; i < 3; i++) {
            w[i] = watch_of(&p, SHUT_RDWR, 10000);
            httpd_guard_enter(g, &w[i]);
        }
        assert_false(httpd_guard_leave(g, &w[round % 3]));
        assert_false(httpd_guard_leave(g, &w[(round + 1) % 3]));
        assert_false(httpd_guard_leave(g, &w[(round + 2) % 3]));
    }
    httpd_guard_close(g);
    pair_close(&p);
}

static void test_listener(void **state)
{
    (void)state;
    struct pair p, other;
    pair_open(&p);
    pair_open(&other);
    assert_int_equal(httpd_guard_listener((struct sockaddr *)&p.addr), p.listener);
    assert_int_equal(httpd_guard_listener((struct sockaddr *)&other.addr), other.listener);
    other.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    assert_int_equal(httpd_guard_listener((struct sockaddr *)&other.addr), -1);
    pair_close(&p);
    pair_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_is_cut),
        cmocka_unit_test(test_write_is_cut),
        cmocka_unit_test(test_in_time),
        cmocka_unit_test(test_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
