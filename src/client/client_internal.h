/*-------------------------------------------------------------------------
 *
 * client_internal.h
 *		What the files of src/client share among themselves.
 *
 * Nothing outside src/client and its tests includes this.  It must not name a
 * type of libcurl (http.c alone knows it), of json-c (json.c alone knows it)
 * or of PostgreSQL (none knows it).
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_CLIENT_INTERNAL_H
#define INQUD_CLIENT_INTERNAL_H

#include "inqud_client.h"

struct sockaddr;

/* ---------------------------------------------------------------------
 * buffer.c: bytes with a mandatory ceiling, wiped before they are freed
 * ---------------------------------------------------------------------
 */
typedef struct InqudBuffer
{
	char	   *data;			/* NUL-terminated; NULL while nothing was added */
	size_t		len;			/* without the NUL */
	size_t		size;			/* allocated */
	size_t		max;			/* "len" never exceeds it */
	bool		failed;			/* something did not fit or memory ran out;
								 * stays set until cleared */
} InqudBuffer;

extern void inqud_buffer_init(InqudBuffer *buffer, size_t max);

/* Allocate for "len" bytes at once. */
extern bool inqud_buffer_reserve(InqudBuffer *buffer, size_t len);
extern bool inqud_buffer_add(InqudBuffer *buffer, const void *data, size_t len);
extern bool inqud_buffer_add_text(InqudBuffer *buffer, const char *text);
extern bool inqud_buffer_add_char(InqudBuffer *buffer, char c);

/* Wipe and empty, keeping the memory if it is at most "keep" bytes. */
extern void inqud_buffer_clear(InqudBuffer *buffer, size_t keep);
extern void inqud_buffer_free(InqudBuffer *buffer);

/* ---------------------------------------------------------------------
 * memory.c: freeing what others have filled, for libcurl
 * ---------------------------------------------------------------------
 */
extern void inqud_memory_free(void *memory);
extern void *inqud_memory_resize(void *memory, size_t size);

/* ---------------------------------------------------------------------
 * text.c: UTF-8 and characters, independent of the locale
 * ---------------------------------------------------------------------
 */

/* Length of the character at "text", 0 if the bytes are not valid UTF-8. */
extern int	inqud_utf8_next(const char *text, size_t len, uint32_t *codepoint);
extern bool inqud_utf8_valid(const char *text, size_t len);

/*
 * Copy for people: control and direction characters go (line breaks become
 * spaces), invalid bytes become '?', cut on a character's border.  Returns the
 * length written.
 */
extern size_t inqud_text_clean(char *out, size_t size,
							   const char *text, size_t len);

/* Non-empty, at most "max" bytes, printable ASCII without spaces. */
extern bool inqud_text_is_token(const char *text, size_t max);

