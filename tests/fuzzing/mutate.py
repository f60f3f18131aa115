"""Seeded changes of files, by their structure: trees of JSON and YAML, texts, pictures, weights."""

import copy
import gzip
import io
import json
import os
import re
import shutil
import struct
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import yaml
from PIL import Image

UNITS = "unit"
"""Begins the words of a change that leaves the file well-formed and means something else."""

NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 0.5, -0.5, 1e308, -1e308, 1e-320, 2**31, 2**63, 2**64, -(2**63), 10**400),
    *(float("nan"), float("inf"), float("-inf"), -0.0, 999_999, 1_000_001),
)
OTHER_TYPES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    1.5,
    "",
    "1",
    [],
    {},
    [[]],
    [None],
    {"": 1},
)
TEXTS = (
    *("", " ", "\t", "A", "B", "E", "a", "1", "nan", "None", "null", "true", "\x00", "\ud800"),
    *(
        "../../../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "/",
        "a\\b.png",
        "C:\\a.png",
        "~",
        "~root",
    ),
    *("<image>", "<r0>", "<r1>", "<r99>", "<r00>", "<r-1>", "<obj>", "<obj1>", "<bbox>", "[0]"),
    *(
        "{question}",
        "{choices}",
        "{mark}",
        "{}",
        "{0}",
        "{{",
        "%s",
        "<OR>",
        "<AND>",
        "a<AND>",
        "<OR>b",
    ),
    *("</s>", "<s>", "<|im_end|>", "[INST]", "USER: hi ASSISTANT:", "\x1b[31mred", "\u202eltr"),
    *(
        "\u2028",
        "\ufeff",
        "\u200b",
        "=",
        "a=b",
        "a,b",
        '"',
        "'",
        "| a | b |",
        "$x$",
        "<script>",
        "&lt;",
    ),
    *(
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        "e\N{COMBINING ACUTE ACCENT}",
        "\N{CYRILLIC SMALL LETTER A}",
    ),
    *("0" * 300, "a/" * 3000, "\N{ARABIC LETTER ALEF}" * 50),
)
HOMOGLYPHS = str.maketrans("aeopcx", "\u0430\u0435\u043e\u0440\u0441\u0445")


class Slot(NamedTuple):
    """A place in a tree."""

    container: Any
    key: Any

    @property
    def value(self) -> Any:
        return self.container[self.key]

    def put(self, value: Any) -> None:
        self.container[self.key] = value


# --- trees


def pick_slot(holder: dict[str, Any], rng: Random) -> Slot:
    """Walk down from the root, so that few deep leaves do not take all changes."""
    slot = Slot(holder, "root")
    while isinstance(slot.value, dict | list) and slot.value:
        if slot.container is not holder and rng.random() < 0.25:
            break
        value = slot.value
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        slot = Slot(value, key)
    return slot


