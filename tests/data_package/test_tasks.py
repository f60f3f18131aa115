import sys
from pathlib import Path

import pytest

from tests.data_package.made import READER, TASK, Make, record, records
from vipbench.data import tasks
from vipbench.data.samples import load_samples
from vipbench.data.tasks import (
    all_styles,
    find_suites,
    find_tasks,
    load_suite,
    load_task,
    task_folders,
)
from vipbench.errors import TaskError
from vipbench.prompts.expressions import parse_styles
from vipbench.schema import DataSource, Sample

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


def test_the_tasks_are_those_of_the_benchmarks() -> None:
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
        "gar_bench_vqa": 424,
        "blink_relative_depth": 124,
        "blink_relative_reflectance": 134,
        "blink_object_localization": 122,
        "blink_visual_correspondence": 172,
        "blink_semantic_correspondence": 139,
        "blink_functional_correspondence": 130,
        "vp_bench_1": 14868,
        "inst_it_mc": None,
        "vpbench_depth": None,
        "vpbench_semantic": None,
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


def test_the_suite_field_has_all_tasks_with_options_under_their_headline_styles() -> None:
    suite = load_suite("field")
    choices = {name for name in find_tasks() if load_task(name).kind == "choice"}
    assert set(suite.tasks) == choices
    assert not suite.styles


def test_the_suite_fragility_has_the_default_of_vpbench_and_its_16_variants() -> None:
    suite = load_suite("fragility")
    styles = parse_styles(",".join(suite.styles), all_styles())
    names = [style.name for style in styles]
    assert (len(set(names)), names[0]) == (17, "vpbench")
    assert {load_task(task).data for task in suite.tasks} == {"vpbench"}


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
    ("name", "hint"),
    [("vcr_aq", "did you mean 'vcr_qa'"), ("xyz", "`vipbench ls tasks` lists them")],
)
def test_an_unknown_task(name: str, hint: str) -> None:
    with pytest.raises(TaskError, match=rf"task '{name}' is unknown · {hint}"):
        load_task(name)


def test_an_unknown_suite() -> None:
    with pytest.raises(TaskError, match=r"suite 'deom' is unknown · did you mean 'demo'\?"):
        load_suite("deom")


# --- task files


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"name": "other"}, "name 'other' is not the file's name 'own'"),
        ({"title": None}, "key 'title' is missing"),
        ({"reader": None}, "key 'reader' is missing"),
        ({"kind": "chioce"}, "kind = 'chioce' · expected 'choice', 'short_answer', 'graded' or"),
        ({"titel": "x"}, "line 8: unknown key 'titel' · did you mean 'title'?"),
        ({"path": "x"}, "unknown key 'path'"),
        ({"version": "1.5"}, "line 2: version = 1.5 · expected a whole number"),
        ({"data": "[a, b]"}, "data is a list, which only kind 'joint' takes"),
        ({"template": "'{question} {quesion}'"}, "{quesion} · did you mean 'question'?"),
        ({"templates": "{tagg: x}"}, "templates of 'tagg': shape 'tagg' is unknown · did you mean"),
        ({"refer": "{tagg: point}"}, "refer of 'tagg': shape 'tagg' is unknown · did you mean"),
        ({"refer": "{tag: 'at {tga}'}"}, "refer holds {tga} · did you mean 'tag'?"),
        ({"refer": "{tag: pont}"}, "refer 'pont' is unknown · did you mean 'point'?"),
        ({"template": "'{0}'"}, "template holds {0}"),
        ({"styles": "[dmeo]"}, "styles: style 'dmeo': 'dmeo' is unknown · did you mean 'demo'?"),
        ({"styles": "[rectangle:rad]"}, "'rad' is unknown · did you mean 'red'?"),
        ({"styles": "demo"}, "styles = 'demo' · expected a list"),
        (
            {"fit": "crob"},
            "fit = 'crob' · expected 'pad', 'squash' or 'crop' · did you mean 'crop'?",
        ),
        ({"reference": "{sampels: 3}"}, "unknown key 'sampels' · did you mean 'samples'?"),
        ({"reader": "onw.py:read"}, "onw.py does not exist · did you mean 'own.py'?"),
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
            "data: task 'vcr_qr' is unknown · did you mean 'vcr_qar'?",
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
    with pytest.raises(TaskError, match=r"own\.yaml:8:1: .* key 'title' occurs twice .*line 3"):
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
        (
            "name: few\ntasks: [vcr_aq, pointqa]\n",
            "task 'vcr_aq' is unknown · did you mean 'vcr_qa",
        ),
        ("name: few\ntasks: [vcr_aq, pointqa]\n", "task 'pointqa' is unknown"),
        (
            "name: few\ntasks: [vcr_qa]\nstyles: [demmo]\n",
            "'demmo' is unknown · did you mean 'demo",
        ),
        ("name: few\ntask: [vcr_qa]\n", "line 2: unknown key 'task' · did you mean 'tasks'?"),
        ("name: few\ntasks: vcr_qa\n", "tasks = 'vcr_qa' · expected a list"),
        ("name: few\ntasks: [vcr_qa]\nprompt_format: llava\n", "did you mean 'llava_v1'?"),
        ("name: few\ntasks: [vcr_qa]\nlimits: {vcr_q: 5}\n", "limits: 'vcr_q' is not a task of"),
        ("name: few\ntasks: [vcr_qa]\nlimits: {vcr_qa: 0}\n", " · expected a number from 1"),
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
        ("def read(source): return None", "reader 'own.py:read' returned None · expected an iter"),
        ("def read(source): yield {'id': 1}", "reader 'own.py:read' gave {'id': 1} · expected an"),
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


# --- plugins


class Entry:
    def __init__(self, value: str) -> None:
        self.name, self.value = "mine", value


@pytest.mark.parametrize("value", ["no_such_package", "no_such.package", "math", "a:b", ""])
def test_a_plugin_that_names_no_package(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Entry(value)])
    tasks._plugin_folders.cache_clear()
    with pytest.raises(
        TaskError, match=rf"plugin 'mine' .*: '{value}' is not a package that can be"
    ):
        task_folders()
