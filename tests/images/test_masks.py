"""Masks to regions: what is read is what is drawn, and each mistake is named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipbench.images.draw import footprint
from vipbench.images.masks import (
    MAX_EDGES,
    decode_rle,
    mask_region,
    read_labels,
    read_mask,
)
from vipbench.reading import BadRecord
from vipbench.schema import Region, Shape, VisualPrompt


def drawn(
    region: Region, shape: tuple[int, ...], mark: Shape = "mask", width: float | None = None
) -> np.ndarray:
    """Return the pixels, bool (height, width), that a shape marks."""
    prompt = VisualPrompt(
        region=region, shape=mark, color=(255, 0, 0), alpha=255, width=width, seed=0
    )
    found = footprint((shape[1], shape[0]), prompt)
    pixels = np.zeros(shape, dtype=bool)
    if found:
        x0, y0, x1, y1 = found.box
        pixels[y0:y1, x0:x1] = np.asarray(found.mask) > 0
    return pixels


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


@pytest.mark.parametrize(
    "rows",
    [
        ("#",),
        ("....", ".#..", "...."),
        ("####",),
        ("#", "#", "#"),
        ("#..#", ".##.", ".##.", "#..#"),
        ("#.#", ".#.", "#.#"),
        ("####", "#..#", "####"),
        ("#####", "#.#.#", "#####", "#.#.#", "#####"),
        (".#.", "#.#", ".#."),
        ("#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"),
        ("########", "########", "###..###", "########", "########", "##.#####", "########"),
        ("#...#", "##.##", "#####", "..#.."),
    ],
)
def test_the_pixels_of_a_mask_are_those_that_are_drawn(rows: tuple[str, ...]) -> None:
    mask = mask_of(*rows)
    assert (drawn(mask_region(mask, "m"), mask.shape) == mask).all()


def test_random_masks_are_drawn_to_the_pixel() -> None:
    rng = np.random.default_rng(5)
    for n in range(300):
        height, width = rng.integers(1, 30 if n % 5 == 0 else 8, 2)
        mask = rng.random((height, width)) < rng.choice([0.3, 0.6, 0.9])
        if mask.any():
            assert (drawn(mask_region(mask, "m"), mask.shape) == mask).all(), mask


def test_a_region_has_an_outline_a_part_and_the_box_of_its_outermost_pixels() -> None:
    mask = mask_of("......", ".##...", ".##...", "....#.", "......")
    region = mask_region(mask, "m", "kite")
    assert region.label == "kite"
    assert region.box == (1.0, 1.0, 4.0, 3.0)
    # the second part touches none of the first, not even at a corner
    assert region.polygons == (
        ((2.0, 1.0), (2.0, 2.0), (1.0, 2.0), (1.0, 1.0)),
        ((4.0, 3.0), (4.0, 3.0), (4.0, 3.0)),
    )


def test_parts_that_touch_at_corners_are_one() -> None:
    assert len(mask_region(mask_of("#.", ".#"), "m").polygons) == 1


def test_a_hole_is_joined_to_the_outline_by_the_shortest_way() -> None:
    mask = np.ones((20, 30), dtype=bool)
    mask[3:10, 5:25] = False
    (polygon,) = mask_region(mask, "m").polygons
    # from the top edge down to the hole, two pixels, and back
    assert polygon.count((5.0, 0.0)) + polygon.count((5.0, 2.0)) == 4
    # four corners; eight around the hole, whose corners are cut; where the bridge begins and ends
    assert len(polygon) == 4 + 8 + 3


def contour(mask: np.ndarray) -> np.ndarray:
    """Return the pixels within one px, both ways, of those of a mask that have a side free."""
    free = ~np.pad(mask, 1)
    beside = free[:-2, 1:-1] | free[2:, 1:-1] | free[1:-1, :-2] | free[1:-1, 2:]
    near = np.pad(mask & beside, 1)
    height, width = mask.shape
    thick = [near[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    found: np.ndarray = np.logical_or.reduce(thick)
    return found


def test_a_contour_goes_around_parts_and_holes_and_not_over_bridges() -> None:
    mask = np.ones((30, 40), dtype=bool)
    mask[12:18, 15:25] = False
    mask[22, 30] = False
    region = mask_region(mask, "m")
    assert len(region.bridges) == 4
    assert (drawn(region, mask.shape, "mask contour", 1) == contour(mask)).all()
    rng = np.random.default_rng(6)
    for _ in range(200):
        mask = rng.random(rng.integers(1, 25, 2)) < rng.choice([0.6, 0.8, 0.9, 0.97])
        if not mask.any():
            continue
        region = mask_region(mask, "m")
        if all(len(set(polygon)) > 1 for polygon in region.polygons):  # a pixel has no contour
            assert (drawn(region, mask.shape, "mask contour", 1) == contour(mask)).all(), mask


def test_a_region_without_holes_has_no_bridges() -> None:
    region = mask_region(mask_of("##", "##"), "m")
    assert "bridges" not in region.model_dump(mode="json")
    assert mask_region(mask_of("###", "#.#", "###"), "m").bridges == ()  # they meet in a pixel


def test_many_holes_need_no_deep_recursion() -> None:
    mask = np.ones((101, 101), dtype=bool)
    mask[1::2, 1::2] = False
    region = mask_region(mask, "m")
    assert len(region.polygons) == 1
    assert (drawn(region, mask.shape) == mask).all()


# --- run lengths


def compressed(runs: list[int]) -> str:
    """Write run lengths as COCO does, after `rleToString` in maskApi.c."""
    text = ""
    for index, run in enumerate(runs):
        number = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            code = number & 31
            number >>= 5
            more = number != -1 if code & 16 else number != 0
            text += chr(code + (32 if more else 0) + 48)
    return text


def runs_of(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel().tolist()
    runs, inside = [0], False
    for pixel in flat:
        if pixel != inside:
            runs.append(0)
            inside = pixel
        runs[-1] += 1
    return runs


def test_run_lengths_as_a_list_go_down_the_columns() -> None:
    mask = decode_rle({"size": [3, 4], "counts": [4, 2, 3, 1, 2]}, "m")
    assert (mask == mask_of("...#", ".#..", ".#..")).all()


def test_compressed_run_lengths() -> None:
    # By hand: 6, 1, 40, and 4 as the difference 3 to the last but one, and 13 as -27.
    assert compressed([6, 1, 40, 4, 13]) == "61X13UO"
    mask = decode_rle({"size": [8, 8], "counts": "61X13UO"}, "m")
    assert np.flatnonzero(mask.T.ravel()).tolist() == [6, 47, 48, 49, 50]
    rng = np.random.default_rng(1)
    for _ in range(20):
        mask = rng.random(rng.integers(1, 40, 2)) < 0.4
        rle = {"size": list(mask.shape), "counts": compressed(runs_of(mask))}
        assert (decode_rle(rle, "m") == mask).all()
        assert (decode_rle({**rle, "counts": runs_of(mask)}, "m") == mask).all()
        assert (decode_rle({**rle, "counts": str(rle["counts"]).encode()}, "m") == mask).all()


@pytest.mark.parametrize(
    ("rle", "said"),
    [
        ("61X13UO", "m: '61X13UO' · expected run lengths"),
        ({"size": [8], "counts": "61"}, "size [8] · expected [height, width]"),
        ({"size": [8, 0], "counts": "61"}, "size [8, 0]"),
        ({"size": [8, True], "counts": [1, 7]}, "size [8, True]"),
        ({"counts": [1, 7]}, "size None"),
        ({"size": [20000, 20000], "counts": [400000000]}, "at most 100 megapixels"),
        ({"size": [8, 8]}, "counts None · expected run lengths"),
        ({"size": [8, 8], "counts": [1.5, 62.5]}, "counts [1.5, 62.5]"),
        ({"size": [8, 8], "counts": [60, 3]}, "2 run lengths add up to 63 · expected 8 x 8 = 64"),
        ({"size": [8, 8], "counts": [70, -6]}, "2 run lengths with a negative one add up to 69"),
        ({"size": [8, 9], "counts": "61X13UO"}, "add up to 64 · expected 8 x 9 = 72"),
        ({"size": [8, 8], "counts": "61 X13UO"}, "counts hold ' ' at character 2 · expected COCO"),
        ({"size": [8, 8], "counts": "61é"}, "counts hold 'é' at character 2"),
        ({"size": [8, 8], "counts": "61X"}, "counts '61X' end within a number"),
        ({"size": [8, 8], "counts": ""}, "counts '' end within a number"),
        ({"size": [8, 8], "counts": "ooooooooooo1"}, "a number of 12 characters"),
        ({"size": [8, 8], "counts": []}, "0 run lengths add up to 0"),
    ],
)
def test_run_lengths_that_are_none(rle: object, said: str) -> None:
    with pytest.raises(BadRecord) as error:
        decode_rle(rle, "m")
    assert said in str(error.value)
    assert error.value.code == "bad_mask"


def test_an_empty_mask_and_noise_are_no_regions() -> None:
    with pytest.raises(BadRecord, match="m: no pixel is in the mask") as error:
        mask_region(np.zeros((3, 3), dtype=bool), "m")
    assert error.value.code == "empty_mask"
    noise = np.indices((800, 800)).sum(axis=0) % 2 == 0
    with pytest.raises(
        BadRecord, match=f"1,280,000 edges of pixels · expected at most {MAX_EDGES:,}"
    ):
        mask_region(noise, "m")


# --- files


def test_each_value_of_a_label_map_is_a_region(tmp_path: Path) -> None:
    levels = np.array([[0, 7, 7], [2, 0, 7]], dtype=np.uint8)
    for mode, name in ((None, "grey.png"), ("I;16", "deep.png"), ("P", "palette.png")):
        image = Image.fromarray(levels.astype(np.uint16) if mode == "I;16" else levels)
        if mode == "P":
            image.putpalette([0, 0, 0] * 256)  # colours that tell nothing
        image.save(tmp_path / name)
        found = dict(read_labels(tmp_path / name, "m"))
        assert list(found) == [2, 7]
        assert (found[7] == (levels == 7)).all()
        assert (read_mask(tmp_path / name, "m") == (levels > 0)).all()


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (
            lambda p: Image.new("RGB", (4, 4)).save(p / "a.png"),
            "has the mode RGB · expected one ch",
        ),
        (lambda p: Image.new("L", (4, 4)).save(p / "a.png"), "no pixel is in the mask"),
        (lambda p: (p / "a.png").write_bytes(b"x"), "a.png: not an image, or a broken one"),
        (lambda p: None, "a.png: does not exist"),
        (
            lambda p: Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30)).save(
                p / "a.png"
            ),
            "a.png has 899 labels · expected at most 256",
        ),
    ],
)
def test_files_that_are_no_label_maps(
    save: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    save(tmp_path)
    with pytest.raises(BadRecord) as error:
        list(read_labels(tmp_path / "a.png", "m"))
    assert said in str(error.value)


def test_a_file_that_blurs_is_no_mask(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match=r"a\.jpg · expected a PNG"):
        read_mask(tmp_path / "a.jpg", "m")


def test_run_lengths_survive_json() -> None:
    mask = mask_of("##..", "#..#")
    rle = json.loads(json.dumps({"size": [2, 4], "counts": compressed(runs_of(mask))}))
    assert (drawn(mask_region(decode_rle(rle, "m"), "m"), mask.shape) == mask).all()
