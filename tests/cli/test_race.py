"""`vipbench race` as it is typed."""

from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Vipbench
from tests.sequential.made import RUNNER, make_known


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_known(tmp_path_factory.mktemp("known"))


def race(vipbench: Vipbench, task: Path, *options: str | Path) -> Ran:
    model = ("--runner", RUNNER, "--include", task, "--batch-size", "16", "--block", "20")
    return vipbench("race", "--tasks", "known", *model, *options)


def test_styles_race(vipbench: Vipbench, task: Path) -> None:
    model = "demo=0.1,rectangle:red=0.6"
    ran = race(
        vipbench, task, "--model", model, "--styles", "demo,rectangle:red,none", "--within", "5",
        "-o", "race",
    )  # fmt: skip
    assert ran.code == 0
    assert "none: a control, which does not race" in ran.err
    assert "demo is best; 1 other cannot be" in ran.out
    assert max(len(line) for line in ran.out.splitlines() if line[0] in "┏┃┡│└") <= 80
    assert {path.suffix for path in Path("race").iterdir()} >= {".json", ".md", ".svg", ".png"}
    [folder] = [path for path in Path("race").iterdir() if path.is_dir()]
    assert (folder / "summary.json").exists()


def test_models_race(vipbench: Vipbench, task: Path) -> None:
    ran = race(vipbench, task, "--models", "0.1,0.6", "--within", "5", "-o", "race")
    assert ran.code == 0
    assert "0.1 is best" in ran.out
    assert {path.name for path in Path("race").iterdir() if path.is_dir()} == {"0.1", "0.6"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "0.1", "--styles", "demo"), "race: demo runs alone"),
        (("--model", "0.1", "--models", "0.2,0.3"), "--model 0.1 with --models"),
        (("--models", "0.1,0.2", "--within", "0.1"), "--within 0.1: less than one of 240 samples"),
        (("--models", "0.1,0.2", "--block", "500"), "--block 500: is more than"),
        (("--models", "0.1,0.2", "--shard", "1/2"), "a shard sees only its own batches"),
        (("--models", "0.1,0.2", "--tasks", "visual7w_pointing"), "race: 2 tasks"),
    ],
)
def test_bad_input_is_told_before_anything_is_asked(
    vipbench: Vipbench, task: Path, data: list[str], options: tuple[str, ...], message: str
) -> None:
    ran = race(vipbench, task, *options, *data, "-o", "race")
    assert ran.code == 2
    assert message in ran.err
    assert not list(Path().glob("race/*/manifest.json"))
