/*-------------------------------------------------------------------------
 *
 * inqud_client.h
 *		The Inqud API client in plain C: the only header of it that others include.
 *
 * Ownership: what a function named ..._new or ..._read fills or returns belongs to the
 * caller, who frees it with the matching ..._free; every const pointer returned is owned
 * by the object it was asked of and lives as long as that, or until its next change.
 * Arguments are not kept unless the comment says so.
 *
 * Rules of this layer: it knows nothing of PostgreSQL, has no mutable globals (except
 * for curl_global_init), never blocks, throws or prints.  Errors come back as a code and
 * a text.  All memory is malloc'ed, bounded and, where it held keys or bodies, wiped
 * before it is freed.
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

/* Overwrite memory that held a secret; no compiler optimizes it away (buffer.c). */
extern void inqud_wipe(void *memory, size_t len);

/*
 * The monotonic clock (poller.c): microseconds since an arbitrary moment, the same for
 * all processes of a machine.  It cannot be set.
 */
typedef int64_t InqudClock;

extern InqudClock inqud_clock_us(void);

/* ---- Texts that people write (text.c, url.c, template.c).  All are pure. ---- */

/*
 * Parse "500ms", "5s", "2 min", "1h", "1day" or "2days", without sign and fraction, into
 * milliseconds.  False when it is no duration or above 10 000 days.
 */
extern bool inqud_parse_duration(const char *text, int64_t *ms);

/* Parse "4096", "64kB", "1MB" (1024-based, units B, kB, MB) into bytes. */
extern bool inqud_parse_size(const char *text, int64_t *bytes);

/*
 * Make each run of white space in a UTF-8 text one blank, and none at the ends; invalid
 * bytes stay.  Returns whether anything was changed.
 */
extern bool inqud_text_tidy(char *text);

/*
 * The three checks return NULL when the text is good, else a static predicate such as
 * "must begin with https://".
 *
 * A base URL: https to any host, http only to 127.0.0.0/8, [::1] or localhost; no user
 * info, query, fragment, control character or space.
 */
extern const char *inqud_check_base_url(const char *url);

/* An http(s) URL of a merchant, e.g. return_url. */
extern const char *inqud_check_web_url(const char *url);

/* Write a byte as it may stand anywhere in a URL: itself if it is unreserved, else "%XX".  Returns the length. */
extern int	inqud_percent_code(char c, char code[3]);

/*
 * A path template: begins with "/", has no "..", query or control character, holds each
 * name of "required" (NULL-terminated array, without braces) once and no other one.
 */
extern const char *inqud_check_path_template(const char *path, const char *const *required);

/* A template of the order trigger: text and {column} placeholders, "{{" and "}}" for braces. */
typedef struct InqudTemplatePart
{
	bool		is_column;		/* else literal text */
	char	   *text;			/* column's name or literal, NUL-terminated */
} InqudTemplatePart;

typedef struct InqudTemplate
{
	int			nparts;
	InqudTemplatePart *parts;
	char	   *text;			/* where the parts' texts stand */
	bool		single_column;	/* the template is one {column} and no more */
} InqudTemplate;

/* Cut "source" into parts.  NULL on success; else a static text, with nothing allocated. */
extern const char *inqud_template_read(const char *source, InqudTemplate *out);
extern void inqud_template_free(InqudTemplate *tmpl);

/* ---- Numbers and times (number.c, time.c): exact, never through a double. ---- */

#define INQUD_NUMBER_MAX 64		/* longest result, NUL included */

/*
 * Bring a JSON number of "len" bytes into plain decimal notation without exponent and
 * trailing zeros behind the point: "1E-8" gives "0.00000001", "100.50" gives "100.5",
 * "0E-8" gives "0".  False when it is no number, or needs more than 38 significant digits
 * or more than 18 decimals (C section 12).
 */
extern bool inqud_number_plain(const char *text, size_t len, char out[INQUD_NUMBER_MAX]);

/*
 * Parse an ISO 8601 time with any number of fraction digits and "Z" or a numeric offset
 * into microseconds since 1970-01-01 UTC, rounded half up.  False when it is none or lies
 * outside years 1970 to 9999.
 */
extern bool inqud_time_read(const char *text, size_t len, int64_t *usec);

