#!/bin/sh
# Prints what one nginx serves: by its own word, so that one that was stopped by hand runs nothing.
pid=$(cat "run/$PHASEGATE_INSTANCE/nginx.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null || exit 69
cat "run/$PHASEGATE_INSTANCE/current/version"
