/*-------------------------------------------------------------------------
 *
 * widget_standing.c
 *		How a checkout stands for the payer who looks at its page: what is said, and
 *		whether there still is a form.
 *
 * The one table and the one order of questions for it.  A row of any kind must be
 * answered, whatever of it is null.  Nothing here may decide about the row itself; that
 * stands in client/lifecycle.c.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

/*
 * "word" is the page's data-status: Inqud's words where it has one, since the script sets
 * these, too.  A form is offered only while money is expected.
 */
static const InqudStanding standings[] = {
	[INQUD_STANDS_QUEUED] = {"QUEUED", INQUD_TEXT_QUEUED, false},
	[INQUD_STANDS_WAITING] = {NULL, INQUD_TEXT_WAITING, true},
	[INQUD_STANDS_DETECTED] = {"PAYMENT_DETECTED", INQUD_TEXT_DETECTED, true},
	[INQUD_STANDS_PAID] = {"SUCCESS", INQUD_TEXT_PAID, false},
	[INQUD_STANDS_ANOMALY] = {"ANOMALY", INQUD_TEXT_ANOMALY, false},
	[INQUD_STANDS_CONFLICT] = {"CONFLICT", INQUD_TEXT_CONFLICT, false},
	[INQUD_STANDS_EXPIRED] = {"EXPIRED", INQUD_TEXT_EXPIRED, false},
	[INQUD_STANDS_CANCELED] = {"CANCELED", INQUD_TEXT_CANCELED, false},
	[INQUD_STANDS_REPLACED] = {"REPLACED", INQUD_TEXT_REPLACED, false},
	[INQUD_STANDS_FAILED] = {"FAILED", INQUD_TEXT_FAILED, false},
	[INQUD_STANDS_CLOSED] = {"CLOSED", INQUD_TEXT_CLOSED, false},
};

static bool
is(const char *word, const char *other)
{
	return word && strcmp(word, other) == 0;
}

/* Money first: who has paid must read that, also where the order was given free or the time is over. */
static InqudStands
stands(const InqudWidget *widget)
{
	if (is(widget->status, "SUCCESS"))
		return INQUD_STANDS_PAID;
	if (widget->paid)
		return INQUD_STANDS_ANOMALY;
	if (is(widget->status, "CONFLICT") || widget->contested)
		return INQUD_STANDS_CONFLICT;
	if (is(widget->status, "PAYMENT_DETECTED"))
		return INQUD_STANDS_DETECTED;
	if (is(widget->status, "EXPIRED"))
		return INQUD_STANDS_EXPIRED;
	if (widget->canceled || is(widget->state, "canceled"))
		return INQUD_STANDS_CANCELED;
	if (widget->replaced)
		return INQUD_STANDS_REPLACED;
	if (is(widget->state, "failed"))
		return INQUD_STANDS_FAILED;
	if (is(widget->state, "closed"))
		return INQUD_STANDS_CLOSED;
	if (widget->id == NULL)
		return INQUD_STANDS_QUEUED;
	return widget->overdue ? INQUD_STANDS_EXPIRED : INQUD_STANDS_WAITING;
}

InqudStanding
inqud_widget_standing(const InqudWidget *widget)
{
	InqudStanding standing = standings[stands(widget)];

	/* money is seen on a checkout that was given free: nothing more is to be sent there */
	if (widget->id == NULL || widget->canceled || widget->replaced)
		standing.form = false;
	return standing;
}

InqudStanding
inqud_widget_standing_of(InqudStands which)
{
	return standings[which];
}
