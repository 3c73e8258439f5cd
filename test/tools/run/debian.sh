# shellcheck shell=bash
#
# debian.sh - what the scripts share that make a minimal Debian in a temporary
# folder and run a command in a clone of the checkout there.
#
# Sourced, never run.  Mounts and processes live in namespaces of their own, so
# the kernel takes them away on every way out; the folder is removed.  Packages
# come from the mirror that this machine uses, which is never written down.
#
# Outside: debian_open, then debian_run for each command that is to be run
# inside.  Inside: debian_make_base once, then debian_begin, debian_in,
# debian_check and debian_end for each try.
#
#   DEBIAN_FOLDER  the temporary folder
#   DEBIAN_SUITE   the release of Debian
#   MIRROR         where its packages come from

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
DEBIAN_CLONE=/root/inqud
DEBIAN_CHILD=
DEBIAN_FOLDER=${DEBIAN_FOLDER:-}
DEBIAN_SUITE=${DEBIAN_SUITE:-}

fail()
{
	printf '%s\n' "$*" >&2
	exit 1
}

# The release of Debian that has a version of PostgreSQL.
debian_of_postgres()
{
	case $1 in
		15) printf 'bookworm' ;;
		17) printf 'trixie' ;;
		18) printf 'forky' ;;
		*) fail "No release of Debian is known here that has PostgreSQL $1." ;;
	esac
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

debian_open()
{
	[ "$(id -u)" = 0 ] || fail "This makes a Debian in a folder, which takes root."
	git -c safe.directory='*' -C "$ROOT" rev-parse --verify -q HEAD >/dev/null ||
		fail "This clones the checkout, and nothing is committed in it."
	"$ROOT/test/tools/run/packages.sh" debian
	MIRROR=${MIRROR:-$(own_mirror)}
	[ -n "$MIRROR" ] || fail "No mirror of Debian's packages is known here; set MIRROR."
	DEBIAN_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/inqud-debian.XXXXXX")
	chmod 0755 "$DEBIAN_FOLDER"
	trap debian_close EXIT
	# a second signal must not end this before the folder is gone
	trap 'trap "" HUP INT TERM; exit 129' HUP
	trap 'trap "" HUP INT TERM; exit 130' INT
	trap 'trap "" HUP INT TERM; exit 143' TERM
	export MIRROR DEBIAN_FOLDER
}

debian_close()
{
	local status=$?

	trap '' HUP INT TERM
	if [ -n "$DEBIAN_CHILD" ]; then
		kill -KILL "$DEBIAN_CHILD" 2>/dev/null || true
	fi
	wait || true
	rm -rf --one-file-system "$DEBIAN_FOLDER"
	exit "$status"
}

# Runs a command, a script that sources this file, for a suite in namespaces of
# its own.  Its output goes to a file and is shown while it comes.
debian_run()
{
	local log=$1
	local status=0
	local shower

	export DEBIAN_SUITE=$2
	shift 2
	: >"$log"
	unshare --mount --pid --fork --kill-child -- "$@" </dev/null >"$log" 2>&1 &
	DEBIAN_CHILD=$!
	tail -n +1 -s 0.2 -f --pid="$DEBIAN_CHILD" "$log" &
	shower=$!
	wait "$DEBIAN_CHILD" || status=$?
	DEBIAN_CHILD=
	wait "$shower" || true
	return "$status"
}

# ---------------------------------------------------------------------------
# Inside

# Makes the minimal Debian that the tries are copies of.
debian_make_base()
{
	local base=$DEBIAN_FOLDER/base
	local scripts=/usr/share/debootstrap/scripts
	local -a script=()

	mount -t proc proc /proc
	# A suite newer than this debootstrap is made like the one it knows best.
	[ -e "$scripts/$DEBIAN_SUITE" ] || script=("$scripts/sid")
	printf 'Making a minimal %s ...\n' "$DEBIAN_SUITE"
	if ! debootstrap --variant=minbase "$DEBIAN_SUITE" "$base" "$MIRROR" "${script[@]}" \
		>"$DEBIAN_FOLDER/debootstrap.log" 2>&1; then
		cat "$DEBIAN_FOLDER/debootstrap.log"
		fail "A minimal $DEBIAN_SUITE could not be made."
	fi
	debian_write_sources "$base"
	# what is thrown away need not be flushed
	printf 'force-unsafe-io\n' >"$base/etc/dpkg/dpkg.cfg.d/unsafe"
	debian_in "$base" sh -c 'apt-get -qq update &&
		apt-get -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 install make git >/dev/null' </dev/null
}

# The folder reaches packages as this machine does.
debian_write_sources()
{
	local to=$1
	local file

	if [ "$DEBIAN_SUITE" = "$(own_suite)" ]; then
		own_sources "$DEBIAN_SUITE" >"$to/etc/apt/sources.list"
	else
		# The mirror may be one that was frozen, and then the lists have expired.
		printf 'deb [check-valid-until=no] %s %s main\n' "$MIRROR" "$DEBIAN_SUITE" >"$to/etc/apt/sources.list"
	fi
	apt-config dump | grep -E '^Acquire::https?::' >"$to/etc/apt/apt.conf.d/99machine" || true
	for file in /etc/resolv.conf /etc/hosts; do
		if [ -e "$file" ]; then
			cat "$file" >"$to$file"
		fi
	done
}

debian_in()
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

# Makes the folder "try" with a clone of what is committed, which only root can
# read.
debian_begin()
{
	local try=$DEBIAN_FOLDER/try

	cp -a "$DEBIAN_FOLDER/base" "$try"
	mount -t proc proc "$try/proc"
	mount -t tmpfs -o mode=1777 tmpfs "$try/dev/shm"
	git -c safe.directory='*' clone -q --no-hardlinks "$ROOT" "$try$DEBIAN_CLONE"
	chmod 0700 "$try/root"
}

debian_make()
{
	debian_in "$DEBIAN_FOLDER/try" make --no-print-directory -C "$DEBIAN_CLONE" "$@"
}

debian_end()
{
	local try=$DEBIAN_FOLDER/try

	umount "$try/dev/shm" "$try/proc"
	rm -rf --one-file-system "$try"
}

# What a command may leave are packages, and nothing else.  (Some packages make
# folders for sockets, named .…-unix, when they are installed.)
debian_check()
{
	local what=$1
	local try=$DEBIAN_FOLDER/try
	local found

	found=$(find "$try/tmp" "$try/dev/shm" -mindepth 1 ! -path "$try/tmp/.*-unix")
	[ -z "$found" ] || fail "$what left files: $found"
	found=$(git -c safe.directory='*' -C "$try$DEBIAN_CLONE" status --porcelain --ignored)
	[ -z "$found" ] || fail "$what changed the checkout: $found"
	found=$(find "$try/var/lib/postgresql" -mindepth 2 -maxdepth 2 2>/dev/null || true)
	[ -z "$found" ] || fail "$what made a database cluster: $found"
	found=$(find /proc -maxdepth 2 -name root -path '/proc/[0-9]*' -lname "$try*" 2>/dev/null || true)
	[ -z "$found" ] || fail "$what left processes behind: $found"
}
