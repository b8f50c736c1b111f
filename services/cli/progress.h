/* progress.h - what the status line says while a picture is on its way. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "base/clock.h"
#include "cli/screen.h"
#include "net/httpc.h"

struct progress {
    struct screen *screen;
    struct str file;  /* borrowed */
    const char *what; /* "waiting for labels"; borrowed */
    mono_t began, drawn;
};

void progress_begin(struct progress *p, struct screen *s, struct str file);

/* httpc_req.progress of an upload whose owner is a struct progress: a bar. */
void progress_upload(struct httpc_req *rq, uint64_t sent, uint64_t total);

/* A spinner, p->what and how long it takes already; for gateway.tick. */
void progress_wait(void *progress);

#endif
