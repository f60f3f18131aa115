"""A Trainer of the embedded checkpoint, and a task of a few samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoProcessor,
    Trainer,
    TrainingArguments,
    VipLlavaForConditionalGeneration,
)

from tests.runs import make_task
from vipbench.demo import embedded

MakeTrainer = Callable[..., Trainer]


@pytest.fixture(scope="session")
def processor() -> Any:
    return AutoProcessor.from_pretrained(embedded.CHECKPOINT)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def loaded() -> Any:
    return VipLlavaForConditionalGeneration.from_pretrained(
        embedded.CHECKPOINT, dtype=torch.float32
    )


@pytest.fixture
def model(loaded: Any) -> Any:
    state = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    yield loaded
    loaded.load_state_dict(state)
    loaded.zero_grad(set_to_none=True)


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_task(tmp_path_factory.mktemp("task"), n=4, styles="[demo]")


@pytest.fixture(scope="session")
def examples(processor: Any, loaded: Any) -> list[dict[str, torch.Tensor]]:
    config = loaded.config
    n_tokens = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    ids = processor.tokenizer("What is it? A cat", return_tensors="pt")["input_ids"][0]
    image = torch.full((n_tokens,), config.image_token_id)
    pixels = np.random.default_rng(0).random((3, *2 * [config.vision_config.image_size]))
    example = {
        "input_ids": torch.cat([image, ids]),
        "labels": torch.cat([torch.full_like(image, -100), ids]),
        "pixel_values": torch.tensor(pixels, dtype=torch.float32),
    }
    return [example] * 4


@pytest.fixture
def make_trainer(model: Any, processor: Any, examples: Any, tmp_path: Path) -> MakeTrainer:
    """Build a Trainer of four steps, one example each, with dropout of a global generator."""

    def make(*callbacks: Any, **arguments: Any) -> Trainer:
        given: dict[str, Any] = {
            "output_dir": str(tmp_path / "out"),
            "max_steps": 4,
            "per_device_train_batch_size": 1,
            "save_strategy": "no",
            "logging_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
            "learning_rate": 1e-3,
            "remove_unused_columns": False,
        }
        return Trainer(
            model=model,
            args=TrainingArguments(**(given | arguments)),
            train_dataset=examples,
            processing_class=processor,
            callbacks=list(callbacks),
        )

    return make
