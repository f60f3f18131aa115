"""Results and answers in the schema of Every Eval Ever, version 0.3.0.

The schema: github.com/evaleval/every_eval_ever, `eval.schema.json` for a run and
`instance_level_eval.schema.json` for a line of each sample. Both files have one UUID, and lie where
its datastore looks for them: `data/<collection>/<developer>/<model>/`.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from vipbench import files
from vipbench.digests import digest
from vipbench.errors import RunError
from vipbench.exchange.results import Result, Results
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SCORES
from vipbench.runfolder.judge_file import JUDGE_METRICS, read_graded_by
from vipbench.runfolder.lines import ResponseLine, ScoreLine, TrialId, trial_id
from vipbench.runfolder.manifest import IMPORTED
from vipbench.schema import Request, Trial

SCHEMA_VERSION = "0.3.0"
COLLECTION = "vipbench"
UNKNOWN = "unknown"
"""What the schema calls what nobody knows, such as who has made a model."""
SOURCE = "https://github.com/evaleval/every_eval_ever"
PORTABLE = re.compile(r"[A-Za-z0-9][\w.-]*[\w-]|[A-Za-z0-9]", re.ASCII)
"""What a developer and a model may be called, since folders are called so."""


class Written(NamedTuple):
    """What was written."""

    path: Path
    """Of the file of the run."""
    n: int
    """Samples beside it."""
    notes: tuple[str, ...]


class Source(NamedTuple):
    """Who tells of the results."""

    model_id: str | None = None
    """`owner/name`; None: as the run calls the model."""
    organization: str = UNKNOWN
    """Who has run the evaluation."""
    relationship: str = "other"
    """Of them to the model: first_party, third_party, collaborative or other."""


def write(results: Results, out: Path, source: Source) -> Written:
    """Write the results of a run, and a line for each scored sample.

    Args:
        results: of the run.
        out: folder that `data/` lies in, or is to lie in.
        source: who tells of them.

    Raises:
        RunError: A name fits into no folder, nothing can be handed on by sample, or the disk
            refuses.
    """
    model_id = source.model_id or results.manifest.identity.model
    place = _place(model_id)
    name = _uuid(results, model_id)
    samples = place / f"{name}_samples.jsonl"
    log = _log(results, model_id, source)
    hashed, n = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal n
        for record in _instances(results, log["evaluation_id"], model_id):
            line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
            hashed.update(line)
            n += 1
            yield line

    files.write_bytes(out / samples, counted())
    notes = list(results.notes)
    if n:
        log["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": samples.as_posix(),
            "hash_algorithm": "sha256",
            "checksum": hashed.hexdigest(),
            "total_rows": n,
        }
    else:
        (out / samples).unlink()
    if place.parts[2] == UNKNOWN:
        notes.append(
            f"model {model_id!r} has no owner, so that the datastore will not find it · give "
            "--model-id OWNER/NAME"
        )
    path = out / place / f"{name}.json"
    files.write_json(path, log)
    return Written(path, n, tuple(notes))


def _place(model_id: str) -> PurePosixPath:
    """Return the folder of a model, below that of `data`."""
    parts = model_id.split("/")
    owner, name = (parts[0], "_".join(parts[1:])) if len(parts) > 1 else (UNKNOWN, parts[0])
    for part in (owner, name):
        if not PORTABLE.fullmatch(part) or part.lower() == "data":
            raise RunError(
                f"--model-id {model_id!r}: {part!r} can be no folder's name · expected OWNER/NAME, "
                "of letters, digits, `-`, `_` and `.`"
            )
    return PurePosixPath("data", COLLECTION, owner, name)


def _uuid(results: Results, model_id: str) -> str:
    """Return a UUID of version 4 that is the same for the same run and results."""
    told = [result.row.model_dump(mode="json") for result in results.results]
    facts = digest([results.manifest.run_id, results.manifest.finished, model_id, told])
    return str(uuid.UUID(bytes=bytes.fromhex(facts)[:16], version=4))


def _log(results: Results, model_id: str, source: Source) -> dict[str, Any]:
    manifest = results.manifest
    when = _epoch(manifest.finished or manifest.started)
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{COLLECTION}/{model_id.replace('/', '_')}/{when}",
        "evaluation_timestamp": manifest.started,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": COLLECTION,
            "source_type": "evaluation_run",
            "source_organization_name": source.organization,
            "evaluator_relationship": source.relationship,
        },
        "eval_library": {
            "name": COLLECTION,
            "version": results.vipbench,
            "additional_details": {"run_id": manifest.run_id, "suite": manifest.identity.suite},
        },
        "model_info": _model(results, model_id),
        "evaluation_results": [_result(results, each) for each in results.results],
    }


def _epoch(when: str) -> str:
    return str(int(datetime.fromisoformat(when).timestamp()))


def _model(results: Results, model_id: str) -> dict[str, Any]:
    identity, versions = results.manifest.identity, results.manifest.versions
    settings = identity.settings
    served = settings.endpoint is not None
    imported = identity.runner == IMPORTED
    own = settings.weights is not None and not served and not imported
    info: dict[str, Any] = {
        "name": results.called.name,
        "id": model_id,
        "additional_details": {
            "deployment_type": "self_deployed" if own else UNKNOWN,
            "model_availability": UNKNOWN,
            "runner": identity.runner,
            **({"weights_sha256": settings.weights} if settings.weights else {}),
            **({"dtype": settings.numbers} if settings.numbers else {}),
        },
    }
    if "/" in model_id:
        info["developer"] = model_id.partition("/")[0]
    if own and "transformers" in versions:
        info["inference_engine"] = {"name": "transformers", "version": versions["transformers"]}
    return info


def _result_id(result: Result) -> str:
    return f"{result.row.task}.{result.row.style}.{result.row.metric}"


def _result(results: Results, result: Result) -> dict[str, Any]:
    row = result.row
    uncertainty: dict[str, Any] = {"num_samples": row.n}
    if row.stderr is not None:
        uncertainty["standard_error"] = {"value": row.stderr, "method": "clustered by image"}
    if row.ci_low is not None and row.ci_high is not None:
        uncertainty["confidence_interval"] = {
            "lower": row.ci_low,
            "upper": row.ci_high,
            "confidence_level": 0.95,
            "method": "clustered by image",
        }
    known = result.hub.get("dataset_id")
    data: dict[str, Any] = {
        "dataset_name": row.task,
        "source_type": "hf_dataset" if known else "other",
        **({"hf_repo": known, "samples_number": row.n_expected} if known else {}),
        "additional_details": {
            "task_version": str(row.task_version),
            "synthetic": str(row.synthetic).lower(),
        },
    }
    return {
        "evaluation_result_id": _result_id(result),
        "evaluation_name": row.task,
        "source_data": data,
        "metric_config": _metric(results, result),
        "score_details": {
            "score": row.accuracy,
            "details": {
                "n_images": str(row.n_clusters),
                "n_expected": str(row.n_expected),
                "n_asked": str(row.n_asked),
                "n_errors": str(row.n_errors),
                "n_unparsed": str(row.n_unparsed),
                "n_truncated": str(row.n_truncated),
                **({"caveats": "; ".join(result.caveats())} if result.caveats() else {}),
            },
            "uncertainty": uncertainty,
        },
        "generation_config": {"additional_details": _generation(results, result)},
    }


def _metric(results: Results, result: Result) -> dict[str, Any]:
    row = result.row
    metric: dict[str, Any] = {
        "evaluation_description": result.title,
        "metric_id": f"{COLLECTION}.{row.metric}",
        "metric_name": row.metric,
        "metric_kind": "accuracy",
        "metric_unit": "proportion",
        "lower_is_better": False,
        "score_type": "continuous",
        "min_score": 0.0,
        "max_score": 1.0,
    }
    graded_by = read_graded_by(results.folder) if row.metric in JUDGE_METRICS else None
    if graded_by is not None:
        judge = graded_by.judge
        unknown = {"deployment_type": UNKNOWN, "model_availability": UNKNOWN}
        info = {"name": graded_by.label, "id": judge.model, "additional_details": unknown}
        metric["llm_scoring"] = {
            "judges": [{"model_info": info, "temperature": judge.temperature}],
            "input_prompt": f"sha256 {judge.prompt_digest}",
        }
    return metric


def _generation(results: Results, result: Result) -> dict[str, str]:
    settings, identity = results.manifest.identity.settings, results.manifest.identity
    told = {
        "style": result.row.style,
        "fit": result.row.fit,
        "prompt_format": settings.prompt_format,
        "decoding": settings.decoding,
        "dtype": settings.numbers,
        "seed": str(identity.seed),
        "rule": result.run.rule,
    }
    return {key: value for key, value in told.items() if value}


# --- a line for each sample


def _instances(results: Results, evaluation_id: str, model_id: str) -> Iterator[dict[str, Any]]:
    """Yield the scored samples; joint tasks have no answers of their own, errors have no score."""
    wanted = {
        (each.row.task, each.row.style): each for each in results.results if not each.run.parts
    }
    responses = answers_file.read_responses(results.folder / RESPONSES)
    scores = _scores(results.folder, wanted)
    for trial in trials_file.open_trials(results.folder / REQUESTS):
        result, score = wanted.get((trial.task, trial.style)), scores.get(trial_id(trial))
        response = responses.get(trial_id(trial))
        if result is None or trial.request is None or response is None or score is None:
            continue
        if response.text is None or score.value is None:
            continue
        yield {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": evaluation_id,
            "model_id": model_id,
            "evaluation_name": trial.task,
            "evaluation_result_id": _result_id(result),
            "sample_id": trial.id,
            **_interaction(trial, trial.request, response),
            "answer_attribution": _attribution(trial.request, score),
            "evaluation": {"score": score.value, "is_correct": score.value == 1},
            "token_usage": _tokens(response),
            "metadata": {axis: ", ".join(values) for axis, values in score.tags.items()}
            | {"image": score.group, "request_sha256": trial.request.key, "state": score.state},
        }


def _scores(folder: Path, wanted: Mapping[tuple[str, str], Result]) -> Mapping[TrialId, ScoreLine]:
    return {
        trial_id(line): line
        for line in files.read_lines(folder / SCORES, ScoreLine)
        if (each := wanted.get((line.task, line.style))) and each.row.metric == line.metric
    }


def _interaction(trial: Trial, request: Request, response: ResponseLine) -> dict[str, Any]:
    """Return what was said: a question and an answer, or a conversation."""
    raw = "\n".join(request.turns)
    hashed = json.dumps([raw, trial.target], ensure_ascii=False).encode()
    told: dict[str, Any] = {
        "sample_hash": hashlib.sha256(hashed).hexdigest(),
        "input": {
            "raw": raw,
            "reference": [trial.target],
            **({"choices": list(request.options)} if request.options else {}),
        },
    }
    if len(request.turns) == 1:
        output: dict[str, Any] = {"raw": [response.text]}
        if response.reasoning is not None:
            output["reasoning_trace"] = [response.reasoning]
        return {"interaction_type": "single_turn", **told, "output": output}
    said = [*request.turns, response.text]
    messages: list[dict[str, Any]] = [
        {"turn_idx": index, "role": ("user", "assistant")[index % 2], "content": text}
        for index, text in enumerate(said)
    ]
    if response.reasoning is not None:
        messages[-1]["reasoning_trace"] = response.reasoning
    return {"interaction_type": "multi_turn", **told, "output": None, "messages": messages}


def _attribution(request: Request, score: ScoreLine) -> list[dict[str, Any]]:
    """Say what was read out of the answer; nothing where nothing could be."""
    if score.answer is None:
        return []
    last = len(request.turns) if len(request.turns) > 1 else 0
    return [
        {
            "turn_idx": last,
            "source": f"messages[{last}].content" if last else "output.raw",
            "extracted_value": score.answer,
            "extraction_method": score.metric,
            "is_terminal": True,
        }
    ]


def _tokens(response: ResponseLine) -> dict[str, int] | None:
    if not response.n_prompt_tokens:  # a runner that does not count
        return None
    asked, told = response.n_prompt_tokens, response.n_new_tokens
    usage = {"input_tokens": asked, "output_tokens": told, "total_tokens": asked + told}
    return usage | (
        {"reasoning_tokens": response.n_reasoning_tokens} if response.n_reasoning_tokens else {}
    )
