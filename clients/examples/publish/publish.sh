#!/bin/bash
# publish.sh CHANNEL DATA [KEY]: publishes once, whatever happens on the way. Needs bash, and curl 7.84 or newer.
#
#   publish.sh orders '{"id":42,"total":9.90}' order-42
#
# DATA is any JSON value and arrives byte for byte. KEY names what is published (an order's number, say): the hub publishes it once, however often
# it is sent. CARILLON_URL is where the API is, CARILLON_KEY the key, CARILLON_PATIENCE how many seconds to go on trying.
# Prints the message's id. Status 0: published; 1: refused, or nobody answered in time; 2: not called like this.
set -u
[ $# -ge 2 ] && [ $# -le 3 ] || { echo "usage: publish.sh CHANNEL DATA [KEY]" >&2; exit 2; }
channel=$1 data=$2 key=${3:-$(cat /proc/sys/kernel/random/uuid)}
patience=${CARILLON_PATIENCE:-60}

encoded() {     # as a segment of a path, byte by byte
    local LC_ALL=C i c
    for ((i = 0; i < ${#1}; i++)); do
        c=${1:i:1}
        case $c in [A-Za-z0-9._~-]) printf %s "$c" ;; *) printf %%%02X "'$c" ;; esac
    done
}

member() {      # NAME: that string of the JSON object in $body, as it is written there
    sed -n 's/.*"'"$1"'":"\(\([^"\\]\|\\.\)*\)".*/\1/p' <<<"$body" | head -n 1
}

credentials() { [ -z "${CARILLON_KEY:-}" ] || echo "header = \"Authorization: Bearer $CARILLON_KEY\""; }      # read as a file: arguments can be seen by others
url=${CARILLON_URL:-http://localhost:8001}/v1/channels/$(encoded "$channel")/messages

send() {        # sets status, wait (Retry-After), body; status 000: no answer, or not all of it
    local answer
    answer=$(curl -s -m 10 -K <(credentials) -H 'Content-Type: application/json' -H "Idempotency-Key: $key" --data-binary "{\"data\":$data}" \
        -w '\n%{http_code} %header{retry-after}' "$url") || answer=$'\n000'
    body=${answer%$'\n'*}
    read -r status wait <<<"${answer##*$'\n'}"
}

for ((try = 0; ; try++)); do
    send
    [ "$status" != 201 ] || { member id; exit 0; }
    problem="$(member code): $(member detail)"
    [ "$status" != 000 ] || problem="no answer from $url"
    case $status-$(member code) in
        000-* | 408-* | 429-* | 5??-* | 409-idempotency_in_progress) ;;       # may be better next time
        *) echo "$problem" >&2; exit 1 ;;
    esac
    pause=${wait:-$(( try < 5 ? 1 << try : 30 ))}
    [ $((SECONDS + pause)) -lt "$patience" ] || { echo "given up: $problem" >&2; exit 1; }
    sleep "$pause.$((RANDOM % 9))"
done
