"""The hf runner against transformers' own `generate`, on tiny random models of three families."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor

from tests.models import (
    CORPUS,
    FAMILIES,
    IMAGE_SIZE,
    Family,
    build_model,
    build_tokenizer,
    save_checkpoint,
    save_family,
)
from tests.runs import make_task, settings
from vipbench import demo
from vipbench.errors import RunnerError
from vipbench.run.loop import run
from vipbench.run.settings import RunSettings
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import MANIFEST, RESPONSES, SCORES, SUMMARY
from vipbench.runners.checkpoints.checkpoint import CLIP_MEAN, CLIP_STD, FREE_SIDE, check_model
from vipbench.runners.hf.runner import HfRunner
from vipbench.runners.registry import make_runner
from vipbench.schema import Request, Response

END_IDS = list(range(2, 400, 9))
"""So many end tokens that some answers stop early and others do not."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Family], Path]:
    """Save each family once; nobody writes to these folders."""
    root = tmp_path_factory.mktemp("families")

    def save(family: Family) -> Path:
        folder = root / f"tiny-{family}"
        return folder if folder.exists() else save_family(folder, family, END_IDS)

    return save


@pytest.fixture(scope="module")
def llava(saved: Callable[[Family], Path]) -> Path:
    return saved("llava")


@pytest.fixture
def folder(llava: Path, tmp_path: Path) -> Path:
    """A checkpoint of one's own to break."""
    return Path(shutil.copytree(llava, tmp_path / "tiny-llava"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def ask(*turns: str, new: int = 12, name: str = "1", temperature: float = 0.0) -> Request:
    return Request(
        task="t",
        style="s",
        id=name,
        turns=turns,
        image="x",
        fit="pad",
        max_new_tokens=new,
        temperature=temperature,
        key="k",
    )


def pictures(n: int, side: int = IMAGE_SIZE) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8))


def questions(n: int) -> list[Request]:
    """Prompts of different lengths and limits."""
    words = CORPUS[0].split()
    texts = [" ".join(words[(i + j) % len(words)] for j in range(1 + 5 * i % 23)) for i in range(n)]
    return [ask(text, new=4 + i % 9, name=str(i)) for i, text in enumerate(texts)]


def one_by_one(runner: HfRunner, requests: Sequence[Request], images: Any) -> list[Response]:
    return [runner.generate([r], [i])[0] for r, i in zip(requests, images, strict=True)]


