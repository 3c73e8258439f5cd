/*-------------------------------------------------------------------------
 *
 * inqud_client.h
 *		The Inqud API client in plain C: the only header of src/client that
 *		other layers include.
 *
 * Ownership: what a function named ..._new or ..._read fills or returns belongs
 * to the caller, who gives it back with the matching ..._free; every const
 * pointer returned stays owned by the object it was asked of and lives as long
 * as that object, or until its next change.  Arguments are never kept, unless
 * the comment says so.
 *
 * Rules of this layer: it knows nothing of PostgreSQL, has no mutable globals
 * (curl_global_init apart), never blocks, never throws and never prints.  What
 * goes wrong comes back as a code and a text.  All memory is malloc'ed, bounded
 * and, where it held keys or bodies, wiped before it is freed.
 *
 * "C section n" means section n of the API contract.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_CLIENT_H
#define INQUD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---------------------------------------------------------------------
 * Small things (buffer.c)
 * ---------------------------------------------------------------------
 */

/* Overwrite memory that held a secret, in a way no compiler removes. */
extern void inqud_wipe(void *memory, size_t len);

/* ---------------------------------------------------------------------
 * Texts that people write: durations, sizes, URLs, templates (text.c, url.c,
 * template.c).  All are pure.
 * ---------------------------------------------------------------------
 */

/*
 * Parse "500ms", "5s", "2 min", "1h", "1day" (also "days", a number may have
 * no sign and no fraction) into milliseconds.  False when it is no duration or
 * above 10 000 days.
 */
extern bool inqud_parse_duration(const char *text, int64_t *ms);

/* Parse "4096", "64kB", "1MB" (1024-based, units B, kB, MB) into bytes. */
extern bool inqud_parse_size(const char *text, int64_t *bytes);

/*
 * Check a base URL: https to any host, http only to 127.0.0.0/8, [::1] or
 * localhost; no user info, query, fragment, control character or space.  NULL
 * when it is good, else a static text that says what is wrong (a predicate
 * such as "must begin with https://").
 */
extern const char *inqud_check_base_url(const char *url);

/*
 * Check an http(s) URL of a merchant, e.g. return_url.  NULL when good, else
 * a static text as above.
 */
extern const char *inqud_check_web_url(const char *url);

/*
 * Check a path template: begins with "/", no "..", no query, no control
 * character, holds each name of "required" (NULL-terminated array, without
 * braces) once and no other placeholder.  NULL when good, else a static text.
 */
extern const char *inqud_check_path_template(const char *path,
											 const char *const *required);

/*
 * A template of the order trigger: literal text and {column} placeholders,
 * "{{" and "}}" for braces.
 */
typedef struct InqudTemplatePart
{
	bool		is_column;		/* else literal text */
	char	   *text;			/* column's name or literal, NUL-terminated */
} InqudTemplatePart;

typedef struct InqudTemplate
{
	int			nparts;
	InqudTemplatePart *parts;
	bool		single_column;	/* the template is one {column} and no more */
} InqudTemplate;

/*
 * Cut "source" into parts.  NULL on success; else a static text, with nothing
 * left allocated.
 */
extern const char *inqud_template_read(const char *source, InqudTemplate *out);
extern void inqud_template_free(InqudTemplate *tmpl);

/* ---------------------------------------------------------------------
 * Numbers and times (number.c, time.c): exact, never through a double.
 * ---------------------------------------------------------------------
 */

#define INQUD_NUMBER_MAX 64		/* longest text inqud_number_plain writes,
								 * NUL included */

/*
 * Bring a JSON number (optional minus, digits, fraction, exponent) of "len"
 * bytes into plain decimal notation without exponent and without trailing
 * zeros behind the point: "1E-8" gives "0.00000001", "100.50" gives "100.5",
 * "0E-8" gives "0".  False when it is no number, or needs more than 38
 * significant digits or more than 18 decimals (C section 12).
 */
extern bool inqud_number_plain(const char *text, size_t len,
							   char out[INQUD_NUMBER_MAX]);

