from pathlib import Path

import pytest

from tests.data_package.made import READER, TASK, Make


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a task file and its reader; None leaves a key out."""

    def write(reader: str = READER, /, **keys: str | None) -> Path:
        folder = tmp_path / "include"
        folder.mkdir(exist_ok=True)
        fields = {key: value for key, value in {**TASK, **keys}.items() if value is not None}
        text = "".join(f"{key}: {value}\n" for key, value in fields.items())
        (folder / "own.yaml").write_text(text, encoding="utf-8")
        (folder / "own.py").write_text(reader, encoding="utf-8")
        return folder

    return write
