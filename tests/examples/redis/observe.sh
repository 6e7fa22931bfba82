#!/bin/sh
# Prints what one Redis was started with; nobody at its port runs nothing, and one that loads or refuses cannot tell.
case $(redis-cli -p "$PHASEGATE_PORT" ping 2>&1) in
  PONG) ;;
  *'Connection refused'*) exit 69 ;;
  *) exit 3 ;;
esac
cat "run/$PHASEGATE_PORT/version"
