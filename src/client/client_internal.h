/*-------------------------------------------------------------------------
 *
 * client_internal.h
 *		What the files of src/client share among themselves.
 *
 * Nothing outside src/client and its tests includes this.  It must not name a type of
 * libcurl (transfer.h has them), of json-c (json.c alone knows it) or of PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_CLIENT_INTERNAL_H
#define INQUD_CLIENT_INTERNAL_H

#include "inqud_client.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

struct sockaddr;

/* ---- buffer.c: bytes with a mandatory ceiling, wiped before they are freed ---- */
typedef struct InqudBuffer
{
	char	   *data;			/* NUL-terminated; NULL while nothing was added */
	size_t		len;			/* without the NUL */
	size_t		size;			/* allocated */
	size_t		max;			/* "len" never exceeds it */
	bool		failed;			/* something did not fit or memory ran out; until cleared */
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

/* free() that wipes, and realloc() that leaves no copy behind, for libcurl. */
extern void inqud_memory_free(void *memory);
extern void *inqud_memory_resize(void *memory, size_t size);

/* ---- text.c: UTF-8 and characters, independent of the locale ---- */

/* Length of the character at "text", 0 if the bytes are not valid UTF-8. */
extern int	inqud_utf8_next(const char *text, size_t len, uint32_t *codepoint);
extern bool inqud_utf8_valid(const char *text, size_t len);

/*
 * Copy for people: control and direction characters go (line breaks become spaces),
 * invalid bytes become '?', cut on a character's border.  Returns the length written.
 */
extern size_t inqud_text_clean(char *out, size_t size, const char *text, size_t len);

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

/*
 * ---- hide.c: asterisks in place of whole secrets, before anything is cut ----
 *
 * A secret is found as it is and escaped: as in JSON, in a URL ("%41"), or both.
 * "go_on" may be NULL, and so may "hider".
 */
typedef enum InqudHidden
{
	INQUD_HIDDEN_NOTHING,		/* there was no secret */
	INQUD_HIDDEN_ALL,
	INQUD_HIDDEN_NOT,			/* of JSON: one stands where asterisks would break it */
	INQUD_HIDDEN_STOPPED		/* the host said so; the text must not be used */
} InqudHidden;

extern InqudHidden inqud_hide_text(InqudHider *hider, char *text, size_t len, InqudGoOn go_on);

/* In the strings of a JSON text; secrets below INQUD_SECRET_MIN bytes are left. */
extern InqudHidden inqud_hide_json(InqudHider *hider, char *text, size_t len, InqudGoOn go_on);

/*
 * A quick look: false if there may be a secret of at least INQUD_SECRET_MIN bytes in
 * the JSON text or in any string of it.
 */
extern bool inqud_hider_passes(const InqudHider *hider, const char *json, size_t len);

/* Is there a secret of at least INQUD_SECRET_MIN bytes in the text? */
extern bool inqud_hider_finds(InqudHider *hider, const char *text);

/*
 * Copy for people, see inqud_text_clean: hidden as a whole, and only then cut.
 * False when out of memory.
 */
extern bool inqud_hide_words(InqudHider *hider, const char *text, char *out, size_t size);

/* ---- url.c, address.c ---- */

/* What kind of host a base URL has, which decides where it may lead to. */
typedef enum InqudHostKind
{
	INQUD_HOST_NAME,			/* a name: public addresses only */
	INQUD_HOST_LOCAL,			/* "localhost": loopback only */
	INQUD_HOST_ADDRESS			/* an address was configured: that one */
} InqudHostKind;

/* The base URL must have passed inqud_check_base_url. */
extern InqudHostKind inqud_url_host_kind(const char *base_url);

/* Append base URL (without slashes at its end) and filled-in path template. */
extern bool inqud_url_build(InqudBuffer *url, const char *base_url, const char *path_template,
							const char *project_id, const char *checkout_id);

/* What inqud_connect_refusal says of a CA file. */
extern const char inqud_unfit_ca_file[];

/* Why no connection to this address may be opened with this CA file ("" = none); or NULL. */
extern const char *inqud_connect_refusal(const struct sockaddr *address, InqudHostKind host,
										 const char *ca_file);

/* The numeric address that a socket is connected to; "" if it is not. */
extern void inqud_address_of_peer(int fd, char *out, size_t size);

/* ---- json_scan.c: the grammar of JSON over raw text; allocates nothing ---- */
#define INQUD_JSON_MAX_DEPTH 32
#define INQUD_JSON_MAX_SIZE ((size_t) 64 * 1024 * 1024)

/* A member of an object. */
typedef struct InqudJsonMember
{
	const char *name;			/* without its quotes, escapes as they are */
	size_t		name_len;
	const char *value;			/* its text */
	size_t		len;
} InqudJsonMember;

typedef struct InqudJsonScan
{
	bool		storable;		/* any PostgreSQL can take it as jsonb */
	size_t		values;			/* how many there are, objects and arrays included */
	bool		object;			/* it is an object */
	bool		stopped;		/* the host said so */
	InqudGoOn	go_on;			/* may be NULL */

	/*
	 * Called for every member of the top object (level 1), and before that for
	 * every member of it if it is an object (level 2); may be NULL.
	 */
	void		(*on_member) (void *arg, int level, const InqudJsonMember *member);
	void	   *arg;
} InqudJsonScan;

/* Is it one JSON value in valid UTF-8, nested at most INQUD_JSON_MAX_DEPTH? */
extern bool inqud_json_scan(const char *text, size_t len, InqudJsonScan *scan);

/* Resolve the escape at "p" into n bytes.  Returns its length; 0 if there is none. */
extern size_t inqud_json_unescape(const char *p, const char *end, char out[4], int *n);

/* ---- json.c: reading through tables, writing ---- */
typedef struct InqudJson InqudJson;

typedef enum InqudFieldType
{
	INQUD_FIELD_TEXT,			/* const char *: text without NUL */
	INQUD_FIELD_TOKEN,			/* const char *: printable ASCII, not empty */
	INQUD_FIELD_URL,			/* const char *: http(s) URL */
	/* from here on no text of the server's */
	INQUD_FIELD_AMOUNT,			/* const char *: plain decimal, not negative */
	INQUD_FIELD_TIME,			/* int64_t: microseconds since 1970 */
	INQUD_FIELD_FLAG			/* int: 0, 1 */
} InqudFieldType;

/* What becomes of a member that record and reply both have (merge.c). */
typedef enum InqudKeep
{
	INQUD_KEEP_APART,			/* by another rule, or not recorded */
	INQUD_KEEP_FIRST,			/* what is recorded stays */
	INQUD_KEEP_LAST,			/* the reply's is taken */
	INQUD_KEEP_MONEY,			/* the same, until it is paid; then what SUCCESS said stays */
	INQUD_KEEP_PAYMENT,			/* the same, and its change alone is an event */
	INQUD_KEEP_DETAIL			/* the reply's is taken, and its change alone is an event */
} InqudKeep;

typedef struct InqudField
{
	const char *object;			/* the member it stands in; NULL = top level */
	const char *name;
	InqudFieldType type;
	bool		required;		/* must be there, usable and not empty */
	size_t		limit;			/* longest text in bytes */
	size_t		offset;			/* of the target in the caller's struct */
	InqudKeep	keep;
} InqudField;

/* Names of members that were there and could not be used. */
typedef struct InqudLost
{
	char		text[1024];
	size_t		len;
} InqudLost;

/* Add "object.name", or "name"; one that does not fit is left out. */
extern void inqud_lost_add(InqudLost *lost, const char *object, const char *name);

/* What is wanted of a JSON object: fields, and further members of its top level. */
typedef struct InqudJsonWish
{
	const InqudField *fields;
	int			nfields;
	const char *const *names;	/* NULL-terminated, or NULL */
} InqudJsonWish;

typedef enum InqudJsonEnd
{
	INQUD_JSON_READ,
	INQUD_JSON_NONE,			/* it is no JSON */
	INQUD_JSON_NO_MEMORY,
	INQUD_JSON_STOPPED			/* the host said so */
} InqudJsonEnd;

/*
 * Parse; NULL unless *end says INQUD_JSON_READ.  Of an object only what is wanted is
 * kept, of that no value longer than INQUD_JSON_LONGEST bytes, and what stands in
 * an object that is no field's is empty.  So memory is bounded whatever the text is.
 */
#define INQUD_JSON_LONGEST (16 * 1024)
extern InqudJson *inqud_json_read(const char *text, size_t len, const InqudJsonWish *wish,
								  InqudGoOn go_on, InqudJsonEnd *end);
extern void inqud_json_free(InqudJson *json);
extern bool inqud_json_is_object(const InqudJson *json);
extern bool inqud_json_storable(const InqudJson *json);

/* How many values its text has. */
extern size_t inqud_json_values(const InqudJson *json);

/* Does the object have a member of that name (object = false), that is an object? */
extern bool inqud_json_has(const InqudJson *json, const char *name, bool object);

/* A text member of the top object without NUL; or a number's text too. */
extern const char *inqud_json_text(InqudJson *json, const char *name, bool or_number);

/*
 * Fill the struct at "target", whose members must have been set to their "absent" values,
 * by the table.  Fields of one object stand together.  Returns the name of the first
 * required field that is missing or unusable, NULL when all are there.  What is filled in
 * lives as long as "json".
 */
extern const char *inqud_json_fields(InqudJson *json, const InqudField *fields,
									 int nfields, void *target, InqudLost *lost);

/* Append a JSON string; false if the text is not valid UTF-8. */
extern bool inqud_json_add_string(InqudBuffer *out, const char *text);

/* Append ,"name": (the comma only behind another member). */
extern bool inqud_json_add_name(InqudBuffer *out, const char *name);

/* Append the members of a checked object, without its braces and white space. */
extern bool inqud_json_add_members(InqudBuffer *out, const char *object, size_t len);

/* ---- checkout.c, auth.c ---- */
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
	const char *signature;		/* the value of one of them, or NULL */
};

