"""Weights & Biases: into the run that is active, else into one of its own."""

import importlib
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vipbench.errors import TrackerError

PROJECT = "vipbench"
"""Where `WANDB_PROJECT` names none."""
STEP = "vipbench/step"
OFFLINE = ("offline", "dryrun")
DISABLED = ("disabled",)


class WandbTracker:
    """Logs numbers against the training step, and artefacts."""

    takes_files = True

    def __init__(self, folder: Path, name: str) -> None:
        """Take the run that is active in this process, as a Trainer's, or begin one."""
        self.check()
        wandb: Any = importlib.import_module("wandb")
        self._wandb = wandb
        self._is_own = wandb.run is None
        folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = self._tried(
            lambda: (
                wandb.run
                or wandb.init(
                    project=os.environ.get("WANDB_PROJECT") or PROJECT,
                    name=name,
                    dir=str(folder),
                    mode=os.environ.get("WANDB_MODE"),
                    settings=wandb.Settings(silent=True, console="off"),
                )
            )
        )
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("vipbench/*", step_metric=STEP)

    @staticmethod
    def check() -> None:
        """See that the package is there, and a login where what is logged is sent."""
        if importlib.util.find_spec("wandb") is None:
            raise TrackerError(
                "--log wandb: wandb is not installed · expected vipbench[wandb] · install it: "
                "`pip install 'vipbench[wandb]'`"
            )
        wandb: Any = importlib.import_module("wandb")
        if wandb.run is not None or os.environ.get("WANDB_MODE") in (*OFFLINE, *DISABLED):
            return
        why = "nobody is logged in"
        try:
            is_in = bool(wandb.login(prompt=False))
        except wandb.Error as error:
            is_in, why = False, " ".join(str(error).split())[:300]
        if not is_in:
            raise TrackerError(
                f"--log wandb: {why} · expected WANDB_API_KEY, or `wandb login` · or "
                "set WANDB_MODE=offline, and send it later with `wandb sync`"
            )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the numbers of a step; the run's own counter goes on by one."""
        self._tried(lambda: self._run.log({**metrics, STEP: step}))

    def attach(self, path: Path, name: str) -> None:
        """Log a file or a folder as an artefact."""
        artefact = self._wandb.Artifact(re.sub(r"[^\w.-]", "-", name), type="vipbench")
        if path.is_dir():
            artefact.add_dir(str(path))
        else:
            artefact.add_file(str(path))
        self._tried(lambda: self._run.log_artifact(artefact))

    def close(self) -> None:
        """End the run, if it was begun here."""
        if self._is_own:
            self._tried(self._run.finish)

    def _tried(self, act: Any) -> Any:
        try:
            return act()
        except self._wandb.Error as error:
            words = " ".join(str(error).split())[:300]
            raise TrackerError(
                f"wandb: {words} · expected a server that answers · set WANDB_MODE=offline, and "
                "send it later with `wandb sync`"
            ) from error
