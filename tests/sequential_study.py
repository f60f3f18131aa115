"""Measures how often sequential verdicts contradict the whole benchmark, and what they save.

    python tests/sequential_study.py          # the tables of docs/sequential.md; an hour
    python tests/sequential_study.py --only "race | 86" --draws 500

Each setting is simulated with the functions that `gate --sequential` and `race` call, and written
to `build/sequential.jsonl` when it is done, so that a stopped run goes on. The populations of gates
are finite and exact: their difference is what the setting says, to one sample, and each simulation
is another order of the same samples. Each simulation of a race is another population.

Gates. A row has `n` questions of its own; a share `discordance` of them has another answer in the
new run, gained or lost, so that the difference of all is -`drop`. The six rows of a family are
drawn independently, at worst for errors, since what is wrong together counts once; "shared" rows
are asked the same questions and change alike in half of them. All look at each fortieth of their
questions, and each stops where it has its answer: "asked" is the share of all questions of all
rows, "to the last" that of a family whose rows are all asked until the last one is decided.

Races. A style answers a question if a normal difficulty, common to all in part and its own in
part, lies below a threshold that gives its accuracy. The common part is such that two styles of
the mean accuracy differ in a share `discordance` of the answers; such of different accuracy differ
in more. Accuracies are drawn from a normal distribution and stretched to the range. Survivors are
wrong where the best is not among them, or one is farther from it than `within`.
"""

import argparse
import functools
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import ndtr, ndtri

from vipbench.stats.intervals import Floats
from vipbench.stats.races import after, set_out
from vipbench.stats.sequences import TOLERANCE, begin, go_on, spread_bets
from vipbench.stats.verdicts import decide

ROOT = Path(__file__).resolve().parent.parent
MARGIN = 0.02
ALPHA = 0.05
N_LOOKS = 40
SURE = 8.0
"""Logarithm of evidence that is enough in any family of the study; a row is not followed beyond."""
AT_ONCE = 100
"""Rows that are simulated together, so that they fit into the cache."""


class Row(NamedTuple):
    """A row of a gate."""

    n: int
    drop: float
    discordance: float
    more: int = 0
    """Questions lost beside those."""

    @property
    def total(self) -> int:
        """Sum of the differences."""
        return -round(self.drop * self.n) - self.more

    @property
    def answer(self) -> str:
        """What the whole says."""
        return "dropped" if self.total < -MARGIN * self.n - 1e-6 else "passed"

    @property
    def values(self) -> Floats:
        """Its differences, in order."""
        gained = max(0, round((self.discordance * self.n + self.total) / 2))
        values = np.zeros(self.n)
        values[:gained] = 1
        values[self.n - (gained - self.total) :] = -1
        return values


class Followed(NamedTuple):
    """Evidence of simulated rows (rows, looks) against either null."""

    against_passing: Floats
    against_dropping: Floats


def blocks(n: int, n_looks: int = N_LOOKS) -> list[int]:
    """Return where a row of `n` is looked at."""
    return sorted({math.ceil(n * look / n_looks) for look in range(1, n_looks + 1)})


def follow(drawn: Floats) -> Followed:
    """Return the evidence that rows of differences (rows, n), in the order asked, come to."""
    n_rows, n = drawn.shape
    ends = blocks(n)
    bets = spread_bets(n, MARGIN)
    found = np.full((2, n_rows, len(ends)), np.inf)
    left = np.arange(n_rows)
    wealths = [begin((n_rows,), bets)] * 2
    sides = ((-1.0, MARGIN), (1.0, -MARGIN - 2 * TOLERANCE))
    for look, end in enumerate(ends):
        block = drawn[left, wealths[0].n : end]
        wealths = [
            go_on(wealth, sign * block, n, mean, bets)
            for wealth, (sign, mean) in zip(wealths, sides, strict=True)
        ]
        for side, wealth in enumerate(wealths):
            found[side, left, look] = wealth.best
        open_ = np.maximum(wealths[0].best, wealths[1].best) < SURE
        for row in left[~open_]:
            found[:, row, look + 1 :] = found[:, row, look, None]
        left = left[open_]
        if not len(left):
            break
        wealths = [type(each)(each.n, *(part[open_] for part in each[1:])) for each in wealths]
    return Followed(found[0], found[1])


def draw(row: Row, n_rows: int, rng: np.random.Generator) -> Floats:
    return rng.permuted(np.broadcast_to(row.values, (n_rows, row.n)), axis=1)


def pool(row: Row, n_rows: int, rng: np.random.Generator) -> Followed:
    """Simulate a row many times."""
    parts = [
        follow(draw(row, min(AT_ONCE, n_rows - first), rng)) for first in range(0, n_rows, AT_ONCE)
    ]
    return Followed(*(np.concatenate(sides) for sides in zip(*parts, strict=True)))


