/*-------------------------------------------------------------------------
 *
 * test_url.c
 *		Which URLs, paths and network addresses are acceptable.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "client_internal.h"
#include "tap.h"

static void
base(const char *url, bool good)
{
	const char *why = inqud_check_base_url(url);

	ok((why == NULL) == good, "base URL %s %s", url, why != NULL ? why : "is good");
}

static void
web(const char *url, bool good)
{
	const char *why = inqud_check_web_url(url);

	ok((why == NULL) == good, "web URL %s %s", url, why != NULL ? why : "is good");
}

/* What only looks like a loopback address. */
static void
test_lookalikes(void)
{
	base("http://127.0.0.1.", false);
	base("http://127.0.0.1.nip.io", false);
	base("http://127.0.0.1-evil.example", false);
	base("http://127.0.0.1:80@evil.example", false);
	base("http://127.0.0.1:8080:80", false);
	base("http://127.0.0.1%00.evil.example", false);
	base("http://127.0.0.1%2f@evil.example", false);
	base("http://127.0.0.1;evil.example", false);
	base("http://127.0.0.1,evil.example", false);
	base("http://127.00.0.1", false);
	base("http://127.0.1", false);
	base("http://0x7f.1", false);
	base("http://0x7f.0.0.1", false);
	base("http://017700000001", false);
	base("http://0.0.0.0", false);
	base("http://0", false);
	base("http://127.0.0.1.0", false);
	base("http://127.0.0.256", false);
	base("https://127.1", false);
	base("https://127.1.", false);
	base("https://127.0.0.1.", false);
	base("https://0x7f.1", false);
	base("https://0x7f000001", false);
	base("https://2130706433", false);
	base("https://017700000001", false);
	base("https://127.0.0.01", false);
	base("https://evil.example.0x7f", false);
	base("https://1.2.3.4.5", false);
	base("https://256.256.256.256", false);
	base("https://.", false);
	base("https://8.8.8.8", true);
	base("https://api1.inqud2.com3", true);
	base("https://127.0.0.1.nip.io", true);
}

/* What only looks like localhost, a plain host or a plain path. */
static void
test_lookalike_names(void)
{
	base("http://localhost.localdomain", false);
	base("http://localhost.evil.example", false);
	base("http://a.localhost", false);
	base("http://localhostx", false);
	base("http://xlocalhost", false);
	base("http://local%68ost", false);
	base("http://localhost:80#@evil.example", false);
	base("http://localhost\\.evil.example", false);
	base("http:/localhost", false);
	base("http:localhost", false);
	base("http:///localhost", false);
	base("http://[::]", false);
	base("http://[::1]@evil.example", false);
	base("http://[::1].evil.example", false);
	base("http://[::1%lo]", false);
	base("http://[::127.0.0.1]", false);
	base("http://[0:0:0:0:0:ffff:7f00:1]", false);
	base("http://[64:ff9b::127.0.0.1]", false);
	base("http://[localhost]", false);
	base("http://[]", false);
	base("http://[fe80::1]", false);
	base("http://\xef\xbc\x91""27.0.0.1", false);	/* a full-width digit */
	base("http://127\xe3\x80\x82""0.0.1", false);	/* an ideographic full stop */
	base("http://\xe2\x93\x9b""ocalhost", false);
	base("https://xn--bcher-kva.example", true);
	base("https://b\xc3\xbc""cher.example", false);
	base("https://api.inqud.com.", true);
	base("https://api.inqud.com/%2e%2e/x", false);
	base("https://api.inqud.com/%2E./x", false);
	base("https://api.inqud.com/a%00b", false);
	base("https://api.inqud.com/a%0d%0aX:y", false);
	base("https://api.inqud.com/a\\b", false);
	base("https://api.inqud.com/..", false);
	base("https://api.inqud.com:-1", false);
	base("https://api.inqud.com:+443", false);
	base("https://api.inqud.com: 443", false);
	base("https://api.inqud.com:0x1bb", false);
	base("https://api.inqud.com:65535", true);
	base("https://@api.inqud.com", false);
	base("https://:@api.inqud.com", false);
	base("https://api.inqud.com/?", false);
	base("https://api.inqud.com/#", false);
	base("https://api.inqud.com/x@y", true);
	base(" https://api.inqud.com", false);
	base("https ://api.inqud.com", false);
	base("https:\\\\api.inqud.com", false);
	base("https:/api.inqud.com", false);
	base("httpss://api.inqud.com", false);
	base("gopher://127.0.0.1", false);
	base("file:///etc/passwd", false);
	base("dict://localhost", false);
	base("ldap://localhost", false);
	base("ws://localhost", false);
	base("javascript:https://api.inqud.com", false);
}

