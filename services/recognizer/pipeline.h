/* pipeline.h - from "look at this blob" to its labels: many at a time, on one loop.
 *
 *   token of the pace ─▶ work item ─▶ start ─▶ first 64 KiB from S3 ─▶ probe ─▶ store type and size
 *             ─▶ (all of it from S3, when the bytes are sent) ─▶ DetectLabels ─▶ store labels
 *
 * Every way out is one transition; the Kafka message is complete when it is stored.  What has no
 * token yet waits in Kafka.
 */
#ifndef RECOGNIZER_PIPELINE_H
#define RECOGNIZER_PIPELINE_H

#include "aws/cred.h"
#include "aws/s3.h"
#include "blob/worker.h"
#include "recognizer/call.h"

struct pipeline {
    struct worker worker; /* first: a worker of ours is one of these */
    struct cred *cred;
    struct s3 s3;
    struct caller caller;
    struct str bucket;
    mono_t next_s3_alarm;
    mono_t fetched; /* the last object that S3 handed out */
};

extern const struct metric_set item_metrics;

/* Fills in what the worker calls. */
void pipeline_init(struct pipeline *p);

#endif
