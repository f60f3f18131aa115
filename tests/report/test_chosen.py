"""Which runs are shown, and in which order."""

from pathlib import Path

from tests.small_runs import line, manifest, save, task
from vipbench.report.chosen import chosen_runs
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.name_file import write_name


def test_checkpoints_are_in_the_order_of_their_steps_and_drafts_left_out(tmp_path: Path) -> None:
    folders = []
    for name, step in (("a", 1000), ("b", None), ("c", 200)):
        made = manifest({"own": task(1)}, model=name if step is None else f"checkpoint-{step}")
        folders.append(save(tmp_path / name, made, [line("1")]))
        write_name(folders[-1], step=step, name=None if step is None else "expA")
    manifests.write(tmp_path / "draft", manifest({"own": task(1)}))
    said: list[str] = []
    chosen = chosen_runs([*folders, tmp_path / "draft"], said.append)
    assert [path.name for path in chosen] == ["c", "a", "b"]
    assert len(said) == 1