/* Write all headers of the request; its body must be complete. */
extern InqudWhy inqud_auth_headers(InqudRequest *request, const InqudAccount *account,
								   const InqudCrypto *crypto);

/* The members of a checkout object. */
#define INQUD_N_FIELDS 24
extern const InqudField inqud_checkout_fields[INQUD_N_FIELDS];

/* Read a checkout object; NULL, or the name of the essential member that fails. */
extern const char *inqud_checkout_read(InqudJson *json, InqudCheckout *checkout,
									   InqudLost *lost);
extern uint64_t inqud_checkout_hash(const InqudCheckout *checkout);

/* FNV-1a over more bytes; begin with INQUD_HASH_START. */
#define INQUD_HASH_START UINT64_C(0xcbf29ce484222325)
extern uint64_t inqud_hash_bytes(uint64_t hash, const void *data, size_t len);
extern uint64_t inqud_hash_text(uint64_t hash, const char *text);

/*
 * Lose the texts that contain a secret of INQUD_SECRET_MIN bytes or more.  Returns the
 * name of the essential member that does, which cannot be lost; else NULL.
 */
extern const char *inqud_checkout_hide(InqudCheckout *checkout, InqudLost *lost,
									   InqudHider *hider);

/* ---- poller.c: readiness of many descriptors behind one ---- */
/* A descriptor, or -1. */
extern int	inqud_poller_new(void);

