import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from vipbench.data.suites import Suite
from vipbench.errors import DataError, TaskError
from vipbench.schema import PromptStyle, Record, TaskSpec
from vipbench.validation import checked, read_yaml, shown

TASK: dict[str, Any] = {
    "name": "a",
    "version": 1,
    "title": "A",
    "kind": "choice",
    "data": "a",
    "reader": "jsonl",
}


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (TaskSpec, {"fit": "padd"}, "fit = 'padd' · expected 'pad', 'squash' or 'crop' · did you"),
        (TaskSpec, {"titel": 1}, "unknown key 'titel' · did you mean 'title'?"),
        (TaskSpec, {"data": 4}, "data = 4 · expected text or a list"),
        (TaskSpec, {"styles": ["a", 2]}, "styles.1 = 2 · expected text"),
        (TaskSpec, {"version": 0}, "version = 0 · expected a number from 1"),
        (TaskSpec, {"max_new_tokens": 0}, "max_new_tokens = 0 · expected a number above 0"),
        (TaskSpec, {"chance": 1.5}, "chance = 1.5 · expected a number up to 1"),
        (Suite, {"tasks": "a"}, "tasks = 'a' · expected a list"),
        (PromptStyle, {"alpha": 256}, "alpha = 256 · expected a number up to 255"),
        (PromptStyle, {"alpha": [200, 100]}, "x: alpha = [200, 100] should go from low to high"),
        (PromptStyle, {"width": {"point": 0}}, "width.point = 0 · expected a number above 0"),
        (
            PromptStyle,
            {"width": {"point": "inf"}},
            "width.point = 'inf' · expected a finite number",
        ),
    ],
)
def test_a_mistake_is_named_with_its_key_and_value(
    kind: type[Record], fields: dict[str, Any], said: str
) -> None:
    base = TASK if kind is TaskSpec else {"name": "a", "tasks": ["a"]}
    base = {key: value for key, value in base.items() if key in kind.model_fields}
    with pytest.raises(TaskError) as caught:
        checked(kind, {**base, **fields}, "x")
    assert said in str(caught.value)
    assert str(caught.value).startswith("x: ")
    assert "\n" not in str(caught.value)


def test_several_mistakes_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: a\nversion: one\n\nfit: squish\nextra: 1\nother: 2\n", encoding="utf-8")
    with pytest.raises(TaskError) as caught:
        checked(TaskSpec, read_yaml(path), str(path), ["and this"])
    text = str(caught.value)
    for part in (
        f"{path}: line 2: version = 'one' · expected",
        "line 4: fit = 'squish' · expected 'pad', 'squash' or 'crop' · did you mean 'squash'?",
        "line 5: unknown key 'extra'",
        "line 6: unknown key 'other'",
        "key 'title' is missing",
        "key 'kind' is missing",
        "and this",
    ):
        assert part in text
    assert text.count("known: ") == 1
    assert "path" not in text.replace(str(path), "")


def test_mistakes_of_the_caller_alone_are_an_error() -> None:
    with pytest.raises(TaskError, match=r"^x: one; and two$"):
        checked(Suite, {"name": "a", "tasks": ["b"]}, "x", ["one", "two"])


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_knows_its_lines(tmp_path: Path) -> None:
    content = read_yaml(write(tmp_path / "a.yaml", "# one\na: 1\n\nb: {c: [2, 3]}\n"))
    assert content == {"a": 1, "b": {"c": [2, 3]}}
    assert content.lines == {"a": 2, "b": 4}


def test_yaml_read_twice_gives_copies_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "a: {b: 1}\n")
    read_yaml(path)["a"]["b"] = 2
    assert read_yaml(path) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3:1: not plain YAML: key 'a' occurs twice (first in line 1)"),
        ("a:\n  b: 1\n  b: 2\n", ":3:3: not plain YAML: key 'b' occurs twice (first in line 2)"),
        ("a: !!python/object/apply:os.system [ls]", ":1:4: not plain YAML: could not determine"),
        ("a: !!python/name:os.system x", "tag:yaml.org,2002:python/name:os.system"),
        ("a: !own 1", "could not determine a constructor for the tag '!own'"),
        ("a: [1\nb: 2", ":2:2: not plain YAML: expected ',' or ']', but got ':'"),
        ("a: b: c", ":1:5: not plain YAML: mapping values are not allowed here"),
        ("\ta: 1", "cannot start any token"),
        ("a: *b", "found undefined alias 'b'"),
        ("- 1\n- 2", "expected a mapping of keys to values, not [1, 2]"),
        ("", ": is empty · expected a mapping of keys to values"),
        ("1: a", "key 1: expected text · put it into quotes"),
        ("? [a]\n: 1", "found unhashable key"),
        ("a: 2020-13-40", "a value cannot be read ('month must be in 1..12')"),
        ("a: !!bool maybe", "a value cannot be read"),
        ("a: !!timestamp x", "a value cannot be read"),
        ("!!map [1]", "expected a mapping node, but found sequence"),
        ("a: \x07", "unacceptable character"),
        ("[" * 3000, "maximum recursion depth"),
    ],
)
def test_yaml_that_is_broken_or_not_plain_is_refused_in_one_line(
    tmp_path: Path, text: str, said: str
) -> None:
    path = write(tmp_path / "a.yaml", text)
    with pytest.raises(TaskError) as caught:
        read_yaml(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_same_text_is_unsafe_for_the_loader_that_is_not_ours() -> None:
    loaded = yaml.load("a: !!python/name:os.getcwd", Loader=yaml.UnsafeLoader)
    assert callable(loaded["a"])


def test_yaml_that_cannot_be_read_is_an_error_of_the_kind_asked_for(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no\.yaml: cannot be read \(No such file"):
        read_yaml(tmp_path / "no.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(DataError, match=r"latin\.yaml: not UTF-8 text \(byte 3\)"):
        read_yaml(tmp_path / "latin.yaml", DataError)


def test_values_in_messages_stay_short() -> None:
    deep: object = "x"
    for _ in range(60):
        deep = [deep] * 9
    assert len(shown(deep)) < 300
    assert len(shown("x" * 10_000)) < 100
    assert shown("short") == "'short'"


def test_an_alias_bomb_is_a_short_message(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    path = write(tmp_path / "a.yaml", "\n".join([*lines, "name: *a29"]))
    with pytest.raises(TaskError) as caught:
        checked(Suite, read_yaml(path), str(path))
    assert len(str(caught.value)) < 5000


BOMB = "".join(
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB + "styles: *a11",
        BOMB.replace("[x", "!!omap [x: x").replace(", x", ", x: x") + "styles: *a11",
        "a: &a {b: *a}",
        "a: &a [*a]",
    ],
    ids=["lists", "pairs", "mapping in itself", "list in itself"],
)
def test_aliases_do_not_multiply_without_end(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.yaml", text)
    with pytest.raises(TaskError, match="aliases make it hold over 100,000 values"):
        read_yaml(path)


def test_yaml_that_never_ends_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("/dev/zero")
    for name in ("a.yaml", "b.yaml"):
        with pytest.raises(TaskError, match=f"{name}: cannot be read .not a regular file"):
            read_yaml(tmp_path / name)


def test_half_a_character_in_yaml_is_refused_where_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", 'a: 1\nb: {c: "\\ud83d"}\n')
    with pytest.raises(TaskError, match=r"a\.yaml:2:8: not plain YAML: .*a lone surrogate"):
        read_yaml(path)
