"""TensorBoard: an event file below the folder, written by TensorBoard's own package alone."""

import importlib
import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vipbench.errors import TrackerError

FOLDER = "tensorboard"


class TensorBoardTracker:
    """Writes scalars that `tensorboard --logdir` shows."""

    takes_files = False

    def __init__(self, folder: Path, name: str) -> None:
        """Begin an event file in `tensorboard` below a folder."""
        self.check()
        module = "tensorboard.summary.writer.event_file_writer"
        self._writer: Any = importlib.import_module(module).EventFileWriter(str(folder / FOLDER))
        self._events: Any = importlib.import_module("tensorboard.compat.proto.event_pb2")
        self._summaries: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2")

    @staticmethod
    def check() -> None:
        """See that the package is there."""
        if importlib.util.find_spec("tensorboard") is None:
            raise TrackerError(
                "--log tensorboard: tensorboard is not installed · expected vipbench[tensorboard] "
                "· install it: `pip install 'vipbench[tensorboard]'`"
            )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a scalar for each number."""
        value = self._summaries.Summary.Value
        scalars = [value(tag=tag, simple_value=number) for tag, number in metrics.items()]
        summary = self._summaries.Summary(value=scalars)
        event = self._events.Event(step=step, wall_time=time.time(), summary=summary)
        self._writer.add_event(event)
        self._writer.flush()

    def attach(self, path: Path, name: str) -> None:
        """Event files hold no files."""

    def close(self) -> None:
        """End the event file."""
        self._writer.close()