def usual_way(
    folder: Path, runner: HfRunner, requests: Sequence[Request], images: Sequence[np.ndarray]
) -> list[tuple[str, int, str]]:
    """The documented way: the untouched processor pads a whole batch, and `generate` answers."""
    load: Any = AutoProcessor.from_pretrained
    processor = load(folder)
    inputs = processor(
        text=[runner.prompt(request) for request in requests],
        images=[[Image.fromarray(image)] for image in images],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    start = inputs["input_ids"].shape[1]
    limit = max(request.max_new_tokens for request in requests)
    rows = runner.model.generate(**inputs, do_sample=False, max_new_tokens=limit)
    answers = []
    for row, request in zip(rows[:, start:].tolist(), requests, strict=True):
        kept = row[: request.max_new_tokens]
        stop = next((k for k, token in enumerate(kept) if token in END_IDS), None)
        kept = kept if stop is None else kept[:stop]
        text = processor.tokenizer.decode(kept, skip_special_tokens=True)
        answers.append((text, len(kept), "length" if stop is None else "stop"))
    return answers


# --- answers


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_equal_single_requests_and_the_usual_way(
    saved: Callable[[Family], Path], family: Family
) -> None:
    runner = HfRunner(saved(family))
    requests, images = questions(16), pictures(16, runner.image_size)
    together = runner.generate(requests, images)
    assert together == one_by_one(runner, requests, images)
    assert together[::-1] == runner.generate(requests[::-1], images[::-1])
    found = [(str(r.text), r.n_new_tokens, r.finish) for r in together]
    assert found == usual_way(saved(family), runner, requests, images)
    assert len({r.n_prompt_tokens for r in together}) > 8
    assert {finish for _, _, finish in found} == {"stop", "length"}
    assert len({text for text, _, _ in found}) > 8  # nothing degenerate is compared


@pytest.mark.parametrize("family", FAMILIES)
def test_the_image_reaches_the_answer(saved: Callable[[Family], Path], family: Family) -> None:
    runner = HfRunner(saved(family))
    other = [255 - image for image in pictures(8, runner.image_size)]
    requests = [ask("What is it?", name=str(i)) for i in range(16)]
    answers = runner.generate(requests, [*pictures(8, runner.image_size), *other])
    assert len({(answer.text, answer.n_new_tokens) for answer in answers}) > 2


@pytest.mark.parametrize("do_pad", [False, True])
def test_a_fitted_image_is_normalised_and_nothing_else(folder: Path, do_pad: bool) -> None:
    edit(folder / "processor_config.json", lambda c: c["image_processor"].update(do_pad=do_pad))
    runner, image = HfRunner(folder), pictures(1)[0]
    expected = (torch.from_numpy(image).permute(2, 0, 1).double() / 255).sub(
        torch.tensor(CLIP_MEAN).double().view(3, 1, 1)
    ) / torch.tensor(CLIP_STD).double().view(3, 1, 1)
    pixels = runner._process(("?",), image)["pixel_values"]
    torch.testing.assert_close(pixels[0].double(), expected, rtol=0, atol=1e-6)
    assert not runner.processor.image_processor.do_resize
    assert not runner.processor.image_processor.do_center_crop
    assert (runner.image_size, runner.patch_size, runner.n_image_tokens) == (56, 14, 16)


def test_tiles_are_cut_by_the_processor(saved: Callable[[Family], Path]) -> None:
    runner = HfRunner(saved("llava_next"))
    assert (runner.image_size, runner.patch_size) == (2 * IMAGE_SIZE, None)
    made = runner._process(("?",), pictures(1, runner.image_size)[0])
    assert made["pixel_values"].shape == (1, 5, 3, IMAGE_SIZE, IMAGE_SIZE)  # the whole, and 2 x 2
    assert runner.processor.image_processor.do_resize


def test_vipllava_answers_alike_through_either_runner(tmp_path: Path) -> None:
    found = []
    for runner in ("vipllava", "hf"):
        results = run(
            RunSettings(
                suite="demo",
                data=demo.benchmark(),
                runner=runner,
                model=str(demo.CHECKPOINT),
                styles="demo",
                limit=6,
                dtype="float32",
                device="cpu",
                out=tmp_path / runner,
            )
        )
        responses = answers_file.read_responses(results.path / RESPONSES)
        found.append(
            {
                name: (line.text, line.n_prompt_tokens, line.n_new_tokens, line.finish, line.pixels)
                for name, line in responses.items()
            }
        )
        assert results.manifest.identity.settings.prompt_format == "chat_template"
        assert all(line.error is None for line in responses.values())
    assert found[0] == found[1]
    assert len(found[0]) == 30


def test_conversations_take_the_template_throughout(llava: Path) -> None:
    runner = HfRunner(llava)
    request = ask("What is it?", "A red car.", "Answer A or B.")
    assert runner.prompt(request) == (
        "[user] <image>\nWhat is it?[assistant] A red car.</s>[user] Answer A or B.[assistant]"
    )
    requests, images = [request, ask("What is it?")], pictures(2)
    answers = runner.generate(requests, images)
    assert answers == one_by_one(runner, requests, images)
    assert all(answer.error is None for answer in answers)


def test_the_start_of_a_text_stands_once(folder: Path) -> None:
    plain = HfRunner(folder)._process(("?",), pictures(1)[0])["input_ids"][0].tolist()
    template = folder / "chat_template.jinja"
    template.write_text("{{ bos_token }}" + template.read_text())
    assert HfRunner(folder)._process(("?",), pictures(1)[0])["input_ids"][0].tolist() == plain
    assert plain.count(1) == 1


# --- errors of one sample


@pytest.mark.parametrize(
    ("turns", "error"),
    [
        (("What does <image> mean?",), "the text holds '<image>', a special token of the model"),
        (("Say </s> twice.",), "the text holds '</s>', a special token of the model"),
        (("What?", "A <pad> car.", "Why?"), "the text holds '<pad>', a special token of the model"),
        (("Why? " * 400,), "the prompt has"),
    ],
)
def test_what_cannot_be_asked_is_an_error_of_that_sample(
    llava: Path, turns: tuple[str, ...], error: str
) -> None:
    runner = HfRunner(llava)
    requests, images = questions(3), pictures(4)
    good = runner.generate(requests, images[:3])
    found = runner.generate(
        [*requests[:2], ask(*turns), requests[2]], [*images[:2], images[3], images[2]]
    )
    assert [found[0], found[1], found[3]] == good
    assert (found[2].text, found[2].finish) == (None, "error")
    assert str(found[2].error).startswith(error)
    assert runner.generate([ask(*turns)], images[:1])[0].finish == "error"


def test_a_template_that_leaves_out_a_turn_is_an_error(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("in messages %}", "in messages[:1] %}", 1))
    one, several = HfRunner(folder).generate([ask("What?"), ask("A?", "b", "C!")], pictures(2))
    assert one.error is None
    assert several.error == "the chat template leaves out a turn (turn 2 of 3)"


def test_a_template_that_refuses_a_conversation_is_an_error(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    refusal = "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}"
    template.write_text(refusal + template.read_text())
    one, several = HfRunner(folder).generate([ask("What?"), ask("A?", "b", "C!")], pictures(2))
    assert one.error is None
    assert "one turn only" in str(several.error)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("{{ 1/0 }}", r"template failed \(line 1: ZeroDivisionError: .* · correct it$"),
        ("{{ 'a' * 9999999999 }}", "needs more than 512 MiB of memory"),
        ("{{ range }}", "an address of this process's memory"),
    ],
)
def test_a_template_that_cannot_be_used_is_found_when_the_runner_is_built(
    folder: Path, start: str, message: str
) -> None:
    template = folder / "chat_template.jinja"
    template.write_text(start + template.read_text())
    with pytest.raises(RunnerError, match=f"^{re.escape(str(folder))}: chat template: .*{message}"):
        HfRunner(folder)


