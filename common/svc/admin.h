/* admin.h - the admin port: /livez, /readyz, /metrics.  Handlers do no I/O. */
#ifndef SVC_ADMIN_H
#define SVC_ADMIN_H

#include "base/buf.h"
#include "net/httpd.h"
#include "svc/svc.h"

MUSTUSE enum err admin_open(struct httpd **out, struct svc *s, const char *listen,
                            struct errbuf *eb);

/* What svc.c tells the probes. */
bool svc_is_live(const struct svc *s);
bool svc_is_ready(const struct svc *s, struct buf *why); /* why stays empty when ready */
void svc_metrics(const struct svc *s, struct buf *out);

#endif
