"""Names of models and runs: nothing is ever two things under one name."""

from pathlib import Path
from typing import Any

import pytest

from tests.small_runs import manifest, task
from vipbench.report import names
from vipbench.report.names import (
    Called,
    called,
    display_names,
    in_order,
    name_of_folder,
    run_labels,
    short_weights,
    step_of,
)
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.manifest import Identity, Manifest
from vipbench.runfolder.name_file import write_name
from vipbench.schema import PromptStyle

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def made(model: str = "vip", weights: str | None = 64 * "a", **fields: Any) -> Manifest:
    """Make the manifest of a run; `name`, `path` and `limit` are its own."""
    keys = ("name", "path", "model_path", "step")
    own = {key: fields.pop(key) for key in keys if key in fields}
    changes: dict[str, Any] = {
        key: fields.pop(key)
        for key in ("limit", "runner", "ids", "styles", "requests")
        if key in fields
    }
    settings = {"weights": weights, **fields.pop("settings", {})}
    new = manifest({"own": task(1)}, model=model, settings=settings, **fields)
    identity = new.identity.model_copy(update=changes)
    return new.model_copy(update=own | {"identity": identity})


def run(
    model: str = "vip", weights: str | None = 64 * "a", given: str | None = None, **fields: Any
) -> Called:
    """Make a run that nobody but the code has named, or that is called what is `given`."""
    new = made(model, weights, **fields)
    name = given or new.name or new.identity.model
    return Called(new, name, new.step, given is not None)


def checkpoint(path: str, weights: str, **fields: Any) -> Called:
    """Make the run of the model in a folder."""
    name = name_of_folder(Path(path))
    return run(Path(path).name, 64 * weights, name=name, model_path=path, **fields)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("vip-llava-7b", "vip-llava-7b"),
        ("expA/checkpoint-500", "expA/checkpoint-500"),
        ("expA/checkpoint-500/last", "expA/checkpoint-500/last"),
        ("expA/checkpoints/step_100", "expA/checkpoints/step_100"),
        ("expA/step1000-unsharded", "expA/step1000-unsharded"),
        ("expA/epoch=3-step=500", "expA/epoch=3-step=500"),
        ("expA/global_step20", "expA/global_step20"),
        ("expA/best", "expA/best"),
        ("expA/final", "expA/final"),
        (f"expA/{COMMIT}", f"expA/{COMMIT}"),
        (f"hub/models--org--some--name/snapshots/{COMMIT}", "org/some--name"),
        (f"hub/models--org--name/snapshots/{COMMIT}/last", "org/name/last"),
        ("stepwise", "stepwise"),
        ("best-of-three", "best-of-three"),
    ],
)
def test_a_folder_that_tells_too_little_is_named_with_those_above(
    tmp_path: Path, folder: str, name: str
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert name_of_folder(tmp_path / folder) == name


def test_a_link_is_named_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "a" / "checkpoint-500").mkdir(parents=True)
    (tmp_path / "best").symlink_to(tmp_path / "a" / "checkpoint-500")
    assert name_of_folder(tmp_path / "best") == "a/checkpoint-500"
    assert name_of_folder(Path("/")) == ""


def test_one_name_is_one_set_of_weights() -> None:
    runs = [
        run(),
        run(seed=1),
        run(weights=64 * "b"),
        run("other"),
        run("checkpoint-500", name="expA/checkpoint-500"),
        run("oracle", weights=None),
        run("oracle", weights=64 * "c"),
        run("answers", weights=64 * "d", runner="imported", given="imported"),
        run("answers", weights=64 * "e", runner="imported", given="imported"),
    ]
    assert display_names(runs) == [
        "vip (weights aaaaaaaa)",
        "vip (weights aaaaaaaa)",
        "vip (weights bbbbbbbb)",
        "other",
        "expA/checkpoint-500",
        "oracle",
        "oracle (weights cccccccc)",
        "imported (answers dddddddd)",
        "imported (answers eeeeeeee)",
    ]
    assert display_names(runs[:2]) == ["vip", "vip"]


