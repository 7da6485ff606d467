"""Vocabularies, vectors, files of tokens, packing, batches of like lengths, and streams that resume."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as fb
from flambeau.base.errors import ArgumentError, FileFormatError, NameNotFound
from flambeau.data import DataLoader
from flambeau_text.data import BucketSampler, TextStream, TokenBlocks, TokenFile, pack, write_tokens
from flambeau_text.data.packing import segment_mask
from flambeau_text.vectors import Vectors
from flambeau_text.vocab import Vocab, build_vocab_from_iterator


def test_vocab():
    vocab = build_vocab_from_iterator([["b", "a", "b"], ["c", "b", "a"]], min_freq=2, specials=["<unk>", "<pad>"])
    assert vocab.get_itos() == ["<unk>", "<pad>", "b", "a"] and len(vocab) == 4
    with pytest.raises(NameNotFound, match="expected a token that is there, got 'c'"):
        vocab["c"]
    vocab.set_default_index(0)
    assert vocab(["a", "c", "b"]) == [3, 0, 2] == vocab.lookup_indices(["a", "c", "b"])
    vocab.append_token("c")
    assert vocab["c"] == 4 and vocab.lookup_token(4) == "c"
    assert build_vocab_from_iterator([["x", "y", "y"]], specials=["s"], special_first=False, max_tokens=2).get_itos() == ["y", "s"]
    with pytest.raises(ArgumentError, match="'a' twice"):
        Vocab(["a", "a"])


def test_vectors(tmp_path):
    (tmp_path / "glove.txt").write_text("the 1 2 -0.5\n. . 3 4 5\nnaïve 0 0 1\n", encoding="utf-8")
    words = Vectors.from_file(tmp_path / "glove.txt")
    assert words.itos == ["the", ". .", "naïve"] and words["naïve"].tolist() == [0, 0, 1]
    assert words.get_vecs_by_tokens(["THE", "none"], lower_case_backup=True).tolist() == [[1, 2, -0.5], [0, 0, 0]]
    (tmp_path / "wiki.vec").write_text("2 3\nthe 1 2 3 \nof 4 5 6 \n")
    assert Vectors.from_file(tmp_path / "wiki.vec").itos == ["the", "of"]
    assert len(Vectors.from_file(tmp_path / "wiki.vec", max_vectors=1)) == 1
    with zipfile.ZipFile(tmp_path / "glove.zip", "w") as archive:
        archive.write(tmp_path / "glove.txt", "glove.txt")
    assert len(Vectors.from_file(tmp_path / "glove.zip")) == 3
    (tmp_path / "bad.txt").write_text("the 1 2 3\nof 4 x 6\n")
    with pytest.raises(FileFormatError, match="line 2: expected a word and 3 numbers"):
        Vectors.from_file(tmp_path / "bad.txt")


def test_token_files(tmp_path):
    assert write_tokens(tmp_path / "train.bin", [[1, 2, 3], [], [65535, 0]]) == 5
    assert (tmp_path / "train.bin").read_bytes() == np.array([1, 2, 3, 65535, 0], "<u2").tobytes()
    tokens = TokenFile(tmp_path / "train.bin")
    assert len(tokens) == 5 and tokens[1:4].tolist() == [2, 3, 65535] and tokens[1:4].dtype == np.int64
    assert pickle.loads(pickle.dumps(tokens))[:].tolist() == tokens[:].tolist()
    with pytest.raises(ArgumentError, match="ids that uint16 holds, got 70000 to 70000"):
        write_tokens(tmp_path / "x.bin", [[70000]])
    assert not (tmp_path / "x.bin").exists()
    (tmp_path / "odd.bin").write_bytes(b"abc")
    with pytest.raises(FileFormatError, match="a multiple of 2 bytes"):
        TokenFile(tmp_path / "odd.bin")
    blocks = TokenBlocks(TokenFile(tmp_path / "train.bin"), 2)
    assert [blocks[i]["input_ids"].tolist() for i in range(len(blocks))] == [[1, 2], [3, 65535]]
    assert len(TokenBlocks(np.arange(10), 4, stride=1)) == 7
    batch = next(iter(DataLoader(blocks, batch_size=2)))
    assert batch["labels"].shape == (2, 2) and len(TokenBlocks(np.arange(3), 4)) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), max_size=12), st.integers(1, 8))
def test_packing_keeps_every_text(texts, length):
    packed = pack(texts, length)
    pieces = sorted(text[i : i + length] for text in texts for i in range(0, len(text), length))
    found = []
    for ids, segments, positions, labels in zip(*(packed[k] for k in ("input_ids", "segments", "position_ids", "labels")), strict=True):
        for segment in range(1, segments.max(initial=0) + 1):
            where = segments == segment
            found.append(ids[where].tolist())
            assert positions[where].tolist() == list(range(where.sum()))
            assert labels[where].tolist() == [-100, *ids[where].tolist()[1:]]
        assert (labels[segments == 0] == -100).all()
    assert sorted(found) == pieces
    used = (packed["segments"] > 0).sum(1)
    assert all(a + b > length for a, b in zip(np.sort(used), np.sort(used)[1:], strict=False))  # no two rows would fit into one


def test_packed_texts_do_not_see_each_other():
    from flambeau_text.models import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=2, n_head=2, n_positions=16)).eval()
    texts = [[1, 2, 3], [4, 5]]
    packed = pack(texts, 6)
    mask = fb.from_numpy(segment_mask(packed["segments"]))
    assert mask.shape == (1, 1, 6, 6) and mask[0, 0].int().tolist()[4] == [0, 0, 0, 1, 1, 0]
    ids, positions = (fb.from_numpy(packed[name]) for name in ("input_ids", "position_ids"))
    with fb.no_grad():
        together = model(ids, attention_mask=mask, position_ids=positions).logits[0]
        alone = fb.cat([model(fb.tensor([text])).logits[0] for text in texts])
    np.testing.assert_allclose(together[:5].numpy(), alone.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [dict(batch_size=4), dict(max_tokens=40)])
def test_buckets(options):
    lengths = np.random.default_rng(0).integers(1, 30, 101).tolist()
    sampler = BucketSampler(lengths, **options, seed=3)
    first, second = list(sampler), list(sampler)
    assert sorted(i for batch in first for i in batch) == list(range(101)) and first != second
    assert len(sampler) > 0 and list(BucketSampler(lengths, **options, seed=3)) == first
    if "max_tokens" in options:
        assert all(max(lengths[i] for i in batch) * len(batch) <= 40 for batch in first)
    padding = sum(max(lengths[i] for i in batch) * len(batch) - sum(lengths[i] for i in batch) for batch in first)
    assert padding < 0.25 * sum(lengths)
    broken = BucketSampler(lengths, **options, seed=3)
    iterator = iter(broken)
    begun = [next(iterator) for _ in range(5)]
    again = BucketSampler(lengths, **options, seed=3)
    again.load_state_dict(broken.state_dict())
    assert begun + list(again) == first and list(again) == second
    with pytest.raises(ArgumentError, match="batch_size or max_tokens"):
        BucketSampler(lengths)


def test_streams(tmp_path):
    (tmp_path / "a.txt").write_bytes("eins\nzwei ü\r\n\ndrei".encode())
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ("vier", "fünf\nund mehr")))
    files = [tmp_path / "a.txt", tmp_path / "b.jsonl"]
    whole = list(TextStream(files))
    assert whole == ["eins", "zwei ü", "", "drei", "vier", "fünf\nund mehr"]
    for stop in range(1, 7):
        stream = TextStream(files)
        iterator = iter(stream)
        begun = [next(iterator) for _ in range(stop)]
        state = json.loads(json.dumps(stream.state_dict()))
        again = TextStream(files)
        again.load_state_dict(state)
        assert begun + list(again) == whole
    parts = [list(TextStream(files, shard=shard, shards=2)) for shard in range(2)]
    assert parts == [whole[::2], whole[1::2]]
    endless = iter(TextStream(files, repeat=True))
    assert [next(endless) for _ in range(8)] == whole + whole[:2]
    (tmp_path / "c.jsonl").write_text('{"text": 1}\n')
    with pytest.raises(FileFormatError, match=r"c\.jsonl, byte 0: expected text in the field 'text'"):
        list(TextStream([tmp_path / "c.jsonl"]))
    (tmp_path / "d.txt").write_bytes(b"\xff\n")
    with pytest.raises(FileFormatError, match="expected UTF-8"):
        list(TextStream([tmp_path / "d.txt"]))
    with pytest.raises(ArgumentError, match="files that exist"):
        TextStream([tmp_path / "none"])
