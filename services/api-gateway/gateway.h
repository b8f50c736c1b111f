/* gateway.h - what the gateway's handlers share. */
#ifndef API_GATEWAY_GATEWAY_H
#define API_GATEWAY_GATEWAY_H

#include "aws/s3.h"
#include "blob/repo.h"
#include "net/httpd.h"

struct gateway {
    struct repo repo;
    struct cred *cred;
    struct s3 s3;
    int64_t upload_window_ms;
};

extern const struct http_route blobs_routes[];
extern const size_t blobs_routes_n;

#endif
