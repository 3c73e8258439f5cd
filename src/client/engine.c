/*-------------------------------------------------------------------------
 *
 * engine.c
 *		The engine the host sees: transfers under way, ended, handed out, and
 *		at rest, behind one descriptor and one deadline.
 *
 * Keeps the lists of transfers, libcurl's multi handle and blocks signals; http.c sets
 * transfers up and reads their responses.  libcurl tells through callbacks which sockets
 * and which deadline it cares for; they keep to the rules in receiver.c.  Must never wait.
 *
 * libcurl may start a thread that resolves a name.  It inherits the mask of signals,
 * so all are blocked around calls that can start it: the host's handlers must never
 * run there.  The host must ignore SIGPIPE, which TLS over a closed connection raises.
 *
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transfer.h"

/* A transfer at rest keeps at most so many bytes of memory for the next body. */
#define KEEP_BODY (16 * 1024)

struct InqudEngine
{
	CURLM	   *multi;			/* NULL if it could not be renewed yet */
	int			poller;
	InqudClock	deadline;		/* of libcurl; -1 = none */
	int			connections;
	int			nresting;
	bool		lost;			/* state was lost since the last step */
	char	   *user_agent;
	InqudTransfer lists[NSTATES];	/* rings, each through its head */
};

/* ---- Lists ---- */

static void
unlink_transfer(InqudTransfer *transfer)
{
	transfer->prev->next = transfer->next;
	transfer->next->prev = transfer->prev;
	/* clang's analyzer does not see that a list gets shorter by this */
	if (transfer->state == TRANSFER_AT_REST)
		transfer->engine->nresting--;	/* NOLINT(clang-analyzer-*) */
}

/* Append to the list of "state". */
static void
link_transfer(InqudTransfer *transfer, TransferState state)
{
	InqudTransfer *list = &transfer->engine->lists[state];

	transfer->prev = list->prev;
	transfer->next = list;
	list->prev->next = transfer;	/* NOLINT(clang-analyzer-*): lists are rings */
	list->prev = transfer;
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
	InqudTransfer *list = &engine->lists[state];

	/* what was freed has been unlinked before */
	return list->next == list ? NULL : list->next;	/* NOLINT(clang-analyzer-*) */
}

/* ---- The multi handle ---- */

static void
block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	InqudEngine *engine = arg;
	InqudTransfer *transfer = NULL;

	(void) socket_arg;
	/* libcurl tells of a connection only when TLS has been agreed on as well */
	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer) == CURLE_OK &&
		transfer != NULL && transfer->address[0] == '\0')
		inqud_address_of_peer(fd, transfer->address, sizeof(transfer->address));
	return inqud_poller_set(engine->poller, fd,
							what == CURL_POLL_IN || what == CURL_POLL_INOUT,
							what == CURL_POLL_OUT || what == CURL_POLL_INOUT) ?
		0 : -1;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	InqudEngine *engine = arg;

	(void) multi;
	engine->deadline = timeout_ms < 0 ? -1 :
		inqud_clock_us() + (int64_t) timeout_ms * 1000;
	return 0;
}

/* Once per process, and never undone, since others in it may use libcurl too. */
static bool
init_libcurl(void)
{
	static bool done = false;

	if (!done)
		done = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, inqud_memory_free,
									inqud_memory_resize, strdup, calloc) == CURLE_OK;
	return done;
}

/* Make a multi handle if there is none. */
static bool
open_multi(InqudEngine *engine)
{
	int			bad = 0;

	if (engine->multi != NULL || !init_libcurl())
		return engine->multi != NULL;
	engine->deadline = -1;
	engine->multi = curl_multi_init();
	bad |= curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	bad |= curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine);
	bad |= curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	bad |= curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine);
	inqud_engine_set_connections(engine, engine->connections);
	if (bad == 0)
		return true;
	curl_multi_cleanup(engine->multi);
	engine->multi = NULL;
	return false;
}

/* ---- Ends of transfers ---- */

/* A handle whose state cannot be trusted is not used again. */
static void
drop_easy(InqudTransfer *transfer)
{
	curl_easy_cleanup(transfer->easy);
	transfer->easy = NULL;
}

static void
end_transfer(InqudEngine *engine, InqudTransfer *transfer, CURLcode code)
{
	inqud_http_finish(transfer, code);
	curl_multi_remove_handle(engine->multi, transfer->easy);
	move_to(transfer, TRANSFER_DONE);
}

/* End it if it runs, at once, and wipe what it holds. */
static void
stop_transfer(InqudEngine *engine, InqudTransfer *transfer)
{
	if (transfer->state == TRANSFER_RUNNING)
		curl_multi_remove_handle(engine->multi, transfer->easy);
	transfer->request = NULL;
	inqud_buffer_clear(&transfer->receiver.body, KEEP_BODY);
}

static void
destroy_transfer(InqudTransfer *transfer)
{
	drop_easy(transfer);
	inqud_buffer_free(&transfer->receiver.body);
	free(transfer->ca_file);
	free(transfer);
}

/*
 * Replace the multi handle, whose state cannot be trusted after an error.  The
 * requests under way may have been sent, so each transfer ends as "no answer".
 */
