"""Mutation testing of the code that makes numbers: `python tests/mutants.py [FILE ...]`.

Needs `pip install cosmic-ray`, which makes the changes: `<` becomes `<=`, 3 becomes 4, a loop runs
no more. Of each file a sample is drawn by seed; each change is made alone, in a copy of the
checkout, and the file's own tests are run, then those named in `TARGETS`. A change that no test
notices has survived. It needs a test, or a line in `mutants_harmless.yaml` that says why it moves
nothing.

Results are kept in `build/mutants/results.jsonl` as they come, so that a stopped run goes on.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.test_mirror import expected

ROOT = Path(__file__).resolve().parent.parent
HARMLESS = ROOT / "tests" / "mutants_harmless.yaml"
SECONDS = 300
"""Tests that run longer than this were made to run for ever: the change is noticed."""

GOLDENS = ("tests/test_golden.py",)
TARGETS: dict[str, tuple[str, ...]] = {
    "vipbench/images/draw.py": ("tests/images",),
    "vipbench/images/shapes/draws.py": ("tests/images",),
    "vipbench/images/shapes/freehand.py": ("tests/images",),
    "vipbench/images/shapes/masks.py": ("tests/images",),
    "vipbench/images/shapes/outlines.py": ("tests/images",),
    "vipbench/images/shapes/anchors.py": ("tests/images",),
    "vipbench/images/shapes/lettering.py": ("tests/images",),
    "vipbench/images/shapes/lines.py": ("tests/images",),
    "vipbench/images/shapes/markers.py": ("tests/images",),
    "vipbench/images/shapes/raster.py": ("tests/images",),
    "vipbench/images/shapes/settings.py": ("tests/images",),
    "vipbench/images/shapes/tags.py": ("tests/images",),
    "vipbench/images/surround.py": ("tests/images", "tests/prompts"),
    "vipbench/images/masks.py": ("tests/images", "tests/test_reading.py"),
    "vipbench/prompts/words.py": ("tests/prompts", "tests/images/shapes", *GOLDENS),
    "vipbench/images/fit.py": ("tests/images",),
    "vipbench/images/geometry.py": ("tests/images", "tests/test_reading.py"),
    "vipbench/prompts/marks.py": ("tests/prompts", *GOLDENS),
    "vipbench/prompts/wording.py": (
        "tests/prompts",
        "tests/data_package/test_samples.py",
        *GOLDENS,
    ),
    "vipbench/prompts/request.py": ("tests/prompts", "tests/test_digests.py", *GOLDENS),
    "vipbench/prompts/tags.py": ("tests/prompts", *GOLDENS),
    "vipbench/prompts/styles.py": ("tests/prompts", *GOLDENS),
    "vipbench/prompts/expressions.py": ("tests/prompts", "tests/cli/test_sweep.py"),
    "vipbench/prompts/parts.py": ("tests/prompts", *GOLDENS),
    "vipbench/prompts/coordinates.py": ("tests/prompts", *GOLDENS),
    "vipbench/prompts/controls.py": ("tests/prompts", *GOLDENS),
    "vipbench/scoring/answers.py": ("tests/scoring", "tests/judge/test_rubric.py"),
    "vipbench/scoring/scorers.py": ("tests/scoring", "tests/run/test_score.py"),
    "vipbench/scoring/summary.py": ("tests/scoring", "tests/run/test_score.py"),
    "vipbench/scoring/extraction/stated.py": ("tests/scoring",),
    "vipbench/scoring/extraction/numbers.py": ("tests/scoring",),
    "vipbench/data/units.py": ("tests/data_package", "tests/analysis"),
    "vipbench/data/box_tally.py": ("tests/data_package",),
    "vipbench/stats/intervals.py": ("tests/stats",),
    "vipbench/stats/comparisons.py": ("tests/stats",),
    "vipbench/stats/sequences.py": ("tests/stats",),
    "vipbench/stats/verdicts.py": ("tests/stats",),
    "vipbench/stats/races.py": ("tests/stats",),
    "vipbench/stats/power.py": ("tests/stats", "tests/analysis/test_power.py"),
    "vipbench/runfolder/plan.py": ("tests/runfolder", "tests/engine/test_batches.py"),
    "vipbench/judge/ledger.py": ("tests/judge",),
    "vipbench/analysis/pairs.py": ("tests/analysis",),
    "vipbench/analysis/power.py": ("tests/analysis",),
    "vipbench/analysis/differences.py": ("tests/analysis",),
    "vipbench/analysis/compare.py": ("tests/analysis",),
    "vipbench/analysis/gate.py": ("tests/analysis", "tests/cli/test_gate.py"),
    "vipbench/analysis/gate_text.py": ("tests/analysis", "tests/cli/test_gate.py"),
}
"""File -> the tests that are to notice a change of it, where those that mirror it do not."""

LEFT_OUT = ("ReplaceBinaryOperator_BitOr_", "VariableInserter", "VariableReplacer")
"""Of cosmic-ray's operators: `|` stands in types, where a change breaks the import."""


