"""Every stage of a way is timed."""

from pathlib import Path

from vipbench.bench.report import BenchReport


def test_every_stage_is_reported(report: Path) -> None:
    measured = BenchReport.model_validate_json(report.read_text(encoding="utf-8"))
    model = {"vision", "prefill", "decode", "vocabulary", "around the model", "write"}
    assert measured.ways["official"].stages.keys() >= model | {"read", "load", "normalise"}
    ahead = {f"ahead: {name}" for name in ("read", "decode", "draw", "fit", "digest")}
    ours = measured.ways["vipbench"].stages
    assert ours.keys() >= model | ahead | {"wait", "loop", "copy, apart", "afterwards: score"}
    assert min(ours[name] for name in model) > 0
