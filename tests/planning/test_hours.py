"""Hours: by a bench, by an earlier run, by arithmetic; and what fits into memory."""

from pathlib import Path
from typing import Any

import pytest

from tests.planning.made import make_7b, make_13b, write_bench
from vipbench.bench.floor import count
from vipbench.errors import RunError
from vipbench.planning import hours as measures
from vipbench.planning.asked import Load
from vipbench.planning.devices import DEVICES, parse_fleet
from vipbench.planning.hours import SHARE, Question, find_hours, read_bench, work_of
from vipbench.run.prepare import choice_of
from vipbench.run.settings import RunSettings
from vipbench.runners.registry import find_spec
from vipbench.runners.spec import Outlined


def outlined(folder: Path, **fields: object) -> Outlined:
    settings = RunSettings(model=str(folder), **fields)  # type: ignore[arg-type]
    return find_spec(settings.runner)(choice_of(settings)).outline()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Outlined:
    return outlined(make_7b(tmp_path_factory.mktemp("models") / "vip-llava-7b"))


LOAD = Load(
    "v7w", "demo", "choice", True, 128, n=1000, n_unusable=100, n_pictures=900,
    n_text_tokens=99_000,
)  # fmt: skip


def question(model: Outlined, runs: Path, **more: object) -> Question:
    bench = more.pop("bench", None)
    settings = RunSettings(model="m", **more)  # type: ignore[arg-type]
    return Question(settings, model, [LOAD], runs, bench)  # type: ignore[arg-type]


def test_the_config_alone_tells_name_sizes_and_dtype(base: Outlined) -> None:
    assert base.name == "vip-llava-7b"
    assert base.sizes is not None
    assert base.sizes.n_weights == pytest.approx(7.06e9, rel=0.01)
    assert (base.weight_bytes, base.dtype) == (None, "float16")


def test_the_work_is_that_of_each_answer(base: Outlined) -> None:
    assert base.sizes is not None
    one = count(base.sizes, 576 + 110, 1)
    assert work_of([LOAD], base.sizes) == 900 * one.total
    # as the page on performance has it: 86.8 samples/s at 798 TFLOP/s
    assert 798e12 / one.total == pytest.approx(86.8, rel=0.01)


def test_arithmetic_by_a_share_of_the_peak(base: Outlined, tmp_path: Path) -> None:
    (one,) = find_hours(question(base, tmp_path), parse_fleet("H100"))
    (two,) = find_hours(question(base, tmp_path), parse_fleet("2 x H100"))
    assert base.sizes is not None
    seconds = work_of([LOAD], base.sizes) / 989e12
    assert one.hours is not None
    assert one.least_hours == pytest.approx(seconds / 3600)
    assert one.hours == pytest.approx(seconds / 3600 / SHARE)
    assert two.hours == pytest.approx(one.hours / 2)
    assert one.source == "arithmetic"
    assert one.text == "35 % of 989 TFLOP/s in float16, assumed"
    (full,) = find_hours(question(base, tmp_path, dtype="float32"), parse_fleet("H100"))
    assert full.hours == pytest.approx(one.hours * 989 / 67)


def test_without_devices_there_is_one_of_each_kind_and_a_cpu(
    base: Outlined, tmp_path: Path
) -> None:
    *found, cpu = find_hours(question(base, tmp_path), None)
    assert [each.device for each in found] == [device.name for device in DEVICES]
    assert (cpu.device, cpu.source, cpu.hours) == ("cpu", "unknown", None)
    four = find_hours(question(base, tmp_path), parse_fleet("4"))
    assert [each.n for each in four] == [4] * (len(DEVICES) + 1)


def test_memory_is_that_which_batches_are_sized_by(base: Outlined, tmp_path: Path) -> None:
    tokens = {each.device: each.batch_tokens for each in find_hours(question(base, tmp_path), None)}
    assert tokens["T4"] == 0
    assert tokens["A10"] == 8192
    assert tokens["H200"] == 131_072
    (small,) = find_hours(question(base, tmp_path, quantize="int4"), parse_fleet("T4"))
    assert small.batch_tokens
    large = outlined(make_13b(tmp_path / "vip-llava-13b"))
    (not_there,) = find_hours(question(large, tmp_path), parse_fleet("A10"))
    assert not_there.batch_tokens == 0


