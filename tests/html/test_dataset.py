"""The columns of the sample browser: every sample, with what became of each answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.html.made import Item, write_run, write_scores
from tests.runs import make_joint, settings
from vipbench import files
from vipbench.errors import RunError
from vipbench.html.dataset import as_json, collect, option_lines
from vipbench.html.runs import read_runs, task_keys
from vipbench.html.tables import leaderboards
from vipbench.run import loop as runs
from vipbench.runfolder import folder
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.lines import ScoreLine
from vipbench.schema import Request, Trial


def plain(*folders: Path) -> dict[str, Any]:
    text = as_json(collect(read_runs(folders)).dataset)
    data: dict[str, Any] = json.loads(text)
    return data


def words(data: dict[str, Any], indices: list[int]) -> list[str | None]:
    return [None if index < 0 else data["texts"][index] for index in indices]


def test_each_run_says_what_it_is_called(tmp_path: Path, images: Path) -> None:
    made = write_run(tmp_path / "run", [Item()], images=images, model="expA/checkpoint-600")
    [run] = plain(made)["runs"]
    assert (run["name"], run["step"], run["label"]) == (*("expA/checkpoint-600", 600), run["name"])
    assert len(run["weights"]) == 8


def test_each_answer_has_its_state(tmp_path: Path, images: Path) -> None:
    answers = {"right": "A", "wrong": "B", "unparsed": "I cannot tell.", "error": None}
    items = [Item(id=name, answer=answer) for name, answer in answers.items()]
    items.append(Item(id="cut", answer="B", finish="length"))
    data = plain(write_run(tmp_path / "run", items, images=images))
    assert words(data, data["rows"]["id"]) == [*answers, "cut"]
    [given] = data["answers"]
    assert given["state"] == "rwuew"
    assert given["cut"] == [4]
    assert words(data, given["text"]) == ["A", "B", "I cannot tell.", None, "B"]
    assert words(data, given["parsed"]) == ["A", "B", None, None, "B"]
    assert words(data, given["note"]) == [None, None, None, "the model failed", None]


def test_runs_that_asked_the_same_share_the_question(tmp_path: Path, images: Path) -> None:
    one = write_run(tmp_path / "one", [Item()], images=images)
    two = write_run(tmp_path / "two", [Item(answer="B"), Item(id="q2")], images=images)
    data = plain(one, two)
    assert [each["state"] for each in data["answers"]] == ["r-", "wr"]
    assert [each["ask"] for each in data["answers"]] == [[0, -1], [0, 1]]


def test_runs_that_asked_otherwise_have_their_own_question(tmp_path: Path, images: Path) -> None:
    one = write_run(tmp_path / "one", [Item()], images=images, seed=0)
    two = write_run(tmp_path / "two", [Item()], images=images, seed=1)
    data = plain(one, two)
    assert len(data["rows"]["id"]) == 1
    assert [each["ask"] for each in data["answers"]] == [[0], [1]]


def test_a_question_is_all_that_was_asked(run: Path) -> None:
    data = plain(run)
    asks = data["asks"]
    assert words(data, asks["turns"][0][0]) == [
        "What is the thing within the red rectangle?", "A. a cat", "B. a dog", "C. a cup",
    ]  # fmt: skip
    assert words(data, asks["options"][0]) == ["A. a cat", "B. a dog", "C. a cup"]
    assert asks["right"] == [0, 0]
    assert words(data, asks["target"]) == ["A", "A"]
    assert words(data, asks["tags"][1]) == ["shape=ellipse", "color=blue"]
    assert [data["shapes"][index] for index in asks["shape"]] == ["rectangle", "ellipse"]
    assert [data["colors"][index] for index in asks["color"]] == ["red", "blue"]


def test_each_text_is_kept_once(run: Path) -> None:
    texts = plain(run)["texts"]
    assert len(texts) == len(set(texts))


def test_nothing_in_the_data_can_end_the_script(tmp_path: Path, images: Path) -> None:
    evil = "</script><script>alert(1)</script><!-- <![CDATA[ & \u2028"
    run = write_run(tmp_path / "run", [Item(question=evil, id=evil)], images=images)
    text = as_json(collect(read_runs([run])).dataset)
    assert not set("<>&\u2028") & set(text)
    data = json.loads(text)
    assert data["texts"][data["rows"]["id"][0]] == evil.replace("\u2028", "⟨U+2028⟩")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Which?\nA. cat\nB. dog\nAnswer.", ["A. cat", "B. dog"]),
        ("A. is a letter\nA. cat\nB. dog", ["A. is a letter", "B. dog"]),
        ("Which? A or B", ["A", "B"]),
        ("Which?\nB. dog\nA. cat", ["A", "B"]),
    ],
)
def test_options_are_the_lines_that_list_them(text: str, expected: list[str]) -> None:
    request = Request(
        task="t", style="s", id="i", turns=("A. first turn\nB. too", "given", text), image="",
        fit="pad", max_new_tokens=8, options=("A", "B"), key="",
    )  # fmt: skip
    assert option_lines(request) == expected


def test_a_joint_task_has_its_rows_and_names_its_parts(tmp_path: Path) -> None:
    done = runs.run(settings(make_joint(tmp_path, 4), tasks=("both",), styles="demo"))
    data = plain(done.path)
    labels = [task["label"] for task in data["tasks"]]
    both = labels.index("both")
    assert {labels[part] for part in data["tasks"][both]["parts"]} == {"first", "second"}
    rows = [row for row, task in enumerate(data["rows"]["task"]) if task == both]
    asks = [data["answers"][0]["ask"][row] for row in rows]
    assert len(rows) == 4
    assert all(data["asks"]["turns"][ask] == [] for ask in asks)
    assert all(", " in target for target in words(data, [data["asks"]["target"][a] for a in asks]))  # type: ignore[operator]


def test_other_metrics_stand_beside_the_headline(tmp_path: Path, images: Path) -> None:
    run = write_run(tmp_path / "run", [Item(answer="It is A."), Item(id="q2")], images=images)
    lines = list(files.read_lines(run / folder.SCORES, ScoreLine))
    stated = [line.model_copy(update={"metric": "stated", "value": 1.0}) for line in lines]
    write_scores(run, manifests.read(run), [*lines, *stated])
    [given] = plain(run)["answers"]
    assert given["state"] == "ur"
    assert given["more"] == {"stated": {"0": 1.0, "1": 1.0}}
    _, others = leaderboards(read_runs([run]), task_keys(read_runs([run])))
    [column] = others.columns
    [cell] = others.lines[0].cells
    assert (column.metric, column.style) == ("stated", "demo")
    assert cell is not None
    assert cell.mean == 1


def test_a_line_of_another_task_is_an_error(run: Path) -> None:
    path = run / folder.REQUESTS
    trial = next(iter(files.read_lines(path, Trial)))
    files.write_lines(path, [trial.model_copy(update={"task": "stray"})])
    with pytest.raises(RunError, match=r"requests\.jsonl:1: task 'stray' is not in manifest\.json"):
        plain(run)


def test_of_many_answers_a_part_of_the_samples_is_shown(tmp_path: Path, images: Path) -> None:
    styles = ("demo", "none")
    items = [Item(id=f"q{n}", style=style) for style in styles for n in range(100)]
    read = read_runs([write_run(tmp_path / "run", items, images=images)])
    whole, part = collect(read, 200), collect(read, 199 // 4)
    assert whole.dataset.n_left_out == 0
    data = part.dataset
    n_shown = data.n_samples()
    assert 5 < n_shown < 50
    assert n_shown + data.n_left_out == 100
    ids = [data.texts.all()[index] for index in data.id]
    assert len(ids) == len(styles) * n_shown  # the same under each style
    assert len({*ids}) == n_shown
    assert len(part.to_draw) == len(styles) * n_shown
    assert part.scores == whole.scores
    fewer = collect(read, 10).dataset
    assert {fewer.texts.all()[index] for index in fewer.id} < {*ids}
