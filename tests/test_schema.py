from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vipbench.data.suites import Suite
from vipbench.schema import (
    PromptChoices,
    PromptStyle,
    Record,
    Region,
    Request,
    Response,
    Sample,
    TaskSpec,
    VisualPrompt,
)
from vipbench.validation import checked

REGION = Region(box=(1, 2.5, 3, 4), polygons=(((1, 2), (3, 2), (3, 4)),), label="dog")
MARK = VisualPrompt(
    region=REGION, shape="mask contour", color=(0, 255, 7), alpha=128, width=None, seed=2**52 - 1
)
TASK: dict[str, Any] = {
    "name": "a",
    "version": 1,
    "title": "A",
    "kind": "choice",
    "data": "a",
    "reader": "jsonl",
}


def records() -> list[Record]:
    return [
        REGION,
        MARK,
        PromptChoices(colors=("red", None, (1, 2, 3)), articles=(True,), shapes=("point",)),
        PromptStyle(name="s", shapes=("point",), colors=("red",), alpha=(1, 2), width={"point": 3}),
        Sample(id="1", image="1.png", question="?", target="A", group="1", regions=(REGION,)),
        Suite(name="s", tasks=("a", "b")),
        Request(
            task="a", style="s", id="1", turns=("?",), image="1.png", visual_prompts=(MARK,),
            fit="pad", max_new_tokens=8, key="k",
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_records_survive_json_exactly(record: Record) -> None:
    assert type(record).model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_records_cannot_be_changed(record: Record) -> None:
    field = next(iter(type(record).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, field, getattr(record, field))


def test_the_path_and_the_task_are_no_part_of_a_record_on_disk() -> None:
    spec = checked(TaskSpec, {**TASK, "path": Path("a.yaml")}, "a.yaml")
    sample = Sample(id="1", image="1.png", question="?", target="A", group="1", task=spec)
    assert "path" not in spec.model_dump()
    assert "task" not in sample.model_dump()


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"text": "B"}, "answered"),
        ({"text": "B", "finish": "length"}, "cut_off"),
        ({"error": "gone", "finish": "error"}, "failed"),
        ({"error": "withheld", "finish": "filter"}, "filtered"),
        ({"error": "I may not", "state": "refused"}, "refused"),
    ],
)
def test_a_response_has_a_state_that_a_file_names_only_where_it_must(
    fields: dict[str, Any], state: str
) -> None:
    response = Response(**fields)
    assert response.state == state
    written = response.model_dump_json()
    assert ('"state"' in written) == (state == "refused")
    assert "reasoning" not in written
    assert Response.model_validate_json(written) == response
    assert response.model_dump()["state"] == state


def test_reasoning_is_written_where_there_is_some() -> None:
    response = Response(text="B", reasoning="A cup.", n_reasoning_tokens=3)
    assert Response.model_validate_json(response.model_dump_json()) == response
