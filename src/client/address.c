/*-------------------------------------------------------------------------
 *
 * address.c
 *		Which addresses a transfer may connect to, which one it is connected to, and
 *		whether its file of CA certificates may be read.
 *
 * The check gets the resolved address, immediately before the connection is made: a name
 * that leads into the private network must neither be sent credentials nor be a way to
 * reach services there.  Must not resolve names.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "client_internal.h"

/* 64 times the size of a system's bundle, which has a quarter of a megabyte. */
#define MAX_CA_FILE (16 * 1024 * 1024)

typedef struct Range
{
	uint32_t	address;
	int			bits;
} Range;

/* IPv4 addresses that are not public. */
static const Range special_ranges[] =
{
	{0x00000000, 8},			/* 0.0.0.0/8 this network */
	{0x0a000000, 8},			/* 10.0.0.0/8 private */
	{0x64400000, 10},			/* 100.64.0.0/10 shared by carriers */
	{0x7f000000, 8},			/* 127.0.0.0/8 loopback */
	{0xa9fe0000, 16},			/* 169.254.0.0/16 link-local */
	{0xac100000, 12},			/* 172.16.0.0/12 private */
	{0xc0000000, 24},			/* 192.0.0.0/24 protocol assignments */
	{0xc0000200, 24},			/* 192.0.2.0/24 documentation */
	{0xc0586300, 24},			/* 192.88.99.0/24 relays of 6to4 */
	{0xc0a80000, 16},			/* 192.168.0.0/16 private */
	{0xc6120000, 15},			/* 198.18.0.0/15 benchmarks */
	{0xc6336400, 24},			/* 198.51.100.0/24 documentation */
	{0xcb007100, 24},			/* 203.0.113.0/24 documentation */
	{0xe0000000, 3}				/* 224.0.0.0/3 multicast and reserved */
};

static bool
is_public4(uint32_t address)
{
	size_t		i;

	for (i = 0; i < sizeof(special_ranges) / sizeof(special_ranges[0]); i++)
	{
		int			shift = 32 - special_ranges[i].bits;

		if (address >> shift == special_ranges[i].address >> shift)
			return false;
	}
	return true;
}

static uint32_t
four_bytes(const uint8_t *b)
{
	return (uint32_t) b[0] << 24 | (uint32_t) b[1] << 16 |
		(uint32_t) b[2] << 8 | b[3];
}

/*
 * Public addresses lie in 2000::/3, except for a few ranges of it; all others are
 * unspecified, loopback, unique local, link or site local, multicast, or not in
 * use.  An address that stands for an IPv4 address is judged as that one.
 */
static bool
is_public6(const uint8_t *b)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};

	if (memcmp(b, mapped, 12) == 0 || memcmp(b, nat64, 12) == 0)
		return is_public4(four_bytes(b + 12));
	if ((b[0] & 0xe0) != 0x20)
		return false;
	switch (b[0] << 8 | b[1])
	{
		case 0x2001:			/* Teredo and other assignments; documentation */
			return (b[2] & 0xfe) != 0 && !(b[2] == 0x0d && b[3] == 0xb8);
		case 0x2002:			/* 6to4 */
			return is_public4(four_bytes(b + 2));
		case 0x3fff:			/* documentation */
			return (b[2] & 0xf0) != 0;
		default:
			return true;
	}
}

/* May a transfer whose host is of this kind connect to this address? */
static bool
is_allowed(const struct sockaddr *address, InqudHostKind host)
{
	if (address->sa_family == AF_INET)
	{
		struct sockaddr_in in;
		uint32_t	four;

		memcpy(&in, address, sizeof(in));
		four = ntohl(in.sin_addr.s_addr);
		if (host == INQUD_HOST_LOCAL)
			return four >> 24 == 127;
		return host == INQUD_HOST_ADDRESS || is_public4(four);
	}
	if (address->sa_family == AF_INET6)
	{
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		if (host == INQUD_HOST_LOCAL)
			return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
		return host == INQUD_HOST_ADDRESS || is_public6(in6.sin6_addr.s6_addr);
	}
	return false;
}

const char	inqud_unfit_ca_file[] = "ca_file is not a regular file of at most 16 MB";

/*
 * libcurl would block on a pipe, and read a file of any size.  A missing file is
 * left to libcurl, which reports it.
 */
static bool
is_fit_ca_file(const char *path)
{
	struct stat st;

	return path[0] == '\0' || stat(path, &st) != 0 ||
		(S_ISREG(st.st_mode) && st.st_size <= MAX_CA_FILE);
}

const char *
inqud_connect_refusal(const struct sockaddr *address, InqudHostKind host,
					  const char *ca_file)
{
	if (!is_allowed(address, host))
		return "the host's name leads to an address that is not public";
	return is_fit_ca_file(ca_file) ? NULL : inqud_unfit_ca_file;
}

void
inqud_address_of_peer(int fd, char *out, size_t size)
{
	struct sockaddr_storage peer = {0};
	socklen_t	len = sizeof(peer);

	*out = '\0';
	if (getpeername(fd, (struct sockaddr *) &peer, &len) != 0)
		return;
	if (peer.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *) &peer)->sin_addr, out, (socklen_t) size);
	else if (peer.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &peer)->sin6_addr, out, (socklen_t) size);
}
