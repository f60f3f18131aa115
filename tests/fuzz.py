"""Looks for input that is misread: changes files of every format, and holds three rules.

    python tests/fuzz.py --cases 10000 --jobs 2        # half an hour or so
    python tests/fuzz.py --only "vcr raw" --cases 500  # one format
    python tests/fuzz.py --replay 0:1234               # one case again, and what it says

Whatever is in the files that a command reads:

- It ends: in time, in bounded memory, with an exit code, without a traceback or a Python warning.
- With exit code 0, every sample of the file is scored, or counted under its own name.
- Where nothing is said, the runner `oracle` is right in everything; boxes whose unit has changed
  are not taken for px; and a finished run that was changed shows what it showed before.

A case is known by its seed and its number. Findings are written to `build/fuzz` as they come; the
same command goes on where it was stopped. A traceback is tried again in a process of its own.
"""

import argparse
import json
import os
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))  # as a script it would find the modules of its own folder

from tests.fuzzing.calls import Ran, call, call_alone  # noqa: E402
from tests.fuzzing.kinds import KINDS, Argv, tree  # noqa: E402
from tests.fuzzing.mutate import UNITS, change_file  # noqa: E402
from vipbench.console import visible  # noqa: E402

BUILD = REPO / "build" / "fuzz"
MEMORY_MIB = 600
"""A case may add to the largest memory of its process."""
ADDRESSES = 16 * 2**30
"""Bytes that a process may ask for at all, so that a blow-up ends it and not the machine."""
STEERING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]")
FINDINGS = (
    *("traceback", "no end", "crash", "memory", "python warning", "raw letters", "exit code"),
    *("uncounted", "wrong", "silent"),
)


class Outcome(NamedTuple):
    """What came of one case."""

    name: str
    """One of `FINDINGS`; else `accepted`, `accepted with words`, `refused`, `failed samples`."""
    detail: str = ""
    """Of a finding, by which those of one cause are alike."""


class Case(NamedTuple):
    """One change of one format."""

    kind: str
    changes: tuple[str, ...]
    commands: Sequence[Argv]


def say(text: str) -> None:
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()


# --- one case


def kind_of(seed: int, number: int) -> str:
    return Random(f"kind {seed}:{number}").choice(list(KINDS))


def make_case(seed: int, number: int, folder: Path, bases: Path) -> Case:
    """Write the files of a case into a new folder; the same ones for the same seed and number."""
    name = kind_of(seed, number)
    kind = KINDS[name]
    shutil.copytree(base(name, bases), folder, symlinks=True)
    rng = Random(f"case {seed}:{number}")
    changes = []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        pattern = rng.choice(kind.files)
        paths = [path for path in sorted(folder.glob(pattern)) if path.is_file()]
        if paths:
            changes.append(change_file(rng.choice(paths), rng))
    return Case(name, tuple(changes), kind.commands(rng))


def base(name: str, bases: Path) -> Path:
    """Return the folder of a kind's right files, which are made once."""
    folder = bases / name.replace(" ", "-")
    if not folder.exists():
        folder.mkdir(parents=True)
        KINDS[name].make(folder)
    return folder


def judge(case: Case, folder: Path, bases: Path) -> Outcome:
    """Run the commands of a case, and hold the rules."""
    outcome = Outcome("accepted")
    for argv in case.commands:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ran = call(argv, folder)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        limit = MEMORY_MIB * (4 if case.kind == "checkpoint" else 1)
        outcome = ended(argv, ran) or counted(case, argv, ran, folder, bases) or said(ran)
        if outcome.name not in FINDINGS and grown > limit:
            outcome = Outcome("memory", f"{argv[0]}: grows")
        if outcome.name in FINDINGS:
            return outcome
    return outcome


