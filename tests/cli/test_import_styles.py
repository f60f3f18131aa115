"""Under which style imported answers stand: as somebody says, else `elsewhere`."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from vipbench import files
from vipbench.demo.generate import make
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import trials_file
from vipbench.runfolder.folder import REQUESTS, SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.summary import Row
from vipbench.schema import PromptStyle

N = 8
DRAWN = {"shape", "color", "width", "alpha", "target_color"}
"""Axes that only somebody who drew the marks can speak of."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("release"), N)


@pytest.fixture
def place(release: Path) -> tuple[str, ...]:
    Path("a.csv").write_text("id,text\n" + "".join(f"val-{n},{'AB'[n % 2]}\n" for n in range(N)))
    Path("b.csv").write_text("id,text\n" + "".join(f"val-{n},{'CD'[n % 2]}\n" for n in range(N)))
    return ("--data", f"vcr={release / 'vcr'}", "--model", "m")


def styles(folder: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in files.read_lines(Path(folder) / SCORES, ScoreLine):
        names = found.setdefault(line.task, [])
        names += [line.style] if line.style not in names else []
    return found


def test_where_nobody_says_it_nothing_is_claimed_about_marks(
    vipbench: Vipbench, place: tuple[str, ...]
) -> None:
    ran = vipbench("import", "vcr_qa=a.csv", "vcr_qar=b.csv", *place, "-o", "in")
    assert ran.code == 0, ran.err
    assert styles("in") == {task: ["elsewhere"] for task in ("vcr_qa", "vcr_qar", "vcr_q2ar")}
    manifest = manifests.read(Path("in"))
    title = "Asked elsewhere; which marks and which text the model saw is not known"
    stated = PromptStyle(name="elsewhere", kind="elsewhere", title=title)
    assert manifest.identity.styles == {"vcr_qa": (stated,), "vcr_qar": (stated,)}
    assert {task.headline for task in manifest.tasks.values()} == {"elsewhere"}
    assert any("which marks, which text" in note for note in manifest.notes)
    rows = [Row.model_validate(row) for row in json.loads((Path("in") / SUMMARY).read_bytes())]
    axes = {row.group.partition("=")[0] for row in rows}
    assert axes >= {"all", "size", "n_marks", "polygons"}
    assert not axes & DRAWN
    for trial in trials_file.open_trials(Path("in") / REQUESTS):
        assert trial.request is not None
        assert trial.request.visual_prompts == ()
        assert not DRAWN & trial.tags.keys()
        assert not any(word in trial.request.turns[-1] for word in ("within", "at the", "red"))
    ran = vipbench("show", "in", "val-0", "--task", "vcr_qa")
    assert "which marks and which text the model saw is not known" in ran.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["vcr_qa=a.csv", "--styles", "none"], ["none"]),
        (["vcr_qa=a.csv", "--style", "rectangle:red"], ["rectangle:red"]),
        (["vcr_qa@blind=a.csv"], ["blind"]),
        (["vcr_qa@rectangle:red:alpha=96:width=2.5=a.csv"], ["rectangle:red:alpha=96:width=2.5"]),
        (["vcr_qa@rectangle:red:words=plain=a.csv"], ["rectangle:red:words=plain"]),
        (["vcr_qa@marker:red:radius=5+tag:text=REF:size=9=a.csv"],
         ["marker:red:radius=5+tag:text=REF:size=9"]),
        (["vcr_qa@official_points=a.csv", "--style", "none"], ["official_points"]),
        (["vcr_qa@official_points=a.csv", "vcr_qa@none=b.csv", "vcr_qa=b.csv"],
         ["official_points", "none", "elsewhere"]),
        (["vcr_qa=a.csv", "--suite", "paper"], ["official_points"]),
        (["vcr_qa=a.csv", "--suite", "paper", "--style", "elsewhere"], ["elsewhere"]),
    ],
)  # fmt: skip
def test_whoever_knows_it_says_it(
    vipbench: Vipbench, place: tuple[str, ...], words: list[str], expected: list[str]
) -> None:
    ran = vipbench("import", *words, *place, "-o", "in")
    assert ran.code == 0, ran.err
    assert styles("in") == {"vcr_qa": expected}


