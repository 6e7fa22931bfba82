#!/bin/sh
# Starts one Redis: PORT, the port of its leader or nothing, and its version.
set -eu
mkdir -p "run/$1"
printf '%s\n' "$3" > "run/$1/version"
set -- "$1" "$2"
[ -z "$2" ] || set -- "$1" "$2" --replicaof 127.0.0.1 "$2"
port=$1
shift 2
redis-server --port "$port" --bind 127.0.0.1 --dir "run/$port" --daemonize yes --pidfile "$PWD/run/$port/redis.pid" \
  --logfile redis.log --save '' --repl-diskless-sync-delay 0 --repl-backlog-size 1mb --repl-ping-replica-period 1 "$@" \
  >/dev/null
for _ in $(seq 100); do
  redis-cli -p "$port" ping 2>/dev/null | grep -q PONG && exit 0
  sleep 0.1
done
echo "redis at $port does not answer" >&2
exit 1
