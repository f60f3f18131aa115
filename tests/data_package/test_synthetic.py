from pathlib import Path

from vipbench.data.synthetic import SYNTHETIC_MARKER, is_synthetic
from vipbench.schema import DataSource


def test_the_synthetic_marker(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text("[]", encoding="utf-8")
    paths = (tmp_path, tmp_path / "q.json")
    assert not any(is_synthetic(DataSource(path, tmp_path)) for path in paths)
    (tmp_path / SYNTHETIC_MARKER).write_text("{}", encoding="utf-8")
    assert all(is_synthetic(DataSource(path, tmp_path / "elsewhere")) for path in paths)
