"""The way *peer*: a server that has the same model, asked as `--runner openai` asks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vipbench import files
from vipbench.bench.clocks import Clock, Log
from vipbench.bench.models import load_prompts, read_model_config
from vipbench.bench.peer import forget, peer_spec
from vipbench.bench.records import Answered, Job
from vipbench.bench.way import Choice, open_requests, read_requests
from vipbench.console import Console
from vipbench.errors import RunnerError
from vipbench.images.load import load_pixels
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.openai.runner import OpenAiRunner
from vipbench.schema import Request


class Server:
    """A server; several requests are under way at a time."""

    def __init__(self, job: Job) -> None:
        """Prepare; nothing is sent.

        Raises:
            VipbenchError: the model's config cannot be read, or the address is none.
        """
        if job.peer is None:
            raise RunnerError("way peer: has no address · give --peer URL")
        self._job, self._peer = job, job.peer
        self.model: Any = None
        self.config: Any = read_model_config(job.model, job.random)
        self.dtype = ""
        self.image_size: int = self.config.vision_config.image_size
        self.forgets = False
        self._prompts = load_prompts(job.model, job.random)
        self._runner: OpenAiRunner | None = None
        self._concurrency = 1
        self._messages: dict[str, None] = {}
        """In their order, each once."""

    @property
    def messages(self) -> list[str]:
        """Return what was said of the server, in the terms of a bench."""
        return [text.replace("--extra-body", "--peer-body") for text in self._messages]

    def choices(self) -> list[Choice]:
        """Return each number of requests under way."""
        return [Choice(1, 1, size) for size in self._job.batch_sizes or (1,)]

    def start(self, choice: Choice) -> None:
        """Ask as chosen from now on, a server that has forgotten what it was asked before.

        What it takes is found out with the first request, before any time counts.
        """
        self.close()
        self._concurrency = choice.batch_size or 1
        spec = peer_spec(self._peer, self.image_size, self._concurrency)
        spec.check()
        self._runner = spec.make()
        self._runner.open(Console(self._messages.setdefault))
        first = read_requests(open_requests(self._job.requests, 1), [0])
        self._runner.probe(first, self._load)
        self.forgets = forget(self._peer.url)

    def close(self) -> None:
        """Give the connections back."""
        if self._runner is not None:
            self._runner.close()
        self._runner = None

    def warm_up(self, trials: Trials, path: Path) -> None:
        """Ask nothing: `start` has, and a server may know again what it has read."""

    def answer(self, trials: Trials, log: Log, clock: Clock) -> None:
        """Ask all requests, each answer written as it comes."""
        runner = self._runner
        if runner is None:
            raise RunnerError("way peer: is not started")
        asked: list[Request] = []

        def requests() -> Iterator[Request]:
            for i in range(len(trials)):
                asked.extend(read_requests(trials, [i]))
                yield asked[-1]

        with log.path.open("a", encoding="utf-8") as file:
            for number, response in runner.answer_each(requests(), self._load):
                n_prompt = len(self._prompts.encode(asked[number]))
                if response.text is None:
                    raise RunnerError(
                        f"--peer {self._peer.url}: does not answer {asked[number].id}: "
                        f"{response.error}"
                    )
                n_new = response.n_new_tokens
                answer = Answered(
                    text=response.text, n_prompt=n_prompt, n_passes=max(n_new - 1, 0), n_new=n_new
                )
                file.write(answer.model_dump_json() + "\n")
                file.flush()
                log.add([number], [n_prompt])
        log.batch_size = self._concurrency

    def read(self, path: Path) -> list[Answered]:
        """Read the answers that were written, in the order of the lines."""
        return list(files.read_lines(path, Answered))

    def attention(self) -> str:
        """Return nothing: the server does not tell."""
        return ""

    def more_stages(self, trials: Trials, log: Log) -> dict[str, float]:
        """Return nothing: nobody looks into a server."""
        return {}

    def _load(self, request: Request) -> Any:
        return load_pixels(request, self._job.images[request.task], self.image_size)
