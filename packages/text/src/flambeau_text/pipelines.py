"""Tasks in three lines: `pipeline("classify", folder)(texts)`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, ArgumentTypeError, did_you_mean, explain
from flambeau_text.embedding import Embedder, Search
from flambeau_text.generation import StopStrings
from flambeau_text.generation.processors import softmax
from flambeau_text.models.auto import load_model
from flambeau_text.tokenize import Tokenizer, load_tokenizer

_ALIASES = {
    "text-classification": "classify", "sentiment-analysis": "classify", "token-classification": "tag", "ner": "tag",
    "question-answering": "answer", "translation": "translate", "summarization": "summarise", "summarize": "summarise",
    "text-generation": "generate", "text2text-generation": "translate", "feature-extraction": "embed", "sentence-similarity": "embed",
}  # fmt: skip


class Pipeline:
    """A model, its tokenizer, and what to do with them; call it with a text or a list of texts.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        batch_size: texts that are read at once.
    """

    task: str | None = None  # of `load_model`
    run: Any  # a batch of texts, and options -> a list of results; each task defines it

    def __init__(self, model: Any, tokenizer: Tokenizer, *, batch_size: int = 16) -> None:
        self.model, self.tokenizer, self.batch_size = model.eval(), tokenizer, batch_size

    def __call__(self, texts: str | Sequence[str], **options: Any) -> Any:
        """The result for a text, or a list of results for a list."""
        if isinstance(texts, str):
            return self.run([texts], **options)[0]
        if not isinstance(texts, Iterable):
            raise ArgumentTypeError(explain("pipeline", expected="a text or a list of texts", got=type(texts).__name__))
        texts = list(texts)
        parts = [texts[i : i + self.batch_size] for i in range(0, len(texts), self.batch_size)]
        return [result for part in parts for result in self.run(part, **options)]

    def read(self, texts: Any, **options: Any) -> Any:
        """The batch for texts, padded and cut to what the model takes."""
        limit = self.tokenizer.max_length or getattr(self.model.config, "max_position_embeddings", None)
        cut = {"truncation": True, "max_length": limit} if limit is not None else {}
        settings = {"padding": len(texts) > 1, "return_tensors": "fb", **cut, **options}
        return self.tokenizer(texts, **settings).to(next(self.model.parameters()).device)

    def scores(self, batch: Any, name: str = "logits") -> Any:
        """One of the model's outputs as an array."""
        with flambeau.no_grad():
            return np.array(getattr(self.model(**batch), name).float().numpy())


class Classify(Pipeline):
    """[{"label", "score"}] of the likeliest class; with `top_k`, a list of that many, the likeliest first.

    Scores are shares of 1, each label's own probability where several hold at once (the configuration's `problem_type`, or a single
    label), and the model's numbers for "regression".
    """

    task = "sequence-classification"

    def run(self, texts: list[str], *, top_k: int | None = None) -> list[Any]:
        names, results = self.model.config.id2label, []
        for row in self._shares(self.scores(self.read(texts))):
            ranked = [{"label": names[int(i)], "score": float(row[i])} for i in np.argsort(-row, kind="stable")]
            results.append(ranked[0] if top_k is None else ranked[:top_k])
        return results

    def _shares(self, logits: Any) -> Any:
        kind = self.model.config.problem_type
        if kind == "regression":
            return logits
        several = kind == "multi_label_classification" or (kind is None and logits.shape[1] == 1)
        return 1 / (1 + np.exp(-logits)) if several else softmax(logits)


