"""What differs between two runs beside the checkpoint."""

from pathlib import Path
from typing import Any

import pytest

from tests import results
from tests.analysis.test_pairs import V7W, run
from tests.results import lines
from vipbench import files
from vipbench.analysis.differences import NAMES, Apart, check_names, tell_apart
from vipbench.analysis.pairs import Side, read_side
from vipbench.endpoints.dialect import Dialect
from vipbench.errors import RunError
from vipbench.runfolder.endpoint_use import EndpointFacts
from vipbench.runfolder.folder import JUDGE
from vipbench.runfolder.manifest import IMPORTED, Manifest, Settings


def side(folder: Path, **fields: Any) -> Side:
    return read_side(run(folder, lines(V7W, [1, 0]), **fields))


def told(apart: Apart) -> list[str]:
    return [difference.words for difference in apart.differences]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"settings": {"prompt_format": "hf"}}, "prompt_format: llava_v1 → hf"),
        ({"task": {"fit": "squash"}}, "fit: pad → squash"),
        ({"settings": {"dtype": "bfloat16"}}, "dtype: float16 → bfloat16"),
        (
            {"settings": {"quantization": "int4 (bitsandbytes)"}},
            "dtype: float16 → float16, int4 (bitsandbytes)",
        ),
        ({"path": "reference"}, "path: fast → reference"),
        ({"task": {"version": 7}}, "rule: text_match of version 1 → text_match of version 7"),
        ({"identity": {"runner": "hf"}}, "runner: vipllava → hf"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_not_the_checkpoint_is_named(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    base = side(tmp_path / "a", path="fast")
    apart = tell_apart(base, side(tmp_path / "b", **{"path": "fast"} | fields))
    assert told(apart) == [words]
    assert not any(line.startswith(words.split(":")[0]) for line in apart.others)
    [name] = [difference.name for difference in apart.differences]
    assert apart.forbidden([]) == list(apart.differences)
    assert apart.forbidden([name]) == []
    [note] = apart.notes
    assert note == f"the two runs have the same weights (vip): what differs is {name}"


def test_another_checkpoint_alone_is_no_difference(tmp_path: Path) -> None:
    new = side(tmp_path / "b", model="new", settings={"weights": 64 * "e"})
    apart = tell_apart(side(tmp_path / "a"), new)
    assert (apart.differences, apart.same_weights, apart.notes) == ((), False, ())
    assert apart.others == ("model: vip → new", "weights: aaaaaaaa → eeeeeeee")


def test_what_differs_by_task_is_said_once_or_task_by_task(tmp_path: Path) -> None:
    def of_tasks(name: str, **fits: Any) -> Side:
        tasks = {task: results.task_run(task, fit=fit) for task, fit in fits.items()}
        scores = [each for task in fits for each in lines(task, [1, 0])]
        made = results.manifest("vip", tasks)
        return read_side(str(results.save_scores(tmp_path / name, made, scores)))

    base = of_tasks("a", visual7w_pointing="pad", pointqa_local="pad")
    alike = of_tasks("b", visual7w_pointing="crop", pointqa_local="crop")
    each = of_tasks("c", visual7w_pointing="crop", pointqa_local="squash")
    assert told(tell_apart(base, alike)) == ["fit: pad → crop"]
    assert told(tell_apart(base, each)) == [
        "fit: pad → visual7w_pointing crop, pointqa_local squash"
    ]


def test_one_list_gives_the_order(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"identity": {"runner": "hf"}, "settings": {"dtype": "float32"}}
    new = side(tmp_path / "b", task={"fit": "crop"}, path="reference", **changes)
    names = [found.name for found in tell_apart(side(tmp_path / "a"), new).differences]
    assert names == ["fit", "dtype", "runner"]
    assert [name for name in NAMES if name in names] == names


def test_the_same_weights_under_two_names_are_said_to_be_that(tmp_path: Path) -> None:
    base = side(tmp_path / "a")
    apart = tell_apart(base, side(tmp_path / "b", model="renamed"))
    assert apart.same_weights
    assert apart.notes == (
        "the two runs have the same weights (vip, renamed): what differs is the name alone",
    )
    assert tell_apart(side(tmp_path / "d", model="aaa"), base).notes == (
        "the two runs have the same weights (aaa, vip): what differs is the name alone",
    )
    seeded = tell_apart(base, side(tmp_path / "c", identity={"seed": 1}))
    assert seeded.notes == ("the two runs have the same weights (vip): what differs is seed",)
    assert tell_apart(base, base).notes == ()


def test_models_of_one_name_are_told_apart_by_their_weights(tmp_path: Path) -> None:
    apart = tell_apart(side(tmp_path / "a"), side(tmp_path / "b", settings={"weights": 64 * "e"}))
    assert apart.models == ("vip (weights aaaaaaaa)", "vip (weights eeeeeeee)")
    assert "model: vip (weights aaaaaaaa) → vip (weights eeeeeeee)" in apart.others


def test_what_one_run_does_not_know_is_said_and_not_a_difference(tmp_path: Path) -> None:
    unknown = {"weights": 64 * "e", "prompt_format": None, "dtype": None}
    new = side(tmp_path / "b", settings=unknown, identity={"runner": IMPORTED})
    apart = tell_apart(side(tmp_path / "a"), new)
    assert told(apart) == [f"runner: vipllava → {IMPORTED}"]
    folder = tmp_path / "b"
    assert apart.notes == (f"not known of {folder}, and not compared: prompt_format, fit, dtype",)


def test_imported_answers_have_no_weights(tmp_path: Path) -> None:
    imported: dict[str, Any] = {"identity": {"runner": IMPORTED}}
    base, new = (side(tmp_path / name, **imported) for name in "ab")
    assert not tell_apart(base, new).same_weights
    adapted = side(tmp_path / "c", settings={"adapter": 64 * "d"})
    assert not tell_apart(side(tmp_path / "d"), adapted).same_weights


def test_baselines_are_told_apart_as_models(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("weights", "prompt_format", "dtype", "decoding"))
    base, new = (
        side(tmp_path / name, model=name, settings=nothing, identity={"runner": name})
        for name in ("oracle", "majority")
    )
    apart = tell_apart(base, new)
    assert (apart.differences, apart.notes, apart.same_weights) == ((), (), False)
    assert "model: oracle → majority" in apart.others


def knowing(base: Side, turned: dict[str, str], **known: Any) -> Side:
    """Return a run that knows more of itself."""
    identity = base.manifest.identity.model_copy(update={"exif": turned})
    return base._replace(
        manifest=Manifest(**{**dict(base.manifest), "identity": identity, **known}),
    )


def test_parts_and_who_answered_are_compared_where_both_runs_know_them(tmp_path: Path) -> None:
    parts = {"weights": 64 * "1", "tokenizer": 64 * "2", "processor": 64 * "3"}
    base = knowing(side(tmp_path / "a"), {}, parts=parts, answered_by={"gpt-4o": 9})
    other = side(tmp_path / "b", settings={"weights": 64 * "e"})
    changed = parts | {"tokenizer": 64 * "4", "template": 64 * "5"}
    new = knowing(other, {V7W: "apply"}, parts=changed, answered_by={"gpt-5": 7, "gpt-5-mini": 2})
    apart = tell_apart(base, new)
    assert told(apart) == [
        "tokenizer: 22222222 → 44444444",
        "answered_by: gpt-4o → gpt-5, gpt-5-mini",
        "exif: ignore → apply",
    ]
    assert apart.same_weights
    assert f"not known of {tmp_path / 'a'}, and not compared: template" in apart.notes
    assert told(tell_apart(new, base))[0] == "tokenizer: 44444444 → 22222222"
    older = tell_apart(side(tmp_path / "a"), new)
    assert [found.name for found in older.differences] == ["exif"]
    assert older.notes == (
        f"not known of {tmp_path / 'a'}, and not compared: tokenizer, processor, template, "
        "answered_by",
    )


def test_a_config_is_named_that_other_digests_cover_too(tmp_path: Path) -> None:
    parts = {"weights": 64 * "1", "config": 64 * "2"}
    base = knowing(side(tmp_path / "a"), {}, parts=parts)
    other = side(tmp_path / "b", settings={"weights": 64 * "e"})
    new = knowing(other, {}, parts=parts | {"config": 64 * "3"})
    [note] = tell_apart(base, new).notes
    assert note.startswith("the two runs have the same weights (")
    assert note.endswith("): what differs is config")


def test_only_judges_that_both_graded_are_compared(tmp_path: Path) -> None:
    def graded(name: str, model: str) -> Side:
        scores = lines(V7W, [1, 0]) + lines(V7W, [1, 0], metric="judge")
        folder = run(tmp_path / name, scores)
        files.write_json(
            tmp_path / name / JUDGE, {"judge": {"model": model, "prompt_digest": 64 * "a"}}
        )
        return read_side(folder)

    one, other = graded("a", "gpt-4"), graded("b", "qwen")
    assert told(tell_apart(one, other)) == ["judge: gpt-4 → qwen"]
    assert told(tell_apart(one, side(tmp_path / "c"))) == []
    assert told(tell_apart(one, graded("d", "gpt-4"))) == []


def test_an_unknown_name_is_refused_with_the_list() -> None:
    assert check_names("--allow", ["fit", "dtype"]) == {"fit", "dtype"}
    with pytest.raises(
        RunError, match=r"--allow 'fits': is unknown · expected one of prompt_format"
    ):
        check_names("--allow", ["fits"])


def test_endpoints_that_were_asked_otherwise_are_told_apart(tmp_path: Path) -> None:
    def asked(name: str, dialect: Dialect | None = None, **changes: Any) -> Side:
        facts = EndpointFacts.model_validate({"host": "a.example"} | changes)
        found = side(tmp_path / name)
        settings = Settings(
            weights=None, prompt_format=None, dtype=None, decoding="greedy", endpoint=facts
        )
        identity = found.manifest.identity.model_copy(
            update={"settings": settings, "runner": "openai"}
        )
        changed = {"identity": identity, "dialect": dialect}
        return found._replace(manifest=found.manifest.model_copy(update=changed))

    base = asked("a")
    assert told(tell_apart(base, asked("b"))) == []
    new = asked("c", Dialect(omitted=("temperature",)), image_format="jpeg:90")
    assert told(tell_apart(base, new)) == [
        "endpoint: image_format png, server takes what is usual → image_format jpeg:90, "
        "server refuses temperature: its own default holds"
    ]
    assert tell_apart(base, new).others == ()
    assert [found.name for found in tell_apart(side(tmp_path / "d"), base).differences] == [
        "runner"
    ]
