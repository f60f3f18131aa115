"""Prompt formats of VipLlava checkpoints, and tokenisation around the image.

The markers are Unicode noncharacters, which never occur in exchanged text. A format's own
special tokens are written between them, so that the same letters in a user's text stay text.
"""

import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerBase

from vipbench.errors import RunnerError
from vipbench.runners import remembered
from vipbench.runners.frames import FRAMES, LLAVA_SYSTEM, OFFICIAL_FORMATS, Frame, special_tokens_of
from vipbench.runners.templates import ChatTemplate, choose_template
from vipbench.schema import PromptFormat, Request

SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
"""System sentence of formats `hf` (transformers' VipLlava page) and `llava_v1` (ViP-LLaVA,
llava/conversation.py, conv_llava_v1)."""

SPLIT_AT_IMAGE = OFFICIAL_FORMATS
"""Formats whose texts before and after the image are tokenised apart, each as the start of a text
(ViP-LLaVA, llava/mm_utils.py, tokenizer_image_token); the others are transformers', whose processor
tokenises a prompt as a whole."""


_WHERE = "prompt format chat_template"
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_BREAK = "\ufdd2"
_IMAGE = f"{_OPEN}image{_CLOSE}"


def format_prompt(
    turns: Sequence[str],
    prompt_format: PromptFormat,
    tokenizer: PreTrainedTokenizerBase | None = None,
    chat_template: ChatTemplate | str | None = None,
    image_token: str = "<image>",  # noqa: S107 (no password)
) -> tuple[str, str]:
    """Write a conversation in a prompt format; return the text before and after the image.

    `turns` are user, assistant, user, …, ending with a user's; the image stands in front of the
    first. The two texts are for `encode_prompt` (`readable` shows them): special tokens that the
    format writes are marked in them, the same letters in a turn are not. Only `chat_template`
    reads the last three arguments; template None is the tokenizer's own.

    Raises:
        RunnerError: the last turn is not the user's; the template is missing, fails, or does not
            place the image exactly once.
    """
    chat = None
    if prompt_format == "chat_template":
        chat = _find_chat(tokenizer, chat_template, image_token)
    return _write_prompt(turns, prompt_format, chat)


def _write_prompt(
    turns: Sequence[str], prompt_format: PromptFormat, chat: "_Chat | None"
) -> tuple[str, str]:
    """Do as `format_prompt` does; `chat` is there for `chat_template`."""
    if len(turns) % 2 == 0:
        raise RunnerError(f"prompt: {len(turns)} turns · expected an odd number, the last a user's")
    texts = [_without_markers(turn) for turn in turns]
    if prompt_format == "hf":
        prompt = f"{SYSTEM}###Human: {_IMAGE}\n{texts[0]}###Assistant:"
        for answer, text in zip(texts[1::2], texts[2::2], strict=True):
            prompt += f" {answer}###Human: {text}###Assistant:"
    elif prompt_format == "llava_v1":
        prompt = f"{SYSTEM} USER: {_IMAGE}\n{texts[0]} ASSISTANT:"
        for answer, text in zip(texts[1::2], texts[2::2], strict=True):
            prompt += f" {answer}{_OPEN}</s>{_CLOSE}USER: {text} ASSISTANT:"
    elif prompt_format in FRAMES:
        prompt = _write_framed(texts, FRAMES[prompt_format])
    else:
        assert chat is not None
        prompt = _apply_chat_template(texts, chat)
    before, after = prompt.split(_IMAGE)
    return before, after


def _write_framed(texts: Sequence[str], frame: Frame) -> str:
    """Write a conversation with a frame around each turn, and leave the last one open.

    A later turn that is empty is not closed, as in the official code.
    """
    parts = [("system", LLAVA_SYSTEM), ("user", f"{_IMAGE}\n{texts[0]}")]
    parts += [("user" if i % 2 else "assistant", text) for i, text in enumerate(texts[1:])]
    start, end = _mark_specials(frame.start), _mark_specials(frame.end)
    prompt = start
    for role, text in parts:
        prompt += f"{_mark_specials(frame.head.format(role=role))}{text}{end if text else ''}"
    return prompt + _mark_specials(frame.head.format(role="assistant"))