def test_a_template_that_asks_for_the_date_gets_the_same_one(folder: Path) -> None:
    assert HfRunner(folder).settings.template_date is None
    template = folder / "chat_template.jinja"
    template.write_text("{{ strftime_now('%d %b %Y') }}" + template.read_text())
    runner = HfRunner(folder)
    assert runner.settings.template_date == "2024-07-26"
    assert runner.prompt(ask("?")).startswith("26 Jul 2024")
    ids = runner._process(("?",), pictures(1)[0])["input_ids"][0]
    assert "26 Jul 2024" in runner.processor.tokenizer.decode(ids)


def test_logits_that_are_no_numbers_are_errors_of_their_own_rows(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    token = build_tokenizer().convert_tokens_to_ids("Z")
    name = next(name for name in weights if name.endswith("embed_tokens.weight"))
    weights[name][token] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    runner = HfRunner(folder)
    requests, images = [*questions(3), ask("Z")], pictures(4)
    *good, bad = runner.generate(requests, images)
    assert bad.error == "the model's logits are NaN or infinite in float32"
    assert good == runner.generate(requests[:3], images[:3])
    assert all(answer.error is None for answer in good)


# --- errors of a batch


class SmallMemory(HfRunner):
    """A device with room for so many rows."""

    room = 3

    def _generate(self, rows: Any) -> Any:
        if len(rows) > self.room:
            raise torch.OutOfMemoryError
        return super()._generate(rows)


def test_a_batch_that_does_not_fit_is_split(llava: Path, caplog: pytest.LogCaptureFixture) -> None:
    requests, images = questions(8), pictures(8)
    answers = SmallMemory(llava).generate(requests, images)
    assert answers == HfRunner(llava).generate(requests, images)
    assert [record.getMessage() for record in caplog.records] == [
        f"out of memory with {n} requests: split in two" for n in (8, 4, 4)
    ]


def test_a_request_that_does_not_fit_alone_is_an_error(llava: Path) -> None:
    runner = SmallMemory(llava)
    runner.room = 0
    with pytest.raises(RunnerError, match="out of memory with one request"):
        runner.generate(questions(2), pictures(2))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pictures(1), "1 images for 2 requests"),
        (pictures(2, 57), r"uint8 \(57, 57, 3\) · expected uint8 \(56, 56, 3\)"),
    ],
)
def test_images_that_were_not_fitted_are_refused(
    llava: Path, images: list[np.ndarray], message: str
) -> None:
    with pytest.raises(RunnerError, match=message):
        HfRunner(llava).generate(questions(2), images)


def test_sampling_is_refused(llava: Path) -> None:
    with pytest.raises(RunnerError, match=r"sampled at temperature 0\.2 .* answers greedily"):
        HfRunner(llava).generate([ask("What?", temperature=0.2)], pictures(1))


# --- checkpoints


def test_the_generation_settings_of_a_checkpoint_do_not_change_greedy_answers(folder: Path) -> None:
    requests, images = questions(4), pictures(4)
    expected = HfRunner(folder).generate(requests, images)
    edit(
        folder / "generation_config.json",
        lambda c: c.update(do_sample=True, temperature=3.0, repetition_penalty=9.0),
    )
    assert HfRunner(folder).generate(requests, images) == expected


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"shortest_edge": 70}, None),  # the crop decides
        ("none", None),  # the vision tower does
        ("hint", "the processor makes 56 x 56 px of them"),
    ],
)
def test_a_square_that_the_processor_would_change_is_refused(
    folder: Path, size: object, message: str | None
) -> None:
    if size == "hint":
        (folder / "vipbench.json").write_text('{"image_size": 70}')
    elif size == "none":
        (folder / "processor_config.json").write_text(
            (folder / "processor_config.json").read_text().replace('"size"', '"other"')
        )
    else:
        edit(folder / "processor_config.json", lambda c: c["image_processor"].update(size=size))
    assert check_model(folder).image_size == (70 if size == "hint" else IMAGE_SIZE)
    if message:
        with pytest.raises(RunnerError, match=message):
            HfRunner(folder)


