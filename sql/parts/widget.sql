/*
 * widget.sql
 *		The payment widget as HTML; written in C.
 */

CREATE FUNCTION @extschema@.inqud_widget_html(checkout inqud.checkout, on_status text DEFAULT NULL,
		nonce text DEFAULT NULL, texts jsonb DEFAULT NULL) RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'inqud_widget_html';
COMMENT ON FUNCTION @extschema@.inqud_widget_html(inqud.checkout, text, text, jsonb)
	IS 'HTML that embeds the payment widget of a checkout; on_status names a JavaScript function told of each status, nonce is that of the Content-Security-Policy, texts replaces sentences by key';

CREATE FUNCTION @extschema@.inqud_widget_page(checkout inqud.checkout, on_status text DEFAULT NULL,
		nonce text DEFAULT NULL, texts jsonb DEFAULT NULL) RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'inqud_widget_page';
COMMENT ON FUNCTION @extschema@.inqud_widget_page(inqud.checkout, text, text, jsonb)
	IS 'a whole page around the payment widget of a checkout, which says how the payment stands; send it as UTF-8';