def _mark_specials(text: str) -> str:
    return re.sub(r"<\|.*?\|>", lambda match: _mark(match[0]), text)


def missing_tokens(tokenizer: PreTrainedTokenizerBase, names: Iterable[str]) -> tuple[str, ...]:
    """Name those of some special tokens that a tokenizer does not have."""
    unknown = (None, tokenizer.unk_token_id)
    return tuple(name for name in names if tokenizer.convert_tokens_to_ids(name) in unknown)


def readable(before: str, after: str, image_token: str = "<image>") -> str:  # noqa: S107 (no password)
    """Give the whole prompt as a person reads it, one image token and no markers."""
    return _without_markers(f"{before}{image_token}{after}", "")


class PromptTokenizer:
    """A checkpoint's tokenizer, made to take special tokens from the prompt format only.

    Where a text spells a special token (`<image>`, `</s>`), a copy answers in which every special
    token has its marked text as name: what merely looks like one is cut into ordinary tokens,
    whatever the tokenizer's kind.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, image_token_id: int, n_image_tokens: int
    ) -> None:
        """Copy a `tokenizers`-based tokenizer.

        Raises:
            RunnerError: the tokenizer is not of that kind.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise RunnerError(
                f"tokenizer: {type(tokenizer).__name__} has no tokenizer.json · expected a fast "
                "tokenizer · save it once with AutoTokenizer"
            )
        self.image_token_id = image_token_id
        self.n_image_tokens = n_image_tokens
        self._tokenizer = tokenizer
        self._specials = special_tokens(tokenizer, image_token_id)
        self._spelled = _any_of(self._specials)
        spec: str = backend.to_str()
        self._spec = hashlib.sha256(spec.encode()).hexdigest()
        self._copy = Tokenizer.from_str(_with_marked_names(spec, self._specials))
        # The tokenizer as it is now, whatever a trainer lets it pad or cut; and without what
        # transformers does around it, which takes a quarter of the time.
        self._as_it_is = Tokenizer.from_str(spec)
        self._as_it_is.no_padding()
        self._as_it_is.no_truncation()
        # What the tokenizer itself puts in front of a text: [BOS] or nothing.
        start = tokenizer("", add_special_tokens=True)["input_ids"]
        self.bos_id = tokenizer.bos_token_id
        self.bos = [i for i in start[:1] if i == self.bos_id]
        self._image_token = str(tokenizer.convert_ids_to_tokens(image_token_id))
        if self._image_token not in self._specials:
            # A number that the tokenizer has no such token for: it needs one in the copy.
            image = AddedToken(_mark(self._image_token), special=True, normalized=False)
            self._copy.add_special_tokens([image])
        self._copy_image_id: int = self._copy.get_vocab()[_mark(self._image_token)]

    def encode(self, text: str) -> list[int]:
        """Token ids of one marked text, without BOS."""
        return _encode(self._copy, self._known(text), add_special_tokens=False)

    def encode_whole(self, before: str, after: str) -> list[int]:
        """Token ids of two marked texts with one image between, as transformers' processor.

        What the tokenizer adds to a text (BOS, and EOS where it was made so) is added unless the
        prompt starts with BOS itself.
        """
        image = _mark(self._image_token)
        marked = f"{self._known(before)}{image}{self._known(after)}"
        bos = self._tokenizer.bos_token
        add = bos is None or not marked.startswith(_mark(bos))
        plain = _without_markers(marked, "")
        ids: list[int] = []
        if len(self._spelled.findall(plain)) == marked.count(_OPEN):
            ids = _encode(self._as_it_is, plain, add_special_tokens=add)
        image_id = self.image_token_id
        if ids.count(image_id) != 1:
            ids = _encode(self._copy, marked, add_special_tokens=add)
            image_id = self._copy_image_id
        at = ids.index(image_id)
        return [*ids[:at], *[self.image_token_id] * self.n_image_tokens, *ids[at + 1 :]]

    def without_image(self, ids: Sequence[int]) -> "array[int]":
        """Return the ids of a prompt with one token for its image, as `with_image` takes them."""
        at = ids.index(self.image_token_id)
        return array("I", [*ids[: at + 1], *ids[at + self.n_image_tokens :]])

    def with_image(self, ids: "array[int]") -> list[int]:
        """Return the ids of a prompt whose one token for the image stands for all of its own."""
        at = ids.index(self.image_token_id)
        return [*ids[:at], *[self.image_token_id] * self.n_image_tokens, *ids[at + 1 :]]

    def digest(self, *others: object) -> str:
        """Return what tells this tokenizer, and whatever else writes prompts, from others."""
        parts = (
            self._spec,
            sorted(self._specials),
            self.image_token_id,
            self.n_image_tokens,
            self.bos,
            self.bos_id,
            self._tokenizer.bos_token,
            *others,
        )
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()

    def pieces(self, *texts: str) -> list[int]:
        """Numbers of those texts that are tokens as they stand."""
        missing = missing_tokens(self._tokenizer, texts)
        return [self._id(text) for text in texts if text not in missing]

    def _id(self, text: str) -> int:
        found = self._tokenizer.convert_tokens_to_ids(text)
        assert isinstance(found, int)  # one text has one number
        return found

    def _known(self, text: str) -> str:
        """Take the marks from what is no special token of this tokenizer: it is ordinary text."""
        return re.sub(
            f"{_OPEN}(.*?){_CLOSE}",
            lambda match: match[0] if match[1] in self._specials else match[1],
            text,
            flags=re.DOTALL,
        )


