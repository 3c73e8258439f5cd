# shellcheck shell=bash
#
# lib.sh - what the scripts in this folder share: the temporary folder with a
# copy of the sources, a private PostgreSQL tree in it, and running things in
# there as an unprivileged user.
#
# Sourced, never run.  It must not write anywhere outside the folder it makes,
# and everything it starts or makes is gone when the script that sourced it
# ends, however that happens.
#
# After stage_open and the functions following it these are set:
#   STAGE       the temporary folder
#   STAGE_SRC   the copy of the sources
#   STAGE_PG    the private PostgreSQL tree's bin folder
#   PG_RELEASE  the major version in use
#
# CACHE may name a folder.  Then what is compiled is kept there by ccache, if that
# is installed, for the next run that names the same folder.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
OLDEST_PG=15
NEWEST_PG=18
PG_HOME=/usr/lib/postgresql
# compilers by their usual names that ask ccache first
CCACHE_BIN=/usr/lib/ccache

STAGE=
STAGE_SRC=
STAGE_PG=
STAGE_USER=
STAGE_CHILD=
PG_RELEASE=

say()
{
	printf '%s\n' "$*"
}

fail()
{
	printf '%s\n' "$*" >&2
	exit 1
}

# ---------------------------------------------------------------------------
# Ending

# Has a function called on every way out.  A signal that ends a script often comes
# twice, from "timeout" to the whole group and from make to its child; the second
# must not end the script before that function has done its work.
close_on_exit()
{
	# shellcheck disable=SC2064
	trap "$1" EXIT
	trap 'trap "" HUP INT TERM; exit 129' HUP
	trap 'trap "" HUP INT TERM; exit 130' INT
	trap 'trap "" HUP INT TERM; exit 143' TERM
}

# Ends what the script runs in the background, and waits until it has.
end_children()
{
	# shellcheck disable=SC2046
	kill $(jobs -p) 2>/dev/null || true
	wait || true
}

# ---------------------------------------------------------------------------
# Which PostgreSQL

has_server()
{
	[ -x "$PG_HOME/$1/bin/postgres" ]
}

# Debian's server package brings the makefiles of PGXS, but not the headers.
has_server_dev()
{
	[ -e "$PG_HOME/$1/lib/pgxs/src/makefiles/pgxs.mk" ] &&
		[ -e "/usr/include/postgresql/$1/server/postgres.h" ]
}

# Sets PG_RELEASE to what the user asked for (PG), or the newest one that can
# be built for at once, or the newest server; fails when there is none.
find_release()
{
	local n

	if [ -n "${PG:-}" ]; then
		if ! [ "$PG" -ge $OLDEST_PG ] 2>/dev/null || [ "$PG" -gt $NEWEST_PG ]; then
			fail "PG=$PG is not one of the supported PostgreSQL releases, $OLDEST_PG to $NEWEST_PG."
		fi
		PG_RELEASE=$PG
		return 0
	fi
	for ((n = NEWEST_PG; n >= OLDEST_PG; n--)); do
		if has_server "$n" && has_server_dev "$n"; then
			PG_RELEASE=$n
			return 0
		fi
	done
	for ((n = NEWEST_PG; n >= OLDEST_PG; n--)); do
		if has_server "$n"; then
			PG_RELEASE=$n
			return 0
		fi
	done
	return 1
}

# ---------------------------------------------------------------------------
# The folder

stage_open()
{
	find_release || fail "No PostgreSQL server from $OLDEST_PG to $NEWEST_PG is installed."
	stage_pick_user
	close_on_exit stage_close
	STAGE=$(mktemp -d "${TMPDIR:-/tmp}/inqud.XXXXXX")
	STAGE=$(cd "$STAGE" && pwd -P)
	chmod 0755 "$STAGE"
	STAGE_SRC=$STAGE/src
	STAGE_PG=$STAGE/pg/lib/postgresql/$PG_RELEASE/bin
	mkdir "$STAGE_SRC" "$STAGE/home" "$STAGE/tmp" "$STAGE/log"
	stage_copy_sources
	stage_copy_release
	stage_copy_postgres
	if uses_cache; then
		stage_copy_cache
	fi
	if [ -n "$STAGE_USER" ]; then
		chown -hR "$STAGE_USER" "$STAGE_SRC" "$STAGE/home" "$STAGE/tmp" "$STAGE/pg"
		as_user true 2>/dev/null ||
			fail "The user $STAGE_USER cannot reach $STAGE. Set TMPDIR to a folder everyone may enter."
	fi
}

# PostgreSQL refuses to run as root, so root lends the work to postgres.
stage_pick_user()
{
	[ "$(id -u)" = 0 ] || return 0
	id postgres >/dev/null 2>&1 ||
		fail "Run as root, this needs the system user postgres, and there is none."
	STAGE_USER=postgres
}

