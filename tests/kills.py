"""Kills commands at every step that they take on the disk, and holds what comes of them.

    python tests/kills.py --kills 200                  # a quarter of an hour or more
    python tests/kills.py --only judge --kills 30      # one command

Each command is given once to its end. Then it is given anew, killed by SIGKILL at one step (before
it opens, syncs, renames, truncates or removes a file; with a file that is written in part), or at a
random moment, and given again to its end:

- The second time it ends with exit code 0, and the folder holds the same files with the same bytes,
  apart from times and counts of starts in `manifest.json`, and the order of lines in a ledger.
- No process of the killed one is left.
- A grade that was answered and written is not asked again: of `--judge-workers` calls at a time, as
  many are asked twice at most.

Results are written to `build/kills` as they come; the same command goes on where it was stopped.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))  # as a script it would find the modules of its own folder

from tests.judge_server import Answer, Asked, JudgeServer  # noqa: E402
from tests.runs import make_task  # noqa: E402
from tests.sequential.made import RUNNER, make_known  # noqa: E402
from tests.servers import Served, serving  # noqa: E402
from vipbench.data.cache import FETCHED  # noqa: E402
from vipbench.runfolder.folder import JUDGE, RESPONSES  # noqa: E402

BUILD = REPO / "build" / "kills"
LAUNCH = REPO / "tests" / "killing" / "launch.py"
DATA = REPO / "tests" / "data"
CHECKPOINT = REPO / "vipbench" / "demo" / "checkpoints" / "vipllava-demo"
VOLATILE = frozenset(
    {
        "started",
        "finished",
        "n_starts",
        "times",
        "peak_memory_mib",
        "n_worker_restarts",
        "spent_now",
    }
)
"""Keys of a manifest, and of `judge.json`, that a kill may change (docs/run_folder.md)."""
SECONDS = 180
"""A command may take, on a busy machine."""
JUDGE_WORKERS = 2
Argv = tuple[str, ...]


class World(NamedTuple):
    """What commands need beside files."""

    judge: JudgeServer
    fetched: str
    """Address of the files to be fetched."""


class Command(NamedTuple):
    """A command, and what lies in its folder before."""

    prepare: Callable[[Path, World], None]
    argv: Callable[[World], Argv]
    is_quick: bool = False
    """Whether it takes no second more than Python needs to start."""


class Kill(NamedTuple):
    """Where a command is killed: at a step, or after a part of the time it takes."""

    step: int = -1
    torn: bool = False
    share: float = 0.0


# --- commands


def own(folder: Path, world: World) -> None:
    make_task(folder, "own", 12)


def graded(folder: Path, world: World) -> None:
    make_task(folder, "own", 6, kind="graded", styles="[demo]")


def answered(folder: Path, world: World) -> None:
    own(folder, world)
    give(run()(world), folder)


def shards(folder: Path, world: World) -> None:
    own(folder, world)
    for index in (1, 2):
        give((*run()(world), "--shard", f"{index}/2"), folder)


def original(folder: Path, world: World) -> None:
    from tests.originals import save_original, save_tower

    save_original(folder / "original", tower=False)
    save_tower(folder / "tower")


SOURCE = """\
key: toy
title: A toy
parts:
  questions:
    title: questions
    licence: CC0
    files: [{{url: "{url}/signs.jsonl", to: signs.jsonl}}]
  images:
    title: images
    licence: CC0
    files: [{{url: "{url}/images.zip", unpack: true, to: images, about: 1000}}]