def _encode(tokenizer: Tokenizer, text: str, *, add_special_tokens: bool) -> list[int]:
    """Return the token ids of a text, by the way that does not note where each comes from."""
    [encoding] = tokenizer.encode_batch_fast([text], add_special_tokens=add_special_tokens)
    return list(encoding.ids)


class PromptEncoder:
    """Turns requests into the token ids that one checkpoint takes."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompt_format: PromptFormat,
        *,
        image_token_id: int,
        n_image_tokens: int,
        chat_template: ChatTemplate | str | None = None,
    ) -> None:
        """Take a checkpoint's tokenizer and chat template; None is the tokenizer's own.

        Raises:
            RunnerError: there is no tokenizer.json, the image token is not one of its numbers, a
                special token of the format is missing, or the template cannot be used.
        """
        if not 0 <= image_token_id < 2**31:
            raise RunnerError(
                f"tokenizer: the image token is {image_token_id} (image_token_index) · expected "
                "the number of a token, 0 or more"
            )
        if missing := missing_tokens(tokenizer, special_tokens_of(prompt_format)):
            raise RunnerError(
                f"prompt format {prompt_format}: the tokenizer has no {', no '.join(missing)} · "
                f"expected that of {FRAMES[prompt_format].language_model} · say by --prompt-format "
                "in which format the checkpoint was trained"
            )
        self.prompt_format: PromptFormat = prompt_format
        self.image_token = str(tokenizer.convert_ids_to_tokens(image_token_id) or "<image>")
        self._tokens = PromptTokenizer(tokenizer, image_token_id, n_image_tokens)
        self._chat = None
        if prompt_format == "chat_template":
            self._chat = _find_chat(tokenizer, chat_template, self.image_token)
        self.template_date = self._chat.template.date if self._chat else None
        """The day that the chat template is told; None: it does not ask for one."""
        # A template that cannot be used is an error now rather than at the first sample.
        _, self._end = self._format(("?",))
        chat = (self._chat.template.text, self._chat.names_json) if self._chat else None
        self._name = self._tokens.digest(prompt_format, chat)

    def text(self, request: Request) -> str:
        """Return the whole prompt as text, with one image token."""
        return readable(*self._format(request.turns), self.image_token)

    def encode(self, request: Request) -> list[int]:
        """Return the token ids of the prompt, the image token once a feature."""
        question = f"{self._name} {json.dumps(request.turns)}"
        key = hashlib.blake2b(question.encode(), digest_size=16).digest()
        known = remembered.find(key)
        if known is not None:
            return self._tokens.with_image(known)
        ids = encode_prompt(self._tokens, *self._format(request.turns), self.prompt_format)
        if self._tokens.image_token_id in ids:
            remembered.keep(key, self._tokens.without_image(ids))
        return ids

    def option_tokens(self, letter: str) -> tuple[int, ...]:
        """Return the token ids that stand for a letter as the whole answer; see `option_tokens`."""
        return option_tokens(self._tokens, self._end, letter)

    def _format(self, turns: Sequence[str]) -> tuple[str, str]:
        return _write_prompt(turns, self.prompt_format, self._chat)


def encode_prompt(
    tokenizer: PromptTokenizer, before: str, after: str, prompt_format: PromptFormat
) -> list[int]:
    """Token ids of a prompt from `format_prompt`, the image token repeated for every feature.

    Where it is split at the image (`SPLIT_AT_IMAGE`), the ids are those of the official code to
    the letter. What the tokenizer adds in front of a text is added to both, and taken from the
    second where the first begins with BOS. So `llava_llama_3`, whose text spells BOS, begins with
    two of them where the tokenizer adds one; where it adds none, the line break behind the image is
    lost.
    """
    if prompt_format not in SPLIT_AT_IMAGE:
        return tokenizer.encode_whole(before, after)
    start, end = ([*tokenizer.bos, *tokenizer.encode(text)] for text in (before, after))
    if tokenizer.bos_id is not None and start[:1] == [tokenizer.bos_id]:
        end = end[1:]
    return [*start, *[tokenizer.image_token_id] * tokenizer.n_image_tokens, *end]


def option_tokens(tokenizer: PromptTokenizer, after: str, letter: str) -> tuple[int, ...]:
    """Token ids that stand for a letter as the whole answer to a prompt that ends with `after`.

    The letter is tokenised behind the prompt, with and without a space between: Llama's
    SentencePiece has `▁A` and `A`, byte-level BPE `ĠA` and `A`. Where the end of the prompt melts
    into the letter (a prompt that ends with a space), the letter's token in a text of its own
    counts. Where the last token of the prompt swallows the space (Phi 3), an answer may
    begin with either all the same. Empty where the letter is not a single token.
    """
    start = tokenizer.encode(after)
    tokens = []
    texts = (f" {letter}", letter)
    spaced, plain = (tokenizer.encode(after + text) for text in texts)
    for text, behind in zip(texts, (spaced, plain), strict=True):
        alone = tokenizer.encode(text)
        if behind[:-1] == start:
            tokens.append(behind[-1])
        elif len(alone) == 1:
            tokens.append(alone[0])
    if spaced == plain and tokens:
        tokens += tokenizer.pieces(f"▁{letter}", f"Ġ{letter}", letter)
    return tuple(dict.fromkeys(tokens))


def special_tokens(
    tokenizer: PreTrainedTokenizerBase, image_token_id: int | None = None
) -> frozenset[str]:
    """All texts that the tokenizer takes for a special token, the image token among them."""
    added = tokenizer.added_tokens_decoder
    texts = {token.content for i, token in added.items() if token.special or i == image_token_id}
    texts.update(tokenizer.all_special_tokens)
    # Some trainers write the byte-fallback tokens as special ones, but they are ordinary text.
    return frozenset(text for text in texts if text and not re.fullmatch("<0x[0-9A-F]{2}>", text))


def _with_marked_names(tokenizer_json: str, specials: Iterable[str]) -> str:
    """Rename special tokens in a tokenizer.json: ids stay, and no text can spell the new names."""
    spec = json.loads(tokenizer_json)
    names = {text: _mark(text) for text in specials}
    for token in spec["added_tokens"]:
        if token["content"] in names:
            # Unnormalised, for a normalizer (prepended space, lower case) may change the markers.
            # A word of its own it is anyway, and marks that nothing takes would be read as text.
            token.update(content=names[token["content"]], normalized=False, single_word=False)
    model: dict[str, Any] = spec["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(text, text): i for text, i in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(text, text), score] for text, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        pairs = [m.split(" ", 1) if isinstance(m, str) else m for m in model["merges"]]
        if part := next((part for pair in pairs for part in pair if part in names), None):
            raise RunnerError(
                f"tokenizer: {part!r} is a special token, and ordinary text is made of it (merges)"
                " · expected special tokens of their own, such as </s> · correct bos_token and the "
                "others in tokenizer_config.json"
            )
        model["merges"] = [[left, right] for left, right in pairs if left + right not in names]
    spec.update(truncation=None, padding=None)
    return json.dumps(spec)


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Match any of the texts, longest first, because one may be part of another; none: nothing."""
    listed = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(re.escape(text) for text in listed) or "(?!)")


