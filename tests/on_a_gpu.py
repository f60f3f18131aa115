"""What wants a GPU, in parts of less than ten minutes each: `python tests/on_a_gpu.py RESULTS`.

Needs the checkout, torch and transformers, and no network. The same command resumes where it was
stopped or its time (`--minutes`) was up; a part that is done is not done again. `--status` tells
what is missing, `--table` what was found, `--smoke` does the same on a CPU with a tiny model.
`--wheels FOLDER` takes packages that the machine lacks from a folder of wheels.

Exit code 0: all parts are done; 1: one failed, its log is in RESULTS; 3: stopped, or time is up.
"""

import argparse
import contextlib
import importlib.metadata
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parent.parent
DTYPES = ("float32", "float16", "bfloat16")
SHORTEST = 30.0
"""Seconds that must be left for something to begin."""
MEMORY_SECONDS = 400.0
"""That one process of the part `memory` may answer; the next one takes over."""
PROMPT_TOKENS = {"letters": 686, "open": 636}
"""Of questions of Visual7W, and of open ones: 576 of them are the image's."""
IMAGE_WIDTH = 560
"""Square images of as many pixels as those of COCO (640 x 480)."""
LETTERS = "visual7w_pointing"
OPEN = "vip_bench_drawn"


class OutOfTime(Exception):
    """A part was stopped, or not begun."""


class Failed(Exception):
    """A command did not do its work."""


class Sizes(NamedTuple):
    """How much is asked."""

    device: str
    random: str
    dtype: str
    image_width: int
    prompt_tokens: dict[str, int]
    embedded: int
    """Samples of the embedded checkpoint."""
    equality: int
    """Samples of each task of the demo suite."""
    certificate: int
    letters: tuple[int, int, int]
    """For vipbench, for the official way and for the usual one."""
    open: tuple[int, int, int]
    tune: int
    memory: int
    rounding: int
    batch: int
    """Requests that are answered together in `rounding`."""
    steps: int
    """Tokens of an answer whose steps are timed."""
    rows: tuple[int, ...]
    """Batch sizes whose steps are timed."""


FULL = Sizes(
    device="cuda",
    random="7b",
    dtype="float16",
    image_width=IMAGE_WIDTH,
    prompt_tokens=PROMPT_TOKENS,
    embedded=500,
    equality=40,
    certificate=200,
    letters=(2000, 500, 500),
    open=(2000, 120, 256),
    tune=64,
    memory=20_000,
    rounding=64,
    batch=16,
    steps=32,
    rows=(1, 32, 128),
)
SMOKE = Sizes(
    device="cpu",
    random="tiny",
    dtype="float32",
    image_width=200,
    prompt_tokens={"letters": 160, "open": 160},
    embedded=20,
    equality=3,
    certificate=5,
    letters=(24, 6, 12),
    open=(24, 6, 12),
    tune=8,
    memory=200,
    rounding=4,
    batch=4,
    steps=4,
    rows=(1, 2),
)


