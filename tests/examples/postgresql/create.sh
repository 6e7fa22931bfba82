#!/bin/sh
# Makes one cluster and starts it: PORT, the port of its primary or nothing, and its version.
set -eu
. ./lib.sh
if [ -z "$2" ]; then
  as_postgres initdb -A trust -U postgres --no-sync -D "$PG_HOME/$1" >/dev/null
  as_postgres sh -c "cat >> '$PG_HOME/$1/postgresql.conf'" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_keep_size = '256MB'
fsync = off
CONF
else
  as_postgres pg_basebackup -h 127.0.0.1 -p "$2" -U postgres -c fast --no-sync -D "$PG_HOME/$1"
  follow "$1" "$2"
fi
as_postgres sh -c "echo 'port = $1' >> '$PG_HOME/$1/postgresql.conf'"
start "$1" "$3"
