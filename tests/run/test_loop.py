import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.runs import INTERRUPT_AT, KILL_AT, make_joint, make_task, settings
from vipbench.console import Console
from vipbench.errors import RunError, RunInterrupted, RunnerError, TaskError, TooManyErrors
from vipbench.files import read_lines
from vipbench.run import score as run_score
from vipbench.run.dry_run import dry_run
from vipbench.run.loop import run
from vipbench.run.score import Results, score
from vipbench.run.seeds import run_seeds
from vipbench.run.settings import VIPLLAVA, RunSettings
from vipbench.runfolder import answers_file, summary, trials_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import FILES, MANIFEST, REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.summary import ALL, Row
from vipbench.runners import contract
from vipbench.runners.checkpoints import sizing
from vipbench.runners.contract import Runner, RunnerSettings
from vipbench.schema import DataSource

DATA = Path(__file__).parent.parent / "data"
SCORED = (SCORES, SUMMARY)


def files(folder: Path) -> dict[str, bytes]:
    """Return the files that must not depend on how a run came about."""
    return {name: (folder / name).read_bytes() for name in (REQUESTS, *SCORED)}


def rows(results: Results, group: str = ALL) -> dict[tuple[str, str], Row]:
    return {(row.task, row.style): row for row in results.rows if row.group == group}


def said(folder: Path, **fields: object) -> tuple[Results, list[str]]:
    messages: list[str] = []
    return run(settings(folder, **fields), console=Console(messages.append)), messages


# --- from beginning to end


def test_oracle_is_right_on_every_benchmark_and_layout(tmp_path: Path) -> None:
    keys = ("visual7w", "pointqa", "vcr", "vip_bench")
    data = {key: DataSource(DATA / key, DATA / key) for key in keys}
    names = (
        "visual7w_pointing",
        "pointqa_looktwice",
        "pointqa_looktwice_super",
        "pointqa_looktwice_object",
        "pointqa_local",
        "vcr_q2ar",
        "vcr_qar_turns",
        "vip_bench_bbox",
        "vip_bench_human",
        "vip_bench_drawn",
    )
    results = run(RunSettings(tasks=names, data=data, runner="oracle", out=tmp_path / "run"))
    found = {row.task: row for row in results.rows if row.group == ALL}
    assert set(found) == {*names, "vcr_qa", "vcr_qar"}
    assert {row.accuracy for row in found.values()} == {1.0}
    assert {row.n_errors + row.n_unparsed for row in found.values()} == {0}
    assert {row.metric for row in found.values() if row.task.startswith("vip_bench")} == {
        "exact_proxy"
    }


def test_constant_gives_what_the_rows_say(tmp_path: Path) -> None:
    make_task(tmp_path, n=20)
    results = run(settings(tmp_path, runner="constant", styles="demo,none"))
    questions = map(json.loads, (tmp_path / "own.jsonl").read_text().splitlines())
    right = [question["answer"] == "A" for question in questions]
    row = rows(results)["own", "demo"]
    assert row.accuracy == sum(right) / 20
    assert (row.n, row.n_expected, row.n_clusters) == (20, 20, 5)
    assert (row.model, row.prompt_format, row.decoding, row.dtype) == ("constant", None, None, None)
    assert None not in (row.stderr, row.ci_low, row.ci_high)
    even = rows(results, "parity=even")["own", "demo"]
    assert (even.n, even.accuracy) == (10, sum(right[::2]) / 10)
    assert rows(results, "n_marks=1")["own", "demo"].n == 20
    assert json.loads((results.path / SUMMARY).read_text()) == [
        row.model_dump(mode="json") for row in results.rows
    ]


def test_the_frames_are_the_files(tmp_path: Path) -> None:
    results = run(settings(make_task(tmp_path)))
    assert list(results.summary.columns) == list(Row.model_fields)
    assert len(results.summary) == len(results.rows)
    assert len(results.scores) == 20
    assert results.scores["value"].mean() == rows(results)["own", "demo"].accuracy
    assert results.path == tmp_path / "run"


def test_the_manifest_tells_what_was_run(tmp_path: Path) -> None:
    make_task(tmp_path, n=10)
    Image.new("L", (48, 32), 90).save(tmp_path / "0.png")
    results = run(settings(tmp_path, styles="mask:red,given"))
    manifest = manifests.read(tmp_path / "run")
    assert manifest == results.manifest
    assert manifest.identity.suite == "custom"
    assert manifest.identity.runner == "tests.runs:Brightness"
    assert manifest.settings_digest == manifests.settings_digest(manifest.identity.settings)
    task = manifest.tasks["own"]
    assert (task.n_samples, task.headline, task.fit) == (10, "mask:red", "pad")
    assert (task.image_modes, task.boxes_for_polygons) == ({"L": 1}, 10)
    assert manifest.notes == ("own: style given left out, since its images hold no marks",)
    assert (manifest.batch_size, manifest.n_requests, manifest.n_starts) == (4, 10, 1)
    assert manifest.finished is not None
    assert manifest.times.total > 0
    assert manifest.times.n_answered == 10
    assert manifest.peak_memory_mib > 10


