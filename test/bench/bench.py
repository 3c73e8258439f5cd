#!/usr/bin/env python3
"""The benchmark: "make bench" runs all lines, "make bench W3" one of them.

    bench.py [--smoke | --quick] [LINE ...]

Everything is measured side by side in one run, and what counts are ratios. With --quick there is a tenth of the rows
and calls, and as many rounds. With --smoke each line runs with a few rows, once, to see that it runs; it prints TAP
and says nothing about speed.
"""

import sys
import traceback

import calls
import growth
import large
import latency
import triggers
import whole
from stage import Stage
from table import Table

LINES = {"W1": whole.w1, "W2": whole.w2, "W3": whole.w3, "W4": triggers.w4, "W5": latency.w5, "P1": calls.p1,
         "P3": calls.p3, "P4": triggers.p4, "P5": latency.p5, "P6": growth.p6, "P7": large.p7, "P8": growth.p8}


def smoke():
    failed = 0
    with Stage() as stage:
        for number, (name, line) in enumerate(LINES.items(), 1):
            try:
                line(stage, Table(), lambda full, small: small)
            except Exception:
                failed += 1
                print("".join("# " + part + "\n" for part in traceback.format_exc().splitlines()))
                print(f"not ok {number} - {name} runs")
            else:
                print(f"ok {number} - {name} runs")
            sys.stdout.flush()
        complaints = stage.db.complaints()
    for line in complaints:
        print("# " + line.rstrip())
    print(f"{'not ' if complaints else ''}ok {len(LINES) + 1} - the server complains of nothing")
    print(f"1..{len(LINES) + 1}")
    return 1 if failed or complaints else 0


def whole(full, _):
    return full


def tenth(full, _):
    """A tenth of what is many; rounds and seconds stay."""
    return full // 10 if full >= 500 else full


def main(arguments):
    if arguments == ["--smoke"]:
        return smoke()
    size = tenth if "--quick" in arguments else whole
    arguments = [a for a in arguments if a != "--quick"]
    unknown = [a for a in arguments if a not in LINES]
    if unknown:
        sys.exit(f"There is no line {unknown[0]}; the lines are: {' '.join(LINES)}.")
    table = Table()
    with Stage() as stage:
        print(f"{stage.db.sql('SELECT version()')}\nAll figures are of one run; compare ratios, not absolute values.")
        if size is tenth:
            print("With a tenth of the rows.")
        for name in arguments or LINES:
            LINES[name](stage, table, size)
        for line in stage.db.complaints():
            table.note("the server said: " + line.rstrip())
    table.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
