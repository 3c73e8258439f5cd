#!/usr/bin/env bash
#
# fresh.sh - "make test-fresh": proves that "make demo" and "make test" need
# nothing but make, git and the sources.  For each of them it makes a minimal
# Debian in a temporary folder, clones what is committed into a folder there
# that only root can read, and runs the command inside.
#
# Needs root and debootstrap.  Mounts and processes live in namespaces of their
# own, so the kernel takes them away on every way out; the folder is removed.
# The package mirror is the one this machine uses; it is never written down.
#
# Environment: GOALS ("demo test"), SUITE (this machine's), MIRROR (this
# machine's), and what "make test" takes.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SCRIPT=$ROOT/test/run/fresh.sh
CLONE=/root/inqud
GOALS=${GOALS:-demo test}

fail()
{
	printf '%s\n' "$*" >&2
	exit 1
}

own_suite()
{
	# shellcheck source=/dev/null
	(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
}

# The package sources of this machine that belong to the suite, one line each.
own_sources()
{
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk -v suite="$1" '$2 == suite || index($2, suite "-") == 1 { print "deb", $1, $2, $3 }'
}

own_mirror()
{
	own_sources "$(own_suite)" | awk -v suite="$(own_suite)" '$3 == suite { print $2; exit }'
}

# ---------------------------------------------------------------------------
# Outside: checks, the folder, the namespaces

outside()
{
	[ "$(id -u)" = 0 ] || fail "This makes a Debian in a folder, which takes root."
	command -v debootstrap >/dev/null || fail "This needs debootstrap, which is not installed."
	git -c safe.directory='*' -C "$ROOT" rev-parse --verify -q HEAD >/dev/null ||
		fail "This clones the checkout, and nothing is committed in it."

	SUITE=${SUITE:-$(own_suite)}
	MIRROR=${MIRROR:-$(own_mirror)}
	[ -n "$SUITE" ] || fail "This machine does not say which Debian it is; set SUITE."
	[ -n "$MIRROR" ] || fail "No package mirror for $SUITE is known here; set MIRROR."

	FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/inqud-fresh.XXXXXX")
	chmod 0755 "$FOLDER"
	trap 'trap "" HUP INT TERM; kill -KILL ${CHILD:-} 2>/dev/null || true; wait; rm -rf --one-file-system "$FOLDER"' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	export SUITE MIRROR FOLDER GOALS

	unshare --mount --pid --fork --kill-child -- "$SCRIPT" inside </dev/null &
	CHILD=$!
	wait "$CHILD"
}

# ---------------------------------------------------------------------------
# Inside: one Debian for each goal

inside()
{
	local goal

	mount -t proc proc /proc
	make_base
	for goal in $GOALS; do
		printf '\n#### make %s on a fresh %s\n\n' "$goal" "$SUITE"
		try_goal "$goal"
		rm -rf --one-file-system "$FOLDER/try"
	done
	printf '\nOn a fresh %s these work: %s.\n' "$SUITE" "$GOALS"
}

make_base()
{
	local base=$FOLDER/base
	local scripts=/usr/share/debootstrap/scripts
	local -a script=()

	# A suite newer than this debootstrap is made like the one it knows best.
	[ -e "$scripts/$SUITE" ] || script=("$scripts/sid")
	printf 'Making a minimal %s ...\n' "$SUITE"
	if ! debootstrap --variant=minbase "$SUITE" "$base" "$MIRROR" "${script[@]}" \
		>"$FOLDER/debootstrap.log" 2>&1; then
		cat "$FOLDER/debootstrap.log"
		fail "debootstrap failed."
	fi
	write_sources "$base"
	in_folder "$base" sh -c 'apt-get -qq update &&
		apt-get -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 install make git >/dev/null' </dev/null
}

# The folder reaches packages as this machine does.
write_sources()
{
	local to=$1
	local file

	if [ "$SUITE" = "$(own_suite)" ]; then
		own_sources "$SUITE" >"$to/etc/apt/sources.list"
	else
		# The mirror may be one that was frozen, and then the lists have expired.
		printf 'deb [check-valid-until=no] %s %s main\n' "$MIRROR" "$SUITE" >"$to/etc/apt/sources.list"
	fi
	apt-config dump | grep -E '^Acquire::https?::' >"$to/etc/apt/apt.conf.d/99machine" || true
	for file in /etc/resolv.conf /etc/hosts; do
		if [ -e "$file" ]; then
			cat "$file" >"$to$file"
		fi
	done
}

in_folder()
{
	local folder=$1
	local -a pass=()
	local name

	shift
	for name in http_proxy https_proxy no_proxy TERM PARTS PROVE_TESTS PG JOBS FUZZ_SECONDS; do
		if [ -n "${!name:-}" ]; then
			pass+=("$name=${!name}")
		fi
	done
	chroot "$folder" /usr/bin/env -i "${pass[@]}" HOME=/root LANG=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

try_goal()
{
	local goal=$1
	local try=$FOLDER/try
	local status=0

	cp -a "$FOLDER/base" "$try"
	mount -t proc proc "$try/proc"
	mount -t tmpfs -o mode=1777 tmpfs "$try/dev/shm"
	git -c safe.directory='*' clone -q --no-hardlinks "$ROOT" "$try$CLONE"
	chmod 0700 "$try/root"
	in_folder "$try" make --no-print-directory -C "$CLONE" "$goal" || status=$?
	[ "$status" = 0 ] || fail "make $goal failed on a fresh $SUITE."
	check_leftovers "$try" "$goal"
	umount "$try/dev/shm" "$try/proc"
}

# What a command may leave are packages, and nothing else.  (Some packages make
# folders for sockets, named .…-unix, when they are installed.)
check_leftovers()
{
	local try=$1 goal=$2
	local found

	found=$(find "$try/tmp" "$try/dev/shm" -mindepth 1 ! -path "$try/tmp/.*-unix")
	[ -z "$found" ] || fail "make $goal left files: $found"
	found=$(git -c safe.directory='*' -C "$try$CLONE" status --porcelain --ignored)
	[ -z "$found" ] || fail "make $goal changed the checkout: $found"
	found=$(find "$try/var/lib/postgresql" -mindepth 2 -maxdepth 2 2>/dev/null || true)
	[ -z "$found" ] || fail "make $goal made a database cluster: $found"
	found=$(find /proc -maxdepth 2 -name root -path '/proc/[0-9]*' -lname "$try*" 2>/dev/null || true)
	[ -z "$found" ] || fail "make $goal left processes behind: $found"
}

if [ "${1:-}" = inside ]; then
	inside
else
	outside
fi
