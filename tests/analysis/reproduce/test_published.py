from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from vipbench.analysis.reproduce.published import Published, read_registry, reference_folder
from vipbench.data.tasks import find_tasks, load_task
from vipbench.errors import TaskError

ZOO = "https://github.com/WisconsinAIVision/ViP-LLaVA/blob/main/docs/MODEL_ZOO.md"
STUDY = "https://github.com/WisconsinAIVision/ViP-LLaVA/blob/main/docs/study_llm_backbone.md"
TYPES = {
    "color": 69, "texture/pattern": 29, "mirror": 61, "ordering": 64, "material": 36, "shape": 64,
    "relation": 101,
}  # fmt: skip
CAPABILITIES = {"rec": 240, "ocr": 89, "know": 59, "math": 31, "rel": 28, "lang": 16}

NUMBERS = [number for file in read_registry() for number in file.numbers]


def values(task: str, **fields: Any) -> list[float]:
    return [
        number.value
        for number in NUMBERS
        if number.task == task
        and all(getattr(number, key) == value for key, value in fields.items())
    ]


# --- the registry of vipbench


def test_every_file_is_read() -> None:
    n = {file.title: len(file.numbers) for file in read_registry()}
    assert n == {
        "GAR-Bench, questions with options": 36,
        "BLINK, marked subtasks": 66,
        "Inst-It-Bench, images, options": 9,
        "PointQA LookTwice": 25,
        "VCR": 63,
        "VPBench": 216,
        "VP-Bench, stage 1": 4,
        "ViP-Bench": 145,
        "Visual7W, pointing questions": 15,
    }


def test_the_readme_counts_the_numbers_of_every_file() -> None:
    text = (reference_folder() / "README.md").read_text(encoding="utf-8")
    for path in reference_folder().glob("*.yaml"):
        numbers = yaml.safe_load(path.read_text(encoding="utf-8"))["numbers"]
        [line] = [line for line in text.splitlines() if line.startswith(f"| `{path.name}`")]
        assert line.endswith(f"| {len(numbers)} |")


def test_a_task_names_the_file_of_its_numbers() -> None:
    named = {name: load_task(name).reference.get("numbers") for name in find_tasks()}
    listed = {
        task: path.name
        for path in reference_folder().glob("*.yaml")
        for task in yaml.safe_load(path.read_text(encoding="utf-8"))["splits"]
    }
    assert {task: file for task, file in named.items() if file} == listed


def test_n_is_the_published_number_of_samples_of_the_task() -> None:
    for number in NUMBERS:
        if "vpbench" in number.task:
            continue
        whole = load_task(number.task).reference.get("samples")
        if number.group != "all":
            axis, _, value = number.group.partition("=")
            assert number.n == {"capability": CAPABILITIES, "type": TYPES}[axis][value]
        elif number.n is not None and number.split not in ("val", "test"):
            assert number.n == whole
        elif number.n is not None and number.n != whole:
            assert (number.task.partition("_")[0], number.split, number.n) in [
                ("visual7w", "val", 36990),
                ("vcr", "test", 25263),
            ]


@pytest.mark.parametrize(
    ("system", "task", "zoo", "study"),
    [
        ("ViP-LLaVA-7B", "visual7w_pointing", 86.09, 86.6),
        ("ViP-LLaVA-13B", "visual7w_pointing", 88.28, 87.9),
        ("ViP-LLaVA-7B", "pointqa_looktwice", 71.31, 71.3),
        ("ViP-LLaVA-13B", "pointqa_looktwice", 71.77, 71.8),
        ("ViP-LLaVA-7B", "vip_bench_bbox", 48.4, 48.4),
        ("ViP-LLaVA-7B", "vip_bench_human", 48.3, 48.3),
        ("ViP-LLaVA-13B", "vip_bench_bbox", 48.3, 48.3),
        ("ViP-LLaVA-13B", "vip_bench_human", 48.2, 48.2),
        ("ViP-LLaVA-Llama-3-8B", "visual7w_pointing", None, 84.3),
        ("ViP-LLaVA-Llama-3-8B", "pointqa_looktwice", None, 70.2),
        ("ViP-LLaVA-Llama-3-8B", "vip_bench_bbox", None, 45.4),
        ("ViP-LLaVA-Llama-3-8B", "vip_bench_human", None, 45.0),
        ("ViP-LLaVA-Phi-3-mini-3.8B", "visual7w_pointing", None, 85.3),
        ("ViP-LLaVA-Phi-3-mini-3.8B", "pointqa_looktwice", None, 69.6),
        ("ViP-LLaVA-Phi-3-mini-3.8B", "vip_bench_bbox", None, 49.0),
        ("ViP-LLaVA-Phi-3-mini-3.8B", "vip_bench_human", None, 48.2),
    ],
)
def test_what_the_authors_files_state(
    system: str, task: str, zoo: float | None, study: float
) -> None:
    primary = {"system": system, "source": "primary", "group": "all"}
    assert values(task, url=ZOO, **primary) == ([] if zoo is None else [zoo])
    assert values(task, url=STUDY, **primary) == [study]


