import hashlib
import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.models import build_model, save_checkpoint, save_family
from tests.runs import make_pairs, make_task
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
    usual: dict[str, Any] = {
        "model": str(checkpoint),
        "tasks": ("letters", "words"),
        "include": (folder,),
        "device": "cpu",
        "batch_size": 5,
    }
    return RunSettings(**(usual | fields))


@pytest.fixture(scope="module")
def few_words(
    checkpoint: Path, tasks: Path, tmp_path_factory: pytest.TempPathFactory
) -> Certificate:
    """Certify bfloat16 on four open questions, chosen by seed 0."""
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("words",))
    return certify(asked, 4, tmp_path_factory.mktemp("words") / "c.json")[1]


def plain_run(asked: RunSettings, out: Path, **changes: Any) -> Results:
    """Run as the certificate says it did, but on its own."""
    limit = {"limit": N_SAMPLES, "styles": None, "max_errors": 1.0, "out": out}
    return run(asked.model_copy(update=limit | changes))


def test_in_float32_no_answer_flips(checkpoint: Path, tasks: Path, tmp_path: Path) -> None:
    path, certificate = certify(settings(checkpoint, tasks), 2 * N_SAMPLES, tmp_path / "c.json")
    assert (certificate.dtype, certificate.n, certificate.n_flipped, certificate.flips) == (
        "float32",
        24,
        0,
        (),
    )
    assert (certificate.agreement, certificate.agreement_high) == (1, 1)
    assert 0 < certificate.agreement_low < 1
    assert (certificate.n_rescored, certificate.n_gained, certificate.n_lost) == (0, 0, 0)
    assert (certificate.path, certificate.path_reference) == ("fast", "reference")
    assert certificate.batch_size == 5
    assert certificate.margins is not None
    assert certificate.margins.n == N_SAMPLES
    assert certificate.margins.max_shift < 1e-4
    assert Certificate.model_validate(files.read_json(path)) == certificate


def test_in_bfloat16_the_flips_are_those_of_two_runs(
    checkpoint: Path, tasks: Path, tmp_path: Path
) -> None:
    asked = settings(checkpoint, tasks, dtype="bfloat16")
    _, certificate = certify(asked, 2 * N_SAMPLES, tmp_path / "c.json")
    reference = plain_run(asked, tmp_path / "a", dtype="float32", batch_size=1, path="reference")
    certified = plain_run(asked, tmp_path / "b")
    before, after = (
        answers_file.read_responses(results.path / RESPONSES) for results in (reference, certified)
    )
    texts = {name: (before[name].text, after[name].text) for name in before}
    flips = {name: pair for name, pair in texts.items() if pair[0] != pair[1]}
    assert flips
    assert {
        (flip.task, flip.style, flip.id): (flip.text_reference, flip.text)
        for flip in certificate.flips
    } == flips
    assert certificate.n_flipped == len(flips)
    assert certificate.agreement == pytest.approx(1 - len(flips) / 24)
    assert certificate.settings_digest == certified.manifest.settings_digest
    assert certificate.plan_digest == certified.manifest.plan_digest
    assert certificate.weights == certified.manifest.identity.settings.weights
    margins, moves = [], []
    for name in before:
        old, new = before[name].option_logprobs, after[name].option_logprobs
        if old and new:
            best, second = sorted(old, reverse=True)[:2]
            margins.append(best - second)
            moves.append([y - x for x, y in zip(old, new, strict=True)])
    assert certificate.margins is not None
    assert certificate.margins.n == len(margins) == N_SAMPLES
    assert certificate.margins.quantiles["0.5"] == pytest.approx(statistics.median(margins))
    assert certificate.margins.max_shift == max(abs(move) for row in moves for move in row)
    reach = max(max(row) - min(row) for row in moves)
    assert certificate.margins.max_margin_shift == reach > 1e-4
    assert (
        certificate.margins.share_within == sum(margin <= reach for margin in margins) / N_SAMPLES
    )


def test_scores_that_change_are_counted_in_both_directions(
    checkpoint: Path, tasks: Path, tmp_path: Path
) -> None:
    """The targets are made the answers of either run, so that a flip gains or loses."""
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("words",), styles="demo")
    _, certificate = certify(asked, N_SAMPLES, tmp_path / "c.json")
    assert certificate.n_flipped >= 2
    targets = {}
    for i, flip in enumerate(certificate.flips):
        targets[flip.id] = flip.text_reference if i == 0 else flip.text
    usable = {id_ for id_, text in targets.items() if text and text.strip()}
    assert certificate.flips[0].id in usable
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
    assert [flip.id for flip in scored.flips] == [flip.id for flip in certificate.flips]
    lost = [flip.id for flip in scored.flips if (flip.value_reference, flip.value) == (1, 0)]
    gained = [flip.id for flip in scored.flips if (flip.value_reference, flip.value) == (0, 1)]
    assert lost == [certificate.flips[0].id]
    assert gained
    assert (scored.n_lost, scored.n_gained) == (1, len(gained))
    assert scored.n_rescored == 1 + len(gained)


