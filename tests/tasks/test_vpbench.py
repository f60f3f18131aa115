"""VPBench: points to regions, published texts, broken records."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vipbench.data.samples import inspect_image
from vipbench.data.tasks import all_styles
from vipbench.errors import DataError
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.run import loop
from vipbench.run.settings import RunSettings
from vipbench.schema import DataSource, Problem, Request, Sample

TASK = "vpbench_depth"
FILE = "BLINK_depth_data/depth/perceptioneval_depth_dev.json"
QUESTION = "Which point is closer to the camera?\nSelect from the following choices.\n"
LETTERED = "(A) A is closer\n(B) B is closer"
Samples = Callable[..., list[Sample]]
Read = Callable[..., list[Sample | Problem]]


def ask(sample: Sample, style: str) -> Request:
    known = all_styles()
    [parsed] = parse_styles(style, known, known["vpbench"])
    return build_request(sample, parsed, 0)


def test_points_are_regions_and_ids_are_places(data: Path, samples: Samples) -> None:
    found = samples(TASK, data / "vpbench")
    assert [s.id for s in found] == ["blink-val-0", "blink-val-1", "blink-test-0", "da2k-val-0"]
    first = found[0]
    assert [(r.box, r.id) for r in first.regions] == [
        ((12, 9, 12, 9), "A"),
        ((30.5, 20.25, 30.5, 20.25), "B"),
    ]
    assert (first.target, first.group) == ("A", "blink/a.png")
    assert first.image == "BLINK_depth_data/depth/images/a.png"
    assert first.tags == {"source": ("blink",), "split": ("val",)}


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (
            "vpbench",
            "Two points are marked by circles on the image, labeled by A and B beside each circle. "
            f"{QUESTION}{LETTERED}",
        ),
        (
            "vpbench_marker_type_diamond",
            "Two points are marked by diamonds on the image, labeled by A and B beside each "
            f"diamond. {QUESTION}{LETTERED}",
        ),
        (
            "vpbench_text_label_numbers",
            "Two points are marked by circles on the image, labeled by 1 and 2 beside each circle. "
            f"{QUESTION}(A) 1 is closer\n(B) 2 is closer",
        ),
        (
            "vpbench_no_caption_color_red_yellow",
            f"Two points are marked by circles on the image. {QUESTION}"
            "(A) The point marked by the red circle is closer\n"
            "(B) The point marked by the yellow circle is closer",
        ),
        (
            "vpbench_no_marker_text_size_0.5",
            f"Two points are labeled by A and B. {QUESTION}{LETTERED}",
        ),
    ],
)
def test_texts_are_the_published_ones(data: Path, samples: Samples, style: str, text: str) -> None:
    assert ask(samples(TASK, data / "vpbench")[0], style).turns == (text,)


def test_a_marker_and_its_label_are_drawn_point_by_point(data: Path, samples: Samples) -> None:
    request = ask(samples(TASK, data / "vpbench")[0], "vpbench")
    drawn = [(p.shape, p.text, p.region.id) for p in request.visual_prompts]
    assert drawn == [("marker", "", "A"), ("tag", "A", "A"), ("marker", "", "B"), ("tag", "B", "B")]
    assert {p.color for p in request.visual_prompts} == {(255, 0, 0)}


def test_every_question_is_answered_by_the_oracle(data: Path, tmp_path: Path) -> None:
    settings = RunSettings(
        tasks=(TASK,),
        styles="vpbench_variants",
        runner="oracle",
        data={"vpbench": DataSource(data / "vpbench", data / "vpbench")},
        out=tmp_path / "run",
    )
    rows = [row for row in loop.run(settings).rows if row.group == "all"]
    assert len(rows) == 17
    assert all((row.n, row.n_errors, row.accuracy) == (4, 0, 1.0) for row in rows)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("point_A", [1], "bad_point"),
        ("point_A", ["x", 2], "bad_record"),
        ("human_answer_2", "C", "bad_record"),
        ("original_image", "../../a.png", "unsafe_path"),
    ],
)
def test_a_broken_record_is_a_problem_of_its_own(
    data: Path, tmp_path: Path, read: Read, field: str, value: object, code: str
) -> None:
    folder = Path(shutil.copytree(data / "vpbench", tmp_path / "vpbench"))
    records = json.loads((folder / FILE).read_text())
    records[0][field] = value
    (folder / FILE).write_text(json.dumps(records))
    found = read(TASK, folder)
    problems = [each for each in found if isinstance(each, Problem)]
    if code == "unsafe_path":
        source = DataSource(folder, folder)
        first = next(each for each in found if isinstance(each, Sample))
        _, problems = inspect_image(first, source)
        assert len(found) == 4
    else:
        assert [problem.id for problem in problems] == ["blink-val-0"]
        assert problems[0].code == code
    assert problems
    assert len(found) == 4


def test_the_folder_of_the_hub_has_one_more_above(
    data: Path, tmp_path: Path, samples: Samples
) -> None:
    shutil.copytree(data / "vpbench", tmp_path / "Dataset")
    found = samples(TASK, tmp_path)
    assert len(found) == 4
    assert found[0].image == f"Dataset/{Path(FILE).parent}/images/a.png"


def test_a_folder_without_any_file_is_refused(tmp_path: Path, read: Read) -> None:
    with pytest.raises(DataError, match="no question file is here · expected BLINK_depth_data"):
        read(TASK, tmp_path)
