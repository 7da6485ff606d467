"""`flambeau fit sentiment`: a small BERT learns to tell good reviews from bad ones, to an accuracy of 95 percent and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

import flambeau
from flambeau import optim
from flambeau.base.files import atomic_write
from flambeau.train import Checkpoint, CSVLogger, LearningCurve, LRMonitor, Recipe, Report, RunContext
from flambeau_text.models.bert import BertConfig, BertForSequenceClassification
from flambeau_text.recipes.reviews import MadeReviews
from flambeau_text.tokenize import save_tokenizer, train_tokenizer
from flambeau_text.training import StepLoop, warmup_cosine

LONGEST = 64  # tokens
ROLES = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    steps: Annotated[int, "updates"] = 800
    batch_size: Annotated[int, "reviews an update"] = 48
    layers: Annotated[int, "layers of the encoder"] = 2
    width: Annotated[int, "size of a token's vector"] = 64
    heads: Annotated[int, "heads of attention"] = 4
    lr: Annotated[float, "the largest learning rate"] = 2e-3
    every: Annotated[int, "steps between two evaluations"] = 100
    test_size: Annotated[int, "reviews of the last evaluation"] = 1000
    compiled: Annotated[bool, "run each update as one program, where llvmlite is installed"] = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "layers", "width", "heads", "every", "test_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more")


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train on reviews that are made as they are needed; returns loss and accuracy on others."""
    reviews = MadeReviews()
    texts = [text for text, _ in reviews.many(np.random.default_rng([context.seed, 1]), 1000)]
    tokenizer = train_tokenizer(texts, "wordpiece", vocab_size=400, special_tokens=list(ROLES.values()), special=ROLES)
    vocab = tokenizer.vocab
    ends = {"sep": ["[SEP]", vocab["[SEP]"]], "cls": ["[CLS]", vocab["[CLS]"]]}
    tokenizer = type(tokenizer)(
        {**tokenizer.spec, "post_processor": {"type": "BertProcessing", **ends}}, special=ROLES, config={"model_max_length": LONGEST}
    )
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(vocab), hidden_size=config.width, num_hidden_layers=config.layers, num_attention_heads=config.heads,
            intermediate_size=4 * config.width, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            max_position_embeddings=LONGEST, pad_token_id=vocab["[PAD]"], id2label=dict(enumerate(reviews.labels)),
        )
    ).to(context.device)  # fmt: skip
    optimizer = optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.01)

    def batch(pairs: list[tuple[str, int]]) -> tuple[Any, ...]:
        read = tokenizer([text for text, _ in pairs], padding="max_length", truncation=True, max_length=LONGEST, return_tensors="fb")
        labels = flambeau.tensor([label for _, label in pairs])
        return tuple(t.to(context.device) for t in (read["input_ids"], read["attention_mask"], labels))

    held_out = reviews.many(np.random.default_rng([context.seed, 2]), config.test_size)
    test = batch(held_out)

    def guess(rows: int) -> tuple[Any, float]:
        """Scores of the first test reviews, and their loss."""
        with flambeau.no_grad():
            parts = [
                model(*(t[i : min(i + 250, rows)] for t in test[:2]), labels=test[2][i : min(i + 250, rows)]) for i in range(0, rows, 250)
            ]
        weights = [len(part.logits) / rows for part in parts]
        return flambeau.cat([part.logits for part in parts]), sum(float(p.loss) * w for p, w in zip(parts, weights, strict=True))

    def evaluate(rows: int = 250) -> dict[str, float]:
        logits, value = guess(min(rows, config.test_size))
        right = (logits.argmax(1) == test[2][: len(logits)]).float().mean()
        return {"val_loss": value, "val_accuracy": float(right)}

    loop = StepLoop(
        model,
        optimizer,
        lambda ids, mask, labels: model(ids, mask, labels=labels).loss,
        lambda step: batch(reviews.many(np.random.default_rng([context.seed, 3, step]), config.batch_size)),
        rate=warmup_cosine(config.lr, max(1, config.steps // 10), config.steps, 0.02),
        callbacks=[
            LRMonitor(),
            Report(context.report),
            CSVLogger(context.out / "metrics.csv"),
            *LearningCurve.if_possible(context.out / "learning_curve.png", metrics=("loss", "accuracy"), x="step"),
            Checkpoint(context.out),
            *context.callbacks,
        ],
        compiled=config.compiled,
    )
    loop.fit(config.steps, every=config.every, evaluate=evaluate, resume=context.out if context.resume else None)
    model.eval()
    model.save_pretrained(context.out / "model")
    save_tokenizer(tokenizer, context.out / "model")
    metrics = evaluate(config.test_size)
    logits, _ = guess(config.test_size)
    guesses = logits.argmax(1).numpy()
    with atomic_write(context.out / "mistakes.txt") as file:
        wrong = (f"{reviews.labels[label]}: {text}\n" for (text, label), one in zip(held_out, guesses, strict=True) if one != label)
        file.write("".join(wrong).encode())
    return {"loss": metrics["val_loss"], "accuracy": metrics["val_accuracy"]}


recipe = Recipe(
    "sentiment",
    Config,
    run,
    "A small BERT tells good reviews from bad ones.",
    next_steps=[
        "read mistakes.txt and look at learning_curve.png, in the run's directory",
        "use the model in three lines of Python:",
        "    from flambeau.text import pipeline",
        '    classify = pipeline("classify", "runs/sentiment/model")',
        '    print(classify("The story was not boring at all."))',
    ],
)
