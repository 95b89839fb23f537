#!/bin/bash
# The layer rule: spokes include only hub/ headers and never each other; hub/ includes no spoke but in hub/main.c;
# each library is visible in one place only. Prints every line that breaks it and fails.
set -u
cd "$(dirname "$0")/../.."
bad=0
tell() { echo "layer: $1"; bad=1; }

folders='hub|transports|webhooks|signaling|redis|clients'
while IFS=: read -r file line text; do
    room=${file%%/*}
    [[ $text =~ \"($folders)/ ]] && other=${BASH_REMATCH[1]}
    [ "$room" = "$other" ] && continue
    [ "$file" = hub/main.c ] && continue
    [ "$other" = hub ] || tell "$file:$line includes $other/"
done < <(grep -srnE "#include \"($folders)/" ${folders//|/ } --include='*.[ch]')

# library header -> the paths that may include it (extended regular expression)
while read -r header where; do
    while IFS=: read -r file line _; do
        [[ $file =~ ^($where) ]] || tell "$file:$line includes <$header>"
    done < <(grep -srnE "#include <$header" ${folders//|/ } --include='*.[ch]')
done <<'T'
libwebsockets.h  transports/line/lws
ev.h             transports/
openssl/ssl.h    hub/config/|transports/port/socket|redis/
http_parser.h    transports/request/http_head
curl/            webhooks/|clients/
hiredis          redis/
sqlite3.h        hub/store/
ini.h            hub/config/
jansson.h        hub/access/|hub/api/openapi/
T
exit $bad
