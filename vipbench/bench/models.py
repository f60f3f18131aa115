"""The models that a bench measures: a checkpoint, or one of a named size with random weights."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)

from vipbench.bench.records import RandomSize
from vipbench.demo.embedded import CHECKPOINT
from vipbench.runners.checkpoints.adapting import load_adapter
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, check_checkpoint
from vipbench.runners.checkpoints.loading import load_tokenizer
from vipbench.runners.checkpoints.quantizing import quantized_options
from vipbench.runners.device import find_placement
from vipbench.runners.prompt_formats import PromptTokenizer, encode_prompt, format_prompt
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import PromptFormat, Quantize, Request

_SEED = 0
_SPREAD = 0.02
"""Standard deviation of random weights (transformers, `initializer_range` of Llama)."""
_VISION: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}
"""CLIP ViT-L/14-336 (openai/clip-vit-large-patch14-336, config.json)."""
_SMALL_VISION: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 12,
        "num_attention_heads": 4,
        "image_size": 56,
    },
    # ViT-S (arXiv 2012.12877, table 1), with as many patches as the large one: 22 M parameters
    "small": {
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
    },
}
"""What smaller models have in its place."""
_TEXT: dict[RandomSize, tuple[int, int, int, int]] = {
    # (width, mlp, layers, heads): Vicuna 1.5 (lmsys/vicuna-7b-v1.5 and 13b, config.json)
    "7b": (4096, 11008, 32, 32),
    "13b": (5120, 13824, 40, 40),
    # Ours: 85 M parameters in its layers and 49 M in embeddings and vocabulary. A CPU spends its
    # time with it in matrix products, as a GPU does with the large ones.
    "small": (768, 2048, 12, 12),
    "tiny": (64, 128, 2, 4),
}
_VOCABULARY = 32064
"""Of vip-llava-7b-hf: 32,000 of Llama, the image token and padding to a multiple of 64."""


class Loaded(NamedTuple):
    """What is loaded from the disk."""

    model: Path | None = None
    """None: the embedded checkpoint."""
    adapter: str | None = None
    quantize: Quantize | None = None


class Plain(NamedTuple):
    """A model as `transformers` loads it, and what turns requests into its inputs."""

    model: VipLlavaForConditionalGeneration
    tokenizer: Any
    image_processor: Any
    prompts: "Prompts"
    image_size: int


class Prompts:
    """Encodes requests as the runner of the same checkpoint does."""

    def __init__(
        self, info: CheckpointInfo, tokenizer: Any, image_token_id: int, n_image_tokens: int
    ) -> None:
        self._info = info
        self.tokenizer = tokenizer
        self._format: PromptFormat = info.hints.prompt_format or "hf"
        self._image_token = str(tokenizer.convert_ids_to_tokens(image_token_id) or "<image>")
        self._encoder = PromptTokenizer(tokenizer, image_token_id, n_image_tokens)

    def encode(self, request: Request) -> list[int]:
        """Return the token ids of a prompt, the image token once a feature."""
        texts = format_prompt(
            request.turns,
            self._format,
            self.tokenizer,
            self._info.chat_template,
            self._image_token,
        )
        return encode_prompt(self._encoder, *texts, self._format)


def load_runner(
    what: Loaded,
    size: RandomSize | None,
    dtype: str | None,
    *,
    device: str | None,
    threads: int | None,
) -> VipLlavaRunner:
    """Load what vipbench answers with; raises RunnerError as `VipLlavaRunner`."""
    if size is None:
        return VipLlavaRunner(
            what.model or CHECKPOINT,
            device=device,
            dtype=dtype,
            threads=threads,
            adapter=what.adapter,
            quantize=what.quantize,
        )
    info = check_checkpoint(CHECKPOINT)
    tokenizer = AutoTokenizer.from_pretrained(str(CHECKPOINT))
    tokenizer.chat_template = info.chat_template
    return VipLlavaRunner(
        build_random(size, device, dtype),
        tokenizer,
        prompt_format=info.hints.prompt_format,
        threads=threads,
    )


def load_plain(
    what: Loaded, size: RandomSize | None, device: str | None, dtype: str | None
) -> Plain:
    """Load what the other ways answer with, by transformers' own means only."""
    info = check_checkpoint(what.model or CHECKPOINT, None, what.adapter, what.quantize)
    loaded: Any
    if size is None:
        placement = find_placement(device, dtype)
        config = read_model_config(info.path, None)
        loaded = VipLlavaForConditionalGeneration.from_pretrained(
            str(info.path),
            config=config,
            dtype=placement.torch_dtype(),
            attn_implementation="sdpa",
            **quantized_options(info, placement),
        )
        if info.quantization is None:
            loaded = loaded.to(placement.torch_device())
        if info.adapter is not None:
            loaded = load_adapter(loaded, info.adapter, merge=info.quantization is None)
        loaded = loaded.eval()
    else:
        loaded = build_random(size, device, dtype)
    prompts = load_prompts(what.model, size)
    image_processor = _load_image_processor(info)
    side = loaded.config.vision_config.image_size
    return Plain(loaded, prompts.tokenizer, image_processor, prompts, side)


