"""`vipbench leaderboard` as a user meets it."""

from pathlib import Path

from tests.cli.conftest import Vipbench


def test_leaderboard_writes_all_formats(vipbench: Vipbench, done: Path) -> None:
    code, out, _ = vipbench("leaderboard", done, "-o", "tables")
    assert code == 0
    names = [f"leaderboard.{end}" for end in ("md", "csv", "json", "tex")]
    names += [f"breakdown.{end}" for end in ("md", "csv", "json")]
    assert sorted(path.name for path in Path("tables").iterdir()) == sorted(names)
    assert sorted(out.splitlines()) == sorted(f"tables/{name}" for name in names)
