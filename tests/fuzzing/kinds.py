"""What is changed: for each input format files that are right, the commands that read them, and how
many samples a changed file holds, counted here by other code than a reader's."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

DATA = Path(__file__).resolve().parents[1] / "data"
CHECKPOINT = DATA.parents[1] / "vipbench" / "demo" / "checkpoints" / "vipllava-demo"
CORRESPONDENCE = "BLINK_semantic_data/semantic_correspondence/semantic_corr_raw_fixed.json"
Argv = tuple[str, ...]
Held = tuple[int, int] | None
"""The fewest and the most samples that the files hold; None: that cannot be said."""


class Kind(NamedTuple):
    """One input format."""

    make: Callable[[Path], None]
    """Writes files that are right into an empty folder."""
    files: tuple[str, ...]
    """Patterns of those that are changed."""
    commands: Callable[[Random], Sequence[Argv]]
    """Arguments of the calls, in order, below that folder."""
    held: Callable[[Path], Held] = lambda folder: None
    right: bool = True
    """Whether the answers are the oracle's, so that they are all right."""
    same: bool = False
    """Whether what is printed must be what it was before the change, unless something is said."""
    seconds: float = 30
    """A call may take, on a busy machine."""
    is_quick: bool = True
    """Whether a case takes less than a fifth of a second."""


def of_data(name: str) -> Callable[[Path], None]:
    return lambda folder: _copy(DATA / name, folder)


def _copy(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder, dirs_exist_ok=True)


def of_files(name: str, keep: Sequence[str]) -> Callable[[Path], None]:
    """Copy a data set without those of its question files that are not in `keep`."""

    def make(folder: Path) -> None:
        _copy(DATA / name, folder)
        for path in (*folder.rglob("*.json"), *folder.rglob("*.jsonl")):
            is_kept = path.relative_to(folder).as_posix() in keep
            if not is_kept and (path.parent == folder or "/" in "".join(keep)):
                path.unlink()

    return make


def oracle(*tasks: str, key: str = "", styles: str = "") -> Callable[[Random], Sequence[Argv]]:
    """Ask tasks with the runner that knows the answers; now and then `check` them first."""
    asked = tuple(part for task in tasks for part in ("--tasks", task))
    data = ("--data", f"{key}=.") if key else ("--include", ".")
    chosen = ("--styles", styles) if styles else ()

    def commands(rng: Random) -> Sequence[Argv]:
        run = (
            "run",
            "--runner",
            "oracle",
            *asked,
            *data,
            *chosen,
            "-o",
            "out",
            "--max-errors",
            "1",
        )
        check = ("check", *tasks, *data, *chosen)
        return (check, run) if rng.random() < 0.2 else (run,)

    return commands


def look(rng: Random) -> Sequence[Argv]:
    """Ask with a runner that looks at pixels."""
    run: Argv = ("run", "--runner", "tests.fuzzing.looks:Looks", "--tasks", "own_animals")
    run = (*run, "--include", ".")
    styles = ("--styles", rng.choice(("mine", "none", "mine,blind")))
    return [(*run, *styles, "--max-errors", "1", "-o", "out")]


# --- counts


