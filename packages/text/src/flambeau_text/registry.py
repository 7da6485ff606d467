"""What this package registers with Flambeau, as names and entry strings that are imported on first use."""

from __future__ import annotations

from flambeau.plugins import Register, hookimpl


@hookimpl
def flambeau_register(registry: Register) -> None:
    """Datasets, models and recipes."""
    for name, target, summary in DATASETS:
        registry.dataset(name, f"flambeau_text.datasets.{target}", summary=summary)
    for name, target, summary in MODELS:
        registry.model(name, f"flambeau_text.models.{target}", summary=summary)
    for name, target, summary in RECIPES:
        registry.recipe(name, f"flambeau_text.recipes.{target}", summary=summary)


DATASETS = (
    ("ag_news", "ag_news:AGNews", "News items of four kinds."),
    ("conll2000", "conll:CoNLL2000", "Words with parts of speech and chunks."),
    ("conll2003", "conll:CoNLL2003", "Words with the names of people, places and organisations."),
    ("imdb", "imdb:IMDB", "Reviews of films, good and bad."),
    ("multi30k", "multi30k:Multi30k", "Sentences in two languages."),
    ("squad", "squad:SQuAD", "Questions whose answers are parts of a text."),
    ("sst2", "sst2:SST2", "Sentences of film reviews, good and bad."),
    ("wikitext", "wikitext:WikiText", "Articles of Wikipedia, for language models."),
)

MODELS = (
    ("gpt2", "gpt2:GPT2LMHeadModel", "GPT-2, a decoder."),
    ("llama", "llama:LlamaForCausalLM", "Llama 1 to 3, a decoder with rotary positions."),
    ("mistral", "mistral:MistralForCausalLM", "Mistral, Llama with a window."),
    ("qwen2", "qwen2:Qwen2ForCausalLM", "Qwen2, Llama with biases."),
    ("bert", "bert:BertForMaskedLM", "BERT, an encoder."),
    ("roberta", "roberta:RobertaForMaskedLM", "RoBERTa and XLM-R, encoders."),
    ("distilbert", "distilbert:DistilBertForMaskedLM", "DistilBERT, a small encoder."),
    ("t5", "t5:T5ForConditionalGeneration", "T5, encoder and decoder with relative positions."),
    ("bart", "bart:BartForConditionalGeneration", "BART, encoder and decoder."),
    ("marian", "marian:MarianMTModel", "Marian, the translators of OPUS-MT."),
    ("transformer", "transformer:TransformerForConditionalGeneration", "The Transformer of 2017."),
)

RECIPES = (
    ("char-gpt", "char_gpt:recipe", "A small GPT learns to write like Python's manual, letter by letter."),
    ("reverse-translate", "reverse_translate:recipe", "The Transformer translates between two made languages."),
    ("sentiment", "sentiment:recipe", "A small BERT tells good reviews from bad ones."),
)