def _mark(text: str) -> str:
    return f"{_OPEN}{text}{_CLOSE}"


def _without_markers(text: str, replacement: str = "\ufffd") -> str:
    """Replace the marker characters, by default as Unicode advises for foreign noncharacters."""
    return re.sub(f"[{_OPEN}{_CLOSE}{_BREAK}]", replacement, text)


class _Chat(NamedTuple):
    """A chat template with what a tokenizer tells it: the same for all prompts."""

    template: ChatTemplate
    names: Mapping[str, Any]
    """Of the special tokens."""
    names_json: str
    image_token: str
    spelled: re.Pattern[str]
    """Every special token, and the image's."""


def _find_chat(tokenizer: PreTrainedTokenizerBase | None, given: object, image_token: str) -> _Chat:
    """Take the template that is given, else the tokenizer's; RunnerError where there is none."""
    template = choose_own(tokenizer, given)
    if template is None or tokenizer is None:
        raise RunnerError(
            f"{_WHERE}: the checkpoint has no chat template · use --prompt-format hf or llava_v1"
        )
    names: Mapping[str, Any] = tokenizer.special_tokens_map
    spelled = _any_of(special_tokens(tokenizer) | {image_token})
    return _Chat(template, names, json.dumps(names, default=str), image_token, spelled)


