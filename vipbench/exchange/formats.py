"""Answers in files, as other programs write and read them. Knows no task and no run.

Reading is strict: a record that cannot be used is an error that names its line, and nothing in a
file is passed over, apart from keys and columns that the format does not need.
"""

import csv
import gzip
import hashlib
import io
import json
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, get_args

from vipbench.digests import file_digest
from vipbench.errors import DataError, nearest
from vipbench.files import check_regular, csv_text, reason
from vipbench.reading import (
    BadRecord,
    DataRecord,
    QuestionFile,
    describe,
    entries,
    parse,
    read_questions,
)
from vipbench.validation import shown

Format = Literal[
    "answers",
    "visual7w",
    "vip_bench",
    "gar_bench",
    "blink",
    "blink_raw",
    "csv",
    "jsonl",
    "datasets",
]
FORMATS: dict[str, str] = {
    "answers": "official answers, one JSON object a line with 'question_id' and 'text'",
    "visual7w": "results of the Visual7W toolkit, a JSON list with 'qa_id' and 'candidates'",
    "vip_bench": 'ViP-Bench results, one JSON object {"v1_<n>": text}',
    "gar_bench": "outputs of GAR-Bench, a JSON list with 'image' and 'model_output'",
    "blink": "BLINK's saved outputs, {split: [{'idx', 'prediction', 'full_prediction'}]}, as its"
    " code has read them; or JSON lines with 'id', 'text' and 'official'",
    "blink_raw": "the same, as the model wrote them",
    "csv": "CSV with the columns id and text",
    "jsonl": "JSON lines with 'id' and 'text'",
    "datasets": "a folder that `vipbench export` wrote for the library datasets",
}
"""Format -> what it looks like."""
READ_ONLY: tuple[Format, ...] = ("gar_bench", "blink", "blink_raw")
"""Formats that answers are read from and not written to: they repeat the questions' answers."""
VIP_BENCH_ID = re.compile(r"v1_(0|[1-9][0-9]*)")
"""A sample of ViP-Bench; its official answers have the number alone as `question_id`. Source:
ViP-LLaVA, scripts/convert_vipbench_for_eval.py."""
SHOWN_MISTAKES = 3
NO_OPTION = "(Z)"
"""What BLINK's code writes where it has read no option."""
LARGEST = 1_000_000_000
"""Bytes that a packed file may come to."""


class Answer(NamedTuple):
    """One record of a file of answers."""

    id: str
    """As in the file; a number as its digits."""
    text: str
    """As in the file; the chosen box of a Visual7W result, empty where it chooses none."""
    where: str
    """Such as `line 3`."""
    model: str = ""
    """Name of the model, where the record says it."""
    asked: str = ""
    """The question or the prompt that the record says it answers."""
    right: str = ""
    """The letter that the record says is right."""


class AnswerFile(NamedTuple):
    """A file of answers as it was read."""

    path: Path
    format: Format
    digest: str
    """sha256 of the file; of a `datasets` folder that of its ids and texts."""
    answers: tuple[Answer, ...]
    """In the order of the file, duplicates included."""
    notes: tuple[str, ...] = ()
    """What the format allows and the user should know."""
    style: str = ""
    """The style of ours that the answers were made under, where the file says so."""

    def models(self) -> Counter[str]:
        """Count the names of models that the records give."""
        return Counter(answer.model for answer in self.answers if answer.model)


class Reply(NamedTuple):
    """One answer to be written, with what the formats need beside it."""

    id: str
    text: str
    asked: str
    """The last user's text."""
    question: str
    """The question alone."""
    box: str | None
    """What the data call the chosen option, empty where none is chosen; None where the data call
    it nothing."""
    name: str
    """A name of this answer that no other one has."""


class _Official(DataRecord):
    question_id: int | str
    text: str
    model_id: str | None = None
    prompt: str | None = None


class _Candidate(DataRecord):
    answer: int | str


class _Result(DataRecord):
    qa_id: int | str
    candidates: list[_Candidate]
    question: str | None = None


class _Output(DataRecord):
    image: str
    model_output: str


