#!/bin/sh
# Prints what one PostgreSQL was started with; one that does not answer runs nothing.
. ./lib.sh
ask "$PHASEGATE_PORT" 'select 1' >/dev/null 2>&1 || exit 69
cat "$PG_HOME/$PHASEGATE_PORT.version"
