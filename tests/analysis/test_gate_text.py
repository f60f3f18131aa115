import xml.etree.ElementTree as Xml
from pathlib import Path

from tests.analysis.test_gate import answers
from tests.analysis.test_pairs import V7W, run
from tests.results import line
from vipbench.analysis.gate import Thresholds, gate
from vipbench.analysis.gate_text import difference_lines, junit, summary, table


def test_junit_has_a_case_for_each_row_and_finding(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200, lost=20, errors=5))
    found = gate(base, new, Thresholds(), by=["shape"])
    root = Xml.fromstring(junit(found))
    [suite] = root.findall("testsuite")
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases)) == str(len(found.rows) + len(found.findings))
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert suite.get("failures") == str(len(failed)) == str(len(found.failures))
    assert failed == [
        *(V7W, f"{V7W} shape=arrow", f"{V7W} shape=ellipse", f"{V7W} errors"),
    ]
    assert "q7" in "".join(cases[0].itertext())


def test_hostile_names_leave_xml_and_markdown_whole(tmp_path: Path) -> None:
    hostile = "</failure>]]>\x00\x1b<script>|`\ud7ff"
    scores = [line(V7W, f"{hostile}{i}", float(i > 50), group=str(i)) for i in range(200)]
    base = [each.model_copy(update={"value": 1.0}) for each in scores]
    found = gate(run(tmp_path / "a", base), run(tmp_path / "b", scores), Thresholds())
    root = Xml.fromstring(junit(found))
    assert "</failure>]]>��<script>" in "".join(root.itertext())
    assert "<script>" not in summary(found).replace(r"\<script>", "")


def test_the_summary_names_rows_findings_and_lost_samples(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200, lost=20), model="new")
    text = summary(gate(base, new, Thresholds()))
    assert text.startswith("## FAILED")
    assert f"| FAIL | {V7W} | 100.0 | 90.0 | -10.0 |" in text
    strict = gate(base, new, Thresholds(max_drop=0.04))
    [row] = [line for line in summary(strict).splitlines() if line.startswith("| FAIL")]
    assert row.split(" | ")[6] == "-4.0"
    assert "allowed -4.0, p" in junit(strict)
    assert "`q9` and 10 more" in text
    assert "**warning**" in text
    assert "bound of the one-sided 95 % interval" in text
    assert "would show with 80 % power" in text
    few = gate(run(tmp_path / "c", answers(30)), run(tmp_path / "d", answers(30)), Thresholds())
    [power] = [each for each in few.findings if each.about == "power"]
    assert "would show with 80 % power is" in power.message
    assert table(few).words == (0,)
    other = summary(gate(base, new, Thresholds(alpha=0.01, power=0.9)))
    assert "bound of the one-sided 99 % interval" in other
    assert "would show with 90 % power" in other
    assert "differs: model: vip → new" in text
    assert f"| base | vip | vip | - | aaaaaaaa | {base} |" in text
    assert f"| new | new | new | - | aaaaaaaa | {new} |" in text
    assert summary(gate(base, base, Thresholds())).startswith("## Passed")


def test_differences_come_before_the_rows_everywhere(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200), task={"fit": "squash"}, settings={"dtype": "float32"})
    stopped = gate(base, new, Thresholds(), allow=["dtype"])
    assert difference_lines(stopped) == [
        "FAIL: differs: fit: pad → squash",
        "allowed: differs: dtype: float16 → float32",
        "the two runs have the same weights (vip): what differs is fit, dtype",
    ]
    page = summary(stopped)
    assert page.startswith("## FAILED")
    assert "- FAIL: differs: fit: pad → squash" in page
    assert "no row was tested" in page
    assert "| pass |" not in page
    suite = Xml.fromstring(junit(stopped))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = {case.get("name"): case[0] for case in suite}
    assert cases["fit"].get("message") == "fit: pad → squash"
    assert (cases["fit"].tag, cases["dtype"].tag) == ("failure", "system-out")
    passed = gate(base, new, Thresholds(detect=0.01), allow=["dtype", "fit"])
    suite = Xml.fromstring(junit(passed))[0]
    assert len(passed.rows) == len(passed.findings) == 1
    assert suite.get("tests") == str(len(suite)) == "4"
    allowed = summary(gate(base, new, Thresholds(), allow=["dtype", "fit"]))
    assert allowed.startswith("## Passed")
    assert allowed.index("- allowed: differs: fit: pad → squash") < allowed.index("| pass |")
