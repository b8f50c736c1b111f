#!/bin/sh
# The layers of the code, as a list.  A folder may include what stands behind its name and
# itself; a third-party header may be included by its home only; pure files include base and
# other pure files only, and ask neither clock nor dice.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=$(mktemp) && trap 'rm -f "$bad"' EXIT

may() { # folder, then what it may include
    folder=$1; shift
    allowed=$(echo "$* $(basename "$folder")" | tr ' ' '|')
    grep -nE '^#include "' "$folder"/*.[ch] 2>/dev/null | grep -vE "\"($allowed)/" >> "$bad"
}
may common/base
may common/net base
may common/aws net base
may common/blob net aws base
may common/svc net base
for service in services/*/; do
    may "${service%/}" svc blob aws net base "$([ "$service" = services/cli/ ] && echo cli)"
done

home() { # header, then its home
    grep -rnlE "#include <$1" common services | grep -vE "$2" |
        sed "s~\$~: <$1> belongs to $2~" >> "$bad"
}
home civetweb 'common/net/httpd'
home curl/ 'common/net/httpc\.c'
home librdkafka/ 'common/net/kafka'
home hiredis/ 'common/net/redis(_link|_val)?\.[ch]'
home openssl/ 'common/base/enc\.c'
home jpeglib 'rekognition-local/raster_jpeg\.c'
home png\\.h 'rekognition-local/raster_png\.c'

pure='common/base/(str|buf|enc|json|conf|err)
common/net/(url|netguard|offwin|httpd_check|redis_profile)
common/aws/(sigv4|sigv4_verify|rekog_error|pace|retry|profile)
common/blob/(blob|life|epoch|keys|event|render|labels|s3event|letter)
services/cli/letters services/recognizer/image services/callback-dispatcher/verdict
services/api-gateway/request'
for p in $pure; do
    files=$(find common services -regextype posix-extended -regex "$p\.[ch]")
    # shellcheck disable=SC2086 # a list of files
    grep -nE 'mono_now|wall_now|rand_(bytes|u64|uuid)|pthread_|<(poll|sys/epoll)|[^_](socket|connect)\(' $files /dev/null >> "$bad"
    # shellcheck disable=SC2086
    grep -nE '#include "(net/(httpc|kafka|redis(_link)?\.h)|aws/(s3|cred)|blob/(repo|script|worker)|svc/)' $files /dev/null >> "$bad"
done
if [ -s "$bad" ]; then echo "layers: not allowed:"; cat "$bad"; exit 1; fi
