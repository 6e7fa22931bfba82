# What the scripts share. PG_HOME is where the clusters are; root hands over to the user `postgres`, as PostgreSQL wants it.
for bin in /usr/lib/postgresql/*/bin; do PATH=$bin:$PATH; done
PG_HOME=${PG_HOME:-$PWD/run}

as_postgres() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- env "PATH=$PATH" "$@"; else "$@"; fi
}

ask() { # PORT SQL
  PGCONNECT_TIMEOUT=2 psql -h 127.0.0.1 -p "$1" -U postgres -d postgres -tAXc "$2"
}

ctl() { # PORT WHAT…
  cluster=$1
  shift
  as_postgres pg_ctl -s -w -t 60 -D "$PG_HOME/$cluster" -l "$PG_HOME/$cluster.log" "$@"
}

start() { # PORT VERSION
  printf '%s\n' "$2" > "$PG_HOME/$1.version"
  ctl "$1" start
}

follow() { # PORT PRIMARY: written into a cluster that does not run
  as_postgres sh -c "touch '$PG_HOME/$1/standby.signal'"
  as_postgres sh -c "printf \"primary_conninfo = 'host=127.0.0.1 port=%s user=postgres'\n\" $2 >> '$PG_HOME/$1/postgresql.auto.conf'"
}
