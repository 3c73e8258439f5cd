/*-------------------------------------------------------------------------
 *
 * widget_html.c
 *		Writes the payment widget: a snippet to embed, and a whole page.
 *
 * Three rules keep a hostile name or id from becoming markup or code:
 * - A value of the row is written only as text through html_text, or as a checked
 *   link in double quotes through html_url.
 * - The script contains of the row only the checkout's id, which has letters, digits
 *   and hyphens only.  The callback is a path of identifiers and the nonce is base64
 *   (widget.c refuses anything else).
 * - There must be no inline handlers and no style attributes, so that a strict
 *   Content-Security-Policy with the nonce suffices.
 *
 * The server converts the text to the client's encoding.  It must be sent as UTF-8,
 * since the page declares that.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

/* The container is as wide as Inqud's widget (392 px), but never wider than its parent. */
static const char *const container_style =
".inqud-widget{box-sizing:border-box;width:392px;max-width:100%;margin:0 auto;overflow-x:auto}\n"
".inqud-widget app-widget{display:block;max-width:100%}\n";

/*
 * Each standing has one tone, for its edge, its ground and its mark.  Inqud's form is
 * light and may have no ground of its own, so it gets one.
 */
static const char *const page_style =
":root{color-scheme:light dark;--ground:#eef1f5;--text:#1b2430;--soft:#4a5768;--card:#fff;--link:#0b4fad;--on-link:#fff;"
"--plain:#5b6b80;--seen:#1f5fbf;--seen-card:#e8f0fd;--good:#1a7f45;--good-card:#e5f6ec;--warn:#a65b00;--warn-card:#fff3df;--bad:#b3261e;--bad-card:#fdeceb}\n"
"@media (prefers-color-scheme:dark){:root{--ground:#12161c;--text:#e8ecf2;--soft:#a9b4c2;--card:#1e252e;--link:#8ab8f5;--on-link:#0c1a2c;"
"--plain:#8b9aae;--seen:#78b0f0;--seen-card:#16273e;--good:#5fd199;--good-card:#12301f;--warn:#f3b04f;--warn-card:#372609;--bad:#f58a82;--bad-card:#3b1a18}}\n"
"@media print{:root{color-scheme:light;--ground:#fff;--text:#000;--soft:#333;--card:#fff;--link:#000;--on-link:#fff;"
"--plain:#444;--seen:#444;--seen-card:#fff;--good:#1a7f45;--good-card:#fff;--warn:#a65b00;--warn-card:#fff;--bad:#b3261e;--bad-card:#fff}}\n"
"*{box-sizing:border-box}\n"
"html{-webkit-text-size-adjust:100%;text-size-adjust:100%}\n"
"body{margin:0;background:var(--ground);color:var(--text);font:1rem/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}\n"
"main{max-width:456px;margin:0 auto;padding:48px 32px}\n"
"h1{margin:0;text-align:match-parent;font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}\n"
".inqud-price{margin:4px 0 0;font-size:1.125rem;color:var(--soft);font-variant-numeric:tabular-nums;overflow-wrap:anywhere}\n"
"#inqud-status{--tone:var(--plain);display:flex;gap:12px;align-items:flex-start;margin:20px 0;padding:14px 16px;border:1px solid var(--tone);border-radius:8px;background:var(--card)}\n"
"#inqud-status span{min-width:0;overflow-wrap:anywhere}\n"
"#inqud-status svg{flex:none;width:24px;height:24px;fill:none;stroke:var(--tone);stroke-width:2;stroke-linecap:round;stroke-linejoin:round}\n"
"#inqud-status .good,#inqud-status .warn,#inqud-status .bad{display:none}\n"
"#inqud-status[data-status=PAYMENT_DETECTED]{--tone:var(--seen);background:var(--seen-card)}\n"
"#inqud-status[data-status=SUCCESS]{--tone:var(--good);background:var(--good-card)}\n"
"#inqud-status:is([data-status=CONFLICT],[data-status=ANOMALY]){--tone:var(--warn);background:var(--warn-card)}\n"
"#inqud-status:is([data-status=EXPIRED],[data-status=CANCELED],[data-status=REPLACED],[data-status=FAILED],[data-status=CLOSED]){--tone:var(--bad);background:var(--bad-card)}\n"
"#inqud-status:is([data-status=SUCCESS],[data-status=CONFLICT],[data-status=ANOMALY],[data-status=EXPIRED],[data-status=CANCELED],[data-status=REPLACED],[data-status=FAILED],[data-status=CLOSED]) .wait{display:none}\n"
"#inqud-status[data-status=SUCCESS] .good,#inqud-status:is([data-status=CONFLICT],[data-status=ANOMALY]) .warn,"
"#inqud-status:is([data-status=EXPIRED],[data-status=CANCELED],[data-status=REPLACED],[data-status=FAILED],[data-status=CLOSED]) .bad{display:inline}\n"
".inqud-until{margin:-8px 0 20px;font-size:.9375rem;color:var(--soft)}\n"
"time{unicode-bidi:isolate;font-variant-numeric:tabular-nums}\n"
".inqud-widget app-widget{border-radius:12px;background:#fff;color:#1b2430;color-scheme:light}\n"
"a{color:var(--link);text-underline-offset:2px}\n"
"a:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:2px}\n"
".inqud-note{margin:20px 0 0}\n"
".inqud-pay{display:block;width:fit-content;margin:8px 0 0;padding:10px 20px;border-radius:8px;background:var(--link);color:var(--on-link);font-weight:600;text-decoration:none}\n"
".inqud-pay:hover{text-decoration:underline}\n"
"[hidden]{display:none!important}\n"
"@media (max-width:455px){main{padding:24px 0}h1,.inqud-price,.inqud-until,.inqud-note{padding-left:16px;padding-right:16px}"
"#inqud-status,.inqud-widget .inqud-pay{margin-left:16px;margin-right:16px}}\n"
"@media print{main{padding:0;margin:0}.inqud-pay{padding:0;background:none;color:var(--link);font-weight:inherit;text-decoration:underline}"
".inqud-note a[href^=http]::after{content:\" (\" attr(href) \")\";overflow-wrap:anywhere}}\n";

