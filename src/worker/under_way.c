/*-------------------------------------------------------------------------
 *
 * under_way.c
 *		Notes which calls are under way, in a file that outlives the worker.
 *
 * When a call ends the worker, its successor must know which calls were under way, to
 * make each of them alone.  A create has a lease in the table, but so has one that was
 * not begun; and a read has none, since it would be a write for each.  So the ids stand
 * in a file that is mapped into memory: to note one is to store eight bytes, without a
 * system call, and the kernel keeps what a killed process has stored.  Only a crash of
 * the machine loses it, and no call has caused that.
 *
 * The file is small and belongs to one worker at a time, since there is one per
 * database.  It lies in a folder that base backups leave out.  Without a file, creates are
 * known by their leases, and reads are not.
 *
 * This file must not touch the database.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"

/* Calls that are noted at the same time; of further ones nothing is known. */
#define PLACES 4094

#define FORMAT UINT64CONST(0x31646571756e6901)	/* counts up when the layout changes */

typedef struct UnderWay
{
	uint64		format;
	int64		lease;			/* of the worker that has written it; 0 = none */
	int64		ids[PLACES];	/* of calls, as InqudCall.checkout; 0 = free */
} UnderWay;

static UnderWay *file = NULL;
static char path[MAXPGPATH];

/* The places that are free, as a stack. */
static int	free_places[PLACES];
static int	n_free = 0;

/* ---- The file ---- */

/* Write zeros, so that the disk has room for what is stored later. */
static bool
fill_with_zeros(int fd)
{
	char		zeros[BLCKSZ] = {0};
	size_t		done = 0;

	if (ftruncate(fd, 0) != 0)
		return false;
	while (done < sizeof(UnderWay))
	{
		size_t		n = Min(sizeof(zeros), sizeof(UnderWay) - done);

		if (write(fd, zeros, n) != (ssize_t) n)
			return false;
		done += n;
	}
	return true;
}

/* Map the file, made anew if it is none of ours; NULL when that fails. */
static UnderWay *
map_file(void)
{
	struct stat st;
	UnderWay   *map = MAP_FAILED;
	int			fd = BasicOpenFile(path, O_RDWR | O_CREAT | PG_BINARY);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && (st.st_size == sizeof(UnderWay) || fill_with_zeros(fd)))
		map = mmap(NULL, sizeof(UnderWay), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

/* on_shmem_exit: a worker that has left well leaves nothing to find out. */
static void
close_file(int code, Datum arg)
{
	if (worker.good_end && worker.begun)
		(void) unlink(path);
}

void
inqud_under_way_open(void)
{
	snprintf(path, sizeof(path), "%s/inqud_%u.calls", PG_STAT_TMP_DIR, MyDatabaseId);
	file = map_file();
	if (file == NULL)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 errdetail("If the worker of inqud ends by a read, it is not found out which one.")));
	else
		on_shmem_exit(close_file, (Datum) 0);
}

int64
inqud_under_way_former(Datum **ids, int *n)
{
	int			i;

	*n = 0;
	if (file == NULL || file->format != FORMAT)
		return 0;
	*ids = MemoryContextAlloc(worker.context, sizeof(Datum) * PLACES);
	for (i = 0; i < PLACES; i++)
	{
		if (file->ids[i] != 0)
			(*ids)[(*n)++] = Int64GetDatum(file->ids[i]);
	}
	return file->lease;
}

void
inqud_under_way_begin(void)
{
	int			i;

	if (file == NULL)
		return;
	memset(file, 0, sizeof(UnderWay));
	file->format = FORMAT;
	file->lease = worker.lease;
	for (i = 0; i < PLACES; i++)
		free_places[i] = i;
	n_free = PLACES;
}

/* ---- Calls ---- */

void
inqud_under_way_note(InqudCall *call)
{
	if (n_free == 0)
		return;
	call->place = free_places[--n_free] + 1;
	file->ids[call->place - 1] = call->checkout;
}

void
inqud_under_way_forget(InqudCall *call)
{
	if (call->place == 0)
		return;
	file->ids[call->place - 1] = 0;
	free_places[n_free++] = call->place - 1;
	call->place = 0;
}
