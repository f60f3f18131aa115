import pytest

from tests.endpoints.chatting import modelling
from tests.judge_server import Answer, Asked
from vipbench.endpoints.first_token import OPTION

LISTS: dict[str, object] = {"/v1/models": {"data": [{"id": "seer", "owned_by": "vllm"}]}}
PLAIN, BOS, EOS = [300, 30, 389], 1, 2


def ask(added: object, *, plain: object = PLAIN, path: str = "/v1") -> object:
    """Ask a vLLM whose tokenizer makes `plain` of a prompt, and `added` with its special tokens."""

    def answer(asked: Asked) -> Answer:
        assert asked.path == f"{path.removesuffix('/v1')}/tokenize"
        return Answer(body={"tokens": added if asked.body[OPTION] else plain})

    lists = {f"{path}/models": LISTS["/v1/models"]}
    with modelling(answer, lists=lists, path=path) as (chat, _):
        return chat.lacks_first_token()


@pytest.mark.parametrize(
    ("plain", "added", "expected"),
    [
        (PLAIN, [BOS, *PLAIN], True),
        (PLAIN, [BOS, *PLAIN, EOS], True),
        (PLAIN, PLAIN, False),  # the tokenizer adds nothing
        (PLAIN, [*PLAIN, EOS], False),
        ([BOS, *PLAIN], [BOS, BOS, *PLAIN], False),  # the template writes it
        (PLAIN, None, None),
        ("?", [BOS], None),
    ],
)
def test_it_is_missing_where_the_tokenizer_adds_another_first_token(
    plain: object, added: object, expected: bool | None
) -> None:
    assert ask(added, plain=plain) is expected


def test_an_address_below_a_path() -> None:
    assert ask([BOS, *PLAIN], path="/models/v1") is True


def test_other_servers_are_not_asked_nor_is_one_that_the_user_has_told() -> None:
    for lists, extra in (({}, {}), (LISTS, {OPTION: False})):
        with modelling(lists=lists, extra_body=extra) as (chat, server):
            assert chat.lacks_first_token() is None
        assert server.asked == []
