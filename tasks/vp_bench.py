"""VP-Bench, stage 1: questions with four options about pictures that hold their marks.

`vp_bench_stage_1.parquet` of `jinpeng0528/VP-Bench` on the hub, or a folder with it. Rows have
`index`, `question`, `A` to `D` (empty where there are fewer), `answer` (a letter), `image` (in
base64), `vp_shape` and `vp_amount`. `context` is not sent: the published code looks for a column
`hint`. Three sizes of this benchmark go by one name, so that the file's md5 is told with every run.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vipbench.data.image_rows import QUESTIONS, origins, write_pictures
from vipbench.errors import DataError
from vipbench.reading import (
    BadRecord,
    DataRecord,
    attempt,
    parse,
    plain,
    read_questions,
    stated_id,
)
from vipbench.schema import DataSource, Problem, Sample

NAME = "vp_bench_stage_1.parquet"
LETTERS = "ABCD"


class _Row(DataRecord):
    index: int | str
    question: str
    A: str
    B: str
    C: str = ""
    D: str = ""
    answer: str
    image: str | None = None
    vp_shape: str | int | None = None
    vp_amount: str | int | None = None


def as_files(source: DataSource, function: str) -> DataSource:  # one reader
    """Write the rows as files; DataError where the table is missing or broken."""
    path = source.questions
    if path.name == QUESTIONS:
        return source
    table = path if path.is_file() else path / NAME
    if not table.is_file() or table.suffix != ".parquet":
        raise DataError(
            f"{path}: no {NAME} · expected it, as jinpeng0528/VP-Bench on the hub has it"
        )
    return write_pictures(source, [table], ["image"])


def read_stage_1(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield which release this is, then the questions; DataError where the file is broken."""
    file = read_questions(source.questions)
    records = list(file.records())
    yield _release(source.questions, len(records))
    for where, value in records:
        yield from attempt(stated_id(value, "index", where), partial(_sample, value, where))


def _release(questions: Path, n: int) -> Problem:
    known = origins(questions)
    digests = ", ".join(f"{origin['name']} with md5 {origin['md5']}" for origin in known)
    message = (
        f"{n:,} questions from {digests or questions.name}. Three sizes go by the name VP-Bench:"
        " 38,932 questions (arXiv 2511.11438), 100K prompts (the page of AAAI), 14,868 in stage 1"
        " (VLMEvalKit, pull request 1322) · hold scores against each other for one md5 only"
    )
    return Problem(id=NAME, code="release", message=message, warning=True)


def _sample(value: object, where: str) -> Sample:
    row = parse(_Row, value, where)
    texts = [text.strip() for text in (row.A, row.B, row.C, row.D)]
    choices = [text for text in texts if text]
    if texts[: len(choices)] != choices:
        raise BadRecord(f"{where}: an option between others is empty: {texts!r:.80}", "choices")
    if row.answer not in tuple(LETTERS[: len(choices)]):
        raise BadRecord(
            f"{where}: answer {row.answer!r:.60} is not a letter of its {len(choices)} options",
            "answer_not_in_options",
        )
    if not row.image:
        raise BadRecord(f"{where}: has no picture (column image)", "missing_image")
    tags = {"vp_shape": row.vp_shape, "vp_amount": row.vp_amount}
    return Sample(
        id=str(row.index),
        image=row.image,
        question=plain(row.question.strip()),
        choices=tuple(map(plain, choices)),
        target=row.answer,
        group=row.image,
        tags={axis: (str(tag),) for axis, tag in tags.items() if tag not in (None, "")},
    )
