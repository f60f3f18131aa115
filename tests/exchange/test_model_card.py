"""The section of a model card, whose front matter the hub's own library reads back."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from tests.analysis.test_pairs import V7W
from tests.exchange.test_results import BLINK, finished, whole
from vipbench.exchange.model_card import model_card, write
from vipbench.exchange.results import read_results


def read_back(text: str) -> Any:
    return ModelCard(text).data


def test_the_hubs_own_reader_reads_the_results(tmp_path: Path) -> None:
    scores = whole(V7W) + whole(BLINK, right=17)
    results = read_results(finished(tmp_path / "a", scores, (V7W, BLINK), task={"n_samples": 40}))
    write(results, tmp_path / "card.md", "me/model")
    data = read_back((tmp_path / "card.md").read_text(encoding="utf-8"))
    assert data.model_name == "me/model"
    first, second = data.eval_results
    assert (first.dataset_type, first.metric_type, first.metric_value) == (V7W, "accuracy", 75.0)
    assert (second.dataset_type, second.metric_value) == ("BLINK-Benchmark/BLINK", 42.5)
    assert second.task_type == "visual-question-answering"
    assert second.dataset_args == {"style": "given", "task_version": 1}
    assert "95 % interval 21.2-66.1" in second.metric_name


def test_the_section_has_table_interval_protocol_and_versions(tmp_path: Path) -> None:
    results = read_results(finished(tmp_path / "a", whole(V7W), task={"n_samples": 99}))
    text = model_card(results)
    assert (
        f"| {V7W} | 75.0 [50.1, 91.6] | 40 | 20 | official_rectangles | text_match | 40 of 99 "
        "samples asked |\n"
    ) in text
    assert "Accuracy of vip in percent" in text
    assert (
        "- Protocol: prompt format llava_v1, decoding greedy, dtype float16, seed 0, suite paper, "
        "fit pad\n"
    ) in text
    assert f"- Versions: vipbench 0.1.0, task {V7W} 1\n" in text
    assert f"- Weights: {'a' * 64}\n" in text


def test_names_are_no_markup(tmp_path: Path) -> None:
    results = read_results(finished(tmp_path / "a", whole(V7W), task={"n_samples": 40}))
    text = model_card(results, "a|b: <c>\n---")
    assert "Accuracy of a\\|b: \\<c> --- in percent" in text
    assert read_back(text).model_name.startswith("a|b: <c>")
