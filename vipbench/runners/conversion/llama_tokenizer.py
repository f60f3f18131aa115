"""The tokenizer of a checkpoint in the official layout: `load_original_tokenizer`.

Such checkpoints hold Llama's `tokenizer.model`, a SentencePiece file. What is needed of it, pieces
and a few switches, is read here by itself: transformers would need two more packages for that.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import PreTrainedTokenizerFast

from vipbench.errors import RunnerError
from vipbench.files import LFS_POINTER, is_lfs_pointer
from vipbench.runners.checkpoints.files import read_json
from vipbench.runners.checkpoints.tokenizer_files import check_vocabulary, tokenizer_errors

__all__ = ["load_original_tokenizer", "read_sentencepiece"]

# Kinds of a piece, and of a model (sentencepiece_model.proto).
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6
_BPE = 2
_VARINT, _EIGHT_BYTES, _TEXT, _FOUR_BYTES = 0, 1, 2, 5

_SPACE = "\u2581"
"""What SentencePiece writes for a space."""
_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


class Piece(NamedTuple):
    """One entry of a SentencePiece vocabulary; its id is its index."""

    text: str
    score: float
    kind: int


class SentencePieceModel(NamedTuple):
    """What a `tokenizer.model` of Llama's kind says."""

    pieces: tuple[Piece, ...]
    bos_id: int
    eos_id: int
    unk_id: int


def load_original_tokenizer(folder: Path, *, fast: bool = False) -> PreTrainedTokenizerFast:
    """Load `tokenizer.model`, as the official loader does, or else `tokenizer.json`.

    Tokens that the folder adds (`added_tokens.json`, `tokenizer_config.json`) are added.

    Args:
        folder: of the checkpoint.
        fast: as transformers 4.37 does it with `use_fast=True`: `tokenizer.json` comes first, a
            space stands in front of each piece whatever `legacy` says, and `add_bos_token` decides
            on BOS whatever `tokenizer.json` says (LlamaConverter, LlamaTokenizerFast).

    Raises:
        RunnerError: there is neither file, it is broken, or not a tokenizer of Llama's kind.
    """
    config_path = folder / "tokenizer_config.json"
    config = read_json(config_path) if config_path.is_file() else {}
    names = _special_names(folder, config)
    adds_bos = config.get("add_bos_token") is not False
    has_json = (folder / "tokenizer.json").is_file()
    if (folder / "tokenizer.model").is_file() and not (fast and has_json):
        model = read_sentencepiece(folder / "tokenizer.model")
        backend = _build(model, legacy=fast or config.get("legacy") is not False)
        pieces = model.pieces
        for name, index in (
            ("bos_token", model.bos_id),
            ("eos_token", model.eos_id),
            ("unk_token", model.unk_id),
        ):
            names.setdefault(name, pieces[index].text)
        if adds_bos:
            _add_bos(backend, names["bos_token"])
    elif has_json:
        content = check_vocabulary(folder)
        with tokenizer_errors(folder, "tokenizer", (ValueError, TypeError)):
            backend = Tokenizer.from_str(json.dumps(content))
        backend.no_truncation()
        backend.no_padding()
        if fast and backend.token_to_id(names.get("bos_token", "")) is not None:
            backend.post_processor = processors.Sequence([])
            if adds_bos:
                _add_bos(backend, names["bos_token"])
    else:
        raise RunnerError(
            f"{folder}: has no tokenizer · expected tokenizer.model or tokenizer.json · copy the "
            "file of the language model that the checkpoint was trained from"
        )
    _add_tokens(folder, backend, config)
    known = {name: text for name, text in names.items() if backend.token_to_id(text) is not None}
    if missing := {"bos_token", "eos_token"} - set(known):
        raise RunnerError(
            f"{folder}: the tokenizer has no {' and no '.join(sorted(missing))} · expected those "
            "of Llama, <s> and </s>"
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, padding_side="left", **known
    )


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a `tokenizer.model`.

    Raises:
        RunnerError: the file is truncated, or is not what Llama's is: byte-pair pieces with a
            fallback to bytes, of text that is not normalised.
    """
    raw = path.read_bytes()
    if is_lfs_pointer(raw):
        raise RunnerError(f"{path}: {LFS_POINTER}")
    try:
        pieces: list[Piece] = []
        trainer: dict[int, bytes | int | float] = {}
        normaliser: dict[int, bytes | int | float] = {}
        for field, value in _fields(raw):
            if field == 1:
                part = dict(_fields(_bytes(value)))
                text = _bytes(part.get(1, b"")).decode()
                pieces.append(Piece(text, float(part.get(2, 0.0)), int(part.get(3, 1))))
            elif field == 2:
                trainer = dict(_fields(_bytes(value)))
            elif field == 3:
                normaliser = dict(_fields(_bytes(value)))
        # Numbers of fields and what holds where one is missing: sentencepiece_model.proto.
        model = SentencePieceModel(
            tuple(pieces),
            bos_id=int(trainer.get(41, 1)),
            eos_id=int(trainer.get(42, 2)),
            unk_id=int(trainer.get(40, 0)),
        )
        kind = int(trainer.get(3, 1))
        changes_text = bool(normaliser.get(2, b"")) or bool(int(normaliser.get(4, 1)))
        prepends = bool(int(normaliser.get(3, 1)))
    except (ValueError, IndexError, struct.error) as error:
        raise RunnerError(
            f"{path}: is truncated or not a SentencePiece model ({len(raw)} bytes) · fetch it again"
        ) from error
    if not all(0 <= i < len(pieces) for i in model[1:]):
        raise RunnerError(
            f"{path}: has {len(pieces)} pieces, and <s>, </s> and <unk> are numbers "
            f"{model.bos_id}, {model.eos_id} and {model.unk_id} · expected Llama's tokenizer"
        )
    bytes_ = sum(piece.kind == _BYTE for piece in pieces)
    if kind != _BPE or changes_text or not prepends or bytes_ != 256:
        raise RunnerError(
            f"{path}: is not of Llama's kind (model type {kind}, {bytes_} byte pieces"
            f"{', text is normalised' * changes_text}{', no space in front' * (not prepends)}) · "
            "expected byte-pair pieces with 256 bytes to fall back to"
        )
    return model


def _build(model: SentencePieceModel, *, legacy: bool) -> Tokenizer:
    """Make the tokenizer that SentencePiece would be.

    In front of a text stands a space; after a special token only where the tokenizer is `legacy`.
    """
    vocabulary = {piece.text: i for i, piece in enumerate(model.pieces)}
    ordinary = {piece.text: piece.score for piece in model.pieces if piece.kind == _NORMAL}
    # Two letters or pieces are joined where that makes a piece, the one of the highest score first.
    merges = [
        (-score, vocabulary[text], text[:cut], text[cut:])
        for text, score in ordinary.items()
        for cut in range(1, len(text))
        if text[:cut] in ordinary and text[cut:] in ordinary
    ]
    backend = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=[(left, right) for _, _, left, right in sorted(merges)],
            unk_token=model.pieces[model.unk_id].text,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    if legacy:
        backend.normalizer = normalizers.Sequence(
            [normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)]
        )
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(
            replacement=_SPACE, prepend_scheme="first", split=False
        )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace(_SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(
        [
            AddedToken(piece.text, normalized=False, special=True)
            for piece in model.pieces
            if piece.kind in (_UNKNOWN, _CONTROL)
        ]
    )
    backend.add_tokens(
        [
            AddedToken(piece.text, normalized=False, special=False)
            for piece in model.pieces
            if piece.kind == _USER_DEFINED
        ]
    )
    return backend


def _add_bos(backend: Tokenizer, bos: str) -> None:
    """Put BOS in front of every text."""
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A",
        pair=f"{bos} $A {bos} $B",
        special_tokens=[(bos, backend.token_to_id(bos))],
    )


def _special_names(folder: Path, config: Mapping[str, object]) -> dict[str, str]:
    """Texts of BOS, EOS, UNK and PAD, as far as the folder's files name them."""
    path = folder / "special_tokens_map.json"
    names: dict[str, str] = {}
    for content in (read_json(path) if path.is_file() else {}, config):
        for name in _NAMES:
            value = content.get(name)
            if isinstance(value, dict):  # an AddedToken
                value = value.get("content")
            if isinstance(value, str):
                names[name] = value
    return names


