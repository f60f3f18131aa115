"""Write the made-up data that tests read, in each benchmark's real file formats.

`python tests/make_data.py` rewrites the folders of `tests/data` that this script makes. Nothing in
them comes from a data set: images are coloured rectangles, and all names and answers are invented.
"""

import base64
import io
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from PIL import Image, ImageDraw

DATA = Path(__file__).parent / "data"
SIZE = (48, 36)
FILLS = ((50, 90, 160), (170, 70, 60), (90, 140, 70), (200, 170, 60))

Box = tuple[int, int, int, int]
Point = tuple[float, float]

FOUR_BOXES: dict[int, tuple[str, Box]] = {
    51: ("door", (4, 6, 14, 22)),
    52: ("window", (24, 4, 12, 10)),
    53: ("cup", (38, 20, 8, 8)),
    54: ("lamp", (-3, 24, 12, 10)),  # partly outside, as some boxes of the real file
    61: ("dog", (2, 2, 10, 10)),
    62: ("cat", (14, 2, 10, 10)),
    63: ("cow", (26, 2, 10, 10)),
    64: ("hen", (26, 2, 10, 10)),  # another id with the same corners
}
"""Visual7W boxes: box_id -> name and x, y, width, height."""

FILM = "lsmdc_0000_DEMO/0000_DEMO_00.00.0"


def main() -> None:
    """Rewrite all fixtures."""
    made = (visual7w, pointqa, vcr, vip_bench, gar_bench, own, blink, vp_bench, inst_it, vpbench)
    for make in made:
        shutil.rmtree(DATA / make.__name__, ignore_errors=True)
        make(DATA / make.__name__)


def visual7w(folder: Path) -> None:
    """The raw file with three splits and its images, and the preprocessed file."""
    qa = [
        (9001, "Which item can be opened?", 51, [52, 53, 54]),
        (9002, "Which thing holds a drink?", 53, [51, 54, 52]),
        (9003, "Which animal barks?", 61, [62, 63, 64]),
        (9004, "Which animal lays eggs?", 64, [61, 62, 63]),
    ]
    questions = [
        {
            "qa_id": i,
            "type": "which",
            "question": text,
            "answer": right,
            "multiple_choices": others,
            "image_id": 101 if i < 9003 else 102,
        }
        for i, text, right, others in qa
    ]
    images = [
        {
            "image_id": 100,
            "filename": "v7w_100.jpg",
            "split": "train",
            "qa_pairs": [
                {
                    "qa_id": 8001,
                    "type": "which",
                    "question": "Which one trains?",
                    "answer": 51,
                    "multiple_choices": [52, 53, 54],
                }
            ],
        },
        {"image_id": 101, "filename": "v7w_101.jpg", "split": "test", "qa_pairs": questions[:2]},
        {
            "image_id": 103,
            "filename": "v7w_103.jpg",
            "split": "val",
            "qa_pairs": [
                {
                    "qa_id": 8002,
                    "type": "which",
                    "question": "Which one validates?",
                    "answer": 61,
                    "multiple_choices": [62, 63, 54],
                }
            ],
        },
        {"image_id": 102, "filename": "v7w_102.jpg", "split": "test", "qa_pairs": questions[2:]},
    ]
    boxes = [
        {"box_id": i, "name": name, "x": x, "y": y, "width": w, "height": h}
        for i, (name, (x, y, w, h)) in FOUR_BOXES.items()
    ]
    raw = {"dataset": "visual7w-pointing", "images": images, "boxes": boxes}
    write_json(folder / "dataset_v7w_pointing.json", raw)
    for image in (101, 102):
        shown = [box for i, (_, box) in FOUR_BOXES.items() if (i < 60) == (image == 101)]
        write_image(folder / f"v7w/v7w_{image}.jpg", map(xyxy, shown))
    orders = {
        9001: [52, 51, 53, 54],
        9002: [53, 54, 51, 52],
        9003: [63, 62, 64, 61],
        9004: [63, 64, 62, 61],
    }
    write_json(
        folder / "v7w-test.json",
        [
            {
                "id": f"v7w-{i}",
                "image": f"v7w/v7w_{101 if i < 9003 else 102}.jpg",
                "question": text,
                "bboxes": [xyxy(FOUR_BOXES[b][1]) for b in orders[i]],
                "answer": xyxy(FOUR_BOXES[right][1]),
            }
            for i, text, right, _ in qa
        ],
    )