class _Saved(DataRecord):
    idx: str
    prediction: str
    full_prediction: str
    answer: str = ""


class _Extracted(DataRecord):
    id: str
    text: str
    official: str


class _Plain(DataRecord):
    id: int | str
    text: str


def read_answers(path: Path, as_format: str | None = None) -> AnswerFile:
    """Read a file of answers; its format is told by its content, whatever it is called.

    Args:
        path: a file in UTF-8, with or without a byte order mark, or a `datasets` folder.
        as_format: one of `FORMATS`, where the content is not to be asked.

    Raises:
        DataError: The file is missing, in no known format, or broken; records that cannot be used
            are named by their lines.
    """
    if as_format is not None and as_format not in FORMATS:
        raise DataError(f"--format {as_format!r}: is unknown{nearest(as_format, FORMATS)}")
    if _is_gzip(path):
        return _read_gzip(path, as_format)
    if path.is_dir():
        if as_format not in (None, "datasets"):
            raise DataError(f"{path}: is a folder · expected a file in format {as_format}")
        return _read_datasets(path)
    if as_format == "datasets":
        raise DataError(f"{path}: is not a folder · expected {FORMATS['datasets']}")
    if as_format == "csv" or (as_format is None and not _is_json(path)):
        return _read_csv(path, named=as_format is not None)
    file = read_questions(path, written_by_hand=True)
    name = as_format or _recognise(file)
    notes: tuple[str, ...] = ()
    if name == "vip_bench":
        answers = _checked(file, _vip_bench(file))
    elif name in ("blink", "blink_raw"):
        answers = _checked(file, _blink(file, raw=name == "blink_raw"))
        if name == "blink":
            answers, notes = _only_letters(answers)
    elif name == "visual7w":
        answers = _checked(file, _outcomes(file, _visual7w))
        notes = _candidate_notes(file)
    elif name == "gar_bench":
        answers = _checked(file, _outcomes(file, _gar_bench))
    elif name == "jsonl":
        answers = _checked(file, _outcomes(file, _plain))
    else:
        name, answers = "answers", _checked(file, _outcomes(file, _official))
    return AnswerFile(path, _as_format(name), file_digest(path), answers, notes)


def _as_format(name: str) -> Format:
    return next(known for known in get_args(Format) if known == name)


