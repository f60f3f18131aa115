import json
from pathlib import Path

from tests.cli.conftest import Vipbench
from vipbench import store
from vipbench.bench import PLAN, BenchSettings, Plan
from vipbench.bench.floor import Shape
from vipbench.bench.records import WAYS, Answered, Outcome, Speed
from vipbench.demo import CHECKPOINT
from vipbench.manifest import versions
from vipbench.runners.checkpoint import check_checkpoint
from vipbench.schema import Record

SHAPE = Shape(
    image_size=64,
    patch_size=16,
    vision_width=128,
    vision_mlp=512,
    vision_layers=4,
    n_features=5,
    width=128,
    mlp=384,
    layers=5,
    heads=4,
    key_value_heads=4,
    head_width=32,
    vocabulary=548,
)


def write_measurements(folder: Path, last: str) -> None:
    """Write what a bench leaves that was stopped just before its report; `last` answers last."""
    plan = Plan(
        settings=BenchSettings(n=5, rounds=1),
        versions=versions(),
        weights=check_checkpoint(CHECKPOINT).weights,
    )
    parts: dict[str, Record] = {"peak": Outcome(peak={1: 1e11, 2: 2e11})}
    for seconds, way in enumerate(WAYS, 1):
        tried = Speed(threads=1, workers=1, batch_size=None, samples_per_s=9.0)
        parts[f"tune-{way}"] = Outcome(speeds=(tried,))
        text = last if way == "usual" else "A"
        answers = [
            Answered(text=each, n_prompt=80, n_passes=1, n_new=2) for each in [*"AAAA", text]
        ]
        parts[f"round-1-{way}"] = Outcome(
            seconds=seconds,
            seconds_first=seconds / 2,
            n_first=2,
            answers=tuple(answers),
            n_padded=500,
            batch_size=5,
            memory_mib=100.0,
            stages={"read": 0.5},
            n_staged=5,
            shape=SHAPE,
            device="cpu",
            dtype="float32",
        )
    store.write_text(folder / PLAN, [plan.model_dump_json()])
    for name, part in parts.items():
        store.write_text(folder / f"{name}.json", [part.model_dump_json()])


def test_bench_prints_speeds_ratios_and_agreement(vipbench: Vipbench) -> None:
    write_measurements(Path("out/b.json.parts"), last="A")
    code, out, err = vipbench("bench", "--json", "out/b.json", "--n", "5", "--rounds", "1")
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[1][:3] == ["vipbench", "5.0", "6.0"]
    assert lines[2][:3] == ["official", "2.5", "3.0"]
    assert "2.00 x the official way, 3.00 x the usual way" in out
    assert "answers equal (official 5/5, usual 5/5)" in out
    report = json.loads(Path("out/b.json").read_text())
    assert report["ways"]["vipbench"]["padding_waste"] == 1 - 400 / 500
    assert report["ways"]["usual"]["stages"] == {"read": 100.0}
    assert [path.name for path in Path("out").iterdir()] == ["b.json"]


def test_bench_says_where_answers_differ(vipbench: Vipbench) -> None:
    write_measurements(Path("b.json.parts"), last="B")
    code, out, err = vipbench("bench", "--json", "b.json", "--n", "5", "--rounds", "1")
    assert code == 0, err
    assert "answers NOT equal (official 5/5, usual 4/5)" in out
    assert json.loads(Path("b.json").read_text())["answers_equal"] is False


def test_mistakes_are_one_line(vipbench: Vipbench) -> None:
    for arguments, fault in (
        (("--model", "nowhere"), "model nowhere: does not exist"),
        (("--model", "nowhere", "--random", "tiny"), "--random tiny: is a model itself"),
        (("--device", "abacus"), "device 'abacus' is not known"),
        (("--tasks", "nothing"), "nothing"),
    ):
        code, out, err = vipbench("bench", "--json", "b.json", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert fault in err
        assert err.count("\n") == 1


def test_a_folder_of_somebody_else_is_left_alone(vipbench: Vipbench) -> None:
    Path("b.json.parts").mkdir()
    Path("b.json.parts/notes.txt").write_text("mine")
    code, out, err = vipbench("bench", "--json", "b.json")
    assert (code, out) == (2, "")
    assert "is not the folder of a bench" in err
    assert Path("b.json.parts/notes.txt").read_text() == "mine"
