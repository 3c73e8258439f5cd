#!/usr/bin/env bash
#
# demo.sh - a small shop that is paid in crypto: orders are inserted, payment
# pages appear, payers pay, underpay, overpay or walk away, the shop's own table
# follows, and the reports are printed.
#
# "make demo" runs it.  It needs the folder that test/run/stage.sh makes, and
# starts a throw-away server and an emulator of Inqud in it, both on loopback or
# a socket and both gone when it ends.  Nothing here sleeps for a fixed time:
# every wait is for something, and has an end.  It fails unless every order
# ends as its payer's conduct says.

set -euo pipefail

HERE=$(dirname "${BASH_SOURCE[0]}")
PATIENCE=30
CHILD=
BEGUN=0

# A server first: test/run/server.sh calls this script again inside of it.
if [ -z "${DEMO_SERVER:-}" ]; then
	export DEMO_SERVER=1 SERVER_CONF="$HERE/demo.conf"
	exec "$HERE/../run/server.sh" "$HERE/demo.sh"
fi

# Who behaves how, by order number.
PAY_EXACTLY=(1 2 3 4 5 6 7 8 9 10 11 12)
UNDERPAY=13
OVERPAY=14
# These choose a currency and then never pay; the next ones do not even choose.
GIVE_UP=(15 16 17)
NEVER_LOOK=(18 19 20)

title()
{
	printf '\n== %s\n\n' "$*"
}

explain()
{
	printf '   %s\n' "$@"
}

# The same in the middle of the progress table.
meanwhile()
{
	printf '\n   %s\n' "$@"
}

fail()
{
	printf '\nThe demo failed: %s\n' "$*" >&2
	exit 1
}

run_sql()
{
	psql -X -q -v ON_ERROR_STOP=1 "$@"
}

# One value.
ask()
{
	run_sql -A -t -c "$1"
}

# ---------------------------------------------------------------------------
# The emulator

