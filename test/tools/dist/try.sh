#!/usr/bin/env bash
#
# try.sh install|use|remove RELEASE - the steps in which "make deb" tries the
# package that it has built, as root on a Debian that is there for nothing else.
#
# The server is one that Debian's own tools make.  Nobody answers the calls: the
# worker is seen to try.

set -euo pipefail

STEP=$1
RELEASE=$2
PACKAGE=postgresql-$RELEASE-inqud

sql()
{
	runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 --cluster "$RELEASE/shop" -d postgres -c "$1"
}

# Waits until a query says "t".
until_true()
{
	local i

	for ((i = 0; i < 300; i++)); do
		if [ "$(sql "$1")" = t ]; then
			return 0
		fi
		sleep 0.1
	done
	printf 'waited in vain for: %s\n' "$1"
	sql 'TABLE inqud.checkout; TABLE inqud.worker'
	return 1
}

install_package()
{
	apt-get -y -q --no-install-recommends -o Dpkg::Use-Pty=0 install "$HOME"/packages/"$PACKAGE"_*.deb
	dpkg -L "$PACKAGE"
	[ -e "/usr/lib/postgresql/$RELEASE/lib/inqud.so" ]
}

use()
{
	pg_createcluster "$RELEASE" shop
	pg_conftool "$RELEASE" shop set shared_preload_libraries inqud
	pg_ctlcluster "$RELEASE" shop start
	sql "CREATE EXTENSION inqud;
		CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1', base_url 'http://127.0.0.1:9');
		CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (token_id 'TKN-1', token_secret 'secret')"
	sql "SELECT extversion FROM pg_extension WHERE extname = 'inqud'"
	[ "$(sql "SELECT state FROM inqud_enqueue_checkout('shop', '1', 'Order 1', 'https://shop.example/1')")" = queued ]
	until_true "SELECT error ~ 'connect' FROM inqud.checkout"
	until_true "SELECT count(*) = 1 FROM inqud.worker WHERE pid IS NOT NULL"
	sql "DROP EXTENSION inqud CASCADE"
}

remove()
{
	local found

	pg_dropcluster --stop "$RELEASE" shop
	dpkg --purge "$PACKAGE"
	found=$(find / -xdev -name '*inqud*' ! -path '/proc/*' ! -path "$HOME/*" ! -path '/var/cache/apt/*' ! -path '/var/lib/apt/*')
	printf '%s\n' "$found"
	[ -z "$found" ]
}

case $STEP in
	install) install_package ;;
	use) use ;;
	remove) remove ;;
	*) exit 2 ;;
esac
