"""Write the embedded benchmark: scenes and questions in the on-disk layouts of the releases.

All four benchmarks are written raw and preprocessed, so that synthetic data pass through the
readers as real data do. The same size and seed give the same bytes.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from vipbench.data.synthetic import SYNTHETIC_MARKER
from vipbench.data.tasks import all_styles
from vipbench.demo.scenes import COLORS, FIGURES, SIDE, Figure, draw_scene, make_scene
from vipbench.images.draw import render
from vipbench.prompts.marks import keyed
from vipbench.prompts.request import build_request
from vipbench.schema import PromptStyle, Region, Sample

EVALUATION_SEED = 1
"""Of the embedded benchmark; training uses another, so that they have no question in common."""
TRAINING_SEED = 2
PER_IMAGE = 2
"""Questions an image, as long as the number of images stays below MAX_IMAGES."""
MAX_IMAGES = 4000

REAL_COUNTS = {"visual7w": 57_265, "pointqa": 5_711, "vcr": 26_534, "vip_bench": 303}
"""Questions of the real benchmarks; see `reference` in the task files."""

Json = dict[str, Any]
"""A record of a release's own file format, as it is written."""


def make(
    out: Path,
    n: int = 250,
    seed: int = EVALUATION_SEED,
    most: Mapping[str, int] = REAL_COUNTS,
) -> Path:
    """Write all four benchmarks with `n` questions each below `out`, and return it.

    Folders `visual7w`, `pointqa`, `vcr`, `vip_bench` are what `--data KEY=DIR` takes. No benchmark
    gets more questions than `most` says.
    """
    writers: tuple[tuple[str, Callable[[Path, int, int], None]], ...] = (
        ("visual7w", _visual7w),
        ("pointqa", _pointqa),
        ("vcr", _vcr),
        ("vip_bench", _vip_bench),
    )
    for name, write in writers:
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        size = min(n, most.get(name, n))
        write(folder, size, seed)
        marker = {"made_by": "vipbench demo make", "n": size, "seed": seed}
        _write_json(folder / SYNTHETIC_MARKER, marker)
    return out