def pointqa(folder: Path) -> None:
    """LookTwice raw and preprocessed, LocalQA raw, their split files, both image folders."""

    def looktwice(
        image: int, thing: str, kind: str, n: int, box: Box
    ) -> tuple[dict[str, object], Box]:
        x, y, w, h = box
        question: dict[str, object] = {
            "id": image,
            "obj_question": f"How many {thing} are there?",
            "super_question": f"How many of these {kind} are there?",
            "general_question": "How many of these are there?",
            "ans": str(n),
            "bbox": {"x": x, "y": y, "w": w, "h": h, "names": [thing[:-1]], "object_id": 7},
            "point": {"x": x + w // 2, "y": y + h // 2, "ans": str(n)},
            "obj_type": thing,
            "supercategory": kind,
        }
        return question, box

    counts = {
        "2400001": [
            looktwice(2400001, "cups", "objects", 3, (4, 6, 10, 12)),
            looktwice(2400001, "dogs", "beings", 2, (20, 10, 12, 14)),
        ],
        "2400002": [looktwice(2400002, "trucks", "vehicles", 1, (8, 8, 20, 14))],
        "2400009": [looktwice(2400009, "birds", "beings", 5, (1, 1, 4, 4))],
    }
    raw = {image: [question for question, _ in found] for image, found in counts.items()}
    write_json(folder / "looktwiceqa_dataset.json", raw)
    for split, ids in (("train", ["2400009"]), ("val", []), ("test", ["2400002", "2400001"])):
        write_json(folder / f"looktwiceqa_{split}_imgs.json", ids)
    objects = [
        {
            "object_id": 11,
            "x": 4,
            "y": 6,
            "w": 11,
            "h": 13,
            "names": ["cup"],
            "attributes": ["red"],
        },
        {
            "object_id": 12,
            "x": 20,
            "y": 10,
            "w": 12,
            "h": 14,
            "names": ["cup"],
            "attributes": ["tan"],
        },
    ]
    local = {
        "2400001": [
            {
                "id": 2400001,
                "question": "What color is the cup?",
                "all_ans": ["brown", "red"],
                "all_objs": objects,
                "points": [{"x": 10, "y": 12, "ans": "red"}, {"x": 26, "y": 17, "ans": "brown"}],
            }
        ],
        "2400002": [
            {
                "id": 2400002,
                "question": "What action is the dog doing?",
                "all_ans": ["sitting", "walking"],
                "all_objs": objects,
                "points": [{"x": 40, "y": 30, "ans": "sitting"}],
            }
        ],
    }
    write_json(folder / "localqa_dataset.json", local)
    write_json(folder / "localqa_testdev_imgs.json", ["2400002"])
    write_json(folder / "localqa_testfinal_imgs.json", ["2400001", "2400002"])
    places = {"2400001": "VG_100K", "2400002": "VG_100K_2"}
    for image, place in places.items():
        write_image(folder / f"vg/{place}/{image}.jpg", [(4, 6, 14, 18), (20, 10, 32, 24)])
    prepared: list[dict[str, object]] = []
    for image in ("2400001", "2400002"):
        for question, box in counts[image]:
            prepared.append(
                {
                    "id": f"pointQA_twice-{len(prepared)}",
                    "image": f"vg/{places[image]}/{image}.jpg",
                    **{key: question[key] for key in question if key.endswith("_question")},
                    "answer": question["ans"],
                    "bboxes": [xyxy(box)],
                }
            )
    write_json(folder / "pointQA_twice_test.json", prepared)


def vcr(folder: Path) -> None:
    """val.jsonl with metadata, and the preprocessed file: the same questions in the same order."""
    shots = [f"{FILM}{n}.000-00.00.0{n + 1}.000@0" for n in (1, 2)]
    rows = [
        (
            shots[0],
            ["Why", "is", [1], "standing", "?"],
            [
                ["To", "greet", [0], "."],
                [[1], "and", [0, 2], "rest", "."],
                [[2], "'", "s", "leg", ",", "it", "broke", "."],
                ["Nobody", "knows", "!"],
            ],
            1,
            [
                [[1], "smiles", "at", [0], "."],
                ["People", "rest", "."],
                ["It", "is", "late", "."],
                [[0, 1], "talk", ":", "slowly", "."],
            ],
            3,
        ),
        (
            shots[0],
            ["Where", "is", "this", "?"],
            [["In", "a", "bar", "."], ["At", "home", "."], ["Outside", "."], ["At", "sea", "."]],
            0,
            [["There", "are", "bottles", "."], ["A", "bed", "."], ["Trees", "."], ["Waves", "."]],
            0,
        ),
        (
            shots[1],
            [[3], "looks", "at", [0], "?"],
            [["Yes", "."], ["No", "."], [[3], "sleeps", "."], ["Maybe", "."]],
            2,
            [["Eyes", "closed", "."], ["Eyes", "open", "."], [[1], "."], ["Light", "."]],
            0,
        ),
    ]
    objects = ["person", "person", "chair", "dog"]
    labels = {"objects": objects, "movie": "0000_DEMO", "match_fold": "val-0", "img_id": "val-0"}
    raw = [
        {
            **labels,
            "annot_id": f"val-{n}",
            "img_fn": f"{shot}.jpg",
            "metadata_fn": f"{shot}.json",
            "question": q,
            "answer_choices": a,
            "answer_label": right,
            "rationale_choices": r,
            "rationale_label": why,
            "question_number": n,
            "question_orig": "made up",
            "answer_likelihood": "likely",
        }
        for n, (shot, q, a, right, r, why) in enumerate(rows)
    ]
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(record) + "\n" for record in raw)
    (folder / "val.jsonl").write_text(lines, encoding="utf-8")
    write_json(
        folder / "vcr-val.json",
        [
            {
                "id": f"vcr-{n}",
                "image": f"vcr1images/{r['img_fn']}",
                "meta_dir": f"./dataset/vcr1images/{r['metadata_fn']}",
                "class_names": r["objects"],
                **{
                    key: r[key]
                    for key in (
                        "question",
                        "answer_choices",
                        "answer_label",
                        "rationale_choices",
                        "rationale_label",
                    )
                },
            }
            for n, r in enumerate(raw)
        ],
    )
    boxes = [(2, 4, 12, 30), (14, 4, 24, 30), (26, 14, 36, 30), (36, 20, 46, 32)]
    square = [[2, 4], [12, 4], [12, 30], [2, 30]]
    five = [[14, 4], [24, 4], [24, 30], [19, 32], [14, 30]]
    triangle = [[26, 14], [36, 14], [36, 30]]
    segms = {
        shots[0]: [[square, [[3, 5], [6, 5], [6, 9], [3, 9]]], [five], [triangle], []],
        shots[1]: [[square], [five], [triangle, [[26, 14], [36, 14], [36, 30], [26, 30]]], []],
    }
    for shot in shots:
        scored = [[*box, 0.99] for box in boxes]
        meta = {"boxes": scored, "segms": segms[shot], "names": objects, "width": 48, "height": 36}
        write_json(folder / f"vcr1images/{shot}.json", meta)
        write_image(folder / f"vcr1images/{shot}.jpg", boxes)