static void
test_base_urls(void)
{
	char		long_url[4000] = "https://a.example/";

	base("https://api.inqud.com", true);
	base("https://api.inqud.com/", true);
	base("https://api.inqud.com:8443/prefix", true);
	base("HTTPS://api.inqud.com", true);
	base("http://127.0.0.1", true);
	base("http://127.0.0.1:8080", true);
	base("http://127.255.0.9:1/x", true);
	base("http://localhost:8080", true);
	base("http://LOCALHOST", true);
	base("http://[::1]:8080", true);
	base("http://[0:0:0:0:0:0:0:1]", true);
	base("https://[2001:db8::1]", true);
	base("http://api.inqud.com", false);
	base("http://127.0.0.1.evil.example", false);
	base("http://localhost.evil", false);
	base("http://localhost.", false);
	base("http://[::1]x", false);
	base("http://[::1", false);
	base("http://[::1%25lo]", false);
	base("http://[::ffff:127.0.0.1]", false);
	base("http://[::2]", false);
	base("http://::1", false);
	base("http://127.1", false);
	base("http://2130706433", false);
	base("http://0x7f000001", false);
	base("http://0177.0.0.1", false);
	base("http://128.0.0.1", false);
	base("http://127.0.0.1@evil.example", false);
	base("https://user@api.inqud.com", false);
	base("https://user:pass@api.inqud.com", false);
	base("http://evil.example\\@127.0.0.1", false);
	base("http://127.0.0.1\\.evil.example", false);
	base("https://api.inqud.com?x=1", false);
	base("https://api.inqud.com#x", false);
	base("http://127.0.0.1#.evil.example", false);
	base("https://api inqud.com", false);
	base("https://api.inqud.com\n", false);
	base("https://api.inqud.com\x7f", false);
	base("https://api.\xc3\xa9.com", false);
	base("https://", false);
	base("https:///path", false);
	base("https://:443", false);
	base("https://api.inqud.com:", false);
	base("https://api.inqud.com:0", false);
	base("https://api.inqud.com:65536", false);
	base("https://api.inqud.com:99999999999999999999", false);
	base("https://api.inqud.com:44x", false);
	base("https://api%2einqud.com", false);
	base("https://api.inqud.com/../x", false);
	base("ftp://api.inqud.com", false);
	base("api.inqud.com", false);
	base("//api.inqud.com", false);
	base("", false);
	memset(long_url + strlen(long_url), 'a', 3000);
	base(long_url, false);
}

static void
test_web_urls(void)
{
	web("https://shop.example/return", true);
	web("http://shop.example/return?order=1&x=%20#top", true);
	web("https://shop.example:8443", true);
	web("https://shop.example?x=a@b", true);
	web("https://b\xc3\xbc""cher.example/\xc3\xa4", true);
	web("https://b\xc3.example/", false);
	web("javascript:alert(1)", false);
	web("data:text/html,x", false);
	web("https://user@shop.example/", false);
	web("https://shop.example/a b", false);
	web("https://shop.example/\"onclick=", false);
	web("https://shop.example/<script>", false);
	web("https://shop.example\\@evil", false);
	web("https://", false);
	web("", false);
}

static void
path(const char *text, bool good)
{
	static const char *const required[] = {"project", "checkout", NULL};
	const char *why = inqud_check_path_template(text, required);

	ok((why == NULL) == good, "path %s %s", text, why != NULL ? why : "is good");
}