/* Write usec as "2030-01-01T12:00:00Z", with as many of 6 fraction digits as needed. */
extern void inqud_time_write(int64_t usec, char out[40]);

/* ---- Authentication (auth.c; C section 3 and 11) ---- */

/* Cryptography comes from the host's well-kept library.  False on failure. */
typedef struct InqudCrypto
{
	/* digest of data1 followed by data2; 32 or 20 bytes into "digest" */
	bool		(*hmac_sha256) (const void *key, size_t keylen, const void *data1, size_t len1,
								const void *data2, size_t len2, uint8_t digest[32]);
	bool		(*hmac_sha1) (const void *key, size_t keylen, const void *data, size_t len,
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
extern bool inqud_webhook_digest_ok(const InqudCrypto *crypto, const char *secret,
									const void *body, size_t body_len,
									const char *digest, size_t digest_len);

/* ---- Requests (checkout.c builds them, auth.c signs them) ---- */

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

/* Why a request could not be built; inqud_why_words has the words. */
typedef enum InqudWhy
{
	INQUD_WHY_NONE,				/* it was built */
	INQUD_WHY_NO_MEMORY,
	/* the account */
	INQUD_WHY_BASE_URL,
	INQUD_WHY_PROJECT_ID,
	INQUD_WHY_CHECKOUT_PATH,
	INQUD_WHY_URL_LENGTH,
	INQUD_WHY_TOKEN_ID,
	INQUD_WHY_TOKEN_SECRET,
	INQUD_WHY_TOKEN_LENGTH,
	/* the host's cryptography */
	INQUD_WHY_RANDOM,
	INQUD_WHY_SIGNATURE,
	/* what is asked for */
	INQUD_WHY_CHECKOUT_ID,
	INQUD_WHY_ORDER_UTF8,
	INQUD_WHY_ORDER_LENGTH,
	INQUD_WHY_EXPIRY,
	INQUD_WHY_CURRENCY_MISSING,
	/* from here on the order's own amount and extra */
	INQUD_WHY_AMOUNT_MISSING,
	INQUD_WHY_AMOUNT_NUMBER,
	INQUD_WHY_AMOUNT_SIGN,
	INQUD_WHY_EXTRA_SHAPE,
	INQUD_WHY_EXTRA_LENGTH,
	INQUD_WHY_EXTRA_ORDER_ID,
	INQUD_WHY_EXTRA_EXPIRES_AT,
	INQUD_WHY_EXTRA_FIXED_AMOUNT,
	INQUD_WHY_EXTRA_NAME,
	INQUD_WHY_EXTRA_RETURN_URL,
	INQUD_WHY_EXTRA_TYPE
} InqudWhy;

/* A static sentence without its full stop, such as "amount is missing"; "" of NONE. */
extern const char *inqud_why_words(InqudWhy why);

/* Is it the order's amount or extra, so that building it again would fail again? */
extern bool inqud_why_is_the_orders(InqudWhy why);

/*
 * Build E1 (create) or E2 (read), headers and signature included.  NULL on failure; *why
 * is set in any case.  Amounts and currency are sent for FIXED_PRICE only.
 */
extern InqudRequest *inqud_request_create_checkout(const InqudAccount *account, const InqudCrypto *crypto,
												   const InqudOrder *order, InqudWhy *why);
extern InqudRequest *inqud_request_read_checkout(const InqudAccount *account, const InqudCrypto *crypto,
												 const char *checkout_id, InqudWhy *why);

/* The signature among its headers; NULL when it has none. */
extern const char *inqud_request_signature(const InqudRequest *request);

/* Wipes and frees; NULL is allowed. */
extern void inqud_request_free(InqudRequest *request);

/* NULL if "extra" is a JSON object without members that we set, else a static predicate. */
extern const char *inqud_check_extra(const char *extra, size_t len);

/* ---- Transfers (engine.c): many at a time, behind one descriptor and one deadline ---- */
typedef struct InqudEngine InqudEngine;
typedef struct InqudTransfer InqudTransfer;

/* How far a transfer came, and so whether the server may have acted on it. */
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
	bool		no_descriptor;	/* NOT_SENT, since this process may open no more descriptors */
	bool		connected;		/* a connection was made for it, or a kept one used; TLS apart */
	bool		tls_failed;		/* certificate or handshake */
	int			http_status;	/* 0 when none came, or none of three digits */
	int64_t		retry_after_ms; /* -1 = header absent or not understood; clamped to 0 .. 1 day */
	const char *error;			/* libcurl's words, "" if none; they may quote a secret, so
								 * people get inqud_reply_message */
	const char *address;		/* numeric, of the other end; "" if not known */
	int64_t		date;			/* seconds since 1970 by the reply's Date; 0 = none */
	const char *body;			/* NUL-terminated for convenience, may hold NULs */
	size_t		body_len;
	int64_t		total_us;		/* microseconds from start to end */
	int64_t		bytes_sent;
	int64_t		bytes_received;
} InqudResponse;

/*
 * Make an engine that keeps up to "connections" connections open.  NULL on failure.
 * "user_agent" is copied.  The host must ignore SIGPIPE.
 */
extern InqudEngine *inqud_engine_new(int connections, const char *user_agent);
extern void inqud_engine_set_connections(InqudEngine *engine, int connections);

/* Free the engine; its transfers are ended, and must be freed before or after. */
extern void inqud_engine_free(InqudEngine *engine);

/* The descriptor that is readable whenever inqud_engine_step has something to do. */
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
 * Start a transfer; its clock starts now.  The request must outlive it; "account" is not
 * kept.  NULL on failure (out of memory).  "owner" comes back from inqud_transfer_owner.
 */
extern InqudTransfer *inqud_transfer_start(InqudEngine *engine, const InqudAccount *account,
										   const InqudRequest *request, void *owner);
extern void *inqud_transfer_owner(const InqudTransfer *transfer);

/* Valid once the engine handed the transfer out as done. */
extern const InqudResponse *inqud_transfer_response(const InqudTransfer *transfer);

/* End it if it is under way (at once, whatever its phase), wipe and free; NULL is allowed. */
extern void inqud_transfer_free(InqudTransfer *transfer);

/* ---- Secrets that a server may quote (hide.c) ---- */

/*
 * Finds secrets in what a server says, as they are or escaped.  The secrets are copied;
 * NULL and "" among them count for nothing.  NULL when out of memory.  One text at a time
 * can be looked at with it.
 */
typedef struct InqudHider InqudHider;

extern InqudHider *inqud_hider_new(const char *const *secrets, int n);

/* Wipes and frees; NULL is allowed. */
extern void inqud_hider_free(InqudHider *hider);

/* Shorter ones are hidden in messages and codes only, since an ordinary word may contain them. */
#define INQUD_SECRET_MIN 8

/*
 * May work on bytes from outside go on?  Asked every 64 kB; once it has said no, all of it
 * ends.  It must not throw.  NULL where one is asked for: always.
 */
typedef bool (*InqudGoOn) (void);

/* ---- Replies (reply.c decides the outcome, checkout.c reads the object) ---- */
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
	INQUD_BAD_REPLY,			/* read: 2xx that is not understood, or too large */
	/* not of a reply: the host sent nothing */
	INQUD_HELD,					/* later: the project pauses, or the host has no time */
	INQUD_BLOCKED				/* much later: there is no account for it, or it cannot be built */
} InqudOutcome;

