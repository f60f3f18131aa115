"""A model in front of a run: loaded before anything is written, asked once for each batch."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.run.asking import files, rows, said, with_model
from tests.runs import make_task, settings, unbind
from vipbench.errors import RunnerError
from vipbench.run.loop import run
from vipbench.run.settings import VIPLLAVA
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SUMMARY
from vipbench.runners import contract
from vipbench.runners.contract import Runner, RunnerSettings


def test_the_batch_size_moves_no_score(tmp_path: Path) -> None:
    make_task(tmp_path)
    found = [
        files(run(settings(tmp_path, batch_size=size, out=tmp_path / str(size))).path)
        for size in (1, 3, "auto")
    ]
    assert found[0] == found[1] == found[2]


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
    assert any("resuming" in message for message in messages)
    assert 0 < results.n_answered < 200
    assert files(results.path) == files(whole.path)


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
    unbind(out)
    resumed = run(with_model(tmp_path, checkpoint, batch_size=4, out=out))
    assert 0 < resumed.n_answered < 10
    assert (out / RESPONSES).read_bytes() == responses
    assert files(out) == files(whole.path)


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
