/*-------------------------------------------------------------------------
 *
 * inqud.h
 *		What C needs of this server: the extension and its owner, statements, rows
 *		and texts between the database and the client.
 *
 * It must know no project.  Words: a project is a foreign server; an outcome is how
 * a call ended.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_H
#define INQUD_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "fmgr.h"

#include "client/inqud_client.h"
#include "pg/compat.h"

/* ---- extension.c: finding the extension, and acting as its owner ---- */

/* What inqud_enter() has saved, for inqud_leave(). */
typedef struct InqudRole
{
	Oid			userid;			/* the role before */
	int			sec_context;
	int			guc_level;
} InqudRole;

/* Whether the extension exists and schema inqud is its member.  Needs a transaction; cached. */
extern bool inqud_extension_present(void);

/* The extension's version if this library does not serve it, else NULL.  Call the function above first. */
extern const char *inqud_unserved_version(void);

/* Report with SQLSTATE 55000, at level ERROR or LOG, that this library does not serve that version. */
extern void inqud_report_unserved(int level);

/*
 * Act as the extension's owner until inqud_leave(): with search_path pg_catalog,
 * pg_temp, generic plans, no sequential scans, no jit, and connected to SPI.  An error in
 * between undoes all of it with the (sub)transaction.  GetUserId() is the owner then,
 * so ask for the user's role before.  Raises 42704 when schema inqud is not a member
 * of the extension, and 55000 when this library does not serve its version.
 */
extern void inqud_enter(InqudRole *role);
extern void inqud_leave(InqudRole *role);

/*
 * Take the table locks of writing, before a statement of ours looks at an index.
 * REINDEX locks a table, then its indexes: a transaction that has read through an
 * index and then wants to write the table would wait for it, and it for that one.
 */
extern void inqud_lock_tables(void);

/* Only that of inqud.checkout, which a statement takes anyway.  What is looked up next is as others have left it. */
extern void inqud_lock_checkouts(void);

/*
 * Take all of them so that no other session writes checkouts until this transaction ends,
 * to move rows from one entry of a server to another.
 */
extern void inqud_lock_tables_alone(void);

/* The oid of a table or index in schema inqud; raises 42P01; 42704, 55000 without an extension that is served. */
extern Oid	inqud_relation_oid(const char *name);

/* Who owns the extension. */
extern Oid	inqud_extension_owner(void);

/* The tuple descriptor of a composite type of ours, e.g. "_order".  The caller releases it. */
extern TupleDesc inqud_type_desc(const char *name);

/* The oid of a type in schema inqud; raises 42704. */
extern Oid	inqud_type_oid(const char *name);

/* A statement whose plan is kept for the life of the process. */
typedef struct InqudStatement
{
	const char *sql;
	const char *types;			/* of its arguments, divided by a blank; ours as "inqud.name" */
	SPIPlanPtr	plan;
	uint32		generation;		/* of the extension when the plan was made */
} InqudStatement;

/*
 * Run a statement between inqud_enter and inqud_leave, and prepare it first if need be.
 * "nulls" is as for SPI_execute_plan.  Returns the number of rows, which are in SPI_tuptable.
 */
extern uint64 inqud_execute(InqudStatement *statement, Datum *values, const char *nulls);

/* A column, counted from 1, of the first row of a result: an int8 that is not null. */
extern int64 inqud_first_int8(int column);

/* This cluster and database as a number, as inqud._home(); cached for the process. */
extern int64 inqud_this_home(void);

/* The User-Agent of our requests; a constant. */
extern const char *inqud_user_agent(void);

/* A value of type name, palloc'ed. */
extern Datum inqud_name_datum(const char *name);

/* The current role's name, palloc'ed.  Between inqud_enter and inqud_leave this is the owner. */
extern char *inqud_current_role(void);

/* Enter, execute and leave.  Returns the first column of the first row, palloc'ed; 0 when null or without a row. */
extern Datum inqud_value_of(InqudStatement *statement, Datum *values, const char *nulls);

/* The same before inqud_leave, of a column counted from 1; in the context from before inqud_enter. */
extern Datum inqud_keep_value(int column);

