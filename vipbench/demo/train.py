"""Train the embedded checkpoint: seeded, resumable, on one CPU core in an hour or two.

The state (weights, optimiser, step) is saved every few minutes; the same command resumes from it.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)

from vipbench.console import QUIET, Console
from vipbench.demo.generate import TRAINING_SEED, make
from vipbench.demo.lessons import LOOKING, LOOKS, PHASES, Lesson, Lessons
from vipbench.runners.prompt_formats import PromptTokenizer, encode_prompt, format_prompt

if TYPE_CHECKING:
    from tqdm import tqdm

IMAGE_SIZE, PATCH = 64, 16
WIDTH = 128
BATCH, MICRO_BATCH = 48, 16
LEARNING_RATE, WARMUP = 1e-3, 100
COOLDOWN = 450
"""Steps, at the end, over which the learning rate falls to a hundredth."""
N_TRAINING = 8000
"""Questions a benchmark in the training data."""
LOOK_RATE = 2e-3
PATCH_CELLS = [
    row * 2 // (IMAGE_SIZE // PATCH) * 2 + column * 2 // (IMAGE_SIZE // PATCH)
    for row in range(IMAGE_SIZE // PATCH)
    for column in range(IMAGE_SIZE // PATCH)
]
"""The cell of the scene that each patch lies in."""
VISION_INIT = 3.0
"""Factor on the initial weights of the vision tower's embeddings; with it it learns sooner."""
IGNORE = -100

SPECIAL = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %} "
    "{% else %}ASSISTANT: {% for part in message['content'] %}{{ part['text'] }}{% endfor %}</s>"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""`llava_v1` without the system sentence, which would cost a fifth of the tokens."""


class Batch(NamedTuple):
    """One micro batch, padded on the right."""

    input_ids: torch.Tensor
    """(B, T) int64."""
    labels: torch.Tensor
    """(B, T) int64: the token that follows each position, IGNORE outside the answer."""
    pixels: torch.Tensor
    """(images, size, size, 3) uint8, for those rows that hold image tokens."""
    kinds: list[str]


def make_tokenizer(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    """Learn a small byte-level BPE in which each word of the lessons is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=[*SPECIAL.values(), "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers' own
        tokenizer_object=tokenizer,
        **SPECIAL,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        extra_special_tokens={"image_token": "<image>"},
    )


