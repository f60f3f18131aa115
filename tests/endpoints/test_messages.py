import base64

from vipbench.endpoints.messages import Call, Image, assistant, system, user

PNG = b"\x89PNG\r\n\x1a\n"


def test_one_text_is_sent_as_text() -> None:
    assert user("What is this?").as_json() == {"role": "user", "content": "What is this?"}
    assert system("Be brief.").as_json() == {"role": "system", "content": "Be brief."}
    assert assistant("A cup.").as_json() == {"role": "assistant", "content": "A cup."}


def test_images_and_texts_stay_in_order() -> None:
    first, second = Image(PNG, detail="high"), Image(b"\xff\xd8", "image/jpeg")
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert user("Compare", first, "with", second).as_json() == {
        "role": "user",
        "content": [
            {"type": "text", "text": "Compare"},
            {"type": "image_url", "image_url": {"url": url, "detail": "high"}},
            {"type": "text", "text": "with"},
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9g="}},
        ],
    }


def test_what_a_call_holds() -> None:
    image = Image(PNG)
    call = Call((system("a"), user(image, "b"), assistant("c"), user("d", image)), 10)
    assert call.images == (image, image)
    assert call.text == "abcd"
    assert call.n_tokens == 10
    assert Call((user("a"),), 10, reasoning_tokens=90).n_tokens == 100
    assert "PNG" not in repr(image)
