"""way_transformers: part of what was vipbench/bench/ways.py."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vipbench import files
from vipbench.bench.clocks import Clock, Log, NoClock
from vipbench.bench.models import Plain, load_plain
from vipbench.bench.records import Answered, Job
from vipbench.images.load import load_image
from vipbench.runfolder.trials_file import Trials
from vipbench.schema import Request


class Transformers:
    """`generate` on prompts padded on the left; with batches of one, the official way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.plain: Plain = load_plain(job.model, job.random, job.device, job.dtype)
        self.model: Any = self.plain.model
        config: Any = self.plain.model.generation_config
        ends = config.eos_token_id
        self._ends = {ends} if isinstance(ends, int) else set(ends or ())
        self._pad = config.pad_token_id if config.pad_token_id is not None else min(self._ends)

    def close(self) -> None:
        """Nothing is left to end."""

    def answer(
        self, trials: Trials, batch_size: int | None, log: Log, clock: Clock | None = None
    ) -> None:
        """Answer all trials; batches hold requests of similar length and one limit."""
        clock = clock or NoClock(log.place)
        with log.path.open("a", encoding="utf-8") as file:
            for places in self._batches(trials, batch_size or 1):
                with clock.time("read"):
                    requests = _requests(trials, places)
                with clock.time("load"):
                    images = [self._image(each) for each in requests]
                answers = self._generate(requests, images, log, clock)
                with clock.time("write"):
                    file.write("".join(each.model_dump_json() + "\n" for each in answers))
                    file.flush()
                log.add(places, [each.n_prompt for each in answers])

    def _batches(self, trials: Trials, n: int) -> Iterator[list[int]]:
        if n == 1:
            yield from ([i] for i in range(len(trials)))
            return
        limits = [0] * len(trials)
        if not self.job.one_limit:
            limits = [_requests(trials, [i])[0].max_new_tokens for i in range(len(trials))]
        for limit in sorted(set(limits)):
            places = [i for i, each in enumerate(limits) if each == limit]
            places.sort(key=lambda i: trials.entries[i].length)
            yield from (places[i : i + n] for i in range(0, len(places), n))

    def read(self, path: Path) -> list[Answered]:
        """Read the answers that were written, in the order of the lines."""
        return list(files.read_lines(path, Answered))

    def _image(self, request: Request) -> np.ndarray:
        images = self.job.images[request.task]
        return load_image(request, images, self.plain.image_size)

    def _generate(
        self, requests: Sequence[Request], images: list[np.ndarray], log: Log, clock: "Clock"
    ) -> list[Answered]:
        """Answer a batch; it is at work until its longest answer ends."""
        prompts = [self.plain.prompts.encode(request) for request in requests]
        width = max(map(len, prompts))
        ids = [[self._pad] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        with clock.time("normalise"):
            pixels = self._normalise(images)
        place = self.model.device
        with clock.time("generate"), log.busy(), torch.inference_mode():
            output: torch.Tensor = self.model.generate(
                input_ids=torch.tensor(ids, device=place),
                attention_mask=torch.tensor(mask, device=place),
                pixel_values=pixels.to(place, self.model.dtype),
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
        found: torch.Tensor = self.plain.image_processor(
            images=images,
            do_resize=False,
            do_center_crop=False,
            input_data_format="channels_last",
            return_tensors="pt",
        )["pixel_values"]
        return found

    def _read(self, n_prompt: int, new: list[int]) -> Answered:
        end = next((i for i, token in enumerate(new) if token in self._ends), None)
        tokens = new[:end]
        text = self.plain.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        n_new = len(tokens) + (end is not None)
        return Answered(text=text, n_prompt=n_prompt, n_passes=n_new - 1, n_new=n_new)


def _requests(trials: Trials, places: Sequence[int]) -> list[Request]:
    return [trial.request for trial in trials.read(places) if trial.request is not None]
