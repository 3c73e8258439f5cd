/*-------------------------------------------------------------------------
 *
 * address.c
 *		Which network addresses a transfer may connect to.
 *
 * Asked with the address a name was resolved to, immediately before the
 * connection is made: a name that suddenly leads into the private network must
 * not get credentials, nor be a way to reach services there.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

typedef struct Range
{
	uint32_t	address;
	int			bits;
} Range;

/* Everything that is not somebody's public address. */
static const Range special_ranges[] =
{
	{0x00000000, 8},			/* 0.0.0.0/8 this network */
	{0x0a000000, 8},			/* 10.0.0.0/8 private */
	{0x64400000, 10},			/* 100.64.0.0/10 shared by carriers */
	{0x7f000000, 8},			/* 127.0.0.0/8 loopback */
	{0xa9fe0000, 16},			/* 169.254.0.0/16 link-local */
	{0xac100000, 12},			/* 172.16.0.0/12 private */
	{0xc0000000, 24},			/* 192.0.0.0/24 protocol assignments */
	{0xc0a80000, 16},			/* 192.168.0.0/16 private */
	{0xc6120000, 15},			/* 198.18.0.0/15 benchmarks */
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

static bool
is_public6(const uint8_t *b)
{
	static const uint8_t zeros[12];
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};

	/* an IPv4 address in disguise counts as that one; :: and ::1 too */
	if (memcmp(b, mapped, 12) == 0 || memcmp(b, zeros, 12) == 0 ||
		memcmp(b, nat64, 12) == 0)
		return is_public4(four_bytes(b + 12));
	if (b[0] == 0x20 && b[1] == 0x02)	/* 6to4 */
		return is_public4(four_bytes(b + 2));
	if ((b[0] & 0xfe) == 0xfc || b[0] == 0xff)	/* unique local, multicast */
		return false;
	return !(b[0] == 0xfe && (b[1] & 0x80) == 0x80);	/* link and site local */
}

static bool
is_loopback6(const uint8_t *b)
{
	static const uint8_t start[15];

	return memcmp(b, start, 15) == 0 && b[15] == 1;
}

bool
inqud_address_allowed(const struct sockaddr *address, InqudHostKind host)
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
			return is_loopback6(in6.sin6_addr.s6_addr);
		return host == INQUD_HOST_ADDRESS ||
			is_public6(in6.sin6_addr.s6_addr);
	}
	return false;
}
