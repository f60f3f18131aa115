"""No speed is asserted here: what is measured has to be consistent, and the answers equal."""

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.models import build_model, save_checkpoint
from vipbench.bench.driver import bench
from vipbench.bench.floor import add, count
from vipbench.bench.models import build_random, random_config
from vipbench.bench.records import WAYS, Answered, Job, Outcome, RandomSize
from vipbench.bench.report import BenchReport
from vipbench.bench.requests import answer_lengths, choose, enlarge, slices
from vipbench.bench.settings import BenchSettings
from vipbench.bench.way_vipbench import Vipbench
from vipbench.bench.ways import main, measure
from vipbench.certify import KERNELS
from vipbench.console import Console
from vipbench.demo import benchmark
from vipbench.errors import RunError, RunnerError
from vipbench.images.decode import open_image
from vipbench.images.load import load
from vipbench.runfolder import trials_file
from vipbench.runners.checkpoints.shape import shape_of
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select

SMALL = BenchSettings(n=10, n_official=3, n_usual=5, rounds=2, n_tune=4, device="cpu")
ONE = BenchSettings(
    n=1, ways=("official",), tasks=("vcr_qa",), rounds=1, n_tune=1, device="cpu", random="tiny"
)


def do_here(job: Path, result: Path) -> tuple[int, str]:
    """Do a job in this process: several of its own would take most of the time of these tests."""
    n_threads = torch.get_num_threads()
    try:
        return main([str(job), str(result), str(time.time())]), ""
    finally:
        torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure the embedded checkpoint on two samples of each task, with one thread."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vipbench.bench.driver._start", do_here)
        patch.setattr("os.cpu_count", lambda: 1)
        bench(SMALL, path)
    return path


