"""`vipbench run` as a user meets it."""

import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from vipbench import demo, files
from vipbench.demo import embedded
from vipbench.runfolder import manifest, trials_file
from vipbench.runfolder.folder import FILES, REQUESTS, SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.name_file import Name, read_name
from vipbench.runfolder.summary import read_summary


def test_run_takes_every_documented_option_in_this_order(vipbench: Vipbench) -> None:
    options = (
        "--extend --fresh --dry-run --show-config --log --out --help --model --name --step --base "
        "--adapter --dtype --quantize --device --prompt-format --runner --path --replay --suite "
        "--tasks --styles --data --include --limit --ids --seed --fit --seeds --metric "
        "--max-errors --batch-size --token-budget --workers --engine --no-share --loaders --shard "
        "--base-url --api-key-env --api-key-file --header --extra-body --system "
        "--image-format --image-detail --image-order --max-side --reasoning-tokens "
        "--reasoning-effort --concurrency --tries --timeout --deadline --price-in "
        "--price-out --budget --max-calls --judge-url --judge-model --judge-key-file "
        "--judge-key-env --judge-prompt-from --judge-runs --judge-max-tokens "
        "--judge-reasoning-tokens --judge-extra-body --judge-timeout --judge-workers "
        "--judge-price --judge-budget --judge-max-calls --judge-ledger"
    )
    out = vipbench("run", "--help").out
    assert re.findall(r"^  (?:-\w, )?(--[\w-]+)", out, re.MULTILINE) == options.split()


def test_a_table_in_a_terminal_without_unicode(
    vipbench: Vipbench, data: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    command = ("run", "--runner", "oracle", "--tasks", "vcr_qa", "--styles", "demo", *data)
    assert vipbench(*command).code == 0
    assert rb"\xb7 synthetic data" in written.getvalue().replace(b"\n", b"")


def test_a_cache_that_cannot_be_written_is_named(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", "/dev/null/cache")
    code, _, err = vipbench("run", "--runner", "oracle")
    assert code == 2
    assert "/dev/null/cache" in err
    assert "name a folder for it by VIPBENCH_CACHE" in err


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
        assert "was answered on path fast, not reference · give --path fast" in refused.err


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


def test_another_family_is_run_and_gone_on_with(vipbench: Vipbench, data: list[str]) -> None:
    words = ["run", "--runner", "hf", "--model", demo.CHECKPOINT, "--suite", "demo", *data]
    words += ["--limit", "2", "--device", "cpu", "-o", "run"]
    assert (ran := vipbench(*words)).code == 0, ran.err
    responses, scores = Path("run/responses.jsonl"), Path("run/scores.jsonl")
    expected, lines = scores.read_bytes(), responses.read_text().splitlines(keepends=True)
    assert not any(json.loads(line)["error"] for line in lines)
    manifest = json.loads(Path("run/manifest.json").read_text())
    Path("run/manifest.json").write_text(json.dumps(manifest | {"finished": None, "files": {}}))
    responses.write_text("".join(lines[:-3]))
    assert "batches already answered" in (ran := vipbench(*words)).err
    assert scores.read_bytes() == expected
    assert "nothing is asked again" in vipbench(*words).err
    assert "LLaVA-1.5" in vipbench("ls", "runners").out
    refused = vipbench(*words, "--replay", "official")
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "runner hf: answers greedily" in refused.err


def test_a_checkpoint_is_named_with_its_training(vipbench: Vipbench, data: list[str]) -> None:
    for training in "ab":
        Path(training).mkdir()
        Path(training, "checkpoint-500").symlink_to(demo.CHECKPOINT)
        shutil.copytree(demo.CHECKPOINT, Path(training, "checkpoint-9"))
    command = ("run", "--tasks", "vcr_qa", "--styles", "demo", *data)
    read = {}
    for model in ("a/checkpoint-500", "a/checkpoint-9", "b/checkpoint-9"):
        ran = vipbench(*command, "--model", model, "-o", model.replace("/", "_"))
        assert ran.code == 0, ran.err
        read[model] = manifest.read(Path(model.replace("/", "_")))
    assert [made.name for made in read.values()] == ["", "a/checkpoint-9", "b/checkpoint-9"]
    assert [made.identity.model for made in read.values()] == [
        "vipllava-demo",
        *2 * ["checkpoint-9"],
    ]
    assert len({made.run_id for made in list(read.values())[1:]}) == 1
    again = (*command, "--model", "b/checkpoint-9", "-o", "b_checkpoint-9", "--name", "mine")
    ran = vipbench(*again)
    assert ran.code == 0
    assert "mine: accuracy" in ran.out
    assert read_name(Path("b_checkpoint-9")) == Name(name="mine")
    assert manifest.read(Path("b_checkpoint-9")) == read["b/checkpoint-9"]
    assert vipbench("leaderboard", "a_checkpoint-9", "b_checkpoint-9", "-o", "board").code == 0
    board = Path("board/leaderboard.md").read_text()
    assert "| a/checkpoint-9 |" in board
    assert "| mine |" in board
    assert "run 2" not in board


def test_a_run_says_whose_prompt_format_is_taken_and_what_contradicts_it(
    vipbench: Vipbench, data: list[str]
) -> None:
    shutil.copytree(embedded.CHECKPOINT, "trained")
    for name in ("vipbench.json", "tokenizer.json", "tokenizer_config.json"):
        Path("trained", name).unlink()
    command = ("run", "--model", "trained", "--tasks", "vip_bench_drawn", "--limit", "2", *data)
    ran = vipbench(*command, "-o", "none")
    assert ran.code == 2
    assert "--base" in ran.err
    base = ("--base", embedded.CHECKPOINT)
    lent = vipbench(*command, *base, "-o", "lent")
    assert lent.err.count("prompt format chat_template (vipbench.json of vipllava-demo, by") == 1
    paper = vipbench(*command, *base, "--suite", "paper", "-o", "paper")
    assert "prompt format llava_v1 (suite paper), fit pad (the task)" in paper.err
    manifest = json.loads(Path("paper", "manifest.json").read_text())
    assert manifest["prompt_format_from"] == "suite paper"
    [warning] = [note for note in manifest["notes"] if note.startswith("prompt: ")]
    assert "says chat_template, and the checkpoint's chat template writes another" in warning
    name = read_first_id(Path("paper"))
    assert "format   llava_v1 (suite paper)" in vipbench("show", "paper", name).out
    assert vipbench("leaderboard", "paper", "lent", "-o", "board").code == 0
    board = Path("board", "leaderboard.md").read_text()
    assert board.replace("\\_", "_").count("trained: prompt: format llava_v1") == 1
    assert vipbench("report", "paper", "-o", "page").code == 0
    page = next(Path("page").glob("*.html")).read_text()
    assert "trained: prompt: format llava_v1" in page
    assert "(format: suite paper)" in page


def read_first_id(folder: Path) -> str:
    """Return the id of the first answer in a run folder."""
    first = (folder / "responses.jsonl").read_text().partition("\n")[0]
    return str(json.loads(first)["id"])
