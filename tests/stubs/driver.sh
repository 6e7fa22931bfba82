#!/bin/sh
# A site for tests of the command driver: the files of a folder stand for instances.
#
#   driver.sh upgrade FOLDER    FOLDER/INSTANCE.version becomes the wanted version
#   driver.sh observe FOLDER    prints it; 3 when there is none
#   driver.sh create FOLDER     a new instance has the wanted version; prints where it is
#   driver.sh delete FOLDER     the instance is gone
#
# It misbehaves as the label `manner` of the instance says, or the end of the wanted version
# (`v2-hang`). Every call is a line in FOLDER/calls.
set -eu

folder=$2
file=$folder/$PHASEGATE_INSTANCE.version

observe() {
    case ${PHASEGATE_LABEL_MANNER-} in
    look-fails) echo "cannot reach it" >&2; exit 1 ;;
    look-hangs) exec sleep 300 ;;
    look-noise) printf 'v1 \033[2J\n'; exit 0 ;;
    look-absent) exit 69 ;;
    look-busy) exit 75 ;;
    look-empty) echo; exit 0 ;;
    look-turns) in_turns 1000; exit 0 ;;
    look-reload) in_turns 8; exit 0 ;;
    esac
    [ -e "$file" ] || exit 3
    cat "$file"
}

# v2 and v1 in turns, and after so many answers v2 alone: a graceful reload.
in_turns() {
    count=0
    [ ! -e "$file.turn" ] || count=$(cat "$file.turn")
    echo $((count + 1)) > "$file.turn"
    if [ $((count % 2)) = 0 ] && [ "$count" -lt "$1" ]; then echo v1; else echo v2; fi
}

# The first two calls for an instance answer 75, those after them do not.
busy_twice() {
    count=0
    [ ! -e "$file.busy" ] || count=$(cat "$file.busy")
    [ "$count" -lt 2 ] || return 0
    echo $((count + 1)) > "$file.busy"
    echo "locked by another operator"
    exit 75
}

upgrade() {
    echo "$PHASEGATE_SCALE_SET/$PHASEGATE_INSTANCE ${PHASEGATE_PREVIOUS_VERSION-}>$PHASEGATE_VERSION" \
        "$PHASEGATE_OPERATION $PHASEGATE_GENERATION" >> "$folder/calls"
    echo $$ >> "$folder/pids"
    case ${PHASEGATE_LABEL_MANNER:-${PHASEGATE_VERSION#*-}} in
    hang) trap '' TERM; sleep 300 & echo "waiting for nothing"; while :; do sleep 300; done ;;
    wait) while [ ! -e "$folder/go" ]; do sleep 0.02; done ;;
    fail) echo "starting"; echo "disk is full" >&2; exit 1 ;;
    code) exit 42 ;;
    untouched) echo "no such version" >&2; exit 65 ;;
    killed) kill -9 $$ ;;
    flood) i=0; while [ $i -lt 3000 ]; do echo "line $i of many, one like the other"; i=$((i + 1)); done; exit 1 ;;
    busy) busy_twice ;;
    always-busy) echo "locked for ever"; exit 75 ;;
    leaves) sleep 300 & ;;
    lie) exit 0 ;;
    env) env | grep '^PHASEGATE_' | grep -v '^PHASEGATE_TEST' | sort > "$folder/env" ;;
    esac
    echo "$PHASEGATE_VERSION" > "$file.new"
    mv "$file.new" "$file"
}

create() {
    echo "create $PHASEGATE_SCALE_SET/$PHASEGATE_INSTANCE $PHASEGATE_REPLACES>$PHASEGATE_VERSION" \
        "$PHASEGATE_OPERATION $PHASEGATE_GENERATION $PHASEGATE_REPLACES_ADDRESS" >> "$folder/calls"
    [ "${PHASEGATE_VERSION#*-}" = silent ] || echo "looking for a place"
    case ${PHASEGATE_VERSION#*-} in
    full) echo "the rack is full" >&2; exit 76 ;;
    silent) exit 0 ;;
    noise) echo "ready"; exit 0 ;;
    fail) echo "disk is full" >&2; exit 1 ;;
    always-busy) echo "locked for ever" >&2; exit 75 ;;
    esac
    echo "$PHASEGATE_VERSION" > "$file.new"
    mv "$file.new" "$file"
    echo "127.0.0.1:$((4000 + PHASEGATE_INSTANCE))"
    echo
}

delete() {
    echo "delete $PHASEGATE_SCALE_SET/$PHASEGATE_INSTANCE $PHASEGATE_OPERATION" >> "$folder/calls"
    rm -f "$file"
}

"$1"
