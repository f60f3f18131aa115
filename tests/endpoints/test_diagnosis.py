import pytest

from tests.endpoints.chatting import endpoint
from vipbench.endpoints.diagnosis import (
    describe_sizes,
    known_models,
    refuses_number,
    refuses_size,
    sees_no_image,
)
from vipbench.endpoints.messages import Call, Image, user

SEEING = Call((user(Image(b"x" * 2000), "Which?"),), 10)
READING = Call((user("Which?"),), 10)
BLIND = [
    "seer is not a multimodal model",
    "At most 0 image(s) may be provided in one prompt.",
    "This model does not support image input.",
    "No endpoints found that support image input",
    "Invalid content type. image_url is only supported by certain models.",
    "unknown variant `image_url`, expected `text`",
    "image input is not supported - hint: you may need to provide the mmproj",
    "messages[0].content must be a string",
]
OTHER = [
    "You uploaded an unsupported image. Please make sure your image is valid.",
    "The file is not a valid image",
    "Could not process image",
    "image format webp is not supported",
    "temperature is not supported",
]


@pytest.mark.parametrize("words", BLIND)
def test_a_model_that_sees_nothing(words: str) -> None:
    assert sees_no_image(SEEING, words)
    assert not sees_no_image(READING, words)


@pytest.mark.parametrize("words", OTHER)
def test_one_image_that_is_not_taken(words: str) -> None:
    assert not sees_no_image(SEEING, words)
    assert not refuses_size(SEEING, 400, words)


def test_images_that_are_too_large_or_too_many() -> None:
    assert refuses_size(SEEING, 413, "nothing")
    assert refuses_size(SEEING, 400, "image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes")
    assert refuses_size(SEEING, 400, "The image is too large")
    assert not refuses_size(READING, 413, "Request body too large")
    two = Call((user(Image(b"x"), Image(b"y")),), 10)
    assert refuses_number(two, "At most 1 image(s) may be provided in one prompt.")
    assert not refuses_number(SEEING, "At most 1 image(s) may be provided in one prompt.")
    assert describe_sizes(SEEING) == "2,000 bytes"
    assert describe_sizes(Call((user(*[Image(b"x")] * 5),), 1)).endswith("1 bytes, …")


def test_the_models_of_a_server() -> None:
    asked = endpoint("http://localhost", model="seer-7b")
    assert known_models(asked, ["seer-7b", "b"]) == ""
    assert known_models(asked, ["a", "b"]) == " · the server has a, b"
    assert known_models(asked, []) == ""
    assert known_models(asked, ["x", "seer-8b"]) == (
        " · the server has x, seer-8b · did you mean 'seer-8b'?"
    )
    many = known_models(asked, [f"n{number}" for number in range(300)])
    assert many.endswith("n11 and 288 more")