def _images(n: int, seed: int, benchmark: str) -> Iterator[tuple[int, Random, range]]:
    """Yield each image's number, its generator, and the numbers of the questions about it."""
    images = min(-(-n // PER_IMAGE), MAX_IMAGES)
    for image in range(images):
        yield (
            image,
            keyed("demo", benchmark, seed, image),
            range(image * n // images, (image + 1) * n // images),
        )


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="PNG")


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _write_lines(path: Path, records: list[Json]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


# Visual7W: which of four marked figures is the one that the question names?


def _visual7w(folder: Path, n: int, seed: int) -> None:
    raw_images: list[Json] = []
    raw_boxes: list[Json] = []
    preprocessed: list[Json] = []
    for number, rng, questions in _images(n, seed, "visual7w"):
        kinds = list(zip(rng.sample(FIGURES, 4), rng.sample(list(COLORS), 4), strict=True))
        figures = make_scene(kinds, rng)
        name = f"v7w_{number + 1}.png"
        _save(draw_scene(figures, rng), folder / "v7w" / name)
        ids = {}
        for figure in figures:
            x0, y0, x1, y1 = map(int, figure.box)
            ids[figure] = len(raw_boxes) + 1
            raw_boxes.append(
                {
                    "box_id": ids[figure], "name": figure.name,
                    "x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0,
                }
            )  # fmt: skip
        pairs: list[Json] = []
        for question in questions:
            target = rng.choice(figures)
            text = f"Which object is the {target.name}?"
            others = [figure for figure in figures if figure != target]
            pairs.append(
                {
                    "qa_id": question + 1, "type": "which", "question": text,
                    "answer": ids[target], "multiple_choices": [ids[other] for other in others],
                }
            )  # fmt: skip
            options = rng.sample(others, 3)
            options.insert(question % 4, target)
            preprocessed.append(
                {
                    "id": f"v7w-{question + 1}", "image": f"v7w/{name}", "question": text,
                    "bboxes": [list(option.box) for option in options], "answer": list(target.box),
                }
            )  # fmt: skip
        raw_images.append(
            {"image_id": number + 1, "filename": name, "split": "test", "qa_pairs": pairs}
        )
    _write_json(folder / "dataset_v7w_pointing.json", {"images": raw_images, "boxes": raw_boxes})
    _write_json(folder / "v7w-test.json", preprocessed)


# PointQA: how many figures have the shape of the marked one?

_COUNTS = ((3, 1), (3, 1), (2, 1), (2, 1, 1))
"""Figures of each shape in a scene, the most frequent first: the image alone does not give the
answer away."""


def _pointqa(folder: Path, n: int, seed: int) -> None:
    twice: dict[str, list[Json]] = {}
    local: dict[str, list[Json]] = {}
    preprocessed: list[Json] = []
    for number, rng, questions in _images(n, seed, "pointqa"):
        counts = rng.choice(_COUNTS)
        shapes = rng.sample(FIGURES, len(counts))
        kinds = [shape for shape, count in zip(shapes, counts, strict=True) for _ in range(count)]
        colors = rng.sample(list(COLORS), len(kinds))
        figures = make_scene(list(zip(kinds, colors, strict=True)), rng)
        image_id = 2_400_001 + number
        vg_part = "VG_100K" if number % 2 == 0 else "VG_100K_2"
        _save(draw_scene(figures, rng), folder / "vg" / vg_part / f"{image_id}.png")
        twice[str(image_id)] = []
        for question in questions:
            most = [figure for figure in figures if figure.shape == shapes[0]]
            others = [figure for figure in figures if figure.shape != shapes[0]]
            target = rng.choice(most if rng.random() < 0.55 else others)
            count = str(kinds.count(target.shape))
            record = {
                "id": image_id,
                "obj_question": f"How many {_plural(target.shape)} are there?",
                "super_question": "How many of these objects are there?",
                "general_question": "How many of these are there?",
                "ans": count,
                "bbox": _visual_genome(target),
                "point": _center(target, count),
                "obj_type": _plural(target.shape),
                "supercategory": "objects",
            }
            twice[str(image_id)].append(record)
            preprocessed.append(
                {
                    "id": f"pointQA_twice-{question + 1}",
                    "image": f"vg/{vg_part}/{image_id}.png",
                    **{
                        k: record[k] for k in ("obj_question", "super_question", "general_question")
                    },
                    "answer": count,
                    "bboxes": [list(target.box)],
                }
            )
        shown = figures[: len(questions)]
        local[str(image_id)] = [
            {
                "id": image_id, "question": "What color is the object?",
                "all_ans": sorted({figure.color for figure in shown}),
                "all_objs": [_visual_genome(figure) for figure in shown],
                "points": [_center(figure, figure.color) for figure in shown],
            }
        ]  # fmt: skip
    _write_json(folder / "looktwiceqa_dataset.json", twice)
    _write_json(folder / "looktwiceqa_test_imgs.json", [int(key) for key in twice])
    _write_json(folder / "localqa_dataset.json", local)
    _write_json(folder / "localqa_testfinal_imgs.json", [int(key) for key in local])
    _write_json(folder / "pointQA_twice_test.json", preprocessed)


def _visual_genome(figure: Figure) -> Json:
    """Write a figure as Visual Genome writes an object."""
    x0, y0, x1, y1 = map(int, figure.box)
    return {"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0, "names": [figure.shape]}


def _center(figure: Figure, answer: str) -> Json:
    """Write a figure as PointQA writes a point."""
    x0, y0, x1, y1 = map(int, figure.box)
    return {"x": (x0 + x1) // 2, "y": (y0 + y1) // 2, "ans": answer}


def _plural(shape: str) -> str:
    return shape + ("es" if shape.endswith("s") else "s")


# VCR: what color (or shape) has the marked figure, and which shape (or color) goes with it? Two
# figures share the answer, so that the answer alone does not give the rationale away.


def _vcr(folder: Path, n: int, seed: int) -> None:
    raw: list[Json] = []
    preprocessed: list[Json] = []
    answer_letters, rationale_letters = _letters(n, "answer", seed), _letters(n, "rationale", seed)
    for number, rng, questions in _images(n, seed, "vcr"):
        about_color = number % 2 == 0
        shared_pool, own_pool = (list(COLORS), FIGURES) if about_color else (FIGURES, list(COLORS))
        shared = rng.sample(shared_pool, 4)
        own = rng.sample(own_pool, 4)
        pairs = list(zip((shared[0], shared[0], shared[1], shared[1]), own, strict=True))
        kinds = [(b, a) if about_color else (a, b) for a, b in pairs]
        figures = make_scene(kinds, rng)
        stem = f"lsmdc_0000_DEMO/0000_DEMO_{number:05d}@0"
        image, meta = f"{stem}.png", f"{stem}.json"
        _save(draw_scene(figures, rng), folder / "vcr1images" / image)
        metadata = {
            "boxes": [[*figure.box, 0.99] for figure in figures],
            "segms": [[[list(point) for point in figure.polygon]] for figure in figures],
            "names": ["object"] * len(figures),
            "width": SIDE,
            "height": SIDE,
        }
        _write_json(folder / "vcr1images" / meta, metadata)
        for question in questions:
            index = rng.randrange(4)
            answer_at, rationale_at = answer_letters[question], rationale_letters[question]
            answers = _vcr_choices(pairs[index][0], shared, index, answer_at, rng)
            rationales = _vcr_choices(pairs[index][1], own, index, rationale_at, rng)
            ask = "color" if about_color else "shape"
            item = {
                "question": ["What", ask, "is", [index], "?"],
                "answer_choices": answers,
                "answer_label": answer_at,
                "rationale_choices": rationales,
                "rationale_label": rationale_at,
            }
            raw.append(
                {
                    "movie": "0000_DEMO", "objects": metadata["names"], "img_fn": image,
                    "metadata_fn": meta, **item,
                    "question_orig": f"What {ask} is {index + 1}?",
                    "img_id": f"val-{number}", "annot_id": f"val-{question}",
                    "question_number": question, "match_fold": "val-0",
                }
            )  # fmt: skip
            preprocessed.append(
                {
                    "id": f"vcr-{question}", "image": f"vcr1images/{image}",
                    "meta_dir": f"./dataset/vcr1images/{meta}",
                    "class_names": metadata["names"], **item,
                }
            )  # fmt: skip
    _write_lines(folder / "val.jsonl", raw)
    _write_json(folder / "vcr-val.json", preprocessed)


def _letters(n: int, part: str, seed: int) -> list[int]:
    """Deal the letters of the right options, 0-3: equally often, whatever the question says."""
    letters = [k % 4 for k in range(n)]
    keyed("demo", "vcr", part, seed).shuffle(letters)
    return letters


def _vcr_choices(
    right: str, values: list[str], index: int, letter: int, rng: Random
) -> list[list[str | list[int]]]:
    """Make four options as token lists, the right one at index `letter`."""
    options = rng.sample([value for value in values if value != right], 3)
    options.insert(letter, right)
    subject: str | list[int] = [index] if rng.random() < 0.25 else "It"
    article = ["a"] if right in FIGURES else []
    return [[subject, "is", *article, option, "."] for option in options]


# ViP-Bench: open questions about marked figures, plain (to be marked) and with marks in the image.


def _vip_bench(folder: Path, n: int, seed: int) -> None:
    metadata: dict[str, Json] = {}
    lines: dict[str, list[Json]] = {"bbox": [], "human": []}
    known = all_styles()
    boxes = known["demo"].model_copy(update={"shapes": ("rectangle",)})
    for number, rng, questions in _images(n, seed, "vip_bench"):
        figures = _varied_scene(rng)
        image = draw_scene(figures, rng)
        source = f"v1_{number}.png"
        _save(image, folder / "source_image" / source)
        for order, question in enumerate(questions):
            text, answer, capability, mentioned = _vip_bench_question(figures, rng)
            name = f"v1_{number}_{order}.png"
            labels = ["obj", *(f"obj{k}" for k in range(1, len(mentioned)))]
            metadata[f"v1_{question}"] = {
                "image_source": source, "image": name, "question": text,
                "answer": answer, "capability": capability,
            }  # fmt: skip
            _write_json(
                folder / "source_image" / f"{Path(name).stem}.json",
                {
                    "shapes": [
                        {
                            "label": label, "shape_type": "polygon",
                            "points": [list(point) for point in figure.polygon],
                        }
                        for label, figure in zip(labels, mentioned, strict=True)
                    ],
                    "imagePath": source, "imageWidth": SIDE, "imageHeight": SIDE,
                },
            )  # fmt: skip
            for split, style in (("bbox", boxes), ("human", known["demo"])):
                marked, asked = _mark(
                    image, text, labels, mentioned, style, f"{split}-{question}", seed
                )
                _save(marked, folder / split / "images" / name)
                lines[split].append(
                    {"question_id": question, "image": name, "text": asked, "category": "demo"}
                )
    _write_json(folder / "vip-bench-meta-data.json", metadata)
    for split, records in lines.items():
        _write_lines(folder / split / "questions.jsonl", records)


def _varied_scene(rng: Random) -> list[Figure]:
    """Make three or four figures; more often than not two share a shape, and two a colour."""
    shapes = rng.sample(FIGURES, 3)
    colors = rng.sample(list(COLORS), 3)
    kinds = {(rng.choice(shapes), rng.choice(colors)) for _ in range(4)}
    while len(kinds) < 3:
        kinds.add((rng.choice(shapes), rng.choice(colors)))
    return make_scene(sorted(kinds), rng)


def _vip_bench_question(
    figures: list[Figure], rng: Random
) -> tuple[str, str, list[str], list[Figure]]:
    """Make one question: text with `<obj>`, answer, capabilities, and the figures it refers to.

    Only colour and shape are asked for: what has two or three answers can be guessed.
    """
    figure = rng.choice(figures)
    if rng.random() < 0.5:
        return "What color is <obj>?", figure.color, ["rec"], [figure]
    return "What shape is <obj>?", figure.shape, ["rec"], [figure]


def _mark(
    image: Image.Image,
    text: str,
    labels: list[str],
    figures: list[Figure],
    style: PromptStyle,
    name: str,
    seed: int,
) -> tuple[Image.Image, str]:
    """Draw marks into an image and name them in the text, as the annotators of ViP-Bench did."""
    for index, label in enumerate(labels):
        text = text.replace(f"<{label}>", f"<r{index}>")
    sample = Sample(
        id=name, image=name, question=text, target="-", group=name,
        regions=tuple(Region(box=figure.box, polygons=(figure.polygon,)) for figure in figures),
    )  # fmt: skip
    request = build_request(sample, style, seed)
    return render(image, request.visual_prompts), request.turns[0].partition("\n")[0]
