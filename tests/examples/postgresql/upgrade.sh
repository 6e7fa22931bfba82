#!/bin/sh
# Restarts one PostgreSQL with a version. A primary hands its place to a standby first, and comes back as one.
set -eu
. ./lib.sh
port=$PHASEGATE_PORT
is_standby() { ask "$1" 'select pg_is_in_recovery()' 2>/dev/null; }

if [ "$(is_standby "$port")" != f ]; then
  # A standby, or one that does not run: its own configuration says whom it follows.
  ctl "$port" stop -m fast 2>/dev/null || true
  start "$port" "$PHASEGATE_VERSION"
  exit 0
fi

# The standby that has received most.
received() {
  for other in $PG_PORTS; do
    [ "$(is_standby "$other")" != t ] ||
      echo "$(ask "$other" "select pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')") $other"
  done
}
next=$(received | sort -n | tail -n 1 | cut -d' ' -f2)
[ -n "$next" ] || { echo 'there is no standby to take over' >&2; exit 65; }

# It ends when its standbys have received everything.
ctl "$port" stop -m fast
ctl "$next" promote
for other in $PG_PORTS; do
  [ "$other" = "$port" ] || [ "$other" = "$next" ] || {
    ask "$other" "alter system set primary_conninfo = 'host=127.0.0.1 port=$next user=postgres'" >/dev/null
    ask "$other" 'select pg_reload_conf()' >/dev/null
  }
done
follow "$port" "$next"
start "$port" "$PHASEGATE_VERSION"
