"""Every command that reads a run refuses a file that is not what the run has written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Vipbench
from tests.runs import Brightness, make_task, settings
from vipbench.run.loop import run
from vipbench.run.score import score
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.shard import Shard

ASKED = (REQUESTS, RESPONSES)
FILES = (*ASKED, SCORES, SUMMARY)
COMMAND = (
    *("run", "--tasks", "own", "--include", "made", "--runner", "tests.runs:Brightness"),
    *("--batch-size", "4", "-o", "RUN"),
)
READERS: dict[str, tuple[str, ...]] = {
    "compare": ("compare", "whole", "RUN", "-o", "out"),
    "gate": ("gate", "RUN", "whole"),
    "report": ("report", "RUN", "-o", "out"),
    "sweep": ("sweep", "RUN", "-o", "out"),
    "leaderboard": ("leaderboard", "whole", "RUN", "-o", "out"),
    "reproduce": ("reproduce", "RUN"),
    "show": ("show", "RUN", "q0"),
    "export": ("export", "RUN", "csv", "-o", "out.csv"),
    "run": COMMAND,
    "score": ("score", "RUN"),
    "dry run": (*COMMAND, "--dry-run"),
}
MAKE_TABLES = ("score", "dry run")
"""What does not look at scores and summary."""


class Dark(Brightness):
    """Answers as another model."""

    def generate(self, requests: Any, images: Any) -> Any:
        return super().generate(requests, [255 - image for image in images])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a task `made`, its finished run `whole`, and a run of another model."""
    folder = tmp_path_factory.mktemp("tampered")
    make_task(folder / "made")
    run(settings(folder / "made", out=folder / "whole"))
    run(settings(folder / "made", out=folder / "other", runner="tests.cli.test_tampered:Dark"))
    return folder


@pytest.fixture
def here(vipbench: Vipbench, made: Path) -> Path:
    """Work in a copy of them, in which `RUN` is to be tampered with."""
    shutil.copytree(made, ".", dirs_exist_ok=True)
    return Path(shutil.copytree("whole", "RUN"))


def edited(folder: Path, name: str) -> None:
    """Change one value, so that each line is still one of a run."""
    old, new = {
        REQUESTS: (b'"target":"A"', b'"target":"B"'),
        RESPONSES: (b'"text":"', b'"text":"x'),
        SCORES: (b'"value":0.0', b'"value":1.0'),
        SUMMARY: (b'"n_errors": 0', b'"n_errors": 1'),
    }[name]
    content = (folder / name).read_bytes()
    assert old in content
    (folder / name).write_bytes(content.replace(old, new, 1))


def truncated(folder: Path, name: str) -> None:
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    (folder / name).write_bytes(b"".join(lines[:-1]))


def swapped(folder: Path, name: str) -> None:
    shutil.copy(Path("other", name), folder / name)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(vipbench: Vipbench, here: Path, name: str, reader: str) -> None:
    for tamper in (edited, truncated, swapped):
        if tamper is swapped and name == REQUESTS:
            continue  # two models are asked the same
        for file in FILES:
            shutil.copy(Path("whole", file), here)
        tamper(here, name)
        ran = vipbench(*READERS[reader])
        if reader in MAKE_TABLES and name not in ASKED:
            assert ran.code == 0, (tamper, ran.err)
            continue
        assert (ran.code, ran.out) == (2, ""), (tamper, ran)
        assert f"RUN/{name}" in ran.err.splitlines()[-1]
        assert "Traceback" not in ran.err


def test_score_makes_tables_again(vipbench: Vipbench, here: Path) -> None:
    for name in (SCORES, SUMMARY):
        edited(here, name)
        assert vipbench("score", here).code == 0
        assert (here / name).read_bytes() == Path("whole", name).read_bytes()
        assert vipbench("leaderboard", here, "-o", "out").code == 0


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("tamper", [edited, truncated])
def test_merge_refuses_a_changed_shard(
    vipbench: Vipbench, here: Path, name: str, tamper: Callable[[Path, str], None]
) -> None:
    shards = [
        run(settings(Path("made"), shard=Shard(index=i, count=2), out=Path("out"))).path
        for i in (1, 2)
    ]
    tamper(shards[1], name)
    ran = vipbench("merge", *shards, "-o", "merged")
    assert (ran.code, ran.out) == (2, "")
    assert f"{shards[1]}/{name}" in ran.err
    assert not Path("merged").exists()


def change(path: Path, number: int, **fields: object) -> None:
    """Change a line; a value that is ... is left out."""
    lines = path.read_text().splitlines()
    lines[number - 1] = json.dumps(json.loads(lines[number - 1]) | fields)
    path.write_text("\n".join(lines) + "\n")


def add(path: Path, number: int, **fields: object) -> None:
    """Add a line that is like another, but for some fields."""
    line = json.loads(path.read_text().splitlines()[number - 1]) | fields
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


