"""VPBench: points to regions, published texts and pixels, broken records."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.tasks import all_styles, load_task
from vipbench.errors import DataError
from vipbench.images.load import load_measured
from vipbench.prompts.controls import permuted
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.run import loop
from vipbench.run.settings import RunSettings
from vipbench.schema import DataSource, Problem, Request, Sample

TASK, SEMANTIC = "vpbench_depth", "vpbench_semantic"
CORRESPONDENCE = "BLINK_semantic_data/semantic_correspondence/semantic_corr_raw_fixed.json"
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


@pytest.mark.parametrize("task", [TASK, SEMANTIC])
def test_every_question_is_answered_by_the_oracle(data: Path, tmp_path: Path, task: str) -> None:
    settings = RunSettings(
        tasks=(task,),
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


def test_an_image_is_not_looked_for_in_another_source(
    data: Path, tmp_path: Path, samples: Samples
) -> None:
    folder = Path(shutil.copytree(data / "vpbench", tmp_path / "vpbench"))
    (folder / "DA-2K_data/depth/images/a.png").unlink()
    last = samples(TASK, folder)[-1]
    assert last.image == "DA-2K_data/depth/images/a.png"
    _, [problem] = inspect_image(last, DataSource(folder, folder))
    assert problem.code == "missing_image"


# --- semantic correspondence


def picture(seed: int, width: int, height: int) -> Image.Image:
    """Return the picture that VPBench's own drawing code was given; all its pixels differ."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack(
        [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=2
    )
    noisy = base + rng.integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def pair(folder: Path, pictures: list[Image.Image], **record: Any) -> Sample:
    """Write one question of BLINK with lossless pictures, and read it with their sizes."""
    file = folder / CORRESPONDENCE
    (file.parent / "images/cat").mkdir(parents=True)
    for id_, image in zip(("111", "222"), pictures, strict=True):
        image.save(file.parent / f"images/cat/{id_}.jpg", "PNG")
    fields = {"images": ["7-111-222:cat_1", "7-111-222:cat_2"], "real_answer": "(B)", **record}
    file.write_text(json.dumps({"val": [fields], "test": []}))
    source = DataSource(folder, folder)
    [read] = load_samples(load_task(SEMANTIC), source)
    assert isinstance(read, Sample)
    sample, problems = inspect_image(read, source)
    assert problems == []
    assert sample is not None
    return sample


def digests(sample: Sample, style: str, folder: Path) -> list[str]:
    """Return the sha256 of each picture's RGB bytes."""
    loaded = load_measured(ask(sample, style), folder, None)
    return [hashlib.sha256(each.tobytes()).hexdigest() for each in (loaded.pixels, *loaded.others)]


def test_images_are_resized_and_marked_as_by_the_published_code(tmp_path: Path) -> None:
    """The digests are of VPBench's code with Pillow's LANCZOS and OpenCV 4.12.0."""
    sample = pair(
        tmp_path,
        [picture(301, 400, 300), picture(302, 300, 400)],
        src_kps=[[100, 50], [201, 99], [333, 250]],
        trg_kps=[[20, 30], [150, 200], [277, 41], [60, 390], [222, 333]],
        gold_point=1,
        real_consider_points=[3, 0, 4, 2],
        blink_image1_size=[480, 360],
        blink_image2_size=[361, 481],
    )
    assert sample.image_sizes == ((240, 180), (180, 240))
    assert sample.regions[0].box[:2] == (201 * (240 / 400), 99 * (180 / 300))
    assert digests(sample, "vpbench", tmp_path) == [
        "0ae99241a73d0d267a25bc535de7d815371d9bb921329f416373abc68691bd5e",
        "32c6da52d0fc399bcffb6937b18142f1f008dc6ee78b46b13ca9e2f42b548181",
    ]


