"""The page that specifies the run folder says what the code writes, key by key."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
from pydantic.fields import FieldInfo

from vipbench.endpoints.dialect import Dialect
from vipbench.endpoints.ledger import Spent
from vipbench.errors import VipbenchError
from vipbench.extractor.ledger import EXTRACTIONS, Extraction
from vipbench.extractor.runs import ExtractorReport, ExtractorResult
from vipbench.judge.ledger import GRADES, Grade
from vipbench.judge.report import Agreement, JudgeReport, JudgeResult, Part
from vipbench.judge.runs import METRIC
from vipbench.run.seeds import SEEDS
from vipbench.runfolder.endpoint_use import EndpointFacts, Usage
from vipbench.runfolder.folder import EXTRACTORS, FILES, JUDGE
from vipbench.runfolder.judge_file import Judge
from vipbench.runfolder.lines import ResponseLine, ScoreLine
from vipbench.runfolder.manifest import (
    Blocks,
    CertificateRef,
    Identity,
    Manifest,
    Segment,
    Settings,
    TaskRun,
    Times,
    Written,
)
from vipbench.runfolder.name_file import Name
from vipbench.runfolder.shard import Shard
from vipbench.runfolder.sharing import Reading, Sharing
from vipbench.runfolder.summary import Row, SeedRow
from vipbench.schema import (
    ExtraMetric,
    Kind,
    MarkPart,
    PromptStyle,
    Record,
    Region,
    Request,
    Surround,
    Trial,
    Visibility,
    VisualPrompt,
)
from vipbench.scoring.scorers import metric_name

PAGE = Path(__file__).parents[2] / "docs" / "run_folder.md"
TEXT = PAGE.read_text(encoding="utf-8")
RECORDS: dict[str, type[Record]] = {
    record.__name__: record
    for record in (
        *(Manifest, Identity, Settings, PromptStyle, TaskRun, Times, CertificateRef, Shard),
        *(Segment, Blocks, Sharing, Reading, Written, EndpointFacts, Dialect, Usage, Name),
        *(Surround, MarkPart, Trial, Request, VisualPrompt, Region),
        *(ResponseLine, Visibility, ScoreLine, Row, SeedRow),
        *(JudgeReport, JudgeResult, Part, Agreement, Spent, Grade, Judge),
        *(ExtractorReport, ExtractorResult, Extraction),
    )
}
NEW = {"Segment", "Blocks", "Sharing", "Reading", "Surround", "MarkPart"}
NEW |= {"EndpointFacts", "Dialect", "Usage"}
NEW |= {"ExtractorReport", "ExtractorResult", "Extraction", "Name"}
"""Records of version 2 that are written as a whole."""
RESERVED: set[str] = set()
"""Records that nothing writes yet."""


class Key(NamedTuple):
    """A row of a table."""

    type: str
    since: str
    default: str
    counts_in: str


def tables() -> dict[str, dict[str, Key]]:
    """Read the tables of records: name of the record → its keys."""
    found: dict[str, dict[str, Key]] = {}
    for section in re.split(r"^#{2,3} ", TEXT, flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section, re.MULTILINE)
        if "| key | type | since |" in section:
            cells = {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}
            assert all(len(row) == 5 for row in cells.values()), section.partition("\n")[0]
            assert len(cells) == len(rows)
            found[section.partition("\n")[0]] = {name: Key(*row[:4]) for name, row in cells.items()}
    return found


TABLES = tables()


def shown(field: FieldInfo) -> str:
    """Write a default as the page does."""
    if field.is_required():
        return ""
    if field.default_factory_takes_validated_data:
        return "derived"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, Times):
        return "zeros"
    if isinstance(default, str) and default:
        return f"`{default}`"
    text = json.dumps(default)
    return f"`{text}`" if text[0] in '[{"' else text


def examples() -> Iterator[tuple[str, bool, dict[str, object]]]:
    """Yield record, whether it is of version 2, and content of each labelled example."""
    for name, version_2, text in re.findall(
        r"^Example of (\w+)( in version 2)?:\n\n```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL
    ):
        yield name, bool(version_2), json.loads(text)


def written_of_version_2() -> set[tuple[str, str]]:
    """Read which keys of version 2 are written: record, key."""
    (listed,) = re.findall(r"^Of version 2 are written: (.*?)\.\n\n", TEXT, re.M | re.DOTALL)
    return set(re.findall(r"`(\w+)\.(\w+)`", listed))


WRITTEN_2 = written_of_version_2()


def test_every_record_has_a_table() -> None:
    assert TABLES.keys() == RECORDS.keys() | RESERVED


@pytest.mark.parametrize("name", RECORDS)
def test_the_keys_that_are_written_are_those_of_the_code(name: str) -> None:
    fields = RECORDS[name].model_fields
    keys = {
        key: row
        for key, row in TABLES[name].items()
        if row.since == "1" or (name, key) in WRITTEN_2 or name in NEW
    }
    assert keys.keys() == fields.keys()
    for key, row in keys.items():
        assert (row.type.endswith("or null")) == (type(None) in get_args(fields[key].annotation)), (
            key
        )
        assert row.default == shown(fields[key]), key


@pytest.mark.parametrize("name", TABLES)
def test_every_other_key_is_reserved(name: str) -> None:
    for key, row in TABLES[name].items():
        assert row.since in ("1", "2"), key
        if row.since == "2" and any(each.since == "1" for each in TABLES[name].values()):
            assert row.default, f"{key} has no meaning in version 1"
        if row.since == "2" and name in {*RECORDS} - NEW and (name, key) not in WRITTEN_2:
            assert key not in RECORDS[name].model_fields


@pytest.mark.parametrize("name", RECORDS)
def test_what_never_counts_counts_in_nothing(name: str) -> None:
    for key in RECORDS[name].UNDIGESTED:
        assert TABLES[name][key].counts_in == ""


def test_the_examples_are_records() -> None:
    names = []
    for name, is_version_2, content in examples():
        assert content.keys() <= TABLES[name].keys()
        names.append(name)
        if is_version_2:
            assert (
                content.items()
                >= json.loads(
                    RECORDS[name].model_validate_json(json.dumps(content)).model_dump_json()
                ).items()
            )
        else:
            RECORDS[name].model_validate_json(json.dumps(content))
            first = {key for key, row in TABLES[name].items() if row.since == "1"}
            assert content.keys() == first
    assert {"Trial", "ResponseLine", "ScoreLine"} <= set(names)


def test_the_manifest_of_version_2_has_keys_of_the_tables() -> None:
    (text,) = re.findall(r"```json\n(\{\n  \"format\": 2.*?)```", TEXT, re.DOTALL)
    manifest = json.loads(text)
    assert manifest.keys() <= TABLES["Manifest"].keys()
    for segment in manifest["segments"]:
        assert segment.keys() | Segment.SPARSE == TABLES["Segment"].keys()
    for written in manifest["files"].values():
        assert written.keys() == TABLES["Written"].keys()


def test_every_file_is_listed() -> None:
    listed = dict(re.findall(r"^\| `([\w.]+)`[^|]* \| (\d) \|", TEXT, re.MULTILINE))
    assert {name for name in (*FILES, JUDGE, GRADES, SEEDS) if listed.get(name) != "1"} == set()
    assert {listed.get(name) for name in (EXTRACTORS, EXTRACTIONS)} == {"2"}
    assert listed["name.json"] == "2"


def test_every_metric_is_listed() -> None:
    section = TEXT.split("## Metrics and extraction rules")[1].split("\n## ")[0]
    listed = {
        name for name, since in re.findall(r"^\| `(\w+)` \| (\d) \|", section, re.M) if since == "1"
    }
    headlines = {metric_name(kind) for kind in get_args(Kind)}
    assert listed == {*headlines, *get_args(ExtraMetric), METRIC}


def test_the_exit_codes_are_those_of_the_errors() -> None:
    section = TEXT.split("## Exit codes")[1]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    kinds: list[type[VipbenchError]] = [VipbenchError, *VipbenchError.__subclasses__()]
    raised = {kind.exit_code for kind in kinds}
    assert listed == {0} | raised


def test_links_within_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