@pytest.mark.parametrize(
    ("processor", "side"),
    [
        ({"size": {"height": 224, "width": 224}}, 224),
        ({"size": 448}, 448),
        ({"size": {"shortest_edge": 336}, "crop_size": 300, "do_center_crop": True}, 300),
        ({"size": {"shortest_edge": 336}, "crop_size": 300, "do_center_crop": False}, 336),
        ({"size": {"longest_edge": 1456}}, FREE_SIDE),
        ({"size": {"shortest_edge": 3136, "longest_edge": 12845056}}, FREE_SIDE),
        ({"size": 384, "image_grid_pinpoints": [[384, 768], [384, 384], [768, 768]]}, 768),
        ({"size": 336, "image_grid_pinpoints": [[336, 672], [672, 336]]}, 336),
        ({}, IMAGE_SIZE),
    ],
)
def test_the_square_is_the_processors(folder: Path, processor: object, side: int) -> None:
    (folder / "processor_config.json").unlink()
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    assert check_model(folder).image_size == side


def test_the_square_of_vipbench_json_comes_first_and_is_part_of_the_settings(
    saved: Callable[[Family], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(saved("llava_next"), tmp_path / "tiny"))
    before = check_model(folder)
    (folder / "vipbench.json").write_text('{"image_size": 84}')
    after = check_model(folder)
    assert (before.image_size, after.image_size) == (112, 84)
    assert before.weights == after.weights
    assert before.settings != after.settings
    assert HfRunner(folder).generate([ask("What?")], pictures(1, 84))[0].error is None
    (folder / "vipbench.json").write_text('{"image_size": 0}')
    with pytest.raises(RunnerError, match="image_size = 0 · expected a number from 1"):
        check_model(folder)


def test_checking_needs_no_torch(llava: Path) -> None:
    code = (
        "import sys\n"
        "from vipbench.runners.checkpoints.checkpoint import check_model\n"
        "check_model(sys.argv[1])\n"
        "assert not {'torch', 'transformers', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(llava)], check=True)


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _tear(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "adapter_config.json").write_text("{}"), "holds an adapter"),
        (_pickle, "the weights are pickled"),
        (_tear, "bytes · its header promises"),
        (lambda f: edit(f / "config.json", lambda c: c.pop("model_type")), "model_type is None"),
        (
            lambda f: edit(f / "config.json", lambda c: c.update(auto_map={"AutoModel": "x.Y"})),
            "auto_map asks for remote code",
        ),
        (
            lambda f: edit(f / "config.json", lambda c: c.update(quantization_config={"bits": 4})),
            "the weights are quantised",
        ),
        (
            lambda f: edit(f / "config.json", lambda c: c.update(mm_vision_tower="clip")),
            "original LLaVA code .* such as llava-hf/llava-1.5-7b-hf",
        ),
        (lambda f: (f / "chat_template.jinja").unlink(), "has no chat template"),
        (
            lambda f: (f / "vipbench.json").write_text('{"prompt_format": "llava_v1"}'),
            "prompt_format is 'llava_v1', .* use --runner vipllava",
        ),
    ],
)
def test_unfit_checkpoints_are_refused_before_they_are_loaded(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    check_model(folder)
    spoil(folder)
    with pytest.raises(RunnerError, match=message) as caught:
        check_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: edit(f / "config.json", lambda c: c.update(model_type="llama")), "be loaded"),
        (
            lambda f: (f / "chat_template.jinja").write_text("{{ messages[0].content[1].text }}"),
            "0 <image> tokens|the chat template places no image",
        ),
        (
            lambda f: edit(f / "processor_config.json", lambda c: c.update(patch_size=7)),
            "fails at one image and one question",
        ),
        (lambda f: (f / "processor_config.json").unlink(), "processor"),
    ],
)
def test_models_that_cannot_answer_are_found_when_they_are_loaded(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    with pytest.raises(RunnerError, match=message) as caught:
        HfRunner(folder)
    assert "\n" not in str(caught.value)


def test_missing_tensors_are_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight"))
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        RunnerError, match=r"missing keys .*up_proj.* LlavaForConditionalGeneration"
    ):
        HfRunner(folder)


