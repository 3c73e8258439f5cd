/*
 * monitor.sql
 *		What shared memory knows of workers and transfers.
 */

/* The workers: the current database's only, unless the caller is in pg_monitor. */
CREATE FUNCTION inqud._workers()
		RETURNS TABLE (database name, pid integer, state text, since timestamptz, active_at timestamptz,
			in_flight integer, followed bigint, failures integer, not_before timestamptz, wake_at timestamptz, error text,
			unwritten integer, unwritten_since timestamptz, unnoticed_since timestamptz,
			clock_moved interval, clock_moved_at timestamptz)
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'inqud_workers';

CREATE VIEW inqud.worker WITH (security_invoker = true) AS
	SELECT * FROM inqud._workers();
COMMENT ON VIEW inqud.worker IS 'workers by database; members of pg_monitor see all of them';
COMMENT ON COLUMN inqud.worker.database IS 'name of the database';
COMMENT ON COLUMN inqud.worker.pid IS 'process of the worker, null if none runs';
COMMENT ON COLUMN inqud.worker.state IS 'running, idle, starting, waiting (for its turn, a free slot or not_before), stopped (by inqud_worker_stop), kept away (by a statement that needs the database), not needed';
COMMENT ON COLUMN inqud.worker.since IS 'start of the worker';
COMMENT ON COLUMN inqud.worker.active_at IS 'when it last had a call under way';
COMMENT ON COLUMN inqud.worker.in_flight IS 'calls under way';
COMMENT ON COLUMN inqud.worker.followed IS 'checkouts that it follows';
COMMENT ON COLUMN inqud.worker.failures IS 'times in a row that it ended with an error or was terminated';
COMMENT ON COLUMN inqud.worker.not_before IS 'of its next start';
COMMENT ON COLUMN inqud.worker.wake_at IS 'when something will be due and it will be started again';
COMMENT ON COLUMN inqud.worker.error IS 'last error, for members of pg_monitor; null once that is over';
COMMENT ON COLUMN inqud.worker.unwritten IS 'answers of Inqud that cannot be written into the tables; the worker keeps them and goes on trying';
COMMENT ON COLUMN inqud.worker.unwritten_since IS 'since when there are some';
COMMENT ON COLUMN inqud.worker.unnoticed_since IS 'since when changes are recorded without a notice, because the server''s queue of notices is filling up';
COMMENT ON COLUMN inqud.worker.clock_moved IS 'by how much the machine''s clock was set; null if it was not in the last ten minutes';
COMMENT ON COLUMN inqud.worker.clock_moved_at IS 'when the worker has seen that';

/* Transfers of projects whose server the caller may use; members of pg_monitor get all, of all databases. */
CREATE FUNCTION inqud._stats()
		RETURNS TABLE (database name, project name, since timestamptz, last_at timestamptz,
			transfers bigint, creates bigint, reads bigint, retries bigint, canceled bigint, waits bigint,
			ok bigint, refused bigint, auth bigint, route bigint, not_found bigint, throttled bigint,
			unreachable bigint, unknown bigint, bad_reply bigint,
			http_2xx bigint, http_3xx bigint, http_4xx bigint, http_5xx bigint, http_none bigint,
			bytes_sent bigint, bytes_received bigint,
			latency bigint[], latency_sum interval, latency_max interval,
			next_call_at timestamptz, paused_until timestamptz, oldest_due timestamptz,
			slow_call interval)
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'inqud_stats';

CREATE VIEW inqud.stats WITH (security_invoker = true) AS
	SELECT * FROM inqud._stats();
COMMENT ON VIEW inqud.stats IS 'transfers of workers and sessions by project, since the server''s start or a reset; projects whose server one may use, for members of pg_monitor all of all databases';
COMMENT ON COLUMN inqud.stats.database IS 'name of the database; null: of projects that have no place of their own, all together';
COMMENT ON COLUMN inqud.stats.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.stats.since IS 'when counting began';
COMMENT ON COLUMN inqud.stats.last_at IS 'end of the last transfer';
COMMENT ON COLUMN inqud.stats.transfers IS 'transfers that ended: creates and reads; each has one outcome, one http status class and one latency';
COMMENT ON COLUMN inqud.stats.creates IS 'of them, those that create a checkout';
COMMENT ON COLUMN inqud.stats.reads IS 'of them, those that read one';
COMMENT ON COLUMN inqud.stats.retries IS 'of them, those that repeat a failed one; a create that was throttled or refused for its key counts as not yet attempted';
COMMENT ON COLUMN inqud.stats.canceled IS 'transfers that this side ended: cancel, timeout of the statement, a worker that had to leave; counted nowhere else';
COMMENT ON COLUMN inqud.stats.waits IS 'turns that had to be waited for, because of rate_limit or a pause that Inqud asked for';
COMMENT ON COLUMN inqud.stats.ok IS 'answered with a usable checkout';
COMMENT ON COLUMN inqud.stats.refused IS 'Inqud refused the order (400, 409, 422)';
COMMENT ON COLUMN inqud.stats.auth IS 'credentials refused (401, 403)';
COMMENT ON COLUMN inqud.stats.route IS 'no such project, or a wrong address (404, 405, a redirect)';
COMMENT ON COLUMN inqud.stats.not_found IS 'read: Inqud has no such checkout';
COMMENT ON COLUMN inqud.stats.throttled IS 'Inqud says that there are too many calls (408, 429)';
COMMENT ON COLUMN inqud.stats.unreachable IS 'nothing was sent: name, connection or TLS';
COMMENT ON COLUMN inqud.stats.unknown IS 'sent, and no whole answer or a server error came; of a create also an answer that is not understood';
COMMENT ON COLUMN inqud.stats.bad_reply IS 'read: the answer is not understood, or too large';
COMMENT ON COLUMN inqud.stats.http_2xx IS 'by the status of the HTTP reply: success';
COMMENT ON COLUMN inqud.stats.http_3xx IS 'redirect, which is not followed';
COMMENT ON COLUMN inqud.stats.http_4xx IS 'refusal';
COMMENT ON COLUMN inqud.stats.http_5xx IS 'server error';
COMMENT ON COLUMN inqud.stats.http_none IS 'no status came, or one of no class';
COMMENT ON COLUMN inqud.stats.bytes_sent IS 'bytes of requests, headers included, TLS not';
COMMENT ON COLUMN inqud.stats.bytes_received IS 'bytes of replies, headers included, TLS not';
COMMENT ON COLUMN inqud.stats.latency IS 'histogram: number 1 counts transfers of less than 1 ms, number i those from 2^(i-2) to 2^(i-1) ms, number 21 all above';
COMMENT ON COLUMN inqud.stats.latency_sum IS 'time of all transfers together; latency_sum / transfers is the mean';
COMMENT ON COLUMN inqud.stats.latency_max IS 'time of the longest transfer';
COMMENT ON COLUMN inqud.stats.next_call_at IS 'rate limiter: no call before this; null: the next may go at once';
COMMENT ON COLUMN inqud.stats.paused_until IS 'rate limiter: end of a pause that Inqud asked for; null: none';
COMMENT ON COLUMN inqud.stats.oldest_due IS 'since when the oldest of the project''s rows of the queue, of all owners, has been due and waits; null: none does, or of another database';
COMMENT ON COLUMN inqud.stats.slow_call IS 'how long the last call of on_status took, if the next ones of this project wait longer for it; else null';

CREATE FUNCTION @extschema@.inqud_stats_reset(project text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_stats_reset';
COMMENT ON FUNCTION @extschema@.inqud_stats_reset(text)
	IS 'begins the counts of a project in inqud.stats anew; null: of all projects of this database';
