"""`flambeau fit reverse-translate`: the Transformer learns to translate between two made languages, to a BLEU of 95 and more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

import flambeau
from flambeau import optim
from flambeau.base.files import atomic_write
from flambeau.train import Checkpoint, CSVLogger, LearningCurve, LRMonitor, Recipe, Report, RunContext
from flambeau_text.metrics.bleu import bleu
from flambeau_text.models.transformer import TransformerConfig, TransformerForConditionalGeneration
from flambeau_text.recipes.languages import MadeLanguages
from flambeau_text.tokenize import save_tokenizer, train_tokenizer
from flambeau_text.training import StepLoop, warmup_cosine

LONGEST = 24  # tokens


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    steps: Annotated[int, "updates"] = 1200
    batch_size: Annotated[int, "sentences an update"] = 64
    layers: Annotated[int, "layers of the encoder and of the decoder"] = 2
    width: Annotated[int, "size of a token's vector"] = 96
    heads: Annotated[int, "heads of attention"] = 4
    lr: Annotated[float, "the largest learning rate"] = 3e-3
    label_smoothing: Annotated[float, "how much of the target goes to all tokens alike"] = 0.0
    every: Annotated[int, "steps between two evaluations"] = 200
    beams: Annotated[int, "translations followed at once in the last evaluation"] = 4
    test_size: Annotated[int, "sentences of the last evaluation"] = 200
    compiled: Annotated[bool, "run each update as one program, where llvmlite is installed"] = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "layers", "width", "heads", "every", "beams", "test_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more")


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train on sentences that are made as they are needed; returns loss, BLEU and the share of perfect translations of others."""
    languages = MadeLanguages()
    examples = languages.pairs(np.random.default_rng([context.seed, 1]), 2000)
    roles = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = train_tokenizer(
        (text for pair in examples for text in pair), "word", vocab_size=400, special_tokens=["<pad>", "<s>", "</s>"], special=roles
    )
    pad, start, end = (tokenizer.vocab[token] for token in roles.values())
    model = TransformerForConditionalGeneration(
        TransformerConfig(
            vocab_size=len(tokenizer), d_model=config.width, encoder_layers=config.layers, decoder_layers=config.layers,
            encoder_ffn_dim=2 * config.width, decoder_ffn_dim=2 * config.width, encoder_attention_heads=config.heads,
            decoder_attention_heads=config.heads, dropout=0.0, max_position_embeddings=2 * LONGEST, pad_token_id=pad, bos_token_id=start,
            eos_token_id=end, decoder_start_token_id=start,
        )
    ).to(context.device)  # fmt: skip
    optimizer = optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=0.01)

    def rows(texts: list[str], fill: int | None) -> Any:
        """(N, LONGEST) ids with an end token, padded."""
        table = np.full((len(texts), LONGEST), fill, np.int64)
        for row, text in zip(table, texts, strict=True):
            ids = tokenizer.encode(text).ids[: LONGEST - 1]
            row[: len(ids)], row[len(ids)] = ids, end
        return flambeau.from_numpy(table).to(context.device)

    def batch(pairs: list[tuple[str, str]]) -> tuple[Any, ...]:
        sources = rows([source for source, _ in pairs], pad)
        return sources, (sources != pad).long(), rows([target for _, target in pairs], -100)

    def loss(sources: Any, mask: Any, labels: Any) -> Any:
        return model(sources, attention_mask=mask, labels=labels, use_cache=False).loss

    held_out = languages.pairs(np.random.default_rng([context.seed, 2]), config.test_size)
    test = batch(held_out)

    def evaluate() -> dict[str, float]:
        with flambeau.no_grad():
            value = float(loss(*test))
        return {"val_loss": value, "val_bleu": score(held_out[:50], 1)["bleu"]}

    def score(pairs: list[tuple[str, str]], beams: int) -> dict[str, float]:
        sources, mask, _ = batch(pairs)
        ids = model.generate(sources, mask, max_new_tokens=LONGEST, num_beams=beams)
        found = tokenizer.decode_batch(ids)
        exact = float(np.mean([one == target for one, (_, target) in zip(found, pairs, strict=True)]))
        with atomic_write(context.out / "translations.txt") as file:
            lines = (f"{source}\n  should be  {target}\n  came out   {one}\n" for one, (source, target) in zip(found, pairs, strict=True))
            file.write("\n".join(lines).encode())
        return {"bleu": bleu(found, [[target] for _, target in pairs]).score, "exact": exact}

    loop = StepLoop(
        model,
        optimizer,
        loss,
        lambda step: batch(languages.pairs(np.random.default_rng([context.seed, 3, step]), config.batch_size)),
        rate=warmup_cosine(config.lr, max(1, config.steps // 10), config.steps, 0.02),
        callbacks=[
            LRMonitor(),
            Report(context.report),
            CSVLogger(context.out / "metrics.csv"),
            *LearningCurve.if_possible(context.out / "learning_curve.png", metrics=("loss", "bleu"), x="step"),
            Checkpoint(context.out),
            *context.callbacks,
        ],
        compiled=config.compiled,
    )
    metrics = loop.fit(config.steps, every=config.every, evaluate=evaluate, resume=context.out if context.resume else None)
    model.eval()
    model.save_pretrained(context.out / "model")
    save_tokenizer(tokenizer, context.out / "model")
    with atomic_write(context.out / "languages.json") as file:
        file.write(json.dumps(languages.lexicon, ensure_ascii=False, indent=1).encode() + b"\n")
    return {"loss": metrics["val_loss"], **score(held_out, config.beams)}


recipe = Recipe(
    "reverse-translate",
    Config,
    run,
    "The Transformer translates between two made languages, with another order of words.",
    next_steps=[
        "read translations.txt and look at learning_curve.png, in the run's directory",
        "translate in three lines of Python:",
        "    from flambeau.text import pipeline",
        '    translate = pipeline("translate", "runs/reverse-translate/model")',
        '    print(translate("miru talo veka"))',
    ],
)
