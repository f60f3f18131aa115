"""Pictures: inside or beside the page, never where they may not be, and honest about the rest."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.html.made import SIZE, Item, write_image, write_run
from vipbench.html import pictures
from vipbench.html.dataset import Collected, collect
from vipbench.html.pictures import FOLDER, Drawn, add_pictures
from vipbench.html.runs import read_runs
from vipbench.images.load import load_measured, load_pixels


def drawn(
    out: Path, *folders: Path, embed_images: bool = False, max_inline: int = 500
) -> tuple[Collected, Drawn]:
    collected = collect(read_runs(folders))
    found = add_pictures(
        collected.dataset,
        collected.to_draw,
        out,
        embed_images=embed_images,
        max_inline=max_inline,
    )
    return collected, found


def decoded(uri: str) -> np.ndarray:
    start = "data:image/webp;base64,"
    assert uri.startswith(start)
    return np.array(
        Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(start)))).convert("RGB")
    )


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / FOLDER / pictures.PICTURES).glob("*"))


def test_a_picture_is_what_the_model_saw(tmp_path: Path, run: Path, images: Path) -> None:
    collected, found = drawn(tmp_path / "out", run)
    assert found == Drawn(2, 0, 0, "", True)
    request = collected.to_draw[1].request
    data = collected.dataset
    shown = decoded(data.pictures.source[data.asks.picture[1]])
    assert np.array_equal(shown, load_pixels(request, images, SIZE))
    assert not np.array_equal(shown, decoded(data.pictures.source[data.asks.picture[0]]))


def test_pixels_are_compared_with_what_the_run_recorded(tmp_path: Path, images: Path) -> None:
    run = write_run(tmp_path / "run", [Item()], images=images, with_pixels=True)
    assert drawn(tmp_path, run)[0].dataset.pictures.exact == [1]
    Image.new("RGB", (60, 40), "white").save(images / "1.png")
    assert drawn(tmp_path, run)[0].dataset.pictures.exact == [0]
    unknown = write_run(tmp_path / "unknown", [Item()], images=images, image_size=None)
    assert drawn(tmp_path, unknown)[0].dataset.pictures.exact == [-1]


def test_up_to_max_inline_samples_pictures_are_inside(tmp_path: Path, run: Path) -> None:
    collected, found = drawn(tmp_path, run, max_inline=2)
    assert found.inside
    assert collected.dataset.pictures.folder == ""
    assert names(tmp_path) == []


def test_above_they_are_files_beside(tmp_path: Path, run: Path, images: Path) -> None:
    collected, found = drawn(tmp_path, run, max_inline=1)
    listed = collected.dataset.pictures
    assert (found.inside, found.n_drawn) == (False, 2)
    assert listed.folder == "report_files/pictures/"
    assert sorted(listed.source) == names(tmp_path)
    with Image.open(tmp_path / listed.folder / listed.source[0]) as picture:
        saved = np.array(picture.convert("RGB"))
    assert np.array_equal(saved, load_pixels(collected.to_draw[0].request, images, SIZE))


def test_many_bytes_move_out_of_the_page(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_INLINE_BYTES", 150)
    collected, found = drawn(tmp_path, run)
    assert not found.inside
    assert sorted(collected.dataset.pictures.source) == names(tmp_path)


def test_equal_pictures_are_kept_once(tmp_path: Path, images: Path) -> None:
    items = [Item(id=f"q{n}", style="blind") for n in range(5)]
    collected, found = drawn(tmp_path, write_run(tmp_path / "run", items, images=images))
    assert found.n_drawn == 5
    assert len(collected.dataset.pictures.source) == 1


@pytest.mark.parametrize(
    ("redistribute", "synthetic", "embed_images", "n_drawn"),
    [
        (False, False, False, 0),
        (False, False, True, 1),
        (True, False, False, 1),
        (False, True, False, 1),
    ],
)
def test_pictures_that_may_not_travel_need_the_option(
    tmp_path: Path,
    images: Path,
    redistribute: bool,
    synthetic: bool,
    embed_images: bool,
    n_drawn: int,
) -> None:
    run = write_run(
        *(tmp_path / "run", [Item()]),
        images=images,
        redistribute=redistribute,
        synthetic=synthetic,
    )
    collected, found = drawn(tmp_path / "out", run, embed_images=embed_images)
    data = collected.dataset
    assert (found.n_drawn, found.n_withheld) == (n_drawn, 1 - n_drawn)
    assert len(data.pictures.source) == n_drawn
    why = data.asks.why[0]
    assert (why == -1) == bool(n_drawn)
    if not n_drawn:
        assert "may not be redistributed · --embed-images" in data.texts.all()[why]


def test_pictures_of_an_earlier_report_do_not_stay(tmp_path: Path, images: Path) -> None:
    run = write_run(tmp_path / "run", [Item()], images=images, redistribute=False)
    out = tmp_path / "out"
    drawn(out, run, embed_images=True, max_inline=0)
    assert len(names(out)) == 1
    mine = out / FOLDER / pictures.PICTURES / "mine.webp"
    mine.write_bytes(b"not ours")
    drawn(out, run, max_inline=0)
    assert names(out) == ["mine.webp"]


def test_a_picture_that_cannot_be_drawn_says_why(tmp_path: Path, images: Path) -> None:
    write_image(images, "2.png")
    items = [Item(), Item(id="q2", group="2.png")]
    run = write_run(tmp_path / "run", items, images=images)
    (images / "1.png").unlink()
    collected, found = drawn(tmp_path, run)
    data = collected.dataset
    assert (found.n_drawn, found.n_failed) == (1, 1)
    assert "1.png" in found.first_failure
    assert data.texts.all()[data.asks.why[0]].startswith("no picture: ")
    assert (data.asks.picture[0], data.asks.why[1]) == (-1, -1)


def test_all_images_of_a_question_are_shown_each_with_its_marks(
    tmp_path: Path, images: Path
) -> None:
    Image.new("RGB", (40, 60), (9, 90, 200)).save(images / "2.png")
    items = [Item(others=("2.png",)), Item(id="q2"), Item(id="q3", style="none", others=("2.png",))]
    run = write_run(tmp_path / "run", items, images=images, with_pixels=True)
    collected, found = drawn(tmp_path, run)
    data, asks = collected.dataset, collected.dataset.asks
    assert found == Drawn(3, 0, 0, "", True)
    assert data.pictures.exact == [1] * 4
    assert asks.others.keys() == {0, 2}
    requests = [each.request for each in collected.to_draw]
    for ask, request in enumerate(requests):
        shown = [asks.picture[ask], *asks.others.get(ask, [])]
        for index, expected in zip(shown, load_measured(request, images, SIZE).each, strict=True):
            assert np.array_equal(decoded(data.pictures.source[index]), expected)
    # The first image is bare in two questions; the mark of the first one is in the second image.
    assert asks.picture[0] == asks.picture[2] != asks.picture[1]
    assert asks.others[0] != asks.others[2]
    Image.new("RGB", (40, 60), "white").save(images / "2.png")
    assert drawn(tmp_path, run)[0].dataset.pictures.exact == [0, 0, 1, 0]
    (images / "2.png").unlink()
    collected, found = drawn(tmp_path, run)
    assert (found.n_drawn, found.n_failed) == (1, 2)
    assert collected.dataset.asks.others == {}
