"""`flambeau fit char-gpt`: a small GPT learns to write like Python's manual, letter by letter, and shows what it writes meanwhile."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

import flambeau
from flambeau import optim
from flambeau.base.files import atomic_write
from flambeau.train import Callback, Checkpoint, CSVLogger, LearningCurve, Loop, LRMonitor, Recipe, Report, RunContext
from flambeau_text.models.gpt2 import GPT2Config, GPT2LMHeadModel
from flambeau_text.tokenize import Tokenizer, save_tokenizer
from flambeau_text.training import StepLoop, warmup_cosine

VALIDATION_SHARE = 0.05
VALIDATION_BLOCKS = 64


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    steps: Annotated[int, "updates"] = 1200
    batch_size: Annotated[int, "pieces of text an update"] = 24
    block: Annotated[int, "letters that the model sees at once"] = 96
    layers: Annotated[int, "blocks of attention and MLP"] = 4
    width: Annotated[int, "size of a letter's vector"] = 128
    heads: Annotated[int, "heads of attention"] = 4
    lr: Annotated[float, "the largest learning rate"] = 2e-3
    dropout: Annotated[float, "share of features dropped in training"] = 0.0
    every: Annotated[int, "steps between two evaluations, each with a sample"] = 150
    sample: Annotated[int, "letters of a sample"] = 160
    compiled: Annotated[bool, "run each update as one program, where llvmlite is installed"] = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "block", "layers", "width", "heads", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more")


def corpus() -> str:
    """The manual's topics that come with every Python installation, about 450,000 letters."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"


def letters(text: str) -> Tokenizer:
    """A tokenizer whose tokens are the characters of a text."""
    vocab = {"<unk>": 0, **{char: i for i, char in enumerate(sorted(set(text)), 1)}}
    spec = {
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False},
        "decoder": {"type": "Fuse"},
    }
    return Tokenizer(spec, special={"unk_token": "<unk>"})


class Samples(Callback):
    """Prints what the model writes after each evaluation, and keeps it in a file."""

    def __init__(self, model: Any, tokenizer: Tokenizer, config: Config, context: RunContext) -> None:
        self.model, self.tokenizer, self.config, self.context = model, tokenizer, config, context
        self.written = ""

    def on_epoch_end(self, loop: Loop) -> None:
        room = max(0, min(self.config.sample, self.model.config.n_positions - 4))
        generator = flambeau.Generator().manual_seed(self.context.seed)
        start = self.tokenizer("The ", return_tensors="fb")["input_ids"]
        ids = self.model.generate(start, max_new_tokens=room, do_sample=True, temperature=0.8, top_k=20, generator=generator)
        text = self.tokenizer.decode(ids[0])
        self.written += f"--- step {loop.step}, validation loss {loop.metrics['val_loss']:.3f}\n{text}\n"
        print(f"\n{self.written.rpartition('--- ')[2]}", file=sys.stderr)
        with atomic_write(self.context.out / "samples.txt") as file:
            file.write(self.written.encode())

    def state_dict(self) -> dict[str, Any]:
        return {"written": self.written}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.written = state["written"]


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train on 95 percent of the text; returns loss, perplexity and bits a letter on the rest."""
    text = corpus()
    tokenizer = letters(text)
    vocab = tokenizer.vocab
    ids = np.array([vocab[char] for char in text], np.int64)
    held = int(len(ids) * (1 - VALIDATION_SHARE))
    train, held_out = ids[:held], ids[held:]
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(vocab), n_positions=config.block, n_embd=config.width, n_layer=config.layers, n_head=config.heads,
            resid_pdrop=config.dropout, embd_pdrop=config.dropout, attn_pdrop=config.dropout, bos_token_id=None, eos_token_id=None,
        )
    ).to(context.device)  # fmt: skip
    optimizer = optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=0.1)

    def draw(step: int) -> tuple[Any, ...]:
        starts = np.random.default_rng([context.seed, step]).integers(0, len(train) - config.block, config.batch_size)
        return (flambeau.from_numpy(train[starts[:, None] + np.arange(config.block)]).to(context.device),)

    starts = np.linspace(0, len(held_out) - config.block, VALIDATION_BLOCKS).astype(np.int64)
    blocks = flambeau.from_numpy(held_out[starts[:, None] + np.arange(config.block)]).to(context.device)

    def evaluate() -> dict[str, float]:
        with flambeau.no_grad():
            return {"val_loss": float(model(blocks, labels=blocks, use_cache=False).loss)}

    loop = StepLoop(
        model,
        optimizer,
        lambda batch: model(batch, labels=batch, use_cache=False).loss,
        draw,
        rate=warmup_cosine(config.lr, max(1, config.steps // 20), config.steps),
        callbacks=[
            LRMonitor(),
            Report(context.report),
            CSVLogger(context.out / "metrics.csv"),
            *LearningCurve.if_possible(context.out / "learning_curve.png", metrics=("loss",), x="step"),
            Samples(model, tokenizer, config, context),
            Checkpoint(context.out),
            *context.callbacks,
        ],
        compiled=config.compiled,
    )
    metrics = loop.fit(config.steps, every=config.every, evaluate=evaluate, resume=context.out if context.resume else None)
    model.eval()
    model.save_pretrained(context.out / "model")
    save_tokenizer(tokenizer, context.out / "model")
    loss = metrics["val_loss"]
    return {"loss": loss, "perplexity": float(np.exp(loss)), "bits_per_letter": loss / float(np.log(2))}


recipe = Recipe(
    "char-gpt",
    Config,
    run,
    "A small GPT learns to write like Python's manual, letter by letter.",
    next_steps=[
        "read samples.txt and look at learning_curve.png, in the run's directory",
        "flambeau fit char-gpt --set layers=6 --set width=192 --set steps=4000 --out runs/char-gpt-large",
        "let it write, in three lines of Python:",
        "    from flambeau.text import pipeline",
        '    write = pipeline("generate", "runs/char-gpt/model")',
        '    print(write("The ", max_new_tokens=100, do_sample=True))',
    ],
)
