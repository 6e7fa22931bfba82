#!/bin/sh
# Restarts one Redis with a version. A leader hands its place over first, and comes back as a replica.
set -eu
port=$PHASEGATE_PORT
role() { redis-cli -p "$1" role 2>/dev/null | head -n 1; }

if [ "$(role "$port")" = master ]; then
  redis-cli -p "$port" failover timeout 10000 | grep -q OK || { echo 'no failover: has it a replica?' >&2; exit 65; }
  for _ in $(seq 150); do
    [ "$(role "$port")" = slave ] && break
    sleep 0.1
  done
  [ "$(role "$port")" = slave ] || { echo 'the failover has not come to an end' >&2; exit 65; }
fi

# Who leads now: what this one follows, or where it does not run, whoever says so.
leader=$(redis-cli -p "$port" info replication 2>/dev/null | tr -d '\r' | sed -n 's/^master_port://p')
for other in $REDIS_PORTS; do
  [ -n "$leader" ] || [ "$other" = "$port" ] || [ "$(role "$other")" != master ] || leader=$other
done
[ -n "$leader" ] || { echo 'nobody leads' >&2; exit 75; }

redis-cli -p "$port" shutdown nosave >/dev/null 2>&1 || true
for _ in $(seq 100); do
  redis-cli -p "$port" ping 2>/dev/null | grep -q PONG || break
  sleep 0.1
done
exec ./start.sh "$port" "$leader" "$PHASEGATE_VERSION"