/* The marks of the status line, of which the style shows one. */
static const char *const mark =
"<svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" r=\"10\"/>"
"<path class=\"wait\" d=\"M12 7v5l3 2\"/><path class=\"good\" d=\"M7.5 12.5l3 3 6-6.5\"/>"
"<path class=\"warn\" d=\"M12 7v6M12 16.5v.1\"/><path class=\"bad\" d=\"M8.5 8.5l7 7M15.5 8.5l-7 7\"/></svg>";

/* The statuses that the page's script shows as they come, by the standing of each. */
static const InqudStands shown_live[] = {
	INQUD_STANDS_DETECTED, INQUD_STANDS_PAID, INQUD_STANDS_CONFLICT, INQUD_STANDS_EXPIRED
};

/* How many seconds the page of a checkout that is not at Inqud yet waits before it looks again. */
#define LOOK_AGAIN_SECONDS 5

/* ---- Writing ---- */

/*
 * A text with these special characters encoded.  Goes byte by byte: in every encoding of a
 * database, a byte below 128 is an ASCII character.  Control characters become spaces,
 * because HTML does not allow them.
 */
static char *
encoded(const char *text, const char *special)
{
	static const char *const codes[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "%7B", "%7D"};
	StringInfoData out;

	initStringInfo(&out);
	for (; *text; text++)
	{
		const char *found = strchr(special, *text);
		unsigned char c = (unsigned char) *text;

		if (found)
			appendStringInfoString(&out, codes[found - special]);
		else
			appendStringInfoChar(&out, c < ' ' || c == 0x7f ? ' ' : *text);
	}
	return out.data;
}

/* A text as HTML text. */
static char *
html_text(const char *text)
{
	return encoded(text, "&<>\"'");
}

/*
 * A checked URL inside a double-quoted attribute.  Its braces are encoded, because a
 * framework in the shop's page may take them for a template.
 */
static char *
html_url(const char *url)
{
	return encoded(url, "&<>\"'{}");
}

/* The attribute of a style or script element. */
static const char *
nonce_of(const InqudWidget *widget)
{
	return widget->nonce ? psprintf(" nonce=\"%s\"", widget->nonce) : "";
}

/* A sentence of the page as HTML text. */
static char *
sentence(const InqudWidget *widget, InqudText which)
{
	return html_text(widget->texts[which]);
}

/* A sentence in which the HTML takes the place of "{name}", where the sentence has that. */
static char *
sentence_with(const InqudWidget *widget, InqudText which, const char *name, const char *html)
{
	const char *text = widget->texts[which];
	const char *place = strstr(text, name);

	if (place == NULL)
		return html_text(text);
	return psprintf("%s%s%s", html_text(pnstrdup(text, place - text)), html, html_text(place + strlen(name)));
}

/* A link to Inqud's payment page, to pay without the widget. */
static char *
pay_link(const InqudWidget *widget)
{
	return psprintf("<a class=\"inqud-pay\" href=\"%s\">%s</a>",
					html_url(widget->acquiring_url), sentence(widget, INQUD_TEXT_PAY_LINK));
}