def _apply_chat_template(texts: Sequence[str], chat: _Chat) -> str:
    """Render the template, and mark the special tokens that it has written."""
    # A template must write every turn, which a text of one letter would not show.
    check_turns(chat.template, chat.names_json, chat.image_token, len(texts))
    # The same letters in a text are broken up until those of the template are marked.
    broken = [
        chat.spelled.sub(lambda match: f"{match[0][0]}{_BREAK}{match[0][1:]}", t) for t in texts
    ]
    prompt = chat.template.render(conversation(broken), chat.names)
    _check_image(chat.template, prompt, chat.image_token)
    prompt = chat.spelled.sub(
        lambda match: _IMAGE if match[0] == chat.image_token else _mark(match[0]), prompt
    )
    return prompt.replace(_BREAK, "")


def choose_own(tokenizer: PreTrainedTokenizerBase | None, given: object) -> ChatTemplate | None:
    """Take the template that is given, else the tokenizer's; RunnerError where it is not one."""
    template = given if isinstance(given, ChatTemplate) else choose_template(given, _WHERE)
    if template is None and tokenizer is not None:
        template = choose_template(tokenizer.chat_template, _WHERE)
    return template


def conversation(turns: Sequence[str], *images: Mapping[str, object]) -> list[dict[str, Any]]:
    """Turns as chat templates take them, the images in front of the first; by default one.

    `images` are what their parts hold, in order.
    """
    messages: list[dict[str, Any]] = [
        {"role": "assistant" if i % 2 else "user", "content": [{"type": "text", "text": turn}]}
        for i, turn in enumerate(turns)
    ]
    messages[0]["content"][:0] = [{"type": "image", **image} for image in images or ({},)]
    return messages


@lru_cache(maxsize=64)
def check_turns(template: ChatTemplate, names: str, image_token: str, n_turns: int) -> None:
    """Let a template write a conversation of `n_turns` marks; `names` as JSON.

    Raises:
        RunnerError: the template fails, does not place the image or a turn exactly once, or writes
            what is other in another process.
    """
    turns = [f"{_OPEN}{i}{_CLOSE}" for i in range(n_turns)]
    prompt = template.render(conversation(turns), json.loads(names))
    _check_image(template, prompt, image_token)
    for i, turn in enumerate(turns):
        n_written = prompt.count(turn)
        if n_written != 1:
            raise RunnerError(
                f"{template.where}: writes turn {i + 1} of {n_turns} {n_written} times · expected "
                f"once · {template.advice}"
            )
    template.check_repeats(prompt)


def _check_image(template: ChatTemplate, prompt: str, image_token: str) -> None:
    n_images = prompt.count(image_token)
    if n_images != 1:
        why = " (the model was not trained for several images in one prompt)" if n_images else ""
        raise RunnerError(
            f"{template.where}: writes {image_token} {n_images} times for one image · expected "
            f"exactly one{why} · {template.advice}"
        )
