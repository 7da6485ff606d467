"""What decides how Whisper writes: the options of `generation_config.json` that matter, and the tokens that a prompt is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from numbers import Integral
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, did_you_mean, explain
from flambeau.base.files import read_json
from flambeau_audio.models.languages import CODES

TASKS = ("translate", "transcribe")


@dataclass
class WhisperSettings:
    """Hugging Face's names. Tokens that a model does not have are None.

    Attributes:
        decoder_start_token_id, eos_token_id, pad_token_id: the first token, the last, and what follows it.
        no_timestamps_token_id: the token that asks for no times; the ones after it are times, in steps of 0.02 seconds.
        max_initial_timestamp_index: how late the first time may be.
        suppress_tokens, begin_suppress_tokens: tokens that are never written, or not first.
        lang_to_id, task_to_id: tokens of languages ("<|en|>") and tasks ("transcribe", "translate").
        is_multilingual: whether there are several languages; None where the file does not say.
        forced_decoder_ids: the prompt of older files, as (place, token) pairs.
        max_length: tokens at most.
        language, task, return_timestamps: what is done when a call does not say.
    """

    decoder_start_token_id: int
    eos_token_id: int
    pad_token_id: int
    no_timestamps_token_id: int | None = None
    max_initial_timestamp_index: int | None = None
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    lang_to_id: dict[str, int] = field(default_factory=dict)
    task_to_id: dict[str, int] = field(default_factory=dict)
    is_multilingual: bool | None = None
    forced_decoder_ids: list[list[Any]] | None = None
    max_length: int | None = None
    language: str | None = None
    task: str | None = None
    return_timestamps: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.eos_token_id, list) and self.eos_token_id:
            self.eos_token_id = self.eos_token_id[0]
        whole = [self.decoder_start_token_id, self.eos_token_id, self.pad_token_id]
        whole += [v for v in (self.no_timestamps_token_id, self.max_initial_timestamp_index, self.max_length) if v is not None]
        tables = [*self.lang_to_id.values(), *self.task_to_id.values()] if _dicts(self.lang_to_id, self.task_to_id) else [None]
        lists = [*(self.suppress_tokens or []), *(self.begin_suppress_tokens or [])]
        if not all(isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0 for value in [*whole, *tables, *lists]):
            raise FileFormatError(explain("Whisper's generation settings", expected="whole numbers as tokens", got=repr(self)[:200]))

    @classmethod
    def of(cls, model: Any) -> WhisperSettings:
        """A model's settings: those of its folder, else what its configuration says."""
        own = getattr(model, "generation_config", None)
        return own if own is not None else cls.from_dict(model.config.to_dict())

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> WhisperSettings:
        """From the content of a file; what is not a setting here is left out."""
        names = {f.name for f in fields(cls)}
        found = {name: value for name, value in options.items() if name in names and value is not None}
        absent = [name for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id") if name not in found]
        if absent:
            raise FileFormatError(explain("Whisper's generation settings", expected=", ".join(absent), got="none of them"))
        return cls(**found)

    @classmethod
    def from_pretrained(cls, folder: Path) -> WhisperSettings:
        """From a folder's `config.json` and `generation_config.json`, where there is one."""
        return cls.from_dict({**read_json(folder / "config.json"), **read_json(folder / "generation_config.json", {})})

    @property
    def times(self) -> int | None:
        """The token of 0.00 seconds."""
        return None if self.no_timestamps_token_id is None else self.no_timestamps_token_id + 1

    def language_token(self, language: str) -> int:
        """The token of a language: "en", "english" or "<|en|>". Raises ArgumentError for one that the model does not know."""
        name = str(language).lower()
        token = name if name in self.lang_to_id else f"<|{CODES.get(name, name)}|>"
        if token not in self.lang_to_id:
            hint = did_you_mean(name, CODES) or f"one of {', '.join(self.lang_to_id) or 'none'}"
            raise ArgumentError(explain("Whisper", expected="a language that this model knows", got=repr(language), hint=hint))
        return self.lang_to_id[token]

    def prompt(self, language: str | None, task: str | None, detected: int | None, times: bool) -> list[int]:
        """The tokens that a text begins with.

        Args:
            language, task: what is asked for.
            detected: the token of the language that was heard, where none is asked for.
            times: whether times are written.
        """
        language, task = language or self.language, task or self.task
        if (language or task) and self.is_multilingual is False:
            raise ArgumentError(explain("Whisper", expected="no language and no task, for a model of English", got=f"{language}, {task}"))
        if task is not None and (task not in TASKS or task not in self.task_to_id):
            raise ArgumentError(explain("Whisper", expected=f"a task of {', '.join(self.task_to_id) or 'none'}", got=repr(task)))
        tokens: list[Any] = [self.decoder_start_token_id]
        if not language and not task:
            tokens += [pair[1] for i, pair in enumerate(self.forced_decoder_ids or []) if pair[0] == i + 1]
        spoken = self.language_token(language) if language else detected
        if spoken is not None:
            tokens[1:2] = [spoken]
        if task is not None:
            tokens = [token for token in tokens if token not in self.task_to_id.values()] + [self.task_to_id[task]]
        elif language and self.task_to_id and not set(tokens) & set(self.task_to_id.values()):
            tokens.append(self.task_to_id["transcribe"])
        quiet = self.no_timestamps_token_id
        if not times and quiet is not None and tokens[-1] != quiet:
            tokens.append(quiet)
        elif times and tokens[-1] == quiet:
            tokens.pop()
        return [token for token in tokens if token is not None]

    def listens(self, language: str | None, task: str | None) -> bool:
        """Whether the language must be heard first: none is asked for, and the model has several."""
        forced = self.forced_decoder_ids if not (language or self.language or task or self.task) else None
        open_ = not forced or forced[0][1] is None
        return bool(self.lang_to_id) and not (language or self.language) and open_


def _dicts(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)
