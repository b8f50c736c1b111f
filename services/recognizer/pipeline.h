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
#include "base/metric.h"
#include "blob/repo.h"
#include "blob/work.h"
#include "net/httpc.h"
#include "net/kafka.h"

struct pipeline {
    struct repo repo;
    struct s3 s3;
    struct rekog rekog;
    struct aws_creds creds;
    struct str region, bucket;
    struct sigv4_key key; /* of the day, for Rekognition */
    struct httpc *http;
    struct kafka_consumer *work;
    int work_fd; /* readable when work arrives */
    unsigned busy, busy_max;
};

extern const struct metric_set pipeline_metrics;

/* Takes work while there is room. */
void pipeline_admit(struct pipeline *p);

#endif
