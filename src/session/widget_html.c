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

/* The page's words for a status.  They must be ASCII without quotes, since the script has them, too. */
static const struct
{
	const char *status;
	const char *text;
}			status_lines[] = {
	{"PAYMENT_DETECTED", "Your payment has been seen and is being confirmed."},
	{"SUCCESS", "Your payment has arrived. Thank you!"},
	{"CONFLICT", "Something about your payment does not fit, perhaps the amount. Please contact the shop."},
	{"EXPIRED", "The time for this payment is over. Please do not send any money now."},
};

#define WAITING "Waiting for your payment."

/* The container is as wide as Inqud's widget (392 px), but never wider than its parent. */
static const char *const container_style =
".inqud-widget{box-sizing:border-box;width:392px;max-width:100%;margin:0 auto;overflow-x:auto}\n"
".inqud-widget app-widget{display:block;max-width:100%}\n";

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

/* A link to Inqud's payment page, to pay without the widget. */
static char *
pay_link(const InqudWidget *widget)
{
	return psprintf("<a class=\"inqud-pay\" href=\"%s\">Pay on the payment page</a>",
					html_url(widget->acquiring_url));
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
					 widget->acquiring_url ? pay_link(widget) : "Paying takes JavaScript, which is switched off.");
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

/* The heading: the checkout's name, else the order's id, else "Payment". */
static const char *
heading(const InqudWidget *widget)
{
	if (is_filled(widget->name))
		return html_text(widget->name);
	return is_filled(widget->order_id) ? psprintf("Order %s", html_text(widget->order_id)) : "Payment";
}

static void
append_page_head(StringInfo out, const InqudWidget *widget)
{
	appendStringInfo(out,
					 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
					 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
					 "<meta name=\"robots\" content=\"noindex\">\n<title>%s</title>\n"
					 "<style%s>\n%s%s</style>\n",
					 heading(widget), nonce_of(widget), page_style, container_style);
	append_loader(out, widget);
	appendStringInfoString(out, "</head>\n");
}

/* Append the status line with the row's status; the script updates it. */
static void
append_status(StringInfo out, const InqudWidget *widget)
{
	const char *text = WAITING;

	appendStringInfoString(out, "<p id=\"inqud-status\" role=\"status\" aria-live=\"polite\"");
	for (int i = 0; widget->status && i < (int) lengthof(status_lines); i++)
	{
		if (strcmp(status_lines[i].status, widget->status) != 0)
			continue;
		text = status_lines[i].text;
		appendStringInfo(out, " data-status=\"%s\"", widget->status);
	}
	appendStringInfo(out, ">%s</p>\n", text);
}

static void
append_main(StringInfo out, const InqudWidget *widget)
{
	/* "auto" keeps the direction of a name in its own line */
	appendStringInfo(out, "<body>\n<main>\n<h1 dir=\"auto\">%s</h1>\n", heading(widget));
	if (widget->amount && is_filled(widget->currency))
		appendStringInfo(out, "<p class=\"inqud-price\">%s %s</p>\n", widget->amount, html_text(widget->currency));
	append_status(out, widget);
	append_element(out, widget);
	if (widget->acquiring_url)
		appendStringInfo(out, "<p class=\"inqud-note\" id=\"inqud-fallback\" hidden>The payment form could not be loaded. %s</p>\n",
						 pay_link(widget));
	if (widget->return_url)
		appendStringInfo(out, "<p class=\"inqud-note\"><a href=\"%s\">Back to the shop</a></p>\n",
						 html_url(widget->return_url));
	appendStringInfoString(out, "</main>\n");
}

/*
 * Append the page's script.  It shows each status as it comes.  It shows the link to
 * the payment page if the widget is not defined at DOMContentLoaded, when deferred
 * scripts have run or failed, and hides it if the widget is defined later.
 */
static void
append_page_script(StringInfo out, const InqudWidget *widget)
{
	appendStringInfo(out, "<script%s>\n(function () {\n  'use strict';\n  var texts = {\n", nonce_of(widget));
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
	append_listener(out, widget,
					"    var status = event.detail.status;\n"
					"    if (Object.prototype.hasOwnProperty.call(texts, status)) {\n"
					"      line.textContent = texts[status];\n"
					"      line.setAttribute('data-status', status);\n"
					"    }\n");
}

void
inqud_widget_write_page(StringInfo out, const InqudWidget *widget)
{
	append_page_head(out, widget);
	append_main(out, widget);
	append_page_script(out, widget);
	appendStringInfoString(out, "</body>\n</html>\n");
}
