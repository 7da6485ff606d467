"""Models of text, one paper a file; `load_model(folder)` picks the class."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes as _lazy_attributes

_FILES = {
    "auto": ("load_config", "load_model"),
    "pretrained": ("PretrainedModel",),
    "gpt2": ("GPT2Config", "GPT2ForSequenceClassification", "GPT2LMHeadModel", "GPT2Model"),
    "llama": ("LlamaConfig", "LlamaForCausalLM", "LlamaForSequenceClassification", "LlamaModel"),
    "mistral": ("MistralConfig", "MistralForCausalLM", "MistralForSequenceClassification", "MistralModel"),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", "Qwen2ForSequenceClassification", "Qwen2Model"),
    "bert": (
        "BertConfig", "BertForMaskedLM", "BertForQuestionAnswering", "BertForSequenceClassification", "BertForTokenClassification",
        "BertModel",
    ),
    "roberta": (
        "RobertaConfig", "RobertaForMaskedLM", "RobertaForQuestionAnswering", "RobertaForSequenceClassification",
        "RobertaForTokenClassification", "RobertaModel", "XLMRobertaConfig",
    ),
    "distilbert": (
        "DistilBertConfig", "DistilBertForMaskedLM", "DistilBertForQuestionAnswering", "DistilBertForSequenceClassification",
        "DistilBertForTokenClassification", "DistilBertModel",
    ),
    "mt5": ("MT5Config", "MT5EncoderModel", "MT5ForConditionalGeneration", "MT5Model"),
    "t5": ("T5Config", "T5EncoderModel", "T5ForConditionalGeneration", "T5Model"),
    "bart": ("BartConfig", "BartForConditionalGeneration", "BartForSequenceClassification", "BartModel"),
    "marian": ("MarianConfig", "MarianMTModel", "MarianModel"),
    "transformer": ("TransformerConfig", "TransformerForConditionalGeneration", "TransformerModel"),
}  # fmt: skip
_SHARED = ("Cache", "Config", "ModelOutput", "StaticCache")

__all__ = sorted((*_SHARED, *(name for names in _FILES.values() for name in names)))

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    attributes={
        **{name: f"flambeau.pretrained:{name}" for name in _SHARED},
        **{name: f"{__name__}.{file}:{name}" for file, names in _FILES.items() for name in names},
    },
)
