"""Answers made elsewhere as a runner: it gives each sample its own, and looks at no image."""

from vipbench.runners.contract import reads_images, settings_of
from vipbench.runners.imported import ImportedRunner
from vipbench.schema import Request, Response


def request(id_: str) -> Request:
    return Request(
        task="t", style="s", id=id_, turns=("Which?",), image="x", fit="pad", max_new_tokens=1,
        key=f"key {id_}",
    )  # fmt: skip


def test_each_request_gets_its_own_answer_and_no_image_is_read() -> None:
    texts = {"q1": " a cat ", "q2": "B"}
    responses = {("t", "s", id_): Response(text=text) for id_, text in texts.items()}
    runner = ImportedRunner("m", responses)
    for ids in (["q1", "q2"], ["q2"]):
        found = runner.generate([request(id_) for id_ in ids], [])
        assert [response.text for response in found] == [texts[id_] for id_ in ids]
    assert not reads_images(runner)
    assert settings_of(runner, "x").model == "m"
