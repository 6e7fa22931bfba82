#!/bin/sh
# Brings one nginx to a version: its content is put in place, and nginx reloads without losing a request. One that does
# not run is started.
set -eu
PATH=$PATH:/usr/sbin
version=$PHASEGATE_VERSION
mkdir -p "run/$PHASEGATE_INSTANCE"
cd "run/$PHASEGATE_INSTANCE"

# What a package or an image would bring. Nothing is touched before all of it is there.
mkdir -p "releases/$version"
printf '%s\n' "$version" > "releases/$version/version"
printf '{"ApplicationHealthState": "Healthy"}\n' > "releases/$version/health"

sed -e "s/@PORT@/$PHASEGATE_PORT/" -e "s/@USER@/$(id -un) $(id -gn)/" ../../nginx.conf.in > nginx.conf.next
nginx -t -q -p "$PWD/" -e stderr -c nginx.conf.next || exit 65
mv nginx.conf.next nginx.conf

ln -sfn "releases/$version" next
mv -T next current
if [ -s nginx.pid ] && kill -0 "$(cat nginx.pid)" 2>/dev/null; then
  nginx -p "$PWD/" -e stderr -c nginx.conf -s reload
else
  nginx -p "$PWD/" -e stderr -c nginx.conf
fi
