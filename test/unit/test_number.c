/*-------------------------------------------------------------------------
 *
 * test_number.c
 *		Exact numbers and times.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "client_internal.h"
#include "tap.h"

static void
number(const char *text, const char *expected)
{
	char		out[INQUD_NUMBER_MAX] = "untouched";
	bool		good = inqud_number_plain(text, strlen(text), out);

	if (expected == NULL)
		ok(!good, "%.60s is refused", text);
	else
		is(good ? out : "(refused)", expected, text);
}

static void
test_numbers(void)
{
	static char long_zeros[100002];

	number("0", "0");
	number("-0", "0");
	number("0.0", "0");
	number("0E-8", "0");
	number("0e999999999999999999999", "0");
	number("100", "100");
	number("100.50", "100.5");
	number("-12.340", "-12.34");
	number("1E-8", "0.00000001");
	number("1e2", "100");
	number("1.5E+3", "1500");
	number("12345e-2", "123.45");
	number("0.00123e3", "1.23");
	number("99.46291", "99.46291");
	number("0.000000000000000001", "0.000000000000000001");
	number("1e-18", "0.000000000000000001");
	number("0.0000000000000000001", NULL);
	number("1e-19", NULL);
	number("1.0000000000000000000000", "1");
	number("100000000000000000000", "100000000000000000000");
	number("18446744073709551616", "18446744073709551616");
	number("99999999999999999999999999999999999999",
		   "99999999999999999999999999999999999999");
	number("999999999999999999999999999999999999999", NULL);
	number("12345678901234567890.123456789012345678",
		   "12345678901234567890.123456789012345678");
	number("123456789012345678901.123456789012345678", NULL);
	number("1e37", "10000000000000000000000000000000000000");
	number("1e38", NULL);
	number("1e200000", NULL);
	number("1e-200000", NULL);
	number("1e99999999999999999999999999", NULL);
	number("10e-1", "1");
	number("", NULL);
	number("-", NULL);
	number("+1", NULL);
	number("01", NULL);
	number("00", NULL);
	number(".5", NULL);
	number("5.", NULL);
	number("1e", NULL);
	number("1e+", NULL);
	number("1.e3", NULL);
	number("1.2.3", NULL);
	number("1 ", NULL);
	number(" 1", NULL);
	number("1,5", NULL);
	number("0x10", NULL);
	number("NaN", NULL);
	number("Infinity", NULL);
	number("-Infinity", NULL);
	number("--1", NULL);
	memset(long_zeros, '0', 100001);
	long_zeros[0] = '1';
	long_zeros[1] = '.';
	number(long_zeros, "1");
	long_zeros[100000] = '1';
	number(long_zeros, NULL);
	long_zeros[0] = '0';
	number(long_zeros, NULL);
	memcpy(long_zeros + 99993, "1e99992", 7);
	long_zeros[100000] = '\0';
	number(long_zeros, "1");
	ok(!inqud_number_plain("12", 0, long_zeros), "no bytes are no number");
}

/* Every value survives a way through an exponent form. */
static void
test_number_round_trip(void)
{
	int			bad = 0;
	int			i;

	srandom(4711);
	for (i = 0; i < 20000; i++)
	{
		long		value = random() % 1000000000 + 1;
		int			shift = (int) (random() % 19);
		char		text[80];
		char		direct[INQUD_NUMBER_MAX];
		char		again[INQUD_NUMBER_MAX];

		snprintf(text, sizeof(text), "%lde-%d", value, shift);
		if (!inqud_number_plain(text, strlen(text), direct))
		{
			bad++;
			continue;
		}
		snprintf(text, sizeof(text), "%se0", direct);
		if (!inqud_number_plain(text, strlen(text), again) ||
			strcmp(direct, again) != 0 ||
			(strchr(direct, '.') != NULL && direct[strlen(direct) - 1] == '0'))
			bad++;
	}
	is_int(bad, 0, "20000 numbers are the same in both forms");
}

static void
moment(const char *text, long long expected)
{
	int64_t		usec = -1;
	bool		good = inqud_time_read(text, strlen(text), &usec);

	ok(expected < 0 ? !good : good && usec == expected,
	   "%s is %lld (got %lld)", text, expected, good ? (long long) usec : -1LL);
}

