"""`vipbench import` and `vipbench export`: round trips, other programs' view, what goes wrong."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pytest

from tests import other_programs
from tests.cli.conftest import Vipbench
from tests.runs import make_pairs
from vipbench import files
from vipbench.demo.generate import make
from vipbench.images.load import load_measured, load_pixels
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine

N = 8
KEYS = {
    "visual7w_pointing": ("visual7w", "v7w-test.json"),
    "pointqa_looktwice": ("pointqa", "pointQA_twice_test.json"),
    "vcr_qa": ("vcr", "vcr-val.json"),
    "vcr_qar": ("vcr", "vcr-val.json"),
    "vip_bench_bbox": ("vip_bench", ""),
    "vip_bench_human": ("vip_bench", ""),
}
"""Task -> key of its data, and the preprocessed question file."""
RAW, PREPROCESSED = "raw", "preprocessed"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small synthetic release in the layouts of all benchmarks."""
    return make(tmp_path_factory.mktemp("release"), N)


def data(release: Path, task: str, layout: str = RAW) -> tuple[str, str]:
    key, prepared = KEYS[task]
    folder = release / key
    return "--data", f"{key}={folder / prepared if layout == PREPROCESSED else folder}"


def asked(
    vipbench: Vipbench, release: Path, task: str, layout: str = RAW, out: str = "asked"
) -> Path:
    """Run the random baseline on one task."""
    ran = vipbench("run", "--runner", "random", "--tasks", task, *data(release, task, layout),
                   "-o", out)  # fmt: skip
    assert ran.code == 0, ran.err
    return Path(out)


def scores(folder: Path) -> list[ScoreLine]:
    return list(files.read_lines(folder / SCORES, ScoreLine))


def values(folder: Path) -> list[tuple[object, ...]]:
    return [(s.task, s.style, s.id, s.metric, s.value, s.answer, s.target) for s in scores(folder)]


def write_lines(path: str, records: list[dict[str, object]]) -> Path:
    Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))
    return Path(path)


def raw_ids(release: Path, task: str) -> Iterator[str]:
    """Yield ids as the release itself has them."""
    if task == "vcr_qa":
        for line in (release / "vcr/val.jsonl").read_text().splitlines():
            yield json.loads(line)["annot_id"]
    else:
        dataset = json.loads((release / "visual7w/dataset_v7w_pointing.json").read_bytes())
        yield from (f"v7w-{pair['qa_id']}" for i in dataset["images"] for pair in i["qa_pairs"])


# --- round trips


@pytest.mark.parametrize(
    ("task", "layout", "as_format"),
    [
        ("visual7w_pointing", RAW, "answers"),
        ("visual7w_pointing", PREPROCESSED, "answers"),
        ("visual7w_pointing", RAW, "visual7w"),
        ("visual7w_pointing", RAW, "datasets"),
        ("pointqa_looktwice", RAW, "answers"),
        ("pointqa_looktwice", PREPROCESSED, "csv"),
        ("vcr_qa", RAW, "jsonl"),
        ("vcr_qar", PREPROCESSED, "answers"),
        ("vip_bench_bbox", RAW, "answers"),
        ("vip_bench_human", RAW, "vip_bench"),
        ("vip_bench_bbox", RAW, "csv"),
    ],
)
def test_what_is_exported_and_imported_has_the_same_scores(
    vipbench: Vipbench, release: Path, task: str, layout: str, as_format: str
) -> None:
    run = asked(vipbench, release, task, layout)
    ran = vipbench("export", run, as_format, "-o", "answers.json")
    assert (ran.code, ran.out, ran.err) == (0, f"answers.json  ({N} answers)\n", "")
    [style] = {line.style for line in scores(run)}
    name = task if as_format == "datasets" else f"{task}@{style}"  # which says its style itself
    ran = vipbench(
        "import", f"{name}=answers.json", *data(release, task, layout), "--model", "me", "-o", "in"
    )
    assert ran.code == 0, ran.err
    assert (Path("in") / SCORES).read_bytes() == (run / SCORES).read_bytes()
    identity = manifests.read(Path("in")).identity
    assert (identity.model, identity.runner) == ("me", "imported")