/* Append the script element that loads Inqud's widget. */
static void
append_loader(StringInfo out, const InqudWidget *widget)
{
	appendStringInfo(out, "<script%s src=\"%s\" defer></script>\n", nonce_of(widget), html_url(widget->script));
}

/* Append the container with the widget's element, and a link for browsers without scripts. */
static void
append_element(StringInfo out, const InqudWidget *widget)
{
	appendStringInfo(out, "<div class=\"inqud-widget\">\n<app-widget id=\"%s\"></app-widget>\n<noscript>%s</noscript>\n</div>\n",
					 widget->id,
					 widget->acquiring_url ? pay_link(widget) : sentence(widget, INQUD_TEXT_NO_SCRIPT));
}

/*
 * Append the listener with this body and the call of the shop's function, and end the
 * script.  The element exists by then, even if the loader fails.
 */
static void
append_listener(StringInfo out, const InqudWidget *widget, const char *body)
{
	appendStringInfo(out, "  document.getElementById('%s').addEventListener('statusChanged', function (event) {\n%s",
					 widget->id, body);
	if (widget->callback)
		appendStringInfo(out, "    %s(event.detail.id, event.detail.status);\n", widget->callback);
	appendStringInfoString(out, "  });\n})();\n</script>\n");
}

void
inqud_widget_write_html(StringInfo out, const InqudWidget *widget)
{
	if (!widget->standing.form)
	{
		appendStringInfo(out, "<p class=\"inqud-over\" data-status=\"%s\">%s</p>\n",
						 widget->standing.word, sentence(widget, widget->standing.text));
		return;
	}
	appendStringInfo(out, "<style%s>\n%s</style>\n", nonce_of(widget), container_style);
	append_element(out, widget);
	if (widget->callback)
	{
		appendStringInfo(out, "<script%s>\n(function () {\n", nonce_of(widget));
		append_listener(out, widget, "");
	}
	append_loader(out, widget);
}

/* ---- The page ---- */

static bool
is_filled(const char *text)
{
	return text && text[strspn(text, " \t\r\n")] != '\0';
}

static bool
is_queued(const InqudWidget *widget)
{
	return widget->standing.text == INQUD_TEXT_QUEUED;
}

/* The heading: the checkout's name, else the order's id, else "Payment". */
static const char *
heading(const InqudWidget *widget)
{
	if (is_filled(widget->name))
		return html_text(widget->name);
	return is_filled(widget->order_id) ?
		sentence_with(widget, INQUD_TEXT_ORDER, "{order_id}", html_text(widget->order_id)) :
		sentence(widget, INQUD_TEXT_PAYMENT);
}

static void
append_page_head(StringInfo out, const InqudWidget *widget)
{
	const char *dir = widget->texts[INQUD_TEXT_DIR];

	appendStringInfo(out, "<!DOCTYPE html>\n<html lang=\"%s\"%s>\n<head>\n<meta charset=\"utf-8\">\n",
					 widget->texts[INQUD_TEXT_LANG], dir[0] ? psprintf(" dir=\"%s\"", dir) : "");
	appendStringInfoString(out,
						   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
						   "<meta name=\"color-scheme\" content=\"light dark\">\n"
						   "<meta name=\"robots\" content=\"noindex\">\n");
	if (is_queued(widget))
		appendStringInfo(out, "<meta http-equiv=\"refresh\" content=\"%d\">\n", LOOK_AGAIN_SECONDS);
	appendStringInfo(out, "<title>%s</title>\n<style%s>\n%s%s</style>\n",
					 heading(widget), nonce_of(widget), container_style, page_style);
	if (widget->standing.form)
		append_loader(out, widget);
	appendStringInfoString(out, "</head>\n");
}

/*
 * Append the line that says how the payment stands.  Its attributes data-text-... have the
 * sentences for the statuses that may still come, for the script:
 * so no sentence ever stands in code.
 */
static void
append_status(StringInfo out, const InqudWidget *widget)
{
	appendStringInfoString(out, "<p id=\"inqud-status\" role=\"status\" aria-live=\"polite\"");
	if (widget->standing.word)
		appendStringInfo(out, " data-status=\"%s\"", widget->standing.word);
	for (int i = 0; widget->standing.form && i < (int) lengthof(shown_live); i++)
	{
		InqudStanding live = inqud_widget_standing_of(shown_live[i]);

		appendStringInfo(out, "\n data-text-%s=\"%s\"", live.word, sentence(widget, live.text));
	}
	appendStringInfo(out, ">%s<span>%s</span></p>\n", mark, sentence(widget, widget->standing.text));
}

