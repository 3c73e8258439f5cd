/*-------------------------------------------------------------------------
 *
 * engine.c
 *		The engine the host sees: transfers under way, ended, handed out, and
 *		at rest, behind one descriptor and one deadline.
 *
 * Keeps the books and guards the process; what travels is http.c's matter.
 * Must know no type of libcurl, and must never wait.
 *
 * libcurl may start a thread that resolves a name.  It inherits the mask of
 * signals, so all are blocked around calls that can start it: a signal must
 * never run the host's handler in a foreign thread.  The host must ignore
 * SIGPIPE, which TLS over a closed connection raises.
 *
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

/* Sockets taken from the poller at a time, and times per step. */
#define READY_AT_ONCE 64
#define MAX_ROUNDS 16

/* A transfer is in exactly one of the engine's lists, and this is which. */
typedef enum TransferState
{
	TRANSFER_AT_REST,			/* kept for the next start */
	TRANSFER_RUNNING,
	TRANSFER_DONE,				/* ended, not handed out yet */
	TRANSFER_HANDED				/* handed out */
} TransferState;

#define NSTATES 4

typedef struct Link
{
	struct Link *prev;
	struct Link *next;
} Link;

struct InqudTransfer
{
	Link		link;			/* must be first */
	InqudEngine *engine;		/* NULL once the engine is gone */
	InqudExchange *exchange;
	TransferState state;
	void	   *owner;
};

struct InqudEngine
{
	InqudHttp  *http;			/* NULL if it could not be renewed yet */
	int			poller;
	int			connections;
	int			nresting;
	bool		lost;			/* state was lost since the last step */
	char	   *user_agent;
	Link		lists[NSTATES];
};

/* ---------------------------------------------------------------------
 * Lists
 * ---------------------------------------------------------------------
 */

static void
unlink_transfer(InqudTransfer *transfer)
{
	Link	   *link = &transfer->link;

	link->prev->next = link->next;
	link->next->prev = link->prev;
	/* clang's analyzer does not see that a list gets shorter by this */
	if (transfer->state == TRANSFER_AT_REST)
		transfer->engine->nresting--;	/* NOLINT(clang-analyzer-*) */
}

/* Append to the list of "state". */
static void
link_transfer(InqudTransfer *transfer, TransferState state)
{
	Link	   *list = &transfer->engine->lists[state];
	Link	   *link = &transfer->link;

	link->prev = list->prev;
	link->next = list;
	list->prev->next = link;	/* NOLINT(clang-analyzer-*): lists are rings */
	list->prev = link;
	transfer->state = state;
	if (state == TRANSFER_AT_REST)
		transfer->engine->nresting++;
}

static void
move_to(InqudTransfer *transfer, TransferState state)
{
	unlink_transfer(transfer);
	link_transfer(transfer, state);
}

static InqudTransfer *
first_of(InqudEngine *engine, TransferState state)
{
	Link	   *list = &engine->lists[state];

	/* what was freed has been unlinked before */
	return list->next == list ? NULL : (InqudTransfer *) list->next;	/* NOLINT(clang-analyzer-*) */
}

/* The one that was used last, whose memory is warm. */
static InqudTransfer *
last_of(InqudEngine *engine, TransferState state)
{
	Link	   *list = &engine->lists[state];

	return list->prev == list ? NULL : (InqudTransfer *) list->prev;
}

static void
destroy(InqudTransfer *transfer)
{
	inqud_exchange_free(transfer->exchange);
	free(transfer);
}

/* ---------------------------------------------------------------------
 * The engine
 * ---------------------------------------------------------------------
 */

static void
block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

static bool
open_http(InqudEngine *engine)
{
	if (engine->http == NULL)
		engine->http = inqud_http_new(engine->poller, engine->user_agent,
									  engine->connections);
	return engine->http != NULL;
}

/*
 * After an error of the multi handle nothing it says can be believed.  Every
 * transfer under way may have been sent, so each ends without an answer.
 */
static void
renew(InqudEngine *engine)
{
	InqudTransfer *transfer;

	while ((transfer = first_of(engine, TRANSFER_RUNNING)) != NULL)
	{
		inqud_exchange_lose(engine->http, transfer->exchange);
		move_to(transfer, TRANSFER_DONE);
	}
	inqud_http_free(engine->http);
	engine->http = NULL;
	(void) open_http(engine);
}

InqudEngine *
inqud_engine_new(int connections, const char *user_agent)
{
	InqudEngine *engine = calloc(1, sizeof(*engine));
	int			i;

	if (engine == NULL)
		return NULL;
	for (i = 0; i < NSTATES; i++)
		engine->lists[i].prev = engine->lists[i].next = &engine->lists[i];
	engine->connections = connections > 0 ? connections : 1;
	engine->user_agent = strdup(user_agent);
	engine->poller = inqud_poller_new();
	if (engine->user_agent == NULL || engine->poller < 0 || !open_http(engine))
	{
		inqud_engine_free(engine);
		return NULL;
	}
	return engine;
}

void
inqud_engine_set_connections(InqudEngine *engine, int connections)
{
	engine->connections = connections > 0 ? connections : 1;
	if (engine->http != NULL)
		inqud_http_set_connections(engine->http, engine->connections);
}