def test_vcr_holds_what_could_be_read_and_nothing_remembered() -> None:
    own = [number for number in NUMBERS if "mucai/vip-llava-7b-base-vcr-ft" in number.models]
    assert [(each.task, each.value, each.source) for each in own] == [
        ("vcr_q2ar", 78.93, "secondary")
    ]
    assert values("vcr_qa", system="GPT4RoI-7B") == [87.4]
    assert values("vcr_q2ar", system="Human", split="test") == [85.0]
    assert not {87.66, 89.8} & {number.value for number in NUMBERS}


def test_capabilities_are_sums_of_tenths() -> None:
    """A mean of grades in tenths over few samples takes few values: mistyped ones stand out."""
    for number in NUMBERS:
        if number.metric == "judge" and number.n is not None:
            tenths = round(number.value / 100 * number.n * 10)
            assert abs(tenths * 10 / number.n - number.value) <= 0.05 + 1e-9, number


def test_each_vip_bench_row_is_whole() -> None:
    quoted = Counter(
        (number.system, number.task)
        for number in NUMBERS
        if number.url == "https://arxiv.org/abs/2412.03565"
    )
    assert set(quoted.values()) == {1 + len(CAPABILITIES)}
    assert len(quoted) == 19
    high = {"system": "GPT-4V-turbo, detail high", "group": "capability=math"}
    assert (values("vip_bench_bbox", **high), values("vip_bench_human", **high)) == ([71.0], [80.6])


def test_only_the_authors_own_files_are_primary() -> None:
    places = {number.url for number in NUMBERS if number.source == "primary"}
    toolkit = "https://github.com/yukezhu/visual7w-toolkit/blob/master/README.md"
    gar = "https://github.com/Haochen-Wang409/Grasp-Any-Region/blob/main/evaluation/EVALUATION.md"
    outputs = "https://github.com/zeyofu/BLINK_Benchmark/tree/main/eval/saved_outputs"
    plot = "https://github.com/lisadunlap/vpbench/blob/d34822f/assets/data/marker_acc.csv"
    assert places == {ZOO, STUDY, toolkit, gar, outputs, plot, "https://arxiv.org/abs/2312.00784"}


def test_each_value_of_vpbench_is_a_fraction_of_n_and_has_the_style_of_its_variant() -> None:
    [file] = [file for file in read_registry() if file.title == "VPBench"]
    for number in file.numbers:
        assert number.n is not None
        assert number.value == round(100 * round(number.value / 100 * number.n) / number.n, 2)
    styles = {name: protocol.style for name, protocol in file.protocols.items()}
    assert styles.pop("default") == "vpbench"
    assert all(style == f"vpbench_{name}" for name, style in styles.items())
    sizes = {(number.task, number.group): number.n for number in file.numbers}
    assert sizes == {
        ("vpbench_depth", "source=blink"): 85,
        ("vpbench_depth", "source=da2k"): 1097,
        ("vpbench_semantic", "source=blink"): 104,
        ("vpbench_semantic", "source=spair"): 884,
    }


# --- files that are broken