LINES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "twice, another text": (
        RESPONSES,
        lambda path: add(path, 3, text="another"),
        ":21: answers own demo q7 again, with another text than line 3",
    ),
    "twice, the same": (
        RESPONSES,
        lambda path: add(path, 3),
        ":21: answers own demo q7 again, with the same text as line 3",
    ),
    "another key": (RESPONSES, lambda path: change(path, 4, key="0" * 64), ":4: holds an answer"),
    "another sample": (RESPONSES, lambda path: change(path, 4, id="q99"), ":4: holds an answer"),
    "no text": (RESPONSES, lambda path: change(path, 4, text=None), ":4: the answer to own demo"),
    "no JSON": (
        RESPONSES,
        lambda path: path.write_text("x\n" + path.read_text()),
        ":1: the line: broken",
    ),
    "a score of 2": (SCORES, lambda path: change(path, 5, value=2.0), ":5: value = "),
    "a score below 0": (SCORES, lambda path: change(path, 5, value=-0.5), ":5: value = "),
    "a score of NaN": (SCORES, lambda path: change(path, 5, value=float("nan")), ":5: value = "),
    "no score": (SCORES, lambda path: change(path, 5, value=None), ":5: own demo q4 has no score"),
    "a score twice": (SCORES, lambda path: add(path, 5), ":21: own demo q4 is scored for the "),
    "a strange score": (SCORES, lambda path: change(path, 5, id="q99"), ":5: own demo q99 is not"),
    "a strange style": (SCORES, lambda path: change(path, 5, style="x"), ":5: own x q4 is not"),
    "a strange task": (SCORES, lambda path: change(path, 5, task="x"), ":5: task 'x' is not in"),
    "another target": (SCORES, lambda path: change(path, 5, target="Z"), ":5: target, group or"),
    "a request of another task": (
        REQUESTS,
        lambda path: change(path, 2, task="x"),
        ":2: task 'x' is not in manifest.json",
    ),
    "a request of another style": (
        REQUESTS,
        lambda path: change(path, 2, style="x"),
        ":2: style 'x' is not in manifest.json",
    ),
    "a request twice": (REQUESTS, lambda path: add(path, 2), ":21: own demo q1 stands here for"),
    "another target of a request": (
        REQUESTS,
        lambda path: change(path, 2, target="Z"),
        ": its requests of own are not those",
    ),
    "a score is missing": (
        SCORES,
        lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[1:])),
        ": holds 19 scores of own under demo by stated, but requests.jsonl has 20",
    ),
    "an answer is missing": (
        RESPONSES,
        lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[1:])),
        ": 1 of 20 requests have no answer",
    ),
}


def as_version_1(folder: Path) -> None:
    """Make a run one that version 1 has written."""
    manifest = manifests.read(folder).model_copy(update={"format": 1, "files": {}})
    manifests.write(folder, manifest)


@pytest.mark.parametrize("case", LINES)
@pytest.mark.parametrize("is_old", [False, True], ids=["version 2", "version 1"])
def test_the_line_is_named(vipbench: Vipbench, here: Path, case: str, is_old: bool) -> None:
    if is_old:
        as_version_1(here)
    name, tamper, said = LINES[case]
    tamper(here / name)
    for reader in ("compare", "leaderboard", "show", "report"):
        ran = vipbench(*READERS[reader])
        assert (ran.code, ran.out) == (2, "")
        if "missing" not in case or is_old or name == SCORES:
            assert f"RUN/{name}{said}" in ran.err, reader
        assert ran.err.count("was written before files were bound") == is_old


def test_an_old_summary_has_to_follow_from_the_scores(vipbench: Vipbench, here: Path) -> None:
    as_version_1(here)
    rows = json.loads((here / SUMMARY).read_text())
    rows[0]["accuracy"] += 0.05
    (here / SUMMARY).write_text(json.dumps(rows))
    ran = vipbench("leaderboard", here, "-o", "out")
    assert ran.code == 2
    assert (
        "RUN/summary.json: what it says of own under demo by stated (all) does not follow from"
        in ran.err
    )
    score(here)
    assert vipbench("leaderboard", here, "-o", "out").code == 0


def test_an_old_run_stays_one(vipbench: Vipbench, here: Path) -> None:
    as_version_1(here)
    before = (here / MANIFEST).read_bytes()
    assert b'"format"' not in before
    for reader in ("score", "run", "compare"):
        assert vipbench(*READERS[reader]).code == 0
        assert (here / MANIFEST).read_bytes() == before
    assert vipbench("score", here, "--metric", "text_match").code == 0
    assert manifests.read(here).format == 1


def test_a_format_of_later_is_refused(vipbench: Vipbench, here: Path) -> None:
    content = json.loads((here / MANIFEST).read_text())
    for version in (3, 0, "2", None):
        (here / MANIFEST).write_text(json.dumps(content | {"format": version}))
        ran = vipbench("leaderboard", here, "-o", "out")
        assert ran.code == 2
        assert f"RUN/manifest.json: format {version!r} is unknown · expected 2 or less" in ran.err


def test_what_was_stopped_while_it_scored_is_said(vipbench: Vipbench, here: Path) -> None:
    manifest = manifests.read(here)
    files = {name: entry for name, entry in manifest.files.items() if name in ASKED}
    manifests.write(here, manifest.model_copy(update={"files": files}))
    ran = vipbench("leaderboard", here, "-o", "out")
    assert ran.code == 2
    assert "was stopped while it scored · `vipbench score " in ran.err
    assert vipbench("score", here).code == 0
    assert vipbench("leaderboard", here, "-o", "out").code == 0