def image_token_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the id that stands for one feature of the image."""
    return int(tokenizer.get_vocab()["<image>"])


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> VipLlavaForConditionalGeneration:
    """Build the untrained model of about two million parameters."""
    vision = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=4, num_attention_heads=4,
        image_size=IMAGE_SIZE, patch_size=PATCH,
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=3 * WIDTH,
        num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=4,
        max_position_embeddings=1024, rms_norm_eps=1e-5,
        # with tied embeddings or the default of 0.02, letters are not bound to options for long
        initializer_range=0.06, tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    config = VipLlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image_token_id(tokenizer),
        vision_feature_layer=[-1, -2, -3, -4, 0],
        image_seq_length=(IMAGE_SIZE // PATCH) ** 2,
    )
    torch.manual_seed(seed)
    model = VipLlavaForConditionalGeneration(config)
    with torch.no_grad():
        embeddings = model.model.vision_tower.embeddings
        embeddings.patch_embedding.weight.mul_(VISION_INIT)
        embeddings.position_embedding.weight.mul_(10 * VISION_INIT)
    return model


class LookBatch(NamedTuple):
    """The looks of one step."""

    pixels: torch.Tensor
    """(B, size, size, 3) uint8."""
    cells: torch.Tensor
    """(B, 4, 4) int64, as `Look.cells`."""


class LookBatches(Dataset[LookBatch]):
    """The looks of each step; a pure function of the step."""

    def __init__(self, lessons: Lessons) -> None:
        """Take looks from lessons."""
        self.lessons = lessons

    def __len__(self) -> int:
        return LOOKING

    def __getitem__(self, step: int) -> LookBatch:
        looks = self.lessons.looks(step, BATCH)
        return LookBatch(
            torch.from_numpy(np.stack([look.pixels for look in looks])),
            torch.from_numpy(np.stack([look.cells for look in looks])),
        )


class LessonBatches(Dataset[list[Batch]]):
    """The micro batches of each step, tokenised; a pure function of the step."""

    def __init__(self, lessons: Lessons, tokenizer: PreTrainedTokenizerFast) -> None:
        """Use the tokenizer as the runner does, with the image between the parts of the prompt."""
        self.lessons, self.hf_tokenizer = lessons, tokenizer
        self.tokenizer = PromptTokenizer(
            tokenizer, image_token_id(tokenizer), (IMAGE_SIZE // PATCH) ** 2
        )

    def __len__(self) -> int:
        return sum(phase.steps for phase in PHASES)

    def __getitem__(self, step: int) -> list[Batch]:
        rows = [(*self._encode(lesson), lesson) for lesson in self.lessons.batch(step, BATCH)]
        rows.sort(key=lambda row: len(row[0]))  # little padding within a micro batch
        return [self._collate(rows[k : k + MICRO_BATCH]) for k in range(0, BATCH, MICRO_BATCH)]

    def _encode(self, lesson: Lesson) -> tuple[list[int], int]:
        """Return the ids of prompt and answer, and where the answer starts."""
        before, after = format_prompt([lesson.text], "chat_template", self.hf_tokenizer)
        if lesson.pixels is None:
            prompt = [*self.tokenizer.bos, *self.tokenizer.encode(before + after)]
        else:
            prompt = encode_prompt(self.tokenizer, before, after, "chat_template")
        answer = self.tokenizer.encode(f" {lesson.answer}")
        return [*prompt, *answer, int(self.hf_tokenizer.eos_token_id)], len(prompt)

    def _collate(self, rows: list[tuple[list[int], int, Lesson]]) -> Batch:
        length = max(len(ids) for ids, _, _ in rows)
        input_ids = torch.full((len(rows), length), int(self.hf_tokenizer.pad_token_id))
        labels = torch.full((len(rows), length), IGNORE)
        for row, (ids, start, _) in enumerate(rows):
            input_ids[row, : len(ids)] = torch.tensor(ids)
            labels[row, start - 1 : len(ids) - 1] = torch.tensor(ids[start:])
        pixels = [torch.from_numpy(row[2].pixels) for row in rows if row[2].pixels is not None]
        empty = torch.empty((0, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
        return Batch(
            input_ids, labels, torch.stack(pixels) if pixels else empty,
            [row[2].kind for row in rows],
        )  # fmt: skip


def learning_rate(step: int, steps: int) -> float:
    """Return the rate of a step: linear warm-up, constant, linear fall over the last part."""
    fall = min(1.0, (steps - step) / COOLDOWN)
    return LEARNING_RATE * min(1.0, (step + 1) / WARMUP) * max(fall, 0.01)


class Trainer:
    """The model, its optimiser and its step; saved and loaded as one."""

    def __init__(self, state: Path, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        """Resume from the state in folder `state` where there is one."""
        self.path = state / "state.pt"
        self.model = make_model(tokenizer, seed)
        self.processor = make_processor(tokenizer)
        # The vision tower is frozen once it has learnt to see, as that of large models is: steps
        # that suit the language model destroy it.
        seeing = set(self._seeing())
        spoken = [p for p in self.model.parameters() if p not in seeing]
        decayed = [p for p in spoken if p.dim() > 1]
        others = [p for p in spoken if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
            lr=LEARNING_RATE,
            betas=(0.9, 0.98),
        )
        self.heads = torch.nn.Linear(WIDTH, sum(map(len, LOOKS)))
        self.look_optimizer = torch.optim.AdamW(
            [*self._seeing(), *self.heads.parameters()],
            lr=LOOK_RATE,
            betas=(0.9, 0.98),
            weight_decay=0.01,
        )
        self.step = 0
        """Of the phases."""
        self.looked = 0
        """Steps of looking."""
        self.right: dict[str, float] = {}
        if self.path.exists():
            saved = torch.load(self.path, weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.heads.load_state_dict(saved["heads"])
            self.look_optimizer.load_state_dict(saved["look_optimizer"])
            self.step, self.looked, self.right = saved["step"], saved["looked"], saved["right"]
        image_processor = self.processor.image_processor
        self.mean = torch.tensor(image_processor.image_mean).view(1, 3, 1, 1)
        self.std = torch.tensor(image_processor.image_std).view(1, 3, 1, 1)

    def save(self) -> None:
        """Save the state; the file is whole at any time."""
        unfinished = self.path.with_suffix(".new")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "heads": self.heads.state_dict(),
                "look_optimizer": self.look_optimizer.state_dict(),
                "step": self.step,
                "looked": self.looked,
                "right": self.right,
            },
            unfinished,
        )
        unfinished.replace(self.path)

    def _seeing(self) -> Iterator[torch.nn.Parameter]:
        """Yield the parameters between pixels and image features."""
        yield from self.model.model.vision_tower.parameters()
        yield from self.model.model.multi_modal_projector.parameters()

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return image features (B, patches, WIDTH) of uint8 pixels (B, size, size, 3)."""
        features: torch.Tensor = self.model.model.get_image_features(
            pixel_values=self._normalise(pixels)
        ).pooler_output
        return features

    def _normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std

    def look(self, batch: LookBatch) -> None:
        """Teach the vision tower to tell what is in the cell of each patch, by a linear head.

        From answers to questions alone, it does not learn to see within hours. After the last step
        the features are made as large as the embeddings of words, so that they do not drown what
        the layers of the language model add to them.
        """
        fall = min(1.0, (LOOKING - self.looked) / (0.4 * LOOKING))
        for group in self.look_optimizer.param_groups:
            group["lr"] = LOOK_RATE * min(1.0, (self.looked + 1) / WARMUP) * max(fall, 0.02)
        features = self._features(batch.pixels)
        # Every patch is to know its whole cell, so that one glance finds mark and figure together.
        cells = batch.cells[:, PATCH_CELLS]
        cell_logits = self.heads(features).split(list(map(len, LOOKS)), -1)
        losses = [
            functional.cross_entropy(logits.flatten(0, 1), cells[..., axis].flatten())
            for axis, logits in enumerate(cell_logits)
        ]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]  # torch's own
        torch.nn.utils.clip_grad_norm_(self._seeing(), 1.0)
        self.look_optimizer.step()
        self.look_optimizer.zero_grad(set_to_none=True)
        for axis, logits in enumerate(cell_logits):
            right = (logits.argmax(-1) == cells[..., axis])[cells[..., axis] > 0]
            name = ("shape", "color", "mark", "mark color")[axis]
            self.right[name] = self.right.get(name, 0.0) * 0.98 + float(right.float().mean()) * 0.02
        self.looked += 1
        if self.looked == LOOKING:
            last: Any = self.model.model.multi_modal_projector.linear_2
            words: Any = self.model.get_input_embeddings()
            with torch.no_grad():
                scale = words.weight.std() / features.std()
                last.weight.mul_(scale)
                last.bias.mul_(scale)
            self.right.clear()

    def learn(self, batches: list[Batch], steps: int) -> None:
        """Take one step of the language model on the micro batches of a step."""
        for parameter in self._seeing():
            parameter.requires_grad_(False)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, steps)
        total = sum(int((batch.labels != IGNORE).sum()) for batch in batches)
        for batch in batches:
            where = batch.labels != IGNORE
            hidden = self.model.model(
                input_ids=batch.input_ids,
                pixel_values=self._normalise(batch.pixels) if len(batch.pixels) else None,
                use_cache=False,
            ).last_hidden_state
            logits = self.model.lm_head(hidden[where])
            targets = batch.labels[where]
            loss = functional.cross_entropy(logits, targets, reduction="sum") / total
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            self._count(batch, where, logits.argmax(-1) == targets)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def _count(self, batch: Batch, where: torch.Tensor, right: torch.Tensor) -> None:
        """Follow the share of answers with every token right, by kind of lesson."""
        rows = where.nonzero()[:, 0]
        for row, kind in enumerate(batch.kinds):
            value = float(right[rows == row].all())
            self.right[kind] = self.right.get(kind, 0.0) * 0.99 + value * 0.01

    def export(self, folder: Path) -> None:
        """Write a checkpoint as `save_pretrained` does, in fp16, with its vipbench.json."""
        folder.mkdir(parents=True, exist_ok=True)
        copy = VipLlavaForConditionalGeneration(self.model.config)
        copy.load_state_dict(self.model.state_dict())
        copy.half().save_pretrained(folder)  # type: ignore[no-untyped-call]  # torch's own
        self.processor.save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        # The name that transformers before 5.23 reads; later ones read either.
        config["vision_feature_layers"] = config["vision_feature_layer"]
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        settings = {"prompt_format": "chat_template", "fit": "pad"}
        (folder / "vipbench.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Build the processor that is saved beside the weights."""
    side = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = CLIPImageProcessorPil(size={"shortest_edge": IMAGE_SIZE}, crop_size=side)
    return LlavaProcessor(  # type: ignore[no-untyped-call]  # transformers' own
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def train(
    state: Path,
    out: Path | None = None,
    seed: int = 0,
    save_minutes: float = 3.0,
    snapshot_every: int = 500,
    threads: int = 1,
    console: Console = QUIET,
) -> None:
    """Train from the state in folder `state`, or from the start, to the end of the curriculum.

    Args:
        state: folder for training data, tokenizer, state and snapshots; made where missing.
        out: folder of the finished checkpoint; default `state`/checkpoint.
        seed: of the initial weights and of all lessons.
        save_minutes: time between two saves of the state.
        snapshot_every: steps between two checkpoints in `state`/snapshots.
        threads: of torch; on a shared machine one is the fastest.
        console: shows bars.
    """
    torch.set_num_threads(threads)
    state.mkdir(parents=True, exist_ok=True)
    data = state / "data"
    if not data.exists():
        make(state / "data.new", N_TRAINING, TRAINING_SEED, most={}).rename(data)
    lessons = Lessons(data, IMAGE_SIZE, seed)
    tokenizer = _tokenizer(state, lessons)
    batches = LessonBatches(lessons, tokenizer)
    trainer = Trainer(state, tokenizer, seed)
    clock = _Clock(trainer, save_minutes)
    show = partial(console.bar, unit=" steps")
    looks = LookBatches(lessons)
    for look in _ahead(looks, trainer.looked, trainer.right, partial(show, "looking")):
        trainer.look(look)
        clock.tick()
    steps = len(batches)
    learning = partial(show, "learning")
    for micro_batches in _ahead(batches, trainer.step, trainer.right, learning):
        trainer.learn(micro_batches, steps)
        clock.tick()
        if trainer.step % snapshot_every == 0:
            trainer.export(state / "snapshots" / f"step-{trainer.step:05d}")
    trainer.save()
    trainer.export(out or state / "checkpoint")


class _Clock:
    """Saves the state every few minutes."""

    def __init__(self, trainer: Trainer, minutes: float) -> None:
        self.trainer, self.seconds = trainer, minutes * 60
        self.saved = time.monotonic()

    def tick(self) -> None:
        if time.monotonic() - self.saved >= self.seconds:
            self.trainer.save()
            self.saved = time.monotonic()


def _ahead(
    batches: Dataset[Any], start: int, right: Mapping[str, float], show: "Callable[..., tqdm[Any]]"
) -> Iterator[Any]:
    """Yield the batches from a step on, made ahead by a worker, with a bar of what is right."""
    steps = range(start, len(batches))  # type: ignore[arg-type]  # both data sets have a length
    if not steps:
        return
    loader = DataLoader(batches, batch_size=None, sampler=steps, num_workers=1, prefetch_factor=4)
    with show(loader, total=steps.stop, initial=start) as bar:
        for batch in bar:
            yield batch
            bar.set_postfix({kind[-12:]: f"{value:.2f}" for kind, value in sorted(right.items())})


def _tokenizer(state: Path, lessons: Lessons) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a training, or learn it from the lessons of every phase."""
    folder = state / "tokenizer"
    if folder.exists():
        loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
        return loaded
    texts = (
        f"USER: {lesson.text} ASSISTANT: {lesson.answer}"
        for step in range(0, sum(phase.steps for phase in PHASES), 20)
        for lesson in lessons.batch(step, BATCH)
    )
    tokenizer = make_tokenizer(texts)
    tokenizer.save_pretrained(folder)
    return tokenizer