static inline bool
inqud_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The value of a hexadecimal digit, -1 for another character. */
static inline int
inqud_hex_value(char c)
{
	if (inqud_is_digit(c))
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* ---------------------------------------------------------------------
 * hide.c: asterisks in place of a secret, which must not be empty
 * ---------------------------------------------------------------------
 */
extern void inqud_hide_text(char *text, const char *secret);

/* The text was cut: hide what may be the secret's beginning at its end. */
extern void inqud_hide_cut(char *text, const char *secret);

/*
 * Hide it in the strings of a JSON text, escaped or not.  False when it stands
 * elsewhere in the text, where asterisks would break the JSON.
 */
extern bool inqud_hide_json(char *text, size_t len, const char *secret);

/* ---------------------------------------------------------------------
 * time.c, retry.c: beyond the public ones
 * ---------------------------------------------------------------------
 */

/* An HTTP date in any of its three forms, as seconds since 1970. */
extern bool inqud_http_date_read(const char *text, size_t len, int64_t *seconds);

/* Value of a Retry-After header in ms, 0 to one day; -1 if not understood. */
extern int64_t inqud_retry_after_read(const char *text, size_t len,
									  int64_t now_seconds);

/* ---------------------------------------------------------------------
 * url.c, address.c
 * ---------------------------------------------------------------------
 */

/* What the host of a base URL is; decides which addresses it may lead to. */
typedef enum InqudHostKind
{
	INQUD_HOST_NAME,			/* a name: public addresses only */
	INQUD_HOST_LOCAL,			/* "localhost": loopback only */
	INQUD_HOST_ADDRESS			/* an address was configured: that one */
} InqudHostKind;

/* The base URL must have passed inqud_check_base_url. */
extern InqudHostKind inqud_url_host_kind(const char *base_url);

/* Append base URL (without slashes at its end) and filled-in path template. */
extern bool inqud_url_build(InqudBuffer *url, const char *base_url,
							const char *path_template,
							const char *project_id, const char *checkout_id);

/* May a transfer whose host is of this kind talk to this address? */
extern bool inqud_address_allowed(const struct sockaddr *address,
								  InqudHostKind host);

/* What inqud_connect_refusal says of a CA file. */
extern const char inqud_unfit_ca_file[];

/*
 * May a connection to this address be opened, and this file ("" = none) be read
 * for its certificate?  NULL, or why not.
 */
extern const char *inqud_connect_refusal(const struct sockaddr *address,
										 InqudHostKind host,
										 const char *ca_file);

/* Who a socket is connected to, numeric; "" if it is not. */
extern void inqud_address_of_peer(int fd, char *out, size_t size);

/* ---------------------------------------------------------------------
 * json_scan.c: the grammar of JSON over raw text; allocates nothing
 * ---------------------------------------------------------------------
 */
#define INQUD_JSON_MAX_DEPTH 32
#define INQUD_JSON_MAX_SIZE ((size_t) 64 * 1024 * 1024)

/* One place of the text that has to be mended before json-c may see it. */
typedef enum InqudJsonFlaw
{
	INQUD_JSON_LONG_INTEGER,	/* ends at "offset": json-c would saturate it */
	INQUD_JSON_NUL_IN_NAME		/* \u0000 at "offset" would cut a member's name */
} InqudJsonFlaw;

typedef struct InqudJsonScan
{
	bool		storable;		/* any PostgreSQL can take it as jsonb */
	size_t		flaws;			/* how many there are */
	/* called for every flaw, in order of offset; may be NULL */
	void		(*on_flaw) (void *arg, InqudJsonFlaw flaw, size_t offset);

	/*
	 * Called for every member of the top object, with its text, of which the
	 * first name_len bytes are the name in its quotes; may be NULL.
	 */
	void		(*on_member) (void *arg, const char *member, size_t name_len,
							  size_t len);
	void	   *arg;
} InqudJsonScan;

/* Is it one JSON value in valid UTF-8, nested at most INQUD_JSON_MAX_DEPTH? */
extern bool inqud_json_scan(const char *text, size_t len, InqudJsonScan *scan);

/* ---------------------------------------------------------------------
 * json.c: reading through tables, writing
 * ---------------------------------------------------------------------
 */
typedef struct InqudJson InqudJson;

typedef enum InqudFieldType
{
	INQUD_FIELD_TEXT,			/* const char *: text without NUL */
	INQUD_FIELD_TOKEN,			/* const char *: printable ASCII, not empty */
	INQUD_FIELD_URL,			/* const char *: http(s) URL */
	INQUD_FIELD_AMOUNT,			/* const char *: plain decimal, not negative */
	INQUD_FIELD_TIME,			/* int64_t: microseconds since 1970 */
	INQUD_FIELD_FLAG			/* int: 0, 1 */
} InqudFieldType;

typedef struct InqudField
{
	const char *object;			/* the member it stands in; NULL = top level */
	const char *name;
	InqudFieldType type;
	bool		required;		/* must be there, usable and not empty */
	size_t		limit;			/* longest text in bytes */
	size_t		offset;			/* of the target in the caller's struct */
} InqudField;

/* Names of members that were there and could not be used. */
typedef struct InqudLost
{
	char		text[1024];
	size_t		len;
} InqudLost;

/* Add "object.name", or "name"; one that does not fit is left out. */
extern void inqud_lost_add(InqudLost *lost, const char *object, const char *name);

/*
 * Parse.  NULL if it is no JSON or memory ran out, which "no_memory" tells
 * apart.  Of an object only the members with the wanted names are kept
 * (NULL-terminated; NULL = all), which makes reading much cheaper.
 */
extern InqudJson *inqud_json_read(const char *text, size_t len,
								  const char *const *wanted, bool *no_memory);
extern void inqud_json_free(InqudJson *json);
extern bool inqud_json_is_object(const InqudJson *json);
extern bool inqud_json_storable(const InqudJson *json);

/* Does the object have a member of that name (object = false), that is an object? */
extern bool inqud_json_has(const InqudJson *json, const char *name, bool object);

/* A text member of the top object without NUL; or a number's text too. */
extern const char *inqud_json_text(InqudJson *json, const char *name,
								   bool or_number);

/*
 * Fill the struct at "target", whose members must have been set to their
 * "absent" values, by the table.  Fields of one object stand together.  Returns
 * the name of the first required field that is missing or unusable, NULL when
 * all are there.  What is filled in lives as long as "json".
 */
extern const char *inqud_json_fields(InqudJson *json, const InqudField *fields,
									 int nfields, void *target,
									 InqudLost *lost);

/* Append a JSON string; false if the text is not valid UTF-8. */
extern bool inqud_json_add_string(InqudBuffer *out, const char *text);

/* Append ,"name": (the comma only behind another member). */
extern bool inqud_json_add_name(InqudBuffer *out, const char *name);

/* Append the members of a checked object, without its braces and white space. */
extern bool inqud_json_add_members(InqudBuffer *out, const char *object,
								   size_t len);

/* ---------------------------------------------------------------------
 * checkout.c, auth.c
 * ---------------------------------------------------------------------
 */
#define INQUD_MAX_HEADERS 6

struct InqudRequest
{
	bool		post;
	InqudHostKind host;
	InqudBuffer url;
	InqudBuffer body;
	InqudBuffer header_text;	/* all headers, each NUL-terminated */
	int			nheaders;
	const char *headers[INQUD_MAX_HEADERS + 1];
};

/* Write all headers of the request; its body must be complete.  NULL or why not. */
extern const char *inqud_auth_headers(InqudRequest *request,
									  const InqudAccount *account,
									  const InqudCrypto *crypto);

/* Read a checkout object; NULL, or the name of the essential member that fails. */
extern const char *inqud_checkout_read(InqudJson *json, InqudCheckout *checkout,
									   InqudLost *lost);
extern uint64_t inqud_checkout_hash(const InqudCheckout *checkout);

/*
 * Lose the texts that contain a secret.  Returns the name of the essential
 * member that does, which cannot be lost; else NULL.
 */
extern const char *inqud_checkout_hide(InqudCheckout *checkout, InqudLost *lost,
									   const char *secret);

/* ---------------------------------------------------------------------
 * poller.c: readiness of many descriptors behind one
 * ---------------------------------------------------------------------
 */
typedef struct InqudReady
{
	int			fd;
	bool		in;
	bool		out;
	bool		error;
} InqudReady;

/* A descriptor, or -1. */
extern int	inqud_poller_new(void);

/* Watch for these directions from now on; none of them = forget it. */
extern bool inqud_poller_set(int poller, int fd, bool in, bool out);

/* Fill in what is ready, without waiting; the number, or -1. */
extern int	inqud_poller_ready(int poller, InqudReady *ready, int max);

/* Microseconds of a clock that nobody sets. */
extern int64_t inqud_clock_us(void);

/* ---------------------------------------------------------------------
 * receiver.c: the bytes of one exchange
 * ---------------------------------------------------------------------
 */
typedef struct InqudReceiver
{
	bool		send_once;		/* never repeat the request */
	int			attempts;		/* how often sending it began */
	size_t		header_bytes;
	bool		head_ended;		/* the empty line behind the headers came */
	InqudBuffer body;			/* of the reply */
	bool		too_large;
	bool		no_memory;
	int64_t		retry_after_ms; /* -1 = none */
	int64_t		date;			/* of the reply, seconds since 1970; 0 = none */
} InqudReceiver;

/* Begin anew, keeping the buffer's memory. */
extern void inqud_receiver_reset(InqudReceiver *receiver, bool send_once,
								 int64_t max_reply_size);

/* Callbacks; "arg" is the InqudReceiver. */
extern int	inqud_on_request(void *arg, char *remote_ip, char *local_ip,
							 int remote_port, int local_port);
extern size_t inqud_on_body(char *data, size_t size, size_t count, void *arg);
extern size_t inqud_on_header(char *data, size_t size, size_t count, void *arg);

/* ---------------------------------------------------------------------
 * http.c, for engine.c: exchanges on a multi handle
 *
 * Signals must be blocked around start, stop, lose, ready, tick, ended and
 * free.
 * ---------------------------------------------------------------------
 */
typedef struct InqudHttp InqudHttp;
typedef struct InqudExchange InqudExchange;

typedef enum InqudStart
{
	INQUD_STARTED,
	INQUD_START_FAILED,			/* this one: out of memory */
	INQUD_START_LOST			/* libcurl's state is lost */
} InqudStart;

/* "user_agent" is kept, and so is the poller; both outlive the result. */
extern InqudHttp *inqud_http_new(int poller, const char *user_agent,
								 int connections);
extern void inqud_http_set_connections(InqudHttp *http, int connections);

/* All exchanges must have been stopped or lost. */
extern void inqud_http_free(InqudHttp *http);

/* Microseconds until "tick" must be called; -1 = never. */
extern int64_t inqud_http_wait_us(const InqudHttp *http);

/* A socket is ready; false when libcurl's state is lost. */
extern bool inqud_http_ready(InqudHttp *http, const InqudReady *ready);

/* Do what "wait_us" was waiting for, if the time has come; false as above. */
extern bool inqud_http_tick(InqudHttp *http);

/* The owner of an exchange that ended, or NULL. */
extern void *inqud_http_ended(InqudHttp *http);

extern InqudExchange *inqud_exchange_new(void *owner);
extern InqudStart inqud_exchange_start(InqudHttp *http, InqudExchange *exchange,
									   const InqudAccount *account,
									   const InqudRequest *request);
extern const InqudResponse *inqud_exchange_response(const InqudExchange *exchange);

/* End it if it runs, at once, and wipe what it holds; it can start anew. */
extern void inqud_exchange_stop(InqudHttp *http, InqudExchange *exchange);

/* End a running one as "no answer", because libcurl's state is lost. */
extern void inqud_exchange_lose(InqudHttp *http, InqudExchange *exchange);

/* It must not run. */
extern void inqud_exchange_free(InqudExchange *exchange);

#endif							/* INQUD_CLIENT_INTERNAL_H */