TEXTS = ("B", "b ", "A. The object", "no idea", "", "C", None, "D")
"""Answers of every kind: a letter, none, nothing at all."""


@pytest.fixture
def mixed(vipbench: Vipbench, release: Path) -> Path:
    """Return a run with right, wrong, unparsed and failed samples."""
    ids = list(raw_ids(release, "visual7w_pointing"))
    records: list[dict[str, object]] = [
        {"id": id_, "text": text} for id_, text in zip(ids, TEXTS, strict=True) if text is not None
    ]
    path = write_lines("mixed.jsonl", records[::-1])
    ran = vipbench(
        "import", f"visual7w_pointing={path}", *data(release, "visual7w_pointing"),
        "--model", "mixed", "--max-errors", "1", "--style", "official_rectangles", "-o", "mixed",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert [line.error is None for line in scores(Path("mixed"))] == [t is not None for t in TEXTS]
    return Path("mixed")


@pytest.mark.parametrize("as_format", ["answers", "visual7w", "csv", "jsonl", "datasets"])
def test_unparsed_and_failed_samples_stay_what_they_are(
    vipbench: Vipbench, release: Path, mixed: Path, as_format: str
) -> None:
    ran = vipbench("export", mixed, as_format, "-o", "out")
    assert "1 samples failed and have no answer (v7w-7)" in ran.err
    assert ran.out == "out  (7 answers)\n"
    ran = vipbench(
        "import", "visual7w_pointing=out", *data(release, "visual7w_pointing"), "--model", "x",
        "--max-errors", "1", "--styles", "official_rectangles", "-o", "again",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert values(Path("again")) == values(mixed)


def test_the_toolkit_counts_what_vipbench_counts(
    vipbench: Vipbench, release: Path, mixed: Path
) -> None:
    ran = vipbench("export", mixed, "visual7w", "-o", "results.json")
    assert "3 answers name no option; written without a candidate" in ran.err
    assert "the toolkit divides by what is in the file" in ran.err
    dataset = release / "visual7w/dataset_v7w_pointing.json"
    counted = [line.value for line in scores(mixed) if line.value is not None]
    toolkit = other_programs.visual7w_toolkit(Path("results.json"), dataset)
    assert toolkit.total == 7
    assert toolkit == (sum(counted), len(counted))
    first = json.loads(Path("results.json").read_bytes())[0]
    assert first["question"].startswith("Which object is the")
    assert "\n" not in first["question"]


def test_the_boxes_of_other_programs_are_scored_as_the_toolkit_scores_them(
    vipbench: Vipbench, release: Path
) -> None:
    dataset = release / "visual7w/dataset_v7w_pointing.json"
    pairs = [p for i in json.loads(dataset.read_bytes())["images"] for p in i["qa_pairs"]]
    results = []
    for number, pair in enumerate(pairs):
        box = pair["answer"] if number % 3 else pair["multiple_choices"][0]
        box = 9999 if number == 1 else box
        entry = {"candidates": [{"answer": box}], "question": pair["question"]}
        results.append(entry | {"qa_id": pair["qa_id"]})
    Path("results.json").write_text(json.dumps(results[::-1]))
    ran = vipbench(
        "import", "visual7w_pointing=results.json", *data(release, "visual7w_pointing"),
        "--model", "boxes", "-o", "in",
    )  # fmt: skip
    assert ran.code == 0
    assert "a box that is not an option; each cannot be parsed ('v7w-2')" in ran.err
    toolkit = other_programs.visual7w_toolkit(Path("results.json"), dataset)
    lines = scores(Path("in"))
    assert (sum(line.value or 0 for line in lines), len(lines)) == toolkit
    assert [line.answer is None for line in lines] == [n == 1 for n in range(N)]
    responses = answers_file.read_responses(Path("in") / RESPONSES).values()
    assert [each.text for each in responses if each.id == "v7w-2"] == ["9999"]


def test_official_answers_to_preprocessed_files_are_letters_in_the_order_of_the_file(
    vipbench: Vipbench, release: Path
) -> None:
    records = json.loads((release / "visual7w/v7w-test.json").read_bytes())
    answers: list[dict[str, object]] = [
        {
            "question_id": record["id"],
            "text": "ABCD"[record["bboxes"].index(record["answer"])].lower(),
            "answer_id": "x",
            "model_id": "vip-llava-7b",
            "metadata": {},
        }
        for record in records
    ]
    path = write_lines("official.json", answers)
    place = data(release, "visual7w_pointing", PREPROCESSED)
    ran = vipbench("import", f"visual7w_pointing={path}", *place, "-o", "in")
    assert ran.code == 0
    assert [line.value for line in scores(Path("in"))] == [1.0] * N
    manifest = manifests.read(Path("in"))
    assert manifest.identity.model == "vip-llava-7b"
    assert manifest.identity.settings.prompt_format is None
    assert "letters are read" not in ran.err
    # On the raw release the options stand in another order, which is said.
    raw = data(release, "visual7w_pointing")
    ran = vipbench("import", f"visual7w_pointing={path}", *raw, "-o", "raw")
    assert "need that file" in ran.err


def test_both_parts_of_vcr_give_the_joint_task(vipbench: Vipbench, release: Path) -> None:
    items = json.loads((release / "vcr/vcr-val.json").read_bytes())
    for number, (part, label) in enumerate(
        [("vcr_qa", "answer_label"), ("vcr_qar", "rationale_label")]
    ):
        answers: list[dict[str, object]] = [
            {
                "question_id": item["id"],
                "text": "ABCD"[(item[label] + (place % 4 == number)) % 4],
                "model_id": "m",
            }
            for place, item in enumerate(items)
        ]
        write_lines(f"{part}.json", answers)
    ran = vipbench(
        "import", "vcr_qa=vcr_qa.json", "vcr_qar=vcr_qar.json",
        *data(release, "vcr_qa", PREPROCESSED), "-o", "in",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found: dict[str, list[float | None]] = {}
    for line in scores(Path("in")):
        found.setdefault(line.task, []).append(line.value)
    assert found["vcr_qa"] == [float(place % 4 != 0) for place in range(N)]
    assert found["vcr_qar"] == [float(place % 4 != 1) for place in range(N)]
    assert found["vcr_q2ar"] == [float(place % 4 > 1) for place in range(N)]


def test_vip_bench_goes_to_its_evaluator_by_both_ways(vipbench: Vipbench, release: Path) -> None:
    run = asked(vipbench, release, "vip_bench_bbox")
    assert vipbench("export", run, "vip_bench", "-o", "results.json").code == 0
    assert vipbench("export", run, "answers", "-o", "answers.jsonl").code == 0
    other_programs.convert_for_evaluator(Path("answers.jsonl"), Path("converted.json"))
    rows = other_programs.vip_bench_evaluator(Path("results.json"), release / "vip_bench", "bbox")
    assert rows == other_programs.vip_bench_evaluator(
        Path("converted.json"), release / "vip_bench", "bbox"
    )
    responses = answers_file.read_responses(run / RESPONSES)
    texts = {name.id: each.text for name, each in responses.items()}
    assert [text for _, _, text in rows] == [texts[f"v1_{n}"] for n in range(N)]
    records = other_programs.official_answers(Path("answers.jsonl"))
    assert [record["question_id"] for record in records] == list(range(N))
    assert [record["prompt"] for record in records] == [question for question, _, _ in rows]
    assert {record["model_id"] for record in records} == {"random"}


def test_the_evaluator_of_vip_bench_gets_all_or_is_told(vipbench: Vipbench, release: Path) -> None:
    place = data(release, "vip_bench_human")
    ran = vipbench(
        "run", "--runner", "oracle", "--tasks", "vip_bench_human", *place, "--limit", "3",
        "-o", "few",
    )  # fmt: skip
    assert ran.code == 0
    ran = vipbench("export", "few", "vip_bench", "-o", "results.json")
    assert ran.code == 2
    assert f"the run asked 3 of {N} samples · the evaluator of ViP-Bench needs all" in ran.err
    assert not Path("results.json").exists()
    ran = vipbench("export", "few", "vip_bench", "--partial", "-o", "results.json")
    assert ran.code == 0
    assert f"the run asked 3 of {N} samples; left out" in ran.err
    assert len(json.loads(Path("results.json").read_bytes())) == 3
    with pytest.raises(KeyError):
        other_programs.vip_bench_evaluator(Path("results.json"), release / "vip_bench", "human")


def test_answers_to_the_other_split_of_vip_bench_are_noticed(
    vipbench: Vipbench, release: Path
) -> None:
    run = asked(vipbench, release, "vip_bench_bbox")
    assert vipbench("export", run, "answers", "-o", "bbox.jsonl").code == 0
    place = data(release, "vip_bench_human")
    ran = vipbench("import", "vip_bench_human=bbox.jsonl", *place, "-o", "in")
    assert ran.code == 0
    [note] = [line for line in ran.err.splitlines() if "another split?" in line]
    assert note in manifests.read(Path("in")).notes
    assert int(re.findall(r"(\d+) of 8 answers", note)[0]) > N / 2


# --- a folder of `datasets`


def test_a_datasets_folder_holds_pictures_questions_and_answers(
    vipbench: Vipbench, release: Path, mixed: Path
) -> None:
    assert vipbench("export", mixed, "datasets", "-o", "folder").code == 0
    rows = datasets.load_from_disk("folder")
    trials = [t for t in trials_file.open_trials(mixed / REQUESTS) if t.id != "v7w-7"]
    lines = [line for line in scores(mixed) if line.id != "v7w-7"]
    assert rows["id"] == [trial.id for trial in trials]
    assert rows["answer"] == [trial.target for trial in trials]
    assert [row["value"] for row in rows["run"]] == [line.value for line in lines]
    assert [row["parsed"] for row in rows["run"]] == [line.answer for line in lines]
    assert [row["text"] for row in rows["run"]] == [text for text in TEXTS if text is not None]
    for trial, row in zip(trials, rows, strict=True):
        assert trial.request is not None
        drawn = load_pixels(trial.request, release / "visual7w", None)
        assert np.array_equal(np.asarray(row["image"]), drawn)
        assert row["run"]["turns"] == list(trial.request.turns)
        assert row["question"] == trial.request.turns[-1]
        assert row["tags"]["shape"] == list(trial.tags["shape"])


def test_a_datasets_folder_can_be_asked_again(vipbench: Vipbench, mixed: Path) -> None:
    assert vipbench("export", mixed, "datasets", "-o", "own/folder").code == 0
    Path("own/again.yaml").write_text(
        "name: again\nversion: 1\ntitle: Exported\nkind: choice\ndata: folder\nreader: jsonl\n"
        'template: "{question}"\nstyles: [given, blind]\n'
    )
    ran = vipbench("run", "--runner", "oracle", "--tasks", "again", "--include", "own", "-o", "re")
    assert ran.code == 0, ran.err
    trials = trials_file.open_trials(Path("re") / REQUESTS)
    before = {t.id: t for t in trials_file.open_trials(mixed / REQUESTS)}
    assert len(trials) == 7
    for trial in trials:
        then = before[trial.id]
        assert trial.request is not None
        assert then.request is not None
        assert trial.request.turns == then.request.turns
        assert (trial.target, trial.group) == (then.target, then.group)
    assert [line.value for line in scores(Path("re"))] == [1.0] * 7


def test_all_images_of_a_question_are_exported_in_order_and_asked_again(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    make_pairs(tmp_path)
    more = {"id": "single", "image": "1.png", "question": "Is it <r0>?", "box": [2, 2, 12, 12]}
    with (tmp_path / "own.jsonl").open("a") as file:
        file.write(json.dumps(more | {"choices": ["yes", "no"], "answer": "yes"}))
    own = ("--include", tmp_path, "--tasks", "own", "--styles", "demo", "-o", "pairs")
    assert vipbench("run", "--runner", "oracle", *own).code == 0
    assert vipbench("export", "pairs", "datasets", "-o", "own/folder").code == 0
    rows = datasets.load_from_disk("own/folder")
    assert "image" not in rows.features
    trials = list(trials_file.open_trials(Path("pairs") / REQUESTS))
    drawn = []
    for trial, row in zip(trials, rows, strict=True):
        assert trial.request is not None
        drawn.append(load_measured(trial.request, tmp_path, None).each)
        assert len(row["images"]) == len(trial.request.all_images)
        for image, expected in zip(row["images"], drawn[-1], strict=True):
            assert np.array_equal(np.asarray(image), expected)
    assert sorted(map(len, drawn)) == [1, 2, 2, 2, 2]
    Path("own/again.yaml").write_text(
        "name: again\nversion: 1\ntitle: Exported\nkind: choice\ndata: folder\nreader: jsonl\n"
        'template: "{question}"\nstyles: [given]\n'
    )
    again = ("--tasks", "again", "--include", "own", "-o", "re")
    assert vipbench("run", "--runner", "oracle", *again).code == 0
    root = manifests.read(Path("re")).tasks["again"].image_roots
    for trial, before in zip(trials_file.open_trials(Path("re") / REQUESTS), drawn, strict=True):
        assert trial.request is not None
        shown = load_measured(trial.request, root, None).each
        assert all(map(np.array_equal, shown, before))
    for as_format in ("answers", "csv", "jsonl"):
        assert vipbench("export", "pairs", as_format, "-o", f"x.{as_format}").code == 0
    for as_format, reader in (
        ("visual7w", "the Visual7W toolkit"),
        ("vip_bench", "the evaluator of ViP-Bench"),
    ):
        code, _, err = vipbench("export", "pairs", as_format, "-o", "refused")
        assert code == 2
        assert f"own: sample 'pair-0' shows 2 images · format {as_format} is for {reader}" in err
        assert not Path("refused").exists()
    (tmp_path / "tall.png").unlink()
    assert vipbench("export", "pairs", "datasets", "-o", "made").code == 2
    assert not Path("made").exists()


# --- a run like any other


def test_an_imported_run_is_shown_scored_again_and_ranked(
    vipbench: Vipbench, release: Path, mixed: Path
) -> None:
    before = (mixed / SCORES).read_bytes()
    ran = vipbench("show", mixed, "v7w-1")
    assert ran.code == 0
    assert "answer   'B'" in ran.out
    assert "picture  mixed/shown/" in ran.out
    assert vipbench("score", mixed).code == 0
    assert (mixed / SCORES).read_bytes() == before
    assert vipbench("leaderboard", mixed, "-o", "tables").code == 0
    assert "| mixed |" in Path("tables/leaderboard.md").read_text()
    row = json.loads((mixed / SUMMARY).read_bytes())[0]
    assert (row["n"], row["n_errors"], row["n_unparsed"]) == (7, 1, 3)


def test_the_same_command_prints_it_again_and_another_file_is_another_run(
    vipbench: Vipbench, release: Path, mixed: Path
) -> None:
    place = data(release, "visual7w_pointing")
    style = ("--style", "official_rectangles")
    words = ("--model", "mixed", "--max-errors", "1", *style, "-o", "mixed")
    ran = vipbench("import", "visual7w_pointing=mixed.jsonl", *place, *words)
    assert ran.code == 0
    assert "was already finished" in ran.err
    text = Path("mixed.jsonl").read_text()
    Path("mixed.jsonl").write_text(text.replace('"B"', '"A"'))
    ran = vipbench("import", "visual7w_pointing=mixed.jsonl", *place, *words)
    assert ran.code == 2
    assert "holds another run" in ran.err
    assert "answers: " in ran.err
    assert vipbench("import", "visual7w_pointing=mixed.jsonl", *place, *words, "--fresh").code == 0


def test_a_suite_gives_styles_and_a_subset_is_said(vipbench: Vipbench, release: Path) -> None:
    run = asked(vipbench, release, "vcr_qa")
    assert vipbench("export", run, "csv", "-o", "a.csv").code == 0
    ran = vipbench(
        "import", "vcr_qa=a.csv", *data(release, "vcr_qa"), "--model", "m", "--limit", "3",
        "--suite", "paper", "-o", "in",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "5 samples with an answer are not asked in this run" in ran.err
    manifest = manifests.read(Path("in"))
    assert manifest.identity.suite == "paper"
    assert {line.style for line in scores(Path("in"))} == {"official_points"}
    ran = vipbench(
        "import", "vcr_qa=a.csv", *data(release, "vcr_qa"), "--model", "m", "--styles", "blind",
        "-o", "blind",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert {line.style for line in scores(Path("blind"))} == {"blind"}


# --- what goes wrong


def test_missing_doubtful_and_unknown_answers_are_counted_in_the_manifest(
    vipbench: Vipbench, release: Path
) -> None:
    ids = list(raw_ids(release, "vcr_qa"))
    rows = [(id_, "A") for id_ in ids[:6]] + [(ids[0], "B"), (ids[1], "A"), ("val-999", "A")]
    Path("a.csv").write_text("id,text\n" + "".join(f"{id_},{text}\n" for id_, text in rows))
    words = ("import", "vcr_qa=a.csv", *data(release, "vcr_qa"), "--model", "m", "-o", "in")
    ran = vipbench(*words)
    assert ran.code == 3
    assert "vcr_qa under elsewhere: 3 of 8 samples failed" in ran.err
    notes = manifests.read(Path("in")).notes
    for words_ in (
        "1 answers are to unknown ids, and left out of vcr_qa ('val-999')",
        f"2 samples of vcr_qa have no answer; each is an error ('{ids[6]}', '{ids[7]}')",
        f"1 samples have several answers that differ; each is an error ('{ids[0]}')",
        f"1 samples have the same answer more than once; it counts once ('{ids[1]}')",
    ):
        assert words_ in ran.err
        assert any(words_ in note for note in notes)
    errors = {line.id: line.error for line in scores(Path("in")) if line.error}
    assert errors == {
        ids[0]: "2 answers in a.csv: 'A' (line 2) and 'B' (line 8)",
        ids[6]: "no answer in a.csv",
        ids[7]: "no answer in a.csv",
    }
    assert vipbench(*words, "--max-errors", "0.5").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vcr_qa"], "'vcr_qa': expected TASK=FILE, such as vcr_qa=answers.jsonl"),
        (["vcr_qa="], "expected TASK=FILE"),
        (["vcr_qa=good.csv", "vcr_qa=good.csv"], "vcr_qa is given twice"),
        (["vcr_aq=good.csv"], "did you mean 'vcr_qa'?"),
        (["vcr_qa=nowhere.csv"], "nowhere.csv: does not exist"),
        (["vcr_qa=good.csv"], "good.csv: no answer names its model · give --model NAME"),
        (["vcr_qa=good.csv", "--model", "m", "--format", "jsonl"], "good.csv:1:1: broken JSON"),
        (["vcr_q2ar=good.csv", "--model", "m"], "give vcr_qa=FILE vcr_qar=FILE"),
        (["vcr_qa=other.csv", "--model", "m"], "look like answers to Visual7W"),
        (
            ["vcr_qa=prepared.csv", "--model", "m"],
            "the answers are to the preprocessed file of VCR",
        ),
        (["vcr_qa=train.csv", "--model", "m"], "the answers are to the raw training split of VCR"),
        (["vcr_qa=good.csv", "--model", "m", "--styles", "none,blind"], "give one --styles"),
        (["vcr_qa=good.csv", "--model", "m", "--styles", "given"], "no task is left to run"),
        (["vcr_qa=torn.jsonl", "--model", "m"], "torn.jsonl:2:"),
    ],
)
def test_the_users_mistake_is_one_line_and_leaves_nothing(
    vipbench: Vipbench, release: Path, arguments: list[str], said: str
) -> None:
    Path("good.csv").write_text("id,text\nval-0,A\n")
    Path("other.csv").write_text("id,text\nv7w-1,A\n")
    Path("prepared.csv").write_text("id,text\nvcr-0,A\n")
    Path("train.csv").write_text("id,text\ntrain-0,A\n")
    Path("torn.jsonl").write_text('{"id": "val-0", "text": "A"}\n{"id": "val-1", "te')
    before = sorted(Path().iterdir())
    ran = vipbench("import", *arguments, *data(release, "vcr_qa"))
    assert (ran.code, ran.out) == (2, "")
    [line] = [x for x in ran.err.replace("\r", "\n").splitlines() if x.startswith("error: ")]
    assert said in line
    assert sorted(Path().iterdir()) == before


def test_toolkit_results_need_the_raw_release(vipbench: Vipbench, release: Path) -> None:
    run = asked(vipbench, release, "visual7w_pointing")
    assert vipbench("export", run, "visual7w", "-o", "results.json").code == 0
    place = data(release, "visual7w_pointing", PREPROCESSED)
    ran = vipbench("import", "visual7w_pointing=results.json", *place, "--model", "m", "-o", "in")
    assert ran.code == 2
    assert "give the raw release" in ran.err
    run = asked(vipbench, release, "visual7w_pointing", PREPROCESSED, "prepared")
    ran = vipbench("export", run, "visual7w", "-o", "other.json")
    assert ran.code == 2
    assert "expected a run on the raw release of Visual7W" in ran.err
    assert not Path("other.json").exists()


def test_an_imported_run_is_not_asked_for_by_run(vipbench: Vipbench, release: Path) -> None:
    place = data(release, "vcr_qa")
    ran = vipbench("run", "--runner", "imported", "--tasks", "vcr_qa", *place)
    assert ran.code == 2
    assert "vipbench import TASK=FILE" in ran.err


def test_an_export_that_cannot_be_made_is_one_line(
    vipbench: Vipbench, release: Path, mixed: Path
) -> None:
    ran = vipbench(
        "run", "--runner", "oracle", "--tasks", "vcr_q2ar", *data(release, "vcr_qa"), "-o", "vcr"
    )
    assert ran.code == 0
    for arguments, said in (
        (["nowhere", "csv", "-o", "x"], "nowhere"),
        (["vcr", "csv", "-o", "x"], "the run has the tasks vcr_qa, vcr_qar · name one with --task"),
        (["vcr", "csv", "-o", "x", "--task", "vcr_q2ar"], "expected vcr_qa or vcr_qar"),
        (["vcr", "csv", "-o", "x", "--task", "vcr_aq"], "did you mean 'vcr_qa'?"),
        (["vcr", "csv", "-o", "x", "--task", "vcr_qa", "--style", "none"], "not asked under it"),
        (["vcr", "vip_bench", "-o", "x", "--task", "vcr_qa"], "expected v1_ and a number"),
        (["vcr", "visual7w", "-o", "x", "--task", "vcr_qa"], "do not name the 'box_id'"),
        (["mixed", "datasets", "-o", "mixed"], "-o mixed: is not empty"),
        (["mixed", "csv", "-o", "mixed.jsonl/x.csv"], "mixed.jsonl"),
    ):
        ran = vipbench("export", *arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert said in ran.err
        assert len(ran.err.splitlines()) == 1
        assert not Path("x").exists()
        assert not list(Path().glob(".*"))


def test_an_unfinished_run_is_not_exported(vipbench: Vipbench, mixed: Path) -> None:
    path = mixed / MANIFEST
    content = json.loads(path.read_bytes()) | {"finished": None}
    path.write_text(json.dumps(content))
    ran = vipbench("export", mixed, "csv", "-o", "x.csv")
    assert ran.code == 2
    assert "has not ended" in ran.err


def test_a_datasets_folder_without_its_images_is_not_made(
    vipbench: Vipbench, release: Path, mixed: Path
) -> None:
    path = mixed / MANIFEST
    text = path.read_text()
    path.write_text(text.replace(str(release / "visual7w"), "/nowhere"))
    ran = vipbench("export", mixed, "datasets", "-o", "made/folder")
    assert ran.code == 2
    assert "does not exist" in ran.err.splitlines()[-1]
    assert not Path("made/folder").exists()