def _load_image_processor(info: CheckpointInfo) -> Any:
    """Load what transformers takes here, which is faster where torchvision is."""
    try:
        load: Any = AutoImageProcessor.from_pretrained
    except ImportError:  # some versions have none without torchvision
        load = CLIPImageProcessorPil.from_pretrained
    return load(str(info.path))


def load_prompts(model: Path | None, size: RandomSize | None) -> Prompts:
    """Load what encodes the requests of a checkpoint, or of a random model; no weights."""
    info = check_checkpoint(model or CHECKPOINT)
    config = read_model_config(info.path, size)
    vision = config.vision_config
    n_image_tokens = (vision.image_size // vision.patch_size) ** 2
    return Prompts(info, load_tokenizer(info), config.image_token_id, n_image_tokens)


def read_model_config(model: Path | None, size: RandomSize | None) -> Any:
    """Read the config of a checkpoint, or describe a random model; no weights."""
    if size is not None:
        return random_config(size)
    info = check_checkpoint(model or CHECKPOINT)
    config: Any = VipLlavaConfig.from_pretrained(str(info.path))
    # By the name that all versions know: some read only one spelling of the key.
    config.vision_feature_layers = list(info.vision_feature_layers)
    return config


def random_config(size: RandomSize) -> VipLlavaConfig:
    """Describe a model of a named size that takes the embedded tokenizer."""
    embedded = VipLlavaConfig.from_pretrained(str(CHECKPOINT))
    known: Any = embedded.text_config
    width, mlp, layers, heads = _TEXT[size]
    vision = _VISION | _SMALL_VISION.get(size, {})
    text = LlamaConfig(
        vocab_size=known.vocab_size if size == "tiny" else _VOCABULARY,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        bos_token_id=known.bos_token_id,
        eos_token_id=known.eos_token_id,
        pad_token_id=known.pad_token_id,
    )
    config: Any = VipLlavaConfig(
        vision_config=CLIPVisionConfig(**vision),
        text_config=text,
        image_token_index=embedded.image_token_id,
        image_seq_length=(vision["image_size"] // vision["patch_size"]) ** 2,
    )
    config.vision_feature_layers = [-2, -5, -8, -11, 6]  # official, as in the released models
    described: VipLlavaConfig = config
    return described


def build_random(
    size: RandomSize, device: str | None, dtype: str | None
) -> VipLlavaForConditionalGeneration:
    """Build a model with random weights on its device: the same ones each time.

    It answers in tokens that the embedded tokenizer can write, and never ends an answer by itself,
    so that answers have the length that is asked for and can be compared.
    """
    placement = find_placement(device, dtype)
    config: Any = random_config(size)
    build: Any = AutoModelForImageTextToText.from_config
    # Drawn in its own dtype where it stays: 7b in float16 takes 14 GB there, and nothing elsewhere.
    target = placement.torch_device()
    with torch.random.fork_rng([target] if target.type == "cuda" else []), target:
        model: Any = build(config, dtype=placement.torch_dtype(), attn_implementation="sdpa")
    generator = torch.Generator(target).manual_seed(_SEED)
    embedded: Any = VipLlavaConfig.from_pretrained(str(CHECKPOINT)).text_config
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 or name.endswith("class_embedding"):
                weight.normal_(0, _SPREAD, generator=generator)
        model.lm_head.weight[embedded.vocab_size :] = 0
        model.lm_head.weight[config.text_config.eos_token_id] = 0
    model.generation_config.eos_token_id = config.text_config.eos_token_id
    model.generation_config.pad_token_id = config.text_config.pad_token_id
    return model.eval()  # type: ignore[no-any-return]  # built by a name without types
