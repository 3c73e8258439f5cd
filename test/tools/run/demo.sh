#!/usr/bin/env bash
#
# demo.sh - "make demo": brings along what is missing, builds the extension in a
# temporary folder and shows the small shop of test/examples/demo there.
#
# It must work with nothing but make and the sources, must not need a network
# beyond the package mirror, and leaves nothing but installed packages.

set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

# The receiver of webhooks is part of the demo.
"$here/packages.sh" receiver
# What runs in the folder has no standard input, and asks the terminal.
if [ -t 0 ] && [ -t 1 ]; then
	export INQUD_DEMO_TERMINAL=1
fi
exec "$here/stage.sh" test/examples/demo/demo.sh
