"""The table of runners, plugins, and the contract that every runner must keep."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from vipbench.errors import RunnerError
from vipbench.runners.contract import RunnerSettings, check_responses, reads_images, settings_of
from vipbench.runners.registry import BUILT_IN, list_runners, make_runner
from vipbench.schema import Request, Response, Trial

PLUGIN = """
from vipbench.schema import Response

class Parrot:
    image_size = 32

    def __init__(self, model):
        self.model = model

    def generate(self, requests, images):
        return [Response(text=f"{self.model}: {request.turns[-1]}") for request in requests]

class Mute:
    def __init__(self, model):
        pass

class Deaf(Parrot):
    def __init__(self):
        pass
"""


def request(name: str = "1") -> Request:
    return Request(
        task="t", style="s", id=name, turns=("hello",), image="x", fit="pad", max_new_tokens=1,
        key=name,
    )  # fmt: skip


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution on the path, with an entry point, as pip would install it."""
    (tmp_path / "parrot_runner.py").write_text(PLUGIN)
    info = tmp_path / "parrot_runner-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot-runner\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[vipbench.runners]\nparrot = parrot_runner:Parrot\noracle = parrot_runner:Parrot\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("name", ["parrot", "parrot_runner:Parrot"])
def test_plugins_come_by_entry_point_and_by_path(name: str) -> None:
    runner = make_runner(name, model="some/folder")
    responses = check_responses(name, [request()], runner.generate([request()], []))
    assert responses == [Response(text="some/folder: hello")]
    assert runner.image_size == 32
    assert reads_images(runner)
    assert settings_of(runner, name) == RunnerSettings(model=name)


@pytest.mark.usefixtures("plugin")
def test_a_plugin_does_not_replace_a_built_in_runner() -> None:
    runners = list_runners()
    assert list(runners) == [*BUILT_IN, "parrot"]
    assert runners["oracle"] == "baseline: the right answer"
    assert runners["parrot"] == "plugin: parrot_runner:Parrot"
    oracle = make_runner("oracle", trials=[Trial(
        task="t", style="s", id="1", kind="choice", target="C", group="g", tags={}
    )])  # fmt: skip
    assert oracle.generate([request()], []) == [Response(text="C")]


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("orcale", "'orcale' is unknown · did you mean 'oracle'"),
        ("parot", "'parot' is unknown · did you mean 'parrot'"),
        ("parrot_runner:Parot", "no class 'Parot' · did you mean 'Parrot'"),
        ("parrot_runer:Parrot", "'parrot_runer' cannot be imported"),
        (":Parrot", "'' cannot be imported"),
        ("parrot_runner:Mute", "Mute is not a runner .* image_size"),
        ("parrot_runner:Deaf", "cannot be built with the text of --model"),
        ("vipllava", "no model given .*--model"),
    ],
)
def test_what_is_no_runner_is_refused_by_name(name: str, message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        make_runner(name)


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        ([Response(text="a")] * 7, "runner x: returned 7 responses for a batch of 8"),
        ([Response(text="a")] * 9, "returned 9 responses"),
        ({}, "returned a dict"),
        (["a"] * 8, "returned a str for sample 0"),
        ([Response(text="a")] * 7 + [Response()], "sample 7 has neither text nor error"),
        ([Response(text="a", error="b")] * 8, "sample 0 has text and error"),
        ([Response(text="half \ud83d")] * 8, "sample 0 is not text .*whole Unicode characters"),
    ],
)
def test_a_broken_contract_is_an_error(responses: Sequence[Response], message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        check_responses("x", [request(str(i)) for i in range(8)], responses)


def test_a_kept_contract_is_passed_on() -> None:
    given = (Response(text=""), Response(error="no picture"))
    assert check_responses("x", [request("1"), request("2")], given) == list(given)
