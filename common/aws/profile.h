/* profile.h - one profile of a shared credentials file.  Pure.
 *
 *   [default]
 *   aws_access_key_id = AKIA…
 *   aws_secret_access_key = …
 *   aws_session_token = …            only with temporary keys
 *
 * Source   AWS SDKs and Tools guide, "Shared config and credentials files": section headers and
 *          "name = value" lines, comments begin with # or ;, indented lines belong to the value
 *          before and are none of ours, the last of two equal names counts.
 */
#ifndef AWS_PROFILE_H
#define AWS_PROFILE_H

#include "aws/sigv4.h"
#include "base/err.h"
#include "base/str.h"

/* conf_key.check: what may stand in a header line. */
MUSTUSE enum err profile_check_key(struct str value, struct errbuf *eb);

/* The keys are views into text.  ERR_CONFIG: no such profile, or it lacks a key or holds one that
 * is none; eb says, and never holds a value. */
MUSTUSE enum err profile_read(struct aws_creds *out, struct str text, struct str name,
                              struct errbuf *eb);

#endif
