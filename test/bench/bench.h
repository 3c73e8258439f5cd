/*
 * bench.h
 *		What the programs of the benchmark share: clock, CPU, memory, arguments,
 *		and one connection to the database.
 *
 * They measure and print; they judge nothing.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

/* Ends the program with a message. */
extern void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

extern double now_s(void);			/* monotonic, seconds */
extern double own_cpu_s(void);		/* of this process */
extern long private_kb(int pid);	/* memory that is nobody else's */
extern long number(const char *text);

extern PGconn *open_database(const char *conninfo);

/* Runs a statement that must succeed. */
extern void must(PGconn *conn, const char *sql);

/* Prints "median minimum maximum p99" of n values in milliseconds; sorts them. */
extern void print_spread(double *values, int n);

#endif
