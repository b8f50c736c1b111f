#include "redis_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"

#define START_MS    10000
#define STOP_MS     10000
#define LOOK_MS     2
#define PORTS_TRIED 5
#define SERVERS_MAX 8U

static struct redis_server *running[SERVERS_MAX]; /* what is left at exit() */

static _Noreturn void give_up(const char *what, const char *why)
{
    (void)fprintf(stderr, "redis_server: %s: %s\n", what, why);
    exit(1);
}

bool redis_server_look_again(mono_t deadline)
{
    (void)poll(NULL, 0, LOOK_MS);
    return mono_until_ms(mono_now(), deadline) > 0;
}

/* ---- folder and port */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_folder(struct redis_server *s)
{
    if (s->dir[0] != '\0')
        (void)nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    s->dir[0] = '\0';
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* Free now; if somebody takes it meanwhile, the server ends and another one is tried. */
static int free_port(void)
{
    struct sockaddr_in addr = loopback(0);
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        give_up("no free port", strerror(errno));
    close(fd);
    return ntohs(addr.sin_port);
}

/* ---- process */

/* Between fork() and exec() only what a signal handler might do. */
static _Noreturn void become_server(const char *const *argv, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) /* else it died before prctl() */
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void fork_server(struct redis_server *s)
{
    char port[8];
    const char *argv[24 + REDIS_SERVER_OPTIONS_MAX] = {
        "redis-server",
        "--port",
        port,
        "--bind",
        "127.0.0.1",
        "--dir",
        s->dir,
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
        "--enable-debug-command",
        "local",
        "--logfile",
        "log",
    };
    size_t n = 0;
    while (argv[n] != NULL)
        n++;
    for (size_t i = 0; s->options[i] != NULL; i++)
        argv[n++] = s->options[i];
    (void)snprintf(port, sizeof port, "%d", s->port);
    (void)snprintf(s->url, sizeof s->url, "redis://127.0.0.1:%d/0", s->port);
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid < 0)
        give_up("cannot fork", strerror(errno));
    if (s->pid == 0)
        become_server(argv, parent);
}

static bool ended(struct redis_server *s)
{
    int status;
    if (s->pid != 0 && waitpid(s->pid, &status, WNOHANG) != s->pid)
        return false;
    s->pid = 0;
    return true;
}

/* One PING.  An error answer (no password given) is an answer too, LOADING is not. */
static bool answers(const struct redis_server *s)
{
    struct sockaddr_in addr = loopback(s->port);
    const struct timeval limit = { .tv_sec = 1 };
    char text[16] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
                connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0 &&
                send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
                recv(fd, text, sizeof text - 1, 0) > 0;
    if (fd >= 0)
        close(fd);
    return good && (text[0] == '+' || text[0] == '-') && strncmp(text, "-LOADING", 8) != 0;
}

static void nothing(void *arg, const struct redis_val *v)
{
    (void)arg, (void)v;
}

/* Connected from now on, so that a test that counts connections sees its own only. */
static void open_admin(struct redis_server *s)
{
    const struct str ping[] = { S("PING") };
    const struct redis_conf conf = { .url = s->url, .timeout_ms = 10000 };
    if (redis_open(&s->admin, &conf, NULL, 0, NULL) != ERR_OK)
        give_up("no admin connection", s->url);
    enum err e = redis_command(s->admin, ping, N_OF(ping), 0, nothing, NULL);
    if (e != ERR_OK && e != ERR_REMOTE) /* refused: it wants a password */
        give_up("no admin connection", err_name(e));
}

/* False when it ended instead, so that another port may be tried. */
static bool launch(struct redis_server *s)
{
    fork_server(s);
    mono_t deadline = mono_after_ms(mono_now(), START_MS);
    while (!answers(s)) {
        if (ended(s))
            return false;
        if (!redis_server_look_again(deadline))
            give_up("redis-server does not answer", s->url);
    }
    if (ended(s)) /* it was another's server that answered on this port */
        return false;
    open_admin(s);
    return true;
}

static void free_all(void)
{
    for (size_t i = 0; i < SERVERS_MAX; i++)
        if (running[i] != NULL)
            redis_server_free(running[i]);
}

static void keep_for_exit(struct redis_server *s)
{
    static bool registered;
    if (!registered)
        (void)atexit(free_all);
    registered = true;
    for (size_t i = 0; i < SERVERS_MAX; i++)
        if (running[i] == NULL) {
            running[i] = s;
            return;
        }
    give_up("too many servers", "SERVERS_MAX");
}

