/* control.h - how the stand-in is made to misbehave, for tests and demonstrations.
 *
 * One JSON object, in the file of LW_REKOGNITION_CONTROL (read again when it changes; absent is
 * normal) or in the header X-Labelwire-Control of a single request:
 *
 *   {"mode":"normal"}                                     what it is without a file
 *   {"mode":"normal","delay_ms":800}                      a slower service
 *   {"mode":"throttle","count":20}                        20 times ThrottlingException (400)
 *   {"mode":"fail","error":"AccessDeniedException","status":400,"message":"no"}
 *   {"mode":"fail"}                                       InternalServerError (500)
 *   {"mode":"stall"}                                      the answer takes 60 s (delay_ms)
 *   {"mode":"labels","labels":[{"Name":"Cat","Confidence":99.1,"Parents":[]}]}
 *   {"mode":"body","status":200,"body":"{\"Labels\":"}    any answer at all, here a cut-off one
 *   {"quota":50}                                          normal, and so many calls a second
 *   {"skew_ms":600000}                                    its clock is ten minutes ahead
 *   {"expired_token":"TOKEN"}                             keys with this session token, or this
 *                                                         access key id, have expired
 *
 * count: only the first so many requests, then normal; it starts anew when the file changes.
 * quota: in the file, with the modes normal and labels.  A second's calls may come at once; more
 * are answered as "error" says, else ProvisionedThroughputExceededException (400).
 * skew_ms: signatures are judged by that clock, and the Date header shows it.
 * The image is not looked at in the modes throttle, fail, labels and body.
 *
 * Every DetectLabels call is one line in the log, whoever refused it:
 *   detect.called   request_id; status: 200 is a call that AWS would be paid for; error, if any;
 *                   bucket and key, empty when the bytes were sent; labels; took_ms
 */
#ifndef REKOGNITION_LOCAL_CONTROL_H
#define REKOGNITION_LOCAL_CONTROL_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "rekognition-local/fault.h"

#define CONTROL_BYTES     1048576 /* of the file */
#define CONTROL_DELAY_MS  60000   /* longest, and that of "stall" */
#define CONTROL_SKEW_MS   86400000
#define CONTROL_TOKEN_MAX 2048U

enum control_mode {
    CONTROL_NORMAL,
    CONTROL_THROTTLE,
    CONTROL_FAIL,
    CONTROL_STALL,
    CONTROL_LABELS,
    CONTROL_BODY,
    CONTROL_OVER_QUOTA, /* of control_file_next() only */
};

struct control {
    enum control_mode mode;
    int64_t delay_ms;
    int64_t count; /* -1: every request */
    int status;    /* of a body */
    int64_t quota; /* calls a second; 0: no limit */
    int64_t skew_ms;
    char expired_token[CONTROL_TOKEN_MAX];
    struct fault fault; /* what throttle and fail answer, and calls beyond the quota */
    struct buf text;    /* the labels, or the body */
};

/* Pure.  ERR_INVAL: eb says which member is wrong; *out is then normal.  control_fini() it in
 * any case. */
MUSTUSE enum err control_parse(struct control *out, struct str json, struct errbuf *eb);
void control_fini(struct control *c); /* safe on a zeroed struct */

/* The file.  Any thread. */
struct control_file;
struct control_file *control_file_new(const char *path); /* "" or NULL: always normal */
void control_file_free(struct control_file *f);
/* What holds for the next request. */
void control_file_next(struct control_file *f, struct control *out);

#endif
