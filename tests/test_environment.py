import subprocess
from pathlib import Path

import vipbench
from vipbench import environment


def test_versions_name_what_may_move_a_score() -> None:
    found = environment.versions()
    assert {"python", "vipbench", "torch", "transformers", "pillow", "numpy"} <= set(found)
    assert found["pillow"][0].isdigit()


def test_commit_and_dirty_flag_are_those_of_git(tmp_path: Path) -> None:
    commit, dirty = environment.checkout()
    root = Path(vipbench.__file__).parent.parent
    done = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0 and (root / ".git").exists():
        assert commit == done.stdout.strip()
        assert dirty in (True, False)
    else:
        assert (commit, dirty) == (None, None)


def test_peak_memory_is_that_of_a_python_process() -> None:
    assert 10 < environment.peak_memory_mib() < 100_000


def test_the_version_is_that_of_the_code_that_runs() -> None:
    assert environment.versions()["vipbench"] == vipbench.__version__
