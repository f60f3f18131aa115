"""The command line as a user meets it: what is printed where, and the exit code."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Vipbench
from vipbench import demo, files
from vipbench.demo.generate import make
from vipbench.runfolder import manifest, trials_file
from vipbench.runfolder.folder import FILES, MANIFEST, REQUESTS, SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.summary import read_summary
from vipbench.schema import Trial

COMMANDS = (
    *("run", "score", "leaderboard", "check", "render", "show", "ls", "demo"),
    *("report", "reproduce", "import", "export", "convert", "data"),
)


def spawn(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    program = "from vipbench.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


# --- usage


def test_help_names_every_command(vipbench: Vipbench) -> None:
    for option in ("--help", "-h"):
        code, out, err = vipbench(option)
        assert (code, err) == (0, "")
        assert all(f"  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "demo make", "demo train"])
def test_every_command_has_help(vipbench: Vipbench, command: str) -> None:
    code, out, _ = vipbench(*command.split(), "--help")
    assert code == 0
    assert out.startswith(f"Usage: vipbench {command}")


def test_run_takes_every_documented_option(vipbench: Vipbench) -> None:
    out = vipbench("run", "--help").out
    options = (
        "--model --suite --tasks --styles --data --include --limit --ids --seed --batch-size "
        "--dtype --device --prompt-format --fit --runner --max-errors --fresh --dry-run -o "
        "--replay --seeds --metric --judge-url --judge-model --judge-prompt-from"
    )
    assert all(f"{option} " in out or f"{option}," in out for option in options.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--modle", "x"], "--model"),
        (["rnu"], "'run'"),
        (["run", "surplus"], "surplus"),
        (["check"], "TASK"),
        (["run", "--fit", "padd"], "'pad'"),
        (["run", "--limit", "0"], "--limit"),
        (["run", "--max-errors", "2"], "--max-errors"),
        (["ls", "task"], "'tasks'"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_right(
    vipbench: Vipbench, arguments: list[str], said: str
) -> None:
    code, out, err = vipbench(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "vcr_qq"], "task 'vcr_qq' is unknown; did you mean 'vcr_qa'?"),
        (["check", "vcr_qa", "--styles", "demoo"], "did you mean 'demo'?"),
        (["check", "vcr_qa", "--styles", "rectangle:bleu"], "did you mean 'blue'?"),
        (["run", "--suite", "demmo"], "did you mean 'demo'?"),
        (["run", "--runner", "orcale"], "did you mean 'oracle'?"),
        (["run", "--runner", "oracle", "--tasks", "vcr_qq"], "did you mean 'vcr_qa'?"),
        (["run", "--runner", "oracle", "--tasks", "vcr_qa"], "--data vcr=DIR"),
        (["run", "--batch-size", "0"], "--batch-size '0': expected 'auto' or a whole number"),
        (["run", "--batch-size", "all"], "--batch-size 'all'"),
        (["run", "--batch-size", "9" * 5000], "expected 'auto' or a whole number"),
        (["run", "--loaders", "-1"], "--loaders '-1': expected 'auto' or a whole number from 0"),
        (["run", "--loaders", "4000"], "loaders"),
        (["run", "--tasks", ""], "--tasks '': names nothing"),
        (["run", "--ids", ", ,"], "--ids ', ,': names nothing"),
        (["check", ","], "TASK ',': names nothing"),
        (["check", "vcr_qa", "--styles", ""], "an empty style"),
        (["run", "--dtype", "float61"], "did you mean 'float16'?"),
        (["run", "--device", "cud"], "did you mean 'cuda'?"),
        (["run", "--model", "nowhere/at/all"], "nowhere/at/all"),
        (["run", "--include", "nowhere"], "--include nowhere"),
        (["run", "--data", "vcr=nowhere"], "--data vcr=nowhere"),
        (["render", "vcr_qa", "-o", "x.png"], "--data vcr=DIR"),
        (["score", "nowhere"], "nowhere"),
        (["leaderboard", "nowhere", "-o", "tables"], "nowhere"),
        (["show", "nowhere", "q1"], "nowhere"),
        (["ls", "runs", "--runs", "nowhere"], "--runs nowhere: no such folder"),
        (["demo", "make", "--n", "1", "-o", "/dev/null/x"], "-o /dev/null/x: cannot be written"),
        (["demo", "train", "--state", "/dev/null"], "--state /dev/null: is no folder"),
        (["check", "vcr\nqa\x1b[2J"], r"task 'vcr\nqa\x1b[2J' is unknown"),
    ],
)
def test_the_users_mistake_is_one_line_and_exits_2(
    vipbench: Vipbench, arguments: list[str], said: str
) -> None:
    code, out, err = vipbench(*arguments)
    assert (code, out) == (2, "")
    [line] = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert said in line
    assert err.rstrip("\n").endswith(line)
    assert list(Path().iterdir()) == []


def test_a_bug_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text("def read(source):\n    yield 1 / 0\n")
    (tmp_path / "faulty.yaml").write_text(
        "{name: faulty, version: 1, title: t, kind: graded, data: faulty, styles: [none], "
        "reader: 'faulty.py:read'}"
    )
    done = spawn("check", "faulty", "--include", tmp_path, "--data", f"faulty={tmp_path}")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_an_argument_that_is_no_text_is_refused() -> None:
    program = "from vipbench.cli import main; main()"
    arguments: list[str | bytes] = ["check", "vcr_qa", "--data", b"vcr=caf\xe9"]
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: argument 'vcr=caf\\udce9': is no text in utf-8")


def test_a_terminal_without_unicode_shows_what_it_can() -> None:
    done = spawn("ls", "suites", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    broken = spawn("check", "vcr_\u00fc", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert broken.returncode == 2
    assert broken.stderr.startswith("error: task 'vcr_\\xfc' is unknown; did you mean")


def test_a_table_in_a_terminal_without_unicode(data: list[str], tmp_path: Path) -> None:
    command = ("run", "--runner", "oracle", "--tasks", "vcr_qa", "--styles", "demo", *data)
    done = spawn(*command, "-o", tmp_path / "run", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert r"\xb7 synthetic data" in done.stdout.replace("\n", "")


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_output_that_is_closed_is_not_missed(closed: str) -> None:
    program = "from vipbench.cli import main; main()"
    command = f'exec "$0" -c "{program}" ls styles {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_one_line_wherever_it_is_met() -> None:
    program = "from vipbench.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", program, "ls", "styles"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == ("error: output: No space left on device; make room, then try again\n")


def test_data_that_this_user_may_not_read_are_one_line(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    is_file = Path.is_file

    def forbidden(path: Path) -> bool:  # root, as which tests may run, reads everything
        if path.is_relative_to(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", forbidden)
    code, _, err = vipbench("check", "vcr_qa", "--data", f"vcr={tmp_path}")
    assert code == 2
    assert err.startswith(f"error: {tmp_path}")
    assert "Permission denied; get the right to read or write there" in err


def test_a_cache_that_cannot_be_written_is_named(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", "/dev/null/cache")
    code, _, err = vipbench("run", "--runner", "oracle")
    assert code == 2
    assert "/dev/null/cache" in err
    assert "name a folder for it by VIPBENCH_CACHE" in err


def test_a_reader_of_the_output_may_leave() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = "from vipbench.cli import main; main()"
    command = [sys.executable, "-c", program, "ls", "styles"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


# --- run, score, leaderboard


def test_run_asks_the_demo_suite(vipbench: Vipbench, data: list[str]) -> None:
    code, out, _ = vipbench("run", "--runner", "oracle", *data)
    assert code == 0
    assert "synthetic data" in out
    for word in ("visual7w_pointing", "vcr_q2ar", "demo_unseen", "shape=triangle"):
        assert word in out
    [folder] = Path("results/runs").iterdir()
    assert out.splitlines()[-1].startswith(str(folder))
    assert {path.name for path in folder.iterdir()} == set(FILES)


def test_run_without_arguments_is_the_embedded_checkpoint_on_the_embedded_benchmark(
    vipbench: Vipbench,
) -> None:
    assert vipbench("run", "--limit", "2", "--styles", "demo", "-o", "here").code == 0
    found = manifest.read(Path("here"))
    assert found.identity.model == "vipllava-demo"
    assert found.identity.suite == "demo"
    assert {task.n_samples for name, task in found.tasks.items()} == {250}


def test_both_paths_of_the_embedded_checkpoint_give_the_same_scores(vipbench: Vipbench) -> None:
    command = ("run", "--limit", "4", "--styles", "demo", "--metric", "option_argmax")
    fast = vipbench(*command, "-o", "fast")
    reference = vipbench(*command, "-o", "reference", "--path", "reference", "--batch-size", "3")
    assert (fast.code, reference.code) == (0, 0)
    assert "options: text and likeliest letter agree in " in fast.err
    assert "of 12 choices" in fast.err
    for task in ("visual7w_pointing", "vcr_qa", "vcr_qar", "vcr_q2ar"):
        assert {row.metric for row in read_summary(Path("fast")) if row.task == task} == {
            "text_match",
            "option_argmax",
        }
    margins = []
    for folder in (Path("fast"), Path("reference")):
        lines = list(files.read_lines(folder / SCORES, ScoreLine))
        margins.append([line.margin for line in lines if line.margin is not None])
    assert len(margins[0]) == 16
    assert margins[0] == pytest.approx(margins[1], abs=0.011)
    known = re.compile(rb'"margin": ?[0-9.]+')
    first, second = (
        [known.sub(b"", Path(folder, name).read_bytes()) for name in (SCORES, SUMMARY)]
        for folder in ("fast", "reference")
    )
    assert first == second
    assert [manifest.read(Path(name)).path for name in ("fast", "reference")] == [
        "fast",
        "reference",
    ]
    for options in ((), ("--dry-run",)):
        refused = vipbench(*command, "-o", "fast", "--path", "reference", *options)
        assert refused.code == 2
        assert "was answered on path fast, not reference; give --path fast" in refused.err


def test_run_again_reprints_and_fresh_redoes(vipbench: Vipbench, data: list[str]) -> None:
    command = ("run", "--runner", "random", *data)
    first, again, fresh = vipbench(*command), vipbench(*command), vipbench(*command, "--fresh")
    assert first.out == again.out == fresh.out
    assert "was already finished" in again.err
    assert "was already finished" not in fresh.err


def test_lists_are_repeated_or_have_commas(vipbench: Vipbench, data: list[str]) -> None:
    repeated = ("--tasks", "vcr_qa", "--tasks", "vcr_qar", "--ids", "val-1", "--ids", "val-2")
    commas = ("--tasks", "vcr_qa,vcr_qar", "--ids", "val-2, val-1")
    command = ("run", "--runner", "oracle", "--styles", "demo", *data)
    assert vipbench(*command, *repeated).code == 0
    again = vipbench(*command, *commas)
    assert "was already finished" in again.err
    [folder] = Path("results/runs").iterdir()
    trials = trials_file.open_trials(folder / REQUESTS)
    assert [(entry.name.task, entry.name.id) for entry in trials.entries] == [
        ("vcr_qa", "val-1"),
        ("vcr_qa", "val-2"),
        ("vcr_qar", "val-1"),
        ("vcr_qar", "val-2"),
    ]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    vipbench: Vipbench, data: list[str]
) -> None:
    code, out, _ = vipbench("run", "--runner", "oracle", "--dry-run", *data)
    assert code == 0
    assert "to ask      120 of 120 requests" in out
    assert "time " in out
    assert "disk " in out
    assert list(Path().iterdir()) == []


def test_too_many_errors_exit_3(vipbench: Vipbench, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "{name: own, version: 1, title: t, kind: short_answer, data: own, reader: jsonl, "
        "styles: [red_rectangle]}"
    )
    question = {"image": "gone.png", "question": "<r0>?", "box": [1, 1, 5, 5], "answer": "x"}
    (tmp_path / "own.jsonl").write_text(json.dumps(question))
    command = ("run", "--runner", "oracle", "--tasks", "own", "--include", tmp_path)
    code, _, err = vipbench(*command, "--data", f"own={tmp_path}")
    assert code == 3
    assert "error: " in err


def test_a_runner_of_the_current_folder(vipbench: Vipbench, data: list[str]) -> None:
    Path("always_b.py").write_text(
        "from vipbench import Response\n"
        "class AlwaysB:\n"
        "    image_size = 32\n"
        "    def __init__(self, model): pass\n"
        "    def generate(self, requests, images): return [Response(text='B') for _ in requests]\n"
    )
    command = ("run", "--runner", "always_b:AlwaysB", "--tasks", "vcr_qa", "--styles", "demo")
    code, out, _ = vipbench(*command, *data)
    assert code == 0
    assert "vcr_qa" in out


def test_score_prints_what_run_printed(vipbench: Vipbench, data: list[str]) -> None:
    ran = vipbench("run", "--runner", "majority", *data, "-o", "done")
    scores, summary = Path("done", SCORES), Path("done", SUMMARY)
    before = scores.read_bytes(), summary.read_bytes()
    scores.unlink()
    summary.unlink()
    again = vipbench("score", "done")
    assert (again.code, again.out) == (0, ran.out)
    assert (scores.read_bytes(), summary.read_bytes()) == before


def test_leaderboard_writes_all_formats(vipbench: Vipbench, done: Path) -> None:
    code, out, _ = vipbench("leaderboard", done, "-o", "tables")
    assert code == 0
    names = [f"leaderboard.{end}" for end in ("md", "csv", "json", "tex")]
    names += [f"breakdown.{end}" for end in ("md", "csv", "json")]
    assert sorted(path.name for path in Path("tables").iterdir()) == sorted(names)
    assert sorted(out.splitlines()) == sorted(f"tables/{name}" for name in names)


# --- check, render, show


def test_check_exits_0_on_good_data(vipbench: Vipbench, data: list[str]) -> None:
    code, out, err = vipbench("check", "visual7w_pointing,pointqa_local", *data)
    assert code == 0
    assert "visual7w_pointing: 6 records, 3 images" in out
    assert "0 errors" in out
    assert "warning drawn_from_box: 6" in out
    assert "(5 of 6 listed)" in out
    assert "error:" not in err


def test_check_exits_2_on_errors_and_lists_them(vipbench: Vipbench, tmp_path: Path) -> None:
    folder = make(tmp_path / "made", 4)
    for path in (folder / "visual7w").rglob("*.png"):
        path.unlink()
    option = f"visual7w={folder / 'visual7w'}"
    code, out, err = vipbench("check", "visual7w_pointing", "--data", option)
    assert code == 2
    assert "error missing_image: 4" in out
    assert err.splitlines()[-1] == "error: check: 4 errors; they are listed above, by code"


def test_render_writes_a_sheet(vipbench: Vipbench, data: list[str]) -> None:
    styles = "rectangle,arrow x red,blue"
    command = ("render", "visual7w_pointing", "--style", styles, "--n", "2", "-o", "out/sheet.png")
    code, out, _ = vipbench(*command, *data)
    assert (code, out) == (0, "out/sheet.png\n")
    with Image.open("out/sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width == 4 * 360


def test_render_takes_ids_and_the_models_square(vipbench: Vipbench, data: list[str]) -> None:
    command = ("render", "vcr_qa", "--ids", "val-1", "--size", "32", "-o", "one.png")
    assert vipbench(*command, *data).code == 0
    with Image.open("one.png") as sheet:
        assert sheet.width == 360


def test_show_prints_one_sample(vipbench: Vipbench, done: Path) -> None:
    code, out, err = vipbench("show", done, "val-1", "--task", "vcr_qa")
    assert code == 0
    trial = next(
        trial
        for trial in files.read_lines(done / REQUESTS, Trial)
        if (trial.task, trial.style, trial.id) == ("vcr_qa", "demo", "val-1")
    )
    assert trial.request
    assert trial.request.turns[0] in out
    assert f"answer   {trial.target!r}" in out
    assert "score    1 (text_match" in out
    assert "vcr_q2ar: 1 (text_match" in out
    assert "also under --style demo_unseen, none, blind" in err
    picture = done / "shown" / "vcr_qa-demo-val-1.png"
    assert f"picture  {picture}" in out
    with Image.open(picture) as image:
        assert image.mode == "RGB"


def test_show_wants_to_know_which(vipbench: Vipbench, done: Path) -> None:
    assert "expected vcr_qa or vcr_qar" in vipbench("show", done, "val-1", "--task", "vcr_q2ar").err
    assert "name one with --task" in vipbench("show", done, "val-1").err
    assert "did you mean 'vcr_qa'" in vipbench("show", done, "val-1", "--task", "vcr_qq").err
    assert "did you mean 'demo'" in vipbench("show", done, "val-1", "--style", "demoo").err
    assert "did you mean 'val-" in vipbench("show", done, "val-").err


def test_show_without_the_image(vipbench: Vipbench, tmp_path: Path) -> None:
    folder = make(tmp_path / "made", 2)
    option = f"vcr={folder / 'vcr'}"
    command = ("run", "--runner", "oracle", "--tasks", "vcr_qa", "--styles", "demo", "-o", "kept")
    assert vipbench(*command, "--data", option).code == 0
    for path in (folder / "vcr").rglob("*.png"):
        path.unlink()
    code, out, _ = vipbench("show", "kept", "val-1")
    assert code == 0
    assert "picture  none: " in out
    assert "answer   " in out


def test_show_does_without_a_picture_that_cannot_be_written(vipbench: Vipbench, done: Path) -> None:
    (done / "shown").write_text("in the way")
    code, out, _ = vipbench("show", done, "val-1", "--task", "vcr_qa")
    assert code == 0
    assert "picture  none: " in out
    assert "score    1" in out
    given = vipbench("show", done, "val-1", "--task", "vcr_qa", "-o", done / "shown" / "x.png")
    assert given.code == 2
    assert "cannot be written" in given.err


def test_show_takes_any_id_and_no_sign_steers_the_terminal(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text(
        "{name: own, version: 1, title: t, kind: short_answer, data: own, reader: jsonl, "
        "styles: [red_rectangle]}"
    )
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    long, ugly = "a" * 5000, "../a\x1b[2J\nb"
    question = {
        "image": "a.png",
        "question": "\x1b[1m<r0>?\nNow?",
        "box": [1, 1, 5, 5],
        "answer": "x",
    }
    lines = [json.dumps({"id": id_} | question) for id_ in (long, f"{long}b", ugly)]
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    own = ("--include", tmp_path, "--data", f"own={tmp_path}")
    assert vipbench("run", "--runner", "oracle", "--tasks", "own", *own, "-o", "done").code == 0
    for id_ in (long, f"{long}b", ugly):
        code, out, _ = vipbench("show", "done", id_)
        assert code == 0
        assert "\x1b" not in out
        assert "\\x1b[1mthe object within the red rectangle?\nNow?" in out
    assert "sample   ../a\\x1b[2J\\nb\n" in out
    pictures = sorted(path.name for path in Path("done", "shown").iterdir())
    assert len(pictures) == 3
    assert max(map(len, pictures)) < 200
    assert sorted(path.name for path in Path("done").iterdir()) == sorted((*FILES, "shown"))


def test_a_sheet_for_a_square_that_no_model_has_is_refused(
    vipbench: Vipbench, data: list[str]
) -> None:
    code, _, err = vipbench("render", "vcr_qa", "--size", "100000", "-o", "x.png", *data)
    assert code == 2
    assert "less than or equal to 4096" in err


# --- ls, demo


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("tasks", ["vcr_q2ar", "visual7w_pointing", "57,265"]),
        ("styles", ["official_rectangles", "demo_unseen", "blind"]),
        ("runners", ["vipllava", "oracle"]),
        ("suites", ["demo"]),
    ],
)
def test_ls(vipbench: Vipbench, what: str, words: list[str]) -> None:
    code, out, _ = vipbench("ls", what)
    assert code == 0
    assert all(word in out for word in words)


def test_ls_runs(vipbench: Vipbench, done: Path) -> None:
    assert len(vipbench("ls", "runs").out.splitlines()) == 1
    (Path("broken")).mkdir()
    Path("broken", MANIFEST).write_text("{}")
    code, out, err = vipbench("ls", "runs", "--runs", ".")
    assert code == 0
    [row] = out.splitlines()[1:]
    assert row.startswith("done ")
    assert "oracle" in row
    assert "broken" in err


def test_demo_make_writes_data_that_check_takes(vipbench: Vipbench) -> None:
    code, out, _ = vipbench("demo", "make", "--n", "4", "-o", "made")
    assert code == 0
    options = out.split()
    assert vipbench("check", "pointqa_looktwice_super", *options).code == 0
    again = vipbench("demo", "make", "-o", "made")
    assert again.code == 2
    assert "is not empty" in again.err


def test_another_family_is_run_and_gone_on_with(vipbench: Vipbench, data: list[str]) -> None:
    words = ["run", "--runner", "hf", "--model", demo.CHECKPOINT, "--suite", "demo", *data]
    words += ["--limit", "2", "--device", "cpu", "-o", "run"]
    assert (ran := vipbench(*words)).code == 0, ran.err
    responses, scores = Path("run/responses.jsonl"), Path("run/scores.jsonl")
    expected, lines = scores.read_bytes(), responses.read_text().splitlines(keepends=True)
    assert not any(json.loads(line)["error"] for line in lines)
    manifest = json.loads(Path("run/manifest.json").read_text())
    Path("run/manifest.json").write_text(json.dumps(manifest | {"finished": None}))
    responses.write_text("".join(lines[:-3]))
    assert "batches are answered" in (ran := vipbench(*words)).err
    assert scores.read_bytes() == expected
    assert "nothing is asked again" in vipbench(*words).err
    assert "LLaVA-1.5" in vipbench("ls", "runners").out
    refused = vipbench(*words, "--replay", "official")
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "runner hf: answers greedily" in refused.err