def ended(argv: Argv, ran: Ran) -> Outcome | None:
    """Hold the first rule; None: it is kept."""
    words = f"{argv[0]}: "
    if ran.trace:
        return Outcome("traceback", words + signature(ran.trace))
    if ran.code not in (0, 1, 2, 3) or (ran.code == 1 and argv[0] not in ("gate", "reproduce")):
        return Outcome("exit code", f"{words}{ran.code}")
    if warned := re.search(r"\w*Warning: .{0,60}", ran.err):
        return Outcome("python warning", words + re.sub(r"\d+", "N", warned[0]))
    if raw := STEERING.search(ran.out + ran.err.replace("\x1b[A", "")):
        return Outcome("raw letters", f"{words}{raw[0]!a}")
    if ran.code and not re.search(r"(?m)^(error: |Usage: |Error: )|error: ", ran.err):
        return Outcome("exit code", f"{words}{ran.code} without a message")
    return None


def signature(trace: str) -> str:
    """Say of a traceback where in vipbench it was raised, and what."""
    frames = re.findall(r'File "[^"]*/((?:vipbench|tasks)/[^"]+)", line (\d+), in (\w+)', trace)
    place = "{0}:{2}".format(*frames[-1]) if frames else "?"
    last = trace.strip().splitlines()[-1]
    return f"{place}: {re.sub(r'[0-9]+', 'N', last)[:90]}"


def counted(case: Case, argv: Argv, ran: Ran, folder: Path, bases: Path) -> Outcome | None:
    """Hold the other two rules; None: they hold, or nothing was counted."""
    kind = KINDS[case.kind]
    if ran.code not in (0, 3) or argv[0] == "check" or "--dry-run" in argv:
        return None
    if kind.same:
        return same_as_before(case.kind, argv, ran, folder, bases)
    rows = tree(folder / "out" / "summary.json")
    if not isinstance(rows, list):
        return Outcome("uncounted", "no summary.json")
    whole = [row for row in rows if row["group"] == "all"]
    held = kind.held(folder)
    for row in whole:
        n = row["n"] + row["n_errors"] + row["n_ungraded"]
        if n != row["n_expected"] and (held is None or held[0]):
            return Outcome("uncounted", "n + errors + ungraded is not n_expected")
        if held is not None and not held[0] <= n <= held[1]:
            return Outcome("uncounted", f"{'fewer' if n < held[0] else 'more'} than the file holds")
        if kind.right and row["n"] and row["accuracy"] != 1:
            return Outcome("wrong", "the oracle is not right")
    in_units = any(words.partition(": ")[2].startswith(UNITS) for words in case.changes)
    if in_units and not words_of(ran) and any(row["n"] for row in whole):
        return Outcome("silent", "boxes in fractions are taken for px")
    return None


def same_as_before(name: str, argv: Argv, ran: Ran, folder: Path, bases: Path) -> Outcome | None:
    """Hold what a command prints and writes against what it did with the files as they were."""
    key = (name, argv)
    if key not in _BEFORE:
        with tempfile.TemporaryDirectory(dir=bases) as place:
            unchanged = Path(place) / "case"
            shutil.copytree(base(name, bases), unchanged)
            first = call(argv, unchanged)
            _BEFORE[key] = shown(first, unchanged), frozenset(words_of(first))
    before, words = _BEFORE[key]
    if not words.issuperset(words_of(ran)) or shown(ran, folder) == before:
        return None
    return Outcome("silent", f"{argv[0]}: shows something else")


_BEFORE: dict[tuple[str, Argv], tuple[str, frozenset[str]]] = {}
"""What was shown and said of the files as they were."""


def shown(ran: Ran, folder: Path) -> str:
    """Return what a command has printed and written, apart from pictures and pages."""
    files = [
        folder / "exported",
        *sorted(folder.glob("board/*")),
        *sorted(folder.glob("compared/*")),
    ]
    texts = [
        path.read_text("utf-8")
        for path in files
        if path.is_file() and path.suffix not in (".png", ".svg")
    ]
    return "\n".join((ran.out, *texts))


def words_of(ran: Ran) -> list[str]:
    """Return the lines on stderr that are not bars."""
    lines = re.split(r"[\r\n]+", ran.err)
    return [
        line for line in lines if line.strip() and not re.search(r"/s\b|\d%\|| \(\d+ %\), ", line)
    ]


