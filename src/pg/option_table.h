/*-------------------------------------------------------------------------
 *
 * option_table.h
 *		The table of options, shared by the validator (options.c) and the
 *		lookup (project.c); nobody else needs it.
 *
 * What a text may be is said once, by the row's reader: the validator refuses
 * with the same words with which the lookup refuses a line of a secret file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_OPTION_TABLE_H
#define INQUD_OPTION_TABLE_H

#include <time.h>
#include <sys/stat.h>

#include "pg/options.h"

/* To see that the secret file is another one than the one read. */
typedef struct InqudFileStamp
{
	dev_t		device;
	ino_t		inode;
	off_t		size;
	struct timespec changed;
	struct timespec modified;
} InqudFileStamp;

/* A project and what only the lookup knows of it. */
typedef struct InqudProjectEntry
{
	InqudProject project;		/* must be first: users hold a pointer to it */
	MemoryContext context;		/* holds the entry and all its texts */
	uint32		server_hash;	/* the syscache's hash of the server's oid */
	char	   *secret_file;	/* or NULL */
	InqudFileStamp stamp;		/* of secret_file when it was read */
} InqudProjectEntry;

/* The type of the member that an option fills. */
typedef enum InqudOptionType
{
	INQUD_OPTION_INT64,
	INQUD_OPTION_INT,
	INQUD_OPTION_DOUBLE,
	INQUD_OPTION_BOOL,
	INQUD_OPTION_TEXT
} InqudOptionType;

typedef struct InqudOptionValue
{
	int64		integer;		/* also of INT and BOOL */
	double		real;
	const char *text;
} InqudOptionValue;

typedef struct InqudOption InqudOption;

struct InqudOption
{
	const char *name;
	Oid			catalog;		/* ForeignServerRelationId or
								 * UserMappingRelationId */

	/*
	 * Reads a text.  NULL when it is good, else what it must be ("must be
	 * ..."), without any part of the text.
	 */
	const char *(*read) (const InqudOption *option, const char *text,
						 InqudOptionValue *value);
	InqudOptionType type;
	size_t		offset;			/* in InqudProjectEntry */
	const char *initial;		/* default as a user would write it, or NULL */
	int64		min;
	int64		max;
	bool		privileged;		/* it makes the server read a file */
};

/*
 * Read a text and put it into its member, copied into the entry's context.
 * NULL when it is good, else what it must be.
 */
extern const char *inqud_option_set(InqudProjectEntry *entry,
									const InqudOption *option, const char *text);

/* An option as it stands in a catalog. */
typedef struct InqudOptionText
{
	char	   *name;
	char	   *value;
} InqudOptionText;

extern const InqudOption *inqud_option_at(int i);
extern const InqudOption *inqud_option_find(const char *name, Oid catalog);
extern char *inqud_option_names(Oid catalog, bool with_privileged);

extern bool inqud_has_control(const char *text);

/*
 * Split a catalog's text[] into names and values.  They live in the current
 * memory context and are wiped when it is reset or deleted.
 */
extern InqudOptionText *inqud_option_texts(Datum options, int *count);

/* Wipe "len" bytes at "memory" when the context is reset or deleted. */
extern void inqud_wipe_with(MemoryContext context, void *memory, Size len);

/* Copy a text into the context, to be wiped with it. */
extern char *inqud_wiped_copy(MemoryContext context, const char *text, Size len);

/*
 * Fill what the secret file says and the mapping does not.  Like all that fills
 * an entry, it runs in a short-lived memory context and returns false with the
 * problem noted there.
 */
extern bool inqud_secret_file_read(InqudProjectEntry *entry, InqudProblem *problem);

/* Is the file the one that was read?  A missing file is not. */
extern bool inqud_secret_file_unchanged(const InqudProjectEntry *entry);

/* Note a problem; always false, for the caller to return. */
extern bool inqud_problem_set(InqudProblem *problem, int sqlstate, char *message,
							  char *detail, char *hint);

#endif							/* INQUD_OPTION_TABLE_H */
