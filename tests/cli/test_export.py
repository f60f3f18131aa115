"""`vipbench export` as it is typed, for registries of results and baselines."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import typer
import yaml

from tests.cli.conftest import Vipbench
from tests.exchange.test_results import BLINK, finished, whole


@pytest.fixture
def blink(tmp_path: Path) -> Path:
    return finished(tmp_path / "blink", whole(BLINK), (BLINK,), task={"n_samples": 40})


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put a list in place of the hub."""
    calls: list[dict[str, Any]] = []

    class Api:
        def create_commit(self, **given: Any) -> SimpleNamespace:
            calls.append(given)
            return SimpleNamespace(pr_url="https://hub/discussions/1", commit_url="")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return calls


def test_results_for_the_hub_need_a_data_set(vipbench: Vipbench, done: Path) -> None:
    refused = vipbench("export", done, "hf-eval-results", "-o", "r.yaml")
    assert (refused.code, refused.out) == (2, "")
    assert "no data set on the hub is known for it · name one with --dataset-id" in refused.err
    assert not Path("r.yaml").exists()
    ran = vipbench("export", done, "hf-eval-results", "-o", "r.yaml", "--dataset-id", "me/scenes")
    assert (ran.code, ran.out) == (0, "r.yaml  (6 results)\n")
    assert "synthetic data: not a result of the whole benchmark" in ran.err
    assert len(yaml.safe_load(Path("r.yaml").read_text())) == 6


def test_results_are_shown_before_they_are_sent(
    vipbench: Vipbench, blink: Path, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def decline(text: str, *, default: bool) -> bool:
        shown.append(text)
        return default

    command = ("export", blink, "hf-eval-results", "-o", "r.yaml", "--push", "me/model")
    unasked = vipbench(*command)
    assert unasked.code == 2
    assert "nobody is here to be asked · --yes sends it unasked" in unasked.err
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(typer, "confirm", decline)
    no = vipbench(*command)
    assert (no.code, sent, shown) == (0, [], ["Send it?"])
    assert "to me/model, as a pull request: .eval_results/r.yaml" in no.out
    assert "id: BLINK-Benchmark/BLINK" in no.out
    assert "nothing was sent" in no.err
    yes = vipbench(*command, "--yes")
    assert (yes.code, len(sent), shown) == (0, 1, ["Send it?"])
    assert yes.out.endswith("https://hub/discussions/1\n")


def test_nothing_is_sent_by_a_variable(
    vipbench: Vipbench, blink: Path, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_EXPORT_PUSH", "me/model")
    monkeypatch.setenv("VIPBENCH_EXPORT_YES", "1")
    assert vipbench("export", blink, "hf-eval-results", "-o", "r.yaml").code == 0
    assert sent == []


def test_a_part_of_a_benchmark_is_not_sent(
    vipbench: Vipbench, tmp_path: Path, sent: list[Any]
) -> None:
    some = finished(tmp_path / "some", whole(BLINK), (BLINK,), task={"n_samples": 124})
    command = ("export", some, "hf-eval-results", "-o", "r.yaml", "--push", "me/model", "--yes")
    refused = vipbench(*command)
    assert (refused.code, sent) == (2, [])
    assert "not a result of the whole benchmark · complete the run" in refused.err
    assert not Path("r.yaml").exists()
    assert vipbench(*command, "--partial").code == 0
    assert "40 of 124 samples asked" in sent[0]["operations"][0].path_or_fileobj.decode()


def test_a_card_and_a_log_are_written(vipbench: Vipbench, done: Path) -> None:
    card = vipbench("export", done, "model-card", "-o", "card.md", "--task", "vcr_qa")
    assert (card.code, card.out) == (0, "card.md  (1 result)\n")
    assert "## Visual prompts (vipbench)" in Path("card.md").read_text()
    log = vipbench("export", done, "every-eval-ever", "-o", "eee", "--model-id", "me/oracle")
    assert log.code == 0
    assert "(6 results, 30 samples)" in log.out
    assert len(list(Path("eee/data/vipbench/me/oracle").iterdir())) == 2
    joint = vipbench("export", done, "every-eval-ever", "-o", "joint", "--task", "vcr_q2ar")
    assert "(1 result, 0 samples)" in joint.out  # it has no answers of its own
    assert [path.suffix for path in Path("joint").rglob("*.*")] == [".json"]


def test_a_baseline_takes_the_place_of_the_base_run(
    vipbench: Vipbench, folders: tuple[str, str]
) -> None:
    ran = vipbench("export", folders[0], "baseline", "-o", "base.jsonl.gz")
    assert (ran.code, ran.out) == (0, "base.jsonl.gz  (200 scores)\n")
    by_run = vipbench("gate", *folders)
    by_file = vipbench("gate", folders[1], "--base-summary", "base.jsonl.gz")
    assert by_file.code == by_run.code == 1
    assert by_file.err.splitlines()[-1] == by_run.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["baseline", "--task", BLINK], "--task: means nothing to format baseline · expected with"),
        (["csv", "--dataset-id", "a/b"], "--dataset-id: means nothing to format csv"),
        (["model-card", "--partial"], "--partial: means nothing to format model-card"),
        (["csv", "--model-id", "a/b"], "--model-id: means nothing to format csv"),
        (["hf-eval-results", "--yes"], "--yes: there is nothing to confirm"),
        (["hf-eval-results", "--push", "x"], "--push 'x': is not an id of the hub"),
        (["every-eval-ever", "--model-id", "../../x"], "can be no folder's name"),
        (["hf-eval-results", "--task", "blink"], "--task 'blink' is not in this run"),
    ],
)
def test_what_means_nothing_is_refused(
    vipbench: Vipbench, blink: Path, arguments: list[str], said: str
) -> None:
    ran = vipbench("export", blink, arguments[0], "-o", "x.yaml", *arguments[1:])
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert not Path("x.yaml").exists()
