/* redis_server.h - a private real redis-server for a test program.
 *
 * It listens on a free port of 127.0.0.1 and keeps its files in a new folder, without
 * persistence unless asked for.  It can be killed, stopped in its tracks and started again on
 * the same port.  It ends with the program however that ends, and its folder is removed at
 * exit().  What goes wrong here ends the program with a reason.
 *
 * Thread   the program's first: the kernel ends the server together with the thread that
 *          started it.
 */
#ifndef INTEGRATION_REDIS_SERVER_H
#define INTEGRATION_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/redis.h"

#define REDIS_SERVER_OPTIONS_MAX 16U

struct redis_server {
    int port;
    char url[64]; /* redis://127.0.0.1:port/0 */
    pid_t pid;    /* 0: not running */
    bool frozen;
    char dir[64];
    const char *options[REDIS_SERVER_OPTIONS_MAX];
    struct redis *admin; /* a connection for redis_server_ask() and redis_command() */
    struct buf answer;
};

/* options: further words of the command line ("--appendonly", "yes"), NULL-terminated and
 * borrowed until redis_server_free(); NULL for none.  Returns once the server answers. */
void redis_server_start(struct redis_server *s, const char *const *options);
/* Ends it with this signal; returns once it is gone. */
void redis_server_stop(struct redis_server *s, int signal);
/* Starts it again after redis_server_stop(): same port, folder and options. */
void redis_server_restart(struct redis_server *s);
/* Still there, connections are accepted by the kernel, but nobody answers. */
void redis_server_freeze(struct redis_server *s);
void redis_server_thaw(struct redis_server *s);
void redis_server_free(struct redis_server *s); /* safe on a zeroed struct, and twice */

/* Runs one command, the words ending with NULL, on the admin connection.  The answer as text:
 * "nil", a number, a text as it is, a list as "[a,b,[c]]"; valid until the next call. */
const char *redis_server_ask(struct redis_server *s, ...) __attribute__((sentinel));

/* For loops that look again until something is so: pauses a moment; false once the deadline is
 * past. */
bool redis_server_look_again(mono_t deadline);

#endif