def vip_bench(folder: Path) -> None:
    """The release folder: two marked splits, metadata, source images with LabelMe files."""
    rows = [
        (
            "v1_1.png",
            "v1_1_0.png",
            "What number is on the sign {}?",
            ["obj"],
            "42<OR>forty-two",
            ["ocr", "rec"],
        ),
        (
            "v1_1.png",
            "v1_1_1.png",
            "Are the things {} and {} alike?",
            ["obj1", "obj"],
            "no<AND>different",
            ["rel"],
        ),
        ("v1_2.png", "v1_2_0.png", "What is {}?", ["obj"], "a kite", ["rec", "know"]),
        ("v1_2.png", "v1_2_1.png", "Where was this taken?", [], "at sea<OR>on a ship", ["know"]),
    ]
    marks = {
        "bbox": {"obj": "within the red rectangle", "obj1": "within the blue rectangle"},
        "human": {"obj": "pointed to by the green arrow", "obj1": "marked by the brown dot"},
    }
    noun = {"v1_2_0.png": "the object "}
    boxes: dict[str, Box] = {"obj": (5, 6, 20, 18), "obj1": (28, 10, 42, 30)}
    meta = {}
    for n, (source, image, text, labels, answer, capability) in enumerate(rows):
        placeholders = [f"<{label}>" for label in labels]
        meta[f"v1_{n}"] = {
            "image_source": source,
            "image": image,
            "question": text.format(*placeholders),
            "answer": answer,
            "capability": capability,
        }
    write_json(folder / "vip-bench-meta-data.json", meta)
    for split, words in marks.items():
        lines = []
        for n, (_, image, text, labels, _, _) in enumerate(rows):
            said = [noun.get(image, "") + words[label] for label in labels]
            lines.append(
                {
                    "question_id": n,
                    "image": image,
                    "text": text.format(*said),
                    "category": "made-up",
                }
            )
            write_image(
                folder / split / "images" / image,
                boxes.values(),
                marks=[boxes[label] for label in labels],
            )
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / split / "questions.jsonl").write_text(text, encoding="utf-8")
    shapes = [
        {"label": "obj", "points": [[20, 6], [5.5, 18]], "shape_type": "rectangle", "flags": {}},
        {
            "label": "obj1",
            "points": [[28, 10], [42, 12], [40, 30], [29, 29]],
            "shape_type": "polygon",
            "flags": {},
        },
    ]
    for stem in ("v1_1", "v1_2"):
        write_image(folder / f"source_image/{stem}.png", boxes.values())
        write_json(
            folder / f"source_image/{stem}.json",
            {
                "version": "5.0.1",
                "flags": {},
                "shapes": shapes,
                "imagePath": f"{stem}.png",
                "imageData": None,
                "imageHeight": SIZE[1],
                "imageWidth": SIZE[0],
            },
        )


