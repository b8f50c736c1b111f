/* err.h - what went wrong, as a short enum for code and a text for people.
 *
 * The enum answers "may I retry?"; the text names the thing and what to do next.
 * Low levels return; the level that gives up logs, once.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUSTUSE                 __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define N_OF(a)                 (sizeof(a) / sizeof((a)[0]))

#define ERR_LIST(X)                                                                                \
    X(OK, "ok")                                                                                    \
    X(INVAL, "invalid") /* their input is wrong; repeating it will not help */                     \
    X(RANGE, "out of range")                                                                       \
    X(TOOBIG, "too big")       /* a named limit was met */                                         \
    X(MISSING, "missing")      /* the thing does not exist */                                      \
    X(CONFLICT, "conflict")    /* somebody else was faster; look again */                          \
    X(FULL, "full")            /* a queue or a quota is used up; later */                          \
    X(TIMEOUT, "timed out")    /* unknown: it may have happened */                                 \
    X(IO, "connection failed") /* it did not happen, or the peer is gone */                        \
    X(REMOTE, "refused")       /* the peer answered with an error */                               \
    X(DENIED, "not allowed")                                                                       \
    X(CLOSED, "closed")                                                                            \
    X(CONFIG, "configuration")

enum err {
#define X(name, text) ERR_##name,
    ERR_LIST(X)
#undef X
};

const char *err_name(enum err e); /* "timed out"; static */

/* One message, built from the inside out: the first writer states the fault, callers
 * put their context in front.  Always terminated; what does not fit is cut. */
struct errbuf {
    char text[256];
};

/* Both return e, so that `return errbuf_set(eb, ERR_INVAL, "…")` is one line.  eb may be NULL. */
enum err errbuf_set(struct errbuf *eb, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum err errbuf_wrap(struct errbuf *eb, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