class Work:
    """Where results go, and how long there is to get them."""

    def __init__(self, results: Path, sizes: Sizes, *, smoke: bool, minutes: float) -> None:
        self.results, self.sizes, self.smoke = results, sizes, smoke
        self._end = time.monotonic() + 60 * minutes
        self._log = results / "log.txt"

    def path(self, name: str) -> Path:
        """Return where a part's JSON is."""
        return self.results / f"{name}.json"

    def begin(self, part: str) -> None:
        """Let what follows be logged under a part's name."""
        self._log = self.results / f"{part}.log"

    def vipbench(self, *words: object) -> None:
        """Run a vipbench command."""
        self._run("-c", "from vipbench.cli import main; main()", *map(str, words))

    def child(self, what: str, out: Path) -> None:
        """Do something in a process of its own that has the model."""
        self._run(__file__, str(out), "--child", what, *["--smoke"] * self.smoke)

    def _run(self, *words: str) -> None:
        left = self._end - time.monotonic()
        if left < SHORTEST:
            raise OutOfTime
        path = os.pathsep.join(map(str, (REPO, self.results / "site")))
        environment = os.environ | {
            "PYTHONPATH": path,
            "HF_HUB_OFFLINE": "1",
            "VIPBENCH_CACHE": str(self.results / "cache"),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n")
            log.flush()
            process = subprocess.Popen(
                [sys.executable, *words],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(timeout=left)
            except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
                _end(process)
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise OutOfTime from None
        if code != 0:
            raise Failed(f"exit {code}: {self._log}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started: first by Ctrl-C, then by force."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def write(path: Path, value: object) -> None:
    """Write JSON, whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=2), encoding="utf-8")
    draft.replace(path)


def read(path: Path) -> Any:
    """Read JSON; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


# --- parts


def machine(work: Work) -> None:
    """Write down what this is: card, driver, versions, attention kernels."""
    work.child("machine", work.path("machine"))


def equality(work: Work) -> None:
    """Answer the demo suite in float32 by every path, and compare the answers."""
    sizes, runs = work.sizes, work.results / "runs"
    ways: dict[str, list[str]] = {
        "reference, one at a time": ["--path", "reference", "--batch-size", "1"],
        "one at a time": ["--batch-size", "1"],
        "batches of 7": ["--batch-size", "7"],
        "batches of 32": ["--batch-size", "32"],
        "auto": [],
        "auto, again": [],
        "reference, batches of 16": ["--path", "reference", "--batch-size", "16"],
    }
    n_devices = (read(work.path("machine")) or {}).get("n_devices", 0)
    if sizes.device == "cpu" or n_devices > 1:
        ways["two workers"] = ["--workers", "2"]
    for name, options in ways.items():
        folder = runs / _folder(name)
        if not (folder / "summary.json").exists():
            plain = ["run", "--device", sizes.device, "--dtype", "float32", "-o", folder]
            work.vipbench(*plain, "--limit", sizes.equality, *options)
    for shard in ("1/2", "2/2"):
        plain = ["run", "--device", sizes.device, "--dtype", "float32", "-o", runs / "shards"]
        work.vipbench(*plain, "--limit", sizes.equality, "--shard", shard)
    merged = runs / _folder("two shards, merged")
    if not (merged / "summary.json").exists():
        parts = [runs / "shards" / f"shard-{i}-of-2" for i in (1, 2)]
        work.vipbench("merge", *parts, "-o", merged)
    base = _responses(runs / _folder(next(iter(ways))))
    compared = {
        name: _compare(base, _responses(runs / _folder(name)))
        for name in [*ways, "two shards, merged"]
    }
    write(work.path("equality"), compared)


def _folder(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


def _responses(folder: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Read a run's answers."""
    with (folder / "responses.jsonl").open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return {(line["task"], line["style"], line["id"]): line for line in lines}


def _compare(
    base: dict[tuple[str, str, str], dict[str, Any]],
    other: dict[tuple[str, str, str], dict[str, Any]],
) -> dict[str, float]:
    """Count equal texts, and find how far the options' log-probabilities move."""
    shifts = [
        abs(a - b)
        for name, line in base.items()
        if name in other
        for a, b in zip(
            line["option_logprobs"] or (), other[name]["option_logprobs"] or (), strict=False
        )
        if math.isfinite(a) and math.isfinite(b)
    ]
    equal = sum(name in other and other[name]["text"] == base[name]["text"] for name in base)
    return {"n": len(base), "equal": equal, "largest_shift": max(shifts, default=0.0)}


def certificate(work: Work) -> None:
    """Certify the embedded checkpoint in each dtype."""
    found = {}
    for dtype in DTYPES:
        path = work.results / f"certificate-{dtype}.json"
        if not path.exists():
            sizes = work.sizes
            chosen = ["--device", sizes.device, "--dtype", dtype, "--n", sizes.certificate]
            work.vipbench("certify", *chosen, "-o", path)
        found[dtype] = read(path)
    write(work.path("certificate"), found)


def embedded(work: Work) -> None:
    """Bench the embedded checkpoint as `vipbench bench` does without arguments."""
    options = ["--n", work.sizes.embedded, "--rounds", "1", "--device", work.sizes.device]
    work.vipbench("bench", *options, "--json", work.path("embedded"))


def letters(work: Work) -> None:
    """Bench a random model on short prompts whose answers are a letter and the end."""
    _bench(work, "letters", LETTERS, "2", work.sizes.letters)


def open_answers(work: Work) -> None:
    """Bench it on answers as long as those to open questions."""
    _bench(work, "open", OPEN, "open", work.sizes.open)


def _bench(work: Work, name: str, task: str, new_tokens: str, n: tuple[int, int, int]) -> None:
    work.vipbench(
        *_random(work, name, task, new_tokens, n[0]),
        *("--n-official", n[1], "--n-usual", n[2], "--prompt-tokens"),
        work.sizes.prompt_tokens[name],
    )


def memory(work: Work) -> None:
    """Let vipbench alone answer many requests, in few processes of some minutes each."""
    n = work.sizes.memory
    before = read(work.path("letters"))
    speed = before["ways"]["vipbench"]["samples_per_s"] if before else 30.0
    at_most = max(1, int(speed * MEMORY_SECONDS))
    options = _random(work, "memory", LETTERS, "2", n)
    work.vipbench(*options, "--ways", "vipbench", "--n-process", min(n, at_most))


def _random(work: Work, name: str, task: str, new_tokens: str, n: int) -> list[object]:
    sizes = work.sizes
    return [
        *("bench", "--json", work.path(name), "--random", sizes.random, "--device", sizes.device),
        *("--dtype", sizes.dtype, "--tasks", task, "--new-tokens", new_tokens, "--rounds", "1"),
        *("--n", n, "--n-tune", sizes.tune, "--image-width", sizes.image_width),
    ]


def kernels(work: Work) -> None:
    """Time a random model's prefill with each attention kernel, and steps of decoding."""
    work.child("kernels", work.path("kernels"))


def rounding(work: Work) -> None:
    """Compare the answers of a random model in each dtype, alone and in batches."""
    work.child("rounding", work.path("rounding"))


PARTS: dict[str, Callable[[Work], None]] = {
    "machine": machine,
    "equality": equality,
    "letters": letters,
    "open": open_answers,
    "kernels": kernels,
    "memory": memory,
    "certificate": certificate,
    "embedded": embedded,
    "rounding": rounding,
}
"""In the order in which they are done: what is wanted most comes first."""


# --- in processes of their own


def tell_machine(sizes: Sizes) -> dict[str, Any]:
    """Return card, driver and versions."""
    import torch

    cuda = sizes.device == "cuda"
    cudnn: Any = torch.backends.cudnn.version
    names = ("torch", "transformers", "tokenizers", "numpy", "pillow", "pydantic")
    driver = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    cards = subprocess.run(driver, capture_output=True, text=True, check=False) if cuda else None
    return {
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or "cpu",
        "cards": cards.stdout.splitlines() if cards else [],
        "n_devices": torch.cuda.device_count(),
        "n_cores": os.cpu_count(),
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "cudnn": int(cudnn() or 0) if cuda else None,
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def _ask(sizes: Sizes, n: int, new_tokens: int) -> tuple[Any, list[Any], list[Any]]:
    """Return a random runner, requests with prompts of one length, and their fitted images."""
    from vipbench.bench.models import Loaded, load_prompts, load_runner
    from vipbench.bench.requests import lengthen
    from vipbench.demo.embedded import benchmark
    from vipbench.images.load import load_measured
    from vipbench.trials.make import make_trials
    from vipbench.trials.selection import select

    size: Any = sizes.random
    prompts = load_prompts(None, size)
    runner = load_runner(Loaded(), size, sizes.dtype, device=sizes.device, threads=None)
    chosen = select(tasks=[LETTERS], styles="demo", data=benchmark())
    made = [
        trial.request
        for trial in make_trials(chosen, list, seed=0, limit=n)[0]
        if trial.request is not None
    ]
    wanted = sizes.prompt_tokens["letters"]
    requests = [
        lengthen(request, prompts.encode, wanted).model_copy(update={"max_new_tokens": new_tokens})
        for request in made
    ]
    root = chosen.tasks[0].source.images
    return (
        runner,
        requests,
        [load_measured(each, root, runner.image_size).pixels for each in requests],
    )


def _timed(runner: Any, requests: Sequence[Any], images: Sequence[Any]) -> tuple[float, list[Any]]:
    begun = time.perf_counter()
    answers = runner.generate(requests, images)
    return time.perf_counter() - begun, answers


def tell_kernels(sizes: Sizes) -> dict[str, Any]:
    """Time prefills with one attention kernel after the other, and steps of decoding."""
    from torch.nn.attention import SDPBackend

    from vipbench.runners.checkpoints import loading

    runner, requests, images = _ask(sizes, max(sizes.rows), 1)
    usual = list(loading.ATTENTION_BACKENDS)
    n = min(32, len(requests))
    tried = {
        "math": [SDPBackend.MATH],
        "flash": [SDPBackend.FLASH_ATTENTION],
        "efficient": [SDPBackend.EFFICIENT_ATTENTION],
        "cudnn": [SDPBackend.CUDNN_ATTENTION],
        "as vipbench": usual,
        "as vipbench, and cudnn": [*usual, SDPBackend.CUDNN_ATTENTION],
    }
    prefill: dict[str, Any] = {}
    first: list[Any] = []
    for name, backends in tried.items():
        loading.ATTENTION_BACKENDS[:] = backends
        try:
            found = [_timed(runner, requests[:n], images[:n]) for _ in range(4)]
        except RuntimeError as error:  # there is none of this kind here
            prefill[name] = {"error": " ".join(str(error).split())[:200]}
            continue
        finally:
            loading.ATTENTION_BACKENDS[:] = usual
        first = first or found[0][1]
        shifts = [
            abs(a - b)
            for one, other in zip(first, found[-1][1], strict=True)
            for a, b in zip(one.option_logprobs or (), other.option_logprobs or (), strict=False)
        ]
        prefill[name] = {
            "samples_per_s": n / min(taken for taken, _ in found[1:]),
            "largest_shift_from_math": max(shifts, default=0.0),
            "equal": sum(a.text == b.text for a, b in zip(first, found[-1][1], strict=True)),
        }
    steps = {}
    for rows in sizes.rows:
        rows = min(rows, len(requests))
        long = [
            each.model_copy(update={"max_new_tokens": 1 + sizes.steps}) for each in requests[:rows]
        ]
        _timed(runner, long, images[:rows])  # warm
        taken = [
            min(_timed(runner, asked, images[:rows])[0] for _ in range(3))
            for asked in (requests[:rows], long)
        ]
        steps[str(rows)] = 1000 * (taken[1] - taken[0]) / sizes.steps
    return {"n": n, "prefill": prefill, "ms_per_step": steps}


def tell_rounding(sizes: Sizes) -> dict[str, Any]:
    """Count answers of 16 tokens that differ from float32 alone; the weights fit into float16."""
    import torch

    runner, requests, images = _ask(sizes, sizes.rounding, 16)
    runner.model.to(torch.float16)
    answers: dict[str, list[Any]] = {}
    for dtype in DTYPES:
        # By way of float32, which holds what was in either of the others.
        runner.model.to(torch.float32).to(getattr(torch, dtype))
        for n in (1, sizes.batch):
            parts = [slice(i, i + n) for i in range(0, len(requests), n)]
            found = [runner.generate(requests[part], images[part]) for part in parts]
            answers[f"{dtype}, batches of {n}"] = [each for part in found for each in part]
    base = next(iter(answers.values()))
    return {
        name: {
            "n": len(base),
            "equal": sum(a.text == b.text for a, b in zip(base, found, strict=True)),
            "largest_shift": max(
                abs(x - y)
                for a, b in zip(base, found, strict=True)
                for x, y in zip(a.option_logprobs or (0,), b.option_logprobs or (0,), strict=True)
            ),
        }
        for name, found in answers.items()
    }


CHILDREN = {"machine": tell_machine, "kernels": tell_kernels, "rounding": tell_rounding}


# --- what was found


def table(work: Work) -> list[str]:
    """Write what was found in Markdown; what is missing is left out."""
    lines: list[str] = []
    found = read(work.path("machine"))
    if found:
        versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        lines += [f"{found['device']}; Python {found['python']}, {versions}", ""]
    lines += _table_of_benches(work)
    for part, title in (("equality", "float32 by"), ("rounding", "random model in")):
        found = read(work.path(part))
        if found:
            lines += [f"| {title} | equal answers | largest shift of an option |", "|---|---|---|"]
            for name, each in found.items():
                equal = f"{each['equal']} of {each['n']}"
                lines.append(f"| {name} | {equal} | {each['largest_shift']:.2g} |")
            lines.append("")
    found = read(work.path("certificate"))
    if found:
        lines += ["| certificate | agreement | flipped | attention |", "|---|---|---|---|"]
        for dtype, each in found.items():
            flipped = f"{each['n_flipped']} of {each['n']}"
            lines.append(f"| {dtype} | {each['agreement']:.1%} | {flipped} | {each['attention']} |")
        lines.append("")
    found = read(work.path("kernels"))
    if found:
        lines += ["| attention | samples/s | largest shift from math |", "|---|---|---|"]
        for name, each in found["prefill"].items():
            told = ("-", each["error"]) if "error" in each else _kernel(each)
            lines.append(f"| {name} | {told[0]} | {told[1]} |")
        steps = ", ".join(f"{ms:.1f} at {rows}" for rows, ms in found["ms_per_step"].items())
        lines += ["", f"Milliseconds a step of decoding: {steps} rows."]
    return lines


def _kernel(each: dict[str, float]) -> tuple[str, str]:
    return f"{each['samples_per_s']:.1f}", f"{each['largest_shift_from_math']:.2g}"


def _table_of_benches(work: Work) -> list[str]:
    lines = [
        "| part | way | n | samples/s | MFU | waits | tokens/answer | batch | agrees | host MiB "
        "(first, tenth, end) | device MiB (first, end) | attention |",
        "|" + "---|" * 12,
    ]
    after = []
    for part in ("letters", "open", "memory", "embedded"):
        found = read(work.path(part))
        if not found:
            continue
        for way, each in found["ways"].items():
            agrees = found["agreement"].get(way)
            course = [
                each["memory_course"][i] for i in (0, min(1, len(each["memory_course"]) - 1), -1)
            ]
            device = [each["device_mib_first"], each["device_mib"]]
            cells = [
                part,
                way,
                f"{each['n']:,}",
                f"{each['samples_per_s']:.1f}",
                f"{each['mfu']:.0%}",
                f"{each['wait_share']:.1%}",
                f"{each['new_tokens']:.1f}",
                str(each["batch_size"]),
                "" if agrees is None else f"{agrees} of {found['n_compared']}",
                ", ".join(f"{mib:,.0f}" for mib in course),
                ", ".join("-" if mib is None else f"{mib:,.0f}" for mib in device),
                each["attention"],
            ]
            lines.append(f"| {' | '.join(cells)} |")
        floor = found["floor"]
        ratios = [
            f"{found[key]:.2f} x the {name} way"
            for key, name in (("ratio_official", "official"), ("ratio_usual", "usual"))
            if found[key] is not None
        ]
        told = f"{floor['samples_per_s']:.1f} samples/s at {floor['peak'] / 1e12:.3g} TFLOP/s"
        after.append(f"{part}: {', '.join([*ratios, f'arithmetic alone {told}'])}.")
    return [*lines, "", *after, ""] if after else []


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--status", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    given = parser.parse_intermixed_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    sizes = SMOKE if given.smoke else FULL
    if given.child:
        write(given.results, CHILDREN[given.child](sizes))
        return 0
    given.results.mkdir(parents=True, exist_ok=True)
    results = given.results.resolve()
    work = Work(results, sizes, smoke=given.smoke, minutes=given.minutes)
    chosen = given.parts or list(PARTS)
    if given.wheels:
        # A wheel is a zip file of what belongs on the path, as far as these packages go.
        for wheel in sorted(given.wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as file:
                file.extractall(results / "site")
    code = 0 if given.status or given.table else _do(work, chosen)
    if not given.table:
        for name in chosen:
            tell(f"{'done' if work.path(name).exists() else 'MISSING':8} {name}")
    if not given.status:
        lines = table(work)
        (results / "table.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
        tell("\n".join(["", *lines]))
    return code


def _do(work: Work, chosen: Sequence[str]) -> int:
    """Do what is missing; return the exit code."""
    failed = False
    for name in chosen:
        if work.path(name).exists():
            continue
        tell(f"{name} ...")
        begun = time.monotonic()
        work.begin(name)
        try:
            PARTS[name](work)
        except (OutOfTime, KeyboardInterrupt) as error:
            why = "time is up" if isinstance(error, OutOfTime) else "stopped"
            tell(f"{why}: the same command resumes")
            return 3
        except Failed as error:
            tell(f"{name}: {error}")
            failed = True
        tell(f"{name}: {time.monotonic() - begun:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
