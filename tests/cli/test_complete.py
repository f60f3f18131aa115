"""What a shell is given while somebody types."""

import pytest

from tests.cli.conftest import Vipbench
from vipbench.cli import complete
from vipbench.errors import TaskError


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("vipbench rep", ["reproduce", "report"]),
        ("vipbench run --suite pap", ["paper"]),
        ("vipbench run --tasks vcr_qa,visual", ["vcr_qa,visual7w_pointing"]),
        ("vipbench run --styles demo,red_r", ["demo,red_rectangle"]),
        ("vipbench run --runner or", ["oracle"]),
        ("vipbench run --metric option_a", ["option_argmax"]),
        ("vipbench run --fit p", ["pad"]),
        ("vipbench run --judge-max-c", ["--judge-max-calls"]),
        ("vipbench check vcr_qar", ["vcr_qar", "vcr_qar_turns"]),
        ("vipbench render vcr_qa --style shap", ["shapes"]),
        ("vipbench data fetch visual", ["visual7w"]),
        ("vipbench run --suite nothing", []),
    ],
)
def test_names_complete(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch, typed: str, names: list[str]
) -> None:
    monkeypatch.setenv("_VIPBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    ran = vipbench()
    assert (ran.code, ran.err) == (0, "")
    assert sorted(ran.out.split()) == sorted(names)


def test_a_broken_file_completes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[str]:
        raise TaskError("styles.yaml: broken")

    assert complete.completing(broken)("a") == []


def test_the_completion_of_a_shell_can_be_printed(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which one it is, shellingham sees by the processes above, which need not hold any.
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    ran = vipbench("--show-completion")
    assert ran.code == 0
    assert "_VIPBENCH_COMPLETE=complete_bash" in ran.out
