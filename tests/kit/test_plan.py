"""What is asked: whole tasks that fit into the hours, else samples; settled once."""

from pathlib import Path

import pytest

from tests.kit.made import settings, small_kit
from tests.runs import make_task
from vipbench.console import QUIET, Console
from vipbench.errors import RunError
from vipbench.kit import plan
from vipbench.kit.plan import Choice, Measured, choose, settle
from vipbench.run.loop import run
from vipbench.runfolder import manifest as manifests

HOUR = 3600 / plan.SLACK


def measured(**hours: float) -> dict[str, Measured]:
    """Return tasks of a thousand samples that take some hours."""
    return {name: Measured(n=1000, seconds=each * HOUR / 1000) for name, each in hours.items()}


@pytest.mark.parametrize(
    ("hours", "tasks"),
    [(10, ("long", "short", "middle")), (3.1, ("short", "middle")), (1.5, ("short",))],
)
def test_whole_tasks_come_first_and_the_shortest_of_them(
    hours: float, tasks: tuple[str, ...]
) -> None:
    assert choose(measured(long=5, short=1, middle=2), hours) == Choice(tasks, None)


def test_where_none_fits_as_a_whole_samples_of_each_are_asked() -> None:
    tasks = measured(long=5, short=1, middle=2)
    assert choose(tasks, 0.8) == Choice(("long", "short", "middle"), 100)


def test_hours_in_which_nothing_fits_are_refused() -> None:
    with pytest.raises(RunError, match=r"--hours 0\.001: one sample of each task takes 0\.008 h"):
        choose(measured(long=5, short=1, middle=2), 0.001)


def test_a_probe_measures_what_fits(tmp_path: Path) -> None:
    make_task(tmp_path, n=30)
    said: list[str] = []
    settled = settle(tmp_path / "kit", settings(tmp_path, hours=100), Console(said.append))
    assert (settled.tasks, settled.limit, settled.left_out) == (("own",), None, ())
    assert settled.measured["own"].n == 30
    assert settled.measured["own"].seconds > 0
    assert any(line.startswith("own: about") and line.endswith("asked: all") for line in said)
    probed = manifests.read(tmp_path / "kit" / plan.PROBES / "own")
    assert probed.identity.limit == plan.PROBE


def test_the_plan_is_settled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_task(tmp_path, n=30)
    asked = settings(tmp_path, hours=100)
    first = settle(tmp_path / "kit", asked, QUIET)
    monkeypatch.setattr(plan, "run", None)  # nothing is probed again
    assert settle(tmp_path / "kit", asked, QUIET) == first


def test_a_probe_whose_times_were_lost_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path, n=30)

    def without_times(asked, console):  # type: ignore[no-untyped-def]
        results = run(asked, console)
        if asked.fresh:
            return results
        manifest = results.manifest
        times = manifest.times.model_copy(update={"n_answered": 0, "generate": 0.0})
        return results._replace(manifest=manifest.model_copy(update={"times": times}))

    monkeypatch.setattr(plan, "run", without_times)
    settled = settle(tmp_path / "kit", settings(tmp_path, hours=100), QUIET)
    assert settled.measured["own"].seconds > 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"limit": 3}, r"holds another kit \(limit: None → 3\) · give its settings, another -o"),
        ({"seed": 1}, r"seed: 0 → 1"),
    ],
)
def test_another_kit_in_the_folder_is_refused(
    tmp_path: Path, fields: dict[str, object], said: str
) -> None:
    small_kit(tmp_path, n=4)
    with pytest.raises(RunError, match=said):
        settle(tmp_path / "kit", settings(tmp_path, **fields), QUIET)


def test_hours_and_a_limit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--hours with --limit: one of them"):
        settle(tmp_path / "kit", settings(tmp_path, hours=1, limit=1), QUIET)


def test_all_samples_may_be_said_outright(tmp_path: Path) -> None:
    assert settle(tmp_path / "kit", settings(tmp_path, limit="all"), QUIET).limit is None


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / plan.PLAN).write_text("{}")
    with pytest.raises(RunError, match="is not the plan of a kit"):
        settle(tmp_path / "kit", settings(tmp_path), QUIET)
