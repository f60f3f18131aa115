"""What an evaluation leaves as it was."""

import random
import types

import numpy as np
import torch

from vipbench.runners.preserving import preserved, preserved_generators


def draw() -> tuple[float, float, float]:
    legacy = np.random.random_sample()  # noqa: NPY002  # the one that a training seeds
    return random.random(), float(legacy), float(torch.rand(()))


def test_the_global_generators_have_their_states_again() -> None:
    with preserved_generators():
        drawn = draw()
    assert draw() == drawn


def test_a_forward_below_mixed_precision_is_asked_and_put_back() -> None:
    model = types.SimpleNamespace(forward="casts", _original_forward="plain")
    with preserved(model):
        assert model.forward == "plain"
    assert model.forward == "casts"
    with preserved(torch.nn.Linear(1, 1)) as nothing:
        assert nothing is None
