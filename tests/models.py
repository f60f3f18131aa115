"""Tiny random VipLlavas and others, built offline: real models whose answers mean nothing."""

# mypy: disable-error-code=no-untyped-call

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
    MistralConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)

IMAGE_SIZE, PATCH = 56, 14
TextModel = Literal["llama", "mistral", "phi3", "qwen2"]
TEXT_CONFIGS: dict[TextModel, Any] = {
    "llama": LlamaConfig,
    "mistral": MistralConfig,
    "phi3": Phi3Config,
    "qwen2": Qwen2Config,
}
SPECIALS = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
CORPUS = [
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions. USER: ASSISTANT: ###Human: "
    "What is the object within the red rectangle? A. The blue circle. B. the green square. "
    "Answer with the option's letter from the given choices directly. yes no 0 1 2 3"
]
CHAT_TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}] {% for part in message.content %}"
    "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "{% if message.role == 'assistant' %}</s>{% endif %}{% endfor %}[assistant]"
)


def build_tokenizer(*marks: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE that puts <s> in front of a text; `marks` frame an image."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*SPECIALS, *marks],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        extra_special_tokens={"image_token": "<image>"}
        | {f"{mark.strip('<>')}_token": mark for mark in marks},
    )


def build_processor() -> LlavaProcessor:
    """The processor that the documentation describes, for the cross-check."""
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=build_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(
    text: TextModel = "llama",
    feature_layers: Sequence[int] = (-2, -5, -8, -11, 6),
    **text_config: Any,
) -> VipLlavaForConditionalGeneration:
    """Random weights, always the same; logits wide enough that rounding decides nothing."""
    tokenizer = build_tokenizer()
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    } | text_config
    config = VipLlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=12,
            num_attention_heads=4,
            image_size=IMAGE_SIZE,
            patch_size=PATCH,
        ),
        text_config=TEXT_CONFIGS[text](**shared),
        image_token_index=SPECIALS.index("<image>"),
        image_seq_length=(IMAGE_SIZE // PATCH) ** 2,
    )
    config.vision_feature_layers = list(feature_layers)
    torch.manual_seed(0)
    model = VipLlavaForConditionalGeneration(config)
    _widen(model, tokenizer)
    return model


def _widen(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    """Make random weights tell inputs apart, and answers readable."""
    model.eval()
    with torch.no_grad():
        # Default weights are so small that image and words hardly reach the logits.
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.mul_(2 if "embed" in name else 6)
        # Half of a letter in UTF-8 would decode to the same sign as any other half.
        for token in range(min(len(tokenizer), len(model.lm_head.weight))):
            if not str(tokenizer.decode([token])).isascii():
                model.lm_head.weight[token] = 0


FAMILIES = ("llava", "llava_next", "gemma3")
Family = Literal["llava", "llava_next", "gemma3"]


def save_family(folder: Path, family: Family, end_ids: list[int] | None = None) -> Path:
    """Write a checkpoint of another family.

    LLaVA sees one square, LLaVA-NeXT tiles of a grid; in Gemma 3 the token that the template
    writes is not the one that the features replace.
    """
    tokenizer = build_tokenizer("<boi>", "<eoi>") if family == "gemma3" else build_tokenizer()
    vision: Any = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
    }
    text: Any = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    image_token = SPECIALS.index("<image>")
    square = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    one: Any = {"size": {"shortest_edge": IMAGE_SIZE}, "crop_size": square}
    grids = [[1, 2], [2, 1], [2, 2]]
    pinpoints = [[IMAGE_SIZE * rows, IMAGE_SIZE * columns] for rows, columns in grids]
    config: Any
    processor: Any
    model: Any
    torch.manual_seed(0)
    if family == "llava":
        config = LlavaConfig(
            vision_config=CLIPVisionConfig(**vision),
            text_config=LlamaConfig(**text),
            image_token_index=image_token,
        )
        model, processor = LlavaForConditionalGeneration(config), build_processor()
    elif family == "llava_next":
        config = LlavaNextConfig(
            vision_config=CLIPVisionConfig(**vision),
            text_config=LlamaConfig(**text),
            image_token_index=image_token,
            image_grid_pinpoints=pinpoints,
        )
        model = LlavaNextForConditionalGeneration(config)
        processor = LlavaNextProcessor(
            LlavaNextImageProcessorPil(**one, image_grid_pinpoints=pinpoints),
            tokenizer,
            patch_size=PATCH,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            chat_template=CHAT_TEMPLATE,
        )
    else:
        config = Gemma3Config(
            vision_config=vision | {"vision_use_head": False},
            text_config=text | {"model_type": "gemma3_text", "head_dim": 16, "sliding_window": 32},
            image_token_index=image_token,
            boi_token_index=len(SPECIALS),
            eoi_token_index=len(SPECIALS) + 1,
            mm_tokens_per_image=4,
        )
        model = Gemma3ForConditionalGeneration(config)
        # Zeros by default, so that the image would not be seen.
        torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight)
        processor = Gemma3Processor(
            Gemma3ImageProcessorPil(size=square),
            tokenizer,
            image_seq_length=4,
            chat_template=CHAT_TEMPLATE.replace("<image>", "<boi>"),
        )
    _widen(model, tokenizer)
    if end_ids is not None:
        model.generation_config.eos_token_id = end_ids
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_checkpoint(
    folder: Path, model: VipLlavaForConditionalGeneration | None = None, **save: Any
) -> Path:
    """Write a checkpoint folder as save_pretrained does."""
    model = build_model() if model is None else model
    model.save_pretrained(folder, **save)
    build_processor().save_pretrained(folder)
    return folder


def make_old(folder: Path) -> Path:
    """Turn a checkpoint folder into what transformers 4.37 saved: weight names and config keys."""
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        name = name.removeprefix("model.")
        if name.startswith("vision_tower.") and ".vision_model." not in name:
            name = name.replace("vision_tower.", "vision_tower.vision_model.", 1)
        weights[name] = tensor
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    if "vision_feature_layer" in config:  # saved by transformers 5.23
        config["vision_feature_layers"] = config.pop("vision_feature_layer")
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.37.2"
    config.pop("image_seq_length", None)
    for part in ("text_config", "vision_config"):
        config[part].pop("dtype", None)
    theta = config["text_config"].pop("rope_parameters")["rope_theta"]
    config["text_config"]["rope_theta"] = theta
    (folder / "config.json").write_text(json.dumps(config))
    processor = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").unlink()
    image_processor = processor["image_processor"] | {"image_processor_type": "CLIPImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(image_processor))
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    return folder