# The files git knows or would take, or all of them where there is no git: an
# unprivileged user gets to see a checkout that only root can read.
stage_copy_sources()
{
	local list=$STAGE/files

	if ! git -c safe.directory='*' -C "$ROOT" ls-files -z -co --exclude-standard \
		>"$list" 2>/dev/null; then
		(cd "$ROOT" && find . \( -name .git -o -path ./build \) -prune -o \( -type f -o -type l \) -print0) >"$list"
	fi
	(
		cd "$ROOT" || exit
		while IFS= read -r -d '' file; do
			if [ -e "$file" ] || [ -L "$file" ]; then
				printf '%s\0' "$file"
			fi
		done <"$list" | tar -c --null --no-recursion -T - -f -
	) | tar -x --no-same-owner -C "$STAGE_SRC" -f -
	rm "$list"
}

# The last release with another version than this one, for tests that update from
# it.  Its tag is "v" and the version.  Without git or such a release there is none.
stage_copy_release()
{
	local -a repository=(git -c "safe.directory=*" -C "$ROOT")
	local tag

	for tag in $("${repository[@]}" tag --list 'v[0-9]*' --merged HEAD --sort=-creatordate 2>/dev/null); do
		if ! "${repository[@]}" show "$tag:inqud.control" | grep '^default_version' |
			grep -qxFf - "$ROOT/inqud.control"; then
			mkdir "$STAGE/released"
			"${repository[@]}" archive "$tag" -- Makefile inqud.control sql |
				tar -x --no-same-owner -C "$STAGE/released" -f -
			return 0
		fi
	done
}

# PostgreSQL's programs find their libraries and files relative to where they
# lie, so a copy of the programs beside links to all the rest is an
# installation of its own, into which "make install" can write.
stage_copy_postgres()
{
	local n=$PG_RELEASE
	local home=$PG_HOME/$n
	local share=/usr/share/postgresql/$n
	local to=$STAGE/pg/lib/postgresql/$n

	has_server "$n" || fail "The server of PostgreSQL $n is not installed."
	has_server_dev "$n" || fail "The server development files of PostgreSQL $n are not installed."
	mkdir -p "$STAGE_PG" "$to/lib/bitcode" "$STAGE/pg/share/postgresql/$n/extension"
	cp -p "$home/bin/"* "$STAGE_PG"
	link_all "$home/lib" "$to/lib"
	link_all "$home/lib/bitcode" "$to/lib/bitcode"
	link_all "$share" "$STAGE/pg/share/postgresql/$n"
	link_all "$share/extension" "$STAGE/pg/share/postgresql/$n/extension"
	ln -s /usr/include "$STAGE/pg/include"
}

uses_cache()
{
	[ -n "${CACHE:-}" ] && [ -x "$CCACHE_BIN/gcc" ]
}

# The unprivileged user may not be able to reach the folder that CACHE names, so
# ccache works on a copy of it.  Its configuration is in the copy.
stage_copy_cache()
{
	mkdir "$STAGE/home/cache"
	if [ -d "$CACHE" ]; then
		cp -R "$CACHE/." "$STAGE/home/cache"
	fi
	cat >"$STAGE/home/cache/ccache.conf" <<-CONF
	base_dir = $STAGE
	hash_dir = false
	max_size = 100M
	temporary_dir = $STAGE/tmp
	CONF
}

# Puts the copy in the place of what it was a copy of.  Without that the next run
# is slower and nothing else, so a folder that cannot be written is no failure.
stage_keep_cache()
{
	uses_cache || return 0
	if ! { mkdir -p "$CACHE.new" && cp -R "$STAGE/home/cache/." "$CACHE.new" &&
		rm -rf "$CACHE" && mv "$CACHE.new" "$CACHE"; }; then
		say "What was compiled could not be kept in $CACHE." >&2
	fi
}

# Links what one folder holds into another, except what is there already and
# an inqud that someone installed.
link_all()
{
	local entry name

	for entry in "$1"/*; do
		name=${entry##*/}
		case $name in
			inqud | inqud.* | inqud--*) continue ;;
		esac
		if [ -e "$entry" ] && ! [ -e "$2/$name" ]; then
			ln -s "$entry" "$2/$name"
		fi
	done
}

stage_close()
{
	local status=$?

	trap '' HUP INT TERM
	trap - EXIT
	if [ -n "$STAGE" ]; then
		# not before they are gone, or one could still be about to enter the folder
		end_children
		stage_sweep 0 || true
		if [ -n "${KEEP:-}" ]; then
			say "The temporary folder is kept: $STAGE" >&2
		else
			rm -rf "$STAGE"
		fi
	fi
	exit "$status"
}