def tree(path: Path) -> Any:
    """Read JSON or JSON lines as loosely as can be; None: that is neither."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError):
        return None


def records(name: str) -> Callable[[Path], Held]:
    """Count the entries of a list."""

    def held(folder: Path) -> Held:
        content = tree(folder / name)
        n = len(content) if isinstance(content, list) else 1
        return None if content is None else (n, n)

    return held


def constant(n: int) -> Callable[[Path], Held]:
    return lambda folder: (n, n)


def visual7w_raw(folder: Path) -> Held:
    """Count the questions of the images of split test; those of an unknown split may be theirs."""
    content = tree(folder / "dataset_v7w_pointing.json")
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        return None
    least = most = 0
    for image in images:
        split = image.get("split") if isinstance(image, dict) else None
        if split in ("train", "val"):
            continue
        pairs = image.get("qa_pairs") if isinstance(image, dict) else None
        n = len(pairs) if isinstance(pairs, list) else 1
        least += n if split == "test" else 1
        most += max(n, 1)
    return least, most


def pointqa_raw(dataset: str, split: str, *, points: bool) -> Callable[[Path], Held]:
    """Count the questions, or their points, of the images of the split file."""

    def of_question(question: Any) -> tuple[int, int]:
        found = question.get("points") if points and isinstance(question, dict) else None
        return (len(found), max(len(found), 1)) if isinstance(found, list) else (1, 1)

    def held(folder: Path) -> Held:
        content, ids = tree(folder / dataset), tree(folder / split)
        if not isinstance(content, dict) or not isinstance(ids, list | dict):
            return None
        least = most = 0
        for image in ids:
            questions = content.get(str(image))
            for question in questions if isinstance(questions, list) else [None]:
                few, many = of_question(question)
                least, most = least + few, most + many
        return least, most

    return held


def vip_bench(folder: Path) -> Held:
    meta, lines = tree(folder / "vip-bench-meta-data.json"), tree(folder / "bbox/questions.jsonl")
    if not isinstance(meta, dict) or lines is None:
        return None
    n_lines = len(lines) if isinstance(lines, list) else 1
    return max(len(meta), n_lines), len(meta) + n_lines


def vip_bench_drawn(folder: Path) -> Held:
    meta = tree(folder / "vip-bench-meta-data.json")
    return (len(meta), len(meta)) if isinstance(meta, dict) else None


def vpbench_semantic(folder: Path) -> Held:
    content = tree(folder / CORRESPONDENCE)
    if not isinstance(content, dict):
        return None
    lists = [content[split] for split in ("val", "test") if split in content]
    n = sum(len(records) if isinstance(records, list) else 1 for records in lists)
    return (n, n) if lists else None


# --- files that are made here


def make_own(folder: Path) -> None:
    """The task of JSON lines, with a suite, a file of styles and one that says where data lie."""
    _copy(DATA / "own", folder)
    (folder / "styles.yaml").write_text(
        "mine:\n  title: Mine\n  shapes: [rectangle, arrow]\n  colors: [red, '#00ff80']\n"
        "  alpha: [100, 200]\n  width: {default: 3, point: 8}\n"
        "other:\n  shapes: [ellipse]\n  colors: [blue, lime]\n  alpha: 128\n"
        "turned:\n  kind: permuted\n  shift: 1\n"
    )
    (folder / "suites").mkdir()
    (folder / "suites" / "ours.yaml").write_text(
        "name: ours\ntitle: Ours\ntasks: [own_animals]\nstyles: [mine, none]\n"
        "limits: {own_animals: 3}\nmetrics: [stated]\nbreakdown: [size, n_marks]\n"
    )
    (folder / "where.yaml").write_text(
        "questions.jsonl:\n  questions: questions.jsonl\n  images: .\n"
    )


ANSWERS = {"questions-1": "B", "red-one": "B", "questions-3": "A", "questions-4": "B"}
"""The right ones of `own_animals`."""
BOXES = {9001: 51, 9002: 53, 9003: 61, 9004: 64}
GRADED = {"v1_0": "42", "v1_1": "no, different", "v1_2": "a kite", "v1_3": "at sea"}


def make_answers(folder: Path) -> None:
    """Answers in each format that can be imported."""
    for name in ("own", "visual7w", "vip_bench"):
        _copy(DATA / name, folder / name)
    answers = folder / "answers"
    answers.mkdir()
    with (answers / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *ANSWERS.items()])
    plain = [json.dumps({"id": id_, "text": text}) for id_, text in ANSWERS.items()]
    (answers / "a.jsonl").write_text("\n".join(plain) + "\n")
    official = [
        {"question_id": id_, "text": text, "model_id": "vip", "answer_id": "x", "metadata": {}}
        for id_, text in ANSWERS.items()
    ]
    (answers / "o.jsonl").write_text("".join(json.dumps(each) + "\n" for each in official))
    toolkit = [
        {"qa_id": id_, "candidates": [{"answer": box}, {"answer": 52}]}
        for id_, box in BOXES.items()
    ]
    (answers / "t.json").write_text(json.dumps(toolkit))
    (answers / "g.json").write_text(json.dumps(GRADED))


def imported(file: str, answers: str, *options: str) -> Kind:
    """The kind of one file of answers."""
    argv: Argv = ("import", f"{answers}=answers/{file}", "--model", "vip", *options)
    argv = (*argv, "-o", "out", "--max-errors", "1")
    return Kind(make_answers, (f"answers/{file}",), lambda rng: [argv], constant(4), right=False)


def make_runs(folder: Path) -> None:
    """A small run of the oracle, twice: one is changed, the other is what it is compared with."""
    from tests.fuzzing.calls import call

    make_own(folder)
    for name in ("a", "b"):
        ran = call(
            (*("run", "--runner", "oracle", "--tasks", "own_animals", "--include", "."),
             *("--styles", "mine,none", "--metric", "stated", "-o", name)),
            folder,
        )  # fmt: skip
        assert ran.code == 0, ran


def use_runs(rng: Random) -> Sequence[Argv]:
    uses: list[Argv] = [
        ("score", "a"),
        ("compare", "b", "a", "-o", "compared"),
        ("leaderboard", "a", "b", "-o", "board"),
        ("gate", "b", "a"),
        ("show", "a", "red-one", "-o", "shown.png"),
        ("export", "a", rng.choice(("csv", "jsonl", "answers")), "-o", "exported"),
        ("ls", "runs", "--runs", "."),
        ("report", "a", "b", "-o", "report.html"),
        (
            *("run", "--runner", "oracle", "--tasks", "own_animals", "--include", "."),
            *("--styles", "mine,none", "--metric", "stated", "-o", "a"),
        ),
    ]
    return [rng.choice(uses)]


def make_checkpoint(folder: Path) -> None:
    _copy(DATA / "own", folder)
    _copy(CHECKPOINT, folder / "model")
    processor = json.loads((folder / "model/processor_config.json").read_text())
    alone = json.dumps(processor["image_processor"])
    (folder / "model/preprocessor_config.json").write_text(alone)


def use_checkpoint(rng: Random) -> Sequence[Argv]:
    runner = rng.choice(("vipllava", "vipllava", "hf"))
    ask: Argv = ("run", "--tasks", "own_animals", "--include", ".", "--model", "model", "-o", "out")
    ask = (*ask, "--runner", runner, "--max-errors", "1")
    return [(*ask, "--dry-run")] if rng.random() < 0.5 else [ask]


KINDS: dict[str, Kind] = {
    "visual7w raw": Kind(
        of_files("visual7w", ["dataset_v7w_pointing.json"]),
        ("dataset_v7w_pointing.json",),
        oracle("visual7w_pointing", key="visual7w"),
        visual7w_raw,
    ),
    "visual7w preprocessed": Kind(
        of_files("visual7w", ["v7w-test.json"]),
        ("v7w-test.json",),
        oracle("visual7w_pointing", key="visual7w"),
        records("v7w-test.json"),
    ),
    "looktwice raw": Kind(
        of_files("pointqa", ["looktwiceqa_dataset.json", "looktwiceqa_test_imgs.json"]),
        ("looktwiceqa_dataset.json", "looktwiceqa_dataset.json", "looktwiceqa_test_imgs.json"),
        oracle("pointqa_looktwice", key="pointqa"),
        pointqa_raw("looktwiceqa_dataset.json", "looktwiceqa_test_imgs.json", points=False),
    ),
    "looktwice preprocessed": Kind(
        of_files("pointqa", ["pointQA_twice_test.json"]),
        ("pointQA_twice_test.json",),
        oracle("pointqa_looktwice", key="pointqa"),
        records("pointQA_twice_test.json"),
    ),
    "localqa raw": Kind(
        of_files("pointqa", ["localqa_dataset.json", "localqa_testfinal_imgs.json"]),
        ("localqa_dataset.json", "localqa_dataset.json", "localqa_testfinal_imgs.json"),
        oracle("pointqa_local", key="pointqa"),
        pointqa_raw("localqa_dataset.json", "localqa_testfinal_imgs.json", points=True),
    ),
    "vcr raw": Kind(
        of_files("vcr", ["val.jsonl"]),
        ("val.jsonl", "val.jsonl", "vcr1images/**/*.json"),
        oracle("vcr_q2ar", key="vcr"),
        records("val.jsonl"),
    ),
    "vcr preprocessed": Kind(
        of_files("vcr", ["vcr-val.json"]),
        ("vcr-val.json",),
        oracle("vcr_qa", key="vcr"),
        records("vcr-val.json"),
    ),
    "vip_bench": Kind(
        of_data("vip_bench"),
        ("vip-bench-meta-data.json", "bbox/questions.jsonl"),
        oracle("vip_bench_bbox", key="vip_bench"),
        vip_bench,
    ),
    "labelme": Kind(
        of_data("vip_bench"),
        ("source_image/*.json", "source_image/*.json", "vip-bench-meta-data.json"),
        oracle("vip_bench_drawn", key="vip_bench"),
        vip_bench_drawn,
    ),
    "gar_bench": Kind(
        of_files("gar_bench", ["GAR-Bench-VQA.json"]),
        ("GAR-Bench-VQA.json",),
        oracle("gar_bench_vqa", key="gar_bench"),
        records("GAR-Bench-VQA.json"),
    ),
    "vpbench": Kind(
        of_files("vpbench", ["BLINK_depth_data/depth/perceptioneval_depth_dev.json"]),
        ("BLINK_depth_data/depth/perceptioneval_depth_dev.json",),
        oracle("vpbench_depth", key="vpbench"),
        records("BLINK_depth_data/depth/perceptioneval_depth_dev.json"),
    ),
    "vpbench_semantic": Kind(
        of_files("vpbench", [CORRESPONDENCE]),
        (CORRESPONDENCE,),
        oracle("vpbench_semantic", key="vpbench"),
        vpbench_semantic,
    ),
    "jsonl": Kind(
        make_own, ("questions.jsonl",), oracle("own_animals"), records("questions.jsonl")
    ),
    "task": Kind(make_own, ("own_animals.yaml",), oracle("own_animals"), constant(4)),
    "styles": Kind(
        make_own, ("styles.yaml",), oracle("own_animals", styles="mine,other,turned"), constant(4)
    ),
    "suite": Kind(
        make_own,
        ("suites/ours.yaml",),
        lambda rng: [
            ("run", "--runner", "oracle", "--suite", "ours", "--include", ".", "-o", "out")
        ],
        lambda folder: (0, 4),  # a suite may ask less than all
    ),
    "where": Kind(
        make_own,
        ("where.yaml",),
        lambda rng: [
            (
                *("run", "--runner", "oracle", "--tasks", "own_animals", "--include", "."),
                *("--data", "where.yaml", "-o", "out", "--max-errors", "1"),
            )
        ],
        constant(4),
    ),
    "images": Kind(make_own, ("images/*.png",), look, constant(4), right=False),
    "answers csv": imported("a.csv", "own_animals", "--include", "own"),
    "answers jsonl": imported("a.jsonl", "own_animals", "--include", "own"),
    "answers official": imported("o.jsonl", "own_animals", "--include", "own"),
    "answers visual7w": imported("t.json", "visual7w_pointing", "--data", "visual7w=visual7w"),
    "answers vip_bench": imported("g.json", "vip_bench_bbox", "--data", "vip_bench=vip_bench"),
    "run": Kind(
        make_runs,
        ("a/*.json", "a/*.jsonl"),
        use_runs,
        right=False,
        same=True,
        seconds=60,
        is_quick=False,
    ),
    "checkpoint": Kind(
        make_checkpoint,
        ("model/*.json", "model/*.json", "model/*.json", "model/*.jinja", "model/*.safetensors"),
        use_checkpoint,
        constant(4),
        right=False,
        seconds=90,
        is_quick=False,
    ),
}