def test_a_default_run_folder_is_named_by_what_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks")
    first = run(settings(tmp_path / "tasks", out=None))
    again = run(settings(tmp_path / "tasks", out=None))
    other = run(settings(tmp_path / "tasks", out=None, seed=1))
    assert first.path == again.path
    assert first.path.parent == Path("results/runs")
    assert first.path.name.startswith("custom-tests.runs-Brightness-")
    assert other.path != first.path
    assert sorted(path.name for path in Path("results/runs").iterdir()) == sorted(
        (first.path.name, other.path.name)
    )


def test_a_subset_is_marked_as_one(tmp_path: Path) -> None:
    results = run(settings(make_task(tmp_path), limit=6))
    row = rows(results)["own", "demo"]
    assert (row.n, row.n_expected, row.n_errors) == (6, 20, 0)
    chosen = run(settings(tmp_path, ids=("q3", "q1"), out=tmp_path / "ids"))
    assert list(chosen.scores["id"]) == ["q1", "q3"]
    assert rows(chosen)["own", "demo"].n_expected == 20


def test_a_joint_task_is_right_where_both_parts_are(tmp_path: Path) -> None:
    make_joint(tmp_path)
    results = run(settings(tmp_path, tasks=("both",), styles="demo,none"))
    frame = results.scores
    names = zip(frame["task"], frame["style"], frame["id"], strict=True)
    scores = dict(zip(names, frame["value"], strict=True))
    for style in ("demo", "none"):
        expected = [
            min(scores["first", style, f"q{i}"], scores["second", style, f"q{i}"])
            for i in range(12)
        ]
        assert [scores["both", style, f"q{i}"] for i in range(12)] == expected
        row = rows(results)["both", style]
        assert row.accuracy == sum(expected) / 12
        assert (row.n, row.n_expected) == (12, 12)
    assert {row.task for row in results.rows} == {"first", "second", "both"}
    line = next(
        line for line in read_lines(results.path / SCORES, ScoreLine) if line.task == "both"
    )
    assert len(line.target.split(", ")) == 2
    # The parts have boxes of their own, so that only what they share is told apart.
    assert line.tags["parity"] == ("even",)
    assert line.tags["n_marks"] == ("1",)


def test_an_error_in_one_part_is_an_error_of_the_joint_task(tmp_path: Path) -> None:
    make_joint(tmp_path)
    path = tmp_path / "second.jsonl"
    lines = path.read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {"image": "gone.png"})
    path.write_text("\n".join(lines) + "\n")
    results = run(settings(tmp_path, tasks=("both",), max_errors=0.5))
    found = {row.task: (row.n, row.n_errors) for row in results.rows if row.group == ALL}
    assert found == {"first": (12, 0), "second": (11, 1), "both": (11, 1)}


# --- stopped and gone on with


