"""Files in the schema of Every Eval Ever, held against the facts of that schema, version 0.3.0.

Where an environment with its package is there (CONTRIBUTING.md), its own validation looks at them
too.
"""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.runs import make_task, settings
from vipbench import files
from vipbench.errors import RunError
from vipbench.exchange.every_eval_ever import Source, write
from vipbench.exchange.results import read_results
from vipbench.run import loop
from vipbench.runfolder.folder import JUDGE, SCORES
from vipbench.runfolder.lines import ScoreLine

PYTHON = Path(__file__).parent.parent.parent / "build/every-eval-ever/bin/python"
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def record(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe an object that has these keys and no others."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


NUMBER, TEXT, COUNT = {"type": "number"}, {"type": "string"}, {"type": "integer", "minimum": 0}
MODEL = record(
    {
        "name": TEXT,
        "id": TEXT,
        "additional_details": TEXTS
        | {
            "required": ["deployment_type", "model_availability"],
            "properties": {
                "deployment_type": {"enum": ["self_deployed", "externally_managed", "unknown"]},
                "model_availability": {"enum": ["open_weights", "closed_weights", "unknown"]},
            },
        },
    },
    {"developer": TEXT, "inference_engine": record({"name": TEXT, "version": TEXT})},
)
RESULT = record(
    {
        "evaluation_result_id": TEXT,
        "evaluation_name": TEXT,
        "source_data": record(
            {"dataset_name": TEXT, "source_type": {"enum": ["hf_dataset", "other"]}},
            {"hf_repo": TEXT, "samples_number": COUNT, "additional_details": TEXTS},
        ),
        "metric_config": record(
            {
                "lower_is_better": {"const": False},
                "score_type": {"const": "continuous"},
                "min_score": {"const": 0.0},
                "max_score": {"const": 1.0},
            },
            dict.fromkeys(
                (
                    "evaluation_description",
                    "metric_id",
                    "metric_name",
                    "metric_kind",
                    "metric_unit",
                ),
                TEXT,
            )
            | {
                "llm_scoring": record(
                    {
                        "judges": {
                            "type": "array",
                            "minItems": 1,
                            "items": record({"model_info": MODEL}, {"temperature": NUMBER}),
                        },
                        "input_prompt": TEXT,
                    }
                )
            },
        ),
        "score_details": record(
            {"score": NUMBER},
            {
                "details": TEXTS,
                "uncertainty": record(
                    {"num_samples": COUNT},
                    {
                        "standard_error": record({"value": NUMBER}, {"method": TEXT}),
                        "confidence_interval": record(
                            {"lower": NUMBER, "upper": NUMBER},
                            {"confidence_level": {"const": 0.95}, "method": TEXT},
                        ),
                    },
                ),
            },
        ),
        "generation_config": record({"additional_details": TEXTS}),
    }
)
RUN = record(
    {
        "schema_version": {"const": "0.3.0"},
        "evaluation_id": TEXT,
        "retrieved_timestamp": {"type": "string", "pattern": "^[0-9]+$"},
        "source_metadata": record(
            {
                "source_type": {"enum": ["documentation", "evaluation_run"]},
                "source_organization_name": TEXT,
                "evaluator_relationship": {
                    "enum": ["first_party", "third_party", "collaborative", "other"]
                },
            },
            {"source_name": TEXT},
        ),
        "eval_library": record({"name": TEXT, "version": TEXT}, {"additional_details": TEXTS}),
        "model_info": MODEL,
        "evaluation_results": {"type": "array", "items": RESULT},
    },
    {
        "evaluation_timestamp": TEXT,
        "detailed_evaluation_results": record(
            {
                "format": {"const": "jsonl"},
                "file_path": {"pattern": rf"^data/[^/]+/[^/]+/[^/]+/{UUID4}_samples\.jsonl$"},
            },
            {"hash_algorithm": {"const": "sha256"}, "checksum": TEXT, "total_rows": COUNT},
        ),
    },
)
SAID = {"type": "array", "items": TEXT}
SAMPLE = record(
    {
        "schema_version": {"const": "0.3.0"},
        "evaluation_id": TEXT,
        "model_id": TEXT,
        "evaluation_name": TEXT,
        "sample_id": TEXT,
        "interaction_type": {"enum": ["single_turn", "multi_turn"]},
        "input": record({"raw": TEXT, "reference": SAID}, {"choices": SAID}),
        "output": {"oneOf": [{"type": "null"}, record({"raw": SAID}, {"reasoning_trace": SAID})]},
        "answer_attribution": {
            "type": "array",
            "items": record(
                {
                    "turn_idx": COUNT,
                    "source": TEXT,
                    "extracted_value": TEXT,
                    "extraction_method": TEXT,
                    "is_terminal": {"type": "boolean"},
                }
            ),
        },
        "evaluation": record({"score": NUMBER, "is_correct": {"type": "boolean"}}),
    },
    {
        "evaluation_result_id": TEXT,
        "sample_hash": TEXT,
        "messages": {
            "type": "array",
            "items": record(
                {"turn_idx": COUNT, "role": {"enum": ["user", "assistant"]}, "content": TEXT}
            ),
        },
        "token_usage": {
            "oneOf": [
                {"type": "null"},
                record(
                    dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), COUNT),
                    {"reasoning_tokens": COUNT},
                ),
            ]
        },
        "metadata": TEXTS,
    },
)
"""The facts of `eval.schema.json` and `instance_level_eval.schema.json` that concern what is
written, in words of ours: what is required, of which type, and that nothing else is there."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a task of one's own, asked of a baseline under two styles."""
    folder = tmp_path_factory.mktemp("own")
    make_task(folder, n=8)
    loop.run(settings(folder, runner="random", styles="demo,none"))
    return folder / "run"


