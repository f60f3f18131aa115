"""The numerics certificate: how many answers of a run are due to rounding.

The same samples are asked twice: one at a time in float32 by plain `generate`, and as a run with
these settings asks them. Both are runs like any other, so what is certified is what runs.
"""

import contextlib
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vipbench import environment, files
from vipbench.analysis.pairs import pair_runs, read_side
from vipbench.console import QUIET, Console
from vipbench.data.tasks import load_suite
from vipbench.errors import RunError, RunnerError
from vipbench.report.text import percent
from vipbench.run.loop import run
from vipbench.run.prepare import choice_of
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runfolder import answers_file, folder
from vipbench.runfolder.lines import ResponseLine, ScoreLine, TrialId, trial_id
from vipbench.runfolder.manifest import CERTIFICATES, Manifest
from vipbench.runfolder.plan import BatchLimit
from vipbench.runners.device import check_names
from vipbench.runners.registry import find_spec, with_checkpoint
from vipbench.schema import AnswerPath, PromptFormat, Record
from vipbench.stats.intervals import clustered_mean
from vipbench.trials.selection import select

N = 200
"""Samples of a certificate, about: equal numbers of each task."""
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the margins that a certificate holds."""


class FlippedAnswer(Record):
    """An answer that differs under the certified settings."""

    task: str
    style: str
    id: str
    text_reference: str
    """In float32, asked alone."""
    text: str | None
    """Under the certified settings; None where there is an error instead."""
    error: str | None
    value_reference: float | None
    """0-1; None where the answer is not scored."""
    value: float | None


class Margins(Record):
    """How far the two likeliest options are apart as first token, in nats.

    In float32, over the samples whose options have finite log-probabilities in both runs.
    """

    n: int
    quantiles: dict[str, float]
    """Share of the samples -> margin below which they lie."""
    max_shift: float
    """Largest change of an option's log-probability."""
    max_margin_shift: float
    """Largest change of the distance between two options of a sample."""
    share_within: float
    """Share of the samples whose margin is at most that, so that rounding can swap the options."""


class Certificate(Record):
    """What `vipbench certify` measured, and for which run."""

    model: str
    weights: str | None
    settings_digest: str
    """As in the manifest of a run: weights, prompt format, dtype, decoding."""
    prompt_format: PromptFormat | None
    dtype: str | None
    decoding: str | None
    runner: str
    path: AnswerPath | None
    """How the certified run computed its answers."""
    path_reference: AnswerPath | None
    device: str
    batch_size: int | None
    """Most requests in a batch; None: only the budget of tokens limits it."""
    token_budget: int | None
    plan_digest: str
    attention: str
    """Kernel that torch takes for the causal attention of a prompt, with this shape and dtype."""
    versions: dict[str, str]
    made: str
    """UTC, ISO 8601."""
    suite: str
    tasks: dict[str, int]
    """Task -> its version."""
    seed: int
    n: int
    """Samples that were answered in float32."""
    n_flipped: int
    """Of them, those with a different text, or an error."""
    n_rescored: int
    """Those with a different score: `n_gained` higher, `n_lost` lower, the others an error."""
    n_gained: int
    n_lost: int
    agreement: float
    """Share of the samples with equal texts."""
    agreement_low: float
    agreement_high: float
    """95 % interval, clustered by image."""
    margins: Margins | None
    """None where the runner reports no log-probabilities."""
    flips: tuple[FlippedAnswer, ...]


class _Pair(NamedTuple):
    """One sample in both runs."""

    reference: ResponseLine
    certified: ResponseLine
    scores: tuple[ScoreLine, ScoreLine]

    @property
    def is_flipped(self) -> bool:
        return self.reference.text != self.certified.text

    @property
    def is_rescored(self) -> bool:
        return self.scores[0].value != self.scores[1].value


