"""Digests of a checkpoint by its parts, which name what is different in two of them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vipbench import digests
from vipbench.runners.checkpoints.files import read_json
from vipbench.runners.checkpoints.tokenizer_files import PROCESSOR

CONFIG = ("config.json", "generation_config.json")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
TEMPLATE = "chat_template"
"""Key of a chat template in files that hold more than it."""

_OF_A_USE = ("padding", "truncation")
_FILES = {"config": CONFIG, "tokenizer": TOKENIZER, "processor": PROCESSOR}
MIXED = ("tokenizer_config.json", "processor_config.json")
"""Files that may hold the chat template, which is a part of its own."""


def digest_parts(folder: Path, weights: str, template: str | None) -> dict[str, str]:
    """Return the sha256 of each part of a checkpoint on disk, those that there are.

    Args:
        folder: of the checkpoint.
        weights: digest of its tensor files.
        template: text of its chat template.
    """
    parts = {"weights": weights}
    for part, names in _FILES.items():
        if found := digest_files(folder, names):
            parts[part] = digests.digest(found)
    return parts | _template(template)


def digest_files(folder: Path, names: Iterable[str]) -> list[list[str]]:
    """Return name and sha256 of those files that there are, without a chat template in them."""
    present = [folder / name for name in names if (folder / name).is_file()]
    return [[path.name, _file_digest(path)] for path in present]


def digest_live_parts(weights: str, model: Any, processor: Any) -> dict[str, str]:
    """Return the sha256 of each part of a model in memory, those that can be told.

    They are of what is in memory, so that they equal those of another model in memory and not those
    of files; only that of the template is the same.

    Args:
        weights: digest of the tensors.
        model: with its `config`.
        processor: a processor, or a tokenizer alone.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    parts = {"weights": weights, "config": _of_record(model.config)}
    if (of_tokenizer := _tokenizer_facts(tokenizer)) is not None:
        parts["tokenizer"] = digests.digest(of_tokenizer)
    if (image_processor := getattr(processor, "image_processor", None)) is not None:
        parts["processor"] = _of_record(image_processor)
    template = getattr(processor, TEMPLATE, None) or getattr(tokenizer, TEMPLATE, None)
    return parts | _template(template)


def _tokenizer_facts(tokenizer: Any) -> list[Any] | None:
    """Return what tells a tokenizer in memory from others; None: it does not say.

    Without padding and truncation, which each use may set anew.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    specials = {
        name: str(token)
        for name, token in dict(getattr(tokenizer, "special_tokens_map", {})).items()
    }
    if backend is not None:
        content = json.loads(backend.to_str())
        return [{k: v for k, v in content.items() if k not in _OF_A_USE}, specials]
    vocabulary = getattr(tokenizer, "get_vocab", None)
    return None if vocabulary is None else [dict(vocabulary()), specials]


def _template(template: object) -> dict[str, str]:
    """Return the digest of a chat template; transformers may have several, by name."""
    return {"template": digests.digest(template)} if template else {}


def _file_digest(path: Path) -> str:
    if path.name not in MIXED:
        return digests.file_digest(path)
    content = read_json(path)
    return digests.digest({key: value for key, value in content.items() if key != TEMPLATE})


def _of_record(config: Any) -> str:
    """Digest a configuration of transformers, without what says where it came from."""
    to_dict = getattr(config, "to_dict", dict)
    plain: Mapping[str, Any] = json.loads(json.dumps(to_dict(), default=str))
    return digests.digest(
        {k: v for k, v in plain.items() if k not in ("_name_or_path", "transformers_version")}
    )