def said(ran: Ran) -> Outcome:
    """Name what came of a call that kept the rules."""
    names = {2: "refused", 3: "failed samples"}
    usual = "accepted with words" if words_of(ran) else "accepted"
    return Outcome(names.get(int(ran.code or 0), usual))


def confirmed(seed: int, number: int, outcome: Outcome, work: Path) -> Outcome:
    """Try a finding again in a process of its own, where that can show it."""
    if outcome.name not in ("traceback", "no end", "crash", "python warning"):
        return outcome
    folder = work / "alone"
    shutil.rmtree(folder, ignore_errors=True)
    case = make_case(seed, number, folder, work / "bases")
    last = outcome
    for argv in case.commands:
        ran = call_alone(argv, folder, 2 * KINDS[case.kind].seconds)
        if ran.code is None:
            return Outcome("no end", f"{argv[0]}: {'; '.join(case.changes)}")
        found = ended(argv, ran)
        if found is not None:
            return found
        last = said(ran)
    if outcome.name in ("no end", "crash"):
        return last  # it was slow: the machine was busy
    return outcome._replace(detail=f"only in a process of many cases: {outcome.detail}")


# --- many cases


def work_on(pipe: Connection, seed: int, work: Path) -> None:
    """Take numbers of cases, and answer with what came of each, until None comes."""
    os.environ |= ENVIRONMENT
    os.environ["VIPBENCH_CACHE"] = str(work / "cache")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = work / "case"
    while (number := pipe.recv()) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        start = time.monotonic()
        case = make_case(seed, number, folder, work / "bases")
        outcome = judge(case, folder, work / "bases")
        pipe.send((case.changes, outcome, time.monotonic() - start))


ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}


class Worker:
    """A process that runs cases, and is killed and replaced where one does not end."""

    def __init__(self, seed: int, work: Path) -> None:
        self.seed, self.work = seed, work
        self.number: int | None = None
        self.until = 0.0
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        arguments = (other, self.seed, self.work)
        self.process = context.Process(target=work_on, args=arguments, daemon=True)
        self.process.start()
        other.close()

    def give(self, number: int) -> None:
        self.number = number
        self.until = time.monotonic() + KINDS[kind_of(self.seed, number)].seconds
        self.pipe.send(number)

    def take(self) -> tuple[Sequence[str], Outcome, float]:
        """Return what came of the case; call it when there is something, or time is up."""
        try:
            if self.pipe.poll():
                changes, outcome, seconds = self.pipe.recv()
                return changes, Outcome(*outcome), seconds
            found = Outcome("no end", kind_of(self.seed, self.number or 0))
        except EOFError:
            self.process.join(5)
            found = Outcome("crash", f"exit code {self.process.exitcode}")
        self.process.kill()
        self.process.join()
        self._start()
        return (), found, 0.0

    def stop(self) -> None:
        if self.number is None:
            self.pipe.send(None)
        else:
            self.process.kill()
        self.process.join()


def run_cases(seed: int, numbers: Iterable[int], n_jobs: int) -> Iterator[dict[str, Any]]:
    """Yield what came of each case, as cases end."""
    left = iter(numbers)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        workers = []
        for job in range(n_jobs):
            work = Path(place) / str(job)
            (work / "bases").mkdir(parents=True)
            workers.append(Worker(seed, work))
        try:
            while True:
                for worker in workers:
                    number = next(left, None) if worker.number is None else None
                    if number is not None:
                        worker.give(number)
                busy = [worker for worker in workers if worker.number is not None]
                if not busy:
                    break
                rest = min(worker.until for worker in busy) - time.monotonic()
                ready = wait([worker.pipe for worker in busy], max(rest, 0))
                for worker in busy:
                    if worker.pipe in ready or time.monotonic() > worker.until:
                        yield _taken(seed, worker)
        finally:
            for worker in workers:
                worker.stop()