/* The word that tables and messages have for an outcome ("ok", "not_found", ...). */
extern const char *inqud_outcome_name(InqudOutcome outcome);

/* The number of outcomes, for a loop over all. */
#define INQUD_N_OUTCOMES (INQUD_BLOCKED + 1)

/*
 * A checkout as it came (C section 6, 8).  NULL = absent, null, or of a shape that cannot
 * be used (then its name is in "lost").  Texts are valid UTF-8 without NUL, numbers plain
 * decimals (inqud_number_plain), times microseconds since 1970, 0 = none.
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
 * Judge a response and read its body.  NULL when out of memory, or when "go_on" said no.
 * "creating": it answers a create.  "checkout_id": the id a read asked for (another one
 * in the reply is BAD_REPLY), or NULL.
 *
 * The hider's secrets are taken out of it, for a server that quotes what it was sent:
 * asterisks stand for them in message, code and JSON, a member that contains one is lost,
 * and a reply with one in its id or status is not understood.
 */
extern InqudReply *inqud_reply_read(const InqudResponse *response, bool creating,
									const char *checkout_id, InqudHider *hider, InqudGoOn go_on);
extern void inqud_reply_free(InqudReply *reply);

extern InqudOutcome inqud_reply_outcome(const InqudReply *reply);

/*
 * What went wrong, for people: Inqud's own message where there is one (at most 500 bytes,
 * without control characters), else a text of ours.  "" when nothing did.
 */
