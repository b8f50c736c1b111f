#!/bin/sh
# Calls that have a better home or no place at all.  Reasons stand beside them.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=$(mktemp) && trap 'rm -f "$bad"' EXIT

ban() { # pattern, reason, files where it is allowed
    grep -rnE "(^|[^_a-zA-Z0-9>.])($1)" --include='*.[ch]' common services tests |
        grep -vE "^(${3:-none}):" | sed "s|\$|    <- $2|" >> "$bad"
}
ban '(sprintf|vsprintf|strcpy|strcat|strtok|gets|strncpy)\(' 'no bound: use struct buf or str_copy' 'tests/.*'
ban '(atoi|atol|strtol|strtoul|strtoll|strtoull)\(' 'accepts anything: use str_to_i64' 'tests/.*'
ban '(sleep|usleep|nanosleep)\(' 'wait for a condition with a deadline'
ban '(signal|sigaction)\(' 'signals are events: common/svc/svc.c' 'tests/.*'
ban '(getenv|secure_getenv|setenv)\([^)]' 'configuration is one table: base/conf.h' \
    'tests/.*|common/base/failpoint.c'
ban 'mg_handle_form_request' 'loops for ever on hostile forms'
ban '(system|popen)\(' 'no shell' 'tests/.*'
ban '(TODO|FIXME)' 'finish it or file it'
grep -rnE '(^|[^_a-z])(malloc|calloc|realloc)\(' --include='*.c' common services |
    grep -vE '^common/base/(mem|buf)\.c:' | sed 's|$|    <- mem.h or buf.h|' >> "$bad"
if [ -s "$bad" ]; then echo "banned:"; cat "$bad"; exit 1; fi