def test_an_error_in_place_of_an_answer_is_a_flip(tasks: Path, tmp_path: Path) -> None:
    model = build_model()
    model.lm_head.weight.data *= 1e6  # beyond what float16 can hold
    checkpoint = save_checkpoint(tmp_path / "wide", model)
    asked = settings(checkpoint, tasks, dtype="float16", tasks=("letters",))
    _, certificate = certify(asked, 4, tmp_path / "c.json")
    assert (certificate.n, certificate.n_flipped, certificate.n_rescored) == (4, 4, 4)
    assert (certificate.n_gained, certificate.n_lost) == (0, 0)
    assert all(flip.text is None and "float16" in str(flip.error) for flip in certificate.flips)
    assert certificate.agreement == 0


def test_a_run_with_the_same_settings_finds_the_certificate(
    checkpoint: Path, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("letters",))
    path, certificate = certify(asked, 4)
    assert path == CERTIFICATES / f"{certificate.settings_digest}.json"
    noted = plain_run(asked, tmp_path / "same", limit=1).manifest.certificate
    assert noted is not None
    assert (noted.path, noted.n, noted.n_flipped) == (str(path), 4, certificate.n_flipped)
    assert noted.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    other = plain_run(asked, tmp_path / "other", limit=1, dtype="float32").manifest
    assert other.certificate is None
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other", "results", "same"]


def test_the_samples_are_the_same_ones_each_time_and_depend_on_the_seed(
    checkpoint: Path, tasks: Path, tmp_path: Path, few_words: Certificate
) -> None:
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("words",))
    again, other = (
        certify(asked.model_copy(update={"seed": seed}), 4, tmp_path / f"{seed}.json")[1]
        for seed in (0, 1)
    )
    assert few_words.model_copy(update={"made": ""}) == again.model_copy(update={"made": ""})
    assert few_words.n == other.n == 4
    assert {flip.id for flip in few_words.flips} != {flip.id for flip in other.flips}


@pytest.mark.parametrize("fields", [{"runner": "random", "model": None}, {"model": None}])
def test_what_has_no_rounding_is_refused(
    checkpoint: Path, tasks: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    with pytest.raises(RunnerError, match=r"has no rounding to certify · .* give --model"):
        certify(settings(checkpoint, tasks, **fields), 4, tmp_path / "c.json")
    assert list(tmp_path.iterdir()) == []


def test_several_images_are_certified_where_the_runner_takes_them(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = make_pairs(tmp_path / "tasks")
    model = save_family(tmp_path / "llava", "llava", list(range(2, 400, 9)))
    own: dict[str, Any] = {"tasks": ("own",), "runner": "hf"}
    asked = settings(model, pairs, dtype="bfloat16", styles="demo", **own)
    made = certify(asked, 4, tmp_path / "c.json")[1]
    before, after = (
        plain_run(asked, tmp_path / name, styles="demo", **changes)
        for name, changes in (("a", {"dtype": "float32", "batch_size": 1}), ("b", {}))
    )
    texts, others = (
        {name: line.text for name, line in answers_file.read_responses(at.path / RESPONSES).items()}
        for at in (before, after)
    )
    assert made.n == len(texts) == 4
    assert made.n_flipped == sum(texts[name] != others[name] for name in texts)
    monkeypatch.setattr("vipbench.run.loop.load", None)
    refused = r"own: 4 questions show several images · runner vipllava takes one, since the model"
    asked = settings(checkpoint, pairs, styles="demo", **own | {"runner": "vipllava"})
    with pytest.raises(RunnerError, match=refused):
        certify(asked, 4, tmp_path / "d.json")
    assert not (tmp_path / "d.json").exists()


def test_an_unknown_dtype_is_refused_before_anything_is_asked(
    checkpoint: Path, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vipbench.certify.run", None)
    with pytest.raises(RunnerError, match="float8"):
        certify(settings(checkpoint, tasks, dtype="float8"), 4, tmp_path / "c.json")


def test_the_report_shows_flips_and_scores(few_words: Certificate) -> None:
    lines = report(few_words)
    assert lines["flipped"].startswith(f"{few_words.n_flipped} of 4 answers")
    assert "bfloat16" in lines["settings"]
    assert "sdpa" in lines["settings"]
    assert few_words.margins is None
    assert "margins" not in lines
    assert math.isclose(few_words.agreement, 1 - few_words.n_flipped / 4)


def test_runs_in_a_given_folder_go_on(
    checkpoint: Path, tasks: Path, few_words: Certificate, tmp_path: Path
) -> None:
    """What an earlier command has answered is taken from there, and nothing is asked again."""
    asked = settings(checkpoint, tasks, dtype="bfloat16", tasks=("words",))
    first = certify(asked, 4, tmp_path / "c.json", scratch=tmp_path / "runs")[1]
    answers = [tmp_path / "runs" / name / RESPONSES for name in ("reference", "certified")]
    before = [path.stat().st_mtime_ns for path in answers]
    again = certify(asked, 4, tmp_path / "c.json", scratch=tmp_path / "runs")[1]
    assert [path.stat().st_mtime_ns for path in answers] == before
    assert first.flips == again.flips == few_words.flips
