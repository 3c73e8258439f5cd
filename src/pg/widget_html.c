/*-------------------------------------------------------------------------
 *
 * widget_html.c
 *		Writes the payment widget: a snippet to embed, and a whole page.
 *
 * Three rules keep a hostile name or id from becoming markup or code.  What a
 * row says is written as text by append_escaped, or as a link that was checked
 * before, in double quotes, by append_url.  The one script holds nothing of a
 * row but the checkout's id, which consists of letters, digits and hyphens; the
 * callback's name is a path of identifiers, the nonce base64 (widget.c refuses
 * anything else).  There are no inline handlers and no style attributes, so a
 * strict Content-Security-Policy with the nonce suffices.
 *
 * The text goes out in the client's encoding: send it as UTF-8, which is what
 * the page says of itself.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "pg/widget.h"

/* What the page says of a status.  Plain ASCII without quotes: it stands in the script, too. */
typedef struct StatusLine
{
	const char *status;
	const char *text;
} StatusLine;

static const StatusLine status_lines[] = {
	{"PAYMENT_DETECTED", "Your payment has been seen and is being confirmed."},
	{"SUCCESS", "Your payment has arrived. Thank you!"},
	{"CONFLICT", "Something about your payment does not fit, perhaps the amount. Please contact the shop."},
	{"EXPIRED", "The time for this payment is over. Please do not send any money now."},
};

#define WAITING "Waiting for your payment."

/* The container is as wide as the vendor's widget, and never wider than its surroundings. */
#define CONTAINER_STYLE \
	".inqud-widget{box-sizing:border-box;width:392px;max-width:100%;margin:0 auto;overflow-x:auto}\n" \
	".inqud-widget app-widget{display:block;max-width:100%}\n"

static const char *const page_style =
"*{box-sizing:border-box}\n"
"html{color-scheme:light;-webkit-text-size-adjust:100%}\n"
"body{margin:0;background:#eef1f5;color:#1b2430;font:1rem/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}\n"
"main{max-width:456px;margin:0 auto;padding:48px 32px}\n"
"h1{margin:0;font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}\n"
".inqud-price{margin:4px 0 0;font-size:1.125rem;color:#4a5768;overflow-wrap:anywhere}\n"
"#inqud-status{margin:20px 0;padding:12px 16px;border-left:4px solid #5b6b80;border-radius:6px;background:#fff;overflow-wrap:anywhere}\n"
"#inqud-status[data-status=PAYMENT_DETECTED]{border-color:#1f5fbf;background:#e8f0fd}\n"
"#inqud-status[data-status=SUCCESS]{border-color:#1a7f45;background:#e5f6ec;color:#0c4a27}\n"
"#inqud-status[data-status=CONFLICT]{border-color:#a65b00;background:#fff3df;color:#5c3300}\n"
"#inqud-status[data-status=EXPIRED]{border-color:#b3261e;background:#fdeceb;color:#6e1611}\n"
"a{color:#0b4fad;text-underline-offset:2px}\n"
"a:focus-visible{outline:3px solid #0b4fad;outline-offset:2px;border-radius:2px}\n"
".inqud-note{margin:20px 0 0}\n"
".inqud-pay{display:block;width:fit-content;margin:8px 0 0;padding:10px 20px;border-radius:6px;background:#0b4fad;color:#fff;font-weight:600;text-decoration:none}\n"
".inqud-pay:hover{background:#083c85}\n"
"@media (max-width:455px){main{padding:24px 0}h1,.inqud-price,.inqud-note{padding-left:16px;padding-right:16px}"
"#inqud-status,.inqud-widget .inqud-pay{margin-left:16px;margin-right:16px}}\n";

/* ---------------------------------------------------------------------
 * Writing
 * ---------------------------------------------------------------------
 */

/*
 * A text as HTML text or inside a double-quoted attribute.  Every encoding of a
 * server has ASCII bytes for ASCII characters only, so bytes can be looked at
 * one by one.  Control characters, which HTML does not allow, become spaces.
 */
