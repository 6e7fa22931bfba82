#!/bin/sh
# Prints what one PostgreSQL was started with; nobody at its port runs nothing, and one that starts or refuses cannot tell.
. ./lib.sh
pg_isready -q -t 2 -h 127.0.0.1 -p "$PHASEGATE_PORT"
case $? in
  0) ;;
  2) exit 69 ;;
  *) exit 3 ;;
esac
cat "$PG_HOME/$PHASEGATE_PORT.version"
