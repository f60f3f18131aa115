from pathlib import Path
from typing import Any

import pytest

from vipbench import environment, files
from vipbench.errors import RunError
from vipbench.runfolder import folder
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.manifest import Identity, Manifest, Settings, TaskRun
from vipbench.schema import PromptStyle, Trial

SETTINGS = Settings(weights="a" * 64, prompt_format="hf", dtype="float32", decoding="greedy")
RED = PromptStyle(name="red", title="A title", shapes=("rectangle",), colors=("red",), alpha=128)


def identity(**changes: Any) -> Identity:
    same = Identity(
        suite="paper",
        tasks={"vcr_qa": 1},
        styles={"vcr_qa": (RED,)},
        seed=0,
        limit=None,
        ids=(),
        fits={"vcr_qa": "pad"},
        runner="vipllava",
        model="owner/name",
        settings=SETTINGS,
        requests={"vcr_qa": "b" * 64},
    )
    return same.model_copy(update=changes)


def manifest() -> Manifest:
    return Manifest(
        run_id=manifests.run_id(identity()),
        identity=identity(),
        settings_digest=manifests.settings_digest(SETTINGS),
        tasks={
            "vcr_qa": TaskRun(version=1, kind="choice", headline="red", fit="pad", n_samples=3),
        },
        n_requests=3,
        batch_size=4,
        plan_digest="c" * 64,
        versions=environment.versions(),
        commit=None,
        dirty=None,
        started="2026-01-01T00:00:00+00:00",
    )