/*
 * Parse an ISO 8601 time with 0 to 9 (or more) fraction digits and "Z" or a
 * numeric offset into microseconds since 1970-01-01 UTC, rounded half up from
 * the digits.  False when it is none or lies outside years 1970 to 9999.
 */
extern bool inqud_time_read(const char *text, size_t len, int64_t *usec);

/* Write usec as "2030-01-01T12:00:00Z", with as many of 6 fraction digits as needed. */
extern void inqud_time_write(int64_t usec, char out[40]);

/* ---------------------------------------------------------------------
 * Statuses (status.c; C section 7)
 * ---------------------------------------------------------------------
 */
typedef struct InqudStatusMeaning
{
	const char *status;			/* the word */
	bool		is_final;
	bool		is_paid;		/* SUCCESS alone */
	const char *meaning;		/* one English sentence */
} InqudStatusMeaning;

/* The meaning of a word; NULL for a word the contract does not know. */
extern const InqudStatusMeaning *inqud_status_meaning(const char *status);

/* The dictionary by index, NULL behind the last. */
extern const InqudStatusMeaning *inqud_status_at(int i);

/* ---------------------------------------------------------------------
 * Authentication (auth.c; C section 3 and 11)
 * ---------------------------------------------------------------------
 */

/*
 * Cryptography comes from the host, which has a well-kept library for it.
 * Each function returns false on failure.
 */
typedef struct InqudCrypto
{
	/* digest of data1 followed by data2; 32 or 20 bytes into "digest" */
	bool		(*hmac_sha256) (const void *key, size_t keylen,
								const void *data1, size_t len1,
								const void *data2, size_t len2,
								uint8_t digest[32]);
	bool		(*hmac_sha1) (const void *key, size_t keylen,
							  const void *data, size_t len,
							  uint8_t digest[20]);
	bool		(*random) (void *out, size_t len);
} InqudCrypto;

/* How to reach one Inqud project, and as whom.  All strings NUL-terminated UTF-8. */
typedef struct InqudAccount
{
	const char *base_url;		/* "https://api.inqud.com", no slash needed at the end */
	const char *project_id;		/* "CAP-..." */
	const char *checkout_path;	/* template with {project} and {checkout} */
	bool		auth_signed;	/* sign instead of sending the secret */
	const char *token_id;
	const char *token_secret;
	const char *ca_file;		/* extra CA bundle or NULL */
	int64_t		connect_timeout_ms;
	int64_t		timeout_ms;
	int64_t		max_reply_size; /* bytes */
} InqudAccount;

/*
 * Does a webhook's digest (hex, case aside, C section 11) fit the raw body?
 * Constant-time in the digest's content.  "digest" need not be NUL-terminated.
 */
extern bool inqud_webhook_digest_ok(const InqudCrypto *crypto,
									const char *secret,
									const void *body, size_t body_len,
									const char *digest, size_t digest_len);

/* ---------------------------------------------------------------------
 * Requests (checkout.c builds them, auth.c signs them)
 * ---------------------------------------------------------------------
 */

/* A checkout to be made.  NULL members are left out of the body (C section 5). */
typedef struct InqudOrder
{
	const char *order_id;
	const char *name;
	const char *type;			/* FIXED_PRICE, NO_PRICE, SUGGESTED_FIXED_PRICE, ... */
	const char *amount;			/* plain decimal text, sent as a JSON number */
	const char *currency;
	const char *return_url;
	int64_t		expires_at;		/* microseconds since 1970; 0 = left out */
	const char *extra;			/* JSON object whose members are added, or NULL */
} InqudOrder;

typedef struct InqudRequest InqudRequest;

/*
 * Build E1 (create) or E2 (read), headers and signature included.  NULL on
 * failure, with a static text in *why ("out of memory", "extra is not a JSON
 * object", "extra must not contain \"name\"", "amount is not a number", ...).
 * Amounts and currency are sent for FIXED_PRICE only.
 */
extern InqudRequest *inqud_request_create_checkout(const InqudAccount *account,
												   const InqudCrypto *crypto,
												   const InqudOrder *order,
												   const char **why);
