/*-------------------------------------------------------------------------
 *
 * fuzz_reply.c
 *		Any bytes as the body of a reply.  The first two bytes choose the
 *		status and whether it answers a create.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

static void
check_amount(const char *amount)
{
	char		plain[INQUD_NUMBER_MAX];

	if (amount == NULL)
		return;
	MUST(inqud_number_plain(amount, strlen(amount), plain));
	MUST(strcmp(plain, amount) == 0 && amount[0] != '-');
}

static void
check_text(const char *text)
{
	MUST(text == NULL || inqud_utf8_valid(text, strlen(text)));
}

static void
check_checkout(const InqudCheckout *c)
{
	MUST(inqud_text_is_token(c->id, 200));
	MUST(c->status[0] != '\0');
	check_text(c->status);
	check_text(c->reason);
	check_text(c->name);
	check_text(c->order_id);
	check_text(c->tx_hash);
	check_text(c->lost);
	check_amount(c->fixed_amount);
	check_amount(c->pay_amount);
	check_amount(c->paid_amount);
	check_amount(c->merchant_fee);
	check_amount(c->processing_amount);
	MUST(c->acquiring_url == NULL || inqud_check_web_url(c->acquiring_url) == NULL);
	MUST(c->overpaid >= -1 && c->overpaid <= 1);
	MUST(c->created_at >= 0 && c->updated_at >= 0 && c->expires_at >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {200, 201, 302, 400, 401, 404, 405, 408, 409, 429, 500, 0};
	InqudResponse response;
	InqudReply *reply;
	char	   *body;
	size_t		len;

	if (size < 2)
		return 0;
	body = to_text(data + 2, size - 2);
	memset(&response, 0, sizeof(response));
	response.progress = (data[1] & 0x60) == 0 ? INQUD_TOO_LARGE : INQUD_DONE;
	response.http_status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))];
	response.error = "";
	response.body = body;
	response.body_len = size - 2;
	reply = inqud_reply_read(&response, (data[1] & 1) != 0, (data[1] & 2) != 0 ? "CCO-1" : NULL);
	free(body);
	MUST(reply != NULL);
	MUST(strlen(inqud_reply_message(reply)) <= 500);
	check_text(inqud_reply_message(reply));
	check_text(inqud_reply_code(reply));
	MUST(inqud_reply_hash(reply) != 0);
	if (inqud_reply_outcome(reply) == INQUD_OK)
		check_checkout(inqud_reply_checkout(reply));
	else
	{
		MUST(inqud_reply_checkout(reply) == NULL && inqud_reply_json(reply, &len) == NULL);
		inqud_reply_hide(reply, "a");
	}
	inqud_reply_free(reply);
	return 0;
}
