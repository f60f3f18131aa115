"""What all commands share: words for wrong values, variables, and help that is whole."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.cli.conftest import Vipbench
from vipbench.cli import app
from vipbench.cli.commands import is_asked


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--limit", "1.5"], "--limit '1.5': expected a whole number from 1"),
        (
            ["run", "--workers", "9999"],
            "--workers '9999': expected 'auto' or a whole number from 1 to 1024",
        ),
        (["run", "--seed", "x"], "--seed 'x': expected a whole number"),
        (["run", "--replay", "offical"], "--replay 'offical': expected 'official' · did you mean"),
        (["export", "run", "cvs", "-o", "x"], "FORMAT 'cvs': expected 'answers', "),
        (["render", "vcr_qa", "--n", "many"], "--n 'many': expected a whole number from 1"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(
    vipbench: Vipbench, arguments: list[str], said: str
) -> None:
    ran = vipbench(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {said}")
    assert "Input should" not in ran.err


RESERVED = {
    *("VIPBENCH_CACHE", "VIPBENCH_WORKER", "VIPBENCH_MODEL_KEY", "VIPBENCH_JUDGE_KEY"),
    "VIPBENCH_EXTRACTOR_KEY",
}
"""Variables that are not an option's."""


def commands(command: Any, path: str, above: Any = None) -> Iterator[tuple[str, Any]]:
    """Yield all commands with what is typed for them, as they are when they are used."""
    context = command.make_context(path.split()[-1], ["x"] * 9, above, resilient_parsing=True)
    for name, child in getattr(context.command, "commands", {}).items():
        yield from commands(child, f"{path} {name}", context)
    yield path, context.command


def test_every_option_has_a_variable_of_its_own() -> None:
    names = [
        str(option.envvar)
        for _, command in commands(typer.main.get_command(app), "vipbench")
        for option in command.params
        if is_asked(option)
    ]
    assert len(names) > 200
    assert len(set(names)) == len(names)
    assert not RESERVED & set(names)
    assert {"VIPBENCH_RUN_WORKERS", "VIPBENCH_DATA_FETCH_PART", "VIPBENCH_RUN_METRIC"} <= set(names)


def test_a_variable_is_used_told_and_kept(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch, data: list[str]
) -> None:
    monkeypatch.setenv("VIPBENCH_RUN_LIMIT", "1")
    monkeypatch.setenv("VIPBENCH_RUN_TASKS", "vcr_qa 'visual7w_pointing'")
    monkeypatch.setenv("VIPBENCH_RUN_SEED", "7")
    monkeypatch.setenv("VIPBENCH_RUN_FRESH", "true")
    monkeypatch.setenv("VIPBENCH_RUN_FIT", "")  # empty: is not set
    monkeypatch.setenv("VIPBENCH_RUN_WORKRES", "3")
    ran = vipbench("run", "--runner", "oracle", "--seed", "8", "-o", "out", *data)
    assert ran.code == 0
    told = [line for line in ran.err.splitlines() if line.startswith("VIPBENCH_")]
    assert sorted(told) == [
        "VIPBENCH_RUN_FRESH=true: taken for --fresh",
        "VIPBENCH_RUN_LIMIT=1: taken for --limit",
        "VIPBENCH_RUN_TASKS=vcr_qa 'visual7w_pointing': taken for --tasks",
        "VIPBENCH_RUN_WORKRES: no option of `vipbench run`; it is not used · did you mean "
        "'VIPBENCH_RUN_WORKERS'?",
    ]
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["variables"] == {
        "VIPBENCH_RUN_TASKS": "vcr_qa 'visual7w_pointing'",
        "VIPBENCH_RUN_LIMIT": "1",
        "VIPBENCH_RUN_FRESH": "true",
    }
    assert manifest["identity"]["limit"] == 1
    assert manifest["identity"]["seed"] == 8
    assert list(manifest["identity"]["tasks"]) == ["vcr_qa", "visual7w_pointing"]
    # The same run without variables is the same run, and its manifest has no such key.
    for name in [name for name in os.environ if name.startswith("VIPBENCH_RUN_")]:
        monkeypatch.delenv(name)
    typed = ("--limit", "1", "--tasks", "vcr_qa,visual7w_pointing", "--seed", "8")
    assert vipbench("run", "--runner", "oracle", *typed, "-o", "two", *data).code == 0
    again = json.loads(Path("two/manifest.json").read_text())
    assert "variables" not in again
    assert again["run_id"] == manifest["run_id"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LIMIT", "few", "error: VIPBENCH_RUN_LIMIT (--limit) 'few': expected a whole number"),
        (
            "WORKERS",
            "0",
            "error: VIPBENCH_RUN_WORKERS (--workers) '0': expected 'auto' or a whole number from 1",
        ),
        ("FIT", "padd", "error: VIPBENCH_RUN_FIT 'padd': expected 'pad', 'squash' or 'crop'"),
        ("FRESH", "perhaps", "error: VIPBENCH_RUN_FRESH 'perhaps': expected true or false"),
        ("BATCH_SIZE", "0", "error: VIPBENCH_RUN_BATCH_SIZE (--batch-size) '0': expected 'auto'"),
        ("SUITE", "demmo", "VIPBENCH_RUN_SUITE=demmo: taken for --suite"),
        ("TASKS", "'vcr_qa", 'error: VIPBENCH_RUN_TASKS "\'vcr_qa": a quotation mark has no end'),
    ],
)
def test_a_wrong_value_names_its_variable(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"VIPBENCH_RUN_{name}", value)
    ran = vipbench("run", "--runner", "oracle")
    assert ran.code == 2
    assert said in ran.err


def test_values_that_may_hold_a_key_are_not_told(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_RUN_HEADER", "X-Api-Key=hush")
    monkeypatch.setenv("VIPBENCH_RUN_EXTRA_BODY", '{"key": "hush"}')
    monkeypatch.setenv("VIPBENCH_RUN_BASE_URL", "http://me:hush@127.0.0.1:9/v1?api-key=hush&a=b")
    ran = vipbench("run", "--runner", "openai", "--show-config")
    assert ran.code == 0
    assert "hush" not in ran.out + ran.err
    assert "VIPBENCH_RUN_HEADER (its value is not shown): taken for --header" in ran.err
    assert "VIPBENCH_RUN_BASE_URL=http://127.0.0.1:9/v1?api-key=&a=b: taken for" in ran.err
