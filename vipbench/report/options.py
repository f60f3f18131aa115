"""How the likeliest option letters compare with the texts, in a line at the end of a run."""

import statistics
from array import array
from typing import Self

from vipbench.report.text import number, percent
from vipbench.runfolder.lines import ScoreLine
from vipbench.schema import Response, Trial
from vipbench.scoring.answers import matches_short
from vipbench.scoring.scorers import likeliest_option


class OptionNote:
    """Agreement of letters and texts, and who is right, taken one answer after another."""

    def __init__(self) -> None:
        self._n = self._n_agree = 0
        self._text_right = self._option_right = 0.0
        self._margins = array("d")

    def add(self, trial: Trial, response: Response | None, headline: ScoreLine) -> None:
        """Take an answer and its score by the headline metric.

        One without a likeliest option, or that the model declined to give, is passed over.
        """
        if response is None or headline.value is None or headline.state == "refused":
            return
        option = likeliest_option(trial, response) if trial.kind == "choice" else None
        if option is None:
            return
        self._n += 1
        self._n_agree += headline.answer == option.letter
        self._text_right += headline.value
        self._option_right += matches_short(option.letter, trial.target)
        if option.margin is not None:
            self._margins.append(option.margin)

    def extend(self, later: Self) -> None:
        """Take the answers that another one has taken."""
        self._n += later._n
        self._n_agree += later._n_agree
        self._text_right += later._text_right
        self._option_right += later._option_right
        self._margins.extend(later._margins)

    def text(self) -> str | None:
        """Say it in a line; None where no likeliest option is known."""
        n, margins = self._n, self._margins
        if not n:
            return None
        median = f"; median margin {number(statistics.median(margins), 2)} nats" if margins else ""
        return (
            f"options: text and likeliest letter agree in {percent(self._n_agree / n)} % of {n:,} "
            f"choices; the letter is right in {percent(self._option_right / n)} %, the text in "
            f"{percent(self._text_right / n)} %{median}"
        )
