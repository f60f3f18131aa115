"""Test what depends on transformers with the lowest versions supported: `make test-versions`.

Usage: `PYTHONPATH=FOLDER python tests/versions/lowest.py [OPTION OF PYTEST ...]`, where FOLDER has
what `lowest.txt` lists. Runs of the embedded checkpoint have to equal those with the pinned
versions, byte for byte; then the tests have to pass. This file is a plugin of pytest as well, which
looks at what is imported there.
"""

import os
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from vipbench import demo
from vipbench.runfolder import folder as store
from vipbench.runfolder import manifest

REPO = Path(__file__).resolve().parents[2]


def read_pins(path: Path) -> dict[str, str]:
    """Read versions by name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


LOWEST = read_pins(REPO / "tests" / "versions" / "lowest.txt")
EXPECTED = [
    f"transformers {pins['transformers']}" for pins in (LOWEST, read_pins(REPO / "constraints.txt"))
]
TESTS = (
    "tests/runners",
    "tests/test_certify.py",
    "tests/engine/test_batches.py",
    "tests/data_package/fetching/test_hub.py",
    "tests/engine/test_processes.py::test_two_workers_with_the_embedded_checkpoint",
    "tests/cli/test_convert.py",
)
RUNS = (
    ("--limit", "20"),
    ("--limit", "4", "--path", "reference"),
    ("--limit", "4", "--runner", "hf", "--suite", "demo", "--model", str(demo.CHECKPOINT)),
)
"""What is run of the demo suite with both."""
FILES = (store.REQUESTS, store.RESPONSES, store.SCORES, store.SUMMARY)


def say(message: str) -> None:
    """Print a line at once, also where the output goes to a file."""
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


def check_imports() -> None:
    """Exit where anything else is imported than what is to be tested."""
    for name, expected in LOWEST.items():
        found = import_module(name)
        known = getattr(found, "__version__", version(name))
        say(f"{name} {known}: {Path(str(found.__file__)).parent}")
        if known != expected:
            sys.exit(f"{name} {known} is imported · expected {expected}, as lowest.txt says")
    say(f"torch {version('torch')}, Python {sys.version.split()[0]}")


def pytest_configure() -> None:
    """Look at what the tests import."""
    check_imports()


def compare_runs(folder: Path, words: tuple[str, ...]) -> None:
    """Run with the lowest versions and with the pinned ones; exit where files differ."""
    told = []
    for name, path in (("lowest", os.environ["PYTHONPATH"]), ("pinned", "")):
        program = [sys.executable, "-c", "from vipbench.cli import main; main()", "run"]
        done = subprocess.run(
            [*program, "--device", "cpu", "-o", str(folder / name), *words],
            cwd=REPO,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(done.stderr)
        told.append(f"transformers {manifest.read(folder / name).versions['transformers']}")
    say(f"vipbench run {' '.join(words)}: {' and '.join(told)}")
    if told != EXPECTED:
        sys.exit(f"expected {' and '.join(EXPECTED)}")
    differing = [
        name
        for name in FILES
        if (folder / "lowest" / name).read_bytes() != (folder / "pinned" / name).read_bytes()
    ]
    if differing:
        sys.exit(f"differing between these versions: {', '.join(differing)}")
    say(f"equal: {', '.join(FILES)}")


def main() -> None:
    """Check what is imported, compare the runs, run the tests."""
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    check_imports()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["VIPBENCH_CACHE"] = scratch
        for number, words in enumerate(RUNS):
            compare_runs(Path(scratch, str(number)), words)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.versions.lowest"]
    sys.exit(subprocess.run([*command, *TESTS, *sys.argv[1:]], cwd=REPO).returncode)


if __name__ == "__main__":
    main()