"""


def source(folder: Path, world: World) -> None:
    (folder / "sources").mkdir()
    (folder / "sources/toy.yaml").write_text(SOURCE.format(url=world.fetched))


def answers(folder: Path, world: World) -> None:
    own(folder, world)
    rows = [json.loads(line) for line in (folder / "own.jsonl").read_text().splitlines()]
    lines = [
        f"own-{n},A\n" if "id" not in row else f"{row['id']},A\n" for n, row in enumerate(rows)
    ]
    (folder / "answers.csv").write_text("".join(("id,text\n", *lines)))


def racers(folder: Path, world: World) -> None:
    make_known(folder, 60)


def gated(folder: Path, world: World) -> None:
    racers(folder, world)
    give(("run", *sequential("demo=0.1"), "--tasks", "known", "-o", "base"), folder)


def sequential(model: str) -> Argv:
    return ("--runner", RUNNER, "--model", model, "--include", ".", "--batch-size", "4")


def run(*options: str, runner: str = "tests.runs:Brightness") -> Callable[[World], Argv]:
    asked = ("run", "--tasks", "own", "--include", ".", "--batch-size", "3", "--runner", runner)
    return lambda world: (*asked, *options, "-o", "out")


def judged(*argv: str) -> Callable[[World], Argv]:
    return lambda world: (
        *(*argv, "--judge-url", world.judge.url, "--judge-model", "made up"),
        *("--judge-runs", "2", "--judge-workers", str(JUDGE_WORKERS)),
    )


COMMANDS: dict[str, Command] = {
    "run": Command(own, run(), is_quick=True),
    "run, two styles": Command(own, run("--styles", "demo,none", "--metric", "text_match")),
    "workers": Command(own, run("--workers", "2")),
    "loaders": Command(own, run("--loaders", "2")),
    "model": Command(own, run("--model", str(CHECKPOINT), runner="vipllava")),
    "judge": Command(graded, judged(*run(runner="majority")(None))),  # type: ignore[arg-type]
    "import": Command(
        answers,
        lambda world: (
            *("import", "own=answers.csv", "--include", ".", "-o", "out", "--max-errors", "1"),
            *("--model", "vip"),
        ),
    ),
    "race": Command(
        racers,
        lambda world: (
            *("race", *sequential("demo=0.1,rectangle:red=0.7"), "--tasks", "known"),
            *("--styles", "demo,rectangle:red", "--within", "5", "--block", "10"),
        ),
    ),
    "gate": Command(
        gated,
        lambda world: (
            *("gate", "base", "--sequential", *sequential("demo=0.1"), "--max-drop", "30"),
            *("--block", "10", "-o", "out"),
        ),
    ),
    "merge": Command(
        shards, lambda world: ("merge", "out/shard-1-of-2", "out/shard-2-of-2", "-o", "merged")
    ),
    "score": Command(answered, lambda world: ("score", "out", "--metric", "text_match")),
    "convert": Command(
        original, lambda world: ("convert", "original", "out", "--vision-tower", "tower")
    ),
    "fetch": Command(source, lambda world: ("data", "fetch", "toy", "--include", ".", "-o", "out")),
    "report": Command(answered, lambda world: ("report", "out", "-o", "page")),
    "leaderboard": Command(answered, lambda world: ("leaderboard", "out", "-o", "board")),
}


@contextmanager
def world() -> Iterator[World]:
    """Serve a judge and files to be fetched."""
    with tempfile.TemporaryDirectory() as place, serving() as server, judging() as judge:
        archive = Path(place) / "images.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted((DATA / "own" / "images").iterdir()):
                file.write(path, f"top/{path.name}")
        server.files["/signs.jsonl"] = Served((DATA / "own" / "questions.jsonl").read_bytes())
        server.files["/images.zip"] = Served(archive.read_bytes())
        yield World(judge, server.url)


def judging() -> JudgeServer:
    """Make a judge whose grades depend on nothing but the message."""

    def answer(asked: Asked) -> Answer:
        time.sleep(0.03)
        return Answer(f"0.{len(asked.message) % 10}")

    return JudgeServer(answer)


# --- one kill


def environment(folder: Path) -> dict[str, str]:
    """Return that of a command: nothing of the user's, no network, no second thread."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_KEY")}
    return kept | {
        "PYTHONPATH": str(REPO),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "VIPBENCH_CACHE": str(folder.parent / "cache"),
    }


