"""Rounds in turn, and the tables that come of them: each line's own as it is measured, and at the end all goals.

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
    """Prints as it comes, and keeps what has a goal."""

    def __init__(self):
        self.line, self.goals = "", []

    def head(self, line, what):
        self.line = line
        print(f"\n{line}  {what}\n{'':4}{'':66}{'median':>10}{'minimum':>10}{'maximum':>10}", flush=True)

    def row(self, label, values, unit=""):
        figures = "".join(f"{number(x):>10}" for x in spread(values))
        print(f"    {label:66}{figures}  {unit}", flush=True)

    def rows(self, values, unit):
        for label, some in values.items():
            self.row(label, some, unit)

    def goal(self, label, values, at_least=None, at_most=None, figure="", beside=""):
        """A figure that has a goal; the median decides."""
        median = spread(values)[0]
        reached = median >= at_least if at_least is not None else median <= at_most
        goal = f">= {at_least}" if at_least is not None else f"<= {at_most}"
        self.row(label, values, f"goal {goal}: {'reached' if reached else 'MISSED'}")
        self.goals.append((self.line, label, figure, beside, number(median), goal, "reached" if reached else "MISSED"))

    def ratio(self, label, values, above, below, unit="", **goal):
        """What the one is of the other, round by round."""
        ratios = [a / b for a, b in zip(values[above], values[below])]
        if goal:
            figure, beside = (f"{number(spread(values[name])[0])} {unit}" for name in (above, below))
            self.goal(label, ratios, figure=figure, beside=beside, **goal)
        else:
            self.row(label, ratios)

    def note(self, text):
        print(f"    {text}", flush=True)

    def close(self):
        """Every goal: figures where it is a ratio, the ratio or figure that counts, the goal."""
        columns = (4, 76, 14, 14, 9, 10, 0)
        print()
        for words in [("", "", "inqud", "beside", "result", "goal", ""), *self.goals]:
            print("".join(f"{word:{width}}" for word, width in zip(words, columns)).rstrip())
        missed = sum(words[-1] == "MISSED" for words in self.goals)
        print(f"\n{len(self.goals) - missed} goals reached, {missed} missed.")