static void
test_times(void)
{
	moment("1970-01-01T00:00:00Z", 0);
	moment("2024-12-01T12:00:00Z", 1733054400000000);
	moment("2023-12-22T09:17:26.081523507Z", 1703236646081524);
	moment("2023-12-22T09:17:26.0815234Z", 1703236646081523);
	moment("2023-12-22T09:17:26.0815235Z", 1703236646081524);
	moment("2023-12-22T09:17:26.9999999Z", 1703236647000000);
	moment("2023-12-22T09:17:26.1Z", 1703236646100000);
	moment("2023-12-22T09:17:26.000000000000001Z", 1703236646000000);
	moment("2024-12-01T14:00:00+02:00", 1733054400000000);
	moment("2024-12-01T10:30:00-0130", 1733054400000000);
	moment("2024-12-01T14:00:00+02", 1733054400000000);
	moment("2024-12-01t12:00:00z", 1733054400000000);
	moment("2024-12-01T12:00Z", 1733054400000000);
	moment("2024-02-29T00:00:00Z", 1709164800000000);
	moment("2000-02-29T00:00:00Z", 951782400000000);
	moment("2016-12-31T23:59:60Z", 1483228800000000);
	moment("9999-12-31T23:59:59.999999Z", 253402300799999999);
	moment("9999-12-31T23:59:59.9999999Z", -1);
	moment("9999-12-31T23:59:59-01:00", -1);
	moment("1969-12-31T23:59:59Z", -1);
	moment("1970-01-01T00:00:00+00:01", -1);
	moment("0000-01-01T00:00:00Z", -1);
	moment("2023-02-29T00:00:00Z", -1);
	moment("2100-02-29T00:00:00Z", -1);
	moment("2024-13-01T00:00:00Z", -1);
	moment("2024-00-01T00:00:00Z", -1);
	moment("2024-01-00T00:00:00Z", -1);
	moment("2024-01-32T00:00:00Z", -1);
	moment("2024-01-01T24:00:00Z", -1);
	moment("2024-01-01T00:60:00Z", -1);
	moment("2024-01-01T00:00:61Z", -1);
	moment("2024-01-01T00:00:00", -1);
	moment("2024-01-01T00:00:00.Z", -1);
	moment("2024-01-01T00:00.5Z", -1);
	moment("2024-01-01T00:00:00Zx", -1);
	moment("2024-01-01T00:00:00+2:00", -1);
	moment("2024-01-01T00:00:00+16:00", -1);
	moment("2024-01-01", -1);
	moment("24-01-01T00:00:00Z", -1);
	moment("20240101T000000Z", -1);
	moment(" 2024-01-01T00:00:00Z", -1);
	moment("", -1);
}

static void
test_time_round_trip(void)
{
	char		text[40];
	int64_t		back;
	int64_t		usec;
	int			bad = 0;
	int			i;

	inqud_time_write(1893499200000000, text);
	is(text, "2030-01-01T12:00:00Z", "whole seconds");
	inqud_time_write(1893499200120000, text);
	is(text, "2030-01-01T12:00:00.12Z", "no more digits than needed");
	inqud_time_write(1, text);
	is(text, "1970-01-01T00:00:00.000001Z", "one microsecond");
	inqud_time_write(253402300799999999, text);
	is(text, "9999-12-31T23:59:59.999999Z", "the last one");
	inqud_time_write(253402300800000000, text);
	is(text, "", "beyond it there is none");
	inqud_time_write(-1, text);
	is(text, "", "nor before the first");
	inqud_time_write(INT64_MIN, text);
	is(text, "", "however far");
	srandom(42);
	for (i = 0; i < 100000; i++)
	{
		usec = ((int64_t) random() << 31 | random()) % 253402300800000000;
		inqud_time_write(usec, text);
		if (!inqud_time_read(text, strlen(text), &back) || back != usec)
			bad++;
	}
	is_int(bad, 0, "100000 times survive writing and reading");
	/* each day once, across many leap years */
	for (bad = 0, i = 0; i < 200000; i++)
	{
		usec = (int64_t) i * 86400000000;
		inqud_time_write(usec, text);
		if (!inqud_time_read(text, strlen(text), &back) || back != usec)
			bad++;
	}
	is_int(bad, 0, "200000 days in a row do");
}

int
main(void)
{
	test_numbers();
	test_number_round_trip();
	test_times();
	test_time_round_trip();
	return tap_end();
}