extern const char *inqud_reply_message(const InqudReply *reply);

/* Inqud's error code, or "". */
extern const char *inqud_reply_code(const InqudReply *reply);

/* The object, when the outcome is OK. */
extern const InqudCheckout *inqud_reply_checkout(const InqudReply *reply);

/*
 * The whole reply as JSON text, when the outcome is OK, it is not large, and any
 * PostgreSQL in UTF-8 can store it as jsonb (no \u0000, no broken surrogates, numbers
 * within numeric's range, nesting within bounds); else NULL.  jsonb_in cannot be
 * interrupted, and takes 2.2 s and 1.4 GB for 30 MB.
 */
#define INQUD_KEPT_BYTES (1024 * 1024)
#define INQUD_KEPT_VALUES 100000
extern const char *inqud_reply_json(const InqudReply *reply, size_t *len);

/* A hash over the members that matter, to tell "nothing new"; 0 is never returned. */
extern uint64_t inqud_reply_hash(const InqudReply *reply);

/*
 * Read the body of a webhook (C section 11); NULL stands for what is absent.  False when
 * it is no JSON object with a non-empty text "id".
 */
typedef struct InqudWebhook
{
	const char *id;
	const char *status;
	const char *checkout_id;
	const char *order_id;
	struct InqudJson *json;		/* where the texts stand */
} InqudWebhook;

/* A text that contains a secret is left out, as above. */
extern bool inqud_webhook_read(const char *body, size_t len, InqudHider *hider, InqudWebhook *out);
extern void inqud_webhook_free(InqudWebhook *webhook);

/* ---- What next (retry.c): pure arithmetic ---- */

/*
 * Wait before attempt number attempts+1, in ms: min doubled at every attempt (attempts >=
 * 1), at most max, times a factor between 1/2 and 1 chosen by "random" (any 32 bits).
 */
extern int64_t inqud_backoff_ms(int attempts, int64_t min_ms, int64_t max_ms, uint32_t random);

/*
 * Take a call from a rate limit (generic cell rate algorithm); *tat is its only state.
 * Returns 0 if the call may go now (and *tat has moved), else the microseconds to wait;
 * rate per second, 0 = no limit.
 */
extern int64_t inqud_rate_take(int64_t *tat, int64_t now, double rate);

/* ---- Rate limits of accounts (limits.c): pure; the host has the table ---- */

/*
 * What stands for an account: address, project and token.  A digest with a random
 * key of the host, so that it tells nothing of the token, and nobody can make one
 * on purpose.
 */
typedef struct InqudDigest
{
	uint8_t		bytes[32];
} InqudDigest;

/* Who asks for a call.  While both kinds wait, they take turns. */
typedef enum InqudAsker
{
	INQUD_BY_SESSION,
	INQUD_BY_WORKER
} InqudAsker;

typedef struct InqudLimiter
{
	InqudDigest key;
	bool		used;
	uint8_t		last;			/* InqudAsker that had the last call */
	uint32_t	holder;			/* the role for which the place was taken */
	InqudClock	tat;			/* theoretical arrival time, see inqud_rate_take */
	InqudClock	paused_until;
	InqudClock	waits_until[2]; /* by InqudAsker: until when its wish for a call stands */
} InqudLimiter;

/* The place of a key among n; NULL if it has none. */
extern InqudLimiter *inqud_limiter_find(InqudLimiter *table, int n, const InqudDigest *key);

/*
 * A place for a key that has none; NULL if all are in use, or this holder has "share"
 * places in use.
 */
extern InqudLimiter *inqud_limiter_place(InqudLimiter *table, int n, const InqudDigest *key,
										 uint32_t holder, int share, InqudClock now);

/* Is it neither ahead of its rate nor paused?  Then nothing is lost if it is forgotten. */
extern bool inqud_limiter_idle(const InqudLimiter *limiter, InqudClock now);

/*
 * Microseconds until the next call may go at this rate per second (0 = no limit); 0 =
 * now.  "take": if it is 0, the call is counted.  Else the asker is known to wait.
 */
