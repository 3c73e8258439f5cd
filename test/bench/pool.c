/*
 * pool.c
 *		libcurl multi with epoll: see pool.h.  It must stay as plain as a good C
 *		program would have it, since it is what the extension is compared with.
 */
#include "pool.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "bench.h"

static CURLM *multi;
static int	poller;
static int	foreign = -1;
static double deadline = -1;
static int	n_running;
static Slot *free_slots;
static PoolDone on_done;
static struct curl_slist *headers;

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event event = {0};

	(void) easy;
	(void) arg;
	event.data.fd = fd;
	event.events = (what != CURL_POLL_OUT ? EPOLLIN : 0) | (what != CURL_POLL_IN ? EPOLLOUT : 0);
	if (what == CURL_POLL_REMOVE)
		epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event);
	else if (known == NULL)
	{
		epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
		curl_multi_assign(multi, fd, &poller);
	}
	else
		epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
	return 0;
}

static int
on_timer(CURLM *handle, long timeout_ms, void *arg)
{
	(void) handle;
	(void) arg;
	deadline = timeout_ms < 0 ? -1 : now_s() + (double) timeout_ms / 1e3;
	return 0;
}

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	Slot	   *slot = arg;

	(void) size;
	if (slot->reply_len + n >= BODY_SIZE)
		return 0;
	memcpy(slot->reply + slot->reply_len, data, n);
	slot->reply_len += n;
	return n;
}

static void
add_slot(size_t caller_size)
{
	Slot	   *slot = calloc(1, sizeof(Slot));

	slot->caller = calloc(1, caller_size);
	slot->easy = curl_easy_init();
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
	curl_easy_setopt(slot->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
	curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, headers);
	slot->next = free_slots;
	free_slots = slot;
}

void
pool_open(int window, size_t caller_size, PoolDone done)
{
	int			i;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	on_done = done;
	poller = epoll_create1(EPOLL_CLOEXEC);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) window + 4);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "X-Token-API-ID: TKN-bench");
	headers = curl_slist_append(headers, "X-Token-API-Secret: secret");
	headers = curl_slist_append(headers, "Expect:");
	for (i = 0; i < window; i++)
		add_slot(caller_size);
}

Slot *
pool_take(void)
{
	Slot	   *slot = free_slots;

	if (slot != NULL)
		free_slots = slot->next;
	return slot;
}

void
pool_start(Slot *slot)
{
	slot->reply_len = 0;
	curl_easy_setopt(slot->easy, CURLOPT_URL, slot->url);
	if (slot->request[0] != '\0')
	{
		curl_easy_setopt(slot->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long) strlen(slot->request));
		curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->request);
	}
	curl_multi_add_handle(multi, slot->easy);
	n_running++;
}

int
pool_running(void)
{
	return n_running;
}

void
pool_watch(int fd, bool out)
{
	struct epoll_event event = {0};

	event.data.fd = fd;
	event.events = EPOLLIN | (out ? EPOLLOUT : 0);
	if (fd != foreign)
		epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
	else
		epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
	foreign = fd;
}

static void
collect(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		CURLcode	code = message->data.result;
		Slot	   *slot;
		long		status = 0;

		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &slot);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		if (code != CURLE_OK || status != 200)
			die("a transfer failed: %s, status %ld", curl_easy_strerror(code), status);
		curl_multi_remove_handle(multi, easy);
		n_running--;
		slot->reply[slot->reply_len] = '\0';
		on_done(slot);
		slot->next = free_slots;
		free_slots = slot;
	}
}

static int
time_left(int timeout_ms)
{
	int			ms;

	if (deadline < 0)
		return timeout_ms;
	ms = (int) ((deadline - now_s()) * 1e3 + 0.999);
	if (ms < 0)
		ms = 0;
	return timeout_ms >= 0 && timeout_ms < ms ? timeout_ms : ms;
}

bool
pool_turn(int timeout_ms)
{
	struct epoll_event events[64];
	bool		told = false;
	int			running;
	int			n = epoll_wait(poller, events, 64, time_left(timeout_ms));
	int			i;

	for (i = 0; i < n; i++)
	{
		int			mask = (events[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
			(events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			(events[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);

		if (events[i].data.fd == foreign)
			told = true;
		else
			curl_multi_socket_action(multi, events[i].data.fd, mask, &running);
	}
	if (deadline >= 0 && now_s() >= deadline)
	{
		deadline = -1;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect();
	return told;
}