def _taken(seed: int, worker: Worker) -> dict[str, Any]:
    number = worker.number
    assert number is not None
    changes, outcome, seconds = worker.take()
    worker.number = None
    sure = confirmed(seed, number, outcome, worker.work) if outcome.name in FINDINGS else outcome
    return {
        "number": number,
        "kind": kind_of(seed, number),
        "outcome": sure.name,
        "detail": sure.detail,
        "changes": list(changes),
        "seconds": round(seconds, 3),
    }


# --- the command


def numbers_of(seed: int, n_cases: int, only: str | None) -> list[int]:
    """Return the numbers of the first cases, of one kind or of all."""
    numbers: list[int] = []
    number = 0
    while len(numbers) < n_cases:
        if only in (None, kind_of(seed, number)):
            numbers.append(number)
        number += 1
    return numbers


def replay(seed: int, number: int) -> Outcome:
    """Run one case where its files are kept, and show what its commands say."""
    place = BUILD / f"replay-{seed}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    (place / "bases").mkdir(parents=True)
    os.environ |= ENVIRONMENT
    case = make_case(seed, number, place / "case", place / "bases")
    make_case(seed, number, place / "again", place / "bases")
    say(f"{case.kind}: {'; '.join(case.changes)}\nfiles: {place / 'case'}")
    for argv in case.commands:
        ran = call_alone(argv, place / "case", 2 * KINDS[case.kind].seconds)
        say(f"$ vipbench {' '.join(argv)}\n{ran.out}{ran.err}exit code {ran.code}")
    outcome = judge(case, place / "again", place / "bases")
    say(f"outcome: {outcome.name} {outcome.detail}")
    return outcome


def print_counts(results: Sequence[dict[str, Any]], seed: int) -> None:
    """Print how many cases of each format came to what, and each kind of finding once."""
    names = sorted({each["outcome"] for each in results}, key=lambda name: (name in FINDINGS, name))
    counts = Counter((each["kind"], each["outcome"]) for each in results)
    say(" | ".join(("format", *names)))
    for kind in KINDS:
        if any(each["kind"] == kind for each in results):
            say(" | ".join((kind, *(str(counts[kind, name]) for name in names))))
    say(" | ".join(("all", *(str(sum(counts[k, name] for k in KINDS)) for name in names))))
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for each in results:
        if each["outcome"] in FINDINGS:
            found.setdefault((each["outcome"], each["kind"], each["detail"]), []).append(each)
    for (name, kind, detail), cases in sorted(found.items(), key=lambda item: -len(item[1])):
        first = min(cases, key=lambda each: each["number"])
        say(f"{len(cases)} x {name}, {kind}: {detail} · first: {'; '.join(first['changes'])}")
        say(f"    python tests/fuzz.py --replay {seed}:{first['number']}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cases and print what came of them; 1 if there are findings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--replay", metavar="SEED:N")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="forget what was found before")
    given = parser.parse_args(arguments)
    if given.replay:
        seed, _, number = given.replay.partition(":")
        return int(replay(int(seed), int(number)).name in FINDINGS)
    path = BUILD / f"seed-{given.seed}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    if given.fresh:
        path.unlink(missing_ok=True)
    known = read_results(path)
    wanted = numbers_of(given.seed, given.cases, given.only)
    left = [number for number in wanted if number not in known]
    with path.open("a", encoding="utf-8") as file:
        for n, result in enumerate(run_cases(given.seed, left, given.jobs), 1):
            known[result["number"]] = result
            file.write(json.dumps(result) + "\n")
            file.flush()
            if result["outcome"] in FINDINGS or n % 200 == 0:
                words = f"{result['outcome']} {result['kind']}: {result['detail']}"
                say(f"{n}/{len(left)} {given.seed}:{result['number']} {words}")
    results = [known[number] for number in wanted]
    print_counts(results, given.seed)
    return int(any(result["outcome"] in FINDINGS for result in results))


def read_results(path: Path) -> dict[int, dict[str, Any]]:
    """Return what is known of cases, by number; the last line may be torn."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return {result["number"]: result for result in map(json.loads, lines)}


if __name__ == "__main__":
    sys.exit(main())
