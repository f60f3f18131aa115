"""What plans are made of: a 7B checkpoint without its weights, and what a bench has measured."""

import json
from pathlib import Path
from typing import Any

from vipbench.bench.floor import Work
from vipbench.bench.records import Speed
from vipbench.bench.report import BenchReport, Floor, WayReport
from vipbench.planning.plan import PlanOptions, make_plan
from vipbench.planning.records import Plan
from vipbench.run.settings import RunSettings

CONFIG: dict[str, Any] = {
    "model_type": "vipllava",
    "dtype": "float16",
    "image_token_index": 32000,
    "vision_feature_layers": [-2, -5, -8, -11, 6],
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
    },
    "text_config": {
        "model_type": "llama",
        "vocab_size": 32064,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
}
"""Of ViP-LLaVA 7B (llava-hf/vip-llava-7b-hf, config.json)."""


def make_7b(folder: Path) -> Path:
    """Write the config of a base 7B, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def make_13b(folder: Path) -> Path:
    """The same of a 13B."""
    text = CONFIG["text_config"] | {
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"text_config": text}))
    return folder


def plan_paper(model: Path, *, fields: dict[str, Any] | None = None, **options: Any) -> Plan:
    """Plan suite `paper`, whose data are not here."""
    settings = RunSettings(model=str(model), suite="paper", **(fields or {}))
    return make_plan(settings, PlanOptions(**options))


def write_bench(
    path: Path,
    *,
    model: str = "random 7b",
    device: str = "cuda:0 NVIDIA H200",
    operations: int = 10**13,
    samples_per_s: float = 30.0,
    **more: Any,
) -> Path:
    """Write what a bench leaves that has measured vipbench alone."""
    speed = Speed(threads=1, workers=1, batch_size=None, samples_per_s=samples_per_s)
    way = WayReport(
        threads=1,
        workers=1,
        processes=1,
        batch_size=64,
        attention="flash",
        n=100,
        samples_per_s=samples_per_s,
        samples_per_s_rounds=(samples_per_s,),
        samples_per_s_steady=None,
        prompt_tokens_per_s=1.0,
        new_tokens_per_s=1.0,
        new_tokens=2.0,
        padding_waste=0.0,
        mfu=0.4,
        busy_share=None,
        wait_share=0.0,
        seconds_to_start=1.0,
        seconds_to_load=1.0,
        memory_mib=1.0,
        memory_mib_first=1.0,
        memory_course=(),
        device_mib=None,
        device_mib_first=None,
        device_course=(),
        stages={},
        tried=(speed,),
        load_average=None,
    )
    report = BenchReport(
        ratio_official=None,
        ratio_usual=None,
        answers_equal=None,
        agreement={},
        n_compared=100,
        n=100,
        tasks={"visual7w_pointing": 100},
        model=model,
        prompt_tokens=686,
        new_tokens=2,
        image_width=None,
        ways={"vipbench": way},
        floor=Floor(
            operations=Work(vision=0, prefill=operations, decode=0),
            peak=7.5e14,
            peak_threads=1,
            samples_per_s=75.0,
        ),
        device=device,
        dtype="float16",
        machine="a CPU",
        n_cores=2,
        rounds=1,
        versions={},
        load_average=None,
        finished="2026-01-01T00:00:00Z",
        **more,
    )
    path.write_text(report.model_dump_json())
    return path