def _is_json(path: Path) -> bool:
    try:
        check_regular(path)
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return True  # what is wrong is said where the file is read
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[", b"")


def _recognise(file: QuestionFile) -> str:
    """Name the format of decoded JSON; DataError where it is none."""
    records = entries(file.content)
    if any({"question_id", "text", "image", "category"} <= record.keys() for record in records):
        raise DataError(
            f"{file.path}: holds the questions of ViP-Bench, not answers · expected the file that"
            " the model's answers were written to"
        )
    if any({"qa_id", "candidates"} <= record.keys() for record in records):
        return "visual7w"
    if any({"image", "model_output"} <= record.keys() for record in records):
        return "gar_bench"
    if any("question_id" in record for record in records):
        return "answers"
    if any({"id", "text", "official"} <= record.keys() for record in records):
        return "blink"
    if any({"id", "text"} <= record.keys() for record in records):
        return "jsonl"
    if isinstance(file.content, dict) and any(map(VIP_BENCH_ID.fullmatch, file.content)):
        return "vip_bench"
    if any({"idx", "prediction", "full_prediction"} <= each.keys() for each in _saved(file)):
        return "blink"
    raise DataError(
        f"{file.path}: holds {describe(file.content)} · expected answers: {_expected()}"
    )


def _expected() -> str:
    return "; or ".join(f"{words} ({name})" for name, words in FORMATS.items())


_Outcomes = Iterator[Answer | BadRecord]
"""Records one after another, and what is wrong with those that cannot be used."""


def _checked(file: QuestionFile, outcomes: _Outcomes) -> tuple[Answer, ...]:
    """Return the answers of a file of which every record can be used."""
    answers: list[Answer] = []
    mistakes: list[str] = []
    for outcome in outcomes:
        if isinstance(outcome, Answer):
            answers.append(outcome)
        else:
            mistakes.append(str(outcome))
    if mistakes:
        more = len(mistakes) - SHOWN_MISTAKES
        first = "; ".join(mistakes[:SHOWN_MISTAKES]) + (f"; and {more:,} more" if more > 0 else "")
        raise DataError(
            f"{file.path}: {first} · correct what is wrong, or leave out the records without an"
            " answer: their samples are then counted as errors"
        )
    if not answers:
        raise DataError(f"{file.path}: holds no answer · expected {_expected()}")
    return tuple(answers)


def _outcomes(file: QuestionFile, read: Callable[[object, str], Answer]) -> _Outcomes:
    for where, value in file.records():
        yield _attempt(value, where.removeprefix(f"{file.path.name} "), read)


def _attempt(
    value: object, where: str, read: Callable[[object, str], Answer]
) -> Answer | BadRecord:
    if not isinstance(value, dict):
        return BadRecord(f"{where}: {shown(value)} is not a JSON object")
    try:
        answer = read(value, where)
    except BadRecord as error:
        return error
    return _whole(answer)


def _whole(answer: Answer) -> Answer | BadRecord:
    """Refuse half characters, which JSON can spell and no file of a run can hold."""
    for text in (answer.id, answer.text, answer.model, answer.asked):
        try:
            text.encode()
        except UnicodeEncodeError:
            return BadRecord(f"{answer.where}: {shown(text)} holds half a character")
    return answer if answer.id else BadRecord(f"{answer.where}: the id is empty")


def _official(value: object, where: str) -> Answer:
    record = parse(_Official, value, where)
    return Answer(
        str(record.question_id), record.text, where, record.model_id or "", record.prompt or ""
    )


def _plain(value: object, where: str) -> Answer:
    record = parse(_Plain, value, where)
    return Answer(str(record.id), record.text, where)


def _gar_bench(value: object, where: str) -> Answer:
    record = parse(_Output, value, where)
    return Answer(PurePosixPath(record.image).stem, record.model_output, where)


def _visual7w(value: object, where: str) -> Answer:
    record = parse(_Result, value, where)
    # Of several the toolkit looks at the first one: evaluate.py, `top_k` under mode "mc".
    box = str(record.candidates[0].answer) if record.candidates else ""
    return Answer(str(record.qa_id), box, where, asked=record.question or "")


def _candidate_notes(file: QuestionFile) -> tuple[str, ...]:
    counts = Counter(
        min(len(candidates), 2)
        for record in entries(file.content)
        if isinstance(candidates := record.get("candidates"), list)
    )
    several = f"{counts[2]:,} results with several candidates; the first one counts"
    none = f"{counts[0]:,} results without a candidate; each counts as a wrong answer"
    notes = [several] * bool(counts[2]) + [none] * bool(counts[0])
    return tuple(f"{note}, as in the toolkit" for note in notes)


def _saved(file: QuestionFile) -> list[dict[str, object]]:
    """List the records of BLINK's saved outputs, whichever split they stand under."""
    content = file.content
    if not isinstance(content, dict):
        return []
    return [record for records in content.values() for record in entries(records)]


def _blink(file: QuestionFile, *, raw: bool) -> _Outcomes:
    """Yield what BLINK's code read out of each answer, `(A)`, `(Z)` for none; or the answer."""

    def saved(value: object, where: str) -> Answer:
        record = parse(_Saved, value, where)
        text = record.full_prediction if raw else record.prediction
        return Answer(record.idx, text, where, right=record.answer.strip("()"))

    def extracted(value: object, where: str) -> Answer:
        record = parse(_Extracted, value, where)
        return Answer(record.id, record.text if raw else record.official, where)

    if not isinstance(file.content, dict) or {"id", "official"} <= file.content.keys():
        yield from _outcomes(file, extracted)
        return
    for split, records in file.content.items():
        if not isinstance(records, list):
            yield BadRecord(f"key {split!r}: {shown(records)} is not a list")
            continue
        for number, value in enumerate(records):
            yield _attempt(value, f"{split}[{number}]", saved)


def _only_letters(answers: tuple[Answer, ...]) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
    """Take what is more than an option for none, as the published comparison does."""
    more = [answer for answer in answers if not re.fullmatch(r"\([A-Z]\)", answer.text)]
    if not more:
        return answers, ()
    note = (
        f"{len(more):,} extractions are more than an option, such as {shown(more[0].text)}"
        f" ({more[0].where}); each counts as none, {NO_OPTION}, since the published code compares"
        " them with '(A)' as they are"
    )
    ids = {id(answer) for answer in more}
    kept = (each._replace(text=NO_OPTION) if id(each) in ids else each for each in answers)
    return tuple(kept), (note,)


def _is_gzip(path: Path) -> bool:
    try:
        check_regular(path)
        with path.open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError:
        return False  # what is wrong is said where the file is read


def _read_gzip(path: Path, as_format: str | None) -> AnswerFile:
    """Read a file that gzip has packed; DataError also where it is broken or far too large."""
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / path.name.removesuffix(".gz")
        try:
            with gzip.open(path) as packed:
                content = packed.read(LARGEST + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{path}: broken gzip ({reason(error)}) · download or write the file again"
            ) from error
        if len(content) > LARGEST:
            raise DataError(
                f"{path}: holds more than {LARGEST:,} bytes · expected answers · unpack it if they"
                " are"
            )
        unpacked.write_bytes(content)
        try:
            found = read_answers(unpacked, as_format)
        except DataError as error:
            raise DataError(str(error).replace(str(unpacked), str(path))) from error
    return found._replace(path=path, digest=file_digest(path))


def _vip_bench(file: QuestionFile) -> _Outcomes:
    content = file.content
    if not isinstance(content, dict):
        raise DataError(f"{file.path}: holds {describe(content)} · expected {FORMATS['vip_bench']}")
    for key, text in content.items():
        where = f"key {key!r}"
        if not VIP_BENCH_ID.fullmatch(key):
            yield BadRecord(f"{where}: expected v1_ and a number")
        elif not isinstance(text, str):
            yield BadRecord(f"{where}: {shown(text)} is not text")
        else:
            yield _whole(Answer(key, text, where))


def _read_csv(path: Path, *, named: bool) -> AnswerFile:
    """Read CSV with a header; a space after the header's comma stands after each comma."""
    try:
        check_regular(path)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text (byte {error.start}) · save it as UTF-8"
        ) from error
    header = text.lstrip("\r\n").partition("\n")[0]
    spaced = ", " in header
    # newline="": line breaks within an answer are part of it.
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=spaced)
    answers: list[Answer] = []
    try:
        columns = [name.strip() for name in next((row for row in rows if row), [])]
        indices = _column_indices(path, columns, named)
        line = rows.line_num + 1
        for row in rows:
            if row:
                answers.append(_csv_answer(path, row, columns, indices, line))
            line = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{rows.line_num}: broken CSV ({error})") from error
    if not answers:
        raise DataError(
            f"{path}: holds no answer · expected a line for every answer after the header"
        )
    return AnswerFile(path, "csv", file_digest(path), tuple(answers))


