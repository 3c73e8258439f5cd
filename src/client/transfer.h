/*-------------------------------------------------------------------------
 *
 * transfer.h
 *		A transfer, as engine.c and http.c see it.
 *
 * The only file that includes curl/curl.h, and no other file includes this one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TRANSFER_H
#define INQUD_TRANSFER_H

#include <curl/curl.h>

#include "client_internal.h"

/* A transfer is in exactly one of the engine's lists, and this is which. */
typedef enum TransferState
{
	TRANSFER_AT_REST,			/* kept for the next start */
	TRANSFER_RUNNING,			/* "easy" is with the multi handle */
	TRANSFER_DONE,				/* ended, not handed out yet */
	TRANSFER_HANDED				/* handed out */
} TransferState;

#define NSTATES 4

struct InqudTransfer
{
	/* engine.c's */
	InqudTransfer *prev;
	InqudTransfer *next;
	InqudEngine *engine;		/* NULL once the engine is gone */
	TransferState state;
	void	   *owner;

	/* http.c's */
	CURL	   *easy;
	char	   *ca_file;		/* what "easy" was set up with, "" = none */
	const InqudRequest *request;
	struct curl_slist headers[INQUD_MAX_HEADERS + 1];
	InqudReceiver receiver;
	bool		no_descriptor;	/* a socket could not be opened for want of one */
	const char *refused;		/* why the last connection was not opened */
	char		address[64];	/* of the other end, filled in by engine.c */
	char		curl_error[CURL_ERROR_SIZE];
	char		error[CURL_ERROR_SIZE];
	InqudResponse response;
};

/* Set up "easy" for this request; false leaves it half set up. */
extern bool inqud_http_prepare(InqudTransfer *transfer, const char *user_agent,
							   const InqudAccount *account, const InqudRequest *request);

/* Fill in the response. */
extern void inqud_http_finish(InqudTransfer *transfer, CURLcode code);

#endif							/* INQUD_TRANSFER_H */
