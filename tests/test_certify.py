import hashlib
import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.models import build_model, save_checkpoint
from tests.runs import make_task
from vipbench import files
from vipbench.certify import Certificate, certify, report
from vipbench.errors import RunnerError
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.manifest import CERTIFICATES

N_SAMPLES = 12
"""Of each of the two tasks."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a random model, whose best tokens lie close together."""
    return save_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    for name, kind in (("letters", "choice"), ("words", "short_answer")):
        make_task(folder, name, N_SAMPLES, kind=kind)
        with (folder / f"{name}.yaml").open("a") as file:
            file.write("max_new_tokens: 12\n")
    return folder


def settings(checkpoint: Path, folder: Path, **fields: Any) -> RunSettings:
    given: dict[str, Any] = {
        "model": str(checkpoint),
        "tasks": ("letters", "words"),
        "include": (folder,),
        "device": "cpu",
        "batch_size": 5,
    }
    return RunSettings(**(given | fields))


def plain_run(asked: RunSettings, out: Path, **changes: Any) -> Results:
    """Run as the certificate says it did, but on its own."""
    limit = {"limit": N_SAMPLES, "styles": None, "max_errors": 1.0, "out": out}
    return run(asked.model_copy(update=limit | changes))


def test_in_float32_no_answer_flips(checkpoint: Path, tasks: Path, tmp_path: Path) -> None:
    path, found = certify(settings(checkpoint, tasks), 2 * N_SAMPLES, tmp_path / "c.json")
    assert (found.dtype, found.n, found.n_flipped, found.flips) == ("float32", 24, 0, ())
    assert (found.agreement, found.agreement_high) == (1, 1)
    assert 0 < found.agreement_low < 1
    assert (found.n_rescored, found.n_gained, found.n_lost) == (0, 0, 0)
    assert (found.path, found.path_reference) == ("fast", "reference")
    assert found.batch_size == 5
    assert found.margins is not None
    assert found.margins.n == N_SAMPLES
    assert found.margins.max_shift < 1e-4
    assert Certificate.model_validate(files.read_json(path)) == found


def test_in_bfloat16_the_flips_are_those_of_two_runs(
    checkpoint: Path, tasks: Path, tmp_path: Path
) -> None:
    asked = settings(checkpoint, tasks, dtype="bfloat16")
    _, found = certify(asked, 2 * N_SAMPLES, tmp_path / "c.json")
    reference = plain_run(asked, tmp_path / "a", dtype="float32", batch_size=1, path="reference")
    certified = plain_run(asked, tmp_path / "b")
    here, there = (
        answers_file.read_responses(each.path / RESPONSES) for each in (reference, certified)
    )
    flips = {name: (here[name].text, there[name].text) for name in here if here[name].text
             != there[name].text}  # fmt: skip
    assert flips
    assert {
        (flip.task, flip.style, flip.id): (flip.text_reference, flip.text) for flip in found.flips
    } == flips
    assert found.n_flipped == len(flips)
    assert found.agreement == pytest.approx(1 - len(flips) / 24)
    assert found.settings_digest == certified.manifest.settings_digest
    assert found.plan_digest == certified.manifest.plan_digest
    assert found.weights == certified.manifest.identity.settings.weights
    margins, moved = [], []
    for name in here:
        before, after = here[name].option_logprobs, there[name].option_logprobs
        if before and after:
            best, second = sorted(before, reverse=True)[:2]
            margins.append(best - second)
            moved.append([y - x for x, y in zip(before, after, strict=True)])
    assert found.margins is not None
    assert found.margins.n == len(margins) == N_SAMPLES
    assert found.margins.quantiles["0.5"] == pytest.approx(statistics.median(margins))
    assert found.margins.max_shift == max(abs(each) for row in moved for each in row)
    reach = max(max(row) - min(row) for row in moved)
    assert found.margins.max_margin_shift == reach > 1e-4
    assert found.margins.share_within == sum(each <= reach for each in margins) / N_SAMPLES


