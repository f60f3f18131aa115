"""`vipbench.evaluate`: paths, live models, baselines; frames; what it refuses."""

from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor, VipLlavaForConditionalGeneration

import vipbench
from vipbench import demo
from vipbench.demo import embedded
from vipbench.demo.generate import make
from vipbench.errors import DataError, RunError, RunnerError
from vipbench.files import read_lines
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.name_file import Name, read_name


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    make(tmp_path / "data", 6)
    return {key: source.questions for key, source in demo.sources(tmp_path / "data").items()}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_given_a_name_and_a_step(data: dict[str, Path]) -> None:
    results = vipbench.evaluate(
        tasks="vcr_qa", data=data, runner="oracle", limit=2, name="expA", step=600
    )
    assert read_name(results.path) == Name(name="expA", step=600)
    for wrong in ({"name": 3}, {"name": 101 * "x"}, {"step": 6.5}, {"step": True}):
        with pytest.raises(RunError, match=r"^(name|step) .*: .* · expected .* · "):
            vipbench.evaluate(tasks="vcr_qa", data=data, runner="oracle", **wrong)


def test_a_baseline_gives_frames(data: dict[str, Path]) -> None:
    results = vipbench.evaluate(
        tasks=["visual7w_pointing", "vcr_q2ar"], styles=["demo", "none"], data=data, runner="oracle"
    )
    assert isinstance(results, vipbench.Results)
    whole = results.summary.query("group == 'all'")
    assert set(whole["task"]) == {"visual7w_pointing", "vcr_qa", "vcr_qar", "vcr_q2ar"}
    assert set(whole["style"]) == {"demo", "none"}
    assert (whole["accuracy"] == 1).all()
    assert whole["synthetic"].all()
    assert len(results.scores) == 4 * 2 * 6
    assert (results.scores["answer"].notna()).all()
    assert results.path == Path("results/runs") / results.path.name


def test_a_live_model_answers_as_its_folder_does_and_stays_as_it_was(data: dict[str, Path]) -> None:
    model = VipLlavaForConditionalGeneration.from_pretrained(demo.CHECKPOINT, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(demo.CHECKPOINT)  # type: ignore[no-untyped-call]
    model.train()
    live = vipbench.evaluate(
        model,
        "vip_bench_drawn",
        "demo",
        processor=processor,
        data=data,
        prompt_format="chat_template",
        fit="pad",
    )
    stored = vipbench.evaluate(demo.CHECKPOINT, "vip_bench_drawn", "demo", data=data)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert live.scores["answer"].tolist() == stored.scores["answer"].tolist()
    assert live.path != stored.path
    assert set(live.manifest.parts) == set(stored.manifest.parts)
    assert live.manifest.parts["template"] == stored.manifest.parts["template"]
    weights = stored.manifest.identity.settings.weights
    assert stored.manifest.parts["weights"] != weights  # which covers all parts


def test_answers_do_not_depend_on_autocast_of_the_caller(
    data: dict[str, Path], tmp_path: Path
) -> None:
    model = VipLlavaForConditionalGeneration.from_pretrained(demo.CHECKPOINT, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(demo.CHECKPOINT)  # type: ignore[no-untyped-call]

    def answers(name: str, of: object) -> list[str]:
        given = {} if of == demo.CHECKPOINT else {"processor": processor}
        out = tmp_path / name
        vipbench.evaluate(of, "vcr_qa", "demo", data=data, limit=2, out=out, **given)
        return [line.model_dump_json() for line in read_lines(out / RESPONSES, ResponseLine)]

    plain = answers("plain", model)
    with torch.autocast("cpu", torch.bfloat16):
        assert answers("inside", model) == plain
        assert answers("stored", demo.CHECKPOINT) == plain
        assert torch.is_autocast_enabled("cpu")


def test_without_arguments_it_is_the_demo_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "N", 4)
    results = vipbench.evaluate(runner="majority")
    assert results.path.name.startswith("demo-majority-")
    assert results.summary["synthetic"].all()


def test_named_tasks_never_fall_back_to_synthetic_data() -> None:
    with pytest.raises(DataError, match="--data visual7w=DIR"):
        vipbench.evaluate(tasks=["visual7w_pointing"], runner="oracle")


def test_a_live_model_needs_its_processor() -> None:
    with pytest.raises(RunnerError, match="processor"):
        vipbench.evaluate(torch.nn.Linear(1, 1))


def test_mistakes_are_named() -> None:
    with pytest.raises(vipbench.VipbenchError, match="did you mean 'limit'"):
        vipbench.evaluate(runner="oracle", limits=3)
