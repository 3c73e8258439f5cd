/*-------------------------------------------------------------------------
 *
 * secret_file.c
 *		Reads the file that a mapping's option secret_file names, for sites that
 *		want no secrets in catalogs and dumps.
 *
 * It has lines of "option = value" in the database's encoding, comments that
 * begin with "#", and empty lines.  What the mapping itself says wins over the
 * file, so that a single secret can be replaced with ALTER USER MAPPING without
 * touching the file; a name that occurs twice in the file is a mistake.
 *
 * Must put neither the file's path nor any of its text into a message: a line's
 * number and the name of a valid option are all that is told.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/compat.h"

#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_user_mapping.h"
#include "nodes/bitmapset.h"
#include "storage/fd.h"

#include "pg/option_table.h"

/* A handful of short lines is expected; beyond this it is some other file. */
#define MAX_SECRET_FILE		(64 * 1024)

static InqudFileStamp
stamp_of(const struct stat *st)
{
	InqudFileStamp stamp;

	stamp.device = st->st_dev;
	stamp.inode = st->st_ino;
	stamp.size = st->st_size;
	stamp.changed = INQUD_STAT_CTIME(*st);
	stamp.modified = INQUD_STAT_MTIME(*st);
	return stamp;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
inqud_secret_file_unchanged(const InqudProjectEntry *entry)
{
	const InqudFileStamp *then = &entry->stamp;
	InqudFileStamp now;
	struct stat st;

	if (entry->secret_file == NULL)
		return true;
	if (stat(entry->secret_file, &st) != 0)
		return false;
	now = stamp_of(&st);
	return now.device == then->device && now.inode == then->inode &&
		now.size == then->size &&
		same_time(&now.changed, &then->changed) &&
		same_time(&now.modified, &then->modified);
}

/*
 * Anybody's file is nobody's secret: as with a server's TLS key, the group may
 * read it, others may do nothing.
 */
static const char *
judge_secret_file(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "It is not a regular file.";
	if (st->st_mode & (S_IWGRP | S_IRWXO))
		return "The file may be readable by its owner and group only, and writable by its owner only (chmod 0640 or less).";
	if (st->st_size > MAX_SECRET_FILE)
		return "It is larger than 64 kB.";
	return NULL;
}

/* Read less than "max" bytes.  NULL when all is well, else why not. */
static const char *
read_open_file(int fd, char *buffer, size_t max, size_t *len, InqudFileStamp *stamp)
{
	struct stat st;
	const char *complaint;
	ssize_t		got;

	if (fstat(fd, &st) != 0)
		return psprintf("Reading failed: %m.");
	complaint = judge_secret_file(&st);
	if (complaint)
		return complaint;
	*stamp = stamp_of(&st);
	for (*len = 0; *len < max; *len += got)
	{
		got = read(fd, buffer + *len, max - *len);
		if (got == 0)
			return NULL;
		if (got < 0 && errno != EINTR)
			return psprintf("Reading failed: %m.");
		got = Max(got, 0);
	}
	return "It is larger than 64 kB.";
}

/*
 * Read the file into a buffer that will be wiped.  Without stdio, whose own
 * buffer is out of reach, and without waiting for a pipe's other end.  The text is
 * zero-terminated, as there is always a byte left.
 */
static char *
read_secret_file(InqudProjectEntry *entry, size_t *len, const char **complaint)
{
	char	   *buffer = palloc0(MAX_SECRET_FILE + 1);
	int			fd;

	inqud_wipe_with(CurrentMemoryContext, buffer, MAX_SECRET_FILE + 1);
	fd = OpenTransientFile(entry->secret_file, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
	{
		*complaint = psprintf("Opening it failed: %m.");
		return NULL;
	}
	*complaint = read_open_file(fd, buffer, MAX_SECRET_FILE + 1, len, &entry->stamp);
	CloseTransientFile(fd);
	return *complaint ? NULL : buffer;
}

/* Cut blanks off both ends, in place. */
static char *
trim(char *text)
{
	size_t		len;

	text += strspn(text, " \t\r");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r", text[len - 1]))
		len--;
	text[len] = '\0';
	return text;
}

/*
 * Take one line, which is changed.  "in_file" collects the options that the
 * file has set.  What is wrong comes back as a sentence that repeats nothing of
 * the line but the name of a valid option.
 */
static const char *
take_line(InqudProjectEntry *entry, char *line, Bitmapset **in_file)
{
	char	   *equals = strchr(line, '=');
	const InqudOption *option = NULL;
	const char *complaint;
	int			number;

	line = trim(line);
	if (*line == '\0' || *line == '#')
		return NULL;
	if (equals)
	{
		*equals = '\0';
		option = inqud_option_find(trim(line), UserMappingRelationId);
	}
	if (option == NULL || option->privileged)
		return psprintf("A line must be \"option = value\" with one of these options: %s.",
						inqud_option_names(UserMappingRelationId, false));
	number = option - inqud_option_at(0);
	if (bms_is_member(number, *in_file))
		return psprintf("Option \"%s\" is set twice.", option->name);
	if (*(char **) ((char *) entry + option->offset) != NULL)
		return NULL;
	*in_file = bms_add_member(*in_file, number);
	complaint = inqud_option_set(entry, option, trim(equals + 1));
	return complaint ? psprintf("The value of option \"%s\" %s.", option->name, complaint) : NULL;
}

static bool
fail_secret_file(InqudProblem *problem, const InqudProjectEntry *entry,
				 int line, const char *complaint)
{
	const char *server = entry->project.name;

	return inqud_problem_set(problem, ERRCODE_CONFIG_FILE_ERROR,
							 line > 0 ?
							 psprintf("invalid line %d in secret file for server \"%s\"", line, server) :
							 psprintf("could not read secret file for server \"%s\"", server),
							 pstrdup(complaint), NULL);
}

bool
inqud_secret_file_read(InqudProjectEntry *entry, InqudProblem *problem)
{
	Bitmapset  *in_file = NULL;
	const char *complaint = NULL;
	size_t		len = 0;
	char	   *text;
	char	   *end;

	if (entry->secret_file == NULL)
		return true;
	text = read_secret_file(entry, &len, &complaint);
	if (text == NULL)
		return fail_secret_file(problem, entry, 0, complaint);
	end = text + len;
	for (int number = 1; text < end; number++)
	{
		char	   *newline = memchr(text, '\n', end - text);
		char	   *next = newline ? newline + 1 : end;

		if (newline)
			*newline = '\0';
		if (text + strlen(text) < (newline ? newline : end))
			complaint = "The line contains a zero byte.";
		else
			complaint = take_line(entry, text, &in_file);
		if (complaint)
			return fail_secret_file(problem, entry, number, complaint);
		text = next;
	}
	return true;
}
