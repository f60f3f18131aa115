from pathlib import Path

import pytest
from PIL import Image

from tests.data_package.made import Make, record, records
from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.tasks import load_task
from vipbench.errors import DataError, TaskError
from vipbench.schema import DataSource, Polygon, Problem, Region, Sample


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"target": "C"}, "answer_not_in_options", "'C' is not one of the choice letters A, B"),
        ({"target": "a"}, "answer_not_in_options", "'a' is not one of the choice letters A, B"),
        ({"target": "AB"}, "answer_not_in_options", "'AB' is not one of the choice letters A, B"),
        ({"target": ""}, "answer_not_in_options", "'' is not one of the choice letters A, B"),
        ({"choices": ("a",)}, "choices", "has 1 choices · expected 2 to 26"),
        ({"choices": ("a",) * 27}, "choices", "has 27 choices · expected 2 to 26"),
        ({"id": ""}, "no_id", "has an empty id"),
        ({"question": "<r0>"}, "mention", "mentions <r0>, but has 0 regions"),
        ({"given_answer": "<r3>"}, "mention", "mentions <r3>, but has 0 regions"),
        ({"choices": ("a", "<r1>")}, "mention", "mentions <r1>, but has 0 regions"),
        ({"target_region": 0}, "mention", "target_region 0 is not one of its regions"),
        ({"target_region": -1}, "mention", "target_region -1 is not one of its regions"),
    ],
)
def test_a_sample_that_cannot_be_used_is_its_problem(
    make: Make, fields: dict[str, object], code: str, said: str
) -> None:
    good, found = records(make(), record(id="0"), record(**fields))
    assert isinstance(good, Sample)
    assert isinstance(found, Problem)
    assert (found.id, found.code, found.warning) == (fields.get("id", "1"), code, False)
    assert said in found.message


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ((5.0, 0.0, 4.0, 9.0), "box_inverted"),
        ((0.0, 5.0, 4.0, 4.0), "box_inverted"),
        (("inf", 0.0, 4.0, 9.0), "box_not_finite"),
        ((0.0, 0.0, "nan", 9.0), "box_not_finite"),
        ((0.0, 0.0, 1e9, 9.0), "box_too_far"),
        ((-1e300, 0.0, 5.0, 9.0), "box_too_far"),
        ((4.0, 4.0, 4.5, 4.5), None),
        ((-5.0, -5.0, 4.0, 4.0), None),
    ],
)
def test_boxes_are_checked(make: Make, box: tuple[object, ...], code: str | None) -> None:
    values = ", ".join(f"float({value!r})" for value in box)
    given = record()[:-1] + f", regions=(Region(box=({values})),))"
    (found,) = records(make(), given)
    assert (found.code if isinstance(found, Problem) else None) == code


def test_a_second_record_of_an_id_is_a_problem(make: Make) -> None:
    found = records(make(), record(), record(question="other"), record(id="2"), record())
    assert [type(each).__name__ for each in found] == ["Sample", "Problem", "Sample", "Problem"]
    assert [each.code for each in found if isinstance(each, Problem)] == ["duplicate_id"] * 2


def test_an_id_is_taken_by_a_sample_that_cannot_be_used(make: Make) -> None:
    found = records(make(), record(target="Z"), record())
    assert [e.code for e in found if isinstance(e, Problem)] == [
        "answer_not_in_options",
        "duplicate_id",
    ]


def test_an_id_is_taken_by_a_record_that_the_reader_cannot_use(make: Make) -> None:
    problem = "Problem(id='1', code='bad', message='m')"
    found = records(make(), problem, record(), record(id="2"))
    assert [e.code if isinstance(e, Problem) else e.id for e in found] == [
        "bad",
        "duplicate_id",
        "2",
    ]


def test_a_reader_that_stops_at_a_record_is_named(make: Make) -> None:
    with pytest.raises(
        TaskError, match=r"own\.yaml: reader .* stopped at a record: .*expected a Problem"
    ):
        records(make(), record(), record(question=None))