/* Append until when it can be paid: in UTC, which the script makes the reader's own time. */
static void
append_until(StringInfo out, const InqudWidget *widget)
{
	char	   *when = widget->valid_until;
	char	   *element;

	if (!widget->standing.form || when == NULL || !is_filled(widget->texts[INQUD_TEXT_VALID_UNTIL]))
		return;
	element = psprintf("<time datetime=\"%.10sT%sZ\">%s UTC</time>", when, when + 11, when);
	appendStringInfo(out, "<p class=\"inqud-until\" id=\"inqud-until\">%s</p>\n",
					 sentence_with(widget, INQUD_TEXT_VALID_UNTIL, "{time}", element));
}

/* Append the form, and the link that is offered if it cannot be loaded. */
static void
append_form(StringInfo out, const InqudWidget *widget)
{
	append_element(out, widget);
	if (widget->acquiring_url)
		appendStringInfo(out, "<p class=\"inqud-note\" id=\"inqud-fallback\" hidden>%s %s</p>\n",
						 sentence(widget, INQUD_TEXT_NO_FORM), pay_link(widget));
}

static void
append_main(StringInfo out, const InqudWidget *widget)
{
	const char *button = widget->standing.form ? "" : " class=\"inqud-pay\"";

	/* "auto" keeps the direction of a name in its own line */
	appendStringInfo(out, "<body>\n<main>\n<h1 dir=\"auto\">%s</h1>\n", heading(widget));
	if (widget->amount && is_filled(widget->currency))
		appendStringInfo(out, "<p class=\"inqud-price\"><bdi>%s %s</bdi></p>\n", widget->amount, html_text(widget->currency));
	append_status(out, widget);
	append_until(out, widget);
	if (widget->standing.form)
		append_form(out, widget);
	if (is_queued(widget))
		appendStringInfo(out, "<p class=\"inqud-note\"><a%s href=\"\">%s</a></p>\n", button, sentence(widget, INQUD_TEXT_LOOK_AGAIN));
	if (widget->return_url)
		appendStringInfo(out, "<p class=\"inqud-note\"><a%s href=\"%s\">%s</a></p>\n",
						 is_queued(widget) ? "" : button, html_url(widget->return_url), sentence(widget, INQUD_TEXT_BACK));
	appendStringInfoString(out, "</main>\n");
}

/*
 * Append the page's script.  It shows each status as it comes, and takes the form away
 * with a final one.  It shows the link to the payment page if the widget is not defined
 * at DOMContentLoaded, when deferred scripts have run or failed, and hides it if the
 * widget is defined later.  It adds the reader's own time to the one in UTC.
 */
static void
append_page_script(StringInfo out, const InqudWidget *widget)
{
	appendStringInfo(out, "<script%s>\n(function () {\n  'use strict';\n", nonce_of(widget));
	appendStringInfoString(out,
						   "  var line = document.getElementById('inqud-status');\n"
						   "  var box = document.querySelector('.inqud-widget');\n"
						   "  var fallback = document.getElementById('inqud-fallback');\n"
						   "  var until = document.getElementById('inqud-until');\n"
						   "  var time = until && until.querySelector('time');\n"
						   "  var over = false;\n"
						   "  function hide(element, wanted) { if (element) { element.hidden = wanted; } }\n"
						   "  document.addEventListener('DOMContentLoaded', function () {\n"
						   "    hide(fallback, over || !!customElements.get('app-widget'));\n"
						   "    customElements.whenDefined('app-widget').then(function () { hide(fallback, true); });\n"
						   "  });\n"
						   "  if (time && new Date(time.dateTime).getTimezoneOffset() !== 0) {\n"
						   "    try {\n"
						   "      time.textContent = new Intl.DateTimeFormat(document.documentElement.lang, {\n"
						   "        year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', timeZoneName: 'short'\n"
						   "      }).format(new Date(time.dateTime)) + ' (' + time.textContent + ')';\n"
						   "    } catch (error) { }\n"
						   "  }\n");
	append_listener(out, widget,
					"    var status = event.detail.status;\n"
					"    var text = line.getAttribute('data-text-' + status);\n"
					"    if (text !== null) {\n"
					"      line.lastChild.textContent = text;\n"
					"      line.setAttribute('data-status', status);\n"
					"      over = status !== 'PAYMENT_DETECTED';\n"
					"      hide(box, over);\n"
					"      hide(until, over);\n"
					"    }\n");
}

void
inqud_widget_write_page(StringInfo out, const InqudWidget *widget)
{
	append_page_head(out, widget);
	append_main(out, widget);
	if (widget->standing.form)
		append_page_script(out, widget);
	appendStringInfoString(out, "</body>\n</html>\n");
}