def gar_bench(folder: Path) -> None:
    """The questions with options: masks as run lengths, placeholders, labelled choices."""
    rows: list[tuple[str, list[str], str, str, list[Box]]] = [
        ("What color is <Prompt0>?", ["Blue.", "Red.", "Green.", "Gray."], "A", "color",
         [(4, 6, 14, 18)]),
        ("Among <Prompt0>, <Prompt1>, and <Prompt2>, which is in the mirror?",
         ["<Prompt0>", "<Prompt1> and <Prompt2>", "<Prompt2>", "None of them"], "C", "mirror",
         [(2, 2, 12, 12), (16, 4, 26, 20), (30, 8, 44, 30)]),
        ("Is <Prompt1> behind <Prompt0>?", ["Yes", "No"], "B", "relation",
         [(2, 2, 20, 20), (8, 8, 30, 30)]),
        ("Which row is <Prompt0> in?", ["The first row", "The second", "The third", "The last"],
         "D", "ordering", [(20, 24, 28, 34)]),
    ]  # fmt: skip
    records = []
    for n, (question, choices, answer, kind, boxes) in enumerate(rows):
        image = f"images/vqa_{n}.png"
        write_image(folder / image, boxes)
        records.append(
            {
                "image_path": f"/somewhere/else/{n}.jpg",
                "mask_rles": [mask_rle(box) for box in boxes],
                "question": question,
                "choices": [f"{'ABCD'[k]}. {text}" for k, text in enumerate(choices)],
                "answer": answer,
                "type": kind,
                "image": image,
            }
        )
    write_json(folder / "GAR-Bench-VQA.json", records)


def vpbench(folder: Path) -> None:
    """Depth and semantic correspondence, each of both of its sources."""
    vpbench_depth(folder)
    vpbench_semantic(folder)


def vpbench_semantic(folder: Path) -> None:
    """Points in px of the stored images, which are drawn on at half of the size in BLINK."""
    names = {
        "BLINK_semantic_data": {"val": ["7-111-222:cat", "8-111-333:cat"], "test": ["9-7-8:bus"]},
        "SPair-71k_data": {"test": ["000012-2008_007090-2009_003317:dog"]},
    }
    for source, splits in names.items():
        root = folder / source / "semantic_correspondence"
        records: dict[str, list[dict[str, object]]] = {"val": [], "test": []}
        for split, pairs in splits.items():
            for n, pair in enumerate(pairs):
                records[split].append(
                    {
                        "images": [f"{pair}_1", f"{pair}_2"],
                        "src_kps": [[4, 30], [24, 18], [40, 7]],
                        "trg_kps": [[8, 6], [40, 30], [20.5, 15], [30, 9], [44, 20]],
                        "gold_point": 1 + n,
                        "real_consider_points": [1, 0, 3, 2],
                        "blink_image1_size": [192, 144],
                        "blink_image2_size": [193, 145],
                        "index": n,
                        "prompt": "Which point corresponds?",
                        "real_answer": f"({'CA'[n]})",
                    }
                )
                ids, _, category = pair.partition(":")
                for image in ids.split("-")[1:]:
                    write_image(root / "images" / category / f"{image}.jpg", [(2, 2, 20, 30)])
        write_json(root / "semantic_corr_raw_fixed.json", records)