static void
append_escaped(StringInfo out, const char *text)
{
	for (; *text; text++)
	{
		unsigned char c = (unsigned char) *text;

		switch (c)
		{
			case '&':
				appendStringInfoString(out, "&amp;");
				break;
			case '<':
				appendStringInfoString(out, "&lt;");
				break;
			case '>':
				appendStringInfoString(out, "&gt;");
				break;
			case '"':
				appendStringInfoString(out, "&quot;");
				break;
			case '\'':
				appendStringInfoString(out, "&#39;");
				break;
			default:
				appendStringInfoChar(out, c < ' ' || c == 0x7f ? ' ' : *text);
				break;
		}
	}
}

/* "<style" or "<script" with the nonce; attributes and the bracket may follow. */
static void
append_opening(StringInfo out, const char *tag, const InqudWidget *widget)
{
	appendStringInfo(out, "<%s", tag);
	if (widget->nonce)
		appendStringInfo(out, " nonce=\"%s\"", widget->nonce);
}

/*
 * A checked URL inside a double-quoted attribute.  Its braces are percent-encoded:
 * a framework in the shop's page may take them for a template.
 */
static void
append_url(StringInfo out, const char *url)
{
	char		part[2] = {0};

	for (; *url; url++)
	{
		part[0] = *url;
		if (*url == '{' || *url == '}')
			appendStringInfoString(out, *url == '{' ? "%7B" : "%7D");
		else
			append_escaped(out, part);
	}
}

/* The way to pay without the widget. */
static void
append_pay_link(StringInfo out, const InqudWidget *widget)
{
	appendStringInfoString(out, "<a class=\"inqud-pay\" href=\"");
	append_url(out, widget->acquiring_url);
	appendStringInfoString(out, "\">Pay on the payment page</a>");
}

static void
append_loader(StringInfo out, const InqudWidget *widget)
{
	append_opening(out, "script", widget);
	appendStringInfoString(out, " src=\"");
	append_url(out, widget->script);
	appendStringInfoString(out, "\" defer></script>\n");
}

/* The container with the element in it, and the way to pay without scripts. */
static void
append_element(StringInfo out, const InqudWidget *widget)
{
	appendStringInfo(out, "<div class=\"inqud-widget\">\n<app-widget id=\"%s\"></app-widget>\n",
					 widget->id);
	appendStringInfoString(out, "<noscript>");
	if (widget->acquiring_url)
		append_pay_link(out, widget);
	else
		appendStringInfoString(out, "Paying takes JavaScript, which is switched off.");
	appendStringInfoString(out, "</noscript>\n</div>\n");
}

/* The call of the shop's function, with "event" in scope. */
static void
append_call(StringInfo out, const InqudWidget *widget)
{
	if (widget->callback)
		appendStringInfo(out, "    %s(event.detail.id, event.detail.status);\n", widget->callback);
}

/* Begins listening; the element is there already, whatever the loader does. */
static void
append_listener_head(StringInfo out, const InqudWidget *widget)
{
	appendStringInfo(out, "  document.getElementById('%s').addEventListener('statusChanged', function (event) {\n",
					 widget->id);
}

void
inqud_widget_write_html(StringInfo out, const InqudWidget *widget)
{
	append_opening(out, "style", widget);
	appendStringInfoString(out, ">\n" CONTAINER_STYLE "</style>\n");
	append_element(out, widget);
	if (widget->callback)
	{
		append_opening(out, "script", widget);
		appendStringInfoString(out, ">\n(function () {\n");
		append_listener_head(out, widget);
		append_call(out, widget);
		appendStringInfoString(out, "  });\n})();\n</script>\n");
	}
	append_loader(out, widget);
}

/* ---------------------------------------------------------------------
 * The page
 * ---------------------------------------------------------------------
 */

static bool
is_filled(const char *text)
{
	return text && text[strspn(text, " \t\r\n")] != '\0';
}

/* What the payer calls the order. */
static void
append_name(StringInfo out, const InqudWidget *widget)
{
	if (is_filled(widget->name))
		append_escaped(out, widget->name);
	else if (is_filled(widget->order_id))
	{
		appendStringInfoString(out, "Order ");
		append_escaped(out, widget->order_id);
	}
	else
		appendStringInfoString(out, "Payment");
}

