import pytest

from vipbench import errors
from vipbench.errors import VipbenchError, nearest


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("rectangel", ["ellipse", "rectangle"], " · did you mean 'rectangle'?"),
        ("RED", ["red", "blue"], " · did you mean 'red'?"),
        ("Obj_Question", ["obj_question", "ans"], " · did you mean 'obj_question'?"),
        ("zzz", ["b", "a"], " · known: a, b"),
        ("zzz", [], ""),
        ("", ["a"], " · known: a"),
    ],
)
def test_nearest(name: str, known: list[str], hint: str) -> None:
    assert nearest(name, known) == hint
    assert nearest(name, iter(known)) == hint


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
