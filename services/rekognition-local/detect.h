/* detect.h - POST /: one DetectLabels call, from signature to answer.  Any thread. */
#ifndef REKOGNITION_LOCAL_DETECT_H
#define REKOGNITION_LOCAL_DETECT_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "aws/cred.h"
#include "aws/s3.h"
#include "base/metric.h"
#include "net/httpd.h"
#include "rekognition-local/control.h"

#define DETECT_BODY_MAX 8388608U /* 5 MiB as base64, and the rest of the request */
#define DETECT_SKEW_MS  300000
#define DETECT_DECODERS 4U /* pictures decoded at a time: bounds their memory */

struct detect {
    const struct aws_conf *aws; /* borrowed */
    const struct s3_conf *s3;
    struct cred *cred;
    struct control_file *control;
    sem_t decoders;
    pthread_mutex_t lock; /* over released */
    pthread_cond_t release;
    bool released; /* nobody is kept waiting any more */
};

void detect_init(struct detect *d, const struct aws_conf *aws, const struct s3_conf *s3,
                 struct cred *cred, const char *control_path);
void detect_release(struct detect *d); /* ends delays, before the server is closed */
void detect_fini(struct detect *d);

void detect_handle(struct http_call *call); /* http_app() is a struct detect */

extern struct metric_set detect_metrics;

#endif