def test_problems_of_the_reader_pass_through_in_order(make: Make) -> None:
    warning = "Problem(id='1', code='odd', message='m', warning=True)"
    found = records(make(), warning, record(), "Problem(id='2', code='bad', message='m')")
    assert [each.code if isinstance(each, Problem) else each.id for each in found] == [
        "odd", "1", "bad",
    ]  # fmt: skip


def test_unusable_polygons_are_left_out_and_counted(make: Make) -> None:
    region = (
        "Region(box=(0, 0, 9, 9), polygons=(((0, 0), (9, 0), (9, 9)), ((0, 0), (9, 0)), (),"
        " ((0, 0), (9, 0), (float('nan'), 9)), ((0, 0), (9, 0), (0, -1e7))))"
    )
    warning, found = records(make(), record()[:-1] + f", regions=({region},))")
    assert isinstance(warning, Problem)
    assert (warning.code, warning.warning) == ("unusable_polygon", True)
    assert warning.message.startswith("4 polygons: fewer than 3 vertices")
    assert isinstance(found, Sample)
    assert found.regions[0].polygons == (((0, 0), (9, 0), (9, 9)),)


@pytest.mark.parametrize("target", ["", "  \n"])
def test_an_open_question_needs_an_answer(make: Make, target: str) -> None:
    folder = make(kind="short_answer")
    (found,) = records(folder, record(choices=(), target=target))
    assert isinstance(found, Problem)
    assert found.code == "no_target"


# --- images


@pytest.fixture
def images(tmp_path: Path) -> DataSource:
    root = tmp_path / "root"
    root.mkdir()
    Image.new("RGB", (40, 30)).save(root / "good.png")
    (root / "bad.png").write_bytes(b"no image")
    Image.new("RGB", (40, 30)).save(tmp_path / "outside.png")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    return DataSource(root, root)


def at(image: str, *boxes: tuple[float, float, float, float]) -> Sample:
    regions = tuple(Region(box=box) for box in boxes)
    return Sample(id="1", image=image, question="?", target="x", group="1", regions=regions)


def test_a_good_image_gives_its_size(images: DataSource) -> None:
    found, problems = inspect_image(at("good.png", (0, 0, 40, 30), (4, 4, 4, 4)), images)
    assert found is not None
    assert found.image_size == (40, 30)
    assert problems == []


def test_images_are_looked_up_in_several_roots(images: DataSource, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (30, 20)).save(other / "more.png")
    several = images._replace(more_images=(other,))
    for name, size in (("good.png", (40, 30)), ("more.png", (30, 20))):
        found, problems = inspect_image(at(name, (1, 1, 5, 5)), several)
        assert found is not None
        assert (found.image_size, problems) == (size, [])
    Image.new("RGB", (30, 20)).save(other / "good.png")
    for name, code in (("good.png", "ambiguous_image"), ("gone.png", "missing_image")):
        found, (problem,) = inspect_image(at(name, (1, 1, 5, 5)), several)
        assert (found, problem.code) == (None, code)
        assert str(images.images) in problem.message
        assert str(other) in problem.message
    found, (problem,) = inspect_image(at("../other/more.png", (1, 1, 5, 5)), several)
    assert (found, problem.code) == (None, "unsafe_path")


