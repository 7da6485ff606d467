"""The recipes: short runs write what they should and resume exactly; the full ones reach their bars (slow)."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import flambeau as fb
from flambeau.train import run_recipe
from flambeau_text.models import load_model
from flambeau_text.pipelines import pipeline
from flambeau_text.recipes import char_gpt, reverse_translate, sentiment
from flambeau_text.recipes.languages import MadeLanguages
from flambeau_text.recipes.reviews import BAD, GOOD, MadeReviews

TINY = {
    "char-gpt": dict(steps=4, every=2, layers=1, width=16, heads=2, batch_size=4, block=16, sample=12, compiled=False),
    "reverse-translate": dict(steps=4, every=2, layers=1, width=16, heads=2, batch_size=4, test_size=3, beams=2, compiled=False),
    "sentiment": dict(steps=4, every=2, layers=1, width=16, heads=2, batch_size=4, test_size=6, compiled=False),
}
RECIPES = {each.recipe.name: each.recipe for each in (char_gpt, reverse_translate, sentiment)}
FILES = {"char-gpt": "samples.txt", "reverse-translate": "translations.txt", "sentiment": "mistakes.txt"}


class StopAt:
    """Breaks a run off after some steps, as Ctrl-C does."""

    order = 20

    def __init__(self, step):
        self.step = step

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *args: None

    def on_epoch_end(self, loop):
        if loop.step == self.step:
            raise KeyboardInterrupt

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize("name", RECIPES)
def test_short_runs(name, tmp_path, capsys):
    whole = run_recipe(RECIPES[name], TINY[name], out=tmp_path / "whole")
    with open(tmp_path / "whole" / "metrics.csv", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]
    assert (tmp_path / "whole" / FILES[name]).read_text(encoding="utf-8")
    assert (tmp_path / "whole" / "learning_curve.png").stat().st_size > 5000
    load_model(tmp_path / "whole" / "model")
    with pytest.raises(KeyboardInterrupt):
        run_recipe(RECIPES[name], TINY[name], out=tmp_path / "parts", callbacks=[StopAt(2)])
    again = run_recipe(RECIPES[name], TINY[name], out=tmp_path / "parts", resume=True)
    assert again.metrics == whole.metrics
    weights = [(tmp_path / part / "model" / "model.safetensors").read_bytes() for part in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_compiled_updates_are_those_of_single_operations(tmp_path):
    options = dict(TINY["sentiment"], steps=5, every=5)
    plain = run_recipe(sentiment.recipe, options, out=tmp_path / "plain")
    compiled = run_recipe(sentiment.recipe, dict(options, compiled=True), out=tmp_path / "compiled")
    assert compiled.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=1e-3)


def test_wrong_options():
    for recipe in RECIPES.values():
        with pytest.raises(ValueError, match="steps must be 1 or more"):
            recipe.config(steps=0)


def test_the_languages():
    languages = MadeLanguages()
    assert len(set(languages.lexicon.values())) == len(languages.lexicon) == 88
    assert not set(languages.lexicon) & set(languages.lexicon.values())
    noun, adjective, verb = languages.nouns[0], languages.adjectives[0], languages.verbs[0]
    to = languages.lexicon
    expected = f"ul {to[noun]} {to[adjective]} {to[noun]} {to[verb]}"
    assert languages.translate(f"{adjective} {noun} {verb} {noun}") == expected
    pairs = languages.pairs(np.random.default_rng(0), 50)
    assert pairs == languages.pairs(np.random.default_rng(0), 50) and len(set(pairs)) > 45


def test_the_reviews_mislead_those_who_count_words():
    drawn = MadeReviews().many(np.random.default_rng(0), 2000)
    assert 0.45 < np.mean([label for _, label in drawn]) < 0.55

    def count(text):
        words = text.replace(".", " ").replace(",", " ").split()
        return sum(word in GOOD for word in words) - sum(word in BAD for word in words)

    right = np.mean([(count(text) > 0) == label for text, label in drawn])
    assert right < 0.85  # so 95 percent need an understanding of "not" and "although"


@pytest.mark.training
def test_char_gpt_learns(tmp_path):
    result = run_recipe(char_gpt.recipe, out=tmp_path)
    assert result.metrics["perplexity"] < 5
    assert " the " in (tmp_path / "samples.txt").read_text(encoding="utf-8")


@pytest.mark.training
def test_reverse_translate_reaches_95(tmp_path):
    result = run_recipe(reverse_translate.recipe, out=tmp_path)
    assert result.metrics["bleu"] >= 95
    languages = MadeLanguages()
    source, target = languages.pairs(np.random.default_rng(123), 1)[0]
    assert pipeline("translate", tmp_path / "model")(source) == target


@pytest.mark.training
def test_sentiment_reaches_95_percent(tmp_path):
    result = run_recipe(sentiment.recipe, out=tmp_path)
    assert result.metrics["accuracy"] >= 0.95
    classify = pipeline("classify", tmp_path / "model")
    assert classify("The story was not boring at all.")["label"] == "positive"
    assert fb.is_grad_enabled()
