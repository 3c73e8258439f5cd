/*-------------------------------------------------------------------------
 *
 * widget.h
 *		What the payment widget shows, between the file that checks it
 *		(widget.c) and the one that writes it (widget_html.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_WIDGET_H
#define INQUD_WIDGET_H

#include "lib/stringinfo.h"

/* What is shown of a checkout; texts in the database's encoding, or NULL. */
typedef struct InqudWidget
{
	char	   *id;				/* checked: of the form CCO-... */
	char	   *script;			/* URL of the widget's script */
	char	   *order_id;
	char	   *name;
	char	   *amount;
	char	   *currency;
	char	   *status;
	char	   *acquiring_url;	/* checked: http or https */
	char	   *return_url;		/* checked: http or https */
	char	   *callback;		/* checked: path of identifiers */
	char	   *nonce;			/* checked: base64 */
} InqudWidget;

/* The snippet to embed, and the whole page. */
extern void inqud_widget_write_html(StringInfo out, const InqudWidget *widget);
extern void inqud_widget_write_page(StringInfo out, const InqudWidget *widget);

#endif							/* INQUD_WIDGET_H */
