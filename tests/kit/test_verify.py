"""What follows from what in an archive; forgeries whose digests are all as they should be."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.made import Change, content, forged, in_json, in_line
from vipbench.errors import CheckFailed
from vipbench.kit import verify as module
from vipbench.kit.archive import Tampered
from vipbench.kit.make import Kit
from vipbench.kit.members import (
    CERTIFICATE,
    RUN_ANSWERS,
    RUN_MANIFEST,
    RUN_SCORES,
    RUN_SUMMARY,
    VERDICTS,
)
from vipbench.kit.verify import verify


def test_what_is_confirmed_and_what_is_not(small: Kit) -> None:
    found = verify(small.archive)
    confirmed = "\n".join(found.confirmed)
    for expected in (
        "5 members as packed, and nothing else in the archive",
        "its name follows from its settings",
        "samples, keys and targets: those that the name of the run stands for",
        "12 scores: as the answers are scored here",
        "as the scores are summed up here",
        "verdicts: as the rows are held against published numbers here",
    ):
        assert expected in confirmed
    unchecked = "\n".join(found.unchecked)
    assert "questions and images: are not in the archive" in unchecked
    assert "answers: that the model has given them" in unchecked
    assert "certificate.json: is not there: was not asked for" in unchecked
    assert found.verdict == "No published number is comparable with what was run."


def test_the_digest_that_was_sent_is_compared(small: Kit) -> None:
    assert verify(small.archive, small.digest)
    with pytest.raises(CheckFailed, match=r"expected 0000.* it is another archive"):
        verify(small.archive, "0" * 64)


def wrong_value(line: dict[str, Any]) -> None:
    line["value"] = 1.0 - line["value"]


def other_text(line: dict[str, Any]) -> None:
    line["answer"]["text"] = "C" if line["answer"]["text"] != "C" else "A"


def other_target(line: dict[str, Any]) -> None:
    line["trial"]["target"] = "C" if line["trial"]["target"] != "C" else "A"


def own_metric(line: dict[str, Any]) -> None:
    line["metric"] = "accuracy"


def higher(row: dict[str, Any]) -> None:
    row["accuracy"] += 0.1


def without_last_line(data: bytes) -> bytes:
    return b"\n".join(data.splitlines()[:-1]) + b"\n"


def twice(data: bytes) -> bytes:
    return data + data.splitlines(keepends=True)[-1]


@pytest.mark.parametrize(
    ("member", "change", "said"),
    [
        (RUN_SCORES, in_line(0, wrong_value), "is not as its answer is scored"),
        (RUN_ANSWERS, in_line(0, other_text), "is not as its answer is scored"),
        (RUN_ANSWERS, in_line(0, other_target), "targets of own are not those of run"),
        (RUN_SCORES, in_line(0, own_metric), "a score by accuracy, which the run has not"),
        (RUN_SCORES, without_last_line, "has no score by"),
        (RUN_SCORES, twice, "is scored twice by"),
        (RUN_SCORES, lambda data: b"{}\n" + data, "expected a ScoreLine"),
        (RUN_ANSWERS, without_last_line, "targets of own are not those of run"),
        (RUN_SUMMARY, in_line(0, higher), "does not follow from"),
        (RUN_SUMMARY, lambda _: b"[]", "does not follow from|rows, and the scores make"),
        (RUN_MANIFEST, in_json(settings_digest="0" * 64), "is not that of its settings"),
        (RUN_MANIFEST, in_json(run_id="paper-gpt-00000000"), "run_id is 'paper-gpt-00000000'"),
        (VERDICTS, in_json(widening=50.0), "does not follow from the rows"),
    ],
)
def test_what_does_not_follow_is_found(
    archive: Path, member: str, change: Change, said: str
) -> None:
    with pytest.raises(Tampered, match=said) as raised:
        verify(forged(archive, {member: change}))
    assert raised.value.exit_code == 1
    assert raised.value.member in {member, RUN_SCORES}  # scores show what answers were
    assert "vipbench-verify-" not in str(raised.value)


def test_a_certificate_of_another_run_or_with_other_counts_is_found(
    whole: Kit, tmp_path: Path
) -> None:
    archive = tmp_path / "kit.zip"
    archive.write_bytes(whole.archive.read_bytes())
    with pytest.raises(Tampered, match=r"certificate\.json: is of other settings"):
        verify(forged(archive, {CERTIFICATE: in_json(settings_digest="0" * 64)}))
    with pytest.raises(Tampered, match=r"certificate\.json: its counts are not those"):
        verify(forged(archive, {CERTIFICATE: in_json(n_flipped=9)}))


def test_other_published_numbers_are_no_fault(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(content(archive)[VERDICTS])["widening"] == 0.5
    monkeypatch.setattr(module, "registry_digest", lambda: "0" * 64)
    found = verify(archive)
    assert any(line.startswith("reproduce.json: is about other") for line in found.unchecked)


def test_numbers_may_differ_in_their_last_digits() -> None:
    assert module.close({"a": [0.1 + 0.2]}, {"a": [0.3]})
    assert not module.close({"a": [0.3]}, {"a": [0.31]})
    assert not module.close({"a": 1}, {"a": 1, "b": 1})
    assert not module.close([1], [1, 2])
