import importlib
import math
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import vipbench
from vipbench import errors
from vipbench.errors import (
    VipbenchError,
    alternatives,
    details,
    expected,
    first_mistake,
    nearest,
    own_words,
    shown,
)


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("rectangel", ["ellipse", "rectangle"], " · did you mean 'rectangle'?"),
        ("RED", ["red", "blue"], " · did you mean 'red'?"),
        ("Obj_Question", ["obj_question", "ans"], " · did you mean 'obj_question'?"),
        ("zzz", ["b", "a"], " · known: a, b"),
        ("zzz", [], ""),
        ("bleu", ["blue", "blur"], " · did you mean 'blue'?"),
        ("blu", ["blur", "blue", "red"], " · did you mean 'blue' or 'blur'?"),
        ("", ["a"], " · known: a"),
    ],
)
def test_nearest(name: str, known: list[str], hint: str) -> None:
    assert nearest(name, known) == hint
    assert nearest(name, iter(known)) == hint


def test_of_many_names_the_most_alike_are_listed_and_how_to_list_all() -> None:
    many = [f"vipbench_mark_{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    hint = nearest("nosuch", [*many, "notch_marks"], "vipbench ls styles")
    assert hint == " · nearest: notch_marks · `vipbench ls styles` lists them"
    assert nearest("zzz", many, "vipbench ls styles") == " · `vipbench ls styles` lists them"
    assert nearest("zzz", many).startswith(" · known: vipbench_mark_a, vipbench_mark_b, ")
    assert nearest("zzz", many).endswith(" and 20 more")
    assert (
        nearest("vipbench_mark_aa", many, "vipbench ls styles")
        == " · did you mean 'vipbench_mark_a'?"
    )
    assert nearest("zzz", ["a", "b"], "vipbench ls styles") == " · known: a, b"


def test_nearest_does_not_depend_on_the_order() -> None:
    assert nearest("pad1", ["pad3", "pad2"]) == nearest("pad1", ["pad2", "pad3"])


def test_the_exit_code_says_whose_mistake_it_is() -> None:
    kinds = {each for each in vars(errors).values() if isinstance(each, type)}
    codes = {kind.__name__: kind.exit_code for kind in kinds if issubclass(kind, VipbenchError)}
    assert codes.pop("CheckFailed") == 1
    assert codes.pop("TooManyErrors") == 3
    assert codes.pop("EndpointStopped") == 3
    assert codes.pop("ExtractorStopped") == 3
    assert codes.pop("JudgeStopped") == 3
    assert codes.pop("RunInterrupted") == 130
    assert set(codes.values()) == {2}


APART = ("vipbench.runners", "vipbench.bench", "vipbench.demo")
"""Import torch; of their modules, those with records that users or servers fill are listed."""
FILLED = (
    "vipbench.runners.checkpoints.checkpoint",
    "vipbench.runners.endpoint_options",
    "vipbench.bench.settings",
    "vipbench.bench.records",
)
WRONG: tuple[Any, ...] = (
    *(None, "", "x", "9" * 5000, b"\xff", 1.5, -1, 10**9, math.nan, object()),
    *([], {}, [None], {"a": None}, {1: 1}, {"a": [object()]}, [[object()]], [1.0] * 300),
)


def models(kind: type[BaseModel] = BaseModel) -> Iterator[type[BaseModel]]:
    """Yield all records of the package."""
    for child in kind.__subclasses__():
        if child.__module__.startswith("vipbench."):
            yield child
        yield from models(child)


def mistakes() -> Iterator[ValidationError]:
    """Yield what pydantic says of every field of every record where something wrong is in it."""
    for module in pkgutil.walk_packages(vipbench.__path__, "vipbench."):
        if not module.name.startswith(APART):
            importlib.import_module(module.name)
    for name in FILLED:
        importlib.import_module(name)
    for model in set(models()):
        contents = [b"{", b"[]", *(dict.fromkeys(model.model_fields, wrong) for wrong in WRONG)]
        for content in contents:
            try:
                if isinstance(content, bytes):
                    model.model_validate_json(content)
                else:
                    model.model_validate(content)
            except ValidationError as error:
                yield error
            except VipbenchError:
                pass  # a validator's own words


def test_every_error_that_our_records_can_raise_has_words_of_ours() -> None:
    met = set()
    for error in mistakes():
        for each in details(error):
            kind, context = each["type"], each.get("ctx", {})
            if kind in met:
                continue
            met.add(kind)
            said = expected(kind, context)
            assert "another kind" not in said, f"{kind}: {each['msg']}"
            assert each["msg"].lower() not in said.lower()
            is_own = kind == "value_error"
            assert bool(own_words(kind, context)) == is_own
            assert bool(said) != (is_own or kind in ("missing", "extra_forbidden"))
    assert len(met) > 25


def test_an_error_that_our_records_do_not_raise_shows_none_of_pydantics_words() -> None:
    assert expected("url_parsing", {"error": "x"}) == "another kind of value (url_parsing)"


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (dict[str, int], {"a": "x"}, "a = 'x' · expected a whole number"),
        (dict[str, int], [], "the file holds [] · expected a mapping of keys to values"),
        (dict[str, int | bool], {"a": "x"}, "a.int = 'x' · expected a whole number"),
        (list[float], [1, math.inf, None], "2 = None · expected a number"),
    ],
)
def test_the_first_mistake_is_named_with_its_value(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    assert first_mistake(caught.value) == said


def test_alternatives() -> None:
    assert alternatives(["text", "", "a list", "text"]) == " · expected text or a list"
    assert alternatives([""]) == ""


def test_values_are_shown_short() -> None:
    assert len(shown("x" * 9000)) < 100
