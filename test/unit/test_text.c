/*-------------------------------------------------------------------------
 *
 * test_text.c
 *		Durations, sizes, templates, white space, UTF-8, texts for people, buffers.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "tap.h"

static void
duration(const char *text, long long expected)
{
	int64_t		ms = -1;
	bool		good = inqud_parse_duration(text, &ms);

	ok(expected < 0 ? !good : good && ms == expected,
	   "duration \"%s\" is %lld", text, expected);
}

static void
size(const char *text, long long expected)
{
	int64_t		bytes = -1;
	bool		good = inqud_parse_size(text, &bytes);

	ok(expected < 0 ? !good : good && bytes == expected,
	   "size \"%s\" is %lld", text, expected);
}

static void
test_units(void)
{
	duration("500ms", 500);
	duration("5s", 5000);
	duration("2 min", 120000);
	duration("1h", 3600000);
	duration("1day", 86400000);
	duration("2days", 172800000);
	duration(" 7 s ", 7000);
	duration("0s", 0);
	duration("10000days", 864000000000);
	duration("10001days", -1);
	duration("864000001s", -1);
	duration("99999999999999999999s", -1);
	duration("9223372036854775807ms", -1);
	duration("", -1);
	duration("5", -1);
	duration("s", -1);
	duration("-5s", -1);
	duration("+5s", -1);
	duration("1.5s", -1);
	duration("5 sec", -1);
	duration("5S", -1);
	duration("5s x", -1);
	duration("1h 5s", -1);
	duration("\t5s", -1);
	size("4096", 4096);
	size("64kB", 65536);
	size("1MB", 1048576);
	size("10 B", 10);
	size("0", 0);
	size("9223372036854775807", 9223372036854775807LL);
	size("9223372036854775808", -1);
	size("9007199254740993kB", -1);
	size("8796093022208MB", -1);
	size("64KB", -1);
	size("1GB", -1);
	size("", -1);
	size("-1", -1);
	size("1.5MB", -1);
}

/* Parts written as "text" and <column>, to compare them at a glance. */
static void
template_is(const char *source, const char *expected, bool single)
{
	InqudTemplate tmpl;
	char		got[512] = "";
	const char *why = inqud_template_read(source, &tmpl);
	int			i;

	if (why != NULL)
	{
		ok(expected == NULL, "template %s: %s", source, why);
		ok(tmpl.parts == NULL && tmpl.nparts == 0, "... leaves nothing");
		return;
	}
	for (i = 0; i < tmpl.nparts; i++)
	{
		size_t		len = strlen(got);

		snprintf(got + len, sizeof(got) - len,
				 tmpl.parts[i].is_column ? "<%s>" : "[%s]", tmpl.parts[i].text);
	}
	is(got, expected, source);
	ok(tmpl.single_column == single, "... %sone column", single ? "" : "not ");
	inqud_template_free(&tmpl);
}