class Ended(NamedTuple):
    """How a family ended."""

    wrong: bool
    asked: float
    """Share of the questions of all rows."""
    to_the_last: float
    """The same, were all asked until the last row is decided."""


def family(rows: Sequence[Row], evidence: Sequence[tuple[Floats, Floats]]) -> Ended:
    """Decide a family at each look; `evidence` has, of each row, that against either null."""
    p_values = [np.ones(len(rows)), np.ones(len(rows))]
    answers: list[str | None] = [None] * len(rows)
    asked = [0] * len(rows)
    ends = [blocks(row.n) for row in rows]
    for look in range(N_LOOKS):
        for place, row in enumerate(rows):
            if answers[place] is None and look < len(ends[place]):
                asked[place] = ends[place][look]
                for side in (0, 1):
                    p_values[side][place] = math.exp(-evidence[place][side][look])
                if asked[place] == row.n:
                    p_values[int(row.answer == "passed")][place] = 0
        low = np.minimum(*p_values) <= ALPHA
        if not low[[answer is None for answer in answers]].any():
            continue  # adjusted ones are not below
        found = decide(p_values[0].tolist(), p_values[1].tolist(), ALPHA)
        answers = [old or new.answer for old, new in zip(answers, found, strict=True)]
        if None not in answers:
            break
    size = sum(row.n for row in rows)
    last = max(done / row.n for done, row in zip(asked, rows, strict=True))
    wrong = any(answer != row.answer for answer, row in zip(answers, rows, strict=True))
    return Ended(wrong, sum(asked) / size, last)


def gate(rows: Sequence[Row], n_draws: int, seed: int) -> dict[str, float]:
    """Simulate families of rows that are drawn independently."""
    rng = np.random.default_rng(seed)
    kinds = {row: rows.count(row) for row in rows}
    pools = {row: pool(row, number * n_draws, rng) for row, number in kinds.items()}
    ended = []
    for number in range(n_draws):
        nexts = {row: itertools.count(number * count) for row, count in kinds.items()}
        places = [(row, next(nexts[row])) for row in rows]
        ended.append(
            family(rows, [(pools[row][0][place], pools[row][1][place]) for row, place in places])
        )
    return summary(ended)