GOOD: dict[str, Any] = {
    "title": "Made up",
    "splits": {"visual7w_pointing": "test"},
    "protocols": {"official": {"text": "As published", "style": "official_rectangles"}},
    "numbers": [
        {
            "system": "One",
            "task": "visual7w_pointing",
            "split": "test",
            "metric": "text_match",
            "value": 50,
            "n": 40,
            "table": None,
            "url": None,
            "source": "primary",
            "protocol": "official",
        }
    ],
}


def written(folder: Path, content: object) -> Path:
    (folder / "own.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder


def with_number(**fields: Any) -> dict[str, Any]:
    return GOOD | {"numbers": [GOOD["numbers"][0] | fields]}


def test_a_good_file_is_read(tmp_path: Path) -> None:
    [registry] = read_registry(written(tmp_path, GOOD))
    [number] = registry.numbers
    assert (number.value, number.group, number.models, number.remarks) == (50, "all", (), None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (with_number(valeu=3), "unknown key 'valeu' · did you mean 'value'?"),
        (with_number(value=101), "value = 101 · expected a number up to 100"),
        (with_number(value=True), "value = True · expected a number"),
        (with_number(value="50"), "value = '50' · expected a number"),
        (with_number(value=float("nan")), "value = nan · expected"),
        (with_number(n=0), "n = 0 · expected a number above 0"),
        (with_number(n="many"), "n = 'many' · expected a whole number"),
        (with_number(url="ftp://x"), "url = 'ftp://x'"),
        (with_number(source="hearsay"), "source = 'hearsay' · expected 'primary' or 'secondary'"),
        (with_number(group="rec"), "group = 'rec'"),
        (with_number(system=""), "system = ''"),
        (with_number(task="visual7w"), "task 'visual7w' is not in splits"),
        (
            with_number(protocol="offical"),
            "protocol 'offical' is unknown · did you mean 'official'?",
        ),
        (GOOD | {"numbers": []}, "numbers = []"),
        (GOOD | {"numbers": ["x"]}, "numbers[0] = 'x': expected a mapping"),
        (GOOD | {"numbers": GOOD["numbers"] * 2}, "numbers[1]: occurs twice"),
        (GOOD | {"numbers": 3}, "numbers = 3"),
        (GOOD | {"nubmers": 3}, "unknown key 'nubmers' · did you mean 'numbers'?"),
        (GOOD | {"splits": {"visual8w": "test"}}, "splits: task 'visual8w' is unknown"),
        (
            GOOD | {"protocols": {"official": {"text": "x", "style": "official_rectangle"}}},
            "style 'official_rectangle' is unknown · did you mean 'official_rectangles'?",
        ),
        (GOOD | {"protocols": {"official": {"style": "given"}}}, "'protocols.official.text'"),
        ([], "expected a mapping"),
    ],
)
def test_a_broken_file_is_an_error_that_says_where(
    tmp_path: Path, content: object, said: str
) -> None:
    with pytest.raises(TaskError) as error:
        read_registry(written(tmp_path, content))
    assert str(error.value).startswith(str(tmp_path / "own.yaml"))
    assert said in str(error.value)


def test_a_mistake_in_a_number_names_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, with_number(value=-1)) / "own.yaml"
    text = path.read_text(encoding="utf-8").splitlines()
    number = text.index("  value: -1") + 1
    with pytest.raises(TaskError, match=rf"numbers\[0\]: line {number}: value = -1"):
        read_registry(tmp_path)


def test_many_mistakes_are_counted(tmp_path: Path) -> None:
    bad = [GOOD["numbers"][0] | {"value": 200 + i} for i in range(8)]
    with pytest.raises(TaskError, match=r"value = 204 .*; and 3 more$") as error:
        read_registry(written(tmp_path, GOOD | {"numbers": bad}))
    assert "205" not in str(error.value)


def test_a_folder_without_numbers_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="holds no file of published numbers"):
        read_registry(tmp_path)


def test_a_number_is_a_record_with_the_documented_fields() -> None:
    text = (reference_folder() / "README.md").read_text(encoding="utf-8")
    assert [name for name in Published.model_fields if f"`{name}`" not in text] == []
