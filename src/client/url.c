/*-------------------------------------------------------------------------
 *
 * url.c
 *		Checking URLs and path templates, and putting them together.
 *
 * The checks decide where credentials are sent: plain http is for loopback
 * addresses only, so the host is read by one strict rule and compared as an
 * address, never by how its text begins.  Must not resolve names.
 *
 * libcurl's parser (CURLU) is not used for it, since it mends what has to be
 * refused: it reads "http:/localhost" and "http:///localhost", makes 127.0.0.1
 * of 0x7f.1 and localhost of "local%68ost", and takes port 0 and an empty port.
 * The host would have to be read from the text all the same.  The fuzz test asks
 * it for a second opinion on what passes here.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "client_internal.h"

#define MAX_HOST 255
#define MAX_URL 2048

/* A URL's parts up to its path. */
typedef struct UrlHead
{
	bool		https;
	char		host[MAX_HOST + 1]; /* without brackets */
	bool		bracketed;
	struct in6_addr six;		/* when bracketed */
	bool		is_four;		/* an IPv4 address in its usual form */
	struct in_addr four;
	const char *rest;			/* from behind host and port */
} UrlHead;

static bool
is_ascii_alnum(char c)
{
	return inqud_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Bytes that no URL holds, and the backslash, which browsers take for a slash. */
static bool
has_forbidden(const char *url, bool ascii_only)
{
	const char *p;

	for (p = url; *p != '\0'; p++)
	{
		unsigned char c = (unsigned char) *p;

		if (c <= ' ' || c == 0x7f || (ascii_only && c > 0x7f) ||
			strchr("\"<>\\", c) != NULL)
			return true;
	}
	return false;
}

/* ":port" up to the path; nothing is fine too. */
static const char *
read_port(const char *p, const char **rest)
{
	long		port = 0;
	const char *start;

	*rest = p;
	if (*p != ':')
		return NULL;
	start = ++p;
	for (; inqud_is_digit(*p) && p - start < 6; p++)
		port = port * 10 + (*p - '0');
	*rest = p;
	if (p == start || port < 1 || port > 65535)
		return "has a bad port";
	return NULL;
}

/* A name, an IPv4 address, or in brackets an IPv6 address and nothing else. */
static const char *
read_host(const char *p, UrlHead *head)
{
	size_t		len = 0;

	head->bracketed = *p == '[';
	if (head->bracketed)
		len = strcspn(++p, "]");
	else
	{
		/* letters beyond ASCII: a browser may take them, our requests do not */
		while (is_ascii_alnum(p[len]) || (p[len] != '\0' && strchr("-._", p[len]) != NULL) ||
			   (unsigned char) p[len] > 0x7f)
			len++;
	}
	if (len == 0 && !head->bracketed)
		return "has no host name";
	if (len > MAX_HOST)
		return "has a host name that is too long";
	memcpy(head->host, p, len);
	head->host[len] = '\0';
	head->is_four = !head->bracketed && inet_pton(AF_INET, head->host, &head->four) == 1;
	if (!head->bracketed)
		return read_port(p + len, &head->rest);
	if (p[len] != ']' || inet_pton(AF_INET6, head->host, &head->six) != 1)
		return "has a bad IPv6 address";
	return read_port(p + len + 1, &head->rest);
}

/* Scheme, host and port; what follows must begin a path, query or fragment. */
static const char *
read_head(const char *url, UrlHead *head)
{
	const char *why;
	const char *authority;

	if (strncasecmp(url, "https://", 8) == 0)
		head->https = true;
	else if (strncasecmp(url, "http://", 7) == 0)
		head->https = false;
	else
		return "must begin with https:// or http://";
	authority = url + (head->https ? 8 : 7);
	if (memchr(authority, '@', strcspn(authority, "/?#")) != NULL)
		return "must not contain a user name";
	why = read_host(authority, head);
	if (why != NULL)
		return why;
	if (*head->rest != '\0' && strchr("/?#", *head->rest) == NULL)
		return "has a bad host name";
	return NULL;
}

/* Is the host localhost or a loopback address in its usual form? */
static bool
is_loopback(const UrlHead *head)
{
	if (head->bracketed)
		return IN6_IS_ADDR_LOOPBACK(&head->six);
	return head->is_four ? ntohl(head->four.s_addr) >> 24 == 127 :
		strcasecmp(head->host, "localhost") == 0;
}

/*
 * Is it an IPv4 address in a form that only some parsers know, such as 127.1 or
 * 0x7f000001?  libcurl would use a kept connection to 127.0.0.1 for it, without
 * asking whether a name may lead there.
 */
static bool
is_odd_address(const UrlHead *head)
{
	size_t		len = strlen(head->host);
	size_t		start;
	const char *last;

	if (head->bracketed || head->is_four)
		return false;
	while (len > 0 && head->host[len - 1] == '.')
		len--;
	for (start = len; start > 0 && head->host[start - 1] != '.'; start--)
		 /* to the last label */ ;
	last = head->host + start;
	return strncasecmp(last, "0x", 2) == 0 ||
		strspn(last, "0123456789") >= len - start;
}

const char *
inqud_check_base_url(const char *url)
{
	UrlHead		head;
	const char *why;

	if (strncasecmp(url, "https://", 8) != 0 &&
		strncasecmp(url, "http://", 7) != 0)
		return "must begin with https://";
	if (strlen(url) > MAX_URL)
		return "is too long";
	if (has_forbidden(url, true))
		return "contains a character that is not allowed in a URL";
	if (strpbrk(url, "?#") != NULL)
		return "must not contain a query or fragment";
	why = read_head(url, &head);
	if (why != NULL)
		return why;
	if (is_odd_address(&head))
		return "has a bad IPv4 address";
	if (!head.https && !is_loopback(&head))
		return "must begin with https:// unless it is a loopback address";
	/* servers differ in whether they take "%2e%2e" for ".." */
	if (strstr(head.rest, "..") != NULL || strchr(head.rest, '%') != NULL)
		return "must not contain \"..\" or \"%\"";
	return NULL;
}

const char *
inqud_check_web_url(const char *url)
{
	UrlHead		head;

	if (strlen(url) > MAX_URL)
		return "is too long";
	if (has_forbidden(url, false))
		return "contains a character that is not allowed in a URL";
	if (!inqud_utf8_valid(url, strlen(url)))
		return "is not valid UTF-8";
	return read_head(url, &head);
}

InqudHostKind
inqud_url_host_kind(const char *base_url)
{
	UrlHead		head;

	/* a name is the strictest kind */
	if (read_head(base_url, &head) != NULL)
		return INQUD_HOST_NAME;
	if (strcasecmp(head.host, "localhost") == 0)
		return INQUD_HOST_LOCAL;
	return head.bracketed || head.is_four ? INQUD_HOST_ADDRESS : INQUD_HOST_NAME;
}

/* ---- Path templates ---- */

/* How often "{name}" stands in the path. */
static int
count_placeholder(const char *path, const char *name)
{
	size_t		len = strlen(name);
	const char *p;
	int			n = 0;

	for (p = strchr(path, '{'); p != NULL; p = strchr(p + 1, '{'))
	{
		if (strncmp(p + 1, name, len) == 0 && p[len + 1] == '}')
			n++;
	}
	return n;
}

const char *
inqud_check_path_template(const char *path, const char *const *required)
{
	const char *p;
	int			opened = 0;
	int			closed = 0;
	int			expected = 0;

	if (path[0] != '/')
		return "must begin with \"/\"";
	if (strlen(path) > MAX_URL)
		return "is too long";
	if (has_forbidden(path, true))
		return "contains a character that is not allowed in a path";
	if (strpbrk(path, "?#%") != NULL)
		return "must not contain \"?\", \"#\" or \"%\"";
	if (strstr(path, "..") != NULL)
		return "must not contain \"..\"";
	for (; *required != NULL; required++, expected++)
	{
		if (count_placeholder(path, *required) != 1)
			return "must contain each of its placeholders once";
	}
	for (p = path; *p != '\0'; p++)
	{
		opened += *p == '{';
		closed += *p == '}';
	}
	if (opened != expected || closed != expected)
		return "contains an unknown placeholder";
	return NULL;
}

int
inqud_percent_code(char c, char code[3])
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char byte = (unsigned char) c;

	code[0] = c;
	if (is_ascii_alnum(c) || (c != '\0' && strchr("-._~", c) != NULL))
		return 1;
	code[0] = '%';
	code[1] = hex[byte >> 4];
	code[2] = hex[byte & 15];
	return 3;
}

/* Append a value to a path, percent-encoded. */
static bool
add_encoded(InqudBuffer *url, const char *value)
{
	char		code[3];

	for (; *value != '\0'; value++)
	{
		if (!inqud_buffer_add(url, code, (size_t) inqud_percent_code(*value, code)))
			return false;
	}
	return true;
}

bool
inqud_url_build(InqudBuffer *url, const char *base_url,
				const char *path_template, const char *project_id,
				const char *checkout_id)
{
	size_t		len = strlen(base_url);
	const char *p = path_template;

	while (len > 0 && base_url[len - 1] == '/')
		len--;
	if (!inqud_buffer_add(url, base_url, len))
		return false;
	while (*p != '\0')
	{
		size_t		literal = strcspn(p, "{");
		const char *value;

		if (!inqud_buffer_add(url, p, literal))
			return false;
		p += literal;
		if (*p == '\0')
			break;
		value = strncmp(p, "{project}", 9) == 0 ? project_id : checkout_id;
		if (value == NULL || !add_encoded(url, value))
			return false;
		p += strcspn(p, "}");
		p += *p == '}';
	}
	return true;
}
