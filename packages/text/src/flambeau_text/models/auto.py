"""`load_model(folder)`: the class that a folder's `config.json` names, with its weights."""

from __future__ import annotations

import os
from typing import Any

from flambeau.pretrained import Config, Families
from flambeau_text.locate import locate

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
families = Families("flambeau_text.models", FAMILIES, TASKS, _SAME)


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
    return families.load(locate(path_or_id), task, **options)


def load_config(path_or_id: str | os.PathLike[str]) -> Config:
    """The configuration of a model, of its family's class."""
    return families.config(locate(path_or_id))
