"""A run from a file: the same options, the same run."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Vipbench

JOB = """\
runner: oracle
tasks: [vcr_qa, visual7w_pointing]
limit: 2
max-errors: 0.5
metric: stated
styles: [demo, none]
fit: null
ids: []
"""


def write(text: str) -> str:
    Path("job.yaml").write_text(text, encoding="utf-8")
    return "job.yaml"


def test_a_job_file_is_the_command_that_it_stands_for(vipbench: Vipbench, data: list[str]) -> None:
    pairs = dict(text.split("=", 1) for text in data[1::2])
    job = write(JOB + yaml.safe_dump({"data": pairs, "out": "from-file"}))
    assert vipbench("run", job).code == 0
    typed = ("--tasks", "vcr_qa,visual7w_pointing", "--limit", "2", "--styles", "demo,none")
    more = ("--runner", "oracle", "--max-errors", "0.5", "--metric", "stated", "-o", "typed")
    assert vipbench("run", *typed, *more, *data).code == 0
    for name in ("requests.jsonl", "responses.jsonl", "scores.jsonl", "summary.json"):
        assert Path("from-file", name).read_bytes() == Path("typed", name).read_bytes()
    one, two = (json.loads(Path(f, "manifest.json").read_text()) for f in ("from-file", "typed"))
    assert one["identity"] == two["identity"]


def test_what_is_typed_goes_before_a_variable_and_that_before_the_file(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write("limit: 1\nseed: 1\nworkers: 1\nfit: crop\n")
    monkeypatch.setenv("VIPBENCH_RUN_SEED", "2")
    monkeypatch.setenv("VIPBENCH_RUN_WORKERS", "2")
    ran = vipbench("run", job, "--workers", "3", "--show-config")
    shown = yaml.safe_load(ran.out)
    names = ("limit", "seed", "workers", "fit", "max_errors")
    assert [shown[name] for name in names] == [1, 2, 3, "crop", 0.01]


def test_the_configuration_that_is_shown_is_a_job_file(vipbench: Vipbench) -> None:
    Path("a b").mkdir()
    typed = ("--tasks", "vcr_qa", "--data", "vcr=a b", "--ids", "1,2", "--name", "no")
    endpoint = ("--runner", "openai", "--base-url", "http://127.0.0.1:9/v1", "--timeout", "5")
    header = ("--header", "A=env:HOME")
    ran = vipbench("run", *typed, *endpoint, *header, "--batch-size", "8", "--show-config")
    assert ran.code == 0
    assert vipbench("run", write(ran.out), "--show-config").out == ran.out
    shown = yaml.safe_load(ran.out)
    assert (shown["data"], shown["name"], shown["header"]) == (["vcr=a b"], "no", ["A=env:HOME"])
    assert "model: null  # the embedded\n" in ran.out
    assert not list(Path().glob("results*"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limti: 3", "job.yaml:1: unknown key 'limti' · did you mean 'limit'?"),
        ("judge-modle: x", "unknown key 'judge-modle' · did you mean 'judge_model'?"),
        ("show_config: true", "unknown key 'show_config'"),
        (
            "limit: true",
            "job.yaml:1: limit = True · expected text or a number · put a word such as",
        ),
        ("seed: 1\nlimit: {a: 1}", "job.yaml:2: limit = {'a': 1} · expected text or a number"),
        ("limit: [1]", "limit = [1] · expected text or a number"),
        ("fresh: 1", "fresh = 1 · expected true or false"),
        ("max_errors: 0.1\nmax-errors: 0.1", "job.yaml:2: key 'max-errors' is there twice"),
        ("limit: few", "job.yaml:1: limit (--limit) 'few': expected a whole number from 1"),
        ("workers: few", "job.yaml:1: workers (--workers) 'few': expected 'auto' or a whole"),
        ("workers: 1.5", "job.yaml:1: workers (--workers) '1.5': expected 'auto' or a whole"),
        ("fit: padd", "job.yaml:1: fit 'padd': expected 'pad', 'squash' or 'crop' · did you mean"),
        ("batch_size: 0", "job.yaml:1: batch-size (--batch-size) '0': expected 'auto' or a whole"),
        ("timeout: -1", "job.yaml:1: timeout = -1.0 · expected a number above 0"),
        ("foo: 1", "job.yaml:1: unknown key 'foo' · `vipbench run -h` lists them"),
        ("a: !!python/name:os.getcwd x", "job.yaml:1:4: not plain YAML"),
        ("- limit", "job.yaml: expected a mapping of keys to values, not ['limit']"),
        ("", "job.yaml: is empty · expected a mapping such as model: …"),
        ("# all of it\n", "job.yaml: is empty · expected a mapping such as model: …"),
        ("seed: 1\nmetric: nosuch", "job.yaml:2: metric = 'nosuch' · expected 'text_match',"),
        ("metric: [stated, statd]", "job.yaml:1: metric = 'statd' · expected 'text_match',"),
    ],
)
def test_a_mistake_in_a_job_file_is_named_with_its_line(
    vipbench: Vipbench, text: str, said: str
) -> None:
    ran = vipbench("run", write(text))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: job.yaml")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_a_job_file_that_is_not_there(vipbench: Vipbench) -> None:
    ran = vipbench("run", "nope.yaml")
    assert ran.code == 2
    assert ran.err == "error: nope.yaml: cannot be read (No such file or directory)\n"


def test_a_folder_is_no_job_file(vipbench: Vipbench) -> None:
    Path("jobs").mkdir()
    ran = vipbench("run", "jobs")
    assert (ran.code, ran.err) == (2, "error: jobs: is a folder · expected a file\n")


def test_an_unknown_metric_is_named_by_what_was_typed(vipbench: Vipbench) -> None:
    ran = vipbench("run", "--metric", "statd")
    assert ran.code == 2
    assert ran.err.startswith("error: --metric = 'statd' · expected 'text_match', 'stated',")


def test_several_mistakes_are_each_named_with_their_line(vipbench: Vipbench) -> None:
    ran = vipbench("run", write("limti: 3\n\n# x\nlimit: true\n"))
    assert ran.err.startswith("error: job.yaml:1: unknown key 'limti'")
    assert "; and job.yaml:4: limit = True" in ran.err


def test_a_plan_takes_the_job_file_of_a_run(vipbench: Vipbench, data: list[str]) -> None:
    pairs = dict(text.split("=", 1) for text in data[1::2])
    job = write(JOB + yaml.safe_dump({"seeds": 3, "log": ["w"], "data": pairs}, sort_keys=False))
    ran = vipbench("plan", job)
    assert ran.code == 0
    assert "job.yaml:9: seeds: are not planned: what follows is of one run" in ran.err
    typed = (
        "--tasks",
        "vcr_qa",
        "--tasks",
        "visual7w_pointing",
        "--limit",
        "2",
        "--styles",
        "demo,none",
    )
    more = ("--runner", "oracle", "--max-errors", "0.5", "--metric", "stated")
    assert vipbench("plan", *typed, *more, *data).out == ran.out
    assert "--limit 3" in vipbench("plan", job, "--limit", "3").out
    wrong = vipbench("plan", write("tasks: vcr_qa\nlimit: few\n"))
    assert wrong.err.startswith("error: job.yaml:2: limit (--limit) 'few': expected a whole number")
    assert "unknown key 'devises' · did you mean 'devices'?" in (
        vipbench("plan", write("devises: 2\n")).err
    )