def test_a_link_of_the_user_is_followed_out_of_the_root(images: DataSource) -> None:
    found, problems = inspect_image(at("link.png", (0, 0, 2, 2)), images)
    assert found is not None
    assert problems == []


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("no.png", "missing_image"),
        ("good.png/no.png", "missing_image"),
        ("bad.png", "bad_image"),
        ("a" * 3000 + ".png", "bad_image"),
        (".", "bad_image"),
        ("../outside.png", "unsafe_path"),
        ("/etc/passwd", "unsafe_path"),
        ("", "unsafe_path"),
        ("a\0b.png", "unsafe_path"),
    ],
)
def test_an_image_that_cannot_be_used(images: DataSource, image: str, code: str) -> None:
    found, (problem,) = inspect_image(at(image), images)
    assert found is None
    assert (problem.code, problem.warning) == (code, False)


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ((-5, 2, 10, 10), "box_partly_outside"),
        ((5, 2, 40.5, 10), "box_partly_outside"),
        ((-5, -5, 50, 50), "box_partly_outside"),
        ((41, 2, 50, 10), "box_outside"),
        ((-9, -9, -1, -1), "box_outside"),
        ((1e300, 0, 1e301, 9), "box_outside"),
    ],
)
def test_boxes_are_held_against_the_image(
    images: DataSource, box: tuple[float, float, float, float], code: str
) -> None:
    found, (problem,) = inspect_image(at("good.png", (0, 0, 5, 5), box), images)
    assert problem.code == code
    assert problem.warning == (found is not None)
    assert problem.warning == (code == "box_partly_outside")
    assert "40 x 30 px" in problem.message
    if found:
        assert found.regions[1].box == box


# --- texts


def test_broken_data_is_an_error_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "v7w-test.json").write_text("[{", encoding="utf-8")
    with pytest.raises(DataError, match=r"v7w-test\.json:1:3: broken JSON"):
        list(load_samples(load_task("visual7w_pointing"), DataSource(tmp_path, tmp_path)))


@pytest.mark.parametrize(
    "field",
    [
        {"question": "half \ud83d of it"},
        {"choices": ("a", "\udc00")},
        {"image": "\ud83d.png"},
        {"group": "\ud83d"},
        {"tags": {"\ud83d": ("x",)}},
        {"tags": {"x": ("\ud83d",)}},
        {"id": "\ud83d"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_half_characters_make_a_sample_unusable(make: Make, field: dict[str, object]) -> None:
    (found,) = records(make(), record(**field))
    assert isinstance(found, Problem)
    assert (found.code, found.warning) == ("bad_text", False)
    found.model_dump_json()  # as it is written into the run folder


def test_an_emoji_is_one_character(make: Make) -> None:
    (found,) = records(make(), record(question="\U0001f642?"))
    assert isinstance(found, Sample)


def test_numbers_of_regions_are_short_and_in_plain_digits(make: Make) -> None:
    endless = f"<r{'9' * 5000}> and <r\u0660>"
    (found,) = records(make(), record(question=endless))
    assert isinstance(found, Sample)  # it mentions nothing
    (found,) = records(make(), record(question="<r999999999>"))
    assert isinstance(found, Problem)
    assert found.code == "mention"


@pytest.mark.parametrize(
    ("polygon", "code"),
    [
        (((42, 40), (50, 40), (50, 50)), "polygon_outside"),
        (((-9, 3), (-2, 3), (-2, 9)), "polygon_outside"),
        (((-50, -50), (300, -50), (20, 300)), None),  # no corner inside, but it covers the image
        (((3, 3), (9, 3), (9, 9)), None),
    ],
)
def test_polygons_are_held_against_the_image(
    images: DataSource, polygon: Polygon, code: str | None
) -> None:
    region = Region(box=(1, 1, 5, 5), polygons=(polygon,))
    sample = at("good.png", (1, 1, 5, 5)).model_copy(update={"regions": (region,)})
    found, problems = inspect_image(sample, images)
    assert [problem.code for problem in problems] == ([code] if code else [])
    assert (found is None) == bool(code)


def test_half_characters_in_a_message_or_a_path_are_told_and_kept_from_files(
    make: Make, images: DataSource
) -> None:
    (found,) = records(make(), "Problem(id='1', code='x', message='no box of \\ud83d')")
    assert found == Problem(id="1", code="x", message=r"no box of \ud83d")
    sample, [told] = inspect_image(at("a\ud83d.png", (1, 1, 5, 5)), images)
    assert sample is None
    assert (told.code, "lone surrogate" in told.message) == ("unsafe_path", True)