def _add_tokens(folder: Path, backend: Tokenizer, config: Mapping[str, object]) -> None:
    """Add the tokens that stand beside the vocabulary; they must follow it without a gap."""
    path = folder / "added_tokens.json"
    by_text = read_json(path) if path.is_file() else {}
    decoder = config.get("added_tokens_decoder")
    stripping: dict[str, dict[str, bool]] = {}
    for i, token in (decoder if isinstance(decoder, dict) else {}).items():
        if isinstance(token, dict) and isinstance(token.get("content"), str) and i.isdecimal():
            by_text[token["content"]] = int(i)
            # Those of Phi 3 take the line break behind them along.
            stripping[token["content"]] = {
                side: token.get(side) is True for side in ("lstrip", "rstrip")
            }
    new = {text: i for text, i in by_text.items() if backend.token_to_id(text) != i}
    for text, i in sorted(new.items(), key=lambda item: item[1]):
        if i != backend.get_vocab_size() or backend.token_to_id(text) is not None:
            raise RunnerError(
                f"{folder}: adds the token {text!r} as {i}, while the vocabulary ends at "
                f"{backend.get_vocab_size() - 1} · expected ids without a gap"
            )
        sides = stripping.get(text, {})
        backend.add_special_tokens([AddedToken(text, normalized=False, special=True, **sides)])


def _fields(raw: bytes) -> Iterator[tuple[int, bytes | int | float]]:
    """Yield number and value of each field of a protocol buffer; ValueError if truncated."""
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        kind = tag & 7
        if kind == _VARINT:
            number, position = _varint(raw, position)
            yield tag >> 3, number
            continue
        if kind == _TEXT:
            size, position = _varint(raw, position)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"field of kind {kind}")
        value = raw[position : position + size]
        if len(value) < size:
            raise ValueError("the last field is cut off")
        position += size
        yield tag >> 3, struct.unpack("<f", value)[0] if kind == _FOUR_BYTES else value


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; return it and the position after it."""
    number = shift = 0
    while True:
        byte = raw[position]
        number |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return number, position
        shift += 7


def _bytes(value: bytes | int | float) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where a text should be")
    return value
