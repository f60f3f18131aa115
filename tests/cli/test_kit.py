"""`vipbench kit` as a user meets it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.runs import make_task
from vipbench.kit.settings import KitSettings

OWN = ("--include", ".", "--tasks", "own", "--runner", "tests.runs:Brightness", "-o", "kit")
BARE = ("--n-certificate", "0", "--n-bench", "0")


def test_help(vipbench: Vipbench) -> None:
    code, out, _ = vipbench("kit", "--help")
    assert code == 0
    assert out.startswith("Usage: vipbench kit")
    assert all(option in out for option in ("--hours", "--n-certificate", "--limit", "--fresh"))


def test_it_ends_with_the_verdict_the_archive_and_its_digest(vipbench: Vipbench) -> None:
    make_task(Path(), n=4)
    code, out, _ = vipbench("kit", *OWN, *BARE)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "No published number is comparable with what was run."
    said = dict(line.split("  ", 1) for line in lines[2:])
    assert Path(said["archive"].strip()).is_file()
    assert len(said["digest"].strip()) == 64
    assert said["form"].strip().startswith(str(Path("kit/submission.yaml")))
    assert "without  certificate.json: was not asked for" in lines
    assert vipbench("verify", "kit/kit.zip", "--digest", said["digest"].strip()).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--hours", "0"), "hours"),
        (("--hours", "1", "--limit", "2"), "--hours with --limit"),
        (("--tasks", "owl"), "owl"),
    ],
)
def test_the_users_mistake_is_one_line_and_exits_2(
    vipbench: Vipbench, arguments: tuple[str, ...], said: str
) -> None:
    make_task(Path(), n=4)
    code, out, err = vipbench("kit", *OWN, *BARE, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_another_kit_in_the_folder(vipbench: Vipbench) -> None:
    make_task(Path(), n=4)
    assert vipbench("kit", *OWN, *BARE).code == 0
    code, _, err = vipbench("kit", *OWN, *BARE, "--seed", "1")
    assert code == 2
    assert "kit: holds another kit (seed: 0 → 1)" in err


def test_every_option_is_a_field() -> None:
    from vipbench.cli import kit

    assert set(kit.FIELDS) <= set(KitSettings.model_fields)
