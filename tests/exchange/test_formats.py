"""Answer files of other programs: what they hold, how they are told apart, what is refused."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests import other_programs
from vipbench.errors import DataError
from vipbench.exchange.formats import (
    Reply,
    official_answers,
    plain_csv,
    plain_jsonl,
    read_answers,
    vip_bench_results,
    visual7w_results,
)

TEXTS = {
    "v1_0": "A",
    "v1_1": "",
    "v1_2": '  "quoted", and , commas\t; \\n ',
    "v1_3": "two\nlines\r\nand a third\r",
    "v1_4": "Größe 大きさ 🦊 \u2028 \u00a0 \x00 e\u0301",
    "v1_5": "# not <AND> a <OR> comment",
    "v1_10": '{"text": "nested"}',
}
"""Texts that a careless writer or reader changes."""


def file(folder: Path, content: str | bytes, name: str = "answers.json") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def written(folder: Path, parts: Iterable[str]) -> Path:
    return file(folder, "".join(parts))


def reply(id_: str, text: str, box: str | None = "") -> Reply:
    return Reply(id_, text, f"asked {id_}", f"question {id_}", box, f"name-{id_}")


def texts(path: Path, as_format: str | None = None) -> dict[str, str]:
    return {answer.id: answer.text for answer in read_answers(path, as_format).answers}


# --- what each format holds


def test_outputs_of_gar_bench_are_named_by_their_images(tmp_path: Path) -> None:
    outputs = [
        {"image": "images/vqa_0.png", "answer": "A", "type": "mirror", "model_output": "C"},
        {"image": "images/vqa_12.png", "answer": "D", "type": "color", "model_output": " d\n"},
    ]
    path = file(tmp_path, json.dumps(outputs))
    assert read_answers(path).format == "gar_bench"
    assert texts(path) == texts(path, "gar_bench") == {"vqa_0": "C", "vqa_12": " d\n"}
    path = file(
        tmp_path, json.dumps([*outputs, {"image": "images/vqa_3.png", "model_output": None}])
    )
    with pytest.raises(DataError, match=r"record 2: model_output = None"):
        read_answers(path)


def test_official_answers_are_json_lines_whatever_their_name(tmp_path: Path) -> None:
    first = {"question_id": "v7w-7", "text": "B", "answer_id": "x", "model_id": "m"}
    second = {"question_id": 8, "prompt": "What?", "text": "a cup", "model_id": "n", "metadata": {}}
    found = read_answers(file(tmp_path, lines(first, second)))
    assert found.format == "answers"
    assert [answer[:2] for answer in found.answers] == [("v7w-7", "B"), ("8", "a cup")]
    assert [answer.where for answer in found.answers] == ["line 1", "line 2"]
    assert [answer.asked for answer in found.answers] == ["", "What?"]
    assert found.models() == {"m": 1, "n": 1}


def test_one_answer_is_an_answer(tmp_path: Path) -> None:
    path = file(tmp_path, lines({"question_id": 0, "text": "B", "model_id": None}))
    assert texts(path) == {"0": "B"}


def test_visual7w_results_name_boxes(tmp_path: Path) -> None:
    results = [
        {"candidates": [{"answer": 51}], "question": "Which?", "qa_id": 9},
        {"candidates": [{"answer": "52"}, {"answer": 51}], "question": "Which?", "qa_id": 10},
        {"candidates": [], "question": "Which?", "qa_id": 11},
    ]
    found = read_answers(file(tmp_path, json.dumps(results, indent=2)))
    assert found.format == "visual7w"
    assert [answer[:2] for answer in found.answers] == [("9", "51"), ("10", "52"), ("11", "")]
    assert len(found.notes) == 2
    assert "1 results with several candidates; the first one counts" in found.notes[0]
    assert "1 results without a candidate" in found.notes[1]


def test_vip_bench_results_are_one_object(tmp_path: Path) -> None:
    found = read_answers(file(tmp_path, json.dumps({"v1_0": "a", "v1_10": "b\nc"})))
    assert found.format == "vip_bench"
    assert [answer[:2] for answer in found.answers] == [("v1_0", "a"), ("v1_10", "b\nc")]


@pytest.mark.parametrize(
    "content",
    [
        "id,text\nq1,A\nq2,\"x, y\"\n",
        "\ufeffid,text\r\nq1,A\r\nq2,\"x, y\"\r\n",
        "id, text\nq1, A\nq2, \"x, y\"",
        "\n\ntext,model,id\nA,m,q1\n\n\"x, y\",m,q2\n",
        '"id","text"\n"q1","A"\n"q2","x, y"\n',
    ],
)  # fmt: skip
def test_csv_by_its_header(tmp_path: Path, content: str) -> None:
    found = read_answers(file(tmp_path, content, "answers.txt"))
    assert found.format == "csv"
    assert [answer[:2] for answer in found.answers] == [("q1", "A"), ("q2", "x, y")]


def test_csv_says_the_line_where_a_record_begins(tmp_path: Path) -> None:
    path = file(tmp_path, 'id,text\nq1,"two\nlines"\n\nq2,A\n')
    assert [answer.where for answer in read_answers(path).answers] == ["line 2", "line 5"]


def test_plain_json_lines(tmp_path: Path) -> None:
    records = ({"id": "q1", "text": "A", "note": 1}, {"text": "B", "id": 2})
    found = read_answers(file(tmp_path, "\ufeff" + lines(*records), "a.csv"))
    assert found.format == "jsonl"
    assert [answer[:3] for answer in found.answers] == [("q1", "A", "line 1"), ("2", "B", "line 2")]


def test_duplicates_are_all_there(tmp_path: Path) -> None:
    path = file(tmp_path, "id,text\nq1,A\nq1,B\n")
    assert [answer[:2] for answer in read_answers(path).answers] == [("q1", "A"), ("q1", "B")]


def test_the_digest_is_the_files(tmp_path: Path) -> None:
    first = read_answers(file(tmp_path, "id,text\nq1,A\n", "1.csv")).digest
    second = read_answers(file(tmp_path, "id,text\nq1,B\n", "2.csv")).digest
    assert len(first) == 64
    assert first != second


def test_a_format_may_be_named(tmp_path: Path) -> None:
    path = file(tmp_path, lines({"question_id": 1, "id": "q1", "text": "A"}))
    assert texts(path) == {"1": "A"}
    assert texts(path, "jsonl") == {"q1": "A"}


# --- what is refused


OFFICIAL = {"question_id": "q0", "text": "A", "model_id": "m"}
RESULT = {"candidates": [{"answer": 51}], "question": "?", "qa_id": 9}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("\ufeff \n", "the file is empty"),
        ("[]", "holds an empty list · expected answers: official answers"),
        ("{}", "holds an object with the keys (none)"),
        ('[{"image": "x", "question": "y"}]', "objects with the keys image, question · expected"),
        (lines(OFFICIAL) + '{"question_id": "q1", "te', ":2:"),
        (lines(OFFICIAL, OFFICIAL) + '{"question_id": "q1", "text": NaN}', "NaN is not JSON"),
        (lines(OFFICIAL) + '{"question_id": "q1", "text": "A", "text": "B"}\n', "occurs twice"),
        (lines(OFFICIAL, OFFICIAL | {"text": 3}), "line 2: text = 3 · expected text"),
        (lines(OFFICIAL, OFFICIAL | {"text": None}), "line 2: text = None"),
        (lines(OFFICIAL, OFFICIAL | {"text": ["A"]}), "line 2: text = ['A']"),
        (lines(OFFICIAL, {"question_id": "q1", "txt": "A"}), "'text' is missing · did you mean"),
        (lines(OFFICIAL, OFFICIAL | {"question_id": 1.5}), "line 2: question_id"),
        (lines(OFFICIAL, OFFICIAL | {"question_id": True}), "line 2: question_id"),
        (lines(OFFICIAL, OFFICIAL | {"question_id": ""}), "line 2: the id is empty"),
        (lines(OFFICIAL, OFFICIAL | {"model_id": 7}), "line 2: model_id = 7"),
        (lines(OFFICIAL, OFFICIAL | {"text": "\ud83d"}), "line 2: '\\ud83d' holds half"),
        (lines(OFFICIAL, "A", 3, None), "line 2: 'A' is not a JSON object; line 3: 3 is not"),
        (lines(OFFICIAL, *[{"question_id": 1}] * 5), "and 2 more · correct what is wrong"),
        (
            lines({"question_id": 0, "image": "x", "text": "?", "category": "c"}),
            "holds the questions of ViP-Bench, not answers",
        ),
        (json.dumps([RESULT, RESULT | {"candidates": ["51"]}]), "record 1: candidates.0"),
        (json.dumps([RESULT, RESULT | {"candidates": [{"answer": 5.0}]}]), "record 1: candid"),
        (json.dumps([RESULT, {"qa_id": 10}]), "record 1: key 'candidates' is missing"),
        ('{"v1_0": "a", "v1_0": "b"}', "key 'v1_0' occurs twice in one object"),
        ('{"v1_0": "a", "v1_01": "b"}', "key 'v1_01': expected v1_ and a number"),
        ('{"v1_0": "a", "total": 48.4}', "key 'total': expected v1_ and a number"),
        ('{"v1_0": {"answer": "a"}}', "key 'v1_0': {'answer': 'a'} is not text"),
        ("id;text\nq1;A\n", "'id;text' has the column 'id' 0 times"),
        ("Id,Text\nq1,A\n", "has the column 'id' 0 times · did you mean 'Id'?"),
        ("id,text,text\nq1,A,B\n", "has the column 'text' 2 times"),
        ("q1,A\nq2,B\n", "the first line 'q1,A' has the column 'id' 0 times"),
        ("id,text\nq1,A\nq2,B, and C\n", ":3: 3 fields ['q2', 'B', ' and C'] · expected 2"),
        ("id,text\nq1\n", ":2: 1 fields ['q1'] · expected 2"),
        ("id,text\nq1,A\n,B\n", ":3: the id is empty"),
        ('id,text\nq1,"A\n', "broken CSV"),
        ('id,text\nq1,"A"B\n', "broken CSV"),
        ("id,text\n", "holds no answer"),
        ("question,caf\xe9\n".encode("latin-1"), "not UTF-8 text (byte 12)"),
        ("id,text\nq1,A\n".encode("utf-16"), "not UTF-8 text (byte 0)"),
        (lines(OFFICIAL).encode("utf-16"), "not UTF-8 text (byte 0)"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_with_its_place(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    path = file(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_answers(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json: does not exist"):
        read_answers(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match=r"nowhere\.csv: cannot be read"):
        read_answers(tmp_path / "nowhere.csv", "csv")
    with pytest.raises(DataError, match="not a folder of datasets"):
        read_answers(tmp_path)
    with pytest.raises(DataError, match="is a folder · expected a file in format csv"):
        read_answers(tmp_path, "csv")
    with pytest.raises(DataError, match="is not a folder"):
        read_answers(file(tmp_path, "id,text\n"), "datasets")
    with pytest.raises(DataError, match="did you mean 'visual7w'"):
        read_answers(tmp_path, "visual7")


@pytest.mark.parametrize("as_format", ["answers", "visual7w", "vip_bench", "jsonl", "csv"])
def test_a_named_format_is_held_to(tmp_path: Path, as_format: str) -> None:
    with pytest.raises(DataError):
        read_answers(file(tmp_path, '[{"something": "else"}]'), as_format)


# --- what is written is what others read, and what is read again


def test_written_official_answers(tmp_path: Path) -> None:
    replies = [reply(id_, text) for id_, text in TEXTS.items()]
    path = written(tmp_path, official_answers([*replies, reply("vcr-1", "B")], "a model"))
    records = other_programs.official_answers(path)
    assert {f"v1_{r['question_id']}": r["text"] for r in records[:-1]} == TEXTS
    assert all(record["model_id"] == "a model" for record in records)
    assert records[0]["prompt"] == "asked v1_0"
    assert records[-1]["question_id"] == "vcr-1"
    assert "prompt" not in records[-1]
    assert list(texts(path).values()) == [*TEXTS.values(), "B"]


def test_written_vip_bench_results_are_those_of_the_official_converter(tmp_path: Path) -> None:
    answers = written(tmp_path, official_answers([reply(i, t) for i, t in TEXTS.items()], "m"))
    other_programs.convert_for_evaluator(answers, tmp_path / "converted.json")
    path = written(tmp_path, vip_bench_results(TEXTS))
    assert json.loads(path.read_bytes()) == json.loads((tmp_path / "converted.json").read_bytes())
    assert texts(path) == TEXTS
    with pytest.raises(DataError, match="'q1': expected v1_ and a number"):
        list(vip_bench_results({"v1_1": "", "q1": ""}))


def test_written_visual7w_results(tmp_path: Path) -> None:
    dataset = file(
        tmp_path,
        json.dumps(
            {
                "images": [
                    {"split": "val", "qa_pairs": [{"qa_id": 1, "answer": 50}]},
                    {
                        "split": "test",
                        "qa_pairs": [{"qa_id": n, "answer": 50 + n} for n in (2, 3, 4)],
                    },
                ]
            }
        ),
        "dataset.json",
    )
    replies = [reply("v7w-2", "A", "52"), reply("v7w-3", "B", "59"), reply("v7w-4", "a cat")]
    path = written(tmp_path, visual7w_results(replies))
    assert other_programs.visual7w_toolkit(path, dataset) == (1, 3)
    assert json.loads(path.read_bytes())[0] == {
        "candidates": [{"answer": 52}],
        "question": "question v7w-2",
        "qa_id": 2,
    }
    assert texts(path) == {"2": "52", "3": "59", "4": ""}
    with pytest.raises(DataError, match="'v7w-x': expected v7w- and a number"):
        list(visual7w_results([reply("v7w-x", "A", "1")]))
    with pytest.raises(DataError, match="expected a run on the raw release"):
        list(visual7w_results([reply("v7w-1", "A", None)]))


def test_written_csv_and_json_lines(tmp_path: Path) -> None:
    path = written(tmp_path, plain_csv(TEXTS))
    assert other_programs.csv_texts(path) == TEXTS
    assert texts(path) == TEXTS
    path = written(tmp_path, plain_jsonl(TEXTS))
    assert other_programs.jsonl_texts(path) == TEXTS
    assert texts(path) == TEXTS


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl"])
def test_answers_that_never_end_are_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="not a regular file"):
        read_answers(tmp_path / name)


def test_csv_keeps_every_line_break(tmp_path: Path) -> None:
    texts = {"1": "a\rb", "2": "a\nb", "3": "a\r\nb", "4": "=1+2"}
    path = tmp_path / "a.csv"
    path.write_bytes("".join(plain_csv(texts)).encode())
    assert {answer.id: answer.text for answer in read_answers(path).answers} == texts