extern int64_t inqud_limiter_ask(InqudLimiter *limiter, InqudClock now, double rate,
								 InqudAsker asker, bool take);

/* Let no call go until then, unless a longer pause lasts. */
extern void inqud_limiter_hold(InqudLimiter *limiter, InqudClock until);

/* ---- When a checkout is read next (plan.c): pure arithmetic (C section 14) ---- */
typedef enum InqudPhase
{
	INQUD_PHASE_NONE,			/* it is not followed yet */
	INQUD_PHASE_NEW,			/* nothing has happened yet */
	INQUD_PHASE_ACTIVE,			/* a payment is under way */
	INQUD_PHASE_REOPENED,		/* a word that is not final came after a final one */
	INQUD_PHASE_LATE,			/* expired, but money may still come */
	INQUD_PHASE_CHECK			/* ended; one more look for corrections */
} InqudPhase;

/* Read "new", "active", "reopened", "late" or "check". */
extern bool inqud_phase_read(const char *word, InqudPhase *phase);

/* The word of a phase; NULL for none. */
extern const char *inqud_phase_word(InqudPhase phase);

#define INQUD_NEVER INT64_MAX

typedef struct InqudPlan
{
	bool		over;			/* the last read is due or done */
	int64_t		step;			/* microseconds between reads; 0 = one read, at "until" */
	int64_t		until;			/* microseconds; from then on another plan holds */
} InqudPlan;

/*
 * How a checkout is followed at "now".  "tail_from" is its expiry (NEW, ACTIVE), or the
 * moment its phase began.  All times in microseconds.
 */
extern InqudPlan inqud_plan(InqudPhase phase, int64_t tail_from, int64_t now,
							int64_t poll_new, int64_t poll_active);

/* The next read by this plan after "now"; "now" itself when the plan is over. */
extern int64_t inqud_plan_next(const InqudPlan *plan, int64_t id, int64_t now);

/* ---- What an outcome means for a checkout (lifecycle.c, merge.c): pure, no clock, no I/O ---- */

/*
 * What is wrong with a checkout: how its last call ended (as in InqudOutcome), or why
 * there was none.
 */
typedef enum InqudFault
{
	INQUD_FAULT_NONE,
	INQUD_FAULT_REFUSED,
	INQUD_FAULT_AUTH,
	INQUD_FAULT_ROUTE,
	INQUD_FAULT_NOT_FOUND,
	INQUD_FAULT_THROTTLED,
	INQUD_FAULT_UNREACHABLE,
	INQUD_FAULT_UNKNOWN,
	INQUD_FAULT_BAD_REPLY,
	INQUD_FAULT_NO_OWNER,		/* the row's owner is no role any more */
	INQUD_FAULT_NO_SERVER,
	INQUD_FAULT_NO_RIGHT,		/* the owner lacks USAGE */
	INQUD_FAULT_NO_KEY,			/* no user mapping, or one without a token */
	INQUD_FAULT_OPTIONS,		/* an option or the secret file cannot be used, or it is no project */
	INQUD_FAULT_PROJECT_CHANGED,	/* the server has another project_id now */
	INQUD_FAULT_ORDER,			/* no request can be built of the order */
	INQUD_FAULT_MISFIT,			/* the answer is not that of this order */
	INQUD_FAULT_CRASHED,		/* sending it ended the worker again and again */
	INQUD_FAULT_DESCRIPTORS		/* this process may open no more descriptors */
} InqudFault;

/* The fault of a call that was made; INQUD_FAULT_NONE if it was not, or went well. */
extern InqudFault inqud_fault_of(InqudOutcome outcome);

/* Our word for how far a checkout has come. */
typedef enum InqudState
{
	INQUD_QUEUED,
	INQUD_OPEN,
	INQUD_CLOSED,
	INQUD_FAILED,
	INQUD_CANCELED
} InqudState;

/*
 * A checkout as it is recorded.  "is" has what replies bring; its fixed amount and
 * currency are those of the order, created_at and updated_at are Inqud's.
 */