def slots(value: Any) -> Iterator[Slot]:
    """Yield every place of a tree."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys if isinstance(value, dict | list) else ():
        yield Slot(value, key)
        if isinstance(value[key], dict | list):
            yield from slots(value[key])


def changed_text(text: str, rng: Random) -> str:
    """Return another text, often one that looks the same."""
    ways: tuple[Callable[[], str], ...] = (
        lambda: text + " ",
        lambda: " " + text,
        lambda: text + "\n",
        lambda: "\r\n" + text,
        text.upper,
        text.lower,
        text.title,
        lambda: unicodedata.normalize("NFD", text + "\u00e9"),
        lambda: unicodedata.normalize("NFKC", text),
        lambda: "\u202e" + text,
        lambda: text.translate(HOMOGLYPHS),
        lambda: text + "\x00",
        lambda: text + "\ud83d",
        lambda: "A. " + text,
        lambda: "(B) " + text,
        lambda: text * 2000,
        lambda: "../" + text,
        lambda: "/" + text,
        lambda: "./" + text,
        lambda: text.replace("/", "\\"),
        lambda: text + "/",
        lambda: text[1:],
        lambda: text[:-1],
        lambda: text[::-1],
        lambda: text.replace("<", "{").replace(">", "}"),
        lambda: re.sub(r"\d", "9", text),
        lambda: re.sub(r"\d", "\N{ARABIC-INDIC DIGIT FIVE}", text),
        lambda: text + rng.choice(TEXTS),
    )
    return rng.choice(TEXTS) if rng.random() < 0.4 else rng.choice(ways)()


def change_tree(holder: dict[str, Any], rng: Random) -> str:
    """Change one place of the tree at `root`; return in words how."""
    if rng.random() < 0.06:
        return fractions_for_px(holder["root"], rng)
    slot = pick_slot(holder, rng)
    value = slot.value
    swap = partial(_swap, holder)
    ways: list[Callable[[Slot, Random], str]] = [_drop, _retype, _nest, swap]
    if isinstance(value, str):
        ways += [_text] * 5
    elif isinstance(value, int | float):
        ways += [_number] * 4
    elif isinstance(value, list):
        ways += [_list] * 4
    elif isinstance(value, dict):
        ways += [_keys] * 4
    way = rng.choice(ways)
    return f"{way(slot, rng)} at {slot.key!r:.40}"


def _drop(slot: Slot, rng: Random) -> str:
    if slot.key == "root":
        slot.put(None)
    else:
        del slot.container[slot.key]
    return "drop"


def _retype(slot: Slot, rng: Random) -> str:
    value = slot.value
    wrapped: list[Any] = [[value], {"value": value}, str(value), *OTHER_TYPES]
    if isinstance(value, str):
        wrapped += [list(value[:50])]
    new = rng.choice(wrapped)
    slot.put(copy.deepcopy(new))
    return f"retype to {new!r:.30}"


def _nest(slot: Slot, rng: Random) -> str:
    depth = rng.choice((2, 50, 300))
    value = slot.value
    for _ in range(depth):
        value = [value]
    slot.put(value)
    return f"nest {depth} deep"


def _number(slot: Slot, rng: Random) -> str:
    value = slot.value
    new = rng.choice((*NUMBERS, value + 1, -value, value * 1000, float(value), str(value)))
    slot.put(new)
    return f"number {value!r:.20} to {new!r:.20}"


def _text(slot: Slot, rng: Random) -> str:
    new = changed_text(slot.value, rng)
    words = f"text {slot.value!r:.40} to {new!r:.40}"
    slot.put(new)
    return words


def _list(slot: Slot, rng: Random) -> str:
    value = slot.value
    way = rng.choice(("empty", "shuffle", "reverse", "double", "repeat one", "pop", "blow up"))
    if way == "empty":
        value.clear()
    elif way == "shuffle":
        rng.shuffle(value)
    elif way == "reverse":
        value.reverse()
    elif way == "double":
        value.extend(copy.deepcopy(value))
    elif value and way == "repeat one":
        value.insert(rng.randrange(len(value) + 1), copy.deepcopy(rng.choice(value)))
    elif value and way == "pop":
        value.pop(rng.randrange(len(value)))
    elif value:
        value.extend([copy.deepcopy(value[0])] * 300)
    return f"list: {way}"


def _keys(slot: Slot, rng: Random) -> str:
    value = slot.value
    way = rng.choice(("empty", "rename", "add", "reorder"))
    if way == "empty":
        value.clear()
    elif way == "rename" and value:
        key = rng.choice(list(value))
        value[changed_text(str(key), rng)] = value.pop(key)
    elif way == "add":
        value[rng.choice(TEXTS)] = copy.deepcopy(rng.choice(OTHER_TYPES))
    else:
        items = list(value.items())
        rng.shuffle(items)
        value.clear()
        value.update(items)
    return f"keys: {way}"


def _swap(holder: dict[str, Any], slot: Slot, rng: Random) -> str:
    """Exchange a value with that of the same key elsewhere, or of any other."""
    others = [each for each in slots(holder["root"]) if each.key == slot.key]
    other = rng.choice(others or [slot])
    mine, theirs = copy.deepcopy(slot.value), copy.deepcopy(other.value)
    slot.put(theirs)
    other.put(mine)
    return "swap between two records"


PLACES = frozenset({"box", "boxes", "bboxes", "answer", "points", "polygons", "segms", "shapes"})
"""Keys below which lists of 2, 4 or 5 numbers are places in an image."""


def fractions_for_px(tree: Any, rng: Random) -> str:
    """Write all boxes and points as parts of the image, 0 to 1."""
    return f"{UNITS}: fractions" if _divide(tree, is_place=False) else "nothing"


def _divide(value: Any, *, is_place: bool) -> int:
    """Divide places by the size of the image; return how many there were."""
    if is_place and _is_numbers(value) and len(value) in (2, 4, 5):
        value[:4] = [round(v / (36 if k % 2 else 48), 4) for k, v in enumerate(value[:4])]
        return 1
    if isinstance(value, list):
        return sum(_divide(each, is_place=is_place) for each in value)
    if not isinstance(value, dict):
        return 0
    n = sum(_divide(each, is_place=is_place or key in PLACES) for key, each in value.items())
    if not _is_numbers([value.get("x"), value.get("y")]):
        return n
    for key, side in zip(("x", "y", "w", "h", "width", "height"), (48, 36) * 3, strict=True):
        if _is_numbers([value.get(key)]):
            value[key] = round(value[key] / side, 4)
    return n + 1


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value
    )


# --- texts


def change_bytes(content: bytes, rng: Random) -> tuple[bytes, str]:
    """Change a file as bytes; return the new ones and in words how."""
    ways: dict[str, Callable[[], bytes]] = {
        "truncate": lambda: content[: rng.randrange(len(content) + 1)],
        "cut the last byte": lambda: content[:-1],
        "empty": lambda: b"",
        "blank": lambda: b" \n\n\t\n",
        "BOM": lambda: b"\xef\xbb\xbf" + content,
        "UTF-16": lambda: content.decode("utf-8", "replace").encode("utf-16"),
        "UTF-32": lambda: content.decode("utf-8", "replace").encode("utf-32"),
        "Latin-1": lambda: content + "\u00e9".encode("latin-1"),
        "CRLF": lambda: content.replace(b"\n", b"\r\n"),
        "CR": lambda: content.replace(b"\n", b"\r"),
        "gzip": lambda: gzip.compress(content, mtime=0),
        "twice": lambda: content + content,
        "blank lines": lambda: content.replace(b"\n", b"\n\n  \n"),
        "comment": lambda: b"// comment\n" + content,
        "trailing comma": lambda: content.rstrip()[:-1] + b"," + content.rstrip()[-1:],
        "single quotes": lambda: content.replace(b'"', b"'"),
        "LFS pointer": lambda: (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
        ),
        "NUL": lambda: _insert(content, b"\x00", rng),
        "a bad byte": lambda: _insert(content, b"\xff", rng),
        "U+2028": lambda: _insert(content, "\u2028".encode(), rng),
        "flip": lambda: _flip(content, rng),
        "HTML": lambda: b"<!DOCTYPE html><html><body>404</body></html>",
        "repeat a key": lambda: _repeat_key(content, rng),
        "odd number": lambda: _odd_number(content, rng),
        "deep nesting": lambda: _deep(content, rng),
        "a line twice": lambda: _line(content, rng, drop=False),
        "drop a line": lambda: _line(content, rng, drop=True),
    }
    words = rng.choice(list(ways))
    return ways[words](), words


def _insert(content: bytes, piece: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + piece + content[place:]


def _flip(content: bytes, rng: Random) -> bytes:
    flipped = bytearray(content)
    for _ in range(rng.choice((1, 3, 20)) if content else 0):
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _repeat_key(content: bytes, rng: Random) -> bytes:
    found = list(re.finditer(rb'"\w+"\s*:\s*("[^"]*"|[\d.]+)\s*,', content))
    if not found:
        return content + b"\na: 1\na: 2\n"
    match = rng.choice(found)
    other = re.sub(rb":.*", b": 7,", match[0], flags=re.DOTALL)
    return content[: match.start()] + other + content[match.start() :]


def _odd_number(content: bytes, rng: Random) -> bytes:
    found = list(re.finditer(rb"(?<=[\s:,\[])-?\d+(\.\d+)?(?=[\s,\]}])", content))
    odd = (
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-0",
        b"01",
        b"0x10",
        b"1_000",
        b"9" * 5000,
    )
    if not found:
        return content + rng.choice(odd)
    match = rng.choice(found)
    return content[: match.start()] + rng.choice(odd) + content[match.end() :]


def _deep(content: bytes, rng: Random) -> bytes:
    depth = rng.choice((900, 5_000, 200_000))
    start, end = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"[", b"")))
    nested = start * depth + b"1" + end * depth
    place = content.find(b":", rng.randrange(len(content) + 1)) + 1
    return content[:place] + nested + content[place:] if place else nested


def _line(content: bytes, rng: Random, *, drop: bool) -> bytes:
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    place = rng.randrange(len(lines))
    return b"".join(
        lines[:place] + lines[place : place + (0 if drop else 1)] + lines[place:][drop:]
    )


# --- files


def change_json(content: bytes, rng: Random, *, lines: bool) -> tuple[bytes, str]:
    """Change the tree of a JSON file, or of JSON lines."""
    text = content.decode()
    tree = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    holder = {"root": tree}
    words = change_tree(holder, rng)
    tree = holder["root"]
    plain = rng.random() < 0.5
    if lines and isinstance(tree, list) and rng.random() < 0.9:
        written = "".join(json.dumps(each, ensure_ascii=not plain) + "\n" for each in tree)
    else:
        written = json.dumps(tree, ensure_ascii=not plain, indent=rng.choice((None, 1)))
    return written.encode("utf-8", "surrogatepass"), words


YAML_PIECES = (
    "a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n"
    + "".join(
        f"b{k}: &b{k} [{','.join(['*b' + (str(k - 1) if k else '')] * 9)}]\n" for k in range(9)
    ),
    "self: &s [*s]\n",
    "x: !!python/object/apply:os.system ['true']\n",
    "x: !!binary aGk=\n",
    "x: !!timestamp 2026-99-99\n",
    "x: 2026-01-01\n",
    "x: !!set {a, b}\n",
    "x: !!int abc\n",
    "? [a, b]\n: c\n",
    "1: one\n",
    "null: none\n",
    "<<: {version: 7}\n",
    "<<: 1\n",
    "---\nsecond: document\n",
    "%YAML 9.9\n---\nname: x\n",
    "x: \t tab\n",
    "x: !unknown y\n",
    "x: 0b11\ny: 1:30\nz: yes\n",
    "x: " + "[" * 3000 + "]" * 3000 + "\n",
)


def change_yaml(content: bytes, rng: Random) -> tuple[bytes, str]:
    """Change the tree of a YAML file, or put something before or behind it."""
    if b"&" in content:  # a bomb of an earlier change would go off here
        raise ValueError
    if rng.random() < 0.2:
        piece = rng.choice(YAML_PIECES)
        before = rng.random() < 0.3
        parts = (piece.encode(), content) if before else (content, piece.encode())
        return b"".join(parts), f"YAML piece {piece!r:.40}"
    holder = {"root": yaml.safe_load(content)}
    words = change_tree(holder, rng)
    try:
        written = yaml.safe_dump(holder["root"], sort_keys=False, allow_unicode=rng.random() < 0.5)
    except (yaml.YAMLError, RecursionError):
        return content + b"\n: :\n", "broken YAML"
    return written.encode("utf-8", "surrogatepass"), words


def change_image(content: bytes, rng: Random) -> tuple[bytes, str]:
    """Make another picture of one, or break its file."""
    image = Image.open(io.BytesIO(content))
    image.load()
    kind = image.format or "PNG"
    modes = ("L", "LA", "P", "1", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16")
    saved: dict[str, Callable[[], bytes]] = {
        "mode": lambda: _in_mode(image, rng.choice(modes)),
        "EXIF orientation": lambda: _with_exif(image, rng.randrange(10)),
        "tiny": lambda: _saved(image.resize((1, rng.choice((1, 36)))), kind),
        "thin": lambda: _saved(image.resize((6000, 1)), kind),
        "large": lambda: _saved(image.resize((1500, 1500)), kind),
        "another format": lambda: _saved(
            image.convert("RGB"), rng.choice(("GIF", "BMP", "WEBP", "TIFF", "PPM", "ICO"))
        ),
        "animated": lambda: _animated(image),
        "huge header": lambda: _huge_header(rng),
        "quarter turn": lambda: _saved(image.rotate(90, expand=True), kind),
    }
    if rng.random() < 0.35:
        changed, words = change_bytes(content, rng)
        return changed, f"picture: {words}"
    words = rng.choice(list(saved))
    return saved[words](), f"picture: {words}"


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _in_mode(image: Image.Image, mode: str) -> bytes:
    through = image.convert("L") if mode in ("LA", "I", "F", "I;16", "1") else image
    kinds = {"CMYK": "JPEG", "YCbCr": "JPEG", "F": "TIFF"}
    return _saved(through.convert(mode), kinds.get(mode, "PNG"))


def _with_exif(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _saved(image.convert("RGB"), "JPEG", exif=exif)


def _animated(image: Image.Image) -> bytes:
    return _saved(image, "GIF", save_all=True, append_images=[image.rotate(90)])


def _huge_header(rng: Random) -> bytes:
    """Return a PNG of a few bytes that says it has billions of pixels."""
    side = rng.choice((20_000, 60_000, 2**31 - 1, 0))
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(b"\0" * 100)),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def change_safetensors(content: bytes, rng: Random) -> tuple[bytes, str]:
    """Change the header of a file of weights, its length, or the data."""
    length = struct.unpack("<Q", content[:8])[0]
    header, data = content[8 : 8 + length], content[8 + length :]
    way = rng.choice(("length", "header", "header", "header", "data", "cut", "no data"))
    if way == "length":
        new = rng.choice((0, 1, 2**63, 2**64 - 1, length - 1, length + 1, len(content)))
        return struct.pack("<Q", new) + content[8:], f"weights: header of {new} bytes"
    if way == "data":
        return content[: 8 + length] + b"\xff" * len(data), "weights: all NaN"
    if way == "cut":
        return content[: rng.randrange(len(content))], "weights: cut"
    if way == "no data":
        return content[: 8 + length], "weights: no data"
    changed, words = change_json(header, rng, lines=False)
    return struct.pack("<Q", len(changed)) + changed + data, f"weights: {words}"


def change_place(path: Path, rng: Random) -> str:
    """Put something else where a file was."""
    way = rng.choice(("remove", "folder", "link to itself", "dangling link", "pipe", "link"))
    copied = path.with_name(f"{path.name}.other")
    shutil.copyfile(path, copied)
    path.unlink()
    if way == "folder":
        path.mkdir()
    elif way == "link to itself":
        path.symlink_to(path.name)
    elif way == "dangling link":
        path.symlink_to("nowhere")
    elif way == "pipe":
        os.mkfifo(path)
    if way == "link":
        path.symlink_to(copied.name)
    else:
        copied.unlink()
    return f"file: {way}"


_BROKEN = (
    *(ValueError, TypeError, ArithmeticError, OSError, RecursionError),
    *(yaml.YAMLError, struct.error),
    Image.DecompressionBombError,
)


def change_file(path: Path, rng: Random) -> str:
    """Change one file in a way that suits it; return in words how."""
    if rng.random() < 0.04:
        return f"{path.name}: {change_place(path, rng)}"
    content = path.read_bytes()
    structured = rng.random() < 0.75
    try:
        if structured and path.suffix in (".json", ".jsonl"):
            changed, words = change_json(content, rng, lines=path.suffix == ".jsonl")
        elif structured and path.suffix in (".yaml", ".yml"):
            changed, words = change_yaml(content, rng)
        elif path.suffix in (".png", ".jpg"):
            changed, words = change_image(content, rng)
        elif path.suffix == ".safetensors":
            changed, words = change_safetensors(content, rng)
        else:
            changed, words = change_bytes(content, rng)
    except _BROKEN:  # by an earlier change
        changed, words = change_bytes(content, rng)
    path.write_bytes(changed)
    return f"{path.name}: {words}"