static void
append_page_head(StringInfo out, const InqudWidget *widget)
{
	appendStringInfoString(out,
						   "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
						   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
						   "<meta name=\"robots\" content=\"noindex\">\n<title>");
	append_name(out, widget);
	appendStringInfoString(out, "</title>\n");
	append_opening(out, "style", widget);
	appendStringInfoString(out, ">\n");
	appendStringInfoString(out, page_style);
	appendStringInfoString(out, CONTAINER_STYLE "</style>\n");
	append_loader(out, widget);
	appendStringInfoString(out, "</head>\n");
}

static const StatusLine *
find_status_line(const char *status)
{
	for (int i = 0; status && i < (int) lengthof(status_lines); i++)
		if (strcmp(status_lines[i].status, status) == 0)
			return &status_lines[i];
	return NULL;
}

/* As the row says it now; the script goes on from there. */
static void
append_status(StringInfo out, const InqudWidget *widget)
{
	const StatusLine *line = find_status_line(widget->status);

	appendStringInfoString(out, "<p id=\"inqud-status\" role=\"status\" aria-live=\"polite\"");
	if (line)
		appendStringInfo(out, " data-status=\"%s\"", line->status);
	appendStringInfo(out, ">%s</p>\n", line ? line->text : WAITING);
}

static void
append_main(StringInfo out, const InqudWidget *widget)
{
	/* "auto" keeps the direction of a name in its own line */
	appendStringInfoString(out, "<body>\n<main>\n<h1 dir=\"auto\">");
	append_name(out, widget);
	appendStringInfoString(out, "</h1>\n");
	if (widget->amount && is_filled(widget->currency))
	{
		appendStringInfo(out, "<p class=\"inqud-price\">%s ", widget->amount);
		append_escaped(out, widget->currency);
		appendStringInfoString(out, "</p>\n");
	}
	append_status(out, widget);
	append_element(out, widget);
	if (widget->acquiring_url)
	{
		appendStringInfoString(out, "<p class=\"inqud-note\" id=\"inqud-fallback\" hidden>The payment form could not be loaded. ");
		append_pay_link(out, widget);
		appendStringInfoString(out, "</p>\n");
	}
	if (widget->return_url)
	{
		appendStringInfoString(out, "<p class=\"inqud-note\"><a href=\"");
		append_url(out, widget->return_url);
		appendStringInfoString(out, "\">Back to the shop</a></p>\n");
	}
	appendStringInfoString(out, "</main>\n");
}

/*
 * Says each status as it comes, and offers the payment page when the widget's
 * script does not come (deferred scripts have run, or failed, by
 * DOMContentLoaded; one that takes longer still takes the offer back).
 */
static void
append_page_script(StringInfo out, const InqudWidget *widget)
{
	append_opening(out, "script", widget);
	appendStringInfoString(out, ">\n(function () {\n  'use strict';\n  var texts = {\n");
	for (int i = 0; i < (int) lengthof(status_lines); i++)
		appendStringInfo(out, "    %s: '%s'%s\n", status_lines[i].status, status_lines[i].text,
						 i < (int) lengthof(status_lines) - 1 ? "," : "");
	appendStringInfoString(out,
						   "  };\n"
						   "  var line = document.getElementById('inqud-status');\n"
						   "  var fallback = document.getElementById('inqud-fallback');\n"
						   "  function offer(wanted) { if (fallback) { fallback.hidden = !wanted; } }\n"
						   "  document.addEventListener('DOMContentLoaded', function () {\n"
						   "    offer(!customElements.get('app-widget'));\n"
						   "    customElements.whenDefined('app-widget').then(function () { offer(false); });\n"
						   "  });\n");
	append_listener_head(out, widget);
	appendStringInfoString(out,
						   "    var status = event.detail.status;\n"
						   "    if (Object.prototype.hasOwnProperty.call(texts, status)) {\n"
						   "      line.textContent = texts[status];\n"
						   "      line.setAttribute('data-status', status);\n"
						   "    }\n");
	append_call(out, widget);
	appendStringInfoString(out, "  });\n})();\n</script>\n");
}

void
inqud_widget_write_page(StringInfo out, const InqudWidget *widget)
{
	append_page_head(out, widget);
	append_main(out, widget);
	append_page_script(out, widget);
	appendStringInfoString(out, "</body>\n</html>\n");
}
