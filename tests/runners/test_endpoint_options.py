import pytest

from vipbench.errors import RunnerError
from vipbench.runners.endpoint_options import (
    EndpointOptions,
    parse_body,
    parse_format,
    parse_headers,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("png", "png"),
        ("PNG", "png"),
        ("jpeg", "jpeg:90"),
        ("jpg:75", "jpeg:75"),
        ("JPEG:100", "jpeg:100"),
    ],
)
def test_formats(text: str, expected: str) -> None:
    assert parse_format(text) == expected


@pytest.mark.parametrize("text", ["webp", "jpeg:0", "jpeg:101", "jpeg:", "png:9", ""])
def test_other_formats_are_refused(text: str) -> None:
    with pytest.raises(RunnerError, match="expected png, jpeg or jpeg:QUALITY"):
        parse_format(text)


def test_formats_are_read_in_python_too() -> None:
    assert EndpointOptions(image_format="JPEG").image_format == "jpeg:90"
    with pytest.raises(RunnerError, match="expected png"):
        EndpointOptions(image_format="webp")


def test_a_body_is_an_object() -> None:
    assert parse_body('{"top_k": 1}') == {"top_k": 1}
    for text, message in (("[1]", "not a JSON object"), ("{", "is not JSON")):
        with pytest.raises(RunnerError, match=message):
            parse_body(text)


def test_headers_keep_their_commas() -> None:
    assert parse_headers(["a=1,2", "b=3"]) == ("a=1,2", "b=3")
    assert parse_headers(None) == ()


def test_what_is_given_is_told_as_it_is_typed() -> None:
    assert EndpointOptions().given() == []
    options = EndpointOptions(base_url="http://a", headers=("X=1",), max_side=64, budget=0.0)
    assert options.given() == ["--base-url", "--header", "--max-side", "--budget"]
    assert "X=1" not in repr(options)