PUBLISHED = {
    "vpbench": ("40ca2ddde3ce", "7d0daa11628c"),
    "vpbench_radius_1": ("3c58684d4254", "3c655e8d928b"),
    "vpbench_radius_3": ("c01692b37926", "7421ca3e66f8"),
    "vpbench_radius_10": ("549edfc610bd", "51ece7f62e4d"),
    "vpbench_radius_15": ("d1d259c5734f", "cb76eea8600c"),
    "vpbench_marker_type_square": ("e55710612fbd", "935ba8d1fdd6"),
    "vpbench_marker_type_triangle": ("415976d8a4a2", "f637704b1f99"),
    "vpbench_marker_type_diamond": ("ad010d2d1bba", "b9e122fb555e"),
    "vpbench_color_green": ("0f2be6966754", "58a9711781d3"),
    "vpbench_color_blue": ("0c0c1f6f7b8d", "292254b0247f"),
    "vpbench_color_yellow": ("cff32724e4d2", "42f1d4d3fafb"),
    "vpbench_font_scale_0.2": ("d403b7b7a60a", "a129f96fc8ad"),
    "vpbench_font_scale_1.0": ("19130b7d8b5d", "9ac95136db10"),
    "vpbench_text_offset_below": ("537a245f4b04", "b8f9d01af515"),
    "vpbench_text_offset_left": ("d0fa5dda715e", "cfd1cc98d8ce"),
    "vpbench_text_offset_right": ("f4409b402c02", "bc0164a0a11c"),
    "vpbench_text_label_numbers": ("40ca2ddde3ce", "4096f5257555"),
}
"""Style -> how the digests of both pictures begin, as VPBench's own code draws them."""


def test_each_variant_is_drawn_as_by_the_published_code(tmp_path: Path) -> None:
    sample = pair(
        tmp_path,
        [picture(101, 240, 180), picture(201, 240, 180)],
        src_kps=[[50, 60]],
        trg_kps=[[40, 50], [120, 50], [200, 50], [120, 140]],
        gold_point=0,
        real_consider_points=[0, 1, 2, 3],
        blink_image1_size=[480, 360],
        blink_image2_size=[481, 361],
    )
    styles = [style.name for style in parse_styles("vpbench_variants", all_styles())]
    assert {*styles} == {*PUBLISHED}
    for style in styles:
        drawn = digests(sample, style, tmp_path)
        assert [each[:12] for each in drawn] == [*PUBLISHED[style]], style


HUMANS = (
    "Humans can find corresponding points for different objects in the same category. For instance,"
    " if there are images of two different cats, then the left ear tip of one cat corresponds to"
    " the left ear tip of the other cat, and the right front paw of one cat corresponds to the"
    " right front paw of the other cat.\n"
)


@pytest.mark.parametrize(
    ("style", "looks", "marker", "tags"),
    [
        ("vpbench", "red-circled", "circle", "ABCD"),
        ("vpbench_marker_type_diamond", "red-diamonded", "diamond", "ABCD"),
        ("vpbench_color_green", "green-circled", "circle", "ABCD"),
        ("vpbench_text_label_numbers", "red-circled", "circle", "1234"),
        ("marker:square:#123456+tag:id", "squared", "square", "ABCD"),
    ],
)
def test_the_text_about_correspondence_is_the_published_one(
    data: Path, samples: Samples, style: str, looks: str, marker: str, tags: str
) -> None:
    options = "".join(f"({a}) Point {tag}\n" for a, tag in zip("ABCD", tags, strict=True))
    assert ask(samples(SEMANTIC, data / "vpbench")[0], style).turns == (
        f"{HUMANS}Given the following two images, a reference point is annotated on the first"
        f" image, labeled with REF. You are given multiple {looks} points on the second image,"
        f' choices of "{", ".join(tags)}" are drawn beside each {marker}. Select between the'
        " choices on the second image and find the corresponding point for the reference point."
        " Which point is corresponding to the reference point?\n"
        f"Select from the following choices.\n{options}",
    )


def test_other_marks_have_a_text_that_speaks_of_them(data: Path, samples: Samples) -> None:
    sample = samples(SEMANTIC, data / "vpbench")[0]
    [text] = ask(sample, "tag:letter").turns
    assert text == (
        f"{HUMANS}Which point on the second image corresponds to point A on the first image?\n"
        "Select from the following choices.\n(A) Point B\n(B) Point C\n(C) Point D\n(D) Point E\n"
    )


