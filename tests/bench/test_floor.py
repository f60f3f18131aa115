"""The arithmetic of an answer, beside what torch counts."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.models import build_model
from vipbench.bench.floor import Prompt, add, count, count_once
from vipbench.bench.models import random_config
from vipbench.runners.vipllava.cache import cache_name
from vipbench.runners.vipllava.model_sizes import sizes_of


def test_the_arithmetic_of_a_batch_is_that_of_its_answers_and_not_of_the_longest() -> None:
    shape = sizes_of(random_config("tiny"))
    short, long = count(shape, 100, 1), count(shape, 100, 9)
    assert short.decode * 8 < long.decode < short.decode * 10
    assert short.prefill == long.prefill


def flops(model: Any, **inputs: Any) -> int:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(**inputs)
    return int(counter.get_total_flops())


def test_the_floor_is_what_torch_counts() -> None:
    model: Any = build_model()
    model.set_attn_implementation("eager")
    shape = sizes_of(model.config)
    side, n_layers = shape.image_size, model.config.vision_config.num_hidden_layers
    vision = model.model.vision_tower
    # torch counts all layers, also those that nobody needs.
    whole = shape.model_copy(update={"vision_layers": n_layers})
    pixels = torch.zeros(1, 3, side, side)
    tower = flops(vision, pixel_values=pixels)
    features = torch.zeros(1, (side // shape.patch_size) ** 2, shape.n_features * 32)
    projector = flops(model.model.multi_modal_projector, hidden_states=features)
    assert count(whole, 1, 0).vision == tower + projector


def test_the_floor_of_text_is_what_torch_counts_token_by_token() -> None:
    model: Any = build_model()
    model.set_attn_implementation("eager")
    shape = sizes_of(model.config)
    n_prompt, n_passes = 6, 3
    whole = flops_by_token(model, n_prompt + n_passes)
    del model.model.language_model.layers[-1]
    model.config.text_config.num_hidden_layers -= 1
    below = flops_by_token(model, n_prompt + n_passes)
    keys_and_values = 2 * 2 * shape.width * shape.key_value_heads * shape.head_width
    head = 2 * shape.width * shape.vocabulary
    work = count(shape, n_prompt, n_passes)
    # Of the last layer, what the prompt's tokens before the last one need is their keys and values.
    unfinished = [n + keys_and_values for n in below[: n_prompt - 1]]
    assert work.prefill == sum(unfinished) + whole[n_prompt - 1] + head
    assert work.decode == sum(whole[n_prompt:]) + n_passes * head
    assert add([work, work]).total == 2 * work.total


def test_what_prompts_have_in_common_is_what_torch_counts_of_it() -> None:
    model: Any = build_model()
    model.set_attn_implementation("eager")
    shape = sizes_of(model.config)
    a, b, c = [1, 2, 9, 9, 5, 6], [1, 2, 9, 9, 5, 7, 8], [1, 3, 9, 9, 5, 6]
    prompts = [Prompt(ids, "p", 2) for ids in (a, b, c)]
    alone = add([count(shape, len(each.ids), 0) for each in prompts])
    once = count_once(shape, prompts)
    # Of b, the five tokens that a begins with too are not read again; of c, the first one.
    del model.model.language_model.layers[-1]
    model.config.text_config.num_hidden_layers -= 1
    keys_and_values = 2 * 2 * shape.width * shape.key_value_heads * shape.head_width
    below = [n + keys_and_values for n in flops_by_token(model, 5)]
    assert alone.prefill - once.prefill == sum(below) + below[0]
    assert once.vision * 3 == alone.vision
    assert once.decode == 0


def test_another_picture_has_the_beginning_before_it_in_common_and_one_prompt_nothing() -> None:
    shape = sizes_of(random_config("tiny"))
    ids = [1, 2, 9, 9, 5, 6]
    one = count(shape, len(ids), 0)
    assert count_once(shape, [Prompt(ids, "p", 2)]) == one
    frame = [Prompt(ids, picture, 2) for picture in "pqr"]
    again = [Prompt(ids, "p", 2)] * 3
    assert count_once(shape, frame).vision == 3 * one.vision
    assert count_once(shape, again).vision == one.vision
    # The last token of a prompt is read each time, even where all of it is known.
    known = [count(shape, n, 0).prefill for n in (3, 4)]
    first = [Prompt([1, 2, 9], "p", 2), Prompt([1, 2, 9, 9], "p", 2)]
    assert count_once(shape, first).prefill < sum(known)
    assert count_once(shape, again).prefill < count_once(shape, frame).prefill < 3 * one.prefill
    assert count_once(shape, again[::-1]) == count_once(shape, again)


def flops_by_token(model: Any, n: int) -> list[int]:
    """Let torch count what the language model does for each of `n` tokens, one after another."""
    language_model = model.model.language_model
    name = cache_name(language_model)
    cache, counted = None, []
    for token in range(n):
        ids = torch.tensor([[token + 10]])
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            output = language_model(input_ids=ids, use_cache=True, **{name: cache})
        cache = getattr(output, name)
        counted.append(int(counter.get_total_flops()))
    return counted