class Mutant(NamedTuple):
    """One change of one file."""

    file: str
    operator: str
    occurrence: int
    source: str
    """Digest of the file, so that a result counts for this very text."""

    @property
    def key(self) -> str:
        """Name it in the results."""
        return f"{self.file} {self.source} {self.operator} {self.occurrence}"


def main() -> None:
    """Try the sample, and print what survived; exit code 1 where anything did."""
    # Some tests press Ctrl-C, which a shell switches off for what it runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = parse()
    results_file = options.out / "results.jsonl"
    options.out.mkdir(parents=True, exist_ok=True)
    mutants = [
        mutant
        for file in options.files or TARGETS
        for mutant in sample(file, options.per_file, options.seed)
    ]
    results = read_results(results_file)
    waiting = [mutant for mutant in mutants if mutant.key not in results]
    say(f"{len(mutants)} mutants, {len(mutants) - len(waiting)} of them tried before")
    if waiting:
        try_all(waiting, results_file, options)
    sys.exit(report(mutants, read_results(results_file)))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="*", metavar="FILE", help="of TARGETS; all by default")
    parser.add_argument("--per-file", type=int, default=30, help="mutants of a file, at most")
    parser.add_argument("--seed", type=int, default=0, help="another sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "mutants")
    options = parser.parse_args()
    if unknown := set(options.files) - set(TARGETS):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(TARGETS)}")
    return options


def sample(file: str, n: int, seed: int) -> list[Mutant]:
    """Draw `n` of a file's mutants, or return all where there are fewer."""
    from cosmic_ray import plugins  # type: ignore[import-not-found]  # installed by who needs it
    from cosmic_ray.ast import ast_nodes, get_ast_from_path  # type: ignore[import-not-found]

    tree = get_ast_from_path(ROOT / file)
    source = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:12]
    mutants = []
    for name in plugins.operator_names():
        if any(part in name for part in LEFT_OUT):
            continue
        operator = plugins.get_operator(name)()
        positions = sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(tree))
        mutants += [Mutant(file, name, occurrence, source) for occurrence in range(positions)]
    generator = random.Random(f"{seed} {file}")
    return sorted(generator.sample(mutants, min(n, len(mutants))))


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def read_results(path: Path) -> dict[str, dict[str, Any]]:
    """Return what is known already, by the mutant's key."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line["key"]: line for line in map(json.loads, lines)}


def try_all(mutants: list[Mutant], path: Path, options: argparse.Namespace) -> None:
    """Try mutants in copies of the checkout, one a job; results are written as they come."""
    lock = threading.Lock()
    copies = [copy_checkout(options.out / f"copy-{job}") for job in range(options.jobs)]
    free = list(copies)

    def attempt(mutant: Mutant) -> None:
        with lock:
            copy = free.pop()
        try:
            result = try_one(mutant, copy)
        finally:
            with lock:
                free.append(copy)
        with lock, path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
            say(f"{result['outcome']:8} {mutant.file} {result['was']} -> {result['is']}")

    own = {own_tests(mutant.file) for mutant in mutants}
    run = run_tests(tuple(sorted(own)), copies[0])
    if run.returncode:
        sys.exit(f"fail without any change:\n{run.stdout[-2000:]}")
    with ThreadPoolExecutor(options.jobs) as pool:
        for future in [pool.submit(attempt, mutant) for mutant in mutants]:
            future.result()


def copy_checkout(folder: Path) -> Path:
    """Copy what git knows, as it lies in the working tree."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def own_tests(file: str) -> str:
    """Return the test file that mirrors a source file."""
    return expected(Path(file)).as_posix()