def test_options_in_another_order_keep_their_points(data: Path, samples: Samples) -> None:
    sample = samples(SEMANTIC, data / "vpbench")[0]
    moved = permuted(sample, 0, 1)
    assert (sample.target, moved.target) == ("C", "D")
    [text] = ask(moved, "vpbench").turns
    assert text.endswith("(A) Point D\n(B) Point A\n(C) Point B\n(D) Point C\n")


def test_key_points_are_regions_of_either_image(data: Path, samples: Samples) -> None:
    found = samples(SEMANTIC, data / "vpbench")
    ids = ["blink-val-0", "blink-val-1", "blink-test-0", "spair-test-0"]
    assert [sample.id for sample in found] == ids
    last = found[-1]
    assert [(r.id, r.image, r.box[:2]) for r in last.regions] == [
        ("REF", 0, (24, 18)),
        ("A", 1, (40, 30)),
        ("B", 1, (8, 6)),
        ("C", 1, (30, 9)),
        ("D", 1, (20.5, 15)),
    ]
    folder = "SPair-71k_data/semantic_correspondence/images/dog"
    assert last.images == (f"{folder}/2008_007090.jpg", f"{folder}/2009_003317.jpg")
    assert last.draw_sizes == ((96, 72), (96, 72))
    assert last.tags == {"source": ("spair",), "split": ("test",), "category": ("dog",)}
    assert last.group == "spair/dog/2008_007090.jpg"


@pytest.mark.parametrize(
    ("field", "value", "code", "message"),
    [
        ("images", ["7-111-222:cat_1"], "bad_record", "images = ['7-111-222:cat_1'] · expected 2"),
        ("images", ["cat", "dog"], "bad_record", "expected x-<id1>-<id2>:<category>_1 or _2"),
        ("gold_point", 3, "bad_record", "src_kps has no point 3, but 3 points"),
        ("gold_point", -1, "bad_record", "src_kps has no point -1"),
        ("real_consider_points", [0, 1, 2], "bad_record", "expected 4 entries"),
        ("real_consider_points", [0, 1, 2, 9], "bad_record", "trg_kps has no point 9"),
        ("real_answer", "(E)", "bad_record", "real_answer"),
        ("trg_kps", [[1, 2], None, [3, 4], [5, 6]], "bad_point", "point A = None"),
        ("src_kps", [[1, 2], [1, "x"]], "bad_point", "the reference = [1, 'x']"),
        ("blink_image1_size", [192], "bad_record", "blink_image1_size = [192]"),
        ("blink_image2_size", [192, 1], "draw_size", "is drawn at 96 x 0 px"),
        ("blink_image2_size", [10**6, 10**6], "draw_size", "at most 100 megapixels"),
    ],
)
def test_a_broken_pair_is_a_problem_of_its_own(
    data: Path,
    tmp_path: Path,
    read: Read,
    field: str,
    value: object,
    code: str,
    message: str,
) -> None:
    folder = Path(shutil.copytree(data / "vpbench", tmp_path / "vpbench"))
    content = json.loads((folder / CORRESPONDENCE).read_text())
    content["val"][0][field] = value
    (folder / CORRESPONDENCE).write_text(json.dumps(content))
    problems = [each for each in read(SEMANTIC, folder) if isinstance(each, Problem)]
    assert [(problem.id, problem.code) for problem in problems] == [("blink-val-0", code)]
    assert message in problems[0].message


def test_a_point_that_is_not_needed_may_be_broken(
    data: Path, tmp_path: Path, samples: Samples
) -> None:
    folder = Path(shutil.copytree(data / "vpbench", tmp_path / "vpbench"))
    content = json.loads((folder / CORRESPONDENCE).read_text())
    content["val"][0]["src_kps"][0] = None
    (folder / CORRESPONDENCE).write_text(json.dumps(content))
    assert len(samples(SEMANTIC, folder)) == 4


def test_a_file_of_another_form_is_refused(tmp_path: Path, read: Read) -> None:
    file = tmp_path / CORRESPONDENCE
    file.parent.mkdir(parents=True)
    file.write_text("[]")
    with pytest.raises(DataError, match="an empty list · expected an object with the lists val"):
        read(SEMANTIC, tmp_path)
    file.write_text('{"val": 3, "test": []}')
    [problem] = read(SEMANTIC, tmp_path)
    assert isinstance(problem, Problem)
    assert "val = 3 · expected a list of questions" in problem.message