extern InqudRequest *inqud_request_read_checkout(const InqudAccount *account,
												 const InqudCrypto *crypto,
												 const char *checkout_id,
												 const char **why);

/* For tests and diagnosis; headers are NUL-terminated "Name: value", NULL behind the last. */
extern const char *inqud_request_url(const InqudRequest *request);
extern const char *inqud_request_body(const InqudRequest *request, size_t *len);
extern const char *inqud_request_header(const InqudRequest *request, int i);

/* The signature among its headers; NULL when it has none. */
extern const char *inqud_request_signature(const InqudRequest *request);

/* Wipes and frees; NULL is allowed. */
extern void inqud_request_free(InqudRequest *request);

/* Is "extra" a JSON object without members that we set?  NULL if so, else a static text. */
extern const char *inqud_check_extra(const char *extra, size_t len);

/* ---------------------------------------------------------------------
 * Transfers (http.c): many at a time, behind one descriptor and one deadline
 * ---------------------------------------------------------------------
 */
typedef struct InqudEngine InqudEngine;
typedef struct InqudTransfer InqudTransfer;

/* How far a transfer came, which says what may have happened at the other end. */
typedef enum InqudProgress
{
	INQUD_DONE,					/* a whole HTTP reply is here */
	INQUD_NOT_SENT,				/* no byte of the request was sent: name, connection, TLS */
	INQUD_NO_ANSWER,			/* sent (or partly), and no whole reply came */
	INQUD_TOO_LARGE				/* the reply was cut off at max_reply_size */
} InqudProgress;

typedef struct InqudResponse
{
	InqudProgress progress;
	bool		timed_out;		/* of NOT_SENT and NO_ANSWER */
	bool		name_failed;	/* the host's name could not be resolved */
	bool		address_refused;	/* the name leads to an address that is not public */
	bool		connected;		/* a connection was made for it, or a kept one used; TLS apart */
	bool		tls_failed;		/* certificate or handshake */
	int			http_status;	/* 0 when none came, or none of three digits */
	int64_t		retry_after_ms; /* -1 = header absent or not understood; clamped to 0 .. 1 day */
	const char *error;			/* libcurl's words, "" if none; ASCII control stripped */
	const char *content_type;	/* "" if none */
	const char *address;		/* numeric, of the other end; "" if not known */
	int64_t		date;			/* seconds since 1970 by the reply's Date; 0 = none */
	const char *body;			/* NUL-terminated for convenience, may hold NULs */
	size_t		body_len;
	int64_t		connect_us;		/* microseconds until connected; 0 on a kept connection */
	int64_t		total_us;
	int64_t		bytes_sent;
	int64_t		bytes_received;
} InqudResponse;

/*
 * Make an engine that keeps up to "connections" connections open.  NULL on
 * failure.  "user_agent" is copied.  The host must ignore SIGPIPE.
 */
extern InqudEngine *inqud_engine_new(int connections, const char *user_agent);
extern void inqud_engine_set_connections(InqudEngine *engine, int connections);

/* Free the engine; its transfers must have been freed before. */
extern void inqud_engine_free(InqudEngine *engine);

/* Readable whenever inqud_engine_step has something to do. */
extern int	inqud_engine_fd(const InqudEngine *engine);

/* Milliseconds until step must be called although the descriptor is quiet; -1 = never. */
extern long inqud_engine_timeout(InqudEngine *engine);

/*
 * Move all transfers on as far as possible without blocking.  False when
 * libcurl's state is lost: every transfer under way then ends with NO_ANSWER
 * (already handed out by inqud_engine_done) and the engine has renewed itself.
 */
extern bool inqud_engine_step(InqudEngine *engine);

/* The next transfer that ended, or NULL.  It stays the caller's. */
extern InqudTransfer *inqud_engine_done(InqudEngine *engine);

/*
 * Start a transfer; its clock starts now.  The request must outlive it.  The
 * account's timeouts, limits and CA file are taken from "account" at once.
 * NULL on failure (out of memory).  "owner" comes back from
 * inqud_transfer_owner.
 */