typedef struct InqudRecord
{
	int64_t		id;
	InqudState	state;
	bool		current;
	bool		canceled;		/* inqud_cancel has been called */
	InqudCheckout is;
	int64_t		made_at;		/* when the row was made */
	int64_t		closed_at;
	int64_t		paid_at;		/* SUCCESS was said first; never changes */
	bool		holds_money;	/* SUCCESS or CONFLICT was said, and the order was not given free after it */
	int64_t		contradiction;	/* digest of what was said last against this record; 0 = nothing */
	const char *error;
	InqudFault	fault;
} InqudRecord;

/* Its row in the queue. */
typedef struct InqudQueueRow
{
	bool		exists;
	bool		creates;		/* the create is to be sent; else it is followed */
	bool		asked;			/* a read was asked for, not before due_at */
	int64_t		lease;			/* of a create that is being sent; 0 = none */
	int			poke;			/* counts requests for a read */
	int			attempts;
	int			answers;		/* counts the answers that were recorded */
	int64_t		spent;			/* microseconds of retrying */
	int64_t		due_at;
	InqudPhase	phase;
	int64_t		tail_from;		/* see inqud_plan */
} InqudQueueRow;

/* What the row was to the call. */
typedef enum InqudAim
{
	INQUD_AIM_READ,
	INQUD_AIM_CREATE,
	INQUD_AIM_SECOND,			/* the row was added for a second answer to a create */
	INQUD_AIM_FOUND				/* the row takes what only a webhook had named */
} InqudAim;

/* How a call ended, with what was known of the queue row when it began. */
typedef struct InqudEnding
{
	InqudAim	aim;
	bool		by_worker;		/* else by a session, which the worker does not know of */
	int64_t		lease;
	int			poke;
	int			answers;
	InqudOutcome outcome;
	InqudFault	fault;
	const char *message;
	int64_t		retry_in;		/* microseconds */
	int64_t		retry_for;		/* microseconds of retrying after which a create fails */
	int64_t		read_in;		/* microseconds until the worker reads what a session has read */
	int64_t		sent_expires_at;	/* expiry that a create was sent with */
	InqudCheckout reply;		/* when the outcome is INQUD_OK */
	int64_t		second_of;		/* INQUD_AIM_SECOND: id of the order's first row */
	const char *named_order;	/* INQUD_AIM_FOUND: it names this order and fits none of its rows */
} InqudEnding;

/* What else was found when the rows were looked up. */
typedef struct InqudFacts
{
	int64_t		now;
	int64_t		held_by;		/* id of another row with the reply's id; 0 = none */
	bool		alone;			/* the order has no other row */
	const int64_t *unsent;		/* when it has, and the decision has asked: those queued that nobody is sending */
	int			n_unsent;
} InqudFacts;

/* The sentences of errors and of the history, for people; with what stands in them. */
typedef enum InqudSentence
{
	INQUD_SAYS_NOTHING,
	INQUD_SAYS_TEXT,			/* text */
	INQUD_SAYS_REPEATED,		/* text, and that the call will be repeated */
	INQUD_SAYS_LOST,			/* text: names of members that cannot be stored */
	INQUD_SAYS_UNKNOWN_STATUS,
	INQUD_SAYS_SECOND_ANSWER,	/* number: the first row's id */
	INQUD_SAYS_REOPENED,		/* text: the new status; other: the old one */
	INQUD_SAYS_TAKEN_BACK,		/* text: the new status; other: SUCCESS or CONFLICT */
	INQUD_SAYS_OTHER_PAYMENT,
	INQUD_SAYS_FOUND,
	INQUD_SAYS_FITS_NONE,		/* text: the order */
	INQUD_SAYS_UNREAD,			/* text: Inqud's id; other: why */
	INQUD_SAYS_NOT_SENT,
	INQUD_SAYS_GIVEN_UP,		/* number: attempts; text: why */
	INQUD_SAYS_OTHER_ORDER,		/* these of a read have text: what it says instead; other: its status */
	INQUD_SAYS_OTHER_PROJECT,
	INQUD_SAYS_OTHER_TYPE,
	INQUD_SAYS_OTHER_AMOUNT,
	INQUD_SAYS_HELD				/* text: Inqud's id; number: the row that has it */
} InqudSentence;

typedef struct InqudSaying
{
	InqudSentence what;
	bool		late;			/* of a late answer, which is left aside for that reason */
	const char *text;
	const char *other;
	int64_t		number;
} InqudSaying;

