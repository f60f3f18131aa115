"""The committed fixtures are what the script writes."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

HERE = Path(__file__).parent


def files(folder: Path, *suffixes: str) -> dict[str, Path]:
    found = (path for path in folder.rglob("*") if path.suffix in suffixes)
    return {path.relative_to(folder).as_posix(): path for path in found}


def test_the_fixtures_are_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("make_data", HERE / "make_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DATA", tmp_path)
    module.main()
    for path in tmp_path.iterdir():
        made = files(path, ".json", ".jsonl", ".yaml")
        kept = files(HERE / "data" / path.name, ".json", ".jsonl", ".yaml")
        assert {n: p.read_text("utf-8") for n, p in made.items()} == {
            n: p.read_text("utf-8") for n, p in kept.items()
        }
        pictures = files(path, ".jpg", ".png")
        assert pictures.keys() == files(HERE / "data" / path.name, ".jpg", ".png").keys()
        for picture in pictures.values():
            with Image.open(picture) as image:
                assert image.size == module.SIZE


def test_the_fixtures_are_small() -> None:
    first = ("visual7w", "pointqa", "vcr", "vip_bench", "gar_bench", "own")
    made = (*first, "blink", "vp_bench", "inst_it", "vpbench")
    sizes = [p.stat().st_size for m in made for p in (HERE / "data" / m).rglob("*") if p.is_file()]
    assert sum(sizes) < 100_000
