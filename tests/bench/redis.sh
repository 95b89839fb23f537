#!/bin/bash
# A publish through Redis: by the hub's bus, and by redis-benchmark with the same script at the same depth. Ratios count.
#   tests/bench/redis.sh build/bench/redis [COUNT]
set -eu
bench=$1 count=${2:-60000}
here=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
redis-server --port 0 --unixsocket "$dir/r" --save '' --appendonly no --dir "$dir" --logfile log --daemonize no & server=$!
trap 'kill $server; wait $server 2>/dev/null || true; rm -rf "$dir"' EXIT
cli() { redis-cli -s "$dir/r" "$@"; }
until cli ping >/dev/null 2>&1; do sleep 0.05; done
cpu() { cli info cpu | tr -d '\r' | awk -F: '/^used_cpu_(sys|user):/ { sum += $2 } END { printf "%.3f", sum }'; }
sha=$(cat "$here/redis/lua/common.lua" "$here/redis/lua/publish.lua" | cli -x script load)
body=$(printf 'x%.0s' {1..155})      # 128 bytes of data, 11 of the channel, 8 of the header, as the bus sends it
used() { awk -v a="$1" -v b="$2" -v n="$count" 'BEGIN { printf "%.2f", (b - a) * 1e6 / n }'; }
echo "depth, who, publishes/s, µs of Redis each, µs of the hub each"
for depth in 1 16 256; do
    cli flushall >/dev/null
    before=$(cpu); line=$("$bench" "$dir/r" "$depth" "$count" 128); after=$(cpu)
    echo "$depth, bus, $(cut -d, -f2 <<<"$line"), $(used "$before" "$after"), $(cut -d, -f3 <<<"$line")"
    before=$(cpu)
    rate=$(redis-benchmark -s "$dir/r" -n "$count" -P "$depth" -c 1 -r 100 --csv EVALSHA "$sha" 1 'bench:{0}:' bench.__rand_int__ "$body" 12345678 100 300000 1048576 \
        600000 1048576 '' '' '' 0 0 | tail -1 | cut -d, -f2 | tr -d '"')
    after=$(cpu)
    echo "$depth, redis-benchmark, $rate, $(used "$before" "$after"),"
done
cli flushall >/dev/null
before=$(cpu); line=$("$bench" "$dir/r" 256 "$count" 128 watch); after=$(cpu)
echo "256, bus that also listens, $(cut -d, -f2 <<<"$line"), $(used "$before" "$after"), $(cut -d, -f3 <<<"$line")"
