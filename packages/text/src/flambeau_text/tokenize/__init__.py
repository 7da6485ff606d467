"""Tokenizers: texts to ids and back."""

from __future__ import annotations

from flambeau_text.tokenize.encoding import Encoding
from flambeau_text.tokenize.folder import load_tokenizer, save_tokenizer
from flambeau_text.tokenize.sentencepiece import SentencePieceModel, read_sentencepiece, sentencepiece_tokenizer
from flambeau_text.tokenize.tokenizer import Tokenizer
from flambeau_text.tokenize.train import train_tokenizer

__all__ = [
    "Encoding",
    "SentencePieceModel",
    "Tokenizer",
    "load_tokenizer",
    "read_sentencepiece",
    "save_tokenizer",
    "sentencepiece_tokenizer",
    "train_tokenizer",
]
