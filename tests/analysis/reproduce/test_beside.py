from pathlib import Path
from typing import Any

import pytest

from tests.analysis.reproduce.made import VIP_7B, VIP_13B
from tests.results import line, manifest, save_scores, task_run
from vipbench import files
from vipbench.analysis.reproduce import text
from vipbench.analysis.reproduce.verdicts import reproduce
from vipbench.errors import RunError
from vipbench.runfolder.folder import JUDGE

TASK = "vip_bench_bbox"
N = 40


def graded(folder: Path, model: str, values: list[float | None], judge: str = "qwen") -> Path:
    made = manifest(model, {TASK: task_run(TASK, n_samples=N, breakdown=("capability",))})
    scores = [
        line(
            TASK,
            f"v1_{n}",
            value,
            metric="judge",
            group=f"image{n // 2}",
            tags={"capability": ("rec",) if n % 2 else ("rec", "ocr")},
            error=None,
            ungraded=None if value is not None else "no score",
        )
        for n, value in enumerate(values)
    ]
    save_scores(folder, made, scores)
    about: dict[str, Any] = {
        "judge": {"model": judge, "prompt_digest": "ab"},
        "models_returned": {judge: N},
        "comparable": False,
        "not_comparable": [f"the judge is {judge}"],
    }
    files.write_json(folder / JUDGE, about)
    return folder


def values(offset: float) -> list[float | None]:
    return [0.1 * (n % 7) + offset * (n % 2) for n in range(N)]


def test_the_paired_difference_stands_beside_the_published_one(tmp_path: Path) -> None:
    released = graded(tmp_path / "released", VIP_7B, values(0))
    run = graded(tmp_path / "run", VIP_13B, values(0.1))
    found = reproduce([run], released=released)
    (one,) = [each for each in found.beside if each.group == "all"]
    assert one.points == pytest.approx(5)
    assert one.ci_low < 5 < one.ci_high
    assert (one.n, one.n_clusters, one.judge) == (N, N // 2, "qwen")
    assert one.ours is not None
    assert (one.ours.value, one.theirs.value) == (48.3, 48.4)
    assert one.published == pytest.approx(-0.1)
    assert one.is_inside
    assert all(each.verdict == "not comparable" for each in found.comparisons)
    [said] = [text.beside_text(each) for each in found.beside if each.group == "all"]
    assert "run minus" in said
    assert "both graded by qwen: +5.0 [" in said
    assert "published: -0.1 (ViP-LLaVA-13B 48.3 - ViP-LLaVA-7B 48.4), inside" in said
    assert "## Beside released answers" in text.markdown(found)


def test_a_difference_that_was_not_published_is_outside(tmp_path: Path) -> None:
    released = graded(tmp_path / "released", VIP_7B, [0.1] * N)
    run = graded(tmp_path / "run", VIP_13B, [0.5] * N)
    found = reproduce([run], released=released)
    (one,) = [each for each in found.beside if each.group == "all"]
    assert one.is_inside is False
    assert text.beside_text(one).endswith("ViP-LLaVA-7B 48.4), outside")
    assert not found.verdicts("outside")  # it decides nothing


def test_a_model_without_a_published_number(tmp_path: Path) -> None:
    released = graded(tmp_path / "released", VIP_7B, values(0))
    run = graded(tmp_path / "run", "my/own", values(0))
    found = reproduce([run, released], released=released)
    (one,) = found.beside
    assert (one.ours, one.published, one.is_inside) == (None, None, None)
    assert "no published number is known of my/own" in text.markdown(found)


def test_samples_without_a_grade_are_left_out(tmp_path: Path) -> None:
    released = graded(tmp_path / "released", VIP_7B, [None, *values(0)[1:]])
    run = graded(tmp_path / "run", VIP_13B, values(0.1))
    (one,) = [each for each in reproduce([run], released=released).beside if each.group == "all"]
    assert one.n == N - 1


def test_other_judges_are_never_subtracted(tmp_path: Path) -> None:
    released = graded(tmp_path / "released", VIP_7B, values(0), judge="gpt-5")
    run = graded(tmp_path / "run", VIP_13B, values(0))
    with pytest.raises(RunError, match="the judge is gpt-5 in one, qwen in the other"):
        reproduce([run], released=released)


def test_released_answers_have_a_published_number(tmp_path: Path) -> None:
    run = graded(tmp_path / "run", VIP_13B, values(0))
    with pytest.raises(RunError, match="no published grade is about my/own · import"):
        reproduce([run], released=graded(tmp_path / "other", "my/own", values(0)))


def test_nothing_stands_beside_without_released_answers(tmp_path: Path) -> None:
    assert reproduce([graded(tmp_path / "run", VIP_13B, values(0))]).beside == ()