CHANGES: list[dict[str, Any]] = [
    {"suite": "demo"},
    {"tasks": {"vcr_qa": 2}},
    {"styles": {"vcr_qa": (RED.model_copy(update={"alpha": 255}),)}},
    {"seed": 1},
    {"limit": 5},
    {"ids": ("a", "b")},
    {"fits": {"vcr_qa": "squash"}},
    {"runner": "package.module:Class"},
    {"model": "owner/other"},
    {"settings": SETTINGS.model_copy(update={"weights": "d" * 64})},
    {"settings": SETTINGS.model_copy(update={"dtype": "float16"})},
    {"requests": {"vcr_qa": "e" * 64}},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_moves_a_score_makes_another_run(change: dict[str, Any]) -> None:
    then, now = identity(), identity(**change)
    assert manifests.run_id(now) != manifests.run_id(then)
    assert len(manifests.differences(then, now)) == 1


def test_a_title_is_not_part_of_the_identity() -> None:
    retold = identity(styles={"vcr_qa": (RED.model_copy(update={"title": "Another"}),)})
    assert manifests.identity_digest(retold) == manifests.identity_digest(identity())
    assert manifests.differences(identity(), retold) == []
    manifests.check_same(Path("run"), identity(), retold)


def test_the_name_of_a_run_is_a_name_of_a_folder() -> None:
    name = manifests.run_id(identity())
    assert name == f"paper-owner-name-{manifests.identity_digest(identity())[:8]}"
    strange = manifests.run_id(identity(suite="../..", model="a b/\u00e9:*?"))
    assert Path(strange).name == strange
    assert not strange.startswith(".")


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"seed": 1}, "seed: 0 → 1"),
        ({"limit": 5}, "limit: none → 5"),
        ({"requests": {"vcr_qa": "e" * 64}}, "requests of vcr_qa: bbbbbbbb → eeeeeeee"),
        ({"requests": {}}, "requests of vcr_qa: bbbbbbbb → none"),
        ({"ids": tuple("abcdef")}, "ids: none → 6 items"),
        (
            {"settings": SETTINGS.model_copy(update={"dtype": None})},
            "(its settings → these): dtype: float32 → none",
        ),
        (
            {"styles": {"vcr_qa": (RED.model_copy(update={"alpha": 255}),)}},
            "style red.alpha of vcr_qa: 128 → 255",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_run_is_refused_with_the_difference(change: dict[str, Any], shown: str) -> None:
    with pytest.raises(RunError) as caught:
        manifests.check_same(Path("run"), identity(), identity(**change))
    assert shown in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_differences_are_counted_behind_the_first_eight() -> None:
    changes: dict[str, Any] = {
        "suite": "x",
        "seed": 1,
        "limit": 5,
        "ids": ("a",),
        "runner": "r",
        "model": "m",
    }
    with pytest.raises(RunError, match=r"; model: [^;]* · give its settings"):
        manifests.check_same(Path("run"), identity(), identity(**changes))
    changes |= {"fits": {"vcr_qa": "crop"}, "tasks": {"vcr_qa": 9}, "requests": {}}
    with pytest.raises(RunError, match=r"; and 1 more · give its settings"):
        manifests.check_same(Path("run"), identity(), identity(**changes))


def test_settings_are_digested_as_a_whole() -> None:
    digests = {
        manifests.settings_digest(SETTINGS.model_copy(update=change))
        for change in (
            {},
            {"weights": None},
            {"prompt_format": "llava_v1"},
            {"dtype": "float16"},
            {"decoding": None},
        )
    }
    assert len(digests) == 5


def test_facts_of_a_trial_leave_out_where_it_failed() -> None:
    def failed(error: str, target: str = "A") -> bytes:
        trial = Trial(
            task="t", style="s", id="1", error=error, kind="choice", target=target, group="g"
        )
        return manifests.trial_facts(trial)

    assert failed("/here/a.png does not exist") == failed("/there/a.png does not exist")
    assert failed("x", target="A") != failed("x", target="B")


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    manifests.write(tmp_path, manifest())
    assert manifests.read(tmp_path) == manifest()


def test_a_manifest_of_another_version_is_said_to_be_one(tmp_path: Path) -> None:
    files.write_json(tmp_path / folder.MANIFEST, {"run_id": "x"})
    with pytest.raises(RunError, match=r"manifest.json: .*this version"):
        manifests.read(tmp_path)


def test_marks_are_seen_under_styles_that_draw_or_have_them() -> None:
    styles = (
        RED,
        *(PromptStyle(name=k, kind=k) for k in ("given", "none", "blind", "coordinates")),
    )
    assert manifests.marked_styles(identity(styles={"t": styles})) == {"red", "given"}


def test_a_manifest_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    manifests.write(tmp_path, manifest().model_copy(update={"tasks": {}}))
    with pytest.raises(RunError, match=r"tasks: holds none, but identity\.tasks vcr_qa"):
        manifests.read(tmp_path)


CERTIFICATE = {
    "device": "cuda:0",
    "batch_size": None,
    "token_budget": 65536,
    "n": 200,
    "n_flipped": 3,
    "n_rescored": 1,
}


def test_a_certificate_is_found_by_settings_and_type_of_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert manifests.find_certificate("e" * 64, "cuda:0") is None
    path = manifests.CERTIFICATES / f"{'e' * 64}.json"
    files.write_json(path, CERTIFICATE | {"model": "vip"})
    found = manifests.find_certificate("e" * 64, "cuda:3")
    assert found is not None
    assert found.model_dump(exclude={"path", "sha256"}) == CERTIFICATE
    assert found.path == str(path)
    assert manifests.find_certificate("e" * 64, "cpu") is None
    assert manifests.find_certificate("f" * 64, "cuda:0") is None


@pytest.mark.parametrize("content", [[], {}, CERTIFICATE | {"n": 0}, CERTIFICATE | {"n": None}])
def test_a_broken_certificate_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_json(manifests.CERTIFICATES / "x.json", content)
    with pytest.raises(
        RunError, match=r"x.json: \w+ = .* make the certificate again with `vipbench certify`"
    ):
        manifests.find_certificate("x", "cpu")


# --- an identity that grows


class Rotated(PromptStyle):
    rotation: int = 0


class GrownSettings(Settings):
    attention: str | None = None


class Grown(Identity):
    styles: dict[str, tuple[Rotated, ...]]  # type: ignore[assignment]
    settings: GrownSettings
    images: int = 1


class GrownTrial(Trial):
    weight: float = 1.0


def grown(rotation: int = 0, attention: str | None = None, images: int = 1) -> Grown:
    """Return the identity above, as code that knows of more would."""
    plain = identity().model_dump(exclude={"styles", "settings"})
    return Grown(
        **plain,
        styles={"vcr_qa": (Rotated(**RED.model_dump(), rotation=rotation),)},
        settings=GrownSettings(**SETTINGS.model_dump(), attention=attention),
        images=images,
    )


def test_fields_that_were_added_do_not_count_at_their_defaults() -> None:
    assert manifests.identity_digest(grown()) == manifests.identity_digest(identity())
    assert manifests.run_id(grown()) == manifests.run_id(identity())
    assert manifests.settings_digest(grown().settings) == manifests.settings_digest(SETTINGS)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"rotation": 30}, "styles.vcr_qa.red.rotation: 0 → 30"),
        ({"attention": "eager"}, "settings.attention: none → eager"),
        ({"images": 2}, "images: 1 → 2"),
    ],
)
def test_fields_that_were_added_count_where_they_are_used(
    changes: dict[str, Any], shown: str
) -> None:
    assert manifests.run_id(grown(**changes)) != manifests.run_id(identity())
    assert manifests.differences(grown(), grown(**changes)) == [shown]


def test_an_identity_without_the_new_fields_is_read_as_one_with_their_defaults() -> None:
    old = Grown.model_validate(identity().model_dump(mode="json"))
    assert manifests.differences(old, grown()) == []
    manifests.check_same(Path("run"), old, grown())


def test_settings_with_a_new_field_have_another_digest_where_it_is_used() -> None:
    used = grown(attention="eager").settings
    assert manifests.settings_digest(used) != manifests.settings_digest(SETTINGS)


def test_facts_of_a_trial_hold_what_was_added_where_it_is_used() -> None:
    fields: dict[str, Any] = {"task": "t", "style": "s", "id": "1", "target": "A", "group": "g"}
    plain = Trial(kind="choice", **fields)
    same, other = (GrownTrial(kind="choice", weight=weight, **fields) for weight in (1.0, 2.0))
    assert manifests.trial_facts(same) == manifests.trial_facts(plain)
    assert manifests.trial_facts(other) != manifests.trial_facts(plain)


def test_an_identity_that_was_edited_is_refused(tmp_path: Path) -> None:
    made = manifest().model_copy(update={"format": manifests.FORMAT})
    manifests.write(tmp_path, made)
    assert manifests.read(tmp_path) == made
    path = tmp_path / folder.MANIFEST
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    with pytest.raises(RunError, match=r"run_id is .* the identity is that of .* · expected"):
        manifests.read(tmp_path)
