"""`load_model(folder)`: the class that a folder's `config.json` names, with its weights."""

from __future__ import annotations

import os
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, did_you_mean, explain
from flambeau.base.registry import load_target
from flambeau_text.locate import locate
from flambeau_text.models.config import Config
from flambeau_text.tokenize.folder import read_json

# model_type -> module, then the class for each task: the name's stem and what follows it.
FAMILIES: dict[str, tuple[str, str]] = {
    "gpt2": ("gpt2", "GPT2"),
    "llama": ("llama", "Llama"),
    "mistral": ("mistral", "Mistral"),
    "qwen2": ("qwen2", "Qwen2"),
    "bert": ("bert", "Bert"),
    "roberta": ("roberta", "Roberta"),
    "xlm-roberta": ("roberta", "Roberta"),
    "distilbert": ("distilbert", "DistilBert"),
    "t5": ("t5", "T5"),
    "mt5": ("mt5", "MT5"),
    "bart": ("bart", "Bart"),
    "marian": ("marian", "Marian"),
    "transformer": ("transformer", "Transformer"),
}
TASKS: dict[str, tuple[str, ...]] = {
    "base": ("Model",),
    "causal-lm": ("LMHeadModel", "ForCausalLM"),
    "masked-lm": ("ForMaskedLM",),
    "seq2seq-lm": ("ForConditionalGeneration", "MTModel"),
    "sequence-classification": ("ForSequenceClassification",),
    "token-classification": ("ForTokenClassification",),
    "question-answering": ("ForQuestionAnswering",),
    "encoder": ("EncoderModel",),
}
# Names that other libraries' files have for classes of ours.
_SAME = {"ForPreTraining": "ForMaskedLM", "WithLMHeadModel": "ForConditionalGeneration", "XLMRoberta": "Roberta"}


def load_model(path_or_id: str | os.PathLike[str], task: str | None = None, **options: Any) -> Any:
    """A model, in evaluation mode, ready for use.

    `config.json` names the family (`model_type`) and the class (`architectures`); the weights are `model.safetensors`, its shards, or
    `pytorch_model.bin`. Nothing in the files is executed.

    Args:
        path_or_id: a folder; or a name, see `flambeau_text.locate`: "char-gpt" comes with this package, and "org/name" is looked for in
            Hugging Face's cache on this machine, else downloaded where `huggingface_hub` is installed and FLAMBEAU_OFFLINE is not set.
        task: another head than the one in the file: "base", "causal-lm", "masked-lm", "seq2seq-lm", "sequence-classification",
            "token-classification", "question-answering", "encoder".
        options: replace options of the configuration, such as num_labels.

    Raises ArgumentError when files are missing or the family is not known, FileFormatError when they are damaged or contradict one another.
    """
    folder = locate(path_or_id)
    found = read_json(folder / "config.json")
    return model_class(found, task, str(folder)).from_pretrained(folder, **options)


def load_config(path_or_id: str | os.PathLike[str]) -> Config:
    """The configuration of a model, of its family's class."""
    folder = locate(path_or_id)
    found = read_json(folder / "config.json")
    made: Config = model_class(found, "base", str(folder)).config_class(**found)
    return made


def model_class(found: dict[str, Any], task: str | None = None, source: str = "config.json") -> Any:
    """The class for the content of a `config.json`."""
    kind = found.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        hint = did_you_mean(str(kind), FAMILIES) or f"one of {', '.join(FAMILIES)}"
        raise ArgumentError(explain(f"load_model {source}", expected="a model_type that is known", got=repr(kind), hint=hint))
    module, stem = FAMILIES[kind]
    if task is not None and task not in TASKS:
        raise ArgumentError(explain("load_model", expected=f"a task of {', '.join(TASKS)}", got=repr(task)))
    names = [stem + ending for ending in TASKS[task]] if task is not None else _architectures(found, stem, source)
    package = load_target(f"flambeau_text.models.{module}:__dict__", f"models of {kind}")
    for name in names:
        if name in package:
            return package[name]
    known = [name for name in package if name.startswith(stem) and not name.endswith("Config")]
    raise ArgumentError(explain(f"load_model {source}", expected=f"a class of {', '.join(known)}", got=str(names)))


def _architectures(found: dict[str, Any], stem: str, source: str) -> list[str]:
    names = found.get("architectures") or [f"{stem}Model"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FileFormatError(explain(f"load_model {source}", expected="architectures, a list of names", got=repr(names)[:100]))
    renamed = []
    for name in names:
        for old, new in _SAME.items():
            name = name.replace(old, new)
        renamed.append(name)
    return renamed