static void
test_paths(void)
{
	path("/v1/user/crypto-acquiring/{project}/checkouts/{checkout}", true);
	path("/{checkout}/{project}", true);
	path("{project}/{checkout}", false);
	path("/{project}", false);
	path("/{project}/{checkout}/{checkout}", false);
	path("/{project}/{checkout}/{other}", false);
	path("/{project}/{checkout}/{", false);
	path("/{project}/{checkout}/}", false);
	path("/{{project}}/{checkout}", false);
	path("/../{project}/{checkout}", false);
	path("/%2e%2e/{project}/{checkout}", false);
	path("/{project}/{checkout}?x=1", false);
	path("/{project}/{checkout}#x", false);
	path("/{project}/ {checkout}", false);
	path("/{project}\r\nX: y/{checkout}", false);
	path("/{project}\\{checkout}", false);
	path("/{project}/{checkout}%2f..", false);
	path("/{project}%00{checkout}", false);
	path("/{project}/{checkout}/..", false);
	path("/..{project}/{checkout}", false);
	path("/{project}/\x7f{checkout}", false);
	path("/{project}/\x01{checkout}", false);
	path("/{project}/\t{checkout}", false);
	path("/{project}/{checkout}/\xc3\xa9", false);
	path("/{project}/{checkout }", false);
	path("/{ project}/{checkout}", false);
	path("/{Project}/{checkout}", false);
	path("/{project}/{}/{checkout}", false);
	path("/{project/{checkout}", false);
	path("/project}/{checkout}", false);
	path("/{project}/{project}/{checkout}", false);
	path("/{checkout}", false);
	path("{project}{checkout}/", false);
	path("https://evil.example/{project}/{checkout}", false);
	path("", false);
}

static void
test_build(void)
{
	InqudBuffer url;

	inqud_buffer_init(&url, 200);
	ok(inqud_url_build(&url, "http://127.0.0.1:1//", "/p/{project}/c/{checkout}",
					   "CAP-1", "a/b ?#%{project}\xc3\xa9"), "a URL is built");
	is(url.data, "http://127.0.0.1:1/p/CAP-1/c/a%2Fb%20%3F%23%25%7Bproject%7D%C3%A9",
	   "and what is in a part stays in it");
	inqud_buffer_clear(&url, 0);
	ok(!inqud_url_build(&url, "https://a.example", "/{project}/{checkout}", "p", NULL),
	   "a missing part is noticed");
	inqud_buffer_free(&url);
	inqud_buffer_init(&url, 20);
	ok(!inqud_url_build(&url, "https://a.example", "/{project}/{checkout}", "p",
						"0123456789"), "one that is too long is refused");
	inqud_buffer_free(&url);
}

static void
address(const char *text, bool public, bool local)
{
	struct sockaddr_storage storage;
	struct sockaddr_in *in = (struct sockaddr_in *) &storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) &storage;
	const struct sockaddr *any = (struct sockaddr *) &storage;

	memset(&storage, 0, sizeof(storage));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		in->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		in6->sin6_family = AF_INET6;
	ok((inqud_connect_refusal(any, INQUD_HOST_NAME, "") == NULL) == public,
	   "a name may %slead to %s", public ? "" : "not ", text);
	ok((inqud_connect_refusal(any, INQUD_HOST_LOCAL, "") == NULL) == local,
	   "localhost may %slead to %s", local ? "" : "not ", text);
	ok(inqud_connect_refusal(any, INQUD_HOST_ADDRESS, "") == NULL, "%s itself may be used", text);
}

