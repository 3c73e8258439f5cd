#!/usr/bin/env bash
#
# demo.sh - "make demo": brings along what is missing, builds the extension in a
# temporary folder and shows the small shop of test/demo there.
#
# It must work with nothing but make and the sources, must not need a network
# beyond the package mirror, and leaves nothing but installed packages.

set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

"$here/packages.sh"
exec "$here/stage.sh" test/demo/demo.sh
