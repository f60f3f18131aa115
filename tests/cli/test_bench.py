import json
import re
from pathlib import Path

from tests.cli.conftest import Vipbench
from vipbench import files
from vipbench.bench.driver import PLAN
from vipbench.bench.floor import count
from vipbench.bench.records import WAYS, Answered, Outcome, Speed
from vipbench.bench.session import Plan
from vipbench.bench.settings import BenchSettings
from vipbench.demo.embedded import CHECKPOINT
from vipbench.environment import versions
from vipbench.runners.checkpoints.checkpoint import check_checkpoint
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.schema import Record

SHAPE = ModelSizes(
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


def write_measurements(folder: Path, last: str, rounds: int = 1) -> None:
    """Write what a bench leaves that was stopped just before its report; `last` answers last."""
    plan = Plan(
        settings=BenchSettings(n=5, rounds=rounds),
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
        parts[f"round-1-{way}"] = first = Outcome(
            seconds=seconds,
            seconds_first=seconds / 2,
            n_first=2,
            answers=tuple(answers),
            n_padded=500,
            batch_size=5,
            memory_mib=100.0,
            stages={"read": 0.5, "wait": 0.1},
            n_staged=5,
            seconds_staged=2.0,
            seconds_busy=None if way == "vipbench" else 0.5,
            seconds_waited=None if way == "vipbench" else 0.1,
            memory_course=(90.0, 99.0),
            shape=SHAPE,
            device="cpu",
            dtype="float32",
        )
        if rounds > 1:
            parts[f"round-2-{way}"] = first.model_copy(update={"seconds": 2 * seconds})
    files.write_text(folder / PLAN, [plan.model_dump_json()])
    for name, part in parts.items():
        files.write_text(folder / f"{name}.json", [part.model_dump_json()])


def test_bench_prints_speeds_ratios_and_agreement(vipbench: Vipbench) -> None:
    write_measurements(Path("out/b.json.parts"), last="A")
    code, out, err = vipbench("bench", "--json", "out/b.json", "--n", "5", "--rounds", "1")
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[1][:3] == ["vipbench", "5.0", "6.0"]
    assert lines[2][:3] == ["official", "2.5", "3.0"]
    assert "2.00 x the official way, 3.00 x the usual way" in out
    assert "from one round no interval follows · give --rounds 2 or more" in out
    assert "answers equal (official 5/5, usual 5/5)" in out
    report = json.loads(Path("out/b.json").read_text())
    assert report["ways"]["vipbench"]["padding_waste"] == 1 - 400 / 500
    assert report["ways"]["usual"]["stages"] == {"read": 100.0, "wait": 20.0}
    assert report["ways"]["official"]["wait_share"] == 0.1 / 2
    assert report["ways"]["official"]["busy_share"] == 0.5 / 2
    # Processes of their own answered, in which nobody looks.
    assert report["ways"]["vipbench"]["wait_share"] == 0.1 / 2.0
    assert report["ways"]["vipbench"]["busy_share"] is None
    assert report["ways"]["vipbench"]["memory_course"] == [90.0, 99.0]
    assert [path.name for path in Path("out").iterdir()] == ["b.json"]


def test_bench_prints_the_interval_of_each_ratio(vipbench: Vipbench) -> None:
    folder = Path("b.json.parts")
    write_measurements(folder, last="A", rounds=2)
    code, out, err = vipbench("bench", "--json", "b.json", "--n", "5", "--rounds", "2")
    assert code == 0, err
    found = re.search(r"paired by round, 2 rounds, .*: (.*)\n", out)
    assert found is not None
    # In the second round all took twice as long: the ratios are the same.
    assert found[1] == "official 2.00 [2.00, 2.00], usual 3.00 [3.00, 3.00]"
    report = json.loads(Path("b.json").read_text())
    assert report["ratios"]["usual"]["rounds"] == [3.0, 3.0]


def test_bench_says_where_answers_differ(vipbench: Vipbench) -> None:
    write_measurements(Path("b.json.parts"), last="B")
    code, out, err = vipbench("bench", "--json", "b.json", "--n", "5", "--rounds", "1")
    assert code == 0, err
    assert "answers NOT equal (official 5/5, usual 4/5)" in out
    assert json.loads(Path("b.json").read_text())["answers_equal"] is False


def test_a_round_of_several_processes_is_one_measurement(vipbench: Vipbench) -> None:
    settings = BenchSettings(n=5, rounds=1, ways=("vipbench",), n_process=3, new_tokens="open")
    weights = check_checkpoint(CHECKPOINT).weights
    tried = Speed(threads=1, workers=1, batch_size=None, samples_per_s=9.0)
    parts: dict[str, Record] = {
        "plan": Plan(settings=settings, versions=versions(), weights=weights),
        "tune-vipbench": Outcome(speeds=(tried,)),
        "peak": Outcome(peak={1: 1e11}),
    }
    for number, (n, length) in enumerate(((3, 9), (2, 3)), 1):
        answer = Answered(text="A", n_prompt=80, n_passes=length - 1, n_new=length)
        parts[f"round-1-vipbench-{number}"] = Outcome(
            seconds=number,
            seconds_first=0.5,
            n_first=1,
            answers=(answer,) * n,
            n_padded=80 * n,
            seconds_busy=0.5,
            seconds_waited=0.25,
            memory_mib=100.0 * number,
            memory_course=(50.0, 50.0 + number),
            stages={} if number > 1 else {"read": 0.5},
            n_staged=5,
            shape=SHAPE,
        )
    for name, part in parts.items():
        files.write_text(Path("b.json.parts") / f"{name}.json", [part.model_dump_json()])
    options = "--n 5 --rounds 1 --ways vipbench --n-process 3 --new-tokens open"
    code, out, err = vipbench("bench", "--json", "b.json", *options.split())
    assert code == 0, err
    assert "x the" not in out
    assert "answers" not in out
    report = json.loads(Path("b.json").read_text())
    found = report["ways"]["vipbench"]
    assert found["processes"] == 2
    assert found["samples_per_s"] == 5 / 3
    assert found["samples_per_s_steady"] == 3 / 2
    assert found["new_tokens"] == (3 * 9 + 2 * 3) / 5
    assert (found["wait_share"], found["busy_share"]) == (0.5 / 3, 1 / 3)
    assert found["memory_mib"] == 200.0
    assert found["memory_course"] == [50.0, 52.0]  # of the one that grew most
    needed = [count(SHAPE, 80, 8)] * 3 + [count(SHAPE, 80, 2)] * 2
    assert found["mfu"] == sum(work.total for work in needed) / 1e11 / 3
    assert report["answers_equal"] is report["ratio_usual"] is None


def test_mistakes_are_one_line(vipbench: Vipbench) -> None:
    for arguments, fault in (
        (("--model", "nowhere"), "model nowhere: does not exist"),
        (("--model", "nowhere", "--random", "tiny"), "--random tiny: is a model itself"),
        (("--device", "abacus"), "device 'abacus' is unknown"),
        (("--tasks", "nothing"), "nothing"),
        (("--ways", "usual,slow"), "--ways = 'slow'"),
        (("--new-tokens", "many"), "new-tokens = 'many'"),
        (("--new-tokens", "0"), "new-tokens = 0"),
        (("--mix", "all"), "--mix 'all': expected 'sweep'"),
        (("--questions", "1"), "--questions '1': expected a whole number from 2"),
        (("--peer", "x", "--peer-body", "[]"), "--peer-body: is not a JSON object"),
        (("--peer", "nowhere"), "--peer: is not an address"),
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
