#!/usr/bin/env bash
#
# demo.sh - a small shop that is paid in crypto: orders are inserted, payment
# pages appear, payers pay, underpay, overpay or walk away, webhooks come in, the
# shop's own table follows, and the reports are printed.  At the end one order
# is paid in a page with the widget: by whoever sits there, or by the demo.
#
# "make demo" runs it.  It needs the folder that test/tools/run/stage.sh makes, and
# starts a throw-away server, an emulator of Inqud, the receiver of webhooks and
# a web server for that page in it, all on loopback or a socket and all gone
# when it ends.  Nothing here sleeps for a fixed time: every wait is for
# something, and has an end.  It fails unless every order ends as its payer's
# conduct says.  INQUD_DEMO_TERMINAL says that somebody sits at the terminal.

set -euo pipefail

HERE=$(dirname "${BASH_SOURCE[0]}")
PATIENCE=30
# As long may a person look at the page.
VISIT=600
WEBHOOK_SECRET=demo-webhook-secret
CHILDREN=()
BEGUN=0

# A server first: test/tools/run/server.sh calls this script again inside of it.
if [ -z "${DEMO_SERVER:-}" ]; then
	export DEMO_SERVER=1 SERVER_CONF="$HERE/demo.conf"
	exec "$HERE/../../tools/run/server.sh" "$HERE/demo.sh"
fi

# Who behaves how, by order number.
PAY_EXACTLY=(1 2 3 4 5 6 7 8 9 10 11 12)
UNDERPAY=13
OVERPAY=14
# These choose a currency and then never pay; the next ones do not even choose.
GIVE_UP=(15 16 17)
NEVER_LOOK=(18 19 20)
# This one is paid in the page with the widget, when all the others are done.
VISITOR=21

title()
{
	printf '\n== %s\n\n' "$*"
}