def test_it_is_built_by_name(llava: Path) -> None:
    runner = make_runner("hf", model=llava, dtype="bf16", device="cpu")
    assert isinstance(runner, HfRunner)
    assert runner.settings.dtype == "bfloat16"
    assert runner.settings.prompt_format == "chat_template"
    with pytest.raises(RunnerError, match="no model given"):
        make_runner("hf")
    with pytest.raises(RunnerError, match="runner hf: takes no model in memory"):
        make_runner("hf", model=build_model())
    with pytest.raises(RunnerError, match="prompt format 'hf' · expected chat_template"):
        make_runner("hf", model=llava, prompt_format="hf")


# --- runs


def test_a_run_is_stored_resumed_and_told_apart_from_vipllavas(tmp_path: Path) -> None:
    make_task(tmp_path)
    model = str(save_checkpoint(tmp_path / "tiny"))
    own = {"model": model, "limit": 10, "batch_size": 4, "device": "cpu"}
    whole = run(settings(tmp_path, runner="hf", out=tmp_path / "whole", **own))
    assert whole.manifest.identity.runner == "hf"
    assert whole.manifest.image_size == IMAGE_SIZE
    assert whole.manifest.identity.settings.decoding == "greedy"
    out = Path(shutil.copytree(whole.path, tmp_path / "torn"))
    lines = (out / RESPONSES).read_text().splitlines(keepends=True)
    (out / RESPONSES).write_text("".join(lines[: len(lines) // 2]))
    edit(out / MANIFEST, lambda manifest: manifest.update(finished=None, files={}))
    for name in (SCORES, SUMMARY):
        (out / name).unlink()
    resumed = run(settings(tmp_path, runner="hf", out=out, **own))
    assert 0 < resumed.n_answered < len(lines)
    for name in (SCORES, SUMMARY):
        assert (out / name).read_bytes() == (whole.path / name).read_bytes()
    other = run(settings(tmp_path, runner="hf", out=tmp_path / "one", **(own | {"batch_size": 1})))
    assert (other.path / SCORES).read_bytes() == (whole.path / SCORES).read_bytes()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"replay": "official"}, "runner hf: answers greedily"),
        ({"prompt_format": "llava_v1"}, "runner hf: prompt format 'llava_v1'"),
        ({"model": None}, "runner hf: no model given"),
        ({"live_model": object()}, "runner hf: takes no model in memory"),
    ],
)
def test_what_the_runner_cannot_do_is_refused_before_anything_is_read(
    llava: Path, tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    make_task(tmp_path)
    with pytest.raises(RunnerError, match=message):
        run(settings(tmp_path, **({"runner": "hf", "model": str(llava)} | fields)))
    assert not (tmp_path / "run").exists()


# --- several images


def test_two_images_are_asked_as_the_processor_takes_them(llava: Path) -> None:
    runner = HfRunner(llava, device="cpu")
    first, second, third = pictures(3)
    pair = ask("which is it?").model_copy(update={"images": ("x", "y")})
    swapped, alone = runner.generate([pair, ask("what?")], [(second, first), third])
    both, one = runner.generate([pair, ask("what?")], [(first, second), third])
    assert (alone, one.n_prompt_tokens) == (
        one,
        runner.generate([ask("what?")], [third])[0].n_prompt_tokens,
    )
    assert both.n_prompt_tokens == swapped.n_prompt_tokens
    load: Any = AutoProcessor.from_pretrained
    processor = load(llava)
    inputs = processor(
        text=runner.prompt(pair),
        images=[Image.fromarray(first), Image.fromarray(second)],
        return_tensors="pt",
    )
    n = inputs["input_ids"].shape[1]
    assert both.n_prompt_tokens == n
    [row] = runner.model.generate(**inputs, do_sample=False, max_new_tokens=12)[:, n:].tolist()
    stop = next((k for k, token in enumerate(row) if token in END_IDS), None)
    assert both.text == processor.tokenizer.decode(row[:stop], skip_special_tokens=True)
    with pytest.raises(RunnerError, match="has 1 images · expected 2"):
        runner.generate([pair], [first])


def test_a_template_that_places_one_image_is_refused(folder: Path) -> None:
    runner = HfRunner(folder, device="cpu")
    whole = runner._process
    runner._process = lambda turns, *images: whole(turns, images[0])  # type: ignore[method-assign]
    pair = ask("?").model_copy(update={"images": ("x", "y")})
    with pytest.raises(RunnerError, match=r"for 2 images, and .* for one · expected a template"):
        runner.generate([pair], [tuple(pictures(2))])
