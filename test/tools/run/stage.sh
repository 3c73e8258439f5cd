#!/usr/bin/env bash
#
# stage.sh COMMAND ... - builds the extension in a temporary folder, installs it
# into a private PostgreSQL tree there, and runs the command in the copy of the
# sources, as an unprivileged user when called by root.  With no command it
# only proves that all this works.
#
# Nothing is installed into the system and nothing is left behind.  The command
# finds the private PostgreSQL first in PATH and as PG_CONFIG, and its server
# refuses no one: start it on a socket below TMPDIR, never on a fixed port.

set -euo pipefail
# shellcheck source=test/tools/run/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage_open
say "Building inqud for PostgreSQL $PG_RELEASE ..."
if ! stage_build; then
	cat "$STAGE/log/build"
	fail "The build failed."
fi
if [ $# -gt 0 ]; then
	status=0
	SHOW=1 stage_run "$STAGE/log/command" "$@" || status=$?
	exit "$status"
fi
