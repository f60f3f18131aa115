import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from vipbench.data import tasks
from vipbench.data.tasks import (
    all_styles,
    find_suites,
    find_tasks,
    inspect_image,
    load_samples,
    load_suite,
    load_task,
    task_folders,
)
from vipbench.errors import DataError, TaskError
from vipbench.mentions import mentions
from vipbench.prompts.styles import parse_styles
from vipbench.schema import DataSource, Polygon, Problem, Region, Sample

TASK = {
    "name": "own",
    "version": "1",
    "title": "Own",
    "kind": "choice",
    "data": "questions.jsonl",
    "reader": "own.py:read",
    "styles": "[demo]",
}
READER = """
from vipbench.schema import Problem, Region, Sample

def read(source):
    yield from RECORDS
"""

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a task file and its reader; None leaves a key out."""

    def write(reader: str = READER, /, **keys: str | None) -> Path:
        folder = tmp_path / "include"
        folder.mkdir(exist_ok=True)
        fields = {key: value for key, value in {**TASK, **keys}.items() if value is not None}
        text = "".join(f"{key}: {value}\n" for key, value in fields.items())
        (folder / "own.yaml").write_text(text, encoding="utf-8")
        (folder / "own.py").write_text(reader, encoding="utf-8")
        return folder

    return write


def records(folder: Path, *given: str) -> list[Sample | Problem]:
    """Load the task in a folder with a reader that yields the given records."""
    reader = READER.replace("RECORDS", f"[{', '.join(given)}]")
    name = f"reader_{len(list(folder.iterdir()))}.py"  # a module is imported once
    (folder / name).write_text(reader, encoding="utf-8")
    path = folder / "own.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("own.py:read", f"{name}:read"), encoding="utf-8"
    )
    return list(load_samples(load_task("own", (folder,)), DataSource(folder, folder)))


def record(**fields: object) -> str:
    known = {"id": "1", "image": "1.png", "question": "?", "choices": ("a", "b"), "target": "A"}
    given = {**known, "group": "1", **fields}
    return f"Sample({', '.join(f'{key}={value!r}' for key, value in given.items())})"


# --- what comes with the package


def test_every_task_suite_and_style_that_comes_with_the_package_loads() -> None:
    known = all_styles()
    for name in find_tasks():
        spec = load_task(name)
        assert spec.name == name
        assert spec.source
        assert spec.license
        headline = parse_styles(spec.styles[0], known)[0]
        assert parse_styles(",".join(spec.styles), known, headline)
    for name in find_suites():
        assert load_suite(name).name == name


def test_the_tasks_are_those_of_the_four_benchmarks() -> None:
    found = {name: load_task(name) for name in find_tasks()}
    assert {name: spec.reference.get("samples") for name, spec in found.items()} == {
        "visual7w_pointing": 57265,
        "pointqa_looktwice": 5711,
        "pointqa_looktwice_super": 5711,
        "pointqa_looktwice_object": 5711,
        "pointqa_local": None,
        "vcr_qar_turns": 26534,
        "vcr_qa": 26534,
        "vcr_qar": 26534,
        "vcr_q2ar": 26534,
        "vip_bench_bbox": 303,
        "vip_bench_human": 303,
        "vip_bench_drawn": 303,
    }
    tokens = {spec.max_new_tokens for name, spec in found.items() if "vip_bench" in name}
    assert tokens == {1024}
    assert {spec.fit for name, spec in found.items() if name in ("vcr_qa", "vcr_qar")} == {"squash"}
    assert found["vcr_q2ar"].data == ("vcr_qa", "vcr_qar")


def test_the_demo_suite_has_a_headline_with_marks() -> None:
    suite = load_suite("demo")
    assert suite.demo
    assert suite.styles == ("demo", "demo_unseen", "none", "blind")
    assert all_styles()[suite.styles[0]].kind == "marks"


# --- finding


def test_a_folder_counts_once_however_often_it_is_named(make: Make) -> None:
    folder = make()
    builtin = task_folders()[0]
    folders = task_folders((folder, folder / ".." / folder.name, builtin, folder))
    assert [path.resolve() for path in folders] == [builtin.resolve(), folder.resolve()]
    assert "own" in find_tasks((folder, folder))


def test_an_included_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"--include .*nowhere: no such folder"):
        find_tasks((tmp_path / "nowhere",))


def test_a_name_that_is_taken_is_an_error(make: Make) -> None:
    folder = make()
    (folder / "vcr_qa.yaml").write_text("name: vcr_qa\n", encoding="utf-8")
    with pytest.raises(TaskError, match=r"the name 'vcr_qa' is taken by .*tasks/vcr_qa\.yaml"):
        find_tasks((folder,))


@pytest.mark.parametrize(
    ("name", "hint"), [("vcr_aq", "did you mean 'vcr_qa'"), ("xyz", "known: pointqa_local, ")]
)
def test_an_unknown_task(name: str, hint: str) -> None:
    with pytest.raises(TaskError, match=rf"task '{name}' is unknown; {hint}"):
        load_task(name)


def test_an_unknown_suite() -> None:
    with pytest.raises(TaskError, match=r"suite 'deom' is unknown; did you mean 'demo'\?"):
        load_suite("deom")


# --- task files


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"name": "other"}, "name 'other' is not the file's name 'own'"),
        ({"title": None}, "key 'title' is missing"),
        ({"reader": None}, "key 'reader' is missing"),
        ({"kind": "chioce"}, "kind = 'chioce' should be 'choice', 'short_answer', 'graded' or"),
        ({"titel": "x"}, "line 8: unknown key 'titel'; did you mean 'title'?"),
        ({"path": "x"}, "unknown key 'path'"),
        ({"version": "1.5"}, "line 2: version = 1.5 should be a valid integer"),
        ({"data": "[a, b]"}, "data is a list, which only kind 'joint' takes"),
        ({"template": "'{question} {quesion}'"}, "{quesion}; did you mean 'question'?"),
        ({"template": "'{0}'"}, "template holds {0}"),
        ({"styles": "[dmeo]"}, "styles: style 'dmeo': 'dmeo' is unknown; did you mean 'demo'?"),
        ({"styles": "[rectangle:rad]"}, "'rad' is unknown; did you mean 'red'?"),
        ({"styles": "demo"}, "styles = 'demo' should be a valid tuple"),
        ({"fit": "crob"}, "fit = 'crob' should be 'pad', 'squash' or 'crop'; did you mean 'crop'?"),
        ({"reference": "{sampels: 3}"}, "unknown key 'sampels'; did you mean 'samples'?"),
        ({"reader": "onw.py:read"}, "onw.py does not exist; did you mean 'own.py'?"),
        ({"reader": "own.py"}, "reader 'own.py': expected 'jsonl', or file.py:function"),
        ({"reader": "../include/own.py:read"}, "expected 'jsonl', or file.py:function beside"),
        ({"reader": "/own.py:read"}, "expected 'jsonl', or file.py:function beside"),
        ({"reader": "own.yaml:read"}, "expected 'jsonl', or file.py:function beside"),
        ({"reader": "own.py:re ad"}, "expected 'jsonl', or file.py:function beside"),
        ({"reader": "json:read"}, "expected 'jsonl', or file.py:function beside"),
        ({"kind": "joint"}, "kind 'joint' takes no 'reader'"),
        ({"kind": "joint", "reader": None}, "kind 'joint' needs 'data' to list the tasks"),
        ({"kind": "joint", "reader": None, "data": "[vcr_qa]"}, "needs 'data' to list the tasks"),
        ({"kind": "joint", "reader": None, "data": "[own, vcr_qa]"}, "'own' is joined with itself"),
        (
            {"kind": "joint", "reader": None, "data": "[vcr_qa, vcr_qr]"},
            "data: task 'vcr_qr' is unknown; did you mean 'vcr_qar'?",
        ),
    ],
)
def test_a_mistake_in_a_task_file_names_file_key_and_nearest(
    make: Make, keys: dict[str, str | None], said: str
) -> None:
    folder = make(**keys)
    with pytest.raises(TaskError) as caught:
        load_task("own", (folder,))
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{folder / 'own.yaml'}: ")


def test_mistakes_of_all_kinds_are_reported_at_once(make: Make) -> None:
    folder = make(kind="chioce", titel="x", template="'{qestion}'", styles="[dmeo, nune]", fit="no")
    with pytest.raises(TaskError) as caught:
        load_task("own", (folder,))
    for part in ("'chioce'", "'titel'", "{qestion}", "'dmeo'", "'nune'", "fit = "):
        assert part in str(caught.value)


def test_a_key_that_stands_twice_is_an_error(make: Make) -> None:
    path = make() / "own.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "title: again\n", encoding="utf-8")
    with pytest.raises(TaskError, match=r"own\.yaml:8:1: .* key 'title' stands twice .*line 3"):
        load_task("own", (path.parent,))


def test_code_in_a_task_file_is_not_run(make: Make, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    folder = make(title=f"!!python/object/apply:pathlib.Path.touch [{trace}]")
    with pytest.raises(TaskError, match="could not determine a constructor for the tag"):
        load_task("own", (folder,))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: mine\ntasks: [vcr_qa]\n", "name 'mine' is not the file's name 'few'"),
        ("name: few\ntasks: [vcr_aq, pointqa]\n", "task 'vcr_aq' is unknown; did you mean 'vcr_qa"),
        ("name: few\ntasks: [vcr_aq, pointqa]\n", "task 'pointqa' is unknown"),
        ("name: few\ntasks: [vcr_qa]\nstyles: [demmo]\n", "'demmo' is unknown; did you mean 'demo"),
        ("name: few\ntask: [vcr_qa]\n", "line 2: unknown key 'task'; did you mean 'tasks'?"),
        ("name: few\ntasks: vcr_qa\n", "tasks = 'vcr_qa' should be a valid tuple"),
        ("name: few\ntasks: [vcr_qa]\nprompt_format: llava\n", "did you mean 'llava_v1'?"),
        ("name: few\ntasks: [vcr_qa]\nlimits: {vcr_q: 5}\n", "limits: 'vcr_q' is no task of the"),
        ("name: few\ntasks: [vcr_qa]\nlimits: {vcr_qa: 0}\n", "should be greater than or equal"),
    ],
)
def test_mistakes_in_a_suite(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/few.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(TaskError) as caught:
        load_suite("few", (tmp_path,))
    assert said in str(caught.value)


def test_a_suite_of_ones_own(make: Make) -> None:
    folder = make()
    (folder / "suites").mkdir()
    text = "name: few\ntasks: [own, vcr_qa]\nstyles: [demo, 'arrow:red']\nfit: crop\n"
    (folder / "suites/few.yaml").write_text(text, encoding="utf-8")
    suite = load_suite("few", (folder,))
    assert (suite.tasks, suite.fit) == (("own", "vcr_qa"), "crop")


# --- readers


def test_a_reader_yields_samples_with_their_task(make: Make) -> None:
    folder = make()
    (found,) = records(folder, record(id="x"))
    assert isinstance(found, Sample)
    assert (found.id, found.task and found.task.name) == ("x", "own")
    assert found.task
    assert found.task.path == folder / "own.yaml"


def test_a_reader_may_hold_dataclasses_with_postponed_annotations(make: Make) -> None:
    reader = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass, KW_ONLY\n"
        "from vipbench.schema import Sample\n"
        "@dataclass\nclass Row:\n    a: int\n    _: KW_ONLY\n    b: Row | None = None\n"
        "def read(source):\n    assert Row(1).b is None\n    return iter(())\n"
    )
    folder = make(reader)
    assert list(load_samples(load_task("own", (folder,)), DataSource(folder, folder))) == []


def test_readers_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        text = "".join(f"{key}: {value}\n" for key, value in {**TASK, "name": name}.items())
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        given = record(id=name)
        (folder / "own.py").write_text(READER.replace("RECORDS", f"[{given}]"), encoding="utf-8")
    include = (tmp_path / "one", tmp_path / "two")
    for name in ("one", "two"):
        (found,) = load_samples(load_task(name, include), DataSource(tmp_path, tmp_path))
        assert found.id == name


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        ("def raed(source): yield", "own.py has no function 'read'"),
        ("read = 3", "own.py has no function 'read'"),
        ("import no_such_module", "own.py: the reader cannot be imported (No module named"),
        ("def read(:", "own.py: the reader cannot be imported (invalid syntax (own.py, line 1))"),
        ("def read(source): return None", "reader 'own.py:read' returned None; expected an iter"),
        ("def read(source): yield {'id': 1}", "reader 'own.py:read' gave {'id': 1}; expected an"),
    ],
)
def test_a_reader_that_breaks_its_contract(make: Make, reader: str, said: str) -> None:
    folder = make(reader)
    before = set(sys.modules)
    with pytest.raises(TaskError) as caught:
        list(load_samples(load_task("own", (folder,)), DataSource(folder, folder)))
    assert said in str(caught.value)
    if "imported" in said:
        assert set(sys.modules) == before


def test_a_joint_task_has_no_samples_of_its_own() -> None:
    with pytest.raises(TaskError, match=r"'vcr_q2ar' has no reader .*\('vcr_qa', 'vcr_qar'\)"):
        list(load_samples(load_task("vcr_q2ar"), DataSource(Path(), Path())))


# --- samples


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"target": "C"}, "answer_not_in_options", "'C' is not one of the choice letters A, B"),
        ({"target": "a"}, "answer_not_in_options", "'a' is not one of the choice letters A, B"),
        ({"target": "AB"}, "answer_not_in_options", "'AB' is not one of the choice letters A, B"),
        ({"target": ""}, "answer_not_in_options", "'' is not one of the choice letters A, B"),
        ({"choices": ("a",)}, "choices", "has 1 choices; expected 2 to 26"),
        ({"choices": ("a",) * 27}, "choices", "has 27 choices; expected 2 to 26"),
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
        ((4.0, 4.0, 4.0, 4.0), None),
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


def test_mentions_come_in_the_order_of_the_texts() -> None:
    of = Sample(
        id="1", image="1.png", question="<r2> and <r0>", given_answer="<r1>",
        choices=("<r3>", "no <r10>"), target="A", group="1",
    )  # fmt: skip
    assert list(mentions(of)) == [2, 0, 1, 3, 10]


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
        ("link.png", "unsafe_path"),
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


# --- plugins


class Entry:
    def __init__(self, value: str) -> None:
        self.name, self.value = "mine", value


@pytest.mark.parametrize("value", ["no_such_package", "no_such.package", "math", "a:b", ""])
def test_a_plugin_that_names_no_package(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Entry(value)])
    tasks._plugin_folders.cache_clear()
    with pytest.raises(TaskError, match=rf"plugin 'mine' .*: '{value}' is no package that can be"):
        task_folders()


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