static void
test_templates(void)
{
	char		big[10002];
	InqudTemplate tmpl;

	template_is("{id}", "<id>", true);
	template_is("Order {id}", "[Order ]<id>", false);
	template_is("{a}{b}", "<a><b>", false);
	template_is("", "", false);
	template_is("plain", "[plain]", false);
	template_is("{{x}}", "[{x}]", false);
	template_is("{{{id}}}", "[{]<id>[}]", false);
	template_is("a{{b{c}d}}e", "[a{b]<c>[d}e]", false);
	template_is("{Spalte mit \"Zeichen\"}", "<Spalte mit \"Zeichen\">", true);
	template_is("{", NULL, false);
	template_is("}", NULL, false);
	template_is("{}", NULL, false);
	template_is("{a", NULL, false);
	template_is("a}", NULL, false);
	template_is("{a{b}}", NULL, false);
	template_is("x {a} y } z", NULL, false);
	memset(big, '{', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	ok(inqud_template_read(big, &tmpl) != NULL, "an endless template is refused");
	big[10000] = '\0';
	ok(inqud_template_read(big, &tmpl) == NULL && tmpl.nparts == 1,
	   "10000 braces are 5000 literal ones");
	inqud_template_free(&tmpl);
}

static void
clean_is(const char *text, size_t len, size_t size_of_out, const char *expected)
{
	char		out[64];

	inqud_text_clean(out, size_of_out, text, len);
	is(out, expected, "cleaned text");
}

static void
test_utf8(void)
{
	static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
	"\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "a\xc3z"};
	size_t		i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!inqud_utf8_valid(bad[i], strlen(bad[i])), "bad UTF-8 %zu", i);
	ok(inqud_utf8_valid("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 12), "good UTF-8");
	ok(inqud_utf8_valid("\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80", 10),
	   "the borders of what is allowed");
	clean_is("a\nb\tc\rd\x01""e\x7f", 10, 64, "a b cde");
	clean_is("a\xc3\xa9", 3, 3, "a");
	clean_is("a\xc3\xa9", 3, 4, "a\xc3\xa9");
	clean_is("a\xff\xc3", 3, 64, "a??");
	clean_is("\xc2\x85x\xe2\x80\xae", 6, 64, "x");
	/* the first and the last of each range go, those beside them stay */
	clean_is("\x1f ~\x7f\xc2\x80\xc2\x9f\xc2\xa0", 10, 64, " ~\xc2\xa0");
	clean_is("\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\x90", 12, 64, "\xe2\x80\x8d\xe2\x80\x90");
	clean_is("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xae\xe2\x80\xaf", 12, 64, "\xe2\x80\xa7\xe2\x80\xaf");
	clean_is("\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa", 12, 64, "\xe2\x81\xa5\xe2\x81\xaa");
	clean_is("a\0b", 3, 64, "ab");
	clean_is("anything", 8, 1, "");
	ok(inqud_text_is_token("CCO-1", 5), "a token");
	ok(!inqud_text_is_token("CCO-12", 5), "too long for a token");
	ok(!inqud_text_is_token("", 5), "an empty one is none");
	ok(!inqud_text_is_token("a b", 5), "nor one with a space");
	ok(!inqud_text_is_token("\xc3\xa9", 5), "nor one beyond ASCII");
}

static void
test_buffer(void)
{
	InqudBuffer buffer;
	char		kilo[1024];
	int			i;

	memset(kilo, 'k', sizeof(kilo));
	inqud_buffer_init(&buffer, 10000);
	for (i = 0; i < 9; i++)
		ok(inqud_buffer_add(&buffer, kilo, sizeof(kilo)), "kilobyte %d fits", i);
	ok(!inqud_buffer_add(&buffer, kilo, sizeof(kilo)), "the tenth does not");
	ok(buffer.len == 9 * 1024 && buffer.size <= 10001, "the ceiling holds");
	ok(!inqud_buffer_add_char(&buffer, 'x'), "a failed buffer takes nothing");
	inqud_buffer_clear(&buffer, 100000);
	ok(buffer.len == 0 && !buffer.failed && buffer.data != NULL,
	   "clearing keeps the memory");
	for (i = 0; i < 9 * 1024 && buffer.data[i] == '\0'; i++)
		;
	is_int(i, 9 * 1024, "and wipes it");
	inqud_buffer_clear(&buffer, 0);
	ok(buffer.data == NULL && buffer.max == 10000, "or gives it back");
	inqud_buffer_init(&buffer, 0);
	ok(inqud_buffer_add(&buffer, "", 0), "nothing fits a buffer of size 0");
	ok(!inqud_buffer_add_char(&buffer, 'x'), "one byte does not");
	inqud_buffer_free(&buffer);
	inqud_buffer_init(&buffer, SIZE_MAX);
	ok(inqud_buffer_add(&buffer, kilo, sizeof(kilo)), "a huge ceiling does no harm");
	inqud_buffer_free(&buffer);
	inqud_wipe(NULL, 0);
}

/* What becomes of a text, and whether that is said to differ. */
static void
tidy(const char *text, const char *expected)
{
	char		buffer[200];
	bool		changed;

	snprintf(buffer, sizeof(buffer), "%s", text);
	changed = inqud_text_tidy(buffer);
	is(buffer, expected, "a text is tidied");
	ok(changed == (strcmp(text, expected) != 0), "and it is said whether it was changed");
}

static void
test_tidy(void)
{
	/* white space of Unicode, and characters without width */
	static const char *const blanks[] = {
		" ", "\t", "\n", "\v", "\f", "\r", "\r\n", "\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe1\xa0\x8e",
		"\xe2\x80\x80", "\xe2\x80\x8a", "\xe2\x80\x8b", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
		"\xe2\x81\x9f", "\xe2\x81\xa0", "\xe3\x80\x80", "\xef\xbb\xbf"
	};

	for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++)
	{
		char		text[100];

		snprintf(text, sizeof(text), "%sOrder%s%s7%s", blanks[i], blanks[i], blanks[i], blanks[i]);
		tidy(text, "Order 7");
		tidy(blanks[i], "");
	}
	tidy("", "");
	tidy("Order 7", "Order 7");
	tidy("a b c", "a b c");
	tidy("a  b", "a b");
	tidy("\xc3\x84rger \xe2\x82\xac 5", "\xc3\x84rger \xe2\x82\xac 5");
	/* the joiners of letters and emoji stay */
	tidy("\xe2\x80\x8d\xe2\x80\x8c", "\xe2\x80\x8d\xe2\x80\x8c");
	/* so do invalid bytes */
	tidy("\xff \xc2 \xe2\x80", "\xff \xc2 \xe2\x80");
}

int
main(void)
{
	test_units();
	test_templates();
	test_tidy();
	test_utf8();
	test_buffer();
	return tap_end();
}