def vpbench_depth(folder: Path) -> None:
    """Points in px of the stored image, whole and not."""
    rows: dict[str, dict[str, list[tuple[str, Point, Point, str]]]] = {
        "BLINK_depth_data": {
            "dev": [("a.png", (12, 9), (30.5, 20.25), "A"), ("b.png", (0, 0), (47, 35), "B")],
            "test": [("a.png", (20, 9), (40, 30), "B")],
        },
        "DA-2K_data": {"dev": [("a.png", (10, 10), (24, 18), "B")]},
    }
    for source, splits in rows.items():
        depth = folder / source / "depth"
        for split, records in splits.items():
            write_json(
                depth / f"perceptioneval_depth_{split}.json",
                [
                    {
                        "original_image": image,
                        "point_A": list(a),
                        "point_B": list(b),
                        "prompt": "Which point is closer?",
                        "human_answer_2": answer,
                    }
                    for image, a, b, answer in records
                ],
            )
            for image, *_ in records:
                write_image(depth / "images" / image, [(2, 2, 20, 30)])


def mask_rle(box: Box) -> dict[str, object]:
    """Write a box without its lower right quarter as compressed run lengths, as COCO does."""
    x0, y0, x1, y1 = box
    width, height = SIZE
    runs, inside = [0], False
    for x in range(width):
        for y in range(height):
            quarter = 2 * x >= x0 + x1 and 2 * y >= y0 + y1
            if (x0 <= x < x1 and y0 <= y < y1 and not quarter) != inside:
                inside = not inside
                runs.append(0)
            runs[-1] += 1
    text = ""
    for index, run in enumerate(runs):
        number, more = run - runs[index - 2] if index > 2 else run, True
        while more:
            code = number & 31
            number >>= 5
            more = number != -1 if code & 16 else number != 0
            text += chr(48 + code + 32 * more)
    return {"size": [height, width], "counts": text}


def own(folder: Path) -> None:
    """One's own data: JSON lines and the task file that reads them."""
    rows: list[dict[str, object]] = [
        {
            "image": "images/yard.png",
            "question": "What is <r0> doing?",
            "box": [4, 6, 14, 18],
            "choices": ["sleeping", "eating", "running"],
            "answer": "eating",
            "label": "dog",
            "tags": {"place": "yard", "topic": ["animals", "food"]},
        },
        {
            "image": "images/yard.png",
            "question": "Which one is red?",
            "boxes": [[4, 6, 14, 18], [20, 10, 32, 24]],
            "choices": ["<r0>", "<r1>"],
            "answer": "B",
            "id": "red-one",
            "group": "garden",
        },
        {
            "image": "images/sea.png",
            "question": "Is <r0> bigger than <r1>?",
            "polygons": [[[2, 2], [12, 2], [12, 9]], [[[20, 4], [30, 4], [30, 9], [20, 9]]]],
            "labels": ["boat", "ship"],
            "choices": ["yes", "no"],
            "answer": "A",
        },
        {
            "image": "images/sea.png",
            "question": "Is something at <r0>?",
            "points": [[24, 20]],
            "choices": ["yes", "no"],
            "answer": "no",
        },
    ]
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(record) + "\n" for record in rows)
    (folder / "questions.jsonl").write_text(lines, encoding="utf-8")
    for name in ("yard", "sea"):
        write_image(folder / f"images/{name}.png", [(4, 6, 14, 18), (20, 10, 32, 24)])
    (folder / "own_animals.yaml").write_text(
        """\
name: own_animals
version: 1
title: Made-up questions of one's own
kind: choice
data: questions.jsonl
reader: jsonl
styles: [official_rectangles, official_points, none, blind]
breakdown: [place, topic]
""",
        encoding="utf-8",
    )


def xyxy(box: Box) -> Box:
    """Turn x, y, width, height into corners."""
    x, y, w, h = box
    return x, y, x + w, y + h


def write_json(path: Path, content: object) -> None:
    """Write one JSON file, without line breaks, as the releases are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_image(path: Path, boxes: Iterable[Box], marks: Iterable[Box] = ()) -> None:
    """Write a small picture of filled boxes, with red outlines as marks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", SIZE, (196, 204, 210))
    pen = ImageDraw.Draw(image)
    for n, box in enumerate(boxes):
        pen.rectangle(box, fill=FILLS[n % 4])
    for box in marks:
        pen.rectangle(box, outline=(255, 0, 0), width=2)
    image.save(path)