class Tag(Pipeline):
    """Entities of a text: [{"entity_group", "score", "word", "start", "end"}], neighbouring tokens of one kind together."""

    task = "token-classification"

    def run(self, texts: list[str]) -> list[Any]:
        batch = self.read(texts, return_offsets_mapping=True)
        offsets = batch.pop("offset_mapping").numpy()
        shares = softmax(self.scores(batch))
        skipped = [np.array(e.special_tokens_mask, bool) for e in batch.encodings]
        return [self._entities(text, row, where, skip) for text, row, where, skip in zip(texts, shares, offsets, skipped, strict=True)]

    def _entities(self, text: str, shares: Any, offsets: Any, skip: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        kinds: list[str] = []
        for row, (start, stop), special in zip(shares, offsets.tolist(), skip, strict=True):
            if special:
                continue
            prefix, _, kind = self.model.config.id2label[int(row.argmax())].rpartition("-")
            score = float(row.max())
            joins = bool(kinds) and kinds[-1] == kind and prefix != "B"
            kinds.append(kind)
            if kind == "O":
                continue
            if joins:
                found[-1]["scores"].append(score)
                found[-1]["end"] = stop
            else:
                found.append({"entity_group": kind, "scores": [score], "start": start, "end": stop})
        return [
            {
                "entity_group": each["entity_group"], "score": float(np.mean(each["scores"])), "word": text[each["start"] : each["end"]],
                "start": each["start"], "end": each["end"],
            }
            for each in found
        ]  # fmt: skip


class FillMask(Pipeline):
    """The likeliest tokens for the mask: [{"score", "token", "token_str", "sequence"}]; a list of such lists for several masks."""

    task = "masked-lm"

    def run(self, texts: list[str], *, top_k: int = 5) -> list[Any]:
        mask = self.tokenizer.special_id("mask_token")
        if mask is None:
            raise ArgumentError(explain("fill-mask", expected="a tokenizer with a mask_token", got="one without"))
        batch = self.read(texts)
        logits, ids, results = self.scores(batch), batch["input_ids"].numpy(), []
        for text, row, scores in zip(texts, ids, logits, strict=True):
            places = np.flatnonzero(row == mask)
            if not len(places):
                token = self.tokenizer.special["mask_token"]
                raise ArgumentError(explain("fill-mask", expected=f"a text with {token}", got=repr(text)[:80]))
            filled = [self._fill(row, int(place), softmax(scores[place]), top_k) for place in places]
            results.append(filled[0] if len(filled) == 1 else filled)
        return results

    def _fill(self, row: Any, place: int, shares: Any, top_k: int) -> list[dict[str, Any]]:
        found = []
        for token in np.argsort(-shares, kind="stable")[:top_k].tolist():
            ids = row.copy()
            ids[place] = token
            sequence = self.tokenizer.decode(ids)
            name = self.tokenizer.decode([token])
            found.append({"score": float(shares[token]), "token": token, "token_str": name, "sequence": sequence})
        return found


class Answer(Pipeline):
    """The part of a context that answers a question: {"score", "start", "end", "answer"}; call it with question and context.

    Long contexts are read in overlapping parts.
    """

    task = "question-answering"

    def __call__(self, question: Any, context: Any = None, **options: Any) -> Any:  # type: ignore[override]
        if isinstance(question, str):
            if not isinstance(context, str):
                raise ArgumentError(explain("answer", expected="a question and a context", got=f"a context of {type(context).__name__}"))
            return self._answer(question, context, **options)
        if context is None or isinstance(context, str) or len(question) != len(context):
            raise ArgumentError(
                explain("answer", expected="as many contexts as questions", got="one" if isinstance(context, str) else "others")
            )
        return [self._answer(one, other, **options) for one, other in zip(question, context, strict=True)]

    def _answer(self, question: str, context: str, *, max_answer_len: int = 15, doc_stride: int = 64, top_k: int = 1) -> Any:
        limit = min(384, self.tokenizer.max_length or getattr(self.model.config, "max_position_embeddings", 384))
        room = limit - len(self.tokenizer.encode(question, add_special_tokens=False)) - 4
        if room < 2:
            raise ArgumentError(explain("answer", expected=f"a question that leaves room within {limit} tokens", got="a longer one"))
        batch = self.read(
            [question], text_pair=[context], truncation="only_second", max_length=limit, stride=min(doc_stride, room // 2),
            return_overflowing_tokens=True, return_offsets_mapping=True, padding=self.tokenizer.special_id("pad_token") is not None,
        )  # fmt: skip
        offsets = batch.pop("offset_mapping").numpy()
        batch.pop("overflow_to_sample_mapping")
        with flambeau.no_grad():
            out = self.model(**batch)
        found: dict[tuple[int, int], float] = {}
        for row, encoding in enumerate(batch.encodings):
            inside = np.array([each == 1 for each in encoding.sequence_ids])
            starts, ends = (np.where(inside, scores[row].numpy(), -np.inf) for scores in (out.start_logits, out.end_logits))
            for score, start, stop in _spans(softmax(starts), softmax(ends), max_answer_len, top_k):
                where = (int(offsets[row, start, 0]), int(offsets[row, stop, 1]))
                found[where] = max(score, found.get(where, 0.0))
        ranked = sorted(found.items(), key=lambda entry: -entry[1])[:top_k]
        results = [{"score": score, "start": a, "end": b, "answer": context[a:b]} for (a, b), score in ranked]
        return results[0] if top_k == 1 else results


def _spans(starts: Any, ends: Any, longest: int, count: int) -> list[tuple[float, int, int]]:
    """(score, start, stop) of the best spans, stop included."""
    scores = np.tril(np.triu(np.outer(starts, ends)), longest - 1)
    best = np.argsort(-scores, axis=None, kind="stable")[:count]
    return [(float(scores.flat[i]), int(i) // len(ends), int(i) % len(ends)) for i in best]


class Generate(Pipeline):
    """Continues a text: the prompt and what follows. Options are those of `generate`; `return_full_text=False` leaves the prompt out."""

    task = "causal-lm"

    def run(self, texts: list[str], *, return_full_text: bool = True, **options: Any) -> list[Any]:
        tokenizer = self.tokenizer
        if len(texts) > 1 and "pad_token" not in tokenizer.special:
            tokenizer.special["pad_token"] = tokenizer.special.get("eos_token") or next(iter(tokenizer.vocab))
        tokenizer.config["padding_side"] = "left"
        batch = tokenizer(texts, padding=len(texts) > 1, return_tensors="fb").to(next(self.model.parameters()).device)
        if "max_length" not in options:
            options.setdefault("max_new_tokens", 50)
        pad = tokenizer.special_id("pad_token")
        if pad is not None:
            options.setdefault("pad_token_id", pad)
        stops = options.get("stop_strings")
        if stops is not None:
            options["tokenizer"] = tokenizer
        ids = self.model.generate(batch["input_ids"], batch["attention_mask"], **options).numpy()
        times = len(ids) // len(texts)
        prompt = batch["input_ids"].shape[1]
        results: list[Any] = []
        for i, text in enumerate(texts):
            found = [self._text(text, row, prompt, return_full_text, stops) for row in ids[i * times : (i + 1) * times]]
            results.append(found if times > 1 else found[0])
        return results

    def _text(self, prompt: str, row: Any, length: int, whole: bool, stops: Any) -> str:
        new = self.tokenizer.decode(row)[len(self.tokenizer.decode(row[:length])) :]
        if stops is not None:
            new = StopStrings(self.tokenizer, stops).cut(new)
        return prompt + new if whole else new


class Translate(Pipeline):
    """Texts from texts by an encoder-decoder; options are those of `generate`, and `prefix` comes before each text."""

    task = "seq2seq-lm"

    def run(self, texts: list[str], *, prefix: str = "", **options: Any) -> list[Any]:
        batch = self.read([prefix + text for text in texts])
        longest = getattr(self.model.config, "max_position_embeddings", 512)
        if "max_length" not in options:
            options.setdefault("max_new_tokens", min(longest - 1, 2 * batch["input_ids"].shape[1] + 20))
        ids = self.model.generate(batch["input_ids"], batch["attention_mask"], **options)
        return self.tokenizer.decode_batch(ids)


class Embed:
    """Vectors of texts, and `search(texts)` for finding the nearest ones; see `Embedder`."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def __call__(self, texts: str | Sequence[str]) -> np.ndarray[Any, Any]:
        return self.embedder.embed(texts)

    def search(self, texts: Sequence[str]) -> Search:
        """An index of texts: call it with a query."""
        return Search(self.embedder, texts)


TASKS: dict[str, type[Pipeline]] = {
    "classify": Classify,
    "tag": Tag,
    "answer": Answer,
    "fill-mask": FillMask,
    "generate": Generate,
    "translate": Translate,
    "summarise": Translate,
}


def pipeline(task: str, model: Any, tokenizer: Tokenizer | None = None, **options: Any) -> Any:
    """A task with a model.

    Args:
        task: "classify", "tag", "answer", "fill-mask", "generate", "translate", "summarise" or "embed" (Hugging Face's names work too).
        model: a folder, or a model.
        tokenizer: the folder's own when absent.
        options: of the task's class, such as batch_size.
    """
    name = _ALIASES.get(task, task)
    if name == "embed":
        return Embed(Embedder(model, _needed(tokenizer), **options) if _is_model(model) else Embedder.from_pretrained(model, **options))
    if name not in TASKS:
        hint = did_you_mean(task, [*TASKS, "embed", *_ALIASES]) or f"one of {', '.join([*TASKS, 'embed'])}"
        raise ArgumentError(explain("pipeline", expected="a known task", got=repr(task), hint=hint))
    kind = TASKS[name]
    if _is_model(model):
        return kind(model, _needed(tokenizer), **options)
    return kind(_load(model, kind.task), tokenizer or load_tokenizer(model), **options)


def _load(folder: str | os.PathLike[str], task: str | None) -> Any:
    """The model in a folder, with the head of the task."""
    return load_model(folder, task=task)


def _is_model(value: Any) -> bool:
    return not isinstance(value, (str, os.PathLike))


def _needed(tokenizer: Tokenizer | None) -> Tokenizer:
    if tokenizer is None:
        raise ArgumentError(explain("pipeline", expected="a tokenizer, beside a model", got="none"))
    return tokenizer
