"""Names of models and runs: nothing is ever two things under one name."""

from pathlib import Path
from typing import Any

import pytest

from tests.small_runs import manifest, task
from vipbench.report.names import display_names, name_of_folder, run_labels, short_weights
from vipbench.runfolder.manifest import Manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def run(model: str = "vip", weights: str | None = 64 * "a", **fields: Any) -> Manifest:
    """Make the manifest of a run; `name`, `path` and `limit` are its own."""
    own = {key: fields.pop(key) for key in ("name", "path") if key in fields}
    changes: dict[str, Any] = {
        key: fields.pop(key) for key in ("limit", "runner", "ids") if key in fields
    }
    made = manifest({"own": task(1)}, model=model, settings={"weights": weights}, **fields)
    identity = made.identity.model_copy(update=changes)
    return made.model_copy(update=own | {"identity": identity})


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
    ]
    assert display_names(runs) == [
        "vip [aaaaaa]",
        "vip [aaaaaa]",
        "vip [bbbbbb]",
        "other",
        "expA/checkpoint-500",
        "oracle",
        "oracle [cccccc]",
    ]
    assert display_names(runs[:2]) == ["vip", "vip"]


def test_what_has_no_weights_is_told_apart_by_what_it_was_before_it_was_named() -> None:
    runs = [run(model, None, runner=model, name="X") for model in ("majority", "constant")]
    assert display_names(runs) == ["X [majority]", "X [constant]"]
    assert display_names([run("X", None), runs[0]]) == ["X", "X [majority]"]
    assert display_names([runs[0], runs[0]]) == ["X", "X"]
    assert display_names([runs[0], run("X")]) == ["X [majority]", "X [aaaaaa]"]


def test_a_short_digest_is_as_long_as_it_takes() -> None:
    runs = [run(weights=first + 58 * "0") for first in ("aaaaaa", "aaaaab", "bbbbbb")]
    assert short_weights(runs) == ["aaaaaa", "aaaaab", "bbbbbb"]
    runs.append(run(weights="aaaaaa1" + 57 * "0"))
    assert short_weights(runs) == ["aaaaaa0", "aaaaab0", "bbbbbb0", "aaaaaa1"]
    assert short_weights([run(weights=None)]) == [None]


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
    assert one != two
    assert one.startswith(f"vip ({protocol}) (identity ")
