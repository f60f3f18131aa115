"""How many tokens of prompts fit into a device's memory, found by trying."""

from collections.abc import Callable

import torch

from vipbench.runners.checkpoints.loading import inference
from vipbench.runners.memory import free_memory, out_of_memory
from vipbench.runners.vipllava.net import Net
from vipbench.runners.vipllava.sizing import ANSWER_TOKENS
from vipbench.runners.vipllava.tokens import Answer, Row


def find_fitting_budget(
    net: Net, decode: Callable[[list[Row], torch.Tensor], list[Answer]], tokens: int
) -> int:
    """Halve a number of tokens until a batch of that many, padding included, fits into memory.

    `decode` answers rows and their pixels, uint8 (batch, size, size, 3).

    Raises:
        RunnerError: not even one request fits.
    """
    # A prompt of usual length, and the part of its answer that memory is kept for.
    n_image_tokens = net.info.n_image_tokens
    width = n_image_tokens + 2 * ANSWER_TOKENS
    ids = [net.image_token_id] * n_image_tokens
    ids += [0 if net.image_token_id else 1] * (width - n_image_tokens)
    side = net.info.image_size
    while True:
        n = max(1, tokens // (width - ANSWER_TOKENS))
        rows = [Row(ids, max_new_tokens=2, temperature=0, seed=0)] * n
        try:
            with inference(net.model):
                decode(rows, torch.zeros(n, side, side, 3, dtype=torch.uint8))
        except torch.OutOfMemoryError as error:
            if n == 1:
                raise out_of_memory(net.info.name, width, net.device) from error
        else:
            return tokens
        finally:
            free_memory()
        tokens //= 2