def test_answers_under_several_styles_are_each_their_own(
    vipbench: Vipbench, place: tuple[str, ...]
) -> None:
    ran = vipbench("import", "vcr_qa=a.csv", "vcr_qa@none=b.csv", *place, "-o", "in")
    assert ran.code == 0, ran.err
    answers: dict[str, set[str | None]] = {}
    for line in files.read_lines(Path("in") / SCORES, ScoreLine):
        answers.setdefault(line.style, set()).add(line.answer)
    assert answers == {"elsewhere": {"A", "B"}, "none": {"C", "D"}}


def test_parts_under_different_styles_are_not_joined(
    vipbench: Vipbench, place: tuple[str, ...]
) -> None:
    ran = vipbench("import", "vcr_qa@none=a.csv", "vcr_qar=b.csv", *place, "-o", "in")
    assert ran.code == 0, ran.err
    assert styles("in") == {"vcr_qa": ["none"], "vcr_qar": ["elsewhere"]}


def test_a_file_that_states_its_style_keeps_it(vipbench: Vipbench, place: tuple[str, ...]) -> None:
    run = ("run", "--runner", "oracle", "--tasks", "vcr_qa", *place[:2])
    assert vipbench(*run, "--styles", "official_points,none", "-o", "run").code == 0
    for style in ("none", "official_points"):
        ran = vipbench("export", "run", "datasets", "--style", style, "-o", f"{style}.folder")
        assert ran.code == 0, ran.err
    ran = vipbench("import", "vcr_qa=none.folder", *place[:2], "-o", "in")
    assert ran.code == 0, ran.err
    assert styles("in") == {"vcr_qa": ["none"]}
    assert "made under style none as none.folder says" in ran.err
    ran = vipbench("import", "vcr_qa=none.folder", *place[:2], "--style", "blind", "-o", "other")
    assert "made under style blind as --styles says, although the file says none" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vcr_qa@=a.csv"], "expected TASK=FILE"),
        (["vcr_qa@none=a.csv", "vcr_qa@none=b.csv"], "vcr_qa@none is given twice"),
        (["vcr_qa@nonee=a.csv"], "did you mean 'none'?"),
        (["vcr_qa@none,blind=a.csv"], "1 file stands under none, blind · give one --styles, or"),
        (["vcr_qa@given=a.csv", "vcr_qa=b.csv"], "style given left out"),
        (["vcr_qa=a.csv", "vcr_qa@none=b.csv", "--suite", "paper"], "give vcr_qa@STYLE=FILE"),
    ],
)
def test_what_goes_wrong_is_one_line(
    vipbench: Vipbench, place: tuple[str, ...], words: list[str], said: str
) -> None:
    ran = vipbench("import", *words, *place, "-o", "in")
    assert ran.code == 2
    [line] = [x for x in ran.err.replace("\r", "\n").splitlines() if x.startswith("error: ")]
    assert said in line
    assert not Path("in").exists()


@pytest.mark.parametrize("words", [("run", "--runner", "random", "--tasks"), ("check",)])
def test_nothing_is_asked_under_it(
    vipbench: Vipbench, place: tuple[str, ...], words: tuple[str, ...]
) -> None:
    ran = vipbench(*words, "vcr_qa", *place[:2], "--styles", "elsewhere")
    assert ran.code == 2
    assert "vcr_qa: style 'elsewhere' is of answers that were made elsewhere" in ran.err
    assert "`vipbench import vcr_qa=FILE`" in ran.err


def test_comparisons_across_it_name_the_difference(
    vipbench: Vipbench, place: tuple[str, ...]
) -> None:
    assert vipbench("import", "vcr_qa=a.csv", *place, "-o", "in").code == 0
    assert vipbench("import", "vcr_qa@official_points=b.csv", *place, "-o", "ours").code == 0
    ran = vipbench("compare", "ours", "in", "-o", "page")
    assert ran.code == 0, ran.err
    assert "differs: style: official_points → elsewhere" in ran.out + ran.err
    ran = vipbench("gate", "ours", "in")
    assert ran.code != 0
    assert "style" in ran.err
    ran = vipbench("gate", "ours", "in", "--allow-difference", "style")
    assert ran.code == 2
    assert "is official_points in one, elsewhere in the other · give `vipbench import`" in ran.err
    ran = vipbench("gate", "in", "in")  # no control: two imports can be held against each other
    assert "shows no marks" not in ran.out + ran.err
    assert vipbench("leaderboard", "ours", "in", "-o", "tables").code == 0
    table = Path("tables/leaderboard.md").read_text()
    assert "vcr_qa, elsewhere" in table or "Style: elsewhere" in table or "(elsewhere" in table