start_emulator()
{
	local line

	coproc EMULATOR { exec "$HERE/../emulator/emulator.py" --until-eof; }
	CHILD=$EMULATOR_PID
	read -r -t "$PATIENCE" line <&"${EMULATOR[0]}" || fail "the emulator did not start"
	INQUD_URL=${line#listening }
	trap stop_emulator EXIT
}

stop_emulator()
{
	kill "$CHILD" 2>/dev/null || true
	wait "$CHILD" 2>/dev/null || true
}

# What a payer does: payer ACTION ORDER [MEMBER=VALUE]
payer()
{
	"$HERE/payer.py" "$INQUD_URL" "$@" >/dev/null || fail "the emulator refused: $*"
}

# ---------------------------------------------------------------------------
# Progress

# Waits until the condition holds; prints a line whenever a status has moved, and
# every few seconds when none does.
wait_until()
{
	local condition=$1
	local deadline=$((SECONDS + PATIENCE))
	local counts holds shown=0 seen=

	while :; do
		holds=$(ask "SELECT ($condition)")
		counts=$(run_sql -A -t -F ' ' -f "$HERE/progress.sql")
		if [ "$counts" != "$seen" ] || [ $((SECONDS - shown)) -ge 3 ]; then
			# shellcheck disable=SC2086
			print_counts "$((SECONDS - BEGUN)) s" $counts
			seen=$counts
			shown=$SECONDS
		fi
		[ "$holds" != t ] || return 0
		[ "$SECONDS" -lt "$deadline" ] || fail "waited $PATIENCE seconds in vain for: $condition"
	done
}

print_counts()
{
	printf '   %5s  %6s %5s %16s %17s %8s %9s %8s  %11s\n' "$@"
}

# All checkouts of these orders have this status.
have_status()
{
	local status=$1
	local list

	shift
	list=$(printf "'%s'," "$@")
	printf "(SELECT count(*) FROM inqud.checkout WHERE status = '%s' AND order_id IN (%s)) = %d" \
		"$status" "${list%,}" $#
}

# ---------------------------------------------------------------------------
# The story

open_shop()
{
	title 'A shop opens'
	start_emulator
	run_sql -d postgres -c 'CREATE DATABASE shop'
	export PGDATABASE=shop
	explain "An emulator of Inqud listens on $INQUD_URL, and a PostgreSQL" \
		"server with inqud preloaded on a socket.  The shop is test/demo/shop.sql: a" \
		"table of orders, a project, a key, a function on_status and a trigger."
	run_sql -v base_url="$INQUD_URL" -f "$HERE/shop.sql"
}

take_orders()
{
	local line n

	title 'Twenty orders come in'
	explain 'Each is one plain INSERT by the role "app", which can use the key and not read it.' \
		'The trigger queues a checkout; a worker calls Inqud after the commit.'
	printf '\n   %5s  %-8s %10s  %-76s %6s\n' order customer total 'payment page' after
	for ((n = 1; n <= 20; n++)); do
		line=$(run_sql -U app -A -t -v n="$n" -f "$HERE/order.sql")
		printf '%s\n' "$line"
		[[ $line == *https://* ]] || fail "order $n has no payment page"
	done
}

be_paid()
{
	local n

	title 'Payers decide'
	BEGUN=$SECONDS
	print_counts time queued NEW REQUEST_CREATED PAYMENT_DETECTED SUCCESS CONFLICT EXPIRED 'orders paid'
	wait_until 'true'
	meanwhile 'Seventeen payers choose a currency.'
	for n in "${PAY_EXACTLY[@]}" $UNDERPAY $OVERPAY "${GIVE_UP[@]}"; do
		payer choose "$n"
	done
	wait_until "$(have_status REQUEST_CREATED "${PAY_EXACTLY[@]}" $UNDERPAY $OVERPAY "${GIVE_UP[@]}")"
	meanwhile 'Fourteen send money, which the chain shows before it is certain.'
	for n in "${PAY_EXACTLY[@]}" $UNDERPAY $OVERPAY; do
		payer detect "$n"
	done
	wait_until "$(have_status PAYMENT_DETECTED "${PAY_EXACTLY[@]}" $UNDERPAY $OVERPAY)"
	meanwhile "Twelve have paid exactly; order $UNDERPAY sent 90 % of it, order $OVERPAY 25 % more."
	for n in "${PAY_EXACTLY[@]}"; do
		payer settle "$n"
	done
	payer settle $UNDERPAY factor=0.9
	payer settle $OVERPAY factor=1.25
	wait_until "$(have_status SUCCESS "${PAY_EXACTLY[@]}" $OVERPAY)
		AND $(have_status CONFLICT $UNDERPAY)"
	meanwhile 'Six never pay, and their time runs out.'
	for n in "${GIVE_UP[@]}" "${NEVER_LOOK[@]}"; do
		payer expire "$n"
	done
	wait_until "$(have_status EXPIRED "${GIVE_UP[@]}" "${NEVER_LOOK[@]}")
		AND NOT EXISTS (SELECT FROM inqud.queue WHERE kind = 'hook')"
}

# Everything must have come as the payers' conduct says.
check()
{
	local expected paid

	expected=$("$HERE/payer.py" "$INQUD_URL" paid)
	paid=$(ask "SELECT string_agg(id::text, ' ' ORDER BY id) FROM orders WHERE paid")
	[ "$paid" = "$expected" ] ||
		fail "at Inqud these orders are paid: $expected; in the table orders: $paid"
	[ "$paid" = "${PAY_EXACTLY[*]} $OVERPAY" ] || fail "paid, but by nobody: $paid"
	[ "$(ask "SELECT count(*) FROM orders o JOIN inqud.checkout c ON c.order_id = o.id::text
			WHERE o.payment = lower(c.status)")" = 20 ] ||
		fail "the column orders.payment does not say what inqud.checkout says"
	[ "$("$HERE/payer.py" "$INQUD_URL" posts)" = 20 ] ||
		fail "Inqud was not asked for exactly 20 checkouts"
	[ "$(ask "SELECT string_agg(trouble || ' ' || order_id, ', ') FROM inqud.trouble")" = "conflict $UNDERPAY" ] ||
		fail "inqud.trouble does not name order $UNDERPAY alone"
	printf '\n'
	explain 'Checked: the orders paid at Inqud are those marked paid in the shop, each checkout' \
		'was made exactly once, and only the underpaid order is in trouble.'
}

show_reports()
{
	title 'The reports'
	run_sql -f "$HERE/reports.sql"
}

open_shop
take_orders
be_paid
check
show_reports
cat "$HERE/next.txt"