explain()
{
	printf '   %s\n' "$@" | sed 's/ *$//'
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
# The emulator, the receiver of webhooks, the web server

# Starts one of them; URL is where it listens.
start()
{
	local name=$1
	local line=

	shift
	mkfifo "$DIR/$name"
	"$@" >"$DIR/$name" &
	CHILDREN+=($!)
	read -r -t "$PATIENCE" line <"$DIR/$name" || true
	URL=${line#listening }
	[[ $URL == http://* ]] || fail "the $name did not start"
}

stop_all()
{
	local child

	for child in "${CHILDREN[@]}"; do
		kill "$child" 2>/dev/null || true
		wait "$child" 2>/dev/null || true
	done
	rm -rf "$DIR"
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
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/demo.XXXXXX")
	trap stop_all EXIT
	run_sql -d postgres -c 'CREATE DATABASE shop'
	export PGDATABASE=shop
	start emulator "$HERE/../../emulator/emulator.py"
	INQUD_URL=$URL
	mkdir "$DIR/pages"
	start 'web server' "$HERE/web.py" "$DIR/pages" "$INQUD_URL"
	WEB_URL=$URL
	run_sql -v base_url="$INQUD_URL" -v widget_url="$WEB_URL/widget.js" \
		-v webhook_secret="$WEBHOOK_SECRET" -f "$HERE/shop.sql"
	PGUSER=inqud_receiver start receiver "$HERE/../receiver/receiver.py" --project shop --port 0
	payer webhooks "$URL" "$WEBHOOK_SECRET"
	explain "An emulator of Inqud listens on $INQUD_URL, and a PostgreSQL" \
		"server with inqud preloaded on a socket.  The shop is test/examples/demo/shop.sql: a" \
		"table of orders, a project, a key, a function on_status and a trigger." \
		"Webhooks go to $URL, that is" \
		"test/examples/receiver/receiver.py; by polling alone, news would take an hour."
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
		AND NOT EXISTS (SELECT FROM inqud.call)"
}

# Everything must have come as the payers' conduct says.
check()
{
	local expected paid sent taken

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
	read -r sent taken < <("$HERE/payer.py" "$INQUD_URL" sent)
	if [ "$sent" = 0 ] || [ "$taken" != "$sent" ]; then
		fail "of $sent webhooks $taken were answered with 200"
	fi
	[ "$(ask "SELECT count(*) FROM inqud.event WHERE kind = 'webhook' AND checkout IS NOT NULL")" = "$sent" ] ||
		fail "inqud.event does not have the $sent webhooks"
	printf '\n'
	explain 'Checked: the orders paid at Inqud are those marked paid in the shop, each checkout' \
		'was made exactly once, only the underpaid order is in trouble, and all of' \
		"$sent webhooks were answered with 200."
}

show_reports()
{
	title 'The reports'
	run_sql -f "$HERE/reports.sql"
}

# ---------------------------------------------------------------------------
# The page with the widget

# Writes the page of the visitor's order as its row is now, as "app" may do.
write_page()
{
	run_sql -U app -A -t -o "$DIR/pages/order-$VISITOR.html" -c "
		SELECT inqud_widget_page(c) FROM inqud.checkout c
		WHERE project = 'shop' AND order_id = '$VISITOR' AND current"
}

# The page must have this in it.
expect_in_page()
{
	local page

	page=$("$HERE/payer.py" "$WEB_URL" page "order-$VISITOR.html")
	[[ $page == *"$1"* ]] || fail "$2"
}

is_paid()
{
	[ "$(ask "SELECT paid FROM orders WHERE id = $VISITOR")" = t ]
}

# Waits for Enter, as long as somebody may sit there.
await_visitor()
{
	local deadline=$((SECONDS + VISIT))
	local told=

	explain '' "Open it, press the button, and see the line above it change." \
		"Press Enter here when you have seen enough ($((VISIT / 60)) minutes at most)."
	while [ "$SECONDS" -lt "$deadline" ] && ! read -r -t 1 _; do
		if [ -z "$told" ] && is_paid; then
			explain '' "Order $VISITOR is paid."
			write_page
			told=1
		fi
	done </dev/tty
}

show_visit()
{
	run_sql -P border=2 -P linestyle=unicode -P footer=off -v widget="$("$HERE/payer.py" "$WEB_URL" widget "$1")" \
		-v id="$VISITOR" -f - <<-'SQL'
		SELECT o.id AS "order", c.checkout_id, c.state, c.status, o.payment, o.paid, :'widget' AS "the widget shows"
		FROM orders o JOIN inqud.checkout c ON c.project = 'shop' AND c.order_id = o.id::text AND c.current
		WHERE o.id = :id;
	SQL
}

visit()
{
	local id line

	title 'One more order is paid in the widget'
	line=$(run_sql -U app -A -t -v n="$VISITOR" -f "$HERE/order.sql")
	printf '%s\n\n' "$line"
	write_page
	explain 'inqud_widget_page() has made a page of its row, with the widget in it:' '' \
		"    $WEB_URL/order-$VISITOR.html"
	id=$(ask "SELECT checkout_id FROM inqud.checkout WHERE order_id = '$VISITOR' AND current")
	expect_in_page "<app-widget id=\"$id\">" "the page has no widget for $id"
	printf '\n'
	show_visit "$id"
	if [ -n "${INQUD_DEMO_TERMINAL:-}" ]; then
		await_visitor
	fi
	if [ "$("$HERE/payer.py" "$WEB_URL" widget "$id")" != SUCCESS ]; then
		meanwhile 'The demo pays.'
		payer settle "$VISITOR"
	fi
	BEGUN=$SECONDS
	print_counts time queued NEW REQUEST_CREATED PAYMENT_DETECTED SUCCESS CONFLICT EXPIRED 'orders paid'
	wait_until "SELECT paid FROM orders WHERE id = $VISITOR"
	write_page
	printf '\n'
	show_visit "$id"
	[ "$("$HERE/payer.py" "$WEB_URL" widget "$id")" = SUCCESS ] || fail 'the widget does not show SUCCESS'
	expect_in_page 'data-status="SUCCESS"' 'the page does not say that the order is paid'
	explain 'What the page shows is for the payer.  Paid is what the shop'\''s own table says.'
}

open_shop
take_orders
be_paid
check
show_reports
visit
cat "$HERE/next.txt"
