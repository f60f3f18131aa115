import contextlib
import hashlib
import os
import struct
import warnings
import zlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from vipbench.data.locate import KEYS, locate, parse_data_options
from vipbench.digests import file_digest
from vipbench.errors import DataError
from vipbench.images.decode import FORMATS, image_header, image_size, open_image, safe_path
from vipbench.schema import DataSource

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
RGB = Image.fromarray(PIXELS)


# --- where data lie


def test_a_key_and_a_folder_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text("[]", encoding="utf-8")
    found = parse_data_options([f"vcr={tmp_path}", f"my_key={tmp_path / 'q.json'}"])
    assert found == {
        "vcr": DataSource(tmp_path, tmp_path),
        "my_key": DataSource(tmp_path / "q.json", tmp_path),
    }


def test_a_path_may_hold_an_equals_sign_and_start_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a=b").mkdir()
    assert parse_data_options(["vcr=~/a=b"])["vcr"].images == tmp_path / "a=b"
    path = tmp_path / "a=b.yaml"
    path.write_text("vcr: {questions: ., images: ~/a=b}\n", encoding="utf-8")
    assert parse_data_options([str(path)]) == {"vcr": DataSource(tmp_path, tmp_path / "a=b")}


def test_a_yaml_file_of_places(tmp_path: Path) -> None:
    (tmp_path / "deep/images").mkdir(parents=True)
    (tmp_path / "q.json").write_text("[]", encoding="utf-8")
    path = tmp_path / "places.yaml"
    text = (
        f"vcr: {{questions: q.json, images: deep/images}}\nx: {{images: {tmp_path}, questions: .}}"
    )
    path.write_text(text, encoding="utf-8")
    assert parse_data_options([str(path)]) == {
        "vcr": DataSource(tmp_path / "q.json", tmp_path / "deep/images"),
        "x": DataSource(tmp_path, tmp_path),
    }


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("vcr", "expected KEY=DIR (keys: visual7w, pointqa, vcr, vip_bench), KEY=FILE or a YAML"),
        ("vcr=", "expected KEY=DIR"),
        ("=.", "expected KEY=DIR"),
        ("", "expected KEY=DIR"),
        ("vcr=nowhere", "nowhere does not exist; give an existing folder or file"),
        ("nowhere.yaml", "nowhere.yaml: cannot be read"),
    ],
)
def test_options_that_cannot_be_used(option: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_data_options([option])
    assert said in str(caught.value)


def test_a_key_that_is_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "places.yaml"
    path.write_text("vcr: {questions: ., images: .}\n", encoding="utf-8")
    with pytest.raises(DataError, match="vcr is given twice"):
        parse_data_options([str(path), f"vcr={tmp_path}"])


def test_mistakes_in_a_yaml_file_of_places_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "places.yaml"
    text = "vcr: here\nx: {question: ., images: .}\ny: {questions: 3, images: gone}\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        parse_data_options([str(path)])
    for part in (
        f"--data {path}: vcr: expected the keys 'questions' and 'images', not 'here'",
        "x: unknown key 'question'; did you mean 'questions'?",
        "x: questions is None; expected a path",
        "y: questions is 3; expected a path",
        "y: images: gone does not exist",
    ):
        assert part in str(caught.value)
    path.write_text("vcr: {questions: ., images: .}\nvcr: {questions: ., images: .}\n")
    with pytest.raises(DataError, match=r"places\.yaml:2:1: .* 'vcr' occurs twice"):
        parse_data_options([str(path)])


def test_locate(tmp_path: Path) -> None:
    given = {"vcr": DataSource(tmp_path, tmp_path)}
    (tmp_path / "q.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    assert locate("vcr", given) == given["vcr"]
    assert locate("vcr", given, tmp_path) == given["vcr"]
    assert locate("q.jsonl", {}, tmp_path) == DataSource(tmp_path / "q.jsonl", tmp_path)
    assert locate("folder", {}, tmp_path) == DataSource(tmp_path / "folder", tmp_path / "folder")
    override = {"q.jsonl": DataSource(tmp_path / "folder", tmp_path)}
    assert locate("q.jsonl", override, tmp_path) == override["q.jsonl"]


def test_data_that_are_nowhere_say_which_option_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'pointqa': no location is known; give --data pointqa=D"):
        locate("pointqa", {}, tmp_path)
    given = {"visual7": DataSource(tmp_path, tmp_path)}
    with pytest.raises(DataError, match=r"known; did you mean 'visual7'\?; give --data visual7w="):
        locate("visual7w", given)


def test_the_keys_are_those_of_the_tasks() -> None:
    assert set(KEYS) == {"visual7w", "pointqa", "vcr", "vip_bench"}


@pytest.mark.parametrize("key", ["here/q.jsonl", "nowhere/q.json", "here/data", "a/b/c", "../x/y"])
def test_a_path_is_not_taken_for_a_hub_id(tmp_path: Path, key: str) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(DataError, match="no location is known"):
        locate(key, {}, tmp_path)


# --- paths


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../a.png", "a/../../b.png", "a/..", "a\\b.png", "..\\a.png", "a\0.png"],
)
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(DataError, match="expected a relative path that stays below the image root"):
        safe_path(tmp_path, path)


@pytest.mark.parametrize(
    "path", ["a.png", "a/b c.png", "a..b/c.png", "./a.png", "é/…png", "a" * 999]
)
def test_paths_below_the_root_are_joined(tmp_path: Path, path: str) -> None:
    assert safe_path(tmp_path, path) == tmp_path / path


def test_links_may_not_leave_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "real", outside):
        folder.mkdir(parents=True)
        RGB.save(folder / "a.png")
    (root / "inner.png").symlink_to("real/a.png")
    (root / "inner").symlink_to(root / "real")
    (root / "file.png").symlink_to(outside / "a.png")
    (root / "folder").symlink_to(outside)
    (root / "gone.png").symlink_to("nowhere.png")
    (root / "loop").symlink_to("loop")
    for name in ("inner.png", "inner/a.png", "gone.png"):
        assert safe_path(root, name) == root / name
    for name in ("file.png", "folder/a.png", "folder/new.png"):
        with pytest.raises(DataError, match=rf"'{name}': a link that leaves the image root .*copy"):
            safe_path(root, name)
    with pytest.raises(DataError):
        image_size(safe_path(root, "loop/a.png"))
    (tmp_path / "root_link").symlink_to(root)
    assert image_size(safe_path(tmp_path / "root_link", "real/a.png")) == (30, 20)