def written(
    run: Path, out: Path, source: Source, **chosen: Any
) -> tuple[dict[str, Any], list[Any]]:
    done = write(read_results(run, **chosen), out, source)
    log = json.loads(done.path.read_text(encoding="utf-8"))
    jsonschema.validate(log, RUN)
    samples: list[Any] = []
    if "detailed_evaluation_results" in log:
        text = (out / log["detailed_evaluation_results"]["file_path"]).read_text(encoding="utf-8")
        samples = [json.loads(line) for line in text.splitlines()]
        for sample in samples:
            jsonschema.validate(sample, SAMPLE)
    assert len(samples) == done.n
    return log, samples


def test_a_run_and_its_samples_are_of_the_schema(asked: Path, tmp_path: Path) -> None:
    source = Source("me/random", "My lab", "third_party")
    log, samples = written(asked, tmp_path, source)
    [result] = log["evaluation_results"]
    scores = [
        line
        for line in files.read_lines(asked / SCORES, ScoreLine)
        if (line.style, line.metric) == ("demo", result["metric_config"]["metric_name"])
    ]
    assert [sample["sample_id"] for sample in samples] == [line.id for line in scores]
    mean = sum(sample["evaluation"]["score"] for sample in samples) / len(samples)
    assert result["score_details"]["score"] == pytest.approx(mean)
    assert result["score_details"]["uncertainty"]["num_samples"] == len(samples)
    assert {sample["evaluation_id"] for sample in samples} == {log["evaluation_id"]}
    assert {sample["model_id"] for sample in samples} == {log["model_info"]["id"]} == {"me/random"}
    assert {sample["evaluation_result_id"] for sample in samples} == {
        result["evaluation_result_id"]
    }
    assert samples[0]["input"]["reference"] == [scores[0].target]
    assert log["source_metadata"]["source_organization_name"] == "My lab"