@pytest.fixture
def threads() -> Iterator[None]:
    """Give the number of threads back that a measurement in this process has changed."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def make_job(folder: Path, lengths: Sequence[int] = (2, 2), **changes: Any) -> Job:
    """Ask two questions, in this process, whose answers have these lengths at most."""
    chosen = select(tasks=["visual7w_pointing"], styles="demo", data=benchmark())
    made = make_trials(chosen, seed=0, limit=2, ids=(), facts={})
    trials = []
    for trial, length in zip(made, lengths, strict=True):
        assert trial.request is not None
        request = trial.request.model_copy(update={"max_new_tokens": length})
        trials.append(trial.model_copy(update={"request": request}))
    written = trials_file.write_trials(folder / "requests.jsonl", trials)
    images = {choice.spec.name: choice.source.images for choice in chosen.tasks}
    base = Job(name="it", kind="run", requests=written.path, images=images, device="cpu")
    return base.model_copy(update=changes)


def ask_all_ways(job: Job) -> list[tuple[Answered, ...]]:
    found = []
    for way in WAYS:
        folder = job.requests.parent / way
        folder.mkdir()
        found.append(measure(job.model_copy(update={"way": way}), folder).answers)
    return found


def test_all_ways_give_the_same_answers_to_the_samples_that_all_were_asked(report: Path) -> None:
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["answers_equal"] is True
    assert found["agreement"] == {"official": 3, "usual": 3}
    assert found["n"] == 10
    assert found["n_compared"] == 3
    assert {way: each["n"] for way, each in found["ways"].items()} == {
        "vipbench": 10,
        "official": 3,
        "usual": 5,
    }
    assert set(found["tasks"].values()) == {2}


def test_ratios_are_quotients_of_the_speeds_that_stand_beside_them(report: Path) -> None:
    found = BenchReport.model_validate_json(report.read_text(encoding="utf-8"))
    ours = found.ways["vipbench"].samples_per_s
    assert found.ratio_official == ours / found.ways["official"].samples_per_s
    assert found.ratio_usual == ours / found.ways["usual"].samples_per_s
    for way in found.ways.values():
        assert way.samples_per_s in way.samples_per_s_rounds
        assert len(way.samples_per_s_rounds) == 2
        assert 0 <= way.padding_waste < 1
        assert way.memory_mib >= way.memory_mib_first > 0
        assert len(way.memory_course) >= 1
        assert way.seconds_to_load > 0
        assert way.busy_share is not None
        assert 0 < way.wait_share < 1 - way.busy_share
        assert max(each.samples_per_s for each in way.tried) == way.tried[0].samples_per_s
        assert way.threads == way.tried[0].threads
        assert way.attention in KERNELS.values()
    ours_way = found.ways["vipbench"]
    assert ours_way.mfu == pytest.approx(ours_way.samples_per_s / found.floor.samples_per_s)
    assert found.ways["official"].batch_size == 1
    assert found.ways["official"].padding_waste == 0


def test_every_stage_is_told(report: Path) -> None:
    found = BenchReport.model_validate_json(report.read_text(encoding="utf-8"))
    model = {"vision", "prefill", "decode", "vocabulary", "around the model", "write"}
    assert found.ways["official"].stages.keys() >= model | {"read", "load", "normalise"}
    ahead = {f"ahead: {name}" for name in ("read", "decode", "draw", "fit", "digest")}
    ours = found.ways["vipbench"].stages
    assert ours.keys() >= model | ahead | {"wait", "loop", "copy, apart", "afterwards: score"}
    assert min(ours[name] for name in model) > 0


def test_nothing_is_left_beside_the_report(report: Path) -> None:
    assert [path.name for path in report.parent.iterdir()] == [report.name]


def test_a_killed_bench_goes_on_with_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bench.json"
    program = (
        "import os, signal; from pathlib import Path; from vipbench.bench import *\n"
        "def say(message):\n"
        "    if message.startswith('round'): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"settings = BenchSettings.model_validate_json({ONE.model_dump_json()!r})\n"
        f"bench(settings, Path({str(path)!r}), console=Console(say))"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    parts = path.with_name("bench.json.parts")
    tuned = Outcome.model_validate_json((parts / "tune-official.json").read_bytes())
    with pytest.raises(RunError, match="measurements of another bench"):
        bench(ONE.model_copy(update={"n": 10}), path)
    told: list[str] = []
    monkeypatch.setattr("vipbench.bench.driver._start", do_here)
    report = bench(ONE, path, console=Console(told.append))
    assert told == ["tune-official: measured before", "round-1-official ...", "peak ..."]
    assert set(report.ways["official"].tried) == set(tuned.speeds)
    assert (report.ratio_official, report.answers_equal, report.agreement) == (None, None, {})


@pytest.mark.usefixtures("threads")
def test_a_process_of_its_own_answers_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, random="tiny")
    here = measure(job, tmp_path)
    (tmp_path / "answers.jsonl").unlink()
    monkeypatch.setattr(Vipbench, "start", functools.partialmethod(start_one, Vipbench.start))
    there = measure(job.model_copy(update={"workers": 2}), tmp_path)
    assert here.answers == there.answers
    assert here.seconds_waited is not None
    assert there.seconds_waited is None  # it is the other's


def start_one(way: Vipbench, start: Callable[[Vipbench, int], None], n: int) -> None:
    """Start one process of several; more answer alike, and take longer to start."""
    assert n == 2
    start(way, 1)


@pytest.mark.usefixtures("threads")
def test_memory_is_looked_at_after_the_first_batch_and_each_tenth(tmp_path: Path) -> None:
    job = make_job(tmp_path, random="tiny", way="official", repeat=10)
    found = measure(job, tmp_path)
    assert len(found.answers) == 20
    assert len(found.memory_course) == 11
    assert found.memory_mib >= found.memory_mib_first


@pytest.mark.usefixtures("threads")
def test_a_random_model_is_asked_prompts_and_answers_of_the_given_length(tmp_path: Path) -> None:
    job = make_job(tmp_path, (3, 5), random="tiny", prompt_tokens=150, one_limit=True)
    measure(job.model_copy(update={"kind": "lengthen"}), tmp_path)
    ours, official, usual = ask_all_ways(job.model_copy(update={"repeat": 2}))
    assert ours == official == usual
    assert [each.n_new for each in ours] == [3, 5, 3, 5]
    assert [each.n_passes for each in ours] == [2, 4, 2, 4]
    assert all(150 <= each.n_prompt <= 151 for each in ours)
    assert ours[:2] == ours[2:]  # asked twice
    assert all(each.text for each in ours)


@pytest.mark.usefixtures("threads")
def test_a_checkpoint_of_ones_own_is_answered_alike(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "mine")
    job = make_job(tmp_path, (4, 4), model=folder)
    ours, official, usual = ask_all_ways(job)
    assert ours == official == usual
    assert len(ours) == 2


def test_a_process_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho one\necho two >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    with pytest.raises(RunError, match=r"tune-official: failed \(exit 3\): one \| two"):
        bench(ONE, tmp_path / "bench.json")
    monkeypatch.undo()
    monkeypatch.setattr("vipbench.bench.driver._start", do_here)
    settings = ONE.model_copy(update={"prompt_tokens": 10})
    with pytest.raises(RunError, match=r"lengthen: failed \(exit 2\)"):
        bench(settings, tmp_path / "other.json")
    assert capsys.readouterr().err.startswith("--prompt-tokens 10: sample")


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


def test_each_way_has_its_samples_and_those_of_few_are_among_those_of_more() -> None:
    places = choose(2000, {"vipbench": 2000, "official": 500, "usual": 300})
    assert {way: len(each) for way, each in places.items()} == {
        "vipbench": 2000,
        "official": 500,
        "usual": 300,
    }
    assert set(places["usual"]) < set(places["official"]) < set(places["vipbench"])
    assert places["official"] == tuple(range(0, 2000, 4))
    for tenth in range(0, 2000, 200):  # evenly
        assert sum(tenth <= place < tenth + 200 for place in places["usual"]) == 30
    assert choose(3, {"vipbench": 3, "usual": 9}) == {"usual": (0, 1, 2), "vipbench": (0, 1, 2)}


def test_slices_of_a_round_are_of_one_size_and_spread_over_all() -> None:
    assert slices(range(7), 3) == [(0, 3, 6), (1, 4), (2, 5)]
    assert slices(range(7), None) == slices(range(7), 7) == [tuple(range(7))]


def test_open_answers_have_the_lengths_of_the_released_ones() -> None:
    first = choose(1250, {"vipbench": 1250, "official": 120})["official"]
    lengths = answer_lengths(1250, first, "open")
    assert lengths == answer_lengths(1250, first, "open")
    assert np.mean(lengths) == pytest.approx(28, abs=0.5)
    assert np.median(lengths) == pytest.approx(22, abs=1)
    assert min(lengths) >= 7
    assert 300 <= max(lengths) <= 310
    # so have those that the slowest way is asked
    few = [lengths[place] for place in first]
    assert np.mean(few) == pytest.approx(28, abs=1)
    assert np.quantile(few, 0.95) == pytest.approx(49, abs=8)
    assert answer_lengths(3, (), 5) == [5, 5, 5]


def test_an_enlarged_image_has_its_marks_in_the_same_places(tmp_path: Path) -> None:
    chosen = select(tasks=["visual7w_pointing"], styles="demo", data=benchmark())
    (trial,) = make_trials(chosen, seed=0, limit=1, ids=(), facts={})
    images = chosen.tasks[0].source.images
    request = trial.request
    assert request is not None
    larger = enlarge(request, images, tmp_path, 512)
    before, after = load(request, images, 56), load(larger, tmp_path, 56)
    assert open_image(tmp_path / larger.image)[0].width == 512
    for a, b in zip(before.visibility, after.visibility, strict=True):
        assert b.fitted_px == pytest.approx(a.fitted_px, rel=0.3)
    moved = np.abs(before.pixels.astype(int) - after.pixels.astype(int))
    unmarked = request.model_copy(update={"visual_prompts": ()})
    other = np.abs(before.pixels.astype(int) - load(unmarked, images, 56).pixels.astype(int))
    assert moved.mean() < other.mean() / 2
    assert enlarge(request, images, tmp_path, 512) == larger  # again, from the file that is there


def test_the_arithmetic_of_a_batch_is_that_of_its_answers_and_not_of_the_longest() -> None:
    shape = shape_of(random_config("tiny"))
    short, long = count(shape, 100, 1), count(shape, 100, 9)
    assert short.decode * 8 < long.decode < short.decode * 10
    assert short.prefill == long.prefill


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
    whole = flops_by_token(model, n_prompt + n_passes)
    del model.model.language_model.layers[-1]
    model.config.text_config.num_hidden_layers -= 1
    below = flops_by_token(model, n_prompt + n_passes)
    keys_and_values = 2 * 2 * shape.width * shape.key_value_heads * shape.head_width
    head = 2 * shape.width * shape.vocabulary
    found = count(shape, n_prompt, n_passes)
    # Of the last layer, what the prompt's tokens before the last one need is their keys and values.
    unfinished = [n + keys_and_values for n in below[: n_prompt - 1]]
    assert found.prefill == sum(unfinished) + whole[n_prompt - 1] + head
    assert found.decode == sum(whole[n_prompt:]) + n_passes * head
    assert add([found, found]).total == 2 * found.total


def flops_by_token(model: Any, n: int) -> list[int]:
    """Let torch count what the language model does for each of `n` tokens, one after another."""
    cache, counted = None, []
    for token in range(n):
        ids = torch.tensor([[token + 10]])
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            output = model.model.language_model(
                input_ids=ids, past_key_values=cache, use_cache=True
            )
        cache = output.past_key_values
        counted.append(int(counter.get_total_flops()))
    return counted