def test_what_has_no_weights_is_told_apart_by_what_it_was_before_it_was_named() -> None:
    runs = [run(model, None, "X", runner=model) for model in ("majority", "constant")]
    assert display_names(runs) == ["X (majority)", "X (constant)"]
    assert display_names([run("X", None), runs[0]]) == ["X", "X (majority)"]
    assert display_names([runs[0], runs[0]]) == ["X", "X"]
    assert display_names([runs[0], run("X")]) == ["X (majority)", "X (weights aaaaaaaa)"]


def test_the_shortest_tail_that_tells_two_folders_apart_is_the_name() -> None:
    one, two = checkpoint("/a/exp/checkpoint-5", "a"), checkpoint("/b/exp/checkpoint-5", "b")
    assert (one.name, two.name) == 2 * ("exp/checkpoint-5",)
    assert display_names([one, two]) == ["a/exp/checkpoint-5", "b/exp/checkpoint-5"]
    assert display_names([one, checkpoint("/c/other/checkpoint-5", "c")]) == [
        "exp/checkpoint-5",
        "other/checkpoint-5",
    ]
    again = checkpoint("/copy/exp/checkpoint-5", "a")
    assert display_names([one, again]) == 2 * ["exp/checkpoint-5"]
    assert display_names([one, again, two])[1:] == ["a/exp/checkpoint-5", "b/exp/checkpoint-5"]
    overwritten = checkpoint("/a/exp/checkpoint-5", "c")
    assert display_names([one, overwritten]) == [
        "exp/checkpoint-5 (weights aaaaaaaa)",
        "exp/checkpoint-5 (weights cccccccc)",
    ]


def test_an_adapter_keeps_its_base_in_front_of_a_longer_tail() -> None:
    runs = [
        run("vip+lora", 64 * letter, name="vip+exp/final", model_path=f"/{letter}/exp/final")
        for letter in "ab"
    ]
    assert display_names(runs) == ["vip+a/exp/final", "vip+b/exp/final"]


def test_snapshots_of_one_repository_are_told_apart_by_their_revision() -> None:
    hub = "/hub/models--org--name/snapshots"
    one, two = checkpoint(f"{hub}/{COMMIT}", "a"), checkpoint(f"{hub}/{COMMIT[::-1]}", "b")
    assert display_names([one, run("other")]) == ["org/name", "other"]
    assert display_names([one, two]) == [
        "org/name (revision 01234567)",
        "org/name (revision 76543210)",
    ]


def test_a_snapshot_and_a_folder_of_one_name_are_told_apart_by_weights() -> None:
    one = checkpoint(f"/hub/models--org--name/snapshots/{COMMIT}", "a")
    assert display_names([one, checkpoint("/org/name", "b")._replace(name="org/name")]) == [
        "org/name (weights aaaaaaaa)",
        "org/name (weights bbbbbbbb)",
    ]


def test_a_name_that_somebody_gave_is_told_apart_by_step_then_by_weights() -> None:
    runs = [checkpoint(f"/a/checkpoint-{n}", w, step=n) for n, w in ((5, "a"), (10, "b"))]
    named = [each._replace(name="expA", is_given=True) for each in runs]
    assert display_names(named) == ["expA (step 5)", "expA (step 10)"]
    assert display_names([named[0], named[1]._replace(step=5)]) == [
        "expA (weights aaaaaaaa)",
        "expA (weights bbbbbbbb)",
    ]
    assert display_names([named[0], named[1]._replace(step=None)]) == [
        "expA (weights aaaaaaaa)",
        "expA (weights bbbbbbbb)",
    ]


def test_a_label_never_takes_the_name_of_another_model() -> None:
    runs = [run(given="x"), run(weights=64 * "b", given="x"), run("y", 64 * "c", "x (step 1)")]
    steps = [each._replace(step=n) for n, each in enumerate(runs, 1)]
    assert display_names(steps) == [
        "x (weights aaaaaaaa)",
        "x (weights bbbbbbbb)",
        "x (step 1)",
    ]