/* Watch for these directions from now on; none of them = forget it. */
extern bool inqud_poller_set(int poller, int fd, bool in, bool out);

/* Fill in the descriptors that are ready, without waiting; the number, or -1. */
#define INQUD_READY_AT_ONCE 64
extern int	inqud_poller_ready(int poller, int ready[INQUD_READY_AT_ONCE]);

/* ---- receiver.c: the bytes of one transfer ---- */
typedef struct InqudReceiver
{
	bool		send_once;		/* never repeat the request */
	int			attempts;		/* how often sending it began */
	size_t		header_bytes;
	bool		head_ended;		/* the empty line behind the headers came */
	InqudBuffer body;			/* of the reply */
	bool		too_large;
	bool		no_memory;
} InqudReceiver;

/* Begin anew, keeping the buffer's memory. */
extern void inqud_receiver_reset(InqudReceiver *receiver, bool send_once,
								 int64_t max_reply_size);

/* Callbacks; "arg" is the InqudReceiver. */
extern int	inqud_on_request(void *arg, char *remote_ip, char *local_ip,
							 int remote_port, int local_port);
extern size_t inqud_on_body(char *data, size_t size, size_t count, void *arg);
extern size_t inqud_on_header(char *data, size_t size, size_t count, void *arg);

/* ---- retry.c, plan.c ---- */

/*
 * The first tick after "now" of a clock that ticks every "step" with a phase that depends
 * on "id" alone, all in microseconds: so reads of many checkouts spread evenly and a
 * restart goes on where it was.
 */
extern int64_t inqud_next_tick(int64_t id, int64_t step, int64_t now);

/* The one read for corrections after the end of a checkout comes so much later (plan.c, lifecycle.c). */
#define INQUD_CHECK_AFTER	(4 * INT64_C(3600000000))

/* ---- merge.c ---- */

/*
 * Lay a reply over a record: what is absent from the reply stays, a status that is not
 * final does not follow one that is, and what was paid stays as SUCCESS said it first.
 * Returns whether anything changes.
 */
extern bool inqud_merge_reply(InqudRecord *record, const InqudCheckout *reply);

/* Does it say other amounts or another asset than those that are recorded of a payment? */
extern bool inqud_pays_otherwise(const InqudRecord *record, const InqudCheckout *reply);

/*
 * A digest of what a reply says against a record: its status and, each if that is
 * asked for, what was ordered and what was paid.  Never 0.
 */
extern int64_t inqud_digest_against(const InqudCheckout *reply, bool ordered, bool paid);

/* The sentence that says in what a reply differs from what was ordered; or INQUD_SAYS_NOTHING. */
extern InqudSentence inqud_misfit(const InqudRecord *checkout, const InqudCheckout *reply);

/* What a reply says there instead. */
extern const char *inqud_misfit_text(const InqudRecord *checkout, const InqudCheckout *reply, InqudSentence misfit);

/* Are both the same text, or both NULL? */
extern bool inqud_same_text(const char *a, const char *b);

/* Do both have a text, and do these differ? */
extern bool inqud_contradicts(const char *a, const char *b);

/* Has anything changed that the payer has done or must do? */
extern bool inqud_details_differ(const InqudCheckout *a, const InqudCheckout *b);

#endif							/* INQUD_CLIENT_INTERNAL_H */
