"""Two engines that run a `tokenizer.json`: ours in Python, and the Rust library where it is installed. They give the same results."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from flambeau.base.errors import ArgumentError, FileFormatError, explain, missing_extra
from flambeau_text.tokenize.added import AddedToken, AddedTokens
from flambeau_text.tokenize.bpe import BPE, Token
from flambeau_text.tokenize.components import builder, field
from flambeau_text.tokenize.decoders import decoder
from flambeau_text.tokenize.encoding import Encoding, truncate_pair
from flambeau_text.tokenize.normalizers import normalizer
from flambeau_text.tokenize.post_processors import joined, post_processor
from flambeau_text.tokenize.pre_tokenizers import pre_tokenizer
from flambeau_text.tokenize.unigram import Unigram
from flambeau_text.tokenize.wordpiece import WordLevel, WordPiece

Text = str | Sequence[str]  # a sequence is a text that is in words already


class Model(Protocol):
    """Cuts a piece of text into tokens."""

    vocab: dict[str, int]

    def tokenize(self, word: str) -> list[Token]:
        """(id, token, start, stop) of each."""


_MODELS: dict[str, Callable[[dict[str, Any]], Model]] = {
    "BPE": BPE,
    "WordPiece": WordPiece,
    "WordLevel": WordLevel,
    "Unigram": Unigram,
}


def model_of(spec: Any) -> Model:
    """The model that a JSON object describes; files of old versions name no type."""
    if isinstance(spec, dict) and "type" not in spec:
        guess = "BPE" if "merges" in spec else "Unigram" if isinstance(spec.get("vocab"), list) else None
        guess = guess or ("WordPiece" if "continuing_subword_prefix" in spec else "WordLevel")
        spec = {**spec, "type": guess}
    return builder("model", _MODELS, spec)


class PythonEngine:
    """Runs all steps in Python: added tokens, normalizer, pre-tokenizer, model, post-processor."""

    name = "python"

    def __init__(self, spec: dict[str, Any], truncation: dict[str, Any] | None = None) -> None:
        self.truncation = truncation
        self.normalizer = normalizer(spec.get("normalizer"))
        self.pre_tokenizer = pre_tokenizer(spec.get("pre_tokenizer"))
        self.model = model_of(spec.get("model"))
        self.post_processor = post_processor(spec.get("post_processor"))
        self.decoder = decoder(spec.get("decoder"))
        self.added = AddedTokens(map(AddedToken.of, field(spec, "added_tokens", list, [])), self.normalizer)

    def encode(self, text: Text, pair: Text | None, special: bool) -> Encoding:
        """The encoding of one text, or of two."""
        parts = [self._one(text, 0)] + ([] if pair is None else [self._one(pair, 1)])
        if self.truncation is not None:
            room = self.truncation["max_length"] - (self.post_processor.added(pair is not None) if special else 0)
            strategy = "".join("_" + c.lower() if c.isupper() else c for c in self.truncation["strategy"]).lstrip("_")
            direction = self.truncation.get("direction", "Right").lower()
            if room < 0:
                got = str(self.truncation["max_length"])
                raise ArgumentError(explain("truncation", expected="a max_length with room for the special tokens", got=got))
            truncate_pair(parts[0], parts[1] if pair is not None else None, room, strategy, self.truncation.get("stride", 0), direction)
        return joined(self.post_processor.process(parts, special))

    def _one(self, text: Text, sequence: int) -> Encoding:
        encoding = Encoding()
        if isinstance(text, str):
            self._encode(text, sequence, None, encoding)
            return encoding
        for word, part in enumerate(text):
            self._encode(part, sequence, word, encoding)
        return encoding

    def _encode(self, text: str, sequence: int, word: int | None, out: Encoding) -> None:
        index = 0
        for piece, token in self.added.split(text):
            if token is not None:
                out.add(token.id, piece.text, piece.span(0, len(piece)), index if word is None else word, sequence)
                index += 1
                continue
            for part in self.pre_tokenizer(piece):
                if not part.text:
                    continue
                for id_, name, start, stop in self.model.tokenize(part.text):
                    out.add(id_, name, part.span(start, stop), index if word is None else word, sequence)
                index += 1

    def decode(self, tokens: list[str]) -> str:
        """The text of tokens."""
        return "".join(self.decoder(tokens))


class RustEngine:
    """The library `tokenizers`, behind the same methods."""

    name = "rust"

    def __init__(self, spec: dict[str, Any], truncation: dict[str, Any] | None = None) -> None:
        if find_spec("tokenizers") is None:
            raise missing_extra("the Rust tokenizers", "tokenizers", "flambeau-text[tokenizers]")
        from tokenizers import Tokenizer

        try:
            self.rust = Tokenizer.from_str(json.dumps({**spec, "padding": None, "truncation": truncation}))
        except Exception as error:  # the library raises bare Exception
            raise FileFormatError(explain("tokenizer.json", expected="one that the Rust library reads", got=str(error))) from None
        self.rust.encode_special_tokens = False

    def encode(self, text: Text, pair: Text | None, special: bool) -> Encoding:
        """The encoding of one text, or of two."""
        words = not isinstance(text, str)
        try:
            found = self.rust.encode(text, pair, is_pretokenized=words, add_special_tokens=special)
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise ArgumentError(explain("tokenizer", expected="a text that the model can encode", got=str(error))) from None
        return _converted(found)

    def decode(self, tokens: list[str]) -> str:
        """The text of tokens."""
        return self.rust.decoder.decode(tokens) if self.rust.decoder is not None else " ".join(tokens)


def _converted(found: Any) -> Encoding:
    return Encoding(
        found.ids,
        found.type_ids,
        found.tokens,
        found.offsets,
        found.word_ids,
        found.sequence_ids,
        found.special_tokens_mask,
        found.attention_mask,
        [_converted(other) for other in found.overflowing],
    )


def engine_of(spec: dict[str, Any], backend: str, truncation: dict[str, Any] | None) -> PythonEngine | RustEngine:
    """The engine of a backend: "python", "rust", or "auto" for the Rust one where it is installed and reads the file."""
    if backend not in ("auto", "python", "rust"):
        raise ArgumentError(explain("Tokenizer", expected="backend auto, python or rust", got=repr(backend)))
    if backend == "rust":
        return RustEngine(spec, truncation)
    if backend == "auto" and find_spec("tokenizers") is not None:
        try:
            return RustEngine(spec, truncation)
        except FileFormatError:
            pass  # ours says what is wrong, if anything
    return PythonEngine(spec, truncation)