def test_killed_at_every_batch_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    make_task(tmp_path)
    whole = run(settings(tmp_path, out=tmp_path / "whole", styles="demo,blind"))
    n_batches = 10
    for kill_at in (0, 1, 5, n_batches - 1):
        folder = tmp_path / f"killed-{kill_at}"
        program = (
            "import sys\n"
            "from pathlib import Path\n"
            "from tests.runs import settings\n"
            "from vipbench.run.loop import run\n"
            "run(settings(Path(sys.argv[1]), out=Path(sys.argv[2]), styles='demo,blind'))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(folder)],
            cwd=Path(__file__).parent.parent.parent,
            env=os.environ | {KILL_AT: str(kill_at)},
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        assert not (folder / SUMMARY).exists()
        with pytest.raises(RunError, match="have no answer yet"):
            score(folder)
        results, messages = said(tmp_path, out=folder, styles="demo,blind")
        assert results.n_answered == 40 - 4 * kill_at
        assert messages == [f"{folder}: resumes; {kill_at} of 10 batches are answered"]
        assert files(folder) == files(whole.path)
        assert results.manifest.n_starts == 2
        assert list(folder.parent.glob(".requests*")) == []
        assert [path for path in folder.iterdir() if path.name not in FILES] == []


def test_torn_in_the_middle_of_a_line_the_batch_is_redone(tmp_path: Path) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    folder = tmp_path / "run"
    expected, responses = files(folder), (folder / RESPONSES).read_bytes()
    for share in (0.1, 0.5, 0.93):
        (folder / RESPONSES).write_bytes(responses[: int(len(responses) * share)])
        for name in SCORED:
            (folder / name).unlink()
        manifest = manifests.read(folder)
        manifests.write(folder, manifest.model_copy(update={"finished": None}))
        run(settings(tmp_path))
        assert files(folder) == expected
        assert (folder / RESPONSES).read_bytes() == responses


def test_killed_between_answers_and_scores_nothing_is_asked_again(tmp_path: Path) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    expected = files(tmp_path / "run")
    (tmp_path / "run" / SUMMARY).unlink()
    results = run(settings(tmp_path))
    assert results.n_answered == 0
    assert files(tmp_path / "run") == expected


@pytest.mark.parametrize("kept", [(), (RESPONSES,)])
def test_killed_between_manifest_and_requests_it_goes_on(
    tmp_path: Path, kept: tuple[str, ...]
) -> None:
    make_task(tmp_path)
    run(settings(tmp_path, out=tmp_path / "whole"))
    (tmp_path / "run").mkdir()
    manifest = json.loads((tmp_path / "whole" / MANIFEST).read_text())
    (tmp_path / "run" / MANIFEST).write_text(json.dumps(manifest | {"finished": None}))
    for name in kept:
        (tmp_path / "run" / name).write_text("")
    results, messages = said(tmp_path)
    assert results.n_answered == 20
    assert messages == [f"{tmp_path / 'run'}: resumes; 0 of 5 batches are answered"]
    assert files(tmp_path / "run") == files(tmp_path / "whole")


@pytest.mark.parametrize("name", FILES)
def test_files_of_somebody_else_are_left_alone(tmp_path: Path, name: str) -> None:
    make_task(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text('{"my": "data"}\n')
    with pytest.raises(RunError, match=r"another -o|manifest of"):
        run(settings(tmp_path))
    if name == MANIFEST:
        with pytest.raises(RunError, match="is not the manifest of a run"):
            run(settings(tmp_path, fresh=True))
    assert [path.read_text() for path in (tmp_path / "run").iterdir()] == ['{"my": "data"}\n']


def test_what_a_killed_process_has_left_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks")
    own, shared = Path("own"), Path("results/runs")
    for folder in (own, shared):
        folder.mkdir(parents=True)
        for name in (".requests-1-1.part", ".requests-2-2.part"):
            (folder / name).write_text("")
        os.utime(folder / ".requests-1-1.part", (1, 1))
    run(settings(tmp_path / "tasks", out=own))
    assert list(own.glob(".*")) == []
    run(settings(tmp_path / "tasks", out=None))
    # Another process may be at work there.
    assert [path.name for path in shared.glob(".*")] == [".requests-2-2.part"]


def test_requests_that_are_not_those_of_the_run_are_not_scored(tmp_path: Path) -> None:
    make_task(tmp_path)
    folder = run(settings(tmp_path)).path
    expected = files(folder)
    for lines in (b"", b"".join(expected[REQUESTS].splitlines(keepends=True)[1:])):
        (folder / REQUESTS).write_bytes(lines)
        with pytest.raises(RunError, match="does not hold the 20 requests"):
            score(folder)
    (folder / REQUESTS).unlink()
    assert run(settings(tmp_path)).n_answered == 0
    assert files(folder) == expected


def test_ctrl_c_keeps_what_is_answered_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    monkeypatch.setenv(INTERRUPT_AT, "2")
    with pytest.raises(RunInterrupted, match="same command to resume") as caught:
        run(settings(tmp_path))
    assert caught.value.exit_code == 130
    monkeypatch.delenv(INTERRUPT_AT)
    results, messages = said(tmp_path)
    assert messages == [f"{tmp_path / 'run'}: resumes; 2 of 5 batches are answered"]
    assert results.n_answered == 12
    whole = run(settings(tmp_path, out=tmp_path / "whole"))
    assert files(whole.path) == files(results.path)


def test_a_finished_run_is_told_again_without_a_model(tmp_path: Path) -> None:
    make_task(tmp_path)
    first = run(settings(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in first.path.iterdir()}
    again, messages = said(tmp_path)
    assert (again.n_answered, again.rows) == (0, first.rows)
    assert "was already finished" in messages[0]
    assert {path: path.stat().st_mtime_ns for path in first.path.iterdir()} == before


def test_fresh_asks_again_and_leaves_other_files_alone(tmp_path: Path) -> None:
    make_task(tmp_path)
    first = run(settings(tmp_path))
    (first.path / "notes.txt").write_text("mine")
    expected = files(first.path)
    again = run(settings(tmp_path, fresh=True))
    assert again.n_answered == 20
    assert files(first.path) == expected
    assert (first.path / "notes.txt").read_text() == "mine"
    other = run(settings(tmp_path, fresh=True, seed=5))
    assert other.manifest.identity.seed == 5


def test_a_run_keeps_the_batches_of_its_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    monkeypatch.setenv(INTERRUPT_AT, "1")
    with pytest.raises(RunInterrupted):
        run(settings(tmp_path))
    monkeypatch.delenv(INTERRUPT_AT)
    results, messages = said(tmp_path, batch_size=7)
    assert any(
        "keeps the batches of 4 requests of its first start, not 7" in each for each in messages
    )
    assert results.manifest.batch_size == 4
    batches = [
        line.batch for line in answers_file.read_responses(results.path / RESPONSES).values()
    ]
    assert batches == [batch for batch in range(5) for _ in range(4)]


def test_the_batch_size_moves_no_score(tmp_path: Path) -> None:
    make_task(tmp_path)
    found = [
        files(run(settings(tmp_path, batch_size=size, out=tmp_path / str(size))).path)
        for size in (1, 3, "auto")
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"seed": 1}, "seed: 0 → 1"),
        ({"limit": 5}, "limit: none → 5"),
        ({"styles": "demo,none"}, "styles.own.none"),
        ({"fit": "crop"}, "fits.own: pad → crop"),
        ({"runner": "constant"}, "runner: tests.runs:Brightness → constant"),
        ({"model": "another"}, "settings.weights"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_run_in_the_same_folder_is_refused(
    tmp_path: Path, fields: dict[str, object], shown: str
) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    expected = files(tmp_path / "run")
    for task in (run, dry_run):
        with pytest.raises(RunError, match="holds another run") as caught:
            task(settings(tmp_path, **fields))
        assert shown in str(caught.value)
    assert files(tmp_path / "run") == expected


def test_other_data_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    Image.new("RGB", (48, 32), (1, 2, 3)).save(tmp_path / "0.png")
    with pytest.raises(RunError, match=r"requests.own: \w{8} → \w{8}"):
        run(settings(tmp_path))


def test_answers_of_nobody_knows_what_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    (tmp_path / "run" / MANIFEST).unlink()
    with pytest.raises(RunError, match=r"without manifest\.json"):
        run(settings(tmp_path))
    assert run(settings(tmp_path, fresh=True)).n_answered == 20


# --- what goes wrong


def spoil(folder: Path, number: int) -> None:
    """Cut an image in the middle: its header is whole, decoding fails."""
    whole = (folder / f"{number}.png").read_bytes()
    (folder / f"{number}.png").write_bytes(whole[: len(whole) * 2 // 3])


def test_too_many_missing_images_end_it_before_the_model_is_loaded(tmp_path: Path) -> None:
    make_task(tmp_path)
    (tmp_path / "0.png").unlink()
    with pytest.raises(TooManyErrors, match=r"own: 4 of 20 samples .*4 missing_image.*0.png") as e:
        run(settings(tmp_path))
    assert e.value.exit_code == 3
    assert not (tmp_path / "run").exists()
    results = run(settings(tmp_path, max_errors=0.2))
    row = rows(results)["own", "demo"]
    assert (row.n, row.n_expected, row.n_errors) == (16, 20, 4)
    assert results.scores["value"].isna().sum() == 4


def test_too_many_broken_images_end_it_when_all_is_written(tmp_path: Path) -> None:
    make_task(tmp_path)
    spoil(tmp_path, 0)
    with pytest.raises(TooManyErrors, match=r"own under demo: 4 of 20 .*0.png"):
        run(settings(tmp_path))
    lines = list(read_lines(tmp_path / "run" / SCORES, ScoreLine))
    assert sum(line.error is not None for line in lines) == 4
    assert sum(line.value is not None for line in lines) == 16
    # The finished run is told again, and fails again, unless more errors are allowed.
    with pytest.raises(TooManyErrors):
        run(settings(tmp_path))
    results = run(settings(tmp_path, max_errors=0.2))
    assert results.n_answered == 0
    assert rows(results)["own", "demo"].n_errors == 4


def test_a_run_of_nothing_but_errors_ends(tmp_path: Path) -> None:
    make_task(tmp_path)
    for image in tmp_path.glob("*.png"):
        image.unlink()
    for _ in range(2):
        results = run(settings(tmp_path, max_errors=1))
        row = rows(results)["own", "demo"]
        assert (row.n, row.n_errors, row.accuracy) == (0, 20, None)
    assert results.manifest.n_starts == 1


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"runner": "oracel"}, RunnerError, "did you mean 'oracle'"),
        ({"runner": "oracle", "model": "x"}, RunnerError, "takes no model"),
        ({"runner": "vipllava"}, RunnerError, "no model given"),
        ({"runner": "vipllava", "model": "no/such/folder"}, RunnerError, "does not exist"),
        ({"runner": "no.module:Class"}, RunnerError, r"'no\.module' cannot be imported"),
        ({"dtype": "flaot16"}, RunnerError, "did you mean 'float16'"),
        ({"device": "cuda:x"}, RunnerError, "device 'cuda:x' is not known"),
        ({"tasks": ("owm",)}, TaskError, "did you mean 'own'"),
    ],
)
def test_mistakes_are_found_before_data_are_read_and_leave_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks")
    (tmp_path / "tasks" / "own.jsonl").write_text("{")
    for out in (tmp_path / "new" / "run", None):
        with pytest.raises(error, match=message):
            run(settings(tmp_path / "tasks", **({"out": out} | fields)))
    assert [path.name for path in tmp_path.iterdir()] == ["tasks"]


BROKEN_RUNNERS = """
from vipbench.errors import RunnerError

class Refusing:
    image_size = 8
    def __init__(self, model):
        raise RunnerError("runner: no licence was found")
    def generate(self, requests, images):
        return []

class Buggy(Refusing):
    def __init__(self, model):
        raise ZeroDivisionError

class WithoutModel(Refusing):
    def __init__(self):
        pass
"""


@pytest.fixture
def broken_runners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "broken_runners.py").write_text(BROKEN_RUNNERS)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.usefixtures("broken_runners")
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Refusing", RunnerError, "no licence was found"),
        ("WithoutModel", RunnerError, "cannot be built with the text of --model"),
        ("Buggy", ZeroDivisionError, "^$"),
    ],
)
def test_a_runner_that_cannot_be_built_leaves_nothing_behind(
    tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    make_task(tmp_path / "tasks")
    with pytest.raises(error, match=message):
        run(settings(tmp_path / "tasks", runner=f"broken_runners:{name}", out=tmp_path / "run"))
    assert {path.name for path in tmp_path.iterdir()} == {"plugins", "tasks"}


@pytest.mark.usefixtures("broken_runners")
def test_a_runner_is_not_built_for_data_that_cannot_be_asked(tmp_path: Path) -> None:
    make_task(tmp_path / "tasks")
    for image in (tmp_path / "tasks").glob("*.png"):
        image.unlink()
    with pytest.raises(TooManyErrors):
        run(settings(tmp_path / "tasks", runner="broken_runners:Buggy"))


def test_settings_that_a_runner_does_not_use_are_told(tmp_path: Path) -> None:
    make_task(tmp_path)
    _, messages = said(tmp_path, dtype="bf16", prompt_format="llava_v1")
    assert messages == ["runner tests.runs:Brightness: does not use --dtype, --prompt-format"]


@pytest.mark.parametrize(
    "field",
    [{"limit": 0}, {"batch_size": 0}, {"batch_size": "many"}, {"max_errors": 2}, {"nonsense": 1}],
    ids=str,
)
def test_settings_out_of_range_are_one_line(tmp_path: Path, field: dict[str, object]) -> None:
    with pytest.raises(TaskError, match=next(iter(field))) as caught:
        settings(tmp_path, **field)
    assert "\n" not in str(caught.value)


def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    make_task(tmp_path, n=200)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.runs import settings\n"
        "from vipbench.console import Console\n"
        "from vipbench.run.loop import run\n"
        "def fill(message):\n"  # what is said comes when the requests are written
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, -1))\n"
        "run(settings(Path(sys.argv[1]), styles='demo,given'), console=Console(fill))\n"
    )
    whole = run(settings(tmp_path, out=tmp_path / "whole", styles="demo,given"))
    assert (whole.path / RESPONSES).stat().st_size > 20_000
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RunError" in done.stderr
    assert "cannot be written" in done.stderr
    results, messages = said(tmp_path, styles="demo,given")
    assert "resumes" in messages[1]
    assert 0 < results.n_answered < 200
    assert files(results.path) == files(whole.path)


