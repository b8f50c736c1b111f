/* gateway.h - the gateway's /blobs, as a client uses it: create, upload, look.
 *
 * Every call keeps to the deadline of the job, give or take a second.  An answer that says
 * "busy, later" (429, 502, 503, 504) is waited out as Retry-After asks, as long as the deadline
 * allows.
 *
 * Thread   one.
 * Errors   eb is a sentence for a person that says what to do where something can be done
 *          ERR_IO       no connection, or no answer in time; for a look it may be tried again
 *          ERR_FULL     busy until the deadline
 *          ERR_REMOTE   refused, or not an answer of a gateway
 */
#ifndef CLI_GATEWAY_H
#define CLI_GATEWAY_H

#include "base/clock.h"
#include "base/conf.h"
#include "base/json.h"
#include "net/httpc.h"
#include "net/url.h"

#define GATEWAY_ID_MAX     128U
#define GATEWAY_STATUS_MAX 64U
#define GATEWAY_URL_MAX    8192U

struct gateway_conf {
    char *url;
};
extern const struct conf_key gateway_conf_keys[1];
#define GATEWAY_FLAG { "--gateway", "URL", "LW_GATEWAY", "the gateway to talk to (LW_GATEWAY)" }

struct gateway {
    struct httpc *http;
    char base[URL_AUTHORITY_MAX + 8]; /* "http://host:port" */
    mono_t deadline;                  /* of the job; set before each */
    /* While it pauses, called every GATEWAY_TICK_MS; may be NULL. */
    void (*tick)(void *tick_arg);
    void *tick_arg;
};
#define GATEWAY_TICK_MS 100

/* ERR_CONFIG. */
MUSTUSE enum err gateway_open(struct gateway *g, const struct gateway_conf *c, struct errbuf *eb);
void gateway_close(struct gateway *g); /* safe on a zeroed struct */

/* Waits, but not past the deadline. */
void gateway_pause(struct gateway *g, int64_t ms);

struct gateway_blob {
    char id[GATEWAY_ID_MAX];
    char upload_url[GATEWAY_URL_MAX];
};
/* callback: STR_NONE for none. */
MUSTUSE enum err gateway_create(struct gateway *g, struct str callback, struct gateway_blob *out,
                                struct errbuf *eb);

/* Puts the bytes where the upload URL points.  progress and owner as in struct httpc_req. */
MUSTUSE enum err gateway_upload(struct gateway *g, const char *url, struct str bytes,
                                void (*progress)(struct httpc_req *, uint64_t, uint64_t),
                                void *owner, struct errbuf *eb);

struct gateway_answer {
    char status[GATEWAY_STATUS_MAX]; /* "success" when there are labels */
    struct buf description;          /* of any other status */
    struct json labels;              /* an array, or JSON_NULL; a view into body */
    struct buf body;
};
/* *out is zeroed before the first look; a later one replaces it, and after an error it is empty. */
MUSTUSE enum err gateway_look(struct gateway *g, struct str id, struct gateway_answer *out,
                              struct errbuf *eb);
void gateway_answer_fini(struct gateway_answer *a); /* safe on a zeroed struct */

#endif