def _column_indices(path: Path, columns: list[str], named: bool) -> tuple[int, int]:
    """Return the indices of the columns of id and text."""
    for name in ("id", "text"):
        if columns.count(name) != 1:
            hint = nearest(name, columns) if "did you mean" in nearest(name, columns) else ""
            expected = FORMATS["csv"] if named else f"answers: {_expected()}"
            raise DataError(
                f"{path}: the first line {shown(','.join(columns))} has the column {name!r}"
                f" {columns.count(name)} times{hint} · expected {expected}"
            )
    return columns.index("id"), columns.index("text")


def _csv_answer(
    path: Path, row: list[str], columns: list[str], indices: tuple[int, int], line: int
) -> Answer:
    if len(row) != len(columns):
        raise DataError(
            f"{path}:{line}: {len(row)} fields {shown(row)} · expected {len(columns)}, as the first"
            " line has · put quotes around a text with commas or line breaks"
        )
    answer = Answer(row[indices[0]], row[indices[1]], f"line {line}")
    if not answer.id:
        raise DataError(f"{path}:{line}: the id is empty · expected a sample's id")
    return answer


def _read_datasets(folder: Path) -> AnswerFile:
    import datasets  # takes a second

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{folder}: not a folder of datasets ({shown(reason)}) · expected {FORMATS['datasets']}"
        ) from error
    if isinstance(loaded, dict) or not {"id", "run"} <= loaded.features.keys():
        names = ", ".join(loaded if isinstance(loaded, dict) else loaded.features)
        raise DataError(f"{folder}: holds {names} · expected {FORMATS['datasets']}")
    answers = []
    styles: dict[str, None] = {}
    for number, row in enumerate(loaded.select_columns(["id", "run"])):
        run = row["run"] or {}
        # Where the run had an error there is no text, and no answer here either.
        if isinstance(run.get("text"), str):
            model = str(run.get("model") or "")
            answers.append(Answer(str(row["id"]), run["text"], f"row {number}", model))
            styles[str(run.get("style") or "")] = None
    if not answers:
        raise DataError(f"{folder}: holds no answer · expected {FORMATS['datasets']}")
    if len(styles) > 1:
        named = ", ".join(map(shown, styles))
        raise DataError(
            f"{folder}: holds answers under {len(styles)} styles: {named} · expected one · export"
            " each style (`--style`) to a folder of its own"
        )
    facts = json.dumps([(answer.id, answer.text) for answer in answers])
    digest = hashlib.sha256(facts.encode()).hexdigest()
    return AnswerFile(folder, "datasets", digest, tuple(answers), style=next(iter(styles)))


