/*-------------------------------------------------------------------------
 *
 * secret_file.c
 *		Reads the file that a mapping's option secret_file names, for sites that
 *		want no secrets in catalogs and dumps.
 *
 * It has lines of "option = value" in the database's encoding, comments that
 * begin with "#", and empty lines.  An option of the mapping itself takes precedence
 * over the file, so that ALTER USER MAPPING can replace a single secret.  A name
 * that occurs twice in the file is an error.
 *
 * It must put neither the file's path nor any of its text into a message.  A message
 * may have only a line's number and the name of a valid option.
 *
 *-------------------------------------------------------------------------
 */
#include "project/project.h"

#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_user_mapping.h"
#include "nodes/bitmapset.h"
#include "storage/fd.h"

/* Bytes.  The file has a few short lines; a larger one cannot be meant. */
#define MAX_SECRET_FILE		(64 * 1024)

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool
inqud_secret_file_unchanged(const InqudProjectEntry *entry)
{
	const struct stat *then = &entry->stamp;
	struct stat now;

	return entry->secret_file == NULL ||
		(stat(entry->secret_file, &now) == 0 &&
		 now.st_dev == then->st_dev && now.st_ino == then->st_ino && now.st_size == then->st_size &&
		 same_time(INQUD_STAT_CTIME(now), INQUD_STAT_CTIME(*then)) &&
		 same_time(INQUD_STAT_MTIME(now), INQUD_STAT_MTIME(*then)));
}

/*
 * Require a regular file of at most 64 kB that its group may read and others may not
 * touch, as the server requires of its TLS key.  Returns NULL, or what is wrong.
 */
static const char *
check_secret_file(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "It is not a regular file.";
	if (st->st_mode & (S_IWGRP | S_IRWXO))
		return "The file may be readable by its owner and group only, and writable by its owner only (chmod 0640 or less).";
	if (st->st_size > MAX_SECRET_FILE)
		return "It is larger than 64 kB.";
	return NULL;
}

/* Read an open file of less than "max" bytes, and its stamp.  Returns NULL, or what is wrong. */
static const char *
read_open_file(int fd, char *buffer, size_t max, size_t *len, struct stat *stamp)
{
	const char *complaint;
	ssize_t		got;

	if (fstat(fd, stamp) != 0)
		return psprintf("Reading failed: %m.");
	complaint = check_secret_file(stamp);
	if (complaint)
		return complaint;
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
 * Read the file into a zero-terminated buffer that is wiped with the current context.
 * Must not use stdio, whose buffer cannot be wiped.  O_NONBLOCK, so that opening a
 * pipe does not wait for its other end.  Returns NULL with what is wrong in *complaint.
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
 * Set the option of one line; the line is modified.  "in_file" collects the options
 * that the file has set.  Returns NULL, or what is wrong as a sentence, which repeats
 * nothing of the line but the name of a valid option.
 */
static const char *
read_secret_line(InqudProjectEntry *entry, char *line, Bitmapset **in_file)
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

/* Note a problem (F0000) with the file, or with a line of it if not 0; returns false. */
static bool
note_file_problem(InqudProblem *problem, const InqudProjectEntry *entry,
				  int line, const char *complaint)
{
	const char *server = entry->project.name;

	return inqud_problem_set(problem, INQUD_FAULT_OPTIONS, ERRCODE_CONFIG_FILE_ERROR,
							 line > 0 ?
							 psprintf("invalid line %d in secret file for server \"%s\"", line, server) :
							 psprintf("could not read secret file for server \"%s\"", server),
							 complaint, NULL);
}

bool
inqud_secret_file_read(InqudProjectEntry *entry, InqudProblem *problem)
{
	Bitmapset  *in_file = NULL;
	const char *complaint = NULL;
	size_t		len = 0;
	char	   *text;
	char	   *line;
	const char *end;

	if (entry->secret_file == NULL)
		return true;
	text = read_secret_file(entry, &len, &complaint);
	if (text == NULL)
		return note_file_problem(problem, entry, 0, complaint);
	end = text + len;
	for (int number = 1; (line = strsep(&text, "\n")) != NULL; number++)
	{
		/* strsep takes a zero byte for the end */
		if (text == NULL && line + strlen(line) < end)
			complaint = "The line contains a zero byte.";
		else
			complaint = read_secret_line(entry, line, &in_file);
		if (complaint)
			return note_file_problem(problem, entry, number, complaint);
	}
	return true;
}
