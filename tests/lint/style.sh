#!/bin/sh
# Shape: functions up to 80 lines, files up to 500, lines up to 100 columns, names that name.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=$(mktemp) && trap 'rm -f "$bad"' EXIT
sources=$(find common services -name '*.[ch]')

# shellcheck disable=SC2086 # a list of files
awk 'FNR == 1 { start = 0 }
     /^[a-z].*\)$/ || /^[a-z].*[^;{]$/ { if (!start) name = $0 }
     /^\{/ { start = FNR }
     /^\}/ { if (start && FNR - start > 80) print FILENAME ":" start ": function of " FNR - start " lines"; start = 0 }
     /\/\/ / && !/http/ { print FILENAME ":" FNR ": // comment" }
     /\t/ { print FILENAME ":" FNR ": tab" }' $sources >> "$bad"
# shellcheck disable=SC2086
LC_ALL=C.UTF-8 grep -nE '^.{101}' $sources | cut -c1-60 | sed 's/$/    <- over 100 columns/' >> "$bad"
for f in $sources; do
    n=$(wc -l < "$f")
    [ "$n" -le 500 ] || echo "$f: $n lines, more than one noun" >> "$bad"
done
find common services \( -name '*util*' -o -name '*helper*' -o -name '*misc*' -o -name 'common.[ch]' \) \
    -type f | sed 's/$/: name the noun/' >> "$bad"
grep -nP '[^\x00-\x7F]' common/blob/lua/*.lua | sed 's/$/: scripts are ASCII/' >> "$bad"
find common services -name '*.h' -exec awk 'FNR == 1 && !/^\/\* / { print FILENAME ": begins without its purpose" }' {} + >> "$bad"
if [ -s "$bad" ]; then echo "style:"; cat "$bad"; exit 1; fi
