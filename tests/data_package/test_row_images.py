"""Images in rows: bytes, base64 and paths, written once under their digest."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vipbench.data.row_images import BASE64_IMAGE, image_column, names_paths, with_files
from vipbench.errors import DataError
from vipbench.images.decode import image_size, open_image, safe_path


def encoded(kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (255, 0, 0)).save(buffer, kind)
    return buffer.getvalue()


PNG = encoded()
TEXT = base64.b64encode(PNG).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "value",
    [
        PNG,
        {"bytes": PNG, "path": None},
        {"bytes": PNG, "path": "x/1.png"},
        {"bytes": TEXT},
        TEXT,
        TEXT.rstrip("="),
        TEXT.replace("+", "-").replace("/", "_"),
        "\n".join(re.findall(".{1,76}", TEXT)),
        f"data:image/png;base64,{TEXT}",
    ],
)
def test_one_image_is_one_file_however_it_is_written(value: object, folder: Path) -> None:
    row = with_files({"image": value, "question": TEXT}, folder)
    (path,) = (folder / "images").iterdir()
    assert path.read_bytes() == PNG
    assert row == {"image": f"images/{path.name}", "question": TEXT}
    assert path.suffix == ".png"
    assert image_size(safe_path(folder, row["image"])) == (8, 6)


def test_lists_and_masks_hold_images_too(folder: Path) -> None:
    rle = {"size": [6, 8], "counts": "61"}
    row = with_files({"images": [PNG, TEXT], "masks": [rle, PNG], "mask": TEXT}, folder)
    assert row["images"] == [row["mask"]] * 2
    assert row["masks"] == [rle, row["mask"]]


@pytest.mark.parametrize(
    "path",
    ["a.png", "images/1.jpg", "train/" + "x" * 60 + "/1.png", "1", "a b/c d.png", "../1.png"],
)
def test_a_path_stays_a_path(path: str, folder: Path) -> None:
    for value in (path, {"bytes": None, "path": path}):
        row = with_files({"image": value}, folder)
        assert row == {"image": path}
        assert names_paths({"image": value}, row)
    assert list((folder / "images").iterdir()) == []
    assert not names_paths({"image": PNG}, with_files({"image": PNG}, folder))


@pytest.mark.parametrize(
    "value",
    [
        b"no image",
        "A" * 200,
        "A" * 300 + "!",
        "x" * 5000,
        "data:image/png;base64,%%%",
        {"bytes": "%%%"},
    ],
)
def test_what_is_no_image_is_reported_when_it_is_opened(value: object, folder: Path) -> None:
    row = with_files({"image": value}, folder)
    path = safe_path(folder, str(row["image"]))
    assert path.is_file()
    with pytest.raises(DataError, match="not an image, or a broken one") as error:
        image_size(path)
    assert len(str(error.value)) < 300


def test_half_an_image_is_reported_when_it_is_decoded(folder: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 90).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    row = with_files({"image": text[: len(text) // 2]}, folder)
    with pytest.raises(DataError, match="cannot be decoded"):
        open_image(safe_path(folder, str(row["image"])))


def test_an_image_on_this_machine_is_read_only_where_datasets_says_so(folder: Path) -> None:
    (folder / "secret.png").write_bytes(PNG)
    path = str(folder / "secret.png")
    row = {"image": {"bytes": None, "path": path}}
    assert with_files(row, folder) == {"image": path}  # absolute, so refused when it is opened
    assert str(with_files(row, folder, local=True)["image"]).startswith("images/")
    nothing = {"image": {"bytes": None, "path": None}, "mask": None}
    assert with_files(nothing, folder, local=True) == {"image": "images/none", "mask": None}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f'{{"image": "{TEXT}"}}', True),
        (f'{{"question": "?", "image" :  "data:image/png;base64,{TEXT}"}}', True),
        ('{"image": {"bytes": "iVBO"}}', True),
        ('{"image": {"path": "a.png", "bytes": "iVBO"}}', True),
        (f'{{"masks": ["{TEXT}"]}}', True),
        (r'{"image": "\/9j\/4AAQSkZJRg"}', True),
        ('{"image": "%s"}' % ("Q" * 300), True),
        ('{"image": "images/1.png"}', False),
        ('{"mask": {"size": [2, 3], "counts": "61"}}', False),
        (f'{{"question": "{TEXT}", "image": "1.png"}}', False),
    ],
)
def test_json_with_images_in_it_is_told_by_its_text(text: str, found: bool) -> None:
    assert bool(BASE64_IMAGE.search(text.encode())) == found


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"image": True, "mask": True}, "image"),
        ({"image": False, "question": False}, "image"),
        ({"picture": True, "masks": True}, "picture"),
        ({"image": True, "other": True}, "image"),
        ({"images": False}, "images"),
    ],
)
def test_the_column_of_images(columns: dict[str, bool], chosen: str) -> None:
    assert image_column(columns, "f") == chosen


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"picture": True, "image": False}, "f: column 'image' holds no images, but 'picture' do"),
        ({"a": True, "b": True}, "found a, b · rename the one that is meant to image"),
        ({"img": False, "mask": True}, "found none · did you mean 'img'"),
    ],
)
def test_an_open_column_of_images(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=re.escape(said)):
        image_column(columns, "f")