void redis_server_start(struct redis_server *s, const char *const *options)
{
    const char *tmp = getenv("TMPDIR");
    for (size_t i = 0; i < SERVERS_MAX; i++)
        if (running[i] == s) /* a test failed before it could free it */
            redis_server_free(s);
    *s = (struct redis_server){ .answer = BUF_INIT(64U << 20) };
    int n = snprintf(s->dir, sizeof s->dir, "%s/lw-redis-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (n >= (int)sizeof s->dir || mkdtemp(s->dir) == NULL)
        give_up("no folder", strerror(errno));
    for (size_t i = 0; options != NULL && options[i] != NULL; i++) {
        if (i + 1 >= REDIS_SERVER_OPTIONS_MAX)
            give_up("too many options", options[i]);
        s->options[i] = options[i];
    }
    (void)signal(SIGPIPE, SIG_IGN); /* hiredis writes without MSG_NOSIGNAL */
    keep_for_exit(s);
    for (int i = 0; i < PORTS_TRIED; i++) {
        s->port = free_port();
        if (launch(s))
            return;
    }
    give_up("redis-server does not start", "is it installed?");
}

static void wait_for(struct redis_server *s, int how, const char *what)
{
    mono_t deadline = mono_after_ms(mono_now(), STOP_MS);
    siginfo_t info = { .si_pid = 0 };
    while (waitid(P_PID, (id_t)s->pid, &info, how | WNOHANG) == 0 && info.si_pid == 0)
        if (!redis_server_look_again(deadline))
            give_up("redis-server does not obey", what);
}

void redis_server_stop(struct redis_server *s, int sig)
{
    redis_close(s->admin);
    s->admin = NULL;
    if (s->pid == 0)
        return;
    (void)kill(s->pid, sig);
    wait_for(s, WEXITED, "stop");
    s->pid = 0;
    s->frozen = false;
}

void redis_server_restart(struct redis_server *s)
{
    mono_t deadline = mono_after_ms(mono_now(), START_MS);
    while (!launch(s)) /* somebody has the port for a moment */
        if (!redis_server_look_again(deadline))
            give_up("redis-server does not start again", s->url);
}

void redis_server_freeze(struct redis_server *s)
{
    (void)kill(s->pid, SIGSTOP);
    wait_for(s, WSTOPPED, "freeze");
    s->frozen = true;
}

void redis_server_thaw(struct redis_server *s)
{
    (void)kill(s->pid, SIGCONT);
    wait_for(s, WCONTINUED, "thaw");
    s->frozen = false;
}

void redis_server_free(struct redis_server *s)
{
    redis_server_stop(s, SIGKILL);
    remove_folder(s);
    buf_fini(&s->answer);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        if (running[i] == s)
            running[i] = NULL;
}

/* ---- asking */

static void put_answer(struct buf *out, const struct redis_val *v)
{
    switch (redis_type(v)) {
    case REDIS_NIL:
        buf_puts(out, "nil");
        break;
    case REDIS_INT:
        buf_printf(out, "%lld", (long long)redis_int(v));
        break;
    case REDIS_TEXT:
        buf_put(out, redis_text(v));
        break;
    case REDIS_LIST:
        buf_putc(out, '[');
        for (size_t i = 0; i < redis_len(v); i++) {
            if (i > 0)
                buf_putc(out, ',');
            put_answer(out, redis_at(v, i));
        }
        buf_putc(out, ']');
        break;
    }
}

static void take_answer(void *arg, const struct redis_val *v)
{
    put_answer(arg, v);
}

const char *redis_server_ask(struct redis_server *s, ...)
{
    struct str words[64];
    size_t n = 0;
    va_list ap;
    va_start(ap, s);
    for (const char *word; n < N_OF(words) && (word = va_arg(ap, const char *)) != NULL;)
        words[n++] = str_of(word);
    va_end(ap);
    buf_clear(&s->answer);
    enum err e = redis_command(s->admin, words, n, 0, take_answer, &s->answer);
    buf_puts(&s->answer, "");
    if (e != ERR_OK || buf_failed(&s->answer))
        give_up(n > 0 ? words[0].p : "no command", err_name(e));
    return s->answer.p;
}