extern InqudTransfer *inqud_transfer_start(InqudEngine *engine,
										   const InqudAccount *account,
										   const InqudRequest *request,
										   void *owner);
extern void *inqud_transfer_owner(const InqudTransfer *transfer);

/* Valid once the engine handed the transfer out as done. */
extern const InqudResponse *inqud_transfer_response(const InqudTransfer *transfer);

/* End it if it is under way (at once, whatever its phase), wipe and free; NULL is allowed. */
extern void inqud_transfer_free(InqudTransfer *transfer);

/* ---------------------------------------------------------------------
 * Replies (error.c decides the outcome, checkout.c reads the object)
 * ---------------------------------------------------------------------
 */
typedef enum InqudOutcome
{
	INQUD_OK,					/* 2xx with a usable checkout object */
	INQUD_REFUSED,				/* 400, 409, 422 and other 4xx: the order itself */
	INQUD_AUTH,					/* 401, 403 */
	INQUD_ROUTE,				/* create: 404, 405; read: 404 that is not JSON, 405; both: 3xx */
	INQUD_NOT_FOUND,			/* read: 404 with JSON */
	INQUD_THROTTLED,			/* 408, 429 */
	INQUD_UNREACHABLE,			/* not sent */
	INQUD_UNKNOWN,				/* 5xx, no answer; on a create also an unusable 2xx */
	INQUD_BAD_REPLY				/* read: 2xx that is not understood, or too large */
} InqudOutcome;

/* A stable lower-case word for an outcome ("ok", "refused", "auth", ...). */
extern const char *inqud_outcome_name(InqudOutcome outcome);

/*
 * A checkout as it came (C section 6, 8).  NULL = absent, null, or of a shape
 * that cannot be used (then its name is in "lost").  Texts are valid UTF-8
 * without NUL.  Numbers are plain decimals (inqud_number_plain).  Times are
 * microseconds since 1970, 0 = none.
 */
typedef struct InqudCheckout
{
	const char *id;
	const char *status;
	const char *project_id;
	const char *order_id;		/* clientOrderId */
	const char *reason;
	const char *name;
	const char *type;
	const char *return_url;
	const char *acquiring_url;
	const char *fixed_amount;
	const char *fixed_currency;
	int64_t		created_at;
	int64_t		updated_at;		/* lastUpdatedAt */
	int64_t		expires_at;
	bool		has_request;	/* "request" is an object */
	const char *request_id;
	const char *payment_id;
	const char *pay_amount;
	const char *pay_currency;
	const char *pay_blockchain;
	const char *paid_amount;
	int			overpaid;		/* -1 = absent, 0, 1 */
	const char *tx_hash;
	const char *merchant_fee;	/* merchantPlatformFee */
	const char *processing_amount;
	const char *lost;			/* ", "-separated names of members that could not be used, or NULL */
} InqudCheckout;

typedef struct InqudReply InqudReply;

/*
 * Judge a response and read its body.  NULL only when out of memory.
 * "creating": it answers a create.  "checkout_id": the id a read asked for
 * (another one in the reply is BAD_REPLY), or NULL.
 */
extern InqudReply *inqud_reply_read(const InqudResponse *response, bool creating,
									const char *checkout_id);
extern void inqud_reply_free(InqudReply *reply);

extern InqudOutcome inqud_reply_outcome(const InqudReply *reply);

/*
 * What went wrong, for people: Inqud's own message where there is one (cut to
 * 500 bytes on a character's border, control characters stripped), else a text
 * of ours.  "" when nothing did.
 */
extern const char *inqud_reply_message(const InqudReply *reply);

/* Inqud's error code, or "". */
extern const char *inqud_reply_code(const InqudReply *reply);

/*
 * Take "secret" out of the reply, for a server that quotes what it was sent:
 * asterisks stand for it in message, code and JSON, a member that contains it is
 * lost, and a reply with it in its id or status is not understood any more.
 * NULL and "" hide nothing; less than INQUD_SECRET_MIN bytes are hidden in
 * message and code only, since an ordinary word may contain them.  To be called
 * before the reply is asked for anything.
 */