def shared_gate(row: Row, n_rows: int, n_draws: int, seed: int) -> dict[str, float]:
    """Simulate families of rows that are asked the same questions, and change alike in half."""
    rng = np.random.default_rng(seed)
    ended = []
    alike = row._replace(n=row.n // 2)
    alone = row._replace(n=row.n - row.n // 2)
    for _ in range(n_draws):
        own = draw(alone, n_rows, rng)
        drawn = np.concatenate([np.repeat(draw(alike, 1, rng), n_rows, axis=0), own], axis=1)
        found = follow(drawn[:, rng.permutation(row.n)])
        ended.append(family([row] * n_rows, list(zip(*found, strict=True))))
    return summary(ended)


def summary(ended: Sequence[Ended]) -> dict[str, float]:
    wrong, asked, last = np.mean(np.array(ended, dtype=np.float64), axis=0)
    return {
        "draws": len(ended),
        "wrong": float(wrong),
        "asked": float(asked),
        "to the last": float(last),
    }


# --- races


class Field(NamedTuple):
    """Who runs a race."""

    n_styles: int
    n: int
    within: float
    range: float
    """Of the accuracies; 0: all are the same."""
    discordance: float
    kind: str = "normal"
    """`normal`, or `behind`: one is best, and all others are `range` behind it."""


@functools.cache
def commonness(accuracy: float, discordance: float) -> float:
    """Return how much of the difficulty's variance is common: two differ in `discordance`."""
    points, weights = hermegauss(100)
    low, high = 0.0, 1.0
    for _ in range(50):
        share = (low + high) / 2
        right = ndtr((ndtri(accuracy) - math.sqrt(share) * points) / math.sqrt(1 - share))
        differ = float(2 * right * (1 - right) @ weights / weights.sum())
        low, high = (share, high) if differ > discordance else (low, share)
    return low


def scores(field: Field, rng: np.random.Generator, middle: float = 0.6) -> Floats:
    """Draw right and wrong answers (samples, styles)."""
    if field.kind == "behind":
        accuracies = np.full(field.n_styles, middle)
        accuracies[rng.integers(field.n_styles)] += field.range
    else:
        drawn = rng.normal(size=field.n_styles)
        spread = (drawn - drawn.min()) / max(1e-9, float(np.ptp(drawn)))
        accuracies = middle + field.range * (spread - 0.5)
    share = float(commonness(middle, field.discordance))
    common = math.sqrt(share) * rng.standard_normal((field.n, 1))
    own = math.sqrt(1 - share) * rng.standard_normal((field.n, field.n_styles))
    return np.asarray(common + own < ndtri(accuracies), dtype=np.float64)


def run_race(field: Field, rng: np.random.Generator) -> Ended:
    drawn = scores(field, rng)
    race = set_out(field.n_styles, field.n, field.within, ALPHA)
    start = 0
    for end in blocks(field.n, N_LOOKS if field.n >= 2000 else N_LOOKS // 2):
        race = after(race, drawn[start:end][:, list(race.alive)])
        start = end
        if race.ended:
            break
    totals = drawn.sum(axis=0)
    left = totals[list(race.alive)]
    best = totals.max()
    wrong = left.max() < best or best - left.min() > field.within * field.n + 1e-6
    whole = field.n * field.n_styles
    return Ended(bool(wrong), sum(race.asked) / whole, max(race.asked) / field.n)


def races(field: Field, n_draws: int, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    return summary([run_race(field, rng) for _ in range(n_draws)])


# --- the grid

COLUMNS = {
    "gate": "| questions of each | change | drop | rows |",
    "race": "| styles | questions of each | within | range of accuracies | change |",
}
"""What the names of settings say."""
DROPS = (0.05, 0.0, 0.1, 0.01, 0.03)


class Setting(NamedTuple):
    """A line of the tables."""

    name: str
    simulate: Callable[[int, int], dict[str, float]]
    """Takes a number of simulations, and a seed."""


def gates() -> Iterator[Setting]:
    for n, discordance in ((10_000, 0.15), (2000, 0.05), (2000, 0.3), (300, 0.05), (300, 0.15)):
        rows = [Row(n, drop, discordance) for drop in DROPS if drop <= discordance]
        rows += [Row(n, MARGIN, discordance), Row(n, MARGIN, discordance, more=1)]
        for row, n_rows in itertools.product(rows, (6, 1)):
            more = " and one question" if row.more else ""
            yield Setting(
                f"gate | {n:,} | {discordance:.0%} | {row.drop:.0%}{more} | {n_rows}",
                functools.partial(gate, [row] * n_rows),
            )
    on, under = Row(2000, MARGIN, 0.15), Row(2000, MARGIN, 0.15, more=1)
    small = Row(300, MARGIN, 0.15), Row(300, MARGIN, 0.15, more=1)
    for name, mixed in (
        ("half at the margin, half below", [on, under] * 3),
        ("rows of 300 and 2,000 at the margin", [*small, small[0], on, under, on]),
        ("half dropped, half unchanged", [Row(2000, 0.06, 0.15), Row(2000, 0.0, 0.15)] * 3),
    ):
        yield Setting(f"gate | mixed | 15% | {name} | 6", functools.partial(gate, mixed))
    for drop in (0.0, 0.05):
        yield Setting(
            f"gate | 10,000 | 15% | {drop:.0%}, shared | 6",
            functools.partial(shared_gate, Row(10_000, drop, 0.15), 6),
        )


def fields() -> Iterator[Setting]:
    for field in (
        Field(86, 10_000, 0.01, 0.13, 0.15),
        Field(8, 5700, 0.01, 0.05, 0.15),
        Field(2, 1000, 0.01, 0.0, 0.15),
        Field(2, 1000, 0.01, 0.02, 0.15),
        Field(8, 1000, 0.02, 0.0, 0.15),
        Field(8, 1000, 0.02, 0.03, 0.15, "behind"),
        Field(8, 1000, 0.02, 0.08, 0.15),
        Field(8, 2000, 0.03, 0.03, 0.05, "behind"),
        Field(30, 600, 0.05, 0.1, 0.3),
    ):
        yield Setting(
            f"race | {field.n_styles} | {field.n:,} | {100 * field.within:g} | "
            f"{100 * field.range:g} {field.kind} | {field.discordance:.0%}",
            functools.partial(races, field),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10_000, help="families or races a setting")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="settings whose name has this text in it")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "sequential.jsonl")
    given = parser.parse_args()
    done = read(given.out)
    kind = ""
    for name, simulate in (*gates(), *fields()):
        if given.only not in name:
            continue
        key = f"{given.draws} {given.seed} {name}"
        if key not in done:
            begun = time.monotonic()
            done[key] = {"key": key, **simulate(given.draws, given.seed)}
            done[key]["seconds"] = round(time.monotonic() - begun)
            with given.out.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(done[key]))  # behind a line that was cut off
        before, (kind, _, said) = kind, name.partition(" | ")
        if kind != before:
            columns = f"{COLUMNS[kind]} wrong | asked | to the last |"
            sys.stdout.write(f"\n{columns}\n{'| --- ' * (columns.count('|') - 1)}|\n")
        found = done[key]
        sys.stdout.write(
            f"| {said} | {100 * found['wrong']:.2f} % | {100 * found['asked']:.1f} % | "
            f"{100 * found['to the last']:.1f} % |\n"
        )
        sys.stdout.flush()


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return what was simulated before, by setting; without a line that a death cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {
        found["key"]: found for line in lines if line.endswith("}") for found in [json.loads(line)]
    }


if __name__ == "__main__":
    main()
