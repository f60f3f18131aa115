from typing import Any, ClassVar

import pytest
from pydantic import Field

from vipbench.digests import added_facts, digest, facts
from vipbench.prompts.request import request_key
from vipbench.runfolder.judge_file import Judge
from vipbench.runfolder.manifest import Identity, Settings
from vipbench.schema import PromptStyle, Record, Region, Request, Trial, VisualPrompt


class Small(Record):
    FIRST_FIELDS: ClassVar = frozenset({"known"})

    name: str
    known: int = 0


class Inner(Small):
    added: tuple[int, ...] = ()


class Outer(Small):
    inner: Inner
    listed: tuple[Inner, ...] = ()
    mapped: dict[str, Inner] = Field(default={})


class Path(Record):
    FIRST_FIELDS: ClassVar = frozenset({"points"})

    points: tuple[tuple[float, float], ...] = ()


def test_a_record_of_version_1_is_digested_whole() -> None:
    assert facts(Small(name="a")) == {"name": "a", "known": 0}
    assert added_facts(Small(name="a")) == {}


def test_what_was_added_is_left_out_at_its_default() -> None:
    assert facts(Inner(name="a")) == facts(Small(name="a"))
    assert facts(Inner(name="a", added=(1,))) == {"name": "a", "known": 0, "added": [1]}
    assert added_facts(Inner(name="a")) == {}
    assert added_facts(Inner(name="a", added=(1,))) == {"added": [1]}


def test_records_within_records_are_looked_at() -> None:
    plain, other = Inner(name="a"), Inner(name="a", added=(1,))
    assert facts(Outer(name="o", inner=plain)) == {
        "name": "o",
        "known": 0,
        "inner": {"name": "a", "known": 0},
    }
    both = facts(Outer(name="o", inner=other, listed=(plain, other), mapped={"x": plain}))
    assert [len(both["inner"]), *map(len, both["listed"]), len(both["mapped"]["x"])] == [3, 2, 3, 2]


class Titled(Small):
    UNDIGESTED: ClassVar = frozenset({"title"})

    title: str = ""


def test_some_fields_never_count() -> None:
    assert facts(Titled(name="a", title="A")) == facts(Small(name="a"))
    assert added_facts(Titled(name="a", title="A")) == {}


def test_defaults_are_kept_to_show_what_differs() -> None:
    assert facts(Inner(name="a"), defaults=True) == {"name": "a", "known": 0, "added": []}
    assert facts(Titled(name="a"), defaults=True) == facts(Small(name="a"))


def test_numbers_within_numbers_stay() -> None:
    assert facts(Path(points=((1, 2), (3, 4)))) == {"points": [[1.0, 2.0], [3.0, 4.0]]}


@pytest.mark.parametrize(
    "kind", [Identity, Settings, PromptStyle, VisualPrompt, Region, Request, Trial, Judge]
)
def test_digested_records_name_the_fields_of_version_1(kind: type[Record]) -> None:
    """Who adds a field to one of them adds it here, too, and never to `FIRST_FIELDS`."""
    added: dict[type[Record], set[str]] = {
        Identity: {"exif"},
        Settings: {"template_date", "adapter", "quantization", "processor", "endpoint"},
        PromptStyle: {
            "surround",
            "settings",
            "text",
            "beside",
            "order",
            "words",
            "listed",
            "refer",
            "units",
        },
        VisualPrompt: {"text", "settings"},
        Region: {"id", "bridges", "image"},
        Request: {"exif", "surround", "images", "draw_sizes"},
        Judge: {"reasoning_tokens", "extra_body", "omitted"},
    }
    optional = {name for name, field in kind.model_fields.items() if not field.is_required()}
    assert optional.issuperset(kind.FIRST_FIELDS)
    later = optional - kind.FIRST_FIELDS
    assert later - kind.UNDIGESTED == added.get(kind, set())


class Zoomed(Request):
    zoom: float = 1.0


def request(kind: type[Request], **fields: Any) -> Request:
    return kind(
        task="t",
        style="s",
        id="1",
        turns=("What?",),
        image="a.png",
        fit="pad",
        max_new_tokens=8,
        key="",
        **fields,
    )


def test_a_request_keeps_its_key_until_the_new_field_is_used() -> None:
    key = request_key(request(Request), 1, "0" * 64)
    assert request_key(request(Zoomed), 1, "0" * 64) == key
    assert request_key(request(Zoomed, zoom=1.0), 1, "0" * 64) == key
    assert request_key(request(Zoomed, zoom=2.0), 1, "0" * 64) != key


class Angled(VisualPrompt):
    angle: float = 0.0


def test_a_mark_keeps_the_key_of_its_request() -> None:
    fields: dict[str, Any] = {
        "region": Region(box=(0, 0, 4, 4)),
        "shape": "arrow",
        "color": (255, 0, 0),
        "alpha": 255,
        "width": 2.0,
        "seed": 1,
    }

    def key(mark: VisualPrompt) -> str:
        asked = request(Request).model_copy(update={"visual_prompts": (mark,)})
        return request_key(asked, 1, "0" * 64)

    assert key(Angled(**fields)) == key(VisualPrompt(**fields))
    assert key(Angled(**fields, angle=0.5)) != key(VisualPrompt(**fields))


def test_digests_are_canonical() -> None:
    assert digest({"b": 1, "a": "é"}) == digest({"a": "é", "b": 1})
    assert digest([1]) != digest([2])
