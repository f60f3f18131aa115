"""No speed is asserted here: what is measured has to be consistent, and the answers equal."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.models import build_model, save_checkpoint
from vipbench import store
from vipbench.bench import BenchReport, BenchSettings, bench
from vipbench.bench.floor import add, count, shape_of
from vipbench.bench.models import build_random, random_config
from vipbench.bench.records import WAYS, Answered, Job, Outcome, RandomSize
from vipbench.bench.ways import measure
from vipbench.demo import benchmark
from vipbench.errors import RunError, RunnerError
from vipbench.trials import make_trials, select

SMALL = BenchSettings(n=5, rounds=1, device="cpu")


class Killed(NamedTuple):
    """A bench that was killed, then gone on with."""

    path: Path
    before: dict[str, bytes]
    """Measurements that were finished when it was killed."""
    told: list[str]
    """What the second start said."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Measure the embedded checkpoint on one sample of each task, in two goes."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    program = (
        "import os, signal; from pathlib import Path; from vipbench.bench import *\n"
        "def say(message):\n"
        "    if message.startswith('tune-usual'): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"bench(BenchSettings(n=5, rounds=1, device='cpu'), Path({str(path)!r}), say=say)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    parts = path.with_name("bench.json.parts")
    before = {each.name: each.read_bytes() for each in parts.glob("tune-*.json")}
    with pytest.raises(RunError, match="measurements of another bench"):
        bench(SMALL.model_copy(update={"n": 10}), path)
    told: list[str] = []
    bench(SMALL, path, say=told.append)
    return Killed(path, before, told)


@pytest.fixture(scope="module")
def report(killed: Killed) -> Path:
    return killed.path


@pytest.fixture
def threads() -> Iterator[None]:
    """Give the number of threads back that a measurement in this process has changed."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def make_job(folder: Path, **changes: Any) -> Job:
    """Ask two questions, in this process."""
    chosen = select(tasks=["visual7w_pointing"], styles="demo", data=benchmark())
    made = make_trials(chosen, seed=0, limit=2, ids=(), facts={})
    trials = store.write_trials(folder / "requests.jsonl", made)
    images = {choice.spec.name: choice.source.images for choice in chosen.tasks}
    base = Job(name="it", kind="run", requests=trials.path, images=images, device="cpu")
    return base.model_copy(update=changes)


def ask_all_ways(job: Job) -> list[tuple[Answered, ...]]:
    found = []
    for way in WAYS:
        folder = job.requests.parent / way
        folder.mkdir()
        found.append(measure(job.model_copy(update={"way": way}), folder).answers)
    return found


def test_all_three_ways_give_the_same_answers(report: Path) -> None:
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["answers_equal"] is True
    assert found["agreement"] == {"official": 5, "usual": 5}
    assert found["n"] == 5
    assert set(found["tasks"].values()) == {1}


def test_ratios_are_quotients_of_the_speeds_that_stand_beside_them(report: Path) -> None:
    found = BenchReport.model_validate_json(report.read_text(encoding="utf-8"))
    ours = found.ways["vipbench"].samples_per_s
    assert found.ratio_official == ours / found.ways["official"].samples_per_s
    assert found.ratio_usual == ours / found.ways["usual"].samples_per_s
    for way in found.ways.values():
        assert way.samples_per_s in way.samples_per_s_rounds
        assert 0 < way.mfu == pytest.approx(way.samples_per_s / found.floor.samples_per_s)
        assert 0 <= way.padding_waste < 1
        assert way.memory_mib >= way.memory_mib_first > 0
        assert way.seconds_to_start > 0 < way.seconds_to_load
        assert max(each.samples_per_s for each in way.tried) == way.tried[0].samples_per_s
        assert way.threads == way.tried[0].threads
    assert found.ways["official"].batch_size == 1
    assert found.ways["official"].padding_waste == 0


def test_every_stage_is_told(report: Path) -> None:
    found = BenchReport.model_validate_json(report.read_text(encoding="utf-8"))
    model = {"vision", "prefill", "decode", "vocabulary", "around the model", "write"}
    assert found.ways["official"].stages.keys() >= model | {"read", "load", "normalise"}
    ahead = {f"ahead: {name}" for name in ("read", "decode", "draw", "fit", "digest")}
    ours = found.ways["vipbench"].stages
    assert ours.keys() >= model | ahead | {"wait and loop", "copy, apart", "afterwards: score"}
    assert min(ours[name] for name in model) > 0


def test_nothing_is_left_beside_the_report(report: Path) -> None:
    assert [path.name for path in report.parent.iterdir()] == [report.name]


def test_a_killed_bench_goes_on_with_what_is_measured(killed: Killed) -> None:
    assert killed.before.keys() == {"tune-vipbench.json", "tune-official.json"}
    assert killed.told[:3] == [
        "tune-vipbench: measured before",
        "tune-official: measured before",
        "tune-usual ...",
    ]
    found = BenchReport.model_validate_json(killed.path.read_text(encoding="utf-8"))
    kept = Outcome.model_validate_json(killed.before["tune-official.json"]).speeds
    assert set(found.ways["official"].tried) == set(kept)


@pytest.mark.usefixtures("threads")
def test_a_random_model_is_asked_prompts_and_answers_of_the_given_length(tmp_path: Path) -> None:
    job = make_job(tmp_path, random="tiny", prompt_tokens=150, new_tokens=3)
    measure(job.model_copy(update={"kind": "pad"}), tmp_path)
    ours, official, usual = ask_all_ways(job.model_copy(update={"repeat": 2}))
    assert ours == official == usual
    assert [each.n_new for each in ours] == [3, 3, 3, 3]
    assert all(150 <= each.n_prompt <= 151 for each in ours)
    assert ours[:2] == ours[2:]  # asked twice
    assert all(each.text for each in ours)


@pytest.mark.usefixtures("threads")
def test_a_checkpoint_of_ones_own_is_answered_alike(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "mine")
    job = make_job(tmp_path, model=folder, new_tokens=4)
    measure(job.model_copy(update={"kind": "pad"}), tmp_path)
    ours, official, usual = ask_all_ways(job)
    assert ours == official == usual
    assert len(ours) == 2


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"prompt_tokens": 10})
    with pytest.raises(RunError, match=r"lengthen: failed \(exit 2\): --prompt-tokens 10: sample"):
        bench(settings, tmp_path / "bench.json")


def test_model_and_random_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="leave out --model"):
        bench(BenchSettings(model="x", random="tiny"), tmp_path / "bench.json")
    assert not list(tmp_path.iterdir())


def test_random_weights_are_the_same_each_time_and_write_what_can_be_read() -> None:
    before = torch.get_rng_state()
    one, two = build_random("tiny", "cpu", "float32"), build_random("tiny", "cpu", "float32")
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    config: Any = one.config
    assert not one.lm_head.weight[config.text_config.eos_token_id].any()


def test_named_sizes_have_the_parameters_of_their_names() -> None:
    # 6.48e9 and 12.7e9 are what Llama's 7B and 13B have in their layers.
    sizes: dict[RandomSize, float] = {"7b": 6.476, "13b": 12.688}
    for size, billions in sizes.items():
        shape = shape_of(random_config(size))
        work = count(shape, 1, 0).prefill - 2 * shape.width * shape.vocabulary
        assert work / 2e9 == pytest.approx(billions, rel=1e-3)
        assert shape.vision_layers == 23  # the last one of CLIP's 24 is not used


def flops(model: Any, **inputs: Any) -> int:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(**inputs)
    return int(counter.get_total_flops())


def test_the_floor_is_what_torch_counts() -> None:
    model: Any = build_model()
    model.set_attn_implementation("eager")
    shape = shape_of(model.config)
    side, n_layers = shape.image_size, model.config.vision_config.num_hidden_layers
    vision = model.model.vision_tower
    # torch counts all layers, also those that nobody needs.
    whole = shape.model_copy(update={"vision_layers": n_layers})
    pixels = torch.zeros(1, 3, side, side)
    tower = flops(vision, pixel_values=pixels)
    features = torch.zeros(1, (side // shape.patch_size) ** 2, shape.n_features * 32)
    projector = flops(model.model.multi_modal_projector, hidden_states=features)
    assert count(whole, 1, 0).vision == tower + projector


def test_the_floor_of_text_is_what_torch_counts_token_by_token() -> None:
    model: Any = build_model()
    model.set_attn_implementation("eager")
    shape = shape_of(model.config)
    n_prompt, n_passes = 6, 3
    cache, counted = None, []
    head = 2 * shape.width * shape.vocabulary
    for token in range(n_prompt + n_passes):
        ids = torch.tensor([[token + 10]])
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            output = model.model.language_model(
                input_ids=ids, past_key_values=cache, use_cache=True
            )
        cache = output.past_key_values
        counted.append(int(counter.get_total_flops()))
    found = count(shape, n_prompt, n_passes)
    assert found.prefill == sum(counted[:n_prompt]) + head
    assert found.decode == sum(counted[n_prompt:]) + n_passes * head
    assert add([found, found]).total == 2 * found.total
