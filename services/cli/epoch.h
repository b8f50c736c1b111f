/* epoch.h - `labelwire setup epoch`: do Redis and the bucket go together, and a way out when they
 * never will again. */
#ifndef CLI_EPOCH_H
#define CLI_EPOCH_H

#include <stddef.h>

#include "aws/cred.h"
#include "aws/s3.h"
#include "blob/repo.h"
#include "cli/screen.h"
#include "cli/verb.h"

struct epoch_conf {
    struct screen_conf screen;
    struct repo_conf repo;
    struct aws_conf aws;
    struct s3_conf s3;
    bool accept_loss;
};
#define EPOCH_GROUPS 6U
#define EPOCH_FLAGS  1U
extern const struct conf_group epoch_groups[EPOCH_GROUPS];
extern const struct verb_flag epoch_flags[EPOCH_FLAGS];

int epoch_run(const void *conf, char *const *operands, size_t n); /* as verb.run */

#endif