def test_scores_that_change_are_counted_in_both_directions(
    checkpoint: Path, tasks: Path, tmp_path: Path
) -> None:
    """The targets are made the answers of either run, so that a flip gains or loses."""
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("words",), styles="demo")
    _, found = certify(asked, N_SAMPLES, tmp_path / "c.json")
    assert found.n_flipped >= 2
    targets = {}
    for place, flip in enumerate(found.flips):
        targets[flip.id] = flip.text_reference if place == 0 else flip.text
    usable = {id_ for id_, text in targets.items() if text and text.strip()}
    assert found.flips[0].id in usable
    assert len(usable) >= 2
    folder = make_task(tmp_path / "own", "words", N_SAMPLES, kind="short_answer")
    lines = [json.loads(line) for line in (folder / "words.jsonl").read_text().splitlines()]
    for line in lines:
        line["answer"] = targets[line["id"]] if line["id"] in usable else "no such answer"
    (folder / "words.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with (folder / "words.yaml").open("a") as file:
        file.write("max_new_tokens: 12\n")
    again = asked.model_copy(update={"include": (folder,)})
    _, scored = certify(again, N_SAMPLES, tmp_path / "d.json")
    assert [flip.id for flip in scored.flips] == [flip.id for flip in found.flips]
    lost = [flip.id for flip in scored.flips if (flip.value_reference, flip.value) == (1, 0)]
    gained = [flip.id for flip in scored.flips if (flip.value_reference, flip.value) == (0, 1)]
    assert lost == [found.flips[0].id]
    assert gained
    assert (scored.n_lost, scored.n_gained) == (1, len(gained))
    assert scored.n_rescored == 1 + len(gained)


def test_an_error_in_place_of_an_answer_is_a_flip(tasks: Path, tmp_path: Path) -> None:
    model = build_model()
    model.lm_head.weight.data *= 1e6  # beyond what float16 can hold
    checkpoint = save_checkpoint(tmp_path / "wide", model)
    asked = settings(checkpoint, tasks, dtype="float16", tasks=("letters",))
    _, found = certify(asked, 4, tmp_path / "c.json")
    assert (found.n, found.n_flipped, found.n_rescored) == (4, 4, 4)
    assert (found.n_gained, found.n_lost) == (0, 0)
    assert all(flip.text is None and "float16" in str(flip.error) for flip in found.flips)
    assert found.agreement == 0


def test_a_run_with_the_same_settings_finds_the_certificate(
    checkpoint: Path, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("letters",))
    path, found = certify(asked, 4)
    assert path == CERTIFICATES / f"{found.settings_digest}.json"
    then = plain_run(asked, tmp_path / "same").manifest.certificate
    assert then is not None
    assert (then.path, then.n, then.n_flipped) == (str(path), 4, found.n_flipped)
    assert then.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    other = plain_run(asked, tmp_path / "other", dtype="float32").manifest
    assert other.certificate is None
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "results", "same"]


def test_the_samples_are_the_same_ones_each_time_and_depend_on_the_seed(
    checkpoint: Path, tasks: Path, tmp_path: Path
) -> None:
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("words",))
    first, again, other = (
        certify(asked.model_copy(update={"seed": seed}), 4, tmp_path / f"{place}.json")[1]
        for place, seed in enumerate((0, 0, 1))
    )
    assert first.model_copy(update={"made": ""}) == again.model_copy(update={"made": ""})
    assert first.n == other.n == 4
    assert {flip.id for flip in first.flips} != {flip.id for flip in other.flips}


@pytest.mark.parametrize("fields", [{"runner": "random", "model": None}, {"model": None}])
def test_what_has_no_rounding_is_refused(
    checkpoint: Path, tasks: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    with pytest.raises(RunnerError, match=r"has no rounding to certify; .* give --model"):
        certify(settings(checkpoint, tasks, **fields), 4, tmp_path / "c.json")
    assert list(tmp_path.iterdir()) == []


def test_the_report_tells_flips_scores_and_margins(
    checkpoint: Path, tasks: Path, tmp_path: Path
) -> None:
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("words",))
    _, found = certify(asked, 4, tmp_path / "c.json")
    lines = report(found)
    assert lines["flipped"].startswith(f"{found.n_flipped} of 4 answers")
    assert "bfloat16" in lines["settings"]
    assert "sdpa" in lines["settings"]
    assert found.margins is None
    assert "margins" not in lines
    assert math.isclose(found.agreement, 1 - found.n_flipped / 4)
