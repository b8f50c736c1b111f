/* fetch.h - the image that a request names by its S3 object.  Thread: any; it blocks. */
#ifndef REKOGNITION_LOCAL_FETCH_H
#define REKOGNITION_LOCAL_FETCH_H

#include "aws/cred.h"
#include "aws/s3.h"
#include "base/buf.h"
#include "rekognition-local/ask.h"
#include "rekognition-local/fault.h"

#define FETCH_BYTES_MAX 15728640U /* Rekognition's limit for an object */

/* Reads a->bucket, a->name into a->image.  ERR_INVAL: f says why. */
MUSTUSE enum err fetch_object(struct ask *a, const struct s3_conf *s3, const struct aws_conf *aws,
                              struct cred *cred, struct fault *f);

#endif