def certify(
    settings: RunSettings,
    n: int = N,
    out: Path | None = None,
    *,
    scratch: Path | None = None,
    console: Console = QUIET,
) -> tuple[Path, Certificate]:
    """Measure what rounding does to the answers of a run, and write the certificate.

    Args:
        settings: of the run; the samples are those of its tasks or suite.
        n: samples in all: equal numbers of each task, rounded up, chosen by the seed.
        out: the file; None: where a run with these settings finds it.
        scratch: folder of the two runs, which resume what a killed command has left there; None:
            one that goes at the end.
        console: takes messages and shows bars.

    Returns:
        The file, and what it holds.

    Raises:
        VipbenchError: settings, data or model cannot be used, or no sample is answered in float32.
    """
    spec = find_spec(settings.runner)
    if not spec.loads_checkpoint or (settings.model, settings.adapter) == (None, None):
        raise RunnerError(
            f"runner {settings.runner}: has no rounding to certify · expected a checkpoint · give "
            f"--model, and --runner {' or '.join(with_checkpoint())}"
        )
    check_names(settings.device, settings.dtype)  # before the reference, which takes minutes
    sampled = _samples(settings, n)
    tolerant: dict[str, object] = {"max_errors": 1.0}  # errors are counted here
    one_by_one = {"batch_size": 1, "token_budget": None, "workers": 1}
    plain = tolerant | one_by_one | {"dtype": "float32"}
    if "path" in spec.heeds:
        plain["path"] = "reference"
    with _folder(scratch) as folder_of_runs:
        reference, certified = (
            run(
                sampled.model_copy(update={**changes, "out": folder_of_runs / name}),
                # Both runs would send the same messages.
                console=console if name == "certified" else replace(console, say=QUIET.say),
            )
            for name, changes in (("reference", plain), ("certified", tolerant))
        )
        pairs = list(_pairs(reference, certified))
    if not pairs:
        raise RunError(
            f"{settings.model or settings.adapter}: no sample was answered in float32 · there is "
            "nothing to certify"
        )
    certificate = _certificate(pairs, reference.manifest, certified.manifest, settings)
    path = out or CERTIFICATES / f"{certificate.settings_digest}.json"
    files.write_json(path, certificate.model_dump(mode="json"))
    return path, certificate


@contextlib.contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    """Lend a folder for the two runs."""
    if scratch is not None:
        yield scratch
        return
    with tempfile.TemporaryDirectory(prefix="vipbench-certify-") as made:
        yield Path(made)


def _samples(settings: RunSettings, n: int) -> RunSettings:
    """Take part of each task, under one style: the suite's first, else the task's own."""
    styles = settings.styles
    if styles is None and settings.suite is not None:
        suite_styles = load_suite(settings.suite, settings.include).styles
        styles = suite_styles[0] if suite_styles else None
    selection = select(
        suite=settings.suite,
        tasks=settings.tasks,
        styles=styles,
        data=settings.data,
        include=settings.include,
        fit=settings.fit,
    )
    limit = math.ceil(n / len(selection.tasks))
    return settings.model_copy(update={"styles": styles, "limit": limit, "metrics": ()})


def _pairs(reference: Results, certified: Results) -> Iterator[_Pair]:
    """Yield the samples that were answered in float32, task by task."""
    before, after = (
        answers_file.read_responses(results.path / folder.RESPONSES)
        for results in (reference, certified)
    )
    sides = read_side(str(reference.path)), read_side(str(certified.path))
    for pairing in pair_runs(*sides):
        if reference.manifest.tasks[pairing.task].parts:
            continue  # scored from its parts
        for pair in pairing.pairs:
            name: TrialId = trial_id(pair.base)
            if name in before and before[name].error is None:
                yield _Pair(before[name], after[name], (pair.base, pair.new))