/* The row of inqud.checkout with this id; raises 42704 when it does not exist. */
extern Datum inqud_checkout_row(int64 id);

/* A column of type text of a composite value, palloc'ed; NULL when it is null. */
extern char *inqud_row_text(HeapTupleHeader row, const char *column);

/*
 * How full the server's queue of notices is, from 0 to 1.  Asking has the server forget
 * what all listeners have read, which it otherwise does only when a notice is sent.
 */
extern double inqud_notices_usage(void);

/* Sleep for at most "ms" milliseconds, or until the latch is set; handles interrupts, which may throw. */
extern void inqud_nap(long ms, InqudWait what);

/* ---- rows.c: words, JSON, and encodings ---- */

/* What a call does, and what a queue row is for. */
typedef enum InqudKind
{
	INQUD_KIND_READ,
	INQUD_KIND_CREATE,
	INQUD_KIND_FOUND,			/* a read of an id that only a webhook named */
	INQUD_KIND_CALL,			/* a call of on_status */
	INQUD_KIND_INBOX			/* rows of inqud.inbox that wait */
} InqudKind;

/* The index of a word in a list; raises an internal error if it is not there. */
extern int	inqud_place_of_word(const char *const *words, int n, const char *word);

/* The kind of a word in the tables; raises an internal error for an unknown word. */
extern InqudKind inqud_kind_of(const char *word);

/* The word of a fault in inqud.checkout.fault, and back; NULL for INQUD_FAULT_NONE. */
extern const char *inqud_fault_word(InqudFault fault);
extern InqudFault inqud_fault_of_word(const char *word);

/*
 * Run a function in a subtransaction.  Returns NULL, or the error that it raised, of
 * which nothing else remains; a cancel is raised again.
 */
extern ErrorData *inqud_try(void (*run) (void *arg), void *arg);

/*
 * Convert JSON to jsonb; false if the database cannot store it.  In a database that is
 * not UTF-8, jsonb_in can refuse JSON that the client has accepted (an escape for a
 * character that the encoding lacks), hence a subtransaction there.  In UTF-8 it cannot.
 */
extern bool inqud_json_value(const char *json, Datum *value);

/*
 * Convert a text from the database's encoding to UTF-8, or back; palloc'ed, NULL for
 * NULL.  Neither raises an error: for a text that cannot be converted, "to" replaces
 * all bytes beyond ASCII by '?', and "from" returns NULL.  "ascii_of" replaces these
 * bytes in any text.
 */
extern char *inqud_to_utf8(const char *text);
extern char *inqud_from_utf8(const char *text);
extern char *inqud_ascii_of(const char *text);

/*
 * Convert a whole text between two encodings into "out", which has "size" bytes:
 * INQUD_CONVERTED_SIZE of its length.  False where a character has no
 * counterpart, or the server no conversion.  The caller owns "out", so that it
 * can have it wiped.
 */
#define INQUD_CONVERTED_SIZE(len) ((int) (len) * MAX_CONVERSION_GROWTH + 1)
extern bool inqud_convert(const char *text, int from, int to, char *out, int size);

/* Microseconds since 1970, as in the client, to and from the server's, since 2000. */
extern TimestampTz inqud_from_unix(int64 usec);
extern int64 inqud_to_unix(TimestampTz when);

/* ---- crypto.c: the server's HMAC and random numbers for the client ---- */
extern const InqudCrypto inqud_crypto;

/*
 * A new lease: a random number, not 0, that no other process has and no user can guess.
 * Raises XX000 without random numbers.
 */
extern int64 inqud_random_lease(void);

/*
 * Draw the random key of digests, unless this process has one; for _PG_init, so that
 * all processes of a server have the same.  Raises XX000 without random numbers.
 */
extern void inqud_digest_init(void);

/*
 * A keyed digest of n texts: equal in all processes of a server for equal texts, and
 * for no others.  Raises XX000.
 */
extern void inqud_digest_texts(InqudDigest *digest, const char *const *texts, const size_t *lengths, int n);

#endif							/* INQUD_H */
