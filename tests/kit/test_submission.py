"""Submissions of others: their form, the example of the page, and those that are there."""

import datetime
import re
from pathlib import Path

import pytest
import yaml

from vipbench.errors import TaskError
from vipbench.kit.make import Kit
from vipbench.kit.submission import Submission, read_submission

COMMUNITY = Path(__file__).parents[2] / "results" / "community"
PAGE = (COMMUNITY / "README.md").read_text(encoding="utf-8")


def example(tmp_path: Path) -> Path:
    """Write down the example that the page shows."""
    [block] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "example.yaml"
    path.write_text(block, encoding="utf-8")
    return path


def test_the_example_of_the_page_has_the_form(tmp_path: Path) -> None:
    found = read_submission(example(tmp_path))
    assert found.date == datetime.date(2026, 12, 5)
    assert found.hardware


def test_the_page_explains_every_key() -> None:
    for name in Submission.model_fields:
        assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("path", [*COMMUNITY.glob("*.yaml"), None], ids=str)
def test_every_submission_has_the_form_and_a_row(path: Path | None) -> None:
    if path is not None:
        found = read_submission(path)
        assert found.digest[:12] in PAGE


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("digest", "abc", "digest = 'abc'"),
        ("archive", "http://example.org/kit.zip", "archive = 'http://example.org/kit.zip'"),
        ("who", "", "who = ''"),
        ("date", "soon", "date = 'soon'"),
        ("command", "rm -rf /", "command = 'rm -rf /'"),
        ("hardwear", "x", "unknown key 'hardwear' · did you mean 'hardware'?"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, key: str, value: str, said: str) -> None:
    path = example(tmp_path)
    form = yaml.safe_load(path.read_text(encoding="utf-8")) | {key: value}
    path.write_text(yaml.safe_dump(form), encoding="utf-8")
    with pytest.raises(TaskError) as raised:
        read_submission(path)
    assert said in str(raised.value)


def test_a_kit_fills_in_what_it_knows(small: Kit, tmp_path: Path) -> None:
    form = yaml.safe_load(small.submission.read_text(encoding="utf-8"))
    assert form["digest"] == small.digest
    assert form["command"].startswith("vipbench kit --model ")
    with pytest.raises(TaskError, match="who = ''"):
        read_submission(small.submission)
    path = tmp_path / "filled.yaml"
    address = {"who": "alice", "archive": "https://example.org/kit.zip"}
    path.write_text(yaml.safe_dump(form | address), encoding="utf-8")
    assert read_submission(path).who == "alice"
