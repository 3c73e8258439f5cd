"""Rounds in turn, and the table that comes of them.

Each round runs every contender once, so that a busy moment of the machine hits all alike, and ratios are taken
within a round. Must not know what is measured.
"""

import statistics


def in_turn(rounds, contenders):
    """Values by name; contenders are functions by name."""
    values = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            values[name].append(measure())
    return values


def spread(values):
    return statistics.median(values), min(values), max(values)


def number(x):
    if x == int(x) and abs(x) < 100000:
        return str(int(x))
    if abs(x) >= 1000:
        return f"{x:,.0f}".replace(",", " ")
    return f"{x:.3g}" if abs(x) < 1 else f"{x:.2f}" if abs(x) < 100 else f"{x:.1f}"


class Table:
    """Prints as it comes, and keeps what was missed."""

    def __init__(self):
        self.missed, self.lines = [], 0

    def head(self, line, what):
        self.lines += 1
        self.line = line
        print(f"\n{line}  {what}\n{'':4}{'':52}{'median':>10}{'minimum':>10}{'maximum':>10}", flush=True)

    def row(self, label, values, unit=""):
        figures = "".join(f"{number(x):>10}" for x in spread(values))
        print(f"    {label:52}{figures}  {unit}", flush=True)

    def rows(self, values, unit):
        for label, some in values.items():
            self.row(label, some, unit)

    def goal(self, label, values, at_least=None, at_most=None):
        """A figure that has a goal; the median decides."""
        median = spread(values)[0]
        reached = median >= at_least if at_least is not None else median <= at_most
        goal = f"goal >= {at_least}" if at_least is not None else f"goal <= {at_most}"
        self.row(label, values, f"{goal}: {'reached' if reached else 'MISSED'}")
        if not reached:
            self.missed.append(f"{self.line}: {label}: {number(median)}, {goal}")

    def ratio(self, label, values, above, below, **goal):
        ratios = [a / b for a, b in zip(values[above], values[below])]
        if goal:
            self.goal(label, ratios, **goal)
        else:
            self.row(label, ratios)

    def note(self, text):
        print(f"    {text}", flush=True)

    def close(self):
        print("\nAll goals were reached." if not self.missed else "\nMissed:\n    " + "\n    ".join(self.missed))
