"""The ways *official* and *usual*: `generate` of transformers, one request at a time or padded."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vipbench import files
from vipbench.bench.clocks import Clock, Log, NoClock
from vipbench.bench.models import Loaded, Plain, load_plain
from vipbench.bench.records import Answered, Job
from vipbench.bench.way import Choice, open_requests, read_requests
from vipbench.images.load import load_pixels
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.checkpoints.attention import attention_kernel
from vipbench.schema import Request


class Transformers:
    """`generate` on prompts padded on the left; with batches of one, the official way."""

    def __init__(self, job: Job) -> None:
        """Load the model of a job.

        Raises:
            VipbenchError: the checkpoint cannot be used.
        """
        self._job = job
        self._plain: Plain = load_plain(
            Loaded(job.model, job.adapter, job.quantize), job.random, job.device, job.dtype
        )
        self.model: Any = self._plain.model
        self.config: Any = self.model.config
        self.dtype = str(self.model.dtype).removeprefix("torch.")
        self.forgets = True
        self.messages = ()
        self.image_size = self._plain.image_size
        config: Any = self._plain.model.generation_config
        ends = config.eos_token_id
        self._ends = {ends} if isinstance(ends, int) else set(ends or ())
        self._pad = config.pad_token_id if config.pad_token_id is not None else min(self._ends)
        self._batch_size = 1
        # Tokenised before time counts, as by vipbench, which does so when it plans.
        for trial in open_requests(job.requests, 1):
            if trial.request is not None:
                self._plain.prompts.encode(trial.request)

    def choices(self) -> list[Choice]:
        """Return each number of threads with each batch size."""
        sizes = self._job.batch_sizes or (None,)
        return [Choice(n, 1, size) for n, size in itertools.product(self._job.threads, sizes)]

    def start(self, choice: Choice) -> None:
        """Answer as chosen from now on; no batch size: one request at a time."""
        torch.set_num_threads(choice.threads)
        self._batch_size = choice.batch_size or 1

    def close(self) -> None:
        """Nothing is left to end."""

    def warm_up(self, trials: Trials, path: Path) -> None:
        """Answer some trials; one process answers all."""
        device = self.model.device
        self.answer(trials, Log(device, path, len(trials)), NoClock(device))

    def answer(self, trials: Trials, log: Log, clock: Clock) -> None:
        """Answer all trials; batches hold requests of similar length and one limit."""
        with log.path.open("a", encoding="utf-8") as file:
            for batch in self._batches(trials):
                with clock.time("read"):
                    requests = read_requests(trials, batch)
                with clock.time("load"):
                    images = [self._image(request) for request in requests]
                answers = self._generate(requests, images, log, clock)
                with clock.time("write"):
                    file.write("".join(answer.model_dump_json() + "\n" for answer in answers))
                    file.flush()
                log.add(batch, [answer.n_prompt for answer in answers])

    def _batches(self, trials: Trials) -> Iterator[list[int]]:
        """Yield the indices of the trials of each batch."""
        size = self._batch_size
        if size == 1:
            yield from ([i] for i in range(len(trials)))
            return
        limits = [0] * len(trials)
        if not self._job.one_limit:
            limits = [read_requests(trials, [i])[0].max_new_tokens for i in range(len(trials))]
        for limit in sorted(set(limits)):
            alike = [i for i in range(len(trials)) if limits[i] == limit]
            alike.sort(key=lambda i: trials.entries[i].length)
            yield from (alike[i : i + size] for i in range(0, len(alike), size))

    def read(self, path: Path) -> list[Answered]:
        """Read the answers that were written, in the order of the lines."""
        return list(files.read_lines(path, Answered))

    def attention(self) -> str:
        """Name the kernel; prompts of several lengths, padded on the left, need a mask."""
        return attention_kernel(self.model, masked=self._batch_size > 1)

    def more_stages(self, trials: Trials, log: Log) -> dict[str, float]:
        """Return nothing: one loop does everything, and its stages are all timed."""
        return {}

    def _image(self, request: Request) -> np.ndarray:
        return load_pixels(request, self._job.images[request.task], self.image_size)

    def _generate(
        self, requests: Sequence[Request], images: list[np.ndarray], log: Log, clock: Clock
    ) -> list[Answered]:
        """Answer a batch; it is at work until its longest answer ends."""
        prompts = [self._plain.prompts.encode(request) for request in requests]
        width = max(map(len, prompts))
        ids = [[self._pad] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        with clock.time("normalise"):
            pixels = self._normalise(images)
        device = self.model.device
        with clock.time("generate"), log.busy(), torch.inference_mode():
            output: torch.Tensor = self.model.generate(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                pixel_values=pixels.to(device, self.model.dtype),
                do_sample=False,
                max_new_tokens=max(request.max_new_tokens for request in requests),
                pad_token_id=self._pad,
            )
            answers = output[:, width:].tolist()
        return [
            self._read(len(prompt), new[: request.max_new_tokens])
            for request, prompt, new in zip(requests, prompts, answers, strict=True)
        ]

    def _normalise(self, images: list[np.ndarray]) -> torch.Tensor:
        """Return pixel values (B, 3, size, size) of uint8 images (size, size, 3)."""
        pixels: torch.Tensor = self._plain.image_processor(
            images=images,
            do_resize=False,
            do_center_crop=False,
            input_data_format="channels_last",
            return_tensors="pt",
        )["pixel_values"]
        return pixels

    def _read(self, n_prompt: int, new: list[int]) -> Answered:
        """Decode an answer up to its end token; `new`: all that was generated for it."""
        end = next((i for i, token in enumerate(new) if token in self._ends), None)
        tokens = new[:end]
        text = self._plain.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        n_new = len(tokens) + (end is not None)
        return Answered(text=text, n_prompt=n_prompt, n_passes=n_new - 1, n_new=n_new)