def test_a_bench_on_the_same_device_is_scaled_by_arithmetic(base: Outlined, tmp_path: Path) -> None:
    bench = read_bench(write_bench(tmp_path / "bench.json"), base)
    assert bench.rate == 3e14
    asked = question(base, tmp_path, bench=bench)
    assert base.sizes is not None
    seconds = work_of([LOAD], base.sizes) / 3e14
    for fleet, n in ((None, 1), (parse_fleet("2"), 2), (parse_fleet("2 x H200"), 2)):
        (found,) = find_hours(asked, fleet)
        assert (found.device, found.n, found.source) == ("H200", n, "bench")
        assert found.hours == pytest.approx(seconds / n / 3600)
    (other,) = find_hours(asked, parse_fleet("A10"))
    assert other.text.startswith(f"{3e14 / 989e12:.0%}".replace("%", " %"))
    assert f"as {tmp_path / 'bench.json'} on cuda:0 NVIDIA H200" in other.text
    with pytest.raises(RunError, match="which tells nothing of cpu · expected"):
        find_hours(asked, parse_fleet("cpu"))


def test_a_bench_of_a_cpu(base: Outlined, tmp_path: Path) -> None:
    path = write_bench(tmp_path / "bench.json", model="vip-llava-7b", device="cpu")
    asked = question(base, tmp_path, bench=read_bench(path, base))
    for fleet in (None, parse_fleet("cpu")):
        (found,) = find_hours(asked, fleet)
        assert (found.device, found.source, found.memory_gb) == ("cpu", "bench", None)


@pytest.mark.parametrize("model", ["vip-llava-13b", "random 13b", "random tiny", "random 8b"])
def test_a_bench_of_another_model_is_refused(base: Outlined, tmp_path: Path, model: str) -> None:
    path = write_bench(tmp_path / "bench.json", model=model)
    with pytest.raises(
        RunError, match=f"is about model {model}, not vip-llava-7b · expected .* · "
    ):
        read_bench(path, base)


@pytest.mark.parametrize("asked", [{"mix": "sweep"}, {"questions": 6}])
def test_the_pace_of_questions_with_much_in_common_is_theirs_alone(
    base: Outlined, tmp_path: Path, asked: dict[str, Any]
) -> None:
    path = write_bench(tmp_path / "bench.json", **asked)
    with pytest.raises(RunError, match=r"the pace is theirs alone · expected a bench without"):
        read_bench(path, base)


@pytest.mark.parametrize("text", ["{}", "[1]", '{"ways": 3}'])
def test_a_file_that_is_no_bench_is_refused(base: Outlined, tmp_path: Path, text: str) -> None:
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(RunError, match=r"is not what this vipbench measures .* · expected a file"):
        read_bench(tmp_path / "bench.json", base)


def test_an_earlier_run_goes_before_arithmetic(
    base: Outlined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.results import manifest, task_run

    made = manifest("vip-llava-7b", {"visual7w_pointing": task_run("visual7w_pointing")})
    seen = made.model_copy(update={"device": "cuda:0"})

    def measured(runs: Path, is_same: object) -> tuple[float | None, str]:
        same = is_same(seen)  # type: ignore[operator]
        return (0.5, f"measured in {runs}/a on cuda:0") if same else (None, "unknown")

    monkeypatch.setattr(measures, "measured", measured)
    runner = seen.identity.runner
    (found,) = find_hours(question(base, tmp_path, runner=runner), parse_fleet("2 x H100"))
    assert found.source == "run"
    assert found.hours == pytest.approx(0.5 * 900 / 2 / 3600)
    assert "whose card it does not record" in found.text
    (cpu,) = find_hours(question(base, tmp_path, runner=runner), parse_fleet("cpu"))
    assert (cpu.source, cpu.hours) == ("unknown", None)
    (more,) = find_hours(question(base, tmp_path, runner=runner, workers=2), parse_fleet("H100"))
    assert more.source == "arithmetic"


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    (found,) = find_hours(question(Outlined("m"), tmp_path, runner="hf"), parse_fleet("H100"))
    assert found.text == (
        f"unknown: no earlier run of m in {tmp_path}, and runner hf does not count its arithmetic"
    )
