/* httpd_guard.h - absolute deadlines for connections that civetweb reads and writes.
 *
 * civetweb restarts its time-out with every byte: a client that sends one byte a second holds
 * mg_read() for as long as it likes, and one that reads so holds mg_write().  A watch is laid
 * around such a call; when its deadline passes first, the guard's thread shuts the socket down
 * and the call returns at once.  Laying a watch costs a lock and no system call.
 *
 * civetweb does not tell which descriptor a connection has, so the guard looks for it, among
 * the descriptors of the process, by the two ports and the peer's address, and only when a
 * deadline has passed.  The watcher is inside its call then, so the descriptor is open, and it
 * cannot be closed and used again before httpd_guard_leave() returned.
 *
 * Threads  any; a watch belongs to the thread that entered it.
 * Memory   the caller owns the watch and what it points to.
 */
#ifndef NET_HTTPD_GUARD_H
#define NET_HTTPD_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"

struct httpd_guard;

struct httpd_watch {
    const char *remote; /* address in text, as getnameinfo() writes it */
    uint16_t remote_port, local_port;
    int how; /* SHUT_RD, SHUT_RDWR */
    mono_t deadline;
    bool fired;
    struct httpd_watch *prev, *next;
};

struct httpd_guard *httpd_guard_open(void); /* aborts when no thread can be had */
void httpd_guard_close(struct httpd_guard *g);

void httpd_guard_enter(struct httpd_guard *g, struct httpd_watch *w);
bool httpd_guard_leave(struct httpd_guard *g, struct httpd_watch *w); /* true: it has fired */

/* The descriptor that listens on this address; -1. */
int httpd_guard_listener(const struct sockaddr *local);

#endif
