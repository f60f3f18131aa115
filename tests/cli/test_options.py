"""Options come from the fields of a record."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from tests.cli.conftest import Vipbench
from vipbench.cli.options import read_fields
from vipbench.errors import RunError
from vipbench.option import Option
from vipbench.run import loop, settings
from vipbench.run.settings import RunSettings


class LongerSettings(RunSettings):
    """What a run is asked, and something more."""

    n_looks: Annotated[int, Field(ge=1, le=7), Option("Looks at each image.", metavar="N")] = 2
    corner: Annotated[
        Literal["upper", "lower"] | None, Option("Where to look first.", unset="anywhere")
    ] = None


class Stopped(Exception):
    """Ends a command where its work would begin."""


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> list[LongerSettings]:
    """Put more fields into the record; keep what runs are asked."""
    runs: list[LongerSettings] = []

    def run(asked: LongerSettings, **_: object) -> None:
        runs.append(asked)
        raise Stopped

    monkeypatch.setattr(settings, "RunSettings", LongerSettings)
    monkeypatch.setattr(loop, "run", run)
    return runs


def test_a_new_field_is_an_option_with_help_range_choices_and_default(
    vipbench: Vipbench, longer: list[LongerSettings]
) -> None:
    text = " ".join(vipbench("run", "--help").out.split())
    assert "--n-looks N Looks at each image. " in text
    assert "[default: 2; 1<=x<=7]" in text
    assert re.search(r"--corner .upper\|lower. Where to look first. ", text)
    assert "[default: (anywhere)]" in text
    for wrong in (("--n-looks", "8"), ("--n-looks", "two"), ("--corner", "left")):
        ran = vipbench("run", *wrong)
        assert ran.code == 2
        assert ran.err.startswith(f"error: {wrong[0]} {wrong[1]!r}: expected ")


def test_a_new_field_is_read_into_the_record(
    vipbench: Vipbench, longer: list[LongerSettings]
) -> None:
    command = ("run", "--suite", "demo", "--runner", "oracle")
    for words in ((), ("--n-looks", "3", "--corner", "lower")):
        with pytest.raises(Stopped):
            vipbench(*command, *words)
    assert [(run.n_looks, run.corner) for run in longer] == [(2, None), (3, "lower")]


def test_a_command_has_only_the_fields_that_it_names(
    vipbench: Vipbench, longer: list[LongerSettings]
) -> None:
    assert "--n-looks" not in vipbench("certify", "--help").out


def test_typed_text_is_read_as_the_field_wants_it() -> None:
    raw: dict[str, Any] = {
        "tasks": ["a,b", "c"],
        "include": [Path("x,y")],
        "batch_size": "08",
        "loaders": "auto",
        "shard": "2/4",
        "metrics": None,
        "data": None,
        "limit": "3",
        "judge_price": "30,60",
        "judge_url": None,
    }
    fields = read_fields(RunSettings, raw)
    assert str(fields.pop("shard")) == "2/4"
    assert fields == {
        "tasks": ("a", "b", "c"),
        "include": [Path("x,y")],
        "batch_size": 8,
        "loaders": "auto",
        "metrics": (),
        "data": {},
        "limit": 3,
        "judge": {"price": (30, 60), "url": None},
    }
    with pytest.raises(RunError, match="--metric ',': names nothing"):
        read_fields(RunSettings, {"metrics": [","]})


def test_no_record_is_loaded_for_the_list_of_commands() -> None:
    program = (
        "import sys; sys.argv = ['vipbench', '--help']\n"
        "from vipbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: assert not {'pydantic', 'numpy', 'yaml'} & set(sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL).returncode == 0
    )