typedef enum InqudEventKind
{
	INQUD_EVENT_CREATED,
	INQUD_EVENT_STATUS,
	INQUD_EVENT_CHANGED,
	INQUD_EVENT_WEBHOOK,
	INQUD_EVENT_ERROR,
	INQUD_EVENT_FAILED,
	INQUD_EVENT_CANCELED,
	INQUD_EVENT_ANOMALY
} InqudEventKind;

/* A row of the history. */
typedef struct InqudNote
{
	InqudEventKind kind;
	InqudSaying says;
	bool		of_reply;		/* with the HTTP status of the reply */
	const char *status_from;
	const char *status_to;
	const char *reason;
} InqudNote;

/* The result of recording an outcome. */
typedef enum InqudApplied
{
	INQUD_APPLIED_DONE,
	INQUD_APPLIED_SAME,			/* it brings nothing new, and nothing is written */
	INQUD_APPLIED_LOCKED,		/* another session or the worker has the row locked */
	INQUD_APPLIED_GONE			/* the row is gone, or no longer in the state that the call was made for */
} InqudApplied;

typedef enum InqudQueueAction
{
	INQUD_QUEUE_KEEP,
	INQUD_QUEUE_PUT,
	INQUD_QUEUE_DELETE
} InqudQueueAction;

#define INQUD_MAX_SIBLINGS 8
#define INQUD_MAX_NOTES 8

typedef struct InqudDecision
{
	InqudApplied applied;
	bool		write;			/* the checkout becomes "record" */
	bool		keep_reply;		/* and the whole reply is stored */
	bool		money;			/* SUCCESS or CONFLICT has come; the row notes from which event on */
	InqudRecord record;			/* without error: */
	InqudSaying error;
	InqudQueueAction queue;
	InqudQueueRow row;			/* the queue row, as it is or will be */
	bool		tell;			/* the shop is told */
	InqudNote	notes[INQUD_MAX_NOTES];
	int			n_notes;
	bool		add_row;		/* the answer needs a row of its own; then it is INQUD_AIM_SECOND */
	bool		ask_siblings;	/* decide again, with the siblings */
	int64_t		drop[INQUD_MAX_SIBLINGS];	/* siblings that must not be sent any more */
	int			n_drop;
} InqudDecision;

/*
 * What the outcome of a call means for a checkout and its queue row: takes what is
 * recorded and how the call ended, and says what to record.  It keeps no pointer; those
 * in a decision lead into its arguments.  Texts may be in any encoding, the same for all.
 * Times are microseconds since 1970; 0 = none.
 */
extern void inqud_decide(const InqudRecord *checkout, const InqudQueueRow *queue, const InqudEnding *ending,
						 const InqudFacts *facts, InqudDecision *decision);

/*
 * Lay a reply to a read over a record as it would be recorded, for a caller that
 * cannot record it.  False for the reply of another order, which is left aside.
 */
extern bool inqud_show_reply(InqudRecord *record, const InqudCheckout *reply, int64_t now);

/* Is it SUCCESS, CONFLICT or EXPIRED, which Inqud changes only in exceptional cases?  False for NULL. */
extern bool inqud_is_final(const char *status);

/* What to do with an id that only a webhook had named, and that was read. */
typedef enum InqudFoundAction
{
	INQUD_FOUND_DROP,			/* it is not ours, or cannot be read: forget it, with an event */
	INQUD_FOUND_LATER,			/* read it again after retry_in */
	INQUD_FOUND_TAKE,			/* the row "take" has no id yet, and becomes it */
	INQUD_FOUND_ADD				/* it gets a row of its own, which is not current */
} InqudFoundAction;

typedef struct InqudFound
{
	InqudFoundAction action;
	int			take;			/* index of the order's row */
	bool		foreign;		/* it names an order and fits none of its rows */
	const char *why;			/* INQUD_FOUND_DROP */
} InqudFound;

/*
 * "rows" are those of the order that the reply names, "waiting" the index of the one
 * that is current, has no id yet and is queued or failed (-1 = none).  "project_id"
 * is the server's, NULL when there is no server any more.
 */
extern void inqud_decide_found(const InqudEnding *ending, int attempts, const char *project_id,
							   const InqudRecord *rows, int n_rows, int waiting, int64_t held_by,
							   InqudFound *found);

#endif							/* INQUD_CLIENT_H */