/* Both ends of every range that is not public, and what lies beside it. */
static void
test_ranges(void)
{
	static const struct
	{
		const char *before;		/* public, or NULL */
		const char *first;
		const char *last;
		const char *after;
	}			ranges[] =
	{
		{NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
		{"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
		{"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
		{"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
		{"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
		{"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
		{"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
		{"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
		{"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
		{"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
		{"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
		{"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
		{"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
		{"223.255.255.255", "224.0.0.0", "239.255.255.255", NULL},
		{NULL, "240.0.0.0", "255.255.255.255", NULL},
		{NULL, "::", "::ffff:0:0:0", NULL},
		{NULL, "::1", "::8.8.8.8", NULL},
		{NULL, "::ffff:0:8.8.8.8", "64:ff9b:1::8.8.8.8", NULL},
		{NULL, "100::1", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"},
		{"2000:ffff::", "2001::", "2001:1ff:ffff::", "2001:200::"},
		{"2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::1", "2001:db9::"},
		{"2001:ffff::", "2002:a00::", "2002:aff:ffff::", "2002:b00::"},
		{"2002:ac0f:ffff::", "2002:ac10::1", "2002:ac1f:ffff::1", "2002:ac20::"},
		{"2002:c0a7::", "2002:c0a8::1", "2002:c0a8:ffff::1", "2002:c0a9::"},
		{"2002:7eff::", "2002:7f00:1::", "2002:7fff::", "2002:8000::"},
		{"2003::", "2002:a9fe:a9fe::", "2002:e000::", "2400::1"},
		{"3ffe:ffff::", "3fff::", "3fff:fff:ffff::", "3fff:1000::"},
		{"3fff:ffff::", "4000::", "fbff:ffff::", NULL},
		{NULL, "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
		{NULL, "fe00::", "fe7f:ffff::", NULL},
		{NULL, "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
		{NULL, "fec0::", "feff:ffff::", NULL},
		{NULL, "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
		{"::ffff:9.255.255.255", "::ffff:10.0.0.0", "::ffff:10.255.255.255", "::ffff:11.0.0.0"},
		{"::ffff:126.0.0.1", "::ffff:127.0.0.1", "::ffff:127.255.255.255", "::ffff:128.0.0.0"},
		{"::ffff:169.253.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::ffff:1.0.0.0"},
		{"::ffff:8.8.8.8", "::ffff:192.168.0.1", "::ffff:255.255.255.255", "::ffff:1.1.1.1"},
		{"64:ff9b::9.9.9.9", "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::8.8.4.4"},
		{"64:ff9b::1.1.1.1", "64:ff9b::169.254.169.254", "64:ff9b::192.168.1.1", "64:ff9b::11.0.0.1"}
	};
	size_t		i;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
	{
		bool		loop4 = strncmp(ranges[i].first, "127.", 4) == 0;

		if (ranges[i].before != NULL)
			address(ranges[i].before, true, false);
		address(ranges[i].first, false, loop4 || strcmp(ranges[i].first, "::1") == 0);
		address(ranges[i].last, false, loop4);
		if (ranges[i].after != NULL)
			address(ranges[i].after, true, false);
	}
}

static void
test_addresses(void)
{
	struct sockaddr unix_address = {.sa_family = AF_UNIX};

	address("8.8.8.8", true, false);
	address("3.64.51.60", true, false);
	address("100.63.255.255", true, false);
	address("172.32.0.1", true, false);
	address("223.255.255.255", true, false);
	address("2606:4700::1", true, false);
	address("0.0.0.0", false, false);
	address("10.1.2.3", false, false);
	address("100.64.0.1", false, false);
	address("100.127.255.255", false, false);
	address("127.0.0.1", false, true);
	address("127.9.9.9", false, true);
	address("169.254.169.254", false, false);
	address("172.16.0.1", false, false);
	address("172.31.255.255", false, false);
	address("192.168.1.1", false, false);
	address("198.19.0.1", false, false);
	address("224.0.0.1", false, false);
	address("240.0.0.1", false, false);
	address("255.255.255.255", false, false);
	address("::", false, false);
	address("::1", false, true);
	address("::ffff:127.0.0.1", false, false);
	address("::ffff:10.0.0.1", false, false);
	address("::ffff:8.8.8.8", true, false);
	address("::10.0.0.1", false, false);
	address("64:ff9b::10.0.0.1", false, false);
	address("64:ff9b::8.8.8.8", true, false);
	address("2002:0a00:0001::1", false, false);
	address("fe80::1", false, false);
	address("fec0::1", false, false);
	address("fc00::1", false, false);
	address("fd12::1", false, false);
	address("ff02::1", false, false);
	ok(inqud_connect_refusal(&unix_address, INQUD_HOST_ADDRESS, "") != NULL,
	   "other kinds of address are refused");
	is_int(inqud_url_host_kind("https://api.inqud.com"), INQUD_HOST_NAME, "a name");
	is_int(inqud_url_host_kind("http://localhost:1"), INQUD_HOST_LOCAL, "localhost");
	is_int(inqud_url_host_kind("http://127.0.0.1:1"), INQUD_HOST_ADDRESS, "an address");
	is_int(inqud_url_host_kind("https://[fd00::1]"), INQUD_HOST_ADDRESS, "a long one");
	is_int(inqud_url_host_kind("https://127.1"), INQUD_HOST_NAME,
		   "what only looks like an address is a name");
}

static void
test_percent(void)
{
	int			plain = 0;

	for (int c = 0; c < 256; c++)
	{
		char		code[3];
		char		expected[8];
		int			len = inqud_percent_code((char) c, code);
		bool		unreserved = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c) != NULL;

		plain += len == 1;
		snprintf(expected, sizeof(expected), unreserved ? "%c" : "%%%02X", c);
		ok(len == (int) strlen(expected) && memcmp(code, expected, (size_t) len) == 0, "byte %d in a URL", c);
	}
	ok(plain == 66, "66 bytes are unreserved");
}

int
main(void)
{
	test_base_urls();
	test_lookalikes();
	test_lookalike_names();
	test_web_urls();
	test_paths();
	test_build();
	test_ranges();
	test_addresses();
	test_percent();
	return tap_end();
}
