#!/bin/sh
# Prints what one Redis was started with; one that does not answer runs nothing.
redis-cli -p "$PHASEGATE_PORT" ping 2>/dev/null | grep -q PONG || exit 69
cat "run/$PHASEGATE_PORT/version"