static void
replace_multi(InqudEngine *engine)
{
	InqudTransfer *transfer;

	while ((transfer = first_of(engine, TRANSFER_RUNNING)) != NULL)
	{
		end_transfer(engine, transfer, CURLE_SEND_ERROR);
		transfer->response.progress = INQUD_NO_ANSWER;
		transfer->response.error = "the state of all transfers was lost";
		drop_easy(transfer);
	}
	curl_multi_cleanup(engine->multi);
	engine->multi = NULL;
	(void) open_multi(engine);
}

/* ---- The engine ---- */

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
	if (engine->user_agent == NULL || engine->poller < 0 || !open_multi(engine))
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
	/* with fewer than the transfers under way, libcurl would close and reopen all the time */
	curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, (long) engine->connections);
}

/* Detach all transfers.  The caller still frees those that it has. */
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
				stop_transfer(engine, transfer);
			unlink_transfer(transfer);
			transfer->engine = NULL;
			if (i == TRANSFER_AT_REST)
				destroy_transfer(transfer);
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
	curl_multi_cleanup(engine->multi);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
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
	InqudClock	left;

	if (engine->lost || engine->multi == NULL ||
		first_of(engine, TRANSFER_DONE) != NULL)
		return 0;
	if (engine->deadline < 0)
		return -1;
	left = engine->deadline - inqud_clock_us();
	return left > 0 ? (long) ((left + 999) / 1000) : 0;
}

/* Let libcurl look at a descriptor, or at its deadlines; false when its state is lost. */
static bool
act_on(InqudEngine *engine, curl_socket_t fd)
{
	int			running;

	return curl_multi_socket_action(engine->multi, fd, 0, &running) == CURLM_OK;
}

/* Move transfers on without waiting; what is left stays ready.  False as above. */
static bool
step_transfers(InqudEngine *engine)
{
	int			ready[INQUD_READY_AT_ONCE];
	int			n = inqud_poller_ready(engine->poller, ready);
	int			i;

	for (i = 0; i < n; i++)
	{
		if (!act_on(engine, ready[i]))
			return false;
	}
	if (engine->deadline >= 0 && engine->deadline <= inqud_clock_us())
	{
		engine->deadline = -1;
		return n >= 0 && act_on(engine, CURL_SOCKET_TIMEOUT);
	}
	return n >= 0;
}

/* Take the transfers that libcurl says have ended. */
static void
collect_ended(InqudEngine *engine)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(engine->multi, &left)) != NULL)
	{
		InqudTransfer *transfer = NULL;

		/* the message goes with the handle */
		if (message->msg == CURLMSG_DONE &&
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer) == CURLE_OK)
			end_transfer(engine, transfer, message->data.result);
	}
}

bool
inqud_engine_step(InqudEngine *engine)
{
	bool		ok = !engine->lost;
	sigset_t	saved;

	engine->lost = false;
	if (!open_multi(engine))
		return false;
	block_signals(&saved);
	if (step_transfers(engine))
		collect_ended(engine);
	else
	{
		replace_multi(engine);
		ok = false;
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
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

/* ---- Transfers ---- */

/* A transfer at rest, or a new one if there is none; NULL when out of memory. */
static InqudTransfer *
take_transfer(InqudEngine *engine)
{
	InqudTransfer *list = &engine->lists[TRANSFER_AT_REST];
	InqudTransfer *transfer;

	/* the last one's memory is the likeliest to be in the CPU's cache */
	if (list->prev != list)
		return list->prev;
	transfer = calloc(1, sizeof(*transfer));
	if (transfer == NULL)
		return NULL;
	transfer->engine = engine;
	link_transfer(transfer, TRANSFER_AT_REST);
	return transfer;
}

InqudTransfer *
inqud_transfer_start(InqudEngine *engine, const InqudAccount *account,
					 const InqudRequest *request, void *owner)
{
	InqudTransfer *transfer;
	sigset_t	saved;

	if (!open_multi(engine))
		return NULL;
	transfer = take_transfer(engine);
	if (transfer == NULL)
		return NULL;
	transfer->owner = owner;
	block_signals(&saved);
	if (!inqud_http_prepare(transfer, engine->user_agent, account, request))
		drop_easy(transfer);
	else if (curl_multi_add_handle(engine->multi, transfer->easy) == CURLM_OK)
		move_to(transfer, TRANSFER_RUNNING);
	else
	{
		drop_easy(transfer);
		replace_multi(engine);
		engine->lost = true;
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return transfer->state == TRANSFER_RUNNING ? transfer : NULL;
}

void *
inqud_transfer_owner(const InqudTransfer *transfer)
{
	return transfer->owner;
}

const InqudResponse *
inqud_transfer_response(const InqudTransfer *transfer)
{
	return &transfer->response;
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
		destroy_transfer(transfer);
		return;
	}
	block_signals(&saved);
	stop_transfer(engine, transfer);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	if (engine->nresting < engine->connections)
		move_to(transfer, TRANSFER_AT_REST);
	else
	{
		unlink_transfer(transfer);
		destroy_transfer(transfer);
	}
}