# --- writing


def official_answers(replies: Iterable[Reply], model: str) -> Iterator[str]:
    """Yield the official answers as JSON lines.

    Those of ViP-Bench have the number of the question as `question_id`, and the prompt, as its
    own script writes them. Source: ViP-LLaVA, model_vqa_loader_vip.py and model_vqa.py.
    """
    for reply in replies:
        match = VIP_BENCH_ID.fullmatch(reply.id)
        record: dict[str, object] = {"question_id": int(match[1]) if match else reply.id}
        if match:
            record["prompt"] = reply.asked
        record |= {"text": reply.text, "answer_id": reply.name, "model_id": model, "metadata": {}}
        yield json.dumps(record) + "\n"


def visual7w_results(replies: Iterable[Reply]) -> Iterator[str]:
    """Yield the JSON list that evaluate.py of the Visual7W toolkit reads.

    A reply without a box is a result without candidates, which the toolkit counts as wrong; left
    out, it would not count at all.

    Raises:
        DataError: An id is not `v7w-` and a number, or a box is unknown.
    """
    results = []
    for reply in replies:
        if reply.box is None:
            raise DataError(
                f"sample {reply.id!r}: its data do not name the 'box_id' of the options · expected "
                "a run on the raw release of Visual7W, which does"
            )
        number = reply.id.removeprefix("v7w-")
        if not number.isdecimal():
            raise DataError(
                f"sample {reply.id!r}: expected v7w- and a number, the 'qa_id' of the toolkit"
            )
        box: int | str = int(reply.box) if reply.box.isdecimal() else reply.box
        candidates = [{"answer": box}] if reply.box else []
        results.append({"candidates": candidates, "question": reply.question, "qa_id": int(number)})
    yield json.dumps(results, indent=2) + "\n"


def vip_bench_results(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield the JSON object that the evaluator of ViP-Bench reads.

    Raises:
        DataError: An id is not `v1_` and a number.
    """
    wrong = next((id_ for id_ in texts if not VIP_BENCH_ID.fullmatch(id_)), None)
    if wrong is not None:
        raise DataError(f"sample {wrong!r}: expected v1_ and a number, as ViP-Bench has them")
    yield json.dumps(dict(texts), indent=2) + "\n"


def plain_csv(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield CSV with the header `id,text`."""
    yield csv_text([("id", "text"), *texts.items()])


def plain_jsonl(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield JSON lines with `id` and `text`."""
    for id_, text in texts.items():
        yield json.dumps({"id": id_, "text": text}, ensure_ascii=False) + "\n"
