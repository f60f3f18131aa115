"""`.eval_results/*.yaml`, read back by the hub's own library; nothing is ever sent."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import yaml
from huggingface_hub import EvalResultEntry, parse_eval_result_entries
from huggingface_hub.errors import OfflineModeIsEnabled

from tests.analysis.test_pairs import V7W, VCR
from tests.exchange.test_results import BLINK, FINISHED, finished, whole
from vipbench.data.tasks import find_tasks, load_task
from vipbench.errors import RunError
from vipbench.exchange.hub_results import check_push, hub_file, push, write
from vipbench.exchange.results import read_results

WHOLE = {"n_samples": 40}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("two") / "a"
    scores = whole(V7W) + whole(BLINK, right=17)
    return read_results(finished(folder, scores, (V7W, BLINK), task=WHOLE))


def test_the_hubs_own_reader_reads_it(two: Any, tmp_path: Path) -> None:
    file = hub_file(two, [f"{V7W}=me/v7w"], [f"{V7W}=test"])
    write(file, tmp_path / ".eval_results" / "vipbench.yaml")
    text = (tmp_path / ".eval_results" / "vipbench.yaml").read_text(encoding="utf-8")
    plain = yaml.safe_load(text)
    assert plain[0]["dataset"] == {"id": "me/v7w", "task_id": "test"}
    assert plain[0]["date"] == FINISHED  # a text: YAML would read a date otherwise
    first, second = parse_eval_result_entries(plain)
    assert isinstance(first, EvalResultEntry)
    assert (first.dataset_id, first.task_id, first.value) == ("me/v7w", "test", 75.0)
    assert (second.dataset_id, second.task_id, second.value) == (
        "BLINK-Benchmark/BLINK",
        BLINK,
        42.5,
    )
    assert first.notes == "accuracy in percent; " + "; ".join(two.conditions(two.results[0]))
    assert file.doubtful == ()
    assert len(file.notes) == 1
    assert file.notes[0].startswith(f"task_id: {BLINK}: the name that the task has here")


def test_a_data_set_that_is_not_known_is_asked_for(two: Any) -> None:
    words = f"{V7W}: no data set on the hub is known for it · name one with --dataset-id OWNER/NAME"
    with pytest.raises(RunError, match=words):
        hub_file(two)


def test_synthetic_data_are_not_those_of_the_hub(tmp_path: Path) -> None:
    fields = WHOLE | {"synthetic": True}
    made = read_results(finished(tmp_path / "a", whole(BLINK), (BLINK,), task=fields))
    with pytest.raises(RunError, match="--dataset-id"):
        hub_file(made)
    file = hub_file(made, ["me/scenes"])
    assert "synthetic data" in yaml.safe_load(file.text)[0]["notes"]
    assert file.doubtful == (BLINK,)


@pytest.mark.parametrize(
    ("dataset_ids", "task_ids", "words"),
    [
        (["v7w"], [], "--dataset-id 'v7w': is not an id of the hub · expected OWNER/NAME"),
        (["a/b/c"], [], "--dataset-id 'a/b/c': is not an id"),
        (["https://huggingface.co/datasets/a/b"], [], "is not an id of the hub"),
        (["me/all"], ["same"], f"{V7W} and {BLINK}: both are 'same' of me/all"),
        (["vcr_aq=me/x"], [], "'vcr_aq' is not exported"),
    ],
)
def test_ids_that_are_none_or_clash_are_refused(
    two: Any, dataset_ids: list[str], task_ids: list[str], words: str
) -> None:
    with pytest.raises(RunError, match=words):
        hub_file(two, dataset_ids, task_ids)


def test_task_files_name_data_sets_by_owner_and_name() -> None:
    known = {name: load_task(name).hub for name in find_tasks()}
    ids = {hub["dataset_id"] for hub in known.values() if hub}
    assert all(id_.count("/") == 1 for id_ in ids)
    assert known[V7W] == known[VCR] == {}  # not on the hub as data sets of their own
    assert known["vip_bench_bbox"] == {"dataset_id": "mucai/ViP-Bench"}


# --- sending


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put a list in place of the hub."""
    calls: list[dict[str, Any]] = []

    class Api:
        def create_commit(self, **given: Any) -> SimpleNamespace:
            calls.append(given)
            if given["repo_id"] == "me/offline":
                raise OfflineModeIsEnabled("offline mode is enabled")
            return SimpleNamespace(pr_url="https://hub/discussions/1", commit_url="")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return calls


def test_what_is_sent_is_a_pull_request_with_the_file(two: Any, sent: list[dict[str, Any]]) -> None:
    file = hub_file(two, [f"{V7W}=me/v7w"])
    assert push(file, "vipbench.yaml", "me/model") == "https://hub/discussions/1"
    [call] = sent
    assert (call["repo_id"], call["create_pr"]) == ("me/model", True)
    [operation] = call["operations"]
    assert operation.path_in_repo == ".eval_results/vipbench.yaml"
    assert operation.path_or_fileobj == file.text.encode()


def test_what_the_hub_refuses_is_one_line(two: Any, sent: list[dict[str, Any]]) -> None:
    file = hub_file(two, [f"{V7W}=me/v7w"])
    with pytest.raises(RunError, match=r"--push me/offline: was not sent \(OfflineModeIsEnabled"):
        push(file, "vipbench.yaml", "me/offline")


def test_what_is_no_result_of_a_benchmark_is_not_sent(tmp_path: Path) -> None:
    some = read_results(finished(tmp_path / "a", whole(BLINK), (BLINK,), task={"n_samples": 99}))
    file = hub_file(some)
    with pytest.raises(RunError, match="not a result of the whole benchmark · complete the run"):
        check_push(file, "a.yaml", "me/model", partial=False)
    check_push(file, "a.yaml", "me/model", partial=True)
    with pytest.raises(RunError, match=r"the hub reads .eval_results/\*.yaml"):
        check_push(file, "a.json", "me/model", partial=True)
    with pytest.raises(RunError, match="--push 'model': is not an id"):
        check_push(file, "a.yaml", "model", partial=True)
