"""Results as a section of a model card: a table for readers, and `model-index` for the hub.

`model-index` is as huggingface/hub-docs, `modelcard.md` says; `huggingface_hub` reads it back.
"""

from pathlib import Path

import yaml

from vipbench import files
from vipbench.exchange.hub_results import DIGITS
from vipbench.exchange.results import Result, Results
from vipbench.report.rows import accuracy_text
from vipbench.report.text import Grid, markdown_list, markdown_page, markdown_table, markdown_text

HEADER = ("task", "accuracy [95 % interval]", "samples", "images", "style", "metric", "notes")
TASK_TYPE = "visual-question-answering"
"""What the hub calls tasks in which a model answers questions about a picture."""
SHOWN_VERSIONS = ("vipbench", "torch", "transformers", "pillow")


def model_card(results: Results, model: str | None = None) -> str:
    """Write the card: front matter with `model-index`, then the section.

    Args:
        results: of the run.
        model: what the model is called; None: as the run is.
    """
    name = model or results.called.name
    index = {
        "model-index": [
            {"name": name, "results": [_indexed(results, each) for each in results.results]}
        ]
    }
    front = yaml.safe_dump(index, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n\n{section(results, name)}"


def section(results: Results, name: str) -> str:
    """Write the section: a table, and how its numbers came about."""
    rows = [_cells(result) for result in results.results]
    words = (0, 4, 5, 6)
    manifest = results.manifest
    identity = manifest.identity
    settings = identity.settings
    protocol = {
        "prompt format": settings.prompt_format,
        "decoding": settings.decoding,
        "dtype": settings.numbers,
        "seed": str(identity.seed),
        "suite": identity.suite,
        "fit": ", ".join(dict.fromkeys(result.row.fit for result in results.results)),
    }
    versions = {
        name: manifest.versions[name] for name in SHOWN_VERSIONS if name in manifest.versions
    }
    versions |= {
        f"task {result.row.task}": str(result.row.task_version) for result in results.results
    }
    facts = [
        "Protocol: " + ", ".join(f"{key} {text}" for key, text in protocol.items() if text),
        "Versions: " + ", ".join(f"{key} {text}" for key, text in versions.items()),
        f"Weights: {settings.weights or 'none'}",
        f"Run: {manifest.run_id}, finished {manifest.finished}",
    ]
    return markdown_page(
        [
            "## Visual prompts (vipbench)",
            f"Accuracy of {markdown_text(name)} in percent, with 95 % intervals that are clustered "
            "by image. `?`: too few images for the interval to be relied on.",
            markdown_table(Grid("", HEADER, rows, words=words)),
            markdown_list(facts),
        ]
    )


def write(results: Results, out: Path, model: str | None = None) -> None:
    """Write the card; RunError where the disk refuses."""
    files.write_text(out, [model_card(results, model)])


def _cells(result: Result) -> tuple[str, ...]:
    row = result.row
    return (
        row.task,
        accuracy_text(row),
        f"{row.n:,}",
        f"{row.n_clusters:,}",
        row.style,
        row.metric,
        "; ".join(result.caveats()),
    )


def _indexed(results: Results, result: Result) -> dict[str, object]:
    row = result.row
    if row.accuracy is None:
        raise ValueError(f"{row.task}: has no accuracy")
    return {
        "task": {"type": TASK_TYPE, "name": result.title},
        "dataset": {
            "type": result.hub.get("dataset_id", row.task),
            "name": result.title + " (synthetic data)" * row.synthetic,
            "args": {"style": row.style, "task_version": row.task_version},
        },
        "metrics": [
            {
                "type": "accuracy",
                "value": round(100 * row.accuracy, DIGITS),
                "name": "; ".join(["accuracy in percent", *results.conditions(result)]),
            }
        ],
    }