#define INQUD_SECRET_MIN 8
extern void inqud_reply_hide(InqudReply *reply, const char *secret);

/* The object, when the outcome is OK. */
extern const InqudCheckout *inqud_reply_checkout(const InqudReply *reply);

/*
 * The whole reply as JSON text, when the outcome is OK and it can be stored as
 * jsonb by any PostgreSQL in UTF-8 (no \u0000, no broken surrogates, numbers within
 * numeric's range, nesting within bounds); else NULL.
 */
extern const char *inqud_reply_json(const InqudReply *reply, size_t *len);

/* A hash over the members that matter, to tell "nothing new"; 0 is never returned. */
extern uint64_t inqud_reply_hash(const InqudReply *reply);

/*
 * Read the body of a webhook (C section 11): its top-level id, status and the
 * checkoutId, clientOrderId where present.  False when it is no JSON object
 * with a non-empty text "id".  Strings are malloc'ed, NULL where absent.
 */
typedef struct InqudWebhook
{
	char	   *id;
	char	   *status;
	char	   *checkout_id;
	char	   *order_id;
} InqudWebhook;

extern bool inqud_webhook_read(const char *body, size_t len, InqudWebhook *out);

/* Drop what contains "secret", as above. */
extern void inqud_webhook_hide(InqudWebhook *webhook, const char *secret);
extern void inqud_webhook_free(InqudWebhook *webhook);

/* ---------------------------------------------------------------------
 * What next (retry.c): pure arithmetic
 * ---------------------------------------------------------------------
 */

/*
 * Wait before attempt number attempts+1, in ms: min doubled at every attempt
 * (attempts >= 1), at most max, times a factor between 1/2 and 1 chosen by
 * "random" (any 32 bits).
 */
extern int64_t inqud_backoff_ms(int attempts, int64_t min_ms, int64_t max_ms,
								uint32_t random);

/*
 * The first tick after "now" of a clock that ticks every "step" with a phase
 * that depends on "id" alone, all in microseconds: so reads of many checkouts
 * spread evenly and a restart goes on where it was.
 */
extern int64_t inqud_next_tick(int64_t id, int64_t step, int64_t now);

/*
 * Take a call from a rate limit (generic cell rate algorithm).  *tat is the
 * limiter's only state, microseconds.  Returns 0 if the call may go now (and
 * *tat has moved), else the microseconds to wait; rate per second, 0 = no
 * limit.
 */
extern int64_t inqud_rate_take(int64_t *tat, int64_t now, double rate);

/* ---------------------------------------------------------------------
 * When a checkout is read next (plan.c): pure arithmetic (C section 14)
 * ---------------------------------------------------------------------
 */
typedef enum InqudPhase
{
	INQUD_PHASE_NEW,			/* nothing has happened yet */
	INQUD_PHASE_ACTIVE,			/* a payment is under way */
	INQUD_PHASE_REOPENED,		/* another word came after a final one */
	INQUD_PHASE_LATE,			/* expired, but money may still come */
	INQUD_PHASE_CHECK			/* ended; one more look for corrections */
} InqudPhase;

/* Read "new", "active", "reopened", "late" or "check". */
extern bool inqud_phase_read(const char *word, InqudPhase *phase);

#define INQUD_NEVER INT64_MAX

typedef struct InqudPlan
{
	bool		over;			/* the last read is due or done */
	int64_t		step;			/* microseconds between reads; 0 = one read, at "until" */
	int64_t		until;			/* microseconds; from then on another plan holds */
} InqudPlan;

/*
 * How a checkout is followed at "now".  "tail_from" is its expiry (NEW,
 * ACTIVE), or the moment its phase began.  All times in microseconds.
 */
extern InqudPlan inqud_plan(InqudPhase phase, int64_t tail_from, int64_t now,
							int64_t poll_new, int64_t poll_active);

/* The next read by this plan after "now"; "now" itself when the plan is over. */
extern int64_t inqud_plan_next(const InqudPlan *plan, int64_t id, int64_t now);

#endif							/* INQUD_CLIENT_H */
