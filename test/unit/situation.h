/*-------------------------------------------------------------------------
 *
 * situation.h
 *		What the tests of lifecycle.c share: all that a decision is made on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TEST_SITUATION_H
#define INQUD_TEST_SITUATION_H

#include <stddef.h>
#include <string.h>

#include "client_internal.h"

typedef struct Situation
{
	InqudRecord c;
	InqudQueueRow q;
	InqudEnding o;
	InqudFacts	f;
} Situation;

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

#endif							/* INQUD_TEST_SITUATION_H */
