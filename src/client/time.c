/*-------------------------------------------------------------------------
 *
 * time.c
 *		Times of the API (ISO 8601) and of HTTP headers.
 *
 * Calculated here from the digits, since the C library's functions follow the
 * process's time zone and locale, and stop at whole seconds.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

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
read_char(Cursor *cursor, char c)
{
	if (cursor->p == cursor->end || *cursor->p != c)
		return false;
	cursor->p++;
	return true;
}

/*
 * Days from 1970-01-01 to a date of the Gregorian calendar.  Years begin in
 * March here, so that the leap day is a year's last; 719468 is the distance
 * from 0000-03-01 to 1970-01-01.
 */
static int64_t
days_of_date(int year, int month, int day)
{
	int64_t		y = month > 2 ? year : year - 1;
	int64_t		m = month > 2 ? month - 3 : month + 9;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 -
		719468;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* Seconds since 1970.  A leap second counts as the next minute's first. */
static bool
moment_to_seconds(const Moment *m, int64_t *seconds)
{
	if (m->month < 1 || m->month > 12 || m->day < 1 ||
		m->day > days_in_month(m->year, m->month) ||
		m->hour > 23 || m->minute > 59 || m->second > 60)
		return false;
	*seconds = days_of_date(m->year, m->month, m->day) * SECONDS_PER_DAY +
		m->hour * 3600 + m->minute * 60 + m->second;
	return true;
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
	if (read_char(cursor, 'Z') || read_char(cursor, 'z'))
		return cursor->p == cursor->end;
	if (read_char(cursor, '+'))
		sign = 1;
	else if (read_char(cursor, '-'))
		sign = -1;
	else
		return false;
	if (!read_number(cursor, 2, &hours))
		return false;
	if (cursor->p < cursor->end)
	{
		(void) read_char(cursor, ':');
		if (!read_number(cursor, 2, &minutes))
			return false;
	}
	*offset = sign * (hours * 3600 + minutes * 60);
	return hours < 16 && minutes < 60 && cursor->p == cursor->end;
}

/*
 * Year to second and its fraction; the seconds may be absent, as some programs
 * print them so.  A fraction of a minute nobody prints, and it would be taken
 * for one of a second.
 */
static bool
read_moment(Cursor *cursor, Moment *m, int64_t *fraction)
{
	*fraction = 0;
	if (!read_number(cursor, 4, &m->year) || !read_char(cursor, '-') ||
		!read_number(cursor, 2, &m->month) || !read_char(cursor, '-') ||
		!read_number(cursor, 2, &m->day))
		return false;
	if (!read_char(cursor, 'T') && !read_char(cursor, 't') &&
		!read_char(cursor, ' '))
		return false;
	if (!read_number(cursor, 2, &m->hour) || !read_char(cursor, ':') ||
		!read_number(cursor, 2, &m->minute))
		return false;
	m->second = 0;
	if (!read_char(cursor, ':'))
		return true;
	return read_number(cursor, 2, &m->second) &&
		(!read_char(cursor, '.') || read_fraction(cursor, fraction));
}

bool
inqud_time_read(const char *text, size_t len, int64_t *usec)
{
	Cursor		cursor = {text, text + len};
	Moment		m;
	int64_t		seconds;
	int64_t		fraction;
	int			offset;

	if (!read_moment(&cursor, &m, &fraction))
		return false;
	if (!read_zone(&cursor, &offset) || !moment_to_seconds(&m, &seconds))
		return false;
	*usec = (seconds - offset) * USEC_PER_SECOND + fraction;
	return *usec >= 0 && *usec < END_OF_TIME * USEC_PER_SECOND;
}

/* The reverse of days_of_date, for days since 1970. */
static void
date_of_days(int64_t days, Moment *m)
{
	int64_t		era;
	int64_t		day_of_era;
	int64_t		year_of_era;
	int64_t		day_of_year;
	int64_t		month;

	days += 719468;
	era = days / 146097;
	day_of_era = days % 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
				   day_of_era / 146096) / 365;
	day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 -
								year_of_era / 100);
	month = (day_of_year * 5 + 2) / 153;
	m->day = (int) (day_of_year - (month * 153 + 2) / 5 + 1);
	m->month = (int) (month < 10 ? month + 3 : month - 9);
	m->year = (int) (era * 400 + year_of_era + (m->month <= 2 ? 1 : 0));
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

/* A month's English abbreviation, in any case. */
static bool
read_month(Cursor *cursor, int *month)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
	int			i;

	if (cursor->end - cursor->p < 3)
		return false;
	for (i = 0; i < 12; i++)
	{
		const char *name = names + i * 3;

		if ((cursor->p[0] | 0x20) == name[0] &&
			(cursor->p[1] | 0x20) == name[1] &&
			(cursor->p[2] | 0x20) == name[2])
		{
			cursor->p += 3;
			*month = i + 1;
			return true;
		}
	}
	return false;
}

static bool
read_clock(Cursor *cursor, Moment *m)
{
	return read_number(cursor, 2, &m->hour) && read_char(cursor, ':') &&
		read_number(cursor, 2, &m->minute) && read_char(cursor, ':') &&
		read_number(cursor, 2, &m->second);
}

/* "06 Nov 1994 08:49:37 GMT" or, with dashes, "06-Nov-94 08:49:37 GMT" */
static bool
read_day_first(Cursor *cursor, Moment *m)
{
	char		separator;

	if (!read_number(cursor, 2, &m->day))
		return false;
	separator = read_char(cursor, '-') ? '-' : ' ';
	if ((separator == ' ' && !read_char(cursor, ' ')) ||
		!read_month(cursor, &m->month) || !read_char(cursor, separator))
		return false;
	if (!read_number(cursor, separator == '-' ? 2 : 4, &m->year))
		return false;
	/* two digits: the century that began last, as far as it makes sense */
	if (separator == '-')
		m->year += m->year < 70 ? 2000 : 1900;
	return read_char(cursor, ' ') && read_clock(cursor, m) &&
		read_char(cursor, ' ') && read_char(cursor, 'G') &&
		read_char(cursor, 'M') && read_char(cursor, 'T');
}

/* "Nov  6 08:49:37 1994" */
static bool
read_month_first(Cursor *cursor, Moment *m)
{
	if (!read_month(cursor, &m->month) || !read_char(cursor, ' '))
		return false;
	if (!read_number(cursor, read_char(cursor, ' ') ? 1 : 2, &m->day))
		return false;
	return read_char(cursor, ' ') && read_clock(cursor, m) &&
		read_char(cursor, ' ') && read_number(cursor, 4, &m->year);
}

bool
inqud_http_date_read(const char *text, size_t len, int64_t *seconds)
{
	Cursor		cursor = {text, text + len};
	Moment		m;
	bool		comma;

	/* the weekday adds nothing, whatever it says */
	while (cursor.p < cursor.end && ((*cursor.p | 0x20) >= 'a') &&
		   ((*cursor.p | 0x20) <= 'z'))
		cursor.p++;
	if (cursor.p == text)
		return false;
	comma = read_char(&cursor, ',');
	if (!read_char(&cursor, ' '))
		return false;
	if (comma ? !read_day_first(&cursor, &m) : !read_month_first(&cursor, &m))
		return false;
	return cursor.p == cursor.end && moment_to_seconds(&m, seconds);
}
