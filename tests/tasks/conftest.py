"""What the tests of the readers share."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vipbench.data.samples import load_samples
from vipbench.data.tasks import all_styles, load_task
from vipbench.prompts.request import build_request
from vipbench.schema import DataSource, Problem, PromptChoices, Sample

Read = Callable[..., list[Sample | Problem]]
Text = Callable[..., str]
Write = Callable[[str, object], Path]


@pytest.fixture
def data() -> Path:
    """The made-up data that tests/make_data.py writes."""
    return Path(__file__).parents[1] / "data"


@pytest.fixture
def read() -> Read:
    """Read all records of a task from a folder or file; images below `images`, or beside it."""

    def records(task: str, questions: Path, images: Path | None = None) -> list[Sample | Problem]:
        beside = questions if questions.is_dir() else questions.parent
        return list(load_samples(load_task(task), DataSource(questions, images or beside)))

    return records


@pytest.fixture
def samples(read: Read) -> Callable[..., list[Sample]]:
    """Read all samples of a task; a problem that is no warning fails the test."""

    def usable(task: str, questions: Path, images: Path | None = None) -> list[Sample]:
        records = read(task, questions, images)
        assert [r for r in records if isinstance(r, Problem) and not r.warning] == []
        return [record for record in records if isinstance(record, Sample)]

    return usable


@pytest.fixture
def text() -> Text:
    """The final user text of a sample, with colours and articles fixed by hand."""

    def final(
        sample: Sample, style: str, colors: tuple[str, ...] = (), articles: tuple[bool, ...] = ()
    ) -> str:
        choices = PromptChoices(colors=colors, articles=articles)
        return build_request(sample, all_styles()[style], seed=0, choices=choices).turns[0]

    return final


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write JSON below `tmp_path`, or JSON lines where the file's name says so."""

    def written(name: str, content: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl" and isinstance(content, list):
            lines = "".join(json.dumps(line) + "\n" for line in content)
            path.write_text(lines, encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return written