def test_checkpoints_of_one_training_stand_in_the_order_of_their_steps() -> None:
    runs = [
        checkpoint(f"/t/{name}", letter, step=step)
        for name, letter, step in (
            ("expA/checkpoint-1000", "a", 1000),
            ("other", "b", None),
            ("expA/checkpoint-200", "c", 200),
            ("expB/checkpoint-5", "d", 5),
            ("expA/checkpoint-600", "e", 600),
        )
    ]
    assert [runs[n].step for n in in_order(runs)] == [200, 600, 1000, None, 5]
    twins = [checkpoint(f"/{t}/exp/checkpoint-{n}", t, step=n) for n in (2, 1) for t in "ab"]
    assert in_order(twins) == [2, 0, 3, 1]
    named = [run(given="mine")._replace(step=step) for step in (3, None, 1)]
    assert in_order(named) == [1, 2, 0]


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("expA/checkpoint-600", 600),
        ("checkpoint-600", 600),
        ("base+expA/checkpoint-600", 600),
        ("expA/checkpoint-600/last", 600),
        ("expA/global_step20", 20),
        ("expA/epoch=3-step=500", 500),
        ("expA/final", None),
        ("checkpoint-600/expA", None),
        ("vip-llava-7b", None),
        ("expA/checkpoint-best", None),
    ],
)
def test_the_step_that_a_name_tells(name: str, step: int | None) -> None:
    assert step_of(name) == step


def test_what_somebody_says_goes_before_what_the_folder_tells(tmp_path: Path) -> None:
    known = made("checkpoint-5", name="expA/checkpoint-5", step=5)
    assert called(tmp_path, known) == Called(known, "expA/checkpoint-5", 5)
    older = made("checkpoint-5", name="expA/checkpoint-5")
    assert called(tmp_path, older).step == 5
    live = made("checkpoint-5", name="expA/checkpoint-5", settings={"processor": 64 * "f"})
    assert called(tmp_path, live).step is None
    write_name(tmp_path, name="B/checkpoint-7")
    assert called(tmp_path, known) == Called(known, "B/checkpoint-7", 7, is_given=True)
    write_name(tmp_path, step=0)
    assert called(tmp_path, known) == Called(known, "B/checkpoint-7", 0, is_given=True)


def test_a_short_digest_is_as_long_as_it_takes() -> None:
    runs = [made(weights=first + 56 * "0") for first in ("aaaaaaaa", "aaaaaaab", "bbbbbbbb")]
    assert short_weights(runs) == ["aaaaaaaa", "aaaaaaab", "bbbbbbbb"]
    runs.append(made(weights="aaaaaaaa1" + 55 * "0"))
    assert short_weights(runs) == ["aaaaaaaa0", "aaaaaaab0", "bbbbbbbb0", "aaaaaaaa1"]
    assert short_weights([made(weights=None)]) == [None]


def test_only_a_repetition_is_numbered() -> None:
    protocol = "hf, greedy, float32, seed 0"
    assert run_labels([run(), run("other")]) == ["vip", "other"]
    assert run_labels([run(), run(seed=1)]) == [
        f"vip ({protocol})",
        "vip (hf, greedy, float32, seed 1)",
    ]
    assert run_labels([run(), run()]) == [f"vip ({protocol}) (run 1)", f"vip ({protocol}) (run 2)"]
    assert run_labels([run(), run(limit=20), run(path="fast"), run(path="reference")]) == [
        f"vip ({protocol}) (no limit)",
        f"vip ({protocol}) (limit 20)",
        f"vip ({protocol}) (path fast, no limit)",
        f"vip ({protocol}) (path reference, no limit)",
    ]
    [one, two] = run_labels([run(ids=("a",)), run(ids=("b",))])
    assert (one, two) == (f"vip ({protocol}) (id a)", f"vip ({protocol}) (id b)")
    styles = {"own": (PromptStyle(name="demo"), PromptStyle(name="none", kind="none"))}
    few = run(styles={"own": styles["own"][:1]})
    assert run_labels([few, run(styles=styles)]) == [
        f"vip ({protocol}) (style demo)",
        f"vip ({protocol}) (styles demo, none)",
    ]
    labels = run_labels([run(requests={"own": digit * 64}) for digit in "ab"])
    assert len({*labels}) == 2
    assert all(label.startswith(f"vip ({protocol}) (of 20") for label in labels)
    assert not any("identity" in label for label in labels)


def test_what_sets_runs_apart_is_looked_up_once_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    digest = manifests.identity_digest

    def counted(identity: Identity) -> str:
        looked_up.append(identity.model)
        return digest(identity)

    monkeypatch.setattr(names, "identity_digest", counted)
    runs = [run(limit=number) for number in range(1, 9)]
    assert len({*run_labels(runs)}) == len(runs)
    assert len(looked_up) == len(runs)