/* Part with all transfers; those the caller still has are his to free. */
static void
orphan_transfers(InqudEngine *engine)
{
	int			i;

	for (i = 0; i < NSTATES; i++)
	{
		InqudTransfer *transfer;

		while ((transfer = first_of(engine, (TransferState) i)) != NULL)
		{
			if (i == TRANSFER_RUNNING)
				inqud_exchange_stop(engine->http, transfer->exchange);
			unlink_transfer(transfer);
			transfer->engine = NULL;
			if (i == TRANSFER_AT_REST)
				destroy(transfer);
		}
	}
}

void
inqud_engine_free(InqudEngine *engine)
{
	sigset_t	saved;

	if (engine == NULL)
		return;
	block_signals(&saved);
	orphan_transfers(engine);
	inqud_http_free(engine->http);
	restore_signals(&saved);
	if (engine->poller >= 0)
		close(engine->poller);
	free(engine->user_agent);
	free(engine);
}

int
inqud_engine_fd(const InqudEngine *engine)
{
	return engine->poller;
}

long
inqud_engine_timeout(InqudEngine *engine)
{
	int64_t		left;

	if (engine->lost || engine->http == NULL ||
		first_of(engine, TRANSFER_DONE) != NULL)
		return 0;
	left = inqud_http_wait_us(engine->http);
	return left < 0 ? -1 : (long) ((left + 999) / 1000);
}

/* Do all that can be done now; false when libcurl's state is lost. */
static bool
move_all(InqudEngine *engine)
{
	InqudReady	ready[READY_AT_ONCE];
	int			rounds = 0;
	int			n;
	int			i;

	do
	{
		n = inqud_poller_ready(engine->poller, ready, READY_AT_ONCE);
		for (i = 0; i < n; i++)
		{
			if (!inqud_http_ready(engine->http, &ready[i]))
				return false;
		}
	} while (n == READY_AT_ONCE && ++rounds < MAX_ROUNDS);
	return n >= 0 && inqud_http_tick(engine->http);
}

bool
inqud_engine_step(InqudEngine *engine)
{
	bool		ok = !engine->lost;
	InqudTransfer *transfer;
	sigset_t	saved;

	engine->lost = false;
	if (!open_http(engine))
		return false;
	block_signals(&saved);
	if (move_all(engine))
	{
		while ((transfer = inqud_http_ended(engine->http)) != NULL)
			move_to(transfer, TRANSFER_DONE);
	}
	else
	{
		renew(engine);
		ok = false;
	}
	restore_signals(&saved);
	return ok;
}

InqudTransfer *
inqud_engine_done(InqudEngine *engine)
{
	InqudTransfer *transfer = first_of(engine, TRANSFER_DONE);

	if (transfer != NULL)
		move_to(transfer, TRANSFER_HANDED);
	return transfer;
}

/* ---------------------------------------------------------------------
 * Transfers
 * ---------------------------------------------------------------------
 */

/* One at rest, if need be a new one. */
static InqudTransfer *
take_transfer(InqudEngine *engine)
{
	InqudTransfer *transfer = last_of(engine, TRANSFER_AT_REST);

	if (transfer != NULL)
		return transfer;
	transfer = calloc(1, sizeof(*transfer));
	if (transfer == NULL)
		return NULL;
	transfer->exchange = inqud_exchange_new(transfer);
	if (transfer->exchange == NULL)
	{
		free(transfer);
		return NULL;
	}
	transfer->engine = engine;
	link_transfer(transfer, TRANSFER_AT_REST);
	return transfer;
}

InqudTransfer *
inqud_transfer_start(InqudEngine *engine, const InqudAccount *account,
					 const InqudRequest *request, void *owner)
{
	InqudTransfer *transfer;
	InqudStart	start;
	sigset_t	saved;

	if (!open_http(engine))
		return NULL;
	transfer = take_transfer(engine);
	if (transfer == NULL)
		return NULL;
	transfer->owner = owner;
	block_signals(&saved);
	start = inqud_exchange_start(engine->http, transfer->exchange, account,
								 request);
	if (start == INQUD_STARTED)
		move_to(transfer, TRANSFER_RUNNING);
	else if (start == INQUD_START_LOST)
	{
		renew(engine);
		engine->lost = true;
	}
	restore_signals(&saved);
	return start == INQUD_STARTED ? transfer : NULL;
}

void *
inqud_transfer_owner(const InqudTransfer *transfer)
{
	return transfer->owner;
}

const InqudResponse *
inqud_transfer_response(const InqudTransfer *transfer)
{
	return inqud_exchange_response(transfer->exchange);
}

void
inqud_transfer_free(InqudTransfer *transfer)
{
	InqudEngine *engine;
	sigset_t	saved;

	if (transfer == NULL)
		return;
	engine = transfer->engine;
	if (engine == NULL)
	{
		destroy(transfer);
		return;
	}
	if (transfer->state == TRANSFER_RUNNING)
	{
		block_signals(&saved);
		inqud_exchange_stop(engine->http, transfer->exchange);
		restore_signals(&saved);
	}
	else
		inqud_exchange_stop(engine->http, transfer->exchange);
	if (engine->nresting < engine->connections)
		move_to(transfer, TRANSFER_AT_REST);
	else
	{
		unlink_transfer(transfer);
		destroy(transfer);
	}
}