def _certificate(
    pairs: Sequence[_Pair], reference: Manifest, certified: Manifest, settings: RunSettings
) -> Certificate:
    from vipbench.runners.checkpoints.attention import checkpoint_kernel  # loads torch
    from vipbench.runners.checkpoints.spec import model_of

    identity, model = certified.identity, certified.identity.settings
    flipped = [pair for pair in pairs if pair.is_flipped]
    values = [
        (before.value, after.value)
        for before, after in (pair.scores for pair in pairs if pair.is_rescored)
        if before.value is not None and after.value is not None
    ]
    # Tasks of one root share images.
    clusters = [
        (certified.tasks[pair.reference.task].images, pair.scores[0].group) for pair in pairs
    ]
    agreement = clustered_mean([float(not pair.is_flipped) for pair in pairs], clusters)
    return Certificate(
        model=identity.model,
        weights=model.weights,
        settings_digest=certified.settings_digest,
        prompt_format=model.prompt_format,
        dtype=model.numbers,
        decoding=model.decoding,
        runner=identity.runner,
        path=certified.path,
        path_reference=reference.path,
        device=certified.device,
        batch_size=certified.batch_size,
        token_budget=certified.token_budget,
        plan_digest=certified.plan_digest,
        attention=checkpoint_kernel(model_of(choice_of(settings)), model.dtype, certified.device),
        versions=certified.versions,
        made=environment.now(),
        suite=identity.suite,
        tasks=identity.tasks,
        seed=identity.seed,
        n=len(pairs),
        n_flipped=len(flipped),
        n_rescored=sum(pair.is_rescored for pair in pairs),
        n_gained=sum(after > before for before, after in values),
        n_lost=sum(after < before for before, after in values),
        agreement=agreement.mean,
        agreement_low=agreement.ci_low,
        agreement_high=agreement.ci_high,
        margins=_margins(pairs),
        flips=tuple(map(_flip, flipped)),
    )


def _flip(pair: _Pair) -> FlippedAnswer:
    before, after = pair.scores
    return FlippedAnswer(
        task=pair.reference.task,
        style=pair.reference.style,
        id=pair.reference.id,
        text_reference=pair.reference.text or "",
        text=pair.certified.text,
        error=pair.certified.error,
        value_reference=before.value,
        value=after.value,
    )


def _margins(pairs: Sequence[_Pair]) -> Margins | None:
    margins, shifts, margin_shifts = [], [], []
    for pair in pairs:
        before, after = pair.reference.option_logprobs, pair.certified.option_logprobs
        if before is None or after is None or len(before) < 2:
            continue
        if not all(map(math.isfinite, (*before, *after))):
            continue
        second, first = sorted(before)[-2:]
        margins.append(first - second)
        moves = [y - x for x, y in zip(before, after, strict=True)]
        shifts.append(max(map(abs, moves)))
        margin_shifts.append(max(moves) - min(moves))
    if not margins:
        return None
    reach = max(margin_shifts)
    quantiles = np.quantile(margins, QUANTILES)
    return Margins(
        n=len(margins),
        quantiles={f"{q:g}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)},
        max_shift=max(shifts),
        max_margin_shift=reach,
        share_within=sum(margin <= reach for margin in margins) / len(margins),
    )


def report(of: Certificate) -> Mapping[str, str]:
    """Return what a certificate holds as lines for readers, by their headings."""
    margins = of.margins
    batches = BatchLimit(of.batch_size, of.token_budget)
    lines = {
        "settings": f"{of.model}, {of.dtype}, {of.prompt_format}, batches of {batches}, "
        f"{of.device}, {of.attention}",
        "flipped": f"{of.n_flipped:,} of {of.n:,} answers differ from float32 at batch 1",
        "agreement": f"{percent(of.agreement)} % "
        f"[{percent(of.agreement_low)}, {percent(of.agreement_high)}]",
        "scores": f"{of.n_rescored:,} changed ({of.n_gained} gained, {of.n_lost} lost)",
    }
    if margins is not None:
        low, middle = margins.quantiles["0.05"], margins.quantiles["0.5"]
        lines["margins"] = (
            f"{low:.3g} at 5 %, {middle:.3g} at 50 % of {margins.n:,} choices; rounding moves them "
            f"by {margins.max_margin_shift:.3g} at most, more than the margin of "
            f"{percent(margins.share_within)} %"
        )
    return lines
