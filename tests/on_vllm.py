"""The embedded checkpoint behind a server that is up already, such as vLLM, beside this process.

Not a test of the suite: `python tests/on_vllm.py URL NAME` asks the local runner (float32) and the
server 500 requests of the demo suite, in turn, so that what else the machine does slows both. It
prints samples/s of each round, how many answers are equal, and of those that differ what the local
runner's plain path says (`--path reference`). CONTRIBUTING.md, "Another server", says how vLLM
serves the checkpoint on a CPU.

Exit code 0: at least 99 of 100 answers are equal; 1: fewer; 2: something cannot be asked.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from vipbench.cli.printing import put, say
from vipbench.demo import embedded
from vipbench.environment import versions
from vipbench.errors import VipbenchError
from vipbench.run import loop
from vipbench.run.settings import RunSettings
from vipbench.runfolder.answers_file import read_responses
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import TrialId
from vipbench.runners.endpoint_options import EndpointOptions, parse_body

LEAST_EQUAL = 0.99
"""Share of answers; the rest may differ where two tokens are as likely but for rounding."""
Texts = Mapping[TrialId, str | None]


class Asked(NamedTuple):
    """What one run came to."""

    texts: Texts
    """Request -> its answer; None: it has failed."""
    rate: float
    """Answers a second, from the loaded model to the last one."""
    load: float
    """Load average before it."""
    image_size: int | None
    """Side in px of the fitted images."""


def main() -> int:
    """Ask both in turn, and print what differs; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="base URL of the server")
    parser.add_argument("name", help="of the model, as the server calls it")
    parser.add_argument("--limit", type=int, default=25, help="samples of each task and style")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1, help="processes of the local runner")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--extra-body", type=parse_body, help="as `vipbench run` takes it")
    given = parser.parse_args()
    try:
        return compare(given)
    except VipbenchError as error:
        say(f"error: {error}")
        return 2


def compare(given: argparse.Namespace) -> int:
    """Ask in rounds; VipbenchError where one of the two cannot be asked."""
    with tempfile.TemporaryDirectory(prefix="vipbench-served-") as scratch:
        here, there = [], []
        for number in range(given.rounds):
            here.append(ask_here(given, Path(scratch) / f"here-{number}", workers=given.workers))
            size = here[0].image_size
            there.append(ask_there(given, size, Path(scratch) / f"there-{number}"))
        plain = ask_here(given, Path(scratch) / "plain", path="reference").texts
    put(f"{describe_server(given.url)}; {describe_this()}")
    put_rates(here, there)
    return put_differences(here, there, plain)


def ask_here(given: argparse.Namespace, out: Path, **options: Any) -> Asked:
    """Ask the local runner, in float32."""
    return ask(given, out, model=str(embedded.CHECKPOINT), dtype="float32", **options)


def ask_there(given: argparse.Namespace, size: int | None, out: Path) -> Asked:
    """Ask the server, with images of the same pixels."""
    endpoint = EndpointOptions(
        base_url=given.url,
        max_side=size,
        concurrency=given.concurrency,
        extra_body=given.extra_body,
        tries=2,
    )
    return ask(given, out, runner="openai", model=given.name, endpoint=endpoint)


def ask(given: argparse.Namespace, out: Path, **options: Any) -> Asked:
    """Ask the demo suite."""
    load = os.getloadavg()[0]
    common = {"suite": "demo", "data": embedded.benchmark(), "limit": given.limit, "fit": "pad"}
    results = loop.run(RunSettings.model_validate(common | options | {"out": out}))
    times = results.manifest.times
    texts = {name: line.text for name, line in read_responses(results.path / RESPONSES).items()}
    size = results.manifest.image_size
    return Asked(texts, times.n_answered / times.generate, load, size)


def describe_server(url: str) -> str:
    """Return what vLLM says of itself, else the address."""
    root = httpx2.URL(url).copy_with(path="/version", query=None)
    try:
        return f"vLLM {httpx2.get(root, trust_env=False).json()['version']}"
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return url


def describe_this() -> str:
    """Return the versions of this process, and how many cores it may use."""
    listed = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{listed}; {os.cpu_count()} cores"


def put_rates(here: Sequence[Asked], there: Sequence[Asked]) -> None:
    """Print how fast each round was, and the median ratio."""
    ratios = []
    for number, (local, served) in enumerate(zip(here, there, strict=True), 1):
        ratios.append(served.rate / local.rate)
        put(
            f"round {number}: {local.rate:.0f} samples/s here (load average {local.load:.1f}), "
            f"{served.rate:.0f} there (load average {served.load:.1f}): {ratios[-1]:.2f} x"
        )
    put(f"median: {statistics.median(ratios):.2f} x")


def put_differences(here: Sequence[Asked], there: Sequence[Asked], plain: Texts) -> int:
    """Print how many answers of the last round are equal, and those that are not."""
    expected, found = here[-1].texts, there[-1].texts
    for side, rounds in (("here", here), ("there", there)):
        moved = sum(len({one.texts[name] for one in rounds}) > 1 for name in plain)
        put(f"{moved:,} of {len(plain):,} answers {side} differ between rounds")
    equal = [name for name in expected if found[name] == expected[name]]
    put(f"{len(equal):,} of {len(expected):,} answers are equal")
    put(f"{sum(plain[n] == expected[n] for n in plain):,} are equal here and by `--path reference`")
    for name in sorted(expected.keys() - set(equal)):
        put(
            f"{' '.join(name)}: {expected[name]!r} here, {plain[name]!r} by `--path reference`, "
            f"{found[name]!r} there"
        )
    return 0 if len(equal) >= LEAST_EQUAL * len(expected) else 1


if __name__ == "__main__":
    sys.exit(main())
