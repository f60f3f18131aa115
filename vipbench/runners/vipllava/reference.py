"""reference: part of what was vipbench/runners/vipllava/runner.py."""

import numpy as np
import torch
from transformers import LogitsProcessor

from vipbench.runners.vipllava.tokens import Row, _option_logprobs, sample


class Steps(LogitsProcessor):
    """Watches each step of `generate`, and chooses the tokens of rows that are sampled."""

    def __init__(self, rows: list[Row]) -> None:
        self.logprobs: list[tuple[float, ...] | None] = []
        """Of the options, from the first step."""
        self.broken: list[int | None] = [None] * len(rows)
        """The first step at which the logits of a row were no numbers."""
        self._rows = rows
        self._step = 0
        self._draws = [np.random.Generator(np.random.PCG64(row.seed)) for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Take the logits (batch, vocabulary) of a step; a token that is drawn stays alone."""
        if self._step == 0:
            self.logprobs = _option_logprobs(scores, self._rows)
        finite = torch.isfinite(scores.float().max(-1).values).tolist()
        for i, (row, fine) in enumerate(zip(self._rows, finite, strict=True)):
            if not fine and self.broken[i] is None:
                self.broken[i] = self._step
            if fine and row.temperature:
                token = sample(scores[i], row.temperature, self._draws[i].random())
                scores[i] = -torch.inf
                scores[i, token] = 0
        self._step += 1
        return scores
