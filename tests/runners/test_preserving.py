"""What an evaluation leaves as it was."""

import random
import types

import numpy as np
import torch

from vipbench.runners.preserving import outside_autocast, preserved, preserved_generators


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


def test_autocast_is_off_meanwhile_and_on_again() -> None:
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with outside_autocast():
            assert (x @ x).dtype == torch.float32
            assert not torch.is_autocast_enabled("cpu")
        assert (x @ x).dtype == torch.bfloat16
    with outside_autocast():
        assert (x @ x).dtype == torch.float32