def try_one(mutant: Mutant, copy: Path) -> dict[str, Any]:
    """Make one change, run the tests, and put the file back.

    The file's own tests first: they are quick, and kill most.
    """
    from cosmic_ray import plugins
    from cosmic_ray.mutating import mutate_code  # type: ignore[import-not-found]

    original = (ROOT / mutant.file).read_text(encoding="utf-8")
    operator = plugins.get_operator(mutant.operator)()
    changed = mutate_code(original, operator, mutant.occurrence)
    was, now = changed_lines(original, changed)
    (copy / mutant.file).write_text(changed, encoding="utf-8")
    try:
        run = run_tests((own_tests(mutant.file),), copy)
        if not run.returncode:
            run = run_tests(TARGETS[mutant.file], copy)
        outcome = "killed" if run.returncode else "survived"
        failed = next((line for line in run.stdout.splitlines() if line.startswith("FAILED")), "")
    except subprocess.TimeoutExpired:
        outcome, failed = "killed", f"after {SECONDS} s"
    finally:
        (copy / mutant.file).write_text(original, encoding="utf-8")
    return {"key": mutant.key, "outcome": outcome, "was": was, "is": now, "by": failed[:200]}


def changed_lines(original: str, changed: str) -> tuple[str, str]:
    """Return what differs, before and after: whole lines, without what stands around them."""
    before, after = original.splitlines(), changed.splitlines()
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return " ".join(map(str.strip, before)), " ".join(map(str.strip, after))


def run_tests(tests: tuple[str, ...], copy: Path) -> "subprocess.CompletedProcess[str]":
    """Run tests until the first fails, in a copy; no bytecode, which would outlive a change."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=copy, capture_output=True, text=True, timeout=SECONDS, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(copy), *outside()]),
             "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def outside() -> Iterator[str]:
    """Yield what `PYTHONPATH` names apart from this checkout."""
    for name in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if name and Path(name).resolve() != ROOT:
            yield name


def report(mutants: list[Mutant], results: dict[str, dict[str, Any]]) -> int:
    """Print the table and the survivors; return the exit code."""
    entries = yaml.safe_load(HARMLESS.read_text(encoding="utf-8")) or []
    harmless = {(entry["file"], entry["was"], entry["is"]) for entry in entries}
    counts: dict[str, Counter[str]] = {}
    for mutant in mutants:
        result = results[mutant.key]
        outcome = result["outcome"]
        if outcome == "survived" and (mutant.file, result["was"], result["is"]) in harmless:
            outcome = "harmless"
        counts.setdefault(mutant.file, Counter())[outcome] += 1
        if outcome == "survived":
            say(f"\n{mutant.file}\n  - {result['was']}\n  + {result['is']}")
    say(f"\n{'file':36} {'mutants':>7} {'killed':>7} {'harmless':>8} {'survived':>8}")
    counts["all"] = sum(counts.values(), Counter())
    for file, count in counts.items():
        cells = (count.total(), count["killed"], count["harmless"], count["survived"])
        say(f"{file:36} {cells[0]:7} {cells[1]:7} {cells[2]:8} {cells[3]:8}")
    matter = counts["all"]["killed"] + counts["all"]["survived"]
    say(f"killed of those that matter: {counts['all']['killed'] / max(1, matter):.1%}")
    return 1 if counts["all"]["survived"] else 0


if __name__ == "__main__":
    main()