def test_both_files_have_one_name_below_data_and_a_checksum(asked: Path, tmp_path: Path) -> None:
    done = write(read_results(asked), tmp_path, Source("me/random"))
    place = done.path.relative_to(tmp_path).as_posix()
    assert re.fullmatch(rf"data/vipbench/me/random/{UUID4}\.json", place)
    detail = json.loads(done.path.read_bytes())["detailed_evaluation_results"]
    assert detail["file_path"] == place.replace(".json", "_samples.jsonl")
    raw = (tmp_path / detail["file_path"]).read_bytes()
    assert detail["checksum"] == hashlib.sha256(raw).hexdigest()
    again = write(read_results(asked), tmp_path, Source("me/random"))
    assert again.path == done.path
    other = write(read_results(asked, style="none"), tmp_path, Source("me/random"))
    assert other.path != done.path


def test_conversations_have_their_turns(tmp_path: Path) -> None:
    make_task(tmp_path, n=4)
    path = tmp_path / "own.yaml"
    text = re.sub(r"(?m)^template:.*$", "", path.read_text())
    path.write_text(text + 'template: ["Look at {mark}.", "I do.", "{question}"]\n')
    loop.run(settings(tmp_path, runner="oracle", styles="demo"))
    _, samples = written(tmp_path / "run", tmp_path / "out", Source("me/x"))
    assert samples[0]["interaction_type"] == "multi_turn"
    assert samples[0]["output"] is None
    roles = [message["role"] for message in samples[0]["messages"]]
    assert roles == ["user", "assistant", "user", "assistant"]
    assert samples[0]["answer_attribution"][0]["source"] == "messages[3].content"


def test_a_model_without_an_owner_is_said(asked: Path, tmp_path: Path) -> None:
    done = write(read_results(asked), tmp_path, Source())
    assert done.path.parent == tmp_path / "data/vipbench/unknown/random"
    assert "'random' has no owner, so that the datastore will not find it" in done.notes[-1]


def test_grades_name_their_judge(asked: Path, tmp_path: Path) -> None:
    results = read_results(asked)
    row = results.results[0].row.model_copy(update={"metric": "judge"})
    folder = tmp_path / "judged"
    shutil.copytree(asked, folder)
    judge = {"model": "gpt-4-0613", "prompt_digest": "e" * 64}
    files.write_json(folder / JUDGE, {"judge": judge, "models_returned": {"gpt-4": 8}})
    judged = results._replace(folder=folder, results=(results.results[0]._replace(row=row),))
    done = write(judged, tmp_path, Source("me/random"))
    log = json.loads(done.path.read_bytes())
    jsonschema.validate(log, RUN)
    scoring = log["evaluation_results"][0]["metric_config"]["llm_scoring"]
    assert scoring["judges"][0]["model_info"]["id"] == "gpt-4-0613"
    assert scoring["input_prompt"] == "sha256 " + "e" * 64


@pytest.mark.parametrize("name", ["../x", "me/", "me/a b", "data/x", "me/x.", "/etc"])
def test_a_name_that_can_be_no_folder_is_refused(asked: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="can be no folder's name · expected OWNER/NAME"):
        write(read_results(asked), tmp_path, Source(name))
    assert not list(tmp_path.iterdir())


VALIDATE = """
import sys
from pathlib import Path
from every_eval_ever.validator.validation_core import validate_file

root = Path(sys.argv[1])
there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
for name in sorted(there):
    report = validate_file(
        root / name,
        repo_path=name,
        available_files=there,
        read_repo_file=lambda other: (root / other).read_text(encoding="utf-8"),
        run_semantic_checks=True,
    )
    print(report.file_type, report.valid, report.errors, report.warnings)
"""


@pytest.mark.skipif(not PYTHON.exists(), reason="needs an environment of its own: CONTRIBUTING.md")
def test_its_own_validation_finds_nothing(asked: Path, tmp_path: Path) -> None:
    write(read_results(asked), tmp_path, Source("me/random"))
    ran = subprocess.run(
        [PYTHON, "-c", VALIDATE, tmp_path], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "aggregate True [] []\ninstance True [] []\n"
