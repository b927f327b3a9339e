#!/bin/sh
# Starts PostgreSQL in a container as the user that it runs as: the cluster is made on the first start, whole or not at all.
set -eu

if [ -e /var/lib/postgresql/PG_VERSION ]; then
  echo "the volume holds a cluster at its top; move it to where it is looked for:" >&2
  echo "  docker compose run --rm --no-deps --entrypoint sh postgres -c 'cd /var/lib/postgresql && mkdir -p -m 700 $PGDATA" \
    "&& find . -mindepth 1 -maxdepth 1 ! -name 17 ! -name data -exec mv {} $PGDATA/ \;'" >&2
  exit 1
fi
if [ ! -d "$PGDATA" ]; then
  rm -rf "$PGDATA.new"
  printf '%s\n' "$POSTGRES_PASSWORD" |
    initdb --pgdata "$PGDATA.new" --username postgres --pwfile /dev/stdin --auth scram-sha-256 --encoding UTF8 --locale C
  echo 'host all all all scram-sha-256' >>"$PGDATA.new/pg_hba.conf"
  mv "$PGDATA.new" "$PGDATA"
fi
unset POSTGRES_PASSWORD
exec postgres -c listen_addresses='*' -c unix_socket_directories='' "$@"
