"""What a bench asks: which samples each way gets, how long prompts and answers are; needs no torch.

All of it is a pure function of the settings, so that a resumed bench asks the same.
"""

import io
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from vipbench import files
from vipbench.bench.records import WayName
from vipbench.errors import RunnerError
from vipbench.images.decode import open_image, safe_path
from vipbench.schema import ImageRoots, Region, Request, VisualPrompt

NewTokens = int | Literal["open"]

OPEN_ANSWERS = (
    (0.0, 7),
    (0.05, 14),
    (0.25, 17),
    (0.5, 22),
    (0.75, 27),
    (0.9, 35),
    (0.95, 49),
    (0.97, 102),
    (0.98, 122),
    (0.99, 184),
    (1.0, 310),
)
"""Share of the answers -> tokens that they have at most: 28 on average. Source: the 303 answers of
ViP-LLaVA 7B to ViP-Bench (mu-cai/ViP-LLaVA, `playground/data/eval/vip-bench-example-results/
vip-llava-7b-human.json`), whose quantiles in words are 4, 9, 11, 14, 18, 25, 35, 75, 90, 137, 233;
taken are 4/3 tokens a word and two more for its full stop and its end."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_FILLER = " a"
"""What lengthens a prompt."""
_QUALITY = 90
"""Of the JPEG files that enlarged images are written to."""


def spread(n: int, wanted: int, together: int = 1) -> tuple[int, ...]:
    """Return `wanted` indices of `n`, or all of them, evenly spread.

    Each `together` of them in a row are taken whole, or not: so `wanted` may be exceeded.
    """
    n_groups = math.ceil(n / together)
    taken = min(n_groups, math.ceil(wanted / together))
    first = (i * n_groups // taken * together for i in range(taken))
    return tuple(i for begin in first for i in range(begin, min(begin + together, n)))


def choose(
    n: int, wanted: Mapping[WayName, int], together: int = 1
) -> dict[WayName, tuple[int, ...]]:
    """Choose which of `n` samples each way answers: indices of few are among those of more.

    So the samples that all ways answer are those of the way that takes the fewest. `together`: as
    for `spread`.
    """
    chosen: dict[WayName, tuple[int, ...]] = {}
    pool: tuple[int, ...] = tuple(range(n))
    for way in sorted(wanted, key=lambda way: -wanted[way]):
        pool = tuple(pool[i] for i in spread(len(pool), wanted[way], together))
        chosen[way] = pool
    return chosen


def slices(indices: Sequence[int], size: int | None, together: int = 1) -> list[tuple[int, ...]]:
    """Cut indices into parts of about `size`, each spread over all of them; None: one part.

    Each `together` of them in a row stay together.
    """
    groups = [indices[i : i + together] for i in range(0, len(indices), together)]
    n = math.ceil(len(groups) / max(1, size // together)) if size else 1
    return [tuple(i for group in groups[part::n] for i in group) for part in range(n)]


def answer_lengths(n: int, first: Iterable[int], length: NewTokens) -> list[int]:
    """Return the most tokens that the answer to each of `n` requests may have.

    Open answers follow `OPEN_ANSWERS`, by multiples of the golden ratio: these are evenly spread
    however many of them are taken, here in the order of `first` and then of the rest. So the
    requests that come first, which all ways answer, have the lengths of all of them.
    """
    if length != "open":
        return [length] * n
    order = dict.fromkeys([*first, *range(n)])
    shares = {index: (i + 0.5) * _GOLDEN % 1 for i, index in enumerate(order)}
    return [_open_answer(shares[index]) for index in range(n)]


def _open_answer(share: float) -> int:
    """Read `OPEN_ANSWERS` at a share 0-1, in a straight line between its entries."""
    for (below, shorter), (above, longer) in itertools.pairwise(OPEN_ANSWERS):
        if share <= above:
            return round(shorter + (share - below) / (above - below) * (longer - shorter))
    raise ValueError(f"share {share}: is above 1")


def lengthen(request: Request, encode: Callable[[Request], Sequence[int]], n: int) -> Request:
    """Put filler at the first turn's end until the prompt has `n` tokens, or just above.

    Raises:
        RunnerError: it is longer already.
    """
    first, rest = request.turns[0], request.turns[1:]
    fillers = n - len(encode(request))
    if fillers < 0:
        raise RunnerError(
            f"--prompt-tokens {n}: sample {request.id} has {n - fillers} tokens already · expected "
            "at least that many"
        )
    longer = request
    for _ in range(n):
        turns = (first + _FILLER * fillers, *rest)
        longer = request.model_copy(update={"turns": turns})
        missing = n - len(encode(longer))
        if missing <= 0:
            break
        fillers += missing
    return longer


def enlarge(request: Request, images: ImageRoots, out: Path, width: int) -> Request:
    """Write a request's image below `out` at a width in px, unless it is there; move its marks.

    Raises:
        DataError: the image cannot be read.
        RunError: the disk refuses it.
    """
    path = safe_path(images, request.image)
    image = open_image(path, request.exif)[0]
    factor = width / image.width
    name = f"{request.image}.jpg"
    if not (out / name).exists():
        size = (width, max(1, round(image.height * factor)))
        file = io.BytesIO()
        image.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=_QUALITY)
        files.write_bytes(out / name, [file.getvalue()])
    marks = tuple(_scaled(mark, factor) for mark in request.visual_prompts)
    return request.model_copy(update={"image": name, "visual_prompts": marks, "exif": None})


def _scaled(mark: VisualPrompt, factor: float) -> VisualPrompt:
    region = mark.region
    x0, y0, x1, y1 = region.box
    scaled = Region(
        box=(x0 * factor, y0 * factor, x1 * factor, y1 * factor),
        polygons=tuple(
            tuple((x * factor, y * factor) for x, y in polygon) for polygon in region.polygons
        ),
        label=region.label,
    )
    return mark.model_copy(update={"region": scaled})
