"""Encodings by the Rust library `tokenizers` (0.23), kept so that our engine is tested where that library is not installed.

Run with the library installed to make `text_tokenizers.json` again: {name: {"spec": tokenizer.json, "rows": [[text, ids, offsets,
decoded], ...]}}.
"""

from __future__ import annotations

import json
import random
import runpy
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")

if __name__ == "__main__":
    parity = runpy.run_path(str(Path(__file__).parents[1] / "parity" / "text" / "test_tokenizers.py"))
    golden = {}
    for make in parity["KINDS"]:
        tokenizer, rng = make(), random.Random(4)
        texts = [parity["fuzz"](rng) for _ in range(15)]
        found = [(text, tokenizer.encode(text)) for text in texts]
        rows = [[text, e.ids, e.offsets, tokenizer.decode(e.ids)] for text, e in found]
        golden[make.__name__] = {"spec": json.loads(tokenizer.to_str()), "rows": rows}
    FILE.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
