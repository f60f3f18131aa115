"""The script for machines with a GPU: that it resumes, and says what is missing; on a CPU here."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import on_a_gpu


class Done(NamedTuple):
    """What the script did."""

    code: int
    out: str


class Script:
    """Calls the script in this process, with the sizes of `--smoke`."""

    def __init__(
        self, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.results, self._monkeypatch, self._capsys = results, monkeypatch, capsys

    def __call__(self, *words: str) -> Done:
        arguments = ["on_a_gpu.py", str(self.results), "--smoke", *words]
        self._monkeypatch.setattr("sys.argv", arguments)
        code = on_a_gpu.main()
        return Done(code, self._capsys.readouterr().out)

    def write(self, part: str, value: object) -> None:
        """Write the result of a part."""
        self.results.mkdir(exist_ok=True)
        (self.results / f"{part}.json").write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Script:
    return Script(tmp_path / "results", monkeypatch, capsys)


def way(**changes: Any) -> dict[str, Any]:
    """Write a way as a bench does, as far as the table shows it."""
    return {
        "n": 24,
        "samples_per_s": 40.0,
        "mfu": 0.5,
        "wait_share": 0.01,
        "new_tokens": 2.0,
        "batch_size": 32,
        "memory_course": [100.0, 110.0, 111.0, 112.0],
        "device_mib_first": 900.0,
        "device_mib": 950.0,
        "attention": "flash",
    } | changes


LETTERS = {
    "ways": {"vipbench": way(), "official": way(n=6, samples_per_s=8.0)},
    "agreement": {"official": 6},
    "n_compared": 6,
    "floor": {"samples_per_s": 80.0, "peak": 7.98e14},
    "ratio_official": 5.0,
    "ratio_usual": None,
}


def test_what_is_done_is_not_done_again_and_what_is_missing_is_told(script: Script) -> None:
    script.write("letters", LETTERS)
    done = script("machine", "letters")
    assert done.code == 0
    assert "machine ..." in done.out
    assert "letters ..." not in done.out
    found = json.loads((script.results / "machine.json").read_text())
    assert found["versions"]["torch"]
    before = (script.results / "machine.json").stat().st_mtime_ns
    assert "machine ..." not in script("machine").out
    assert (script.results / "machine.json").stat().st_mtime_ns == before
    assert script("--status").out.splitlines() == [
        f"{'done' if name in ('machine', 'letters') else 'MISSING':8} {name}"
        for name in on_a_gpu.PARTS
    ]


def test_the_table_shows_what_was_found(script: Script) -> None:
    script.write("letters", LETTERS)
    script.write("equality", {"one at a time": {"n": 9, "equal": 8, "largest_shift": 0.25}})
    done = script("--table")
    assert (
        "| letters | vipbench | 24 | 40.0 | 50% | 1.0% | 2.0 | 32 |  | 100, 110, 112 | 900, 950 "
        "| flash |"
    ) in done.out
    assert "| letters | official | 6 | 8.0 |" in done.out
    assert "| 6 of 6 |" in done.out
    assert "letters: 5.00 x the official way, arithmetic alone 80.0 samples/s at 798" in done.out
    assert "| one at a time | 8 of 9 | 0.25 |" in done.out
    assert (script.results / "table.md").read_text().strip() == done.out.strip()


def test_when_time_is_up_nothing_begins(script: Script) -> None:
    done = script("--minutes", "0.1")
    assert done.code == 3
    assert "the same command resumes" in done.out
    assert "MISSING  machine" in done.out


def test_a_part_that_fails_leaves_its_log_and_is_missing(script: Script) -> None:
    (script.results / "letters.json.parts").mkdir(parents=True)
    (script.results / "letters.json.parts" / "mine.txt").write_text("mine")
    script.write("memory", LETTERS)
    done = script("letters", "memory")
    assert done.code == 1
    assert "done     memory" in done.out
    assert f"letters: exit 2: {script.results / 'letters.log'}" in done.out
    assert "is not the folder of a bench" in (script.results / "letters.log").read_text()


def test_packages_come_from_wheels(script: Script, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("thing/__init__.py", "")
    script("--status", "--wheels", str(tmp_path / "wheels"))
    assert (script.results / "site" / "thing" / "__init__.py").exists()


def test_answers_are_compared_by_name() -> None:
    def line(text: str, *logprobs: float) -> dict[str, Any]:
        return {"text": text, "option_logprobs": list(logprobs) or None}

    base = {("t", "s", "1"): line("A", -1.0, -2.0), ("t", "s", "2"): line("B")}
    other = {("t", "s", "2"): line("C"), ("t", "s", "1"): line("A", -1.5, -2.0)}
    found = on_a_gpu._compare(base, other)
    assert found == {"n": 2, "equal": 1, "largest_shift": 0.5}
    assert on_a_gpu._compare(base, {})["equal"] == 0


def test_a_mistyped_part_is_refused(script: Script) -> None:
    with pytest.raises(SystemExit):
        script("leters")
