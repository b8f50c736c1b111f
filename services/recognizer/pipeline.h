/* pipeline.h - from "look at this blob" to its labels: many at a time, on one loop.
 *
 *   work item ─▶ start ─▶ first 64 KiB from S3 ─▶ probe ─▶ store type and size
 *             ─▶ (all of it from S3, when the bytes are sent) ─▶ DetectLabels ─▶ store labels
 *
 * Every way out is one transition; the Kafka message is complete when it is stored.
 */
#ifndef RECOGNIZER_PIPELINE_H
#define RECOGNIZER_PIPELINE_H

#include "aws/rekog.h"
#include "aws/s3.h"
#include "blob/worker.h"

struct pipeline {
    struct worker worker; /* first: a worker of ours is one of these */
    struct s3 s3;
    struct rekog rekog;
    struct cred *cred;
    struct str region, bucket;
};

extern const struct metric_set pipeline_metrics;

/* worker.take */
void pipeline_take(struct worker *w, const struct event_work *work, struct kafka_ticket ticket);

#endif