# ---------------------------------------------------------------------------
# Running things in the folder

# Runs a command in the copy of the sources as the unprivileged user, with an
# environment of its own: nothing of the caller's PG… variables gets in.
as_user()
{
	local pgxs=$PG_HOME/$PG_RELEASE/lib/pgxs/src
	local -a how=()
	local -a pass=()
	local compilers=
	local name

	if uses_cache; then
		compilers=$CCACHE_BIN:
		pass+=("CCACHE_DIR=$STAGE/home/cache")
	fi
	for name in $(compgen -e); do
		case $name in
			INQUD_STAGE) ;;
			INQUD_* | PG_TEST_* | TERM | NO_COLOR | COPT)
				pass+=("$name=${!name}") ;;
		esac
	done
	if [ -n "$STAGE_USER" ]; then
		how=(setpriv --reuid "$STAGE_USER" --regid "$(id -g "$STAGE_USER")" --init-groups)
	fi
	env -i -C "$STAGE_SRC" --default-signal=HUP,INT,QUIT,PIPE,TERM \
		"${pass[@]}" \
		INQUD_STAGE="$STAGE" \
		PATH="$compilers$STAGE_PG:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" \
		HOME="$STAGE/home" \
		TMPDIR="$STAGE/tmp" \
		USER="${STAGE_USER:-$(id -un)}" \
		LOGNAME="${STAGE_USER:-$(id -un)}" \
		LANG=C.UTF-8 \
		PYTHONDONTWRITEBYTECODE=1 \
		PG_CONFIG="$STAGE_PG/pg_config" \
		PG_REGRESS="$pgxs/test/regress/pg_regress" \
		PERL5LIB="$pgxs/test/perl:$STAGE_SRC/test/emulator/lib:$STAGE_SRC/test/t/lib" \
		"${how[@]}" "$@" </dev/null
}

# Runs a command as as_user does, in the background and awaited, so that a
# signal to the script is obeyed at once; its output goes to a file and, with
# SHOW set, is shown while it comes.
stage_run()
{
	local log=$1
	local status=0
	local shower=

	shift
	: >"$log"
	as_user "$@" >"$log" 2>&1 &
	STAGE_CHILD=$!
	if [ -n "${SHOW:-}" ]; then
		tail -n +1 -s 0.2 -f --pid="$STAGE_CHILD" "$log" &
		shower=$!
	fi
	wait "$STAGE_CHILD" || status=$?
	STAGE_CHILD=
	if [ -n "$shower" ]; then
		wait "$shower" || true
	fi
	return "$status"
}

# Builds the extension and installs it into the private tree; SANITIZE is make's.
# Bitcode takes as long as the library and serves JIT alone: where CACHE says that
# time matters, it is left out.
stage_build()
{
	local settings="WERROR=1 SANITIZE=${SANITIZE:-}"

	if [ -n "${CACHE:-}" ]; then
		settings+=" with_llvm=no"
	fi
	stage_run "$STAGE/log/build" sh -c \
		"make -s clean && make -s -j$(nproc) $settings && make -s install $settings"
}

# ---------------------------------------------------------------------------
# Nothing is left behind

# Prints the processes that belong to the folder: a program, a current folder
# or a mark in the environment tells.  Two commands look at all processes.  Three
# commands for each one took four minutes on a busy machine, and a minute after it
# was told to end a run is killed.
stage_processes()
{
	{
		find /proc/[0-9]*/exe /proc/[0-9]*/cwd -maxdepth 0 -lname "$STAGE/*" || true
		grep -lzFx "INQUD_STAGE=$STAGE" /proc/[0-9]*/environ || true
	} 2>/dev/null | cut -d / -f 3 | sort -u | grep -vFx "$$" || true
}

stage_gone_within()
{
	local tenths=$1

	while [ -n "$(stage_processes)" ]; do
		((tenths-- > 0)) || return 1
		sleep 0.1
	done
}

stage_signal()
{
	local pid

	for pid in $(stage_processes); do
		if [ "$1" = stop ] && [ "$(readlink "/proc/$pid/exe")" = "$STAGE_PG/postgres" ]; then
			kill -QUIT "$pid" 2>/dev/null || true
		elif [ "$1" = stop ]; then
			kill -TERM "$pid" 2>/dev/null || true
		else
			kill -KILL "$pid" 2>/dev/null || true
		fi
	done
}

# Ends whatever is left, in several rounds, since what is told to stop may start
# something as it goes.  False when there was something that did not go by itself
# within so many tenths of a second.
stage_sweep()
{
	local how

	stage_gone_within "$1" && return 0
	for how in stop stop kill kill kill; do
		stage_signal "$how"
		stage_gone_within 50 && break
	done
	return 1
}
