"""The embedded benchmark: every layout reads back whole, alike, and without any problem."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.synthetic import is_synthetic
from vipbench.data.tasks import load_task
from vipbench.demo.embedded import sources
from vipbench.demo.generate import EVALUATION_SEED, TRAINING_SEED, make
from vipbench.schema import DataSource, Sample

N = 48
TASKS = (
    "visual7w_pointing",
    "pointqa_looktwice",
    "pointqa_looktwice_super",
    "pointqa_looktwice_object",
    "pointqa_local",
    "vcr_qa",
    "vcr_qar",
    "vip_bench_bbox",
    "vip_bench_human",
    "vip_bench_drawn",
)
PREPROCESSED = {
    "visual7w_pointing": ("visual7w", "v7w-test.json"),
    "pointqa_looktwice": ("pointqa", "pointQA_twice_test.json"),
    "vcr_qa": ("vcr", "vcr-val.json"),
    "vcr_qar": ("vcr", "vcr-val.json"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("demo"), N)


def read(task: str, source: DataSource) -> list[Sample]:
    samples = []
    for record in load_samples(load_task(task), source):
        assert isinstance(record, Sample), record
        sample, problems = inspect_image(record, source)
        assert sample is not None
        assert problems == []
        samples.append(sample)
    return samples


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_size_and_seed_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert digests(make(tmp_path, N)) == digests(folder)


def test_training_never_sees_a_picture_of_the_benchmark(folder: Path, tmp_path: Path) -> None:
    assert EVALUATION_SEED != TRAINING_SEED
    training = digests(make(tmp_path, 2 * N, TRAINING_SEED))
    pictures = {digest for name, digest in digests(folder).items() if name.endswith(".png")}
    assert not pictures & set(training.values())


@pytest.mark.parametrize("task", TASKS)
def test_every_task_reads_its_raw_layout(folder: Path, task: str) -> None:
    source = sources(folder)[str(load_task(task).data)]
    assert is_synthetic(source)
    samples = read(task, source)
    assert len(samples) == N
    assert len({sample.id for sample in samples}) == N
    assert len({sample.group for sample in samples}) == N / 2


@pytest.mark.parametrize("task", PREPROCESSED)
def test_preprocessed_layouts_ask_the_same_of_the_same_pictures(folder: Path, task: str) -> None:
    key, name = PREPROCESSED[task]
    source = DataSource(folder / key / name, folder / key)
    assert is_synthetic(source)
    samples = read(task, source)
    raw = read(task, sources(folder)[key])

    def asked(sample: Sample) -> tuple[object, ...]:
        boxes = tuple(sorted(region.box for region in sample.regions))
        right = (
            sample.target
            if not sample.choices
            else sample.target_region is not None and (sample.regions[sample.target_region].box)
        )
        return Path(sample.image).name, sample.question, boxes, right

    assert Counter(map(asked, samples)) == Counter(map(asked, raw))


def test_letters_are_balanced(folder: Path) -> None:
    for task in ("vcr_qa", "vcr_qar"):
        samples = read(task, sources(folder)["vcr"])
        counts = Counter(sample.target for sample in samples)
        assert set(counts) == set("ABCD")
        assert max(counts.values()) - min(counts.values()) <= 1


def test_no_question_tells_the_letter_of_its_answer(folder: Path) -> None:
    for task in ("vcr_qa", "vcr_qar"):
        letters: dict[str, set[str]] = {}
        for sample in read(task, sources(folder)["vcr"]):
            letters.setdefault(sample.question.split()[1], set()).add(sample.target)
        assert letters == {"color": set("ABCD"), "shape": set("ABCD")}


def test_the_picture_alone_does_not_tell_the_count(folder: Path) -> None:
    dataset = json.loads((folder / "pointqa" / "looktwiceqa_dataset.json").read_text())
    answers = Counter(record["ans"] for records in dataset.values() for record in records)
    assert set(answers) == {"1", "2", "3"}
    assert max(answers.values()) < 0.65 * N


def test_the_rationale_is_not_told_by_the_given_answer(folder: Path) -> None:
    """Two figures share the answer, so one must see which of them is marked."""
    for path in (folder / "vcr" / "vcr1images").rglob("*.json"):
        assert len(json.loads(path.read_text())["boxes"]) == 4
    lines = (folder / "vcr" / "val.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        right = line["rationale_choices"][line["rationale_label"]]
        assert line["rationale_choices"].count(right) == 1