BLINK = {
    "Relative_Depth": (
        "Two points are circled. Which one is nearer?\nSelect from the following choices.\n",
        ["A is closer", "B is closer"],
    ),
    "Relative_Reflectance": (
        "Which point is darker? Select from the following choices.",  # without a line break
        ["A is darker", "B is darker", "About the same"],
    ),
    "Object_Localization": (
        "Which box fits the cup? Select from the following options.\n",
        ["Box A", "Box B"],
    ),
    "Visual_Correspondence": (
        "Which point on the second image is REF on the first? Select from the following choices.\n",
        ["Point A", "Point B", "Point C", "Point D"],
    ),
    "Semantic_Correspondence": (
        "Which point of the second image corresponds to REF? Select from the following choices.\n",
        ["Point A", "Point B", "Point C", "Point D"],
    ),
    "Functional_Correspondence": (
        "Which point serves the action as REF does? Select from the following choices.\n",
        ["Point A", "Point B", "Point C", "Point D"],
    ),
}
"""Subtask -> how its invented questions begin, and its options."""


def blink(folder: Path) -> None:
    """A folder for each subtask with a parquet file of split val, as on the hub."""
    for subtask, (question, options) in BLINK.items():
        rows = []
        for number in range(1, 5):
            picture = io.BytesIO()
            image = Image.new("RGB", SIZE, FILLS[number - 1])
            ImageDraw.Draw(image).ellipse((number, 4, number + 8, 12), outline="red")
            image.save(picture, "PNG")
            lines = "\n".join(f"({'ABCD'[n]}) {text}" for n, text in enumerate(options))
            name = f"val_{subtask}_{number}"
            none = dict.fromkeys(("image_2", "image_3", "image_4"))
            if len(options) == 4:
                none["image_2"] = {"bytes": picture.getvalue(), "path": f"{name}_2.jpg"}
            rows.append(
                {"idx": name, "sub_task": subtask, "question": question, "prompt": question + lines}
                | {"image_1": {"bytes": picture.getvalue(), "path": f"{name}_1.jpg"}, **none}
                | {"choices": options, "answer": f"({'ABCD'[number % len(options)]})"}
                | {"explanation": "", "filename": f"{name}.jpg"}
            )
        write_parquet(folder / subtask / "val-00000-of-00001.parquet", rows)


def vp_bench(folder: Path) -> None:
    """The parquet file of stage 1, with pictures in base64."""
    rows = []
    for number in range(1, 5):
        picture = io.BytesIO()
        Image.new("RGB", SIZE, FILLS[number - 1]).save(picture, "JPEG")
        rows.append(
            {"index": number, "context": "", "question": f"What is in the marked part {number}?"}
            | {"A": "a cup", "B": "a door", "C": "a lamp", "D": "" if number == 4 else "a dog"}
            | {"answer": "ABCA"[number - 1], "vp_amount": "1"}
            | {"image": base64.b64encode(picture.getvalue()).decode()}
            | {"vp_shape": ["box", "oval", "tag", "box"][number - 1], "vp_properties": "{}"}
        )
    write_parquet(folder / "vp_bench_stage_1.parquet", rows)


def inst_it(folder: Path) -> None:
    """The file of questions with options beside the marked pictures."""
    records = []
    for number in range(1, 5):
        name = f"{(number + 1) // 2:03d}.jpg"
        path = folder / "images_vpt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, FILLS[number - 1]).save(path)
        things = [f"[{(number + n) % 4 + 1}]" for n in range(4)]
        records.append(
            {"question_id": f"q{number}", "question": f"What does [{number}] look at?"}
            | {f"choice_{letter}": thing for letter, thing in zip("abcd", things, strict=True)}
            | {"answer": "ABCD"[number - 1], "image": name}
        )
    text = json.dumps(records, indent=1) + "\n"
    (folder / "image_multi_choices.json").write_text(text, encoding="utf-8")


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as the hub has them; columns without a value are of the type of pictures."""
    picture = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    table = pyarrow.Table.from_pylist(rows)
    for number, field in enumerate(table.schema):
        if pyarrow.types.is_null(field.type):
            table = table.set_column(number, field.name, table[field.name].cast(picture))
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, compression="zstd")


if __name__ == "__main__":
    main()
