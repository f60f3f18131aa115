"""The three ways answer alike, whatever the model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.conftest import make_job
from tests.models import save_checkpoint
from vipbench.bench.records import WAYS, Answered, Job, JobKind, WayName
from vipbench.bench.way import Way
from vipbench.bench.way_transformers import Transformers
from vipbench.bench.way_vipbench import Vipbench
from vipbench.bench.ways import measure
from vipbench.runfolder.trials_file import Trials


def ask_all_ways(job: Job) -> list[tuple[Answered, ...]]:
    answers = []
    for way in WAYS:
        folder = job.requests.parent / way
        folder.mkdir()
        answers.append(measure(job.model_copy(update={"way": way}), folder).answers)
    return answers


@pytest.mark.usefixtures("threads")
def test_a_random_model_is_asked_prompts_and_answers_of_the_lengths_asked_for(
    tmp_path: Path,
) -> None:
    job = make_job(tmp_path, (3, 5), random="tiny", prompt_tokens=150, one_limit=True)
    measure(job.model_copy(update={"kind": "lengthen"}), tmp_path)
    ours, official, usual = ask_all_ways(job.model_copy(update={"repeat": 2}))
    assert ours == official == usual
    assert [answer.n_new for answer in ours] == [3, 5, 3, 5]
    assert [answer.n_passes for answer in ours] == [2, 4, 2, 4]
    assert all(150 <= answer.n_prompt <= 151 for answer in ours)
    assert ours[:2] == ours[2:]  # asked twice
    assert all(answer.text for answer in ours)


@pytest.mark.usefixtures("threads")
def test_a_checkpoint_of_ones_own_is_answered_alike(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "mine")
    job = make_job(tmp_path, (4, 4), model=folder)
    ours, official, usual = ask_all_ways(job)
    assert ours == official == usual
    assert len(ours) == 2


@pytest.mark.parametrize("kind", ["run", "tune"])
@pytest.mark.parametrize("way", [Vipbench, Transformers])
@pytest.mark.usefixtures("threads")
def test_a_process_answers_some_samples_before_its_clock_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: type[Way], kind: JobKind
) -> None:
    calls: list[tuple[str, int]] = []

    def noted(name: str, do: Callable[..., None]) -> Callable[..., None]:
        def call(self: Way, trials: Trials, *rest: object) -> None:
            calls.append((name, len(trials)))
            do(self, trials, *rest)

        return call

    for name in ("warm_up", "answer"):
        monkeypatch.setattr(way, name, noted(name, getattr(way, name)))
    monkeypatch.setattr("vipbench.bench.ways._N_WARM", 2)
    which: WayName = "vipbench" if way is Vipbench else "usual"
    job = make_job(tmp_path, (2,) * 3, random="tiny", kind=kind, way=which, batch_sizes=(2,))
    outcome = measure(job, tmp_path)
    # Warming up is answering, too.
    assert calls[:3] == [("warm_up", 2), ("answer", 2), ("answer", 3)]
    assert ("warm_up", 2) not in calls[1:]
    if kind == "run":
        assert len(outcome.answers) == 3
        assert len(calls) == 3
