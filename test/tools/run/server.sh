#!/usr/bin/env bash
#
# server.sh COMMAND ... - runs a command against a throw-away server that has
# the extension preloaded and its worker switched off.  The server listens on a
# socket in a folder of its own and on nothing else; PGHOST and PGPORT lead the
# command there.
#
# For use inside the folder that stage.sh makes: it takes the PostgreSQL that
# PG_CONFIG names.  SERVER_CONF may name a file with further settings.  The
# server is stopped on every way out, and its log shown when the command fails.

set -euo pipefail

BIN=$("$PG_CONFIG" --bindir)
DIR=$(mktemp -d "${TMPDIR:-/tmp}/server.XXXXXX")
DATA=$DIR/data

close()
{
	local status=$?

	if [ -e "$DATA/postmaster.pid" ]; then
		"$BIN/pg_ctl" -D "$DATA" -s -w -m fast stop || status=1
	fi
	if [ "$status" != 0 ] && [ -e "$DIR/log" ]; then
		printf '\nThe last lines of the server log:\n'
		tail -n 60 "$DIR/log"
	fi
	rm -rf "$DIR"
	exit "$status"
}

configure()
{
	cat >>"$DATA/postgresql.conf" <<-CONF
	listen_addresses = ''
	unix_socket_directories = '$DIR'
	shared_preload_libraries = 'inqud'
	inqud.enabled = off
	dynamic_shared_memory_type = mmap
	fsync = off
	max_prepared_transactions = 10
	CONF
	if [ -n "${SERVER_CONF:-}" ] && [ -e "$SERVER_CONF" ]; then
		cat "$SERVER_CONF" >>"$DATA/postgresql.conf"
	fi
}

trap close EXIT
trap 'exit 143' HUP INT TERM

# The port is only a part of the socket's name.
export PGHOST=$DIR PGPORT=5432 PGUSER=postgres

"$BIN/initdb" -D "$DATA" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$DIR/log" 2>&1
configure
"$BIN/pg_ctl" -D "$DATA" -l "$DIR/log" -s -w start
"$@"
