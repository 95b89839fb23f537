#!/bin/bash
# Three hubs, a Redis and an nginx on this machine, as in production but all open (--dev) and on loopback: `make cluster`.
#
#   deploy/cluster.sh build/carillon       PORT=8000 API_PORT=8001 REDIS_PORT=0 HUBS=3 DIR=build/cluster
#
# Port 0 is any free one; so are 8000 and 8001 when they are taken. Runs until Ctrl-C or SIGTERM and then ends all it has started;
# if it is killed itself, the kernel ends them (PDEATHSIG). Who is killed or ends by request is told, and started again after a moment,
# so that one can see what happens meanwhile; who fails ends the whole with its last words. Redis keeps its data in DIR from one time to the next.
set -uo pipefail
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
carillon=$(realpath "${1:?usage: cluster.sh CARILLON}")
hubs=${HUBS:-3}
dir=${DIR:-build/cluster}
AGAIN_S=2           # until somebody who ended is started again
LOOK_S=0.2
PATIENCE=300        # tenths of a second for anything to get ready; generous, a machine may be slow

declare -A pid_of public api
mkdir -p "$dir" && cd "$dir" || exit 1
dir=$PWD
exec 9>lock
flock -n 9 || { echo "cluster: another one runs in $dir"; exit 1; }

say() { echo "cluster: $*"; }

# ---- processes ----

# As in production, but for what needs other machines or a password.
command_of() {  # NAME: into argv
    case $1 in
    redis) argv=(redis-server "$here/redis.conf" --port "$redis_port" --bind 127.0.0.1 --dir "$dir" --aclfile '' --min-replicas-to-write 0) ;;
    nginx) argv=(nginx -p "$dir" -c "$dir/nginx.conf" -e nginx.log) ;;
    hub*)  argv=("$carillon" serve --dev "--public.listen=127.0.0.1:${public[$1]:-0}" "--api.listen=127.0.0.1:${api[$1]:-0}" --drain.timeout=2s
               --public.trusted_proxies=127.0.0.1 --api.trusted_proxies=127.0.0.1 --store.dir= "--redis.url=redis://127.0.0.1:$redis_port") ;;
    esac
}

start() {       # NAME; what it says goes to NAME.log
    local argv
    command_of "$1"
    setsid setpriv --pdeathsig TERM "${argv[@]}" >>"$1.log" 2>&1 9>&- </dev/null &
    pid_of[$1]=$!
}