def launch(
    argv: Argv, folder: Path, kill: Kill, log: Path, seconds: float
) -> tuple[int | None, str, bool]:
    """Run a command to its end or its death.

    Returns:
        Its exit code (None: it did not end), what it said, and whether a process of it is left.
    """
    command = [sys.executable, str(LAUNCH), str(log), str(kill.step), str(int(kill.torn)), *argv]
    with (log.with_suffix(".err")).open("w+b") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(kill.share * seconds if kill.share else SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = -signal.SIGKILL if kill.share else None
        is_left = not ends(process.pid)
        said.seek(0)
        return code, said.read().decode("utf-8", "replace"), is_left


def ends(group: int) -> bool:
    """Wait for the processes of a session to end; kill them where they do not."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    return False


def give(argv: Argv, folder: Path) -> None:
    """Run a command to its end, which must be a good one."""
    code, said, _ = launch(argv, folder, Kill(), folder.parent / "given.log", 0)
    if code != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit code {code}: {said[-2000:]}")


def content(folder: Path) -> dict[str, str | bytes]:
    """Return what a folder holds that a kill must not change, by path."""
    found: dict[str, str | bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            found[f"{name}/"] = b""
        elif path.name in ("manifest.json", "judge.json"):
            written = json.loads(path.read_bytes())
            kept = {key: value for key, value in written.items() if key not in VOLATILE}
            # Batches of several processes stand in any order; their lines are compared, sorted.
            kept.get("files", {}).get(RESPONSES, {}).pop("sha256", None)
            kept.get("files", {}).pop(JUDGE, None)  # it holds `spent_now`
            found[name] = json.dumps(kept, sort_keys=True)
        elif path.name == FETCHED:
            fetched = json.loads(path.read_bytes())["files"]
            found[name] = "".join(plain_line(json.dumps(file)) for file in fetched)
        elif path.name in ("grades.jsonl", "responses.jsonl"):
            found[name] = "\n".join(sorted(map(plain_line, path.read_text().splitlines())))
        else:
            found[name] = path.read_bytes()
    return found


def plain_line(line: str) -> str:
    """Return a line of answers or grades without its times."""
    fields = json.loads(line)
    return json.dumps(
        {key: fields[key] for key in sorted(fields) if key not in ("seconds", "time")}
    )


def differences(expected: dict[str, str | bytes], found: dict[str, str | bytes]) -> list[str]:
    """Say of each file in what it is not as expected."""
    names = sorted(expected.keys() | found.keys())
    wrong = [name for name in names if expected.get(name) != found.get(name)]
    how = {name: "differs" if name in expected else "is left" for name in wrong}
    return [f"{name} {how[name] if name in found else 'is missing'}" for name in wrong]


class Reference(NamedTuple):
    """What a command does that nobody kills."""

    folder: Path
    """As it was before."""
    content: dict[str, str | bytes]
    steps: list[str]
    seconds: float
    n_asked: Counter[str]
    """Message to the judge -> times it was asked."""


def reference(name: str, place: Path, served: World) -> Reference:
    command = COMMANDS[name]
    before, folder = place / "before", place / "work"
    before.mkdir(parents=True)
    command.prepare(before, served)
    shutil.copytree(before, folder)
    served.judge.asked.clear()
    start = time.monotonic()
    code, said, _ = launch(command.argv(served), folder, Kill(), place / "steps", 0)
    seconds = time.monotonic() - start
    if code != 0:
        raise RuntimeError(f"{name}: exit code {code}: {said[-2000:]}")
    steps = (place / "steps").read_text().splitlines()
    asked = Counter(each.message for each in served.judge.asked)
    return Reference(before, content(folder), steps, seconds, asked)


def killed(name: str, kill: Kill, known: Reference, place: Path, served: World) -> dict[str, Any]:
    """Kill a command, give it again, and say what is wrong then; nothing where all is right."""
    folder = place / "work"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(known.folder, folder)
    served.judge.asked.clear()
    argv = COMMANDS[name].argv(served)
    code, said, is_left = launch(argv, folder, kill, place / "steps", known.seconds)
    steps = (place / "steps").read_text().splitlines() if (place / "steps").exists() else []
    at = steps[-1] if steps else "the start"
    faults: list[str] = []
    if is_left:
        faults.append("a process is left")
    if code != -signal.SIGKILL and not (code == 0 and (kill.share or kill.step >= len(steps))):
        faults.append(f"exit code {code} instead of a kill: {said[-300:]}")
    again: int | None = 0
    words = ""
    if code != 0:  # what has ended before the kill is not given again
        again, words, _ = launch(argv, folder, Kill(), place / "again", 0)
    if again != 0:
        faults.append(f"given again: exit code {again}: {words.strip().splitlines()[-1:]}")
    else:
        faults += differences(known.content, content(folder))
    asked = Counter(each.message for each in served.judge.asked)
    n_more = sum((asked - known.n_asked).values())
    if n_more > JUDGE_WORKERS or known.n_asked - asked:
        faults.append(f"the judge was asked {sum(asked.values())} times")
    return {
        "command": name,
        "kill": list(kill),
        "at": without_numbers(at) if kill.step >= 0 else "a random moment",
        "was_killed": code != 0,
        "asked_twice": n_more,
        "faults": faults,
    }


def without_numbers(step: str) -> str:
    """Return a step so that those of two runs are alike: names of drafts hold numbers."""
    return "".join("N" if each.isdigit() else each for each in step)


# --- many kills


def plan(known: Reference, n: int, rng: Random) -> list[Kill]:
    """Choose kills: half of them at steps, of each kind of step some; the rest at any moment."""
    at_steps = [Kill(step) for step in range(len(known.steps))]
    torn = [Kill(k, torn=True) for k, step in enumerate(known.steps) if step.startswith("fsync")]
    by_kind: dict[str, list[Kill]] = {}
    for kill in rng.sample(at_steps + torn, len(at_steps) + len(torn)):
        key = f"{without_numbers(known.steps[kill.step])} {kill.torn}"
        by_kind.setdefault(key, []).append(kill)
    turns = list(by_kind.values())
    chosen = [kills[k] for k in range(len(at_steps)) for kills in turns if k < len(kills)]
    n_at_steps = min(len(chosen), n - n // 4)
    moments = [Kill(share=round(rng.uniform(0.2, 1.0), 3)) for _ in range(n - n_at_steps)]
    return chosen[:n_at_steps] + moments


def run_kills(
    names: Sequence[str], n_kills: int, seed: int, done: set[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what came of each kill that is not done yet, by its own name."""
    each, rest = divmod(n_kills, len(names))
    for number, name in enumerate(names):
        n = each + (number < rest)
        with tempfile.TemporaryDirectory(prefix="kills-") as folder, world() as served:
            place = Path(folder)
            if all(f"{seed} {name} {k}" in done for k in range(n)):
                continue
            known = reference(name, place, served)
            for k, kill in enumerate(plan(known, n, Random(f"{seed} {name}"))):
                key = f"{seed} {name} {k}"
                if key not in done:
                    yield key, killed(name, kill, known, place, served)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_counts(results: Sequence[dict[str, Any]]) -> None:
    """Print how many kills of each command came to what, and each kind of fault once."""
    say("command | kills | of them after its end | asked twice | faults")
    for name in COMMANDS:
        mine = [each for each in results if each["command"] == name]
        if mine:
            ended = sum(not each["was_killed"] for each in mine)
            twice = sum(each["asked_twice"] for each in mine)
            faults = sum(bool(each["faults"]) for each in mine)
            say(f"{name} | {len(mine)} | {ended} | {twice} | {faults}")
    faulty = Counter(
        f"{each['command']}, at {each['at']}{', torn' if each['kill'][1] else ''}: {fault}"
        for each in results
        for fault in each["faults"]
    )
    for words, n in faulty.most_common():
        say(f"{n} x {words}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, and print what came of it; 1 if there are faults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(COMMANDS), metavar="COMMAND", help=str([*COMMANDS]))
    parser.add_argument("--fresh", action="store_true", help="forget what was found before")
    given = parser.parse_args(arguments)
    path = BUILD / "results.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    if given.fresh:
        path.unlink(missing_ok=True)
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    results: dict[str, dict[str, Any]] = {
        key: result for key, result in map(json.loads, lines) if key.startswith(f"{given.seed} ")
    }
    names = [given.only] if given.only else list(COMMANDS)
    with path.open("a", encoding="utf-8") as file:
        for key, result in run_kills(names, given.kills, given.seed, set(results)):
            results[key] = result
            file.write(json.dumps([key, result]) + "\n")
            file.flush()
            say(f"{key}: at {result['at']}: {'; '.join(result['faults']) or 'as it should be'}")
    wanted = [each for each in results.values() if each["command"] in names]
    print_counts(wanted)
    return int(any(each["faults"] for each in wanted))


if __name__ == "__main__":
    sys.exit(main())
