#include "net/httpd_guard.h"

#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"

#define FDS_MAX 1048576

struct httpd_guard {
    pthread_t thread;
    pthread_mutex_t lock; /* of all below and of the watches */
    pthread_cond_t changed;
    struct httpd_watch *first;
    mono_t wakes; /* when the thread looks next */
    bool closing;
};

/* ---- finding a descriptor ---------------------------------------------------------------- */

union address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
};

/* 0 for what is not a TCP address. */
static uint16_t port_of(const struct sockaddr *sa)
{
    union address a;
    if (sa->sa_family == AF_INET) {
        memcpy(&a.in, sa, sizeof a.in);
        return ntohs(a.in.sin_port);
    }
    if (sa->sa_family == AF_INET6) {
        memcpy(&a.in6, sa, sizeof a.in6);
        return ntohs(a.in6.sin6_port);
    }
    return 0;
}

static int fd_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur > FDS_MAX)
        return FDS_MAX;
    return (int)r.rlim_cur;
}

static bool is_connection(int fd, const struct httpd_watch *w)
{
    union address peer, local;
    socklen_t peer_n = sizeof peer, local_n = sizeof local;
    memset(&peer, 0, sizeof peer);
    memset(&local, 0, sizeof local);
    if (getpeername(fd, &peer.sa, &peer_n) != 0 || port_of(&peer.sa) != w->remote_port ||
        getsockname(fd, &local.sa, &local_n) != 0 || port_of(&local.sa) != w->local_port)
        return false;
    char text[NI_MAXHOST];
    return getnameinfo(&peer.sa, peer_n, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0 &&
           strcmp(text, w->remote) == 0;
}

/* The kernel hands out the lowest free number, so the search ends early. */
static int find_connection(const struct httpd_watch *w)
{
    int limit = fd_limit();
    for (int fd = 0; fd < limit; fd++)
        if (is_connection(fd, w))
            return fd;
    return -1;
}

static bool is_listener(int fd, const struct sockaddr *wanted)
{
    int listens = 0;
    socklen_t n = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) != 0 || listens == 0)
        return false;
    union address local = { .sa.sa_family = AF_UNSPEC }, want;
    n = sizeof local;
    if (getsockname(fd, &local.sa, &n) != 0 || local.sa.sa_family != wanted->sa_family ||
        port_of(&local.sa) != port_of(wanted))
        return false;
    if (wanted->sa_family == AF_INET) {
        memcpy(&want.in, wanted, sizeof want.in);
        return local.in.sin_addr.s_addr == want.in.sin_addr.s_addr;
    }
    memcpy(&want.in6, wanted, sizeof want.in6);
    return memcmp(&local.in6.sin6_addr, &want.in6.sin6_addr, sizeof want.in6.sin6_addr) == 0;
}

int httpd_guard_listener(const struct sockaddr *local)
{
    int limit = fd_limit();
    for (int fd = 0; fd < limit; fd++)
        if (is_listener(fd, local))
            return fd;
    return -1;
}

/* ---- watching ---------------------------------------------------------------------------- */

/* Fires what is due; the next deadline, or INT64_MAX. */
static mono_t fire_due(struct httpd_guard *g, mono_t now)
{
    mono_t next = { INT64_MAX };
    for (struct httpd_watch *w = g->first; w != NULL; w = w->next) {
        if (w->fired)
            continue;
        if (w->deadline.ns <= now.ns) {
            w->fired = true;
            int fd = find_connection(w);
            if (fd >= 0)
                (void)shutdown(fd, w->how); /* fails when the client has reset it: as good */
        } else if (w->deadline.ns < next.ns) {
            next = w->deadline;
        }
    }
    return next;
}

static void *run(void *arg)
{
    struct httpd_guard *g = arg;
    pthread_mutex_lock(&g->lock);
    while (!g->closing) {
        g->wakes = fire_due(g, mono_now());
        if (g->wakes.ns == INT64_MAX) {
            pthread_cond_wait(&g->changed, &g->lock);
        } else {
            struct timespec ts = { g->wakes.ns / 1000000000, g->wakes.ns % 1000000000 };
            pthread_cond_timedwait(&g->changed, &g->lock, &ts);
        }
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

struct httpd_guard *httpd_guard_open(void)
{
    struct httpd_guard *g = xcalloc(1, sizeof *g);
    g->wakes.ns = INT64_MAX;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&g->thread, NULL, run, g) != 0)
        abort();
    return g;
}

void httpd_guard_close(struct httpd_guard *g)
{
    assert(g->first == NULL);
    pthread_mutex_lock(&g->lock);
    g->closing = true;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* The thread keeps its old alarm when the watch that wanted it has left: under steady traffic
 * it is woken about once in the length of a deadline, not once for each request. */
void httpd_guard_enter(struct httpd_guard *g, struct httpd_watch *w)
{
    w->fired = false;
    w->prev = NULL;
    pthread_mutex_lock(&g->lock);
    w->next = g->first;
    if (g->first != NULL)
        g->first->prev = w;
    g->first = w;
    if (w->deadline.ns < g->wakes.ns) {
        g->wakes = w->deadline; /* one signal is enough for it and all later ones */
        pthread_cond_signal(&g->changed);
    }
    pthread_mutex_unlock(&g->lock);
}

bool httpd_guard_leave(struct httpd_guard *g, struct httpd_watch *w)
{
    pthread_mutex_lock(&g->lock);
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        g->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    bool fired = w->fired;
    pthread_mutex_unlock(&g->lock);
    return fired;
}
