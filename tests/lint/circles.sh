#!/bin/bash
# No include circle: neither between folders (hub/base < hub < spokes; what hub/main.c includes does not count, it is where
# all is wired) nor between headers. tsort puts both in an order and names a circle when there is none.
set -u
cd "$(dirname "$0")/../.."
bad=0

# "FILE INCLUDED" for every include of ours
includes=$(grep -srE '^ *# *include "' hub transports webhooks signaling redis clients --include='*.[ch]' --include='*.def' |
    sed -E 's/^([^:]+):[^"]*"([^"]+)".*/\1 \2/')

check() {      # what lies in a circle, one pair per line on standard input
    local circle
    circle=$(tsort 2>&1 >/dev/null) || { echo "circle between $1:" "$(sed 's/^tsort: //; /loop:/d' <<<"$circle" | paste -sd' ')"; bad=1; }
}
check folders < <(grep -v '^hub/main\.c ' <<<"$includes" | sed -E 's#/[^/ ]+( |$)#\1#g' | awk '$1 != $2' | sort -u)
check headers < <(grep -E '^[^ ]+\.h ' <<<"$includes" | sort -u)
[ $bad = 0 ] && echo "includes: $(wc -l <<<"$includes"), no circle"
exit $bad