# --- images


def saved(path: Path, image: Image.Image, **options: Any) -> tuple[Image.Image, str]:
    """Save and open again; no warning may escape, and the header must tell the same."""
    image.save(path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened, mode = open_image(path)
    assert opened.mode == "RGB"
    assert image_header(path) == (opened.size, mode)
    return opened, mode


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB"])
def test_modes_are_converted_and_told(tmp_path: Path, mode: str) -> None:
    image = RGB.convert(mode)
    opened, stored = saved(tmp_path / "a.png", image)
    assert stored == mode
    assert np.array_equal(np.asarray(opened), np.asarray(image.convert("RGB")))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    rgba = RGB.copy()
    rgba.putalpha(0)
    opened, _ = saved(tmp_path / "a.png", rgba)
    assert np.array_equal(np.asarray(opened), PIXELS)
    palette = RGB.convert("P")
    opened, mode = saved(tmp_path / "b.png", palette, transparency=bytes(range(256)))
    assert mode == "P"
    assert np.array_equal(np.asarray(opened), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk(tmp_path: Path, name: str) -> None:
    image = Image.new("RGB", (30, 20), (200, 40, 90)).convert("CMYK")
    opened, mode = saved(tmp_path / name, image)
    assert mode == "CMYK"
    assert np.abs(np.asarray(opened).astype(int) - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, name: str) -> None:
    levels = np.arange(0, 65536, 64, dtype=np.uint16).reshape(16, 64)
    levels[-1, -1] = 65535
    kind = np.int32 if name == "a.pgm" else np.uint16
    opened, mode = saved(tmp_path / name, Image.fromarray(levels.astype(kind)))
    assert mode.startswith("I")
    grey = np.asarray(opened)[:, :, 1]
    assert np.abs(grey - levels / 257).max() <= 0.5
    assert (grey[0, 0], grey[-1, -1], len(np.unique(grey))) == (0, 255, 256)


def test_16_bit_color_is_scaled(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">6H", 65535, 257, 0, 512, 32896, 300) for _ in range(2))

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    opened, _ = open_image(path)
    assert opened.getpixel((0, 1)) == (255, 1, 0)
    assert opened.getpixel((1, 1)) == (2, 128, 1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((4, 4), 0.5, np.float32), "floating point numbers, whose range is not known"),
        (np.full((4, 4), 70_000, np.int32), "its levels go from 70000 to 70000"),
        (np.full((4, 4), -1, np.int32), "its levels go from -1 to -1"),
    ],
)
def test_levels_of_unknown_range_are_refused(tmp_path: Path, values: Any, said: str) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=said):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.mpo", "a.tif"])
def test_the_first_frame_of_an_animation_is_used(tmp_path: Path, name: str) -> None:
    first = Image.new("RGB", (30, 20), (250, 20, 30))
    others = [Image.new("RGB", (30, 20), (0, 0, 0))] * 2
    opened, _ = saved(tmp_path / name, first, save_all=True, append_images=others)
    assert np.abs(np.asarray(opened).astype(int) - (250, 20, 30)).max() <= 10


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_is_not_applied(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if name == "a.jpg" else {"lossless": True}
    opened, _ = saved(tmp_path / name, RGB, exif=exif, **options)
    assert opened.size == (30, 20)
    close = 255 * 0.1 if name == "a.jpg" else 0
    assert np.abs(np.asarray(opened).astype(int) - PIXELS).mean() <= close


def test_100_megapixels_are_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_header(path, 10_000, 10_000)
        assert image_size(path) == (10_000, 10_000)
        for width, height in ((10_000, 10_001), (100_000_001, 1), (2**31 - 1, 2**31 - 1)):
            write_header(path, width, height)
            with pytest.raises(DataError, match="expected at most 100 megapixels"):
                image_size(path)
            with pytest.raises(DataError, match="expected at most 100 megapixels"):
                open_image(path)


def write_header(path: Path, width: int, height: int) -> None:
    """Write a PNG that says how large it is, and holds nothing."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [body, b"IDAT" + zlib.compress(b"\0")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
        )
    )


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.tif", "a.bmp"])
def test_a_truncated_image(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    RGB.resize((200, 150)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"{name}: "):
        open_image(path)


def test_damaged_images_are_errors_of_the_data_and_of_nothing_else(tmp_path: Path) -> None:
    rng = Random("damage")
    names = ["a.png", "a.jpg", "a.gif", "a.tif", "a.bmp", "a.ppm", "a.jp2", "a.webp"]
    n_intact = 0
    for name in names:
        path = tmp_path / name
        RGB.save(path)
        whole = path.read_bytes()
        for n in range(60):
            damaged = bytearray(whole)
            for _ in range(rng.choice([1, 3, 20])):
                place = rng.randrange(rng.choice([40, len(damaged)]))
                damaged[place % len(damaged)] = rng.randrange(256)
            path = tmp_path / f"{n}{name}"
            path.write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
            with contextlib.suppress(DataError):
                image_header(path)
                open_image(path)
                n_intact += 1
    assert 30 < n_intact < 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no image, or a broken one; expected an image"),
        (b"hello", "no image, or a broken one"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no image, or a"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image, or a broken one"),
    ],
)
def test_what_is_no_image_is_not_opened(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for opened in (image_header, image_size, open_image):
        with pytest.raises(DataError, match=said):
            opened(path)


def test_all_formats_are_there_and_none_starts_a_program() -> None:
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
    assert features.check("webp")
    assert "EPS" not in FORMATS


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    RGB.save(tmp_path / "a.png")
    for path in (tmp_path / "b.png", tmp_path / "a.png" / "b.png"):
        for opened in (image_header, open_image):
            with pytest.raises(DataError, match=r"b\.png: does not exist"):
                opened(path)
    for path in (tmp_path, tmp_path / ("a" * 300)):
        for opened in (image_header, open_image):
            with pytest.raises(DataError, match="cannot be opened"):
                opened(path)
        with pytest.raises(DataError, match="cannot be read"):
            file_digest(path)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for size, stamp in (((30, 20), 1), ((20, 30), 2)):
        Image.new("RGB", size).save(path)
        os.utime(path, ns=(stamp, stamp))
        for _ in range(2):
            assert image_size(path) == size
            assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: cannot be opened"):
        image_header(tmp_path / "a.png")


def test_data_that_are_gone(tmp_path: Path) -> None:
    source = DataSource(tmp_path, tmp_path / "gone")
    with pytest.raises(DataError, match=r"data 'vcr': .*gone does not exist"):
        locate("vcr", {"vcr": source})
