/*-------------------------------------------------------------------------
 *
 * time.c
 *		Times of the API (ISO 8601).
 *
 * Calculated from the digits, since the C library's functions follow the
 * process's time zone and locale, and stop at whole seconds.  Dates of HTTP
 * headers are read by libcurl (http.c).
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "client_internal.h"

#define SECONDS_PER_DAY 86400
#define USEC_PER_SECOND INT64_C(1000000)

/* the first second of year 10000 */
#define END_OF_TIME INT64_C(253402300800)

typedef struct Moment
{
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
} Moment;

/* A text being read from left to right. */
typedef struct Cursor
{
	const char *p;
	const char *end;
} Cursor;

/* Exactly "digits" decimal digits. */
static bool
read_number(Cursor *cursor, int digits, int *value)
{
	int			i;

	*value = 0;
	for (i = 0; i < digits; i++)
	{
		if (cursor->p == cursor->end || !inqud_is_digit(*cursor->p))
			return false;
		*value = *value * 10 + (*cursor->p++ - '0');
	}
	return true;
}

static bool
take_char(Cursor *cursor, char c)
{
	if (cursor->p == cursor->end || *cursor->p != c)
		return false;
	cursor->p++;
	return true;
}

/*
 * Days from 1970-01-01 to a date of the Gregorian calendar; month 13 is the next
 * year's first.  Years begin in March here, so that the leap day is a year's last;
 * 719468 is the distance from 0000-03-01 to 1970-01-01.
 */
static int64_t
days_of_date(int year, int month, int day)
{
	int64_t		y = month > 2 ? year : year - 1;
	int64_t		m = month > 2 ? month - 3 : month + 9;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 -
		719468;
}

/* Seconds since 1970.  A leap second counts as the next minute's first. */
static bool
moment_to_seconds(const Moment *m, int64_t *seconds)
{
	int64_t		days = days_of_date(m->year, m->month, m->day);

	*seconds = days * SECONDS_PER_DAY + m->hour * 3600 + m->minute * 60 + m->second;
	return m->month >= 1 && m->month <= 12 && m->day >= 1 &&
		days < days_of_date(m->year, m->month + 1, 1) &&
		m->hour <= 23 && m->minute <= 59 && m->second <= 60;
}

/* Fraction digits, rounded half up to microseconds (which may be a whole second). */
static bool
read_fraction(Cursor *cursor, int64_t *usec)
{
	int64_t		unit = USEC_PER_SECOND;
	const char *start = cursor->p;

	*usec = 0;
	for (; cursor->p < cursor->end && inqud_is_digit(*cursor->p); cursor->p++)
	{
		int			digit = *cursor->p - '0';

		if (unit == 1 && digit >= 5)
			*usec += 1;
		unit /= 10;
		*usec += digit * unit;
	}
	return cursor->p > start;
}

/* "Z" or a numeric offset, which must end the text. */
static bool
read_zone(Cursor *cursor, int *offset)
{
	int			sign;
	int			hours;
	int			minutes = 0;

	*offset = 0;
	if (take_char(cursor, 'Z') || take_char(cursor, 'z'))
		return cursor->p == cursor->end;
	if (take_char(cursor, '+'))
		sign = 1;
	else if (take_char(cursor, '-'))
		sign = -1;
	else
		return false;
	if (!read_number(cursor, 2, &hours))
		return false;
	if (cursor->p < cursor->end)
	{
		(void) take_char(cursor, ':');
		if (!read_number(cursor, 2, &minutes))
			return false;
	}
	*offset = sign * (hours * 3600 + minutes * 60);
	return hours < 16 && minutes < 60 && cursor->p == cursor->end;
}

/*
 * Year to second and its fraction.  The seconds may be absent, as some programs
 * leave them out.  A fraction behind the minute is refused, since it would be read
 * as one of a second.
 */
static bool
read_moment(Cursor *cursor, Moment *m, int64_t *fraction)
{
	*fraction = 0;
	if (!read_number(cursor, 4, &m->year) || !take_char(cursor, '-') ||
		!read_number(cursor, 2, &m->month) || !take_char(cursor, '-') ||
		!read_number(cursor, 2, &m->day))
		return false;
	if (!take_char(cursor, 'T') && !take_char(cursor, 't') &&
		!take_char(cursor, ' '))
		return false;
	if (!read_number(cursor, 2, &m->hour) || !take_char(cursor, ':') ||
		!read_number(cursor, 2, &m->minute))
		return false;
	m->second = 0;
	if (!take_char(cursor, ':'))
		return true;
	return read_number(cursor, 2, &m->second) &&
		(!take_char(cursor, '.') || read_fraction(cursor, fraction));
}

bool
inqud_time_read(const char *text, size_t len, int64_t *usec)
{
	Cursor		cursor = {text, text + len};
	Moment		m;
	int64_t		seconds;
	int64_t		fraction;
	int			offset;

	if (!read_moment(&cursor, &m, &fraction) || !read_zone(&cursor, &offset) ||
		!moment_to_seconds(&m, &seconds))
		return false;
	*usec = (seconds - offset) * USEC_PER_SECOND + fraction;
	return *usec >= 0 && *usec < END_OF_TIME * USEC_PER_SECOND;
}

/* The reverse of days_of_date, for days since 1970. */
static void
date_of_days(int64_t days, Moment *m)
{
	m->year = 1970 + (int) (days / 366);
	while (days >= days_of_date(m->year, 13, 1))
		m->year++;
	m->month = 1;
	while (days >= days_of_date(m->year, m->month + 1, 1))
		m->month++;
	m->day = (int) (days - days_of_date(m->year, m->month, 1)) + 1;
}

void
inqud_time_write(int64_t usec, char out[40])
{
	Moment		m;
	int64_t		seconds = usec / USEC_PER_SECOND;
	int			fraction = (int) (usec % USEC_PER_SECOND);
	int			in_day = (int) (seconds % SECONDS_PER_DAY);
	size_t		len;

	out[0] = '\0';
	if (usec < 0 || seconds >= END_OF_TIME)
		return;
	date_of_days(seconds / SECONDS_PER_DAY, &m);
	len = (size_t) snprintf(out, 40, "%04d-%02d-%02dT%02d:%02d:%02d",
							m.year, m.month, m.day,
							in_day / 3600, in_day / 60 % 60, in_day % 60);
	if (fraction > 0)
	{
		len += (size_t) snprintf(out + len, 40 - len, ".%06d", fraction);
		while (out[len - 1] == '0')
			len--;
	}
	snprintf(out + len, 40 - len, "Z");
}
