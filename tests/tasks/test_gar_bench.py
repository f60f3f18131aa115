"""GAR-Bench: masks to regions, placeholders to mentions, released answers, broken records."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vipbench.data.samples import inspect_image
from vipbench.errors import DataError
from vipbench.run import loop
from vipbench.run.settings import RunSettings
from vipbench.runfolder.manifest import IMPORTED
from vipbench.schema import DataSource, Problem, Sample
from vipbench.validation import checked

TASK = "gar_bench_vqa"
Samples = Callable[..., list[Sample]]
Read = Callable[..., list[Sample | Problem]]


@pytest.fixture
def release(data: Path, tmp_path: Path) -> Path:
    """A copy of the release folder, to be broken."""
    return Path(shutil.copytree(data / "gar_bench", tmp_path / "gar_bench"))


def changed(release: Path, **fields: object) -> Path:
    """Change the first record of the file."""
    path = release / "GAR-Bench-VQA.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    records[0] |= fields
    path.write_text(json.dumps(records), encoding="utf-8")
    return release


def test_masks_are_regions_and_placeholders_mention_them(data: Path, samples: Samples) -> None:
    first, second, third, fourth = samples(TASK, data / "gar_bench")
    assert [s.id for s in (first, second, third, fourth)] == [f"vqa_{n}" for n in range(4)]
    assert first.question == "What color is <r0>?"
    assert first.choices == ("Blue.", "Red.", "Green.", "Gray.")
    assert (first.target, first.target_region, first.group) == ("A", 0, "vqa_0")
    assert first.tags == {"type": ("color",), "n_regions": ("1",)}
    assert second.question == "Among <r0>, <r1>, and <r2>, which is in the mirror?"
    assert second.choices[1] == "<r1> and <r2>"
    assert (second.target, second.target_region, len(second.regions)) == ("C", None, 3)
    assert third.choices == ("Yes", "No")
    assert fourth.image == "images/vqa_3.png"


def test_a_region_has_the_outline_of_its_mask(data: Path, samples: Samples) -> None:
    (first, *_), source = samples(TASK, data / "gar_bench"), DataSource(data, data / "gar_bench")
    (region,) = first.regions
    assert region.box == (4.0, 6.0, 13.0, 17.0)
    # the lower right quarter is missing
    assert region.polygons == (
        ((13.0, 6.0), (13.0, 11.0), (9.0, 11.0), (8.0, 12.0), (8.0, 17.0), (4.0, 17.0), (4.0, 6.0)),
    )
    usable, problems = inspect_image(first, source)
    assert usable is not None
    assert problems == []


def test_the_repository_and_the_file_stand_for_the_folder(
    data: Path, tmp_path: Path, samples: Samples
) -> None:
    expected = samples(TASK, data / "gar_bench")
    assert samples(TASK, data / "gar_bench/GAR-Bench-VQA.json") == expected
    below = tmp_path / "evaluation/GAR-Bench/annotations"
    shutil.copytree(data / "gar_bench", below)
    images = [sample.image for sample in samples(TASK, tmp_path)]
    assert images[0] == "evaluation/GAR-Bench/annotations/images/vqa_0.png"


def test_the_text_is_the_published_one(data: Path, samples: Samples, text: Any) -> None:
    second = samples(TASK, data / "gar_bench")[1]
    assert text(second, "none") == (
        "Question: Among object 1, object 2, and object 3, which is in the mirror?\n"
        "Options:\nA. Object 1\nB. Object 2 and object 3\nC. Object 3\nD. None of them\n"
        "Answer with the correct option's letter directly."
    )


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"answer": "E"}, "answer_not_in_options", "answer 'E' is not a letter of its 4 choices"),
        ({"answer": None}, "bad_record", "answer = None"),
        ({"choices": ["Blue.", "B. Red."]}, "choice_labels", "choices[0] = 'Blue.' · expected 'A'"),
        ({"choices": ["A. x", "A. y"]}, "choice_labels", "choices[1] = 'A. y' · expected 'B'"),
        ({"mask_rles": []}, "bad_mask", "mask_rles have the sizes none"),
        ({"mask_rles": [{"size": [36, 48], "counts": [1728]}]}, "empty_mask", "mask_rles[0]: no p"),
        ({"mask_rles": [{"size": [36, 48], "counts": "a!"}]}, "bad_mask", "hold '!' at char"),
        ({"mask_rles": [{"size": [2, 2], "counts": [1, 3]}, {"size": [3, 2], "counts": [1, 5]}]},
         "bad_mask", "the sizes 2 x 2, 2 x 3"),
        ({"question": "Is <Prompt1> it?"}, "mention", "mentions <r1>, but has 1 regions"),
        ({"question": "Is <r0> it?"}, "reserved_text", "<r0>"),
        ({"image": "images/vqa_1.png"}, "duplicate_id", "more than once"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_used(
    release: Path, read: Read, fields: dict[str, object], code: str, words: str
) -> None:
    found = read(TASK, changed(release, **fields))
    (problem,) = [each for each in found if isinstance(each, Problem)]
    assert problem.code == code
    assert words in problem.message
    assert len(found) == 4


def test_a_mask_of_another_size_than_its_image(release: Path, read: Read) -> None:
    changed(release, mask_rles=[{"size": [48, 36], "counts": [1, 1727]}])
    first = read(TASK, release)[0]
    assert isinstance(first, Sample)
    usable, (problem,) = inspect_image(first, DataSource(release, release))
    assert usable is None
    assert problem.code == "size_differs"
    assert "drawn on 36 x 48 px, the image has 48 x 36 px" in problem.message


def test_captions_are_not_taken_for_questions(tmp_path: Path, read: Read) -> None:
    captions = [{"image": "a.png", "mask_rles": [], "question": "Why?", "answer": "So."}]
    (tmp_path / "GAR-Bench-Caption-Simple.json").write_text(json.dumps(captions), encoding="utf-8")
    with pytest.raises(DataError, match="no question file is recognised"):
        read(TASK, tmp_path)


# --- runs


def accuracies(data: Path, out: Path, **fields: object) -> dict[str, float | None]:
    settings = {"tasks": (TASK,), "data": {"gar_bench": DataSource(data, data)}, "out": out}
    done = loop.run(checked(RunSettings, settings | fields, "test"))
    return {row.group: row.accuracy for row in done.rows if row.metric == "text_match"}


def test_the_oracle_is_right_in_all(data: Path, tmp_path: Path) -> None:
    found = accuracies(data / "gar_bench", tmp_path / "run", runner="oracle")
    assert set(found.values()) == {1.0}
    assert {"all", "type=color", "type=relation", "n_regions=3"} <= found.keys()


def test_released_answers_are_scored_by_the_whole_text(data: Path, tmp_path: Path) -> None:
    texts = ["a", "C. it", "B", "C"]
    outputs = [
        {"image": f"images/vqa_{n}.png", "answer": "A", "type": "x", "model_output": text}
        for n, text in enumerate(texts)
    ]
    path = tmp_path / "gar_vqa_outputs.json"
    path.write_text(json.dumps(outputs), encoding="utf-8")
    found = accuracies(
        data / "gar_bench", tmp_path / "run", runner=IMPORTED, answers={TASK: path}, model="GAR"
    )
    assert found["all"] == 0.5
    assert (found["type=color"], found["type=mirror"], found["type=relation"]) == (1, 0, 1)
