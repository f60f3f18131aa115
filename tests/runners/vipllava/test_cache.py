"""A cache that grows in place, held against transformers' own."""

# mypy: disable-error-code=no-untyped-call

from typing import Any

import pytest
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tests.models import build_model
from vipbench.runners.vipllava.cache import ROOM, HeldLayer, RoomyLayer, cache_name, make_room


def states(n: int, seed: int, n_rows: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(n_rows, 2, n, 4, generator=generator)
    return keys, keys + 1


def test_it_holds_what_was_added() -> None:
    plain: Any = DynamicLayer()
    plain.update(*states(5, 0))
    roomy = RoomyLayer(plain.keys, plain.values)
    n_rows = 3
    for step in range(1, ROOM + 9):
        new = states(1 + step % 2, step, n_rows)
        expected, found = plain.update(*new), roomy.update(*new)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert roomy.get_seq_length() == plain.get_seq_length()
        if step in (3, ROOM):
            kept = torch.tensor([0, 2] if step == 3 else [1])
            n_rows = len(kept)
            plain.batch_select_indices(kept)
            roomy.batch_select_indices(kept)


def test_former_tokens_stay_where_they_are() -> None:
    layer = RoomyLayer(*states(5, 0))
    layer.update(*states(1, 1))
    address = layer.keys.data_ptr()
    for step in range(ROOM):
        layer.update(*states(1, step))
    assert layer.keys.data_ptr() == address
    layer.update(*states(1, 0))
    assert layer.keys.data_ptr() != address


@pytest.mark.parametrize("text", ["llama", "mistral"])
def test_a_model_reads_on_from_it(text: Any) -> None:
    model: Any = build_model(text=text).model.language_model.eval()
    name = cache_name(model)
    ids = torch.arange(20, 32).reshape(2, 6)
    outputs = []
    for roomy in (False, True):
        with torch.inference_mode():
            cache = getattr(model(input_ids=ids, use_cache=True), name)
            assert isinstance(cache, DynamicCache)
            if roomy:
                make_room(cache)
            read = [
                model(input_ids=ids[:, :1] + i, use_cache=True, **{name: cache}) for i in range(3)
            ]
        outputs.append(torch.cat([each.last_hidden_state for each in read]))
    assert torch.allclose(outputs[0], outputs[1], rtol=0, atol=1e-6)


def test_what_is_read_at_once_is_held_as_it_is() -> None:
    layer, (keys, values) = HeldLayer(), states(5, 0)
    found = layer.update(keys, values)
    assert found[0] is keys
    assert found[1] is values
    assert layer.keys is keys
    assert layer.get_seq_length() == 5


def test_other_layers_are_left_as_they_are() -> None:
    class Other(DynamicLayer):
        pass

    cache: Any = DynamicCache()
    cache.layers = [DynamicLayer(), Other()]
    for layer in cache.layers:
        layer.update(*states(2, 0))
    other = cache.layers[1]
    make_room(cache)
    assert type(cache.layers[0]) is RoomyLayer
    assert cache.layers[1] is other
