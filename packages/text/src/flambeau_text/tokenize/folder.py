"""Tokenizers from the folders that models come in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau.base.files import atomic_write, read_json
from flambeau_text.locate import locate
from flambeau_text.tokenize.sentencepiece import sentencepiece_tokenizer
from flambeau_text.tokenize.tokenizer import Tokenizer

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_WORDPIECE = {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
_SENTENCEPIECE = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "source.spm")


def load_tokenizer(path_or_id: str | os.PathLike[str], *, backend: str = "auto") -> Tokenizer:
    """The tokenizer in a model's folder, or of a single file; a name is looked up as `load_model` does.

    Reads `tokenizer.json`; else `vocab.json` with `merges.txt` (GPT-2, RoBERTa), `vocab.txt` (BERT), or a SentencePiece file. What the
    special tokens are for comes from `tokenizer_config.json` and `special_tokens_map.json`. Nothing that these files say is executed.
    Raises ArgumentError when there is no tokenizer.
    """
    base = locate(path_or_id)
    if base.is_file():
        if base.suffix == ".json":
            return Tokenizer.from_file(base, backend=backend)
        return sentencepiece_tokenizer(base, backend=backend)
    config = {**read_json(base / "tokenizer_config.json", {})}
    roles = _roles({**read_json(base / "special_tokens_map.json", {}), **config})
    tokenizer = _from_folder(base, config, roles, backend)
    tokenizer.special = {**tokenizer.special, **roles}
    tokenizer.config = config
    template = base / "chat_template.jinja"
    if template.is_file():
        tokenizer.config["chat_template"] = template.read_text(encoding="utf-8")
    return tokenizer


def _from_folder(base: Path, config: dict[str, Any], roles: dict[str, str], backend: str) -> Tokenizer:
    if (base / "tokenizer.json").is_file():
        return Tokenizer.from_file(base / "tokenizer.json", backend=backend)
    spm = next((base / name for name in _SENTENCEPIECE if (base / name).is_file()), None)
    if spm is not None:
        return _with_end(sentencepiece_tokenizer(spm, backend=backend), roles)
    if (base / "vocab.json").is_file() and (base / "merges.txt").is_file():
        return Tokenizer(_byte_level_spec(base, config, roles), backend=backend)
    if (base / "vocab.txt").is_file():
        return Tokenizer(_bert_spec(base, config, roles), backend=backend)
    files = sorted(path.name for path in base.iterdir()) if base.is_dir() else []
    got = f"a folder with {files[:10]}" if base.is_dir() else f"no folder at {base}"
    raise ArgumentError(explain("load_tokenizer", expected="tokenizer.json, vocab.json + merges.txt, vocab.txt or a .model file", got=got))


def save_tokenizer(tokenizer: Tokenizer, folder: str | os.PathLike[str]) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into a folder."""
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    tokenizer.save(base / "tokenizer.json")
    with atomic_write(base / "tokenizer_config.json") as file:
        file.write(json.dumps({**tokenizer.config, **tokenizer.special}, ensure_ascii=False, indent=2).encode() + b"\n")


def _roles(config: dict[str, Any]) -> dict[str, str]:
    """What the special tokens are for: {"pad_token": "<pad>", ...}."""
    found = {}
    for role in ROLES:
        value = config.get(role)
        content = value.get("content") if isinstance(value, dict) else value
        if isinstance(content, str):
            found[role] = content
    return found


def _added(vocab: dict[str, int], roles: dict[str, str]) -> list[dict[str, Any]]:
    flags = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
    names = {token: role for role, token in roles.items() if token in vocab}
    entries = [{"id": vocab[token], "content": token, "lstrip": role == "mask_token", **flags} for token, role in names.items()]
    return sorted(entries, key=lambda entry: entry["id"])


def _byte_level_spec(base: Path, config: dict[str, Any], roles: dict[str, str]) -> dict[str, Any]:
    """GPT-2's two files; with `<s>` and `</s>` as RoBERTa has them, texts are put between these."""
    vocab = read_json(base / "vocab.json")
    lines = (base / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    space = bool(config.get("add_prefix_space", False))
    byte_level = {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": True}
    processor: dict[str, Any] = {**byte_level, "trim_offsets": False}
    if "<s>" in vocab and "</s>" in vocab:
        ends = {"sep": ["</s>", vocab["</s>"]], "cls": ["<s>", vocab["<s>"]]}
        processor = {"type": "RobertaProcessing", **ends, "trim_offsets": True, "add_prefix_space": space}
        defaults = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    else:
        defaults = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    for role, token in defaults.items():
        if token in vocab:
            roles.setdefault(role, token)
    model = {"type": "BPE", "vocab": vocab, "merges": merges, "fuse_unk": False, "byte_fallback": False}
    parts = {"pre_tokenizer": byte_level, "post_processor": processor, "decoder": byte_level}
    return {"model": model, "added_tokens": _added(vocab, roles), **parts}


def _bert_spec(base: Path, config: dict[str, Any], roles: dict[str, str]) -> dict[str, Any]:
    """BERT's list of tokens, one a line."""
    lines = (base / "vocab.txt").read_text(encoding="utf-8").split("\n")
    vocab = {line.rstrip("\r"): i for i, line in enumerate(lines) if line.rstrip("\r")}
    for role in ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token"):
        roles.setdefault(role, f"[{role[:-6].upper()}]")
    absent = [token for token in (roles["cls_token"], roles["sep_token"], roles["unk_token"]) if token not in vocab]
    if absent:
        raise FileFormatError(explain(f"read {base / 'vocab.txt'}", expected=f"the tokens {absent}", got="a list without them"))
    ends = {"sep": [roles["sep_token"], vocab[roles["sep_token"]]], "cls": [roles["cls_token"], vocab[roles["cls_token"]]]}
    lower = bool(config.get("do_lower_case", True))
    chinese = bool(config.get("tokenize_chinese_chars", True))
    accents = config.get("strip_accents")
    return {
        "model": {"type": "WordPiece", "vocab": vocab, "unk_token": roles["unk_token"], **_WORDPIECE},
        "normalizer": {
            "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": chinese, "strip_accents": accents, "lowercase": lower
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", **ends},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "added_tokens": _added(vocab, roles),
    }  # fmt: skip


def _with_end(tokenizer: Tokenizer, roles: dict[str, str]) -> Tokenizer:
    """T5's and Marian's habit: `</s>` after a text."""
    token = roles.get("eos_token", "</s>")
    id_ = tokenizer.token_to_id(token)
    if id_ is None:
        return tokenizer
    special = {token: {"id": token, "ids": [id_], "tokens": [token]}}
    end, a, b = ({"SpecialToken": {"id": token, "type_id": 0}}, *({"Sequence": {"id": n, "type_id": 0}} for n in "AB"))
    template = {"type": "TemplateProcessing", "single": [a, end], "pair": [a, end, b, end], "special_tokens": special}
    return Tokenizer({**tokenizer.spec, "post_processor": template}, special=tokenizer.special, backend=tokenizer.backend)