# --- without asking


def test_score_needs_no_model(tmp_path: Path) -> None:
    make_task(tmp_path)
    first = run(settings(tmp_path))
    expected = files(first.path)
    for name in SCORED:
        (first.path / name).unlink()
    again = score(first.path)
    assert again.rows == first.rows
    assert files(first.path) == expected


def test_score_of_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        score(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_dry_run_counts_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    (tmp_path / "0.png").unlink()
    before = sorted(tmp_path.iterdir())
    plan = dry_run(settings(tmp_path, styles="demo,none"))
    assert plan.counts == {("own", "demo"): 20, ("own", "none"): 20}
    assert plan.n_errors == {"own": 4}
    assert plan.n_left == 32
    assert plan.seconds is None
    assert plan.seconds_from.startswith("unknown")
    assert sorted(tmp_path.iterdir()) == before

    fields: dict[str, object] = {"styles": "demo,none", "max_errors": 1}
    results = run(settings(tmp_path, **fields))
    size = sum(path.stat().st_size for path in results.path.iterdir())
    assert 0.5 < plan.n_bytes / size < 2
    assert dry_run(settings(tmp_path, **fields)).n_left == 0
    again = dry_run(settings(tmp_path, **fields, fresh=True))
    assert again.n_left == 32
    assert results.manifest.times.n_answered == 32
    assert again.seconds == pytest.approx(results.manifest.times.generate)
    assert str(results.path) in again.seconds_from


# --- a real model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.models import save_checkpoint

    return save_checkpoint(tmp_path_factory.mktemp("models") / "tiny-vip")


def with_model(folder: Path, checkpoint: Path, **fields: object) -> RunSettings:
    given: dict[str, object] = {"runner": "vipllava", "model": str(checkpoint), "device": "cpu"}
    return settings(folder, **(given | fields))


def test_a_checkpoint_answers_alike_in_any_batch_and_when_resumed(
    tmp_path: Path, checkpoint: Path
) -> None:
    make_task(tmp_path, n=10, kind="short_answer")
    path = tmp_path / "own.yaml"
    path.write_text(f"{path.read_text()}max_new_tokens: 5\n")
    whole = run(with_model(tmp_path, checkpoint, batch_size=1))
    row = rows(whole)["own", "demo"]
    assert (row.model, row.prompt_format, row.dtype) == ("tiny-vip", "hf", "float32")
    assert row.decoding == "greedy"
    assert whole.manifest.device == "cpu"
    assert row.n_truncated > 0

    out = tmp_path / "batched"
    run(with_model(tmp_path, checkpoint, batch_size=4, out=out))
    assert files(out) == files(whole.path)
    responses = (out / RESPONSES).read_bytes()
    (out / RESPONSES).write_bytes(responses[: len(responses) // 2])
    (out / SUMMARY).unlink()
    resumed = run(with_model(tmp_path, checkpoint, batch_size=4, out=out))
    assert 0 < resumed.n_answered < 10
    assert (out / RESPONSES).read_bytes() == responses
    assert files(out) == files(whole.path)


def test_batches_hold_as_many_tokens_as_they_may(tmp_path: Path, checkpoint: Path) -> None:
    make_task(tmp_path, n=10)
    auto = run(with_model(tmp_path, checkpoint, batch_size="auto"))
    assert (auto.manifest.batch_size, auto.manifest.token_budget) == (None, sizing.CPU_TOKENS)
    lines = answers_file.read_responses(auto.path / RESPONSES).values()
    longest = max(line.n_prompt_tokens for line in lines)
    out = tmp_path / "given"
    fields: dict[str, Any] = {"batch_size": "auto", "token_budget": 3 * longest, "out": out}
    given = run(with_model(tmp_path, checkpoint, **fields))
    assert given.manifest.n_batches > auto.manifest.n_batches
    batches: dict[int, list[int]] = {}
    for line in answers_file.read_responses(given.path / RESPONSES).values():
        batches.setdefault(line.batch, []).append(line.n_prompt_tokens)
    assert len(batches) == given.manifest.n_batches
    assert max(len(each) * max(each) for each in batches.values()) <= 3 * longest
    assert files(given.path) == files(auto.path)
    alone = run(
        with_model(tmp_path, checkpoint, **fields | {"batch_size": 1, "out": tmp_path / "alone"})
    )
    assert alone.manifest.n_batches == 10
    with pytest.raises(RunError, match=rf"--token-budget {longest - 1}: is below the {longest}"):
        run(
            with_model(
                tmp_path, checkpoint, **fields | {"token_budget": longest - 1, "fresh": True}
            )
        )


def test_a_memory_below_one_request_asks_each_alone(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path, n=4)

    def settings_of(runner: Runner, name: str) -> RunnerSettings:
        return contract.settings_of(runner, name).model_copy(update={"token_budget": 8})

    monkeypatch.setattr("vipbench.run.ask.settings_of", settings_of)
    small = run(with_model(tmp_path, checkpoint, batch_size="auto"))
    lines = answers_file.read_responses(small.path / RESPONSES).values()
    assert small.manifest.token_budget == max(line.n_prompt_tokens for line in lines)
    assert small.manifest.n_batches == len(lines) == 4


def test_a_budget_that_does_not_fit_into_memory_is_planned_anew(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path, n=10)
    expected = run(with_model(tmp_path, checkpoint, batch_size="auto", out=tmp_path / "whole"))

    def settings_of(runner: Runner, name: str) -> RunnerSettings:
        return contract.settings_of(runner, name).model_copy(update={"token_budget": 640})

    monkeypatch.setattr("vipbench.run.ask.settings_of", settings_of)  # as a runner on a GPU tells
    messages: list[str] = []
    small = run(
        with_model(tmp_path, checkpoint, batch_size="auto"), console=Console(messages.append)
    )
    assert any("2,048 tokens do not fit into memory: 640 tokens a batch" in m for m in messages)
    assert small.manifest.token_budget == 640
    assert small.manifest.n_batches > expected.manifest.n_batches
    assert small.manifest.plan_digest != expected.manifest.plan_digest
    assert files(small.path) == files(expected.path)


def test_a_runner_that_counts_no_tokens_takes_no_budget_of_them(tmp_path: Path) -> None:
    make_task(tmp_path)
    with pytest.raises(RunnerError, match="--token-budget 9: runner oracle does not count tokens"):
        run(settings(tmp_path, runner="oracle", token_budget=9))


def test_a_model_that_cannot_be_loaded_leaves_things_as_they_were(
    tmp_path: Path, checkpoint: Path
) -> None:
    make_task(tmp_path, n=2)
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in checkpoint.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "tokenizer.json").write_text("{}")
    with pytest.raises(RunnerError, match="tokenizer cannot be loaded"):
        run(with_model(tmp_path, broken, out=tmp_path / "new" / "run"))
    assert not (tmp_path / "new").exists()
    kept = files(run(with_model(tmp_path, checkpoint)).path)
    with pytest.raises(RunnerError, match="tokenizer cannot be loaded"):
        run(with_model(tmp_path, broken, fresh=True))
    assert files(tmp_path / "run") == kept


def test_other_weights_or_settings_are_refused(tmp_path: Path, checkpoint: Path) -> None:
    make_task(tmp_path, n=2)
    run(with_model(tmp_path, checkpoint))
    with pytest.raises(RunError, match=r"settings\.prompt_format: hf → llava_v1"):
        run(with_model(tmp_path, checkpoint, prompt_format="llava_v1"))
    with pytest.raises(RunError, match=r"settings\.dtype: float32 → bfloat16"):
        run(with_model(tmp_path, checkpoint, dtype="bf16"))
    from safetensors.torch import load_file, save_file

    other = tmp_path / "tiny-vip"
    other.mkdir()
    for path in checkpoint.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    weights = load_file(other / "model.safetensors")
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match=r"settings.weights: \w{8} → \w{8}"):
        run(with_model(tmp_path, other))


def test_hints_of_the_checkpoint_come_after_the_command_line(
    tmp_path: Path, checkpoint: Path
) -> None:
    make_task(tmp_path, n=1)
    hinted = tmp_path / "hinted"
    hinted.mkdir()
    for path in checkpoint.iterdir():
        (hinted / path.name).write_bytes(path.read_bytes())
    (hinted / "vipbench.json").write_text('{"prompt_format": "llava_v1", "fit": "squash"}')
    row = rows(run(with_model(tmp_path, hinted)))["own", "demo"]
    assert (row.prompt_format, row.fit) == ("llava_v1", "squash")
    given = with_model(tmp_path, hinted, prompt_format="hf", fit="crop", out=tmp_path / "given")
    row = rows(run(given))["own", "demo"]
    assert (row.prompt_format, row.fit) == ("hf", "crop")


def test_a_model_in_memory_is_told_apart_by_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.models import build_model, build_processor

    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks", n=2)
    model = build_model()
    fields: dict[str, object] = {
        "runner": VIPLLAVA,
        "live_model": model,
        "processor": build_processor(),
        "out": None,
    }
    for wrong in ({"dtype": "fp16"}, {"device": "mps"}):
        with pytest.raises(
            RunnerError, match=r"the model in memory has '.*', and is left as it is"
        ):
            run(settings(tmp_path / "tasks", **(fields | wrong)))
    first = run(settings(tmp_path / "tasks", **(fields | {"dtype": "fp32", "device": "cpu"})))
    assert rows(first)["own", "demo"].model == "live"
    assert run(settings(tmp_path / "tasks", **fields)).n_answered == 0
    model.lm_head.weight.data[0, 0] += 1
    trained = run(settings(tmp_path / "tasks", **fields))
    assert trained.path != first.path
    assert trained.n_answered == 2


# --- replay, seeds, further metrics


def test_replay_samples_where_the_published_script_does(tmp_path: Path, checkpoint: Path) -> None:
    folder = make_task(tmp_path / "task", n=6)
    path = folder / "own.yaml"
    greedy = run(with_model(folder, checkpoint, out=tmp_path / "greedy"))
    asked = list(trials_file.open_trials(greedy.path / REQUESTS))
    replayed = run(with_model(folder, checkpoint, out=tmp_path / "same", replay="official"))
    # The task names no temperature, as those of ViP-Bench.
    assert files(replayed.path)[REQUESTS] == files(greedy.path)[REQUESTS]
    assert replayed.manifest.identity.settings.decoding == "official"
    path.write_text(path.read_text() + "official_temperature: 0.2\n")
    runs_of_two_seeds = [
        run(with_model(folder, checkpoint, out=tmp_path / f"{n}", replay="official", seed=n))
        for n in (0, 1)
    ]
    first, second = (list(trials_file.open_trials(r.path / REQUESTS)) for r in runs_of_two_seeds)
    assert all(t.request and t.request.temperature == 0.2 for t in (*first, *second))
    seeds = [{t.request.seed for t in trials if t.request} for trials in (asked, first, second)]
    assert seeds[0] == {0}
    assert not seeds[1] & seeds[2]
    # One seed a sample, the same under each style.
    assert len(seeds[1]) == 6
    keys = [{t.request.key for t in trials if t.request} for trials in (asked, first)]
    assert not keys[0] & keys[1]


def test_seeds_are_runs_of_the_same_samples(tmp_path: Path) -> None:
    folder = make_task(tmp_path / "task", n=20)
    path, rows_ = run_seeds(settings(folder, limit=7, seed=2, out=tmp_path / "out"), 3)
    assert path == tmp_path / "out" / "seeds.json"
    assert json.loads(path.read_text()) == [row.model_dump(mode="json") for row in rows_]
    folders = [tmp_path / "out" / f"seed-{seed}" for seed in (2, 3, 4)]
    ids = [{t.id for t in trials_file.open_trials(each / REQUESTS)} for each in folders]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 7
    marks = [(each / REQUESTS).read_bytes() for each in folders]
    assert len(set(marks)) == 3
    demo = next(row for row in rows_ if row.style == "demo")
    expected = [summary.read_summary(each)[0].accuracy for each in folders]
    assert list(demo.accuracies) == expected
    again, same = run_seeds(settings(folder, limit=7, seed=2, out=tmp_path / "out"), 3)
    assert (again, same) == (path, rows_)


def test_a_metric_can_be_added_to_a_finished_run(tmp_path: Path) -> None:
    done = run(settings(make_task(tmp_path, n=4)))
    before = {row.metric for row in done.rows}
    assert before == {"text_match"}
    scored = run_score.score(done.path, ["lenient"])
    assert {row.metric for row in scored.rows} == {"text_match", "lenient"}
    assert [row for row in scored.rows if row.metric == "text_match"] == done.rows
    # From now on it is one of the run's.
    assert run_score.score(done.path).rows == scored.rows
    with pytest.raises(RunError, match="did you mean 'lenient'"):
        run_score.score(done.path, ["leninet"])


def test_the_breakdown_lists_what_styles_vary(tmp_path: Path) -> None:
    folder = make_task(tmp_path, n=6)
    done = run(settings(folder, styles="demo,permuted; rectangle x red,blue"))
    axes = {row.group.partition("=")[0] for row in done.rows}
    assert {"width", "alpha", "position"} <= axes
    plain = run(settings(folder, styles="demo", out=tmp_path / "plain"))
    axes = {row.group.partition("=")[0] for row in plain.rows}
    assert not axes & {"width", "alpha", "position"}


def test_the_likeliest_options_are_a_metric_where_they_are_known(tmp_path: Path) -> None:
    done, messages = said(make_task(tmp_path), runner="tests.runs:Likely", styles="demo")
    assert {row.metric for row in done.rows} == {"text_match"}
    [note] = [each for each in messages if each.startswith("options: ")]
    assert "of 18 choices" in note
    assert "median margin 1.00 nats" in note
    scored = run_score.score(done.path, ["option_argmax"], console=Console(messages.append))
    assert messages.count(note) == 2
    [row] = [r for r in scored.rows if (r.metric, r.group) == ("option_argmax", ALL)]
    assert (row.n, row.n_ungraded, row.n_errors, row.n_unparsed) == (18, 2, 0, 0)
    lines = {m: [x for x in read_lines(done.path / SCORES, ScoreLine)
                 if x.metric == m] for m in ("text_match", "option_argmax")}  # fmt: skip
    assert {line.answer for line in lines["option_argmax"]} == {"A", None}
    known = [x for x in lines["text_match"] if x.id[-1] != "0"]
    assert row.accuracy == pytest.approx(sum(x.target == "A" for x in known) / 18)
    agree = [x.answer == "A" for x in known]
    assert row.agreement == pytest.approx(sum(agree) / 18)
    assert 0 < sum(agree) < 18
    assert row.margin == 1
    # Its other rows do not know of it.
    assert {(r.agreement, r.margin) for r in scored.rows if r.metric == "text_match"} == {
        (None, None)
    }


def test_a_run_without_probabilities_has_no_likeliest_options(tmp_path: Path) -> None:
    done, messages = said(make_task(tmp_path), metrics=("option_argmax",))
    assert {row.metric for row in done.rows} == {"text_match"}
    assert f"{done.path}: metric option_argmax: the runner gave no probabilities" in messages[-1]
    assert not any(each.startswith("options: ") for each in messages)


def test_a_path_that_a_runner_does_not_have_is_said(tmp_path: Path) -> None:
    done, messages = said(make_task(tmp_path), path="reference")
    assert "runner tests.runs:Brightness: does not use --path" in messages
    assert done.manifest.path is None