end() {         # NAME SIGNAL: told to, and gone when this returns
    local pid=${pid_of[$1]:-} i
    [ -n "$pid" ] || return 0
    unset "pid_of[$1]"
    kill -s "$2" "$pid" 2>/dev/null
    for ((i = 0; i < PATIENCE; i++)); do
        kill -0 "$pid" 2>/dev/null || { wait "$pid" 2>/dev/null; return 0; }
        sleep 0.1
    done
    kill -s KILL -- "-$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}

stop_all() {    # those in front first: a hub without clients has nothing to wait for, and Redis has to take what hubs still write
    trap '' INT TERM HUP
    end nginx TERM
    for ((h = 1; h <= hubs; h++)); do [ -z "${pid_of[hub$h]:-}" ] || kill -s TERM "${pid_of[hub$h]}" 2>/dev/null; done
    for ((h = 1; h <= hubs; h++)); do end "hub$h" TERM; done
    end redis TERM
}

fail() {
    say "$1"
    [ ! -f "$2.log" ] || { say "the end of $dir/$2.log:"; tail -n 15 "$2.log"; }
    exit 1
}

# ---- waiting ----

# LINES PORT PATTERN: does the first line of the answer match? In a process of its own, which a refused connection may end.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$2" && printf '%b' "$1" >&3 && read -r -t 5 line <&3 && [[ $line == $3 ]]) 2>/dev/null; }
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
pings()    { answers 'PING\r\n' "$1" '+PONG*'; }
is_ready() { answers 'GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" '* 200 *'; }

free_port() {   # WANTED: it, unless it is 0 or taken
    local port=$1
    while [ "$port" = 0 ] || is_taken "$port"; do port=$((20000 + RANDOM % 12000)); done
    echo "$port"
}

until_true() {  # NAME COMMAND...: fails when the process has ended, or never gets there
    local name=$1 i
    shift
    for ((i = 0; i < PATIENCE; i++)); do
        if "$@"; then return 0; fi
        kill -0 "${pid_of[$name]}" 2>/dev/null || fail "$name has ended before it was ready" "$name"
        sleep 0.1
    done
    fail "$name did not get ready" "$name"
}

# ---- the parts ----

start_redis() {
    redis_port=$(free_port "${REDIS_PORT:-0}")
    start redis
    until_true redis pings "$redis_port"
}

said_ready() { ready=$(grep -as '^carillon ready' "$1.log" | tail -n 1); [ -n "$ready" ]; }
learn_ports() { # NAME; what it has found is also its next time's: nginx knows it
    until_true "$1" said_ready "$1"
    [[ $ready =~ public=127.0.0.1:([0-9]+)\ api=127.0.0.1:([0-9]+) ]]
    public[$1]=${BASH_REMATCH[1]} api[$1]=${BASH_REMATCH[2]}
    until_true "$1" is_ready "${api[$1]}"
}

servers() {     # the lines of an upstream
    local -n ports=$1
    local h
    for ((h = 1; h <= hubs; h++)); do echo "server 127.0.0.1:${ports[hub$h]} max_fails=1 fail_timeout=2s;"; done
}

write_nginx_conf() {    # the one that is for production, with the addresses and the folder of here
    mkdir -p bodies
    sed -e "s/^user .*/user $(id -un);/" -e "s/listen 80 /listen 127.0.0.1:$port /" -e "s/listen 127.0.0.1:8001;/listen 127.0.0.1:$api_port;/" \
        -e "/server 10.0.0.11:8000/c $(servers public | tr '\n' ' ')" -e "/server 10.0.0.11:8001/c $(servers api | tr '\n' ' ')" -e '/server 10.0.0.1[23]/d' \
        -e '1i daemon off; pid nginx.pid;' -e "s|^http {|http { client_body_temp_path bodies; proxy_temp_path bodies; fastcgi_temp_path bodies; uwsgi_temp_path bodies; scgi_temp_path bodies;|" \
        -e "s|/var/log/nginx/access.log|access.log|" "$here/nginx.conf" >nginx.conf
}

start_nginx() {
    port=$(free_port "${PORT:-8000}") api_port=$(free_port "${API_PORT:-8001}")
    while [ "$api_port" = "$port" ]; do api_port=$(free_port 0); done
    write_nginx_conf
    start nginx
    until_true nginx is_ready "$api_port"
}

tell() {
    echo "ready: $hubs hubs as one, in front of them nginx, behind them Redis. Ctrl-C stops all. What they say is in $dir/*.log"
    echo
    printf '  %-7s http://localhost:%s/   for browsers and apps: a page to try it\n' public "$port"
    printf '  %-7s http://localhost:%s/   for backends\n\n' API "$api_port"
    for ((h = 1; h <= hubs; h++)); do
        printf '  %-7s public 127.0.0.1:%s   API 127.0.0.1:%s   pid %s\n' "hub$h" "${public[hub$h]}" "${api[hub$h]}" "${pid_of[hub$h]}"
    done
    printf '  %-7s redis-cli -p %s   pid %s\n' redis "$redis_port" "${pid_of[redis]}"
    printf '  %-7s pid %s\n\n' nginx "${pid_of[nginx]}"
    echo "Try it:"
    echo "  listen   curl -N 'http://localhost:$port/sse?channel=news'"
    echo "  publish  curl -d hello http://localhost:${api[hub$hubs]}/v1/channels/news/messages      at one hub, heard at all"
    echo "  kill     kill -9 ${pid_of[hub1]}      a hub, or Redis: it is started again after $AGAIN_S s; who was connected goes on where it was"
}

# Ended by request, or by somebody's signal: again. Anything else is a fault.
again() {       # NAME STATUS
    case $2 in
    0|129|130|137|143) say "$1 has ended ($([ "$2" = 0 ] && echo 'as it was told' || echo "by signal $(kill -l "$2")")); again in $AGAIN_S s" ;;
    *) fail "$1 has failed (status $2), so all are stopped" "$1" ;;
    esac
    sleep "$AGAIN_S"
    start "$1"
    say "$1 is started again, pid ${pid_of[$1]}"
}

trap 'exit 0' INT TERM HUP
trap stop_all EXIT
rm -f ./*.log
start_redis
for ((h = 1; h <= hubs; h++)); do start "hub$h"; done
for ((h = 1; h <= hubs; h++)); do learn_ports "hub$h"; done
start_nginx
tell
# Looked after rather than waited for: `wait -n` does not tell of who has ended before it begins.
while :; do
    for name in "${!pid_of[@]}"; do
        kill -0 "${pid_of[$name]}" 2>/dev/null && continue
        wait "${pid_of[$name]}" 2>/dev/null
        again "$name" $?
    done
    sleep "$LOOK_S"
done 2>/dev/null        # bash's own word on who was killed; say() has told of it
