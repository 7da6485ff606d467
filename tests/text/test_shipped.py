"""The model that comes with the package, and how names become folders."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, OfflineError
from flambeau_text import load_model, load_tokenizer, pipeline
from flambeau_text.locate import locate, shipped
from flambeau_text.metrics import perplexity
from flambeau_text.models import GPT2Config, GPT2LMHeadModel
from flambeau_text.recipes.char_gpt import corpus


def test_the_shipped_model_knows_the_manual():
    model, tokenizer = load_model("char-gpt"), load_tokenizer("char-gpt")
    text = corpus()[-3000:]  # the end of the topics was held out in training
    assert perplexity(model, tokenizer.encode(text).ids, window=model.config.n_positions) < 5
    assert tokenizer.decode(tokenizer.encode("The statement\n").ids) == "The statement\n"
    fb.manual_seed(0)
    found = pipeline("generate", "char-gpt")("The ", max_new_tokens=60, do_sample=True, top_k=10)
    assert found.startswith("The ") and len(found) == 64
    assert sum(path.stat().st_size for path in shipped()["char-gpt"].iterdir()) < 2_500_000
    assert math.isfinite(float(model.lm_head.weight.sum().detach()))


def test_names(tmp_path, monkeypatch):
    commit = 20 * "ab"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("FLAMBEAU_OFFLINE", "1")
    with pytest.raises(ArgumentError, match="Did you mean 'char-gpt'"):
        load_model("chargpt")
    snapshot = tmp_path / "models--me--tiny" / "snapshots" / commit
    GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=4, n_layer=1, n_head=1, n_positions=8)).save_pretrained(snapshot)
    (snapshot.parent / "def").mkdir()
    (tmp_path / "models--me--tiny" / "refs").mkdir()
    (tmp_path / "models--me--tiny" / "refs" / "main").write_text(f"{commit}\n")
    assert locate("me/tiny") == snapshot and load_model("me/tiny").config.vocab_size == 9
    assert locate(tmp_path) == tmp_path and locate(Path("nowhere")) == Path("nowhere")
    for wrong in ("../me/tiny", "me/..", "me/tiny/more", "https://example.org/x"):
        with pytest.raises(ArgumentError, match="expected a folder, char-gpt, or org/name"):
            locate(wrong)
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    (tmp_path / "hub").mkdir()
    with pytest.raises(OfflineError, match="FLAMBEAU_OFFLINE"):
        load_tokenizer("me/tiny")
