#!/usr/bin/env bash
#
# bench.sh [LINE ...] - "make bench": brings along what is missing, builds the
# extension in a temporary folder and measures it there beside its contenders;
# see test/bench/README.md.
#
# It must not need a network beyond the package mirror, and leaves nothing but
# installed packages.

set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

"$here/packages.sh" bench
exec "$here/stage.sh" python3 test/bench/bench.py "$@"
