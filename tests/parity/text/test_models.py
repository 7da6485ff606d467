"""Every family against transformers: the same weights give the same keys, outputs, caches and losses, from the same files."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))

from reference import have_transformers, transformers  # noqa: E402

if not have_transformers:
    pytest.skip("transformers is not installed", allow_module_level=True)

import flambeau as fb  # noqa: E402
from flambeau.base.errors import FileFormatError  # noqa: E402
from flambeau.serialization import load_sharded, save_file  # noqa: E402
from flambeau_text.models import auto, load_model  # noqa: E402

torch.set_num_threads(1)
TOLERANCE = dict(rtol=1e-4, atol=1e-4)
VOCAB = 40

DECODER = dict(vocab_size=VOCAB, n_positions=32, n_embd=16, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)
LLAMA = dict(
    vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, head_dim=4, bos_token_id=1, eos_token_id=2,
)  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
BERT = dict(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=40)
DISTIL = dict(vocab_size=VOCAB, dim=16, hidden_dim=24, n_layers=2, n_heads=4, max_position_embeddings=40)
T5 = dict(vocab_size=VOCAB, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, relative_attention_num_buckets=8,
          relative_attention_max_distance=12, decoder_start_token_id=0)  # fmt: skip
BART = dict(
    vocab_size=VOCAB, d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=24, decoder_ffn_dim=20,
    encoder_attention_heads=4, decoder_attention_heads=2, max_position_embeddings=32,
)  # fmt: skip
MARIAN = dict(BART, pad_token_id=39, decoder_start_token_id=39, eos_token_id=0, forced_eos_token_id=0, scale_embedding=True)

CASES = [
    ("GPT2LMHeadModel", DECODER), ("GPT2Model", DECODER), ("GPT2ForSequenceClassification", dict(DECODER, pad_token_id=0, num_labels=3)),
    ("GPT2LMHeadModel", dict(DECODER, scale_attn_by_inverse_layer_idx=True, activation_function="relu", tie_word_embeddings=False)),
    ("LlamaForCausalLM", LLAMA), ("LlamaForCausalLM", dict(LLAMA, rope_parameters=LLAMA3, attention_bias=True, mlp_bias=True)),
    ("LlamaForSequenceClassification", dict(LLAMA, pad_token_id=0)), ("LlamaModel", LLAMA),
    ("LlamaForCausalLM", dict(LLAMA, tie_word_embeddings=True, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4})),
    ("MistralForCausalLM", dict(LLAMA, sliding_window=4)), ("MistralForCausalLM", dict(LLAMA, sliding_window=None)),
    ("Qwen2ForCausalLM", {k: v for k, v in LLAMA.items() if k != "head_dim"}),
    ("Qwen2ForCausalLM", {**{k: v for k, v in LLAMA.items() if k != "head_dim"}, "use_sliding_window": True, "sliding_window": 3,
                          "max_window_layers": 1}),
    ("BertModel", BERT), ("BertForMaskedLM", BERT), ("BertForSequenceClassification", dict(BERT, num_labels=3)),
    ("BertForTokenClassification", dict(BERT, num_labels=5)), ("BertForQuestionAnswering", BERT),
    ("RobertaModel", BERT), ("RobertaForMaskedLM", BERT), ("RobertaForSequenceClassification", BERT),
    ("RobertaForTokenClassification", BERT), ("RobertaForQuestionAnswering", BERT),
    ("DistilBertModel", DISTIL), ("DistilBertForMaskedLM", DISTIL), ("DistilBertForSequenceClassification", DISTIL),
    ("DistilBertForTokenClassification", DISTIL), ("DistilBertForQuestionAnswering", DISTIL),
    ("T5ForConditionalGeneration", T5), ("T5Model", T5), ("T5EncoderModel", T5),
    ("T5ForConditionalGeneration", dict(T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_decoder_layers=1)),
    ("MT5ForConditionalGeneration", dict(T5, feed_forward_proj="gated-gelu")), ("MT5EncoderModel", T5),
    ("BartForConditionalGeneration", BART), ("BartModel", BART), ("BartForSequenceClassification", dict(BART, num_labels=3)),
    ("MarianMTModel", MARIAN), ("MarianModel", MARIAN),
]  # fmt: skip


def over(*parts):
    """The cases whose class has one of these in its name; all without parts."""
    chosen = [(i, case) for i, case in enumerate(CASES) if not parts or any(part in case[0] for part in parts)]
    return pytest.mark.parametrize(("name", "options"), [case for _, case in chosen], ids=[f"{case[0]}-{i}" for i, case in chosen])


each = over()


def ours(name):
    for module, stem in auto.FAMILIES.values():
        if name.startswith(stem):
            return getattr(importlib.import_module(f"flambeau_text.models.{module}"), name)
    raise LookupError(name)


@pytest.fixture
def pair(name, options, tmp_path):
    """transformers' model with random weights, and ours read from the folder that it wrote."""
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    config = cls.config_class(**{**dict(attn_implementation="eager"), **options})
    theirs = cls(config).eval()
    with torch.no_grad():  # no bias stays 0, so that all are seen
        for key, parameter in theirs.named_parameters():
            if "embed_positions" not in key or "Marian" not in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    theirs.tie_weights()
    theirs.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert type(model) is ours(name)
    return theirs, model


def inputs(name, config):
    rng = np.random.default_rng(1)
    ids = rng.integers(3, VOCAB - 2, (2, 9))
    ids[:, -1] = config.eos_token_id if config.eos_token_id is not None else ids[:, -1]
    mask = np.ones_like(ids)
    mask[0, 6:] = 0
    found = {"input_ids": ids, "attention_mask": mask}
    if "Bart" in name and "Classification" in name:
        del found["attention_mask"]
    elif ("Bart" in name or "Marian" in name or "T5" in name) and "Encoder" not in name:
        found["decoder_input_ids"] = rng.integers(3, VOCAB - 2, (2, 5))
    if name.startswith("Bert"):
        found["token_type_ids"] = (np.arange(9) > 4).astype(np.int64)[None].repeat(2, 0)
    return found


def call(lib, model, found, **more):
    make = torch.tensor if lib is torch else fb.tensor
    with lib.no_grad():
        return model(**{key: make(value) for key, value in found.items()}, **more)


def close(expected, found, message):
    np.testing.assert_allclose(found.numpy(), expected.numpy(), **TOLERANCE, err_msg=message)


@each
def test_keys(pair):
    theirs, model = pair
    assert sorted(theirs.state_dict()) == sorted(model.state_dict())
    for key, value in theirs.state_dict().items():
        assert tuple(value.shape) == tuple(model.state_dict()[key].shape)


@each
def test_outputs(pair, name):
    theirs, model = pair
    found = inputs(name, theirs.config)
    expected = call(torch, theirs, found, output_hidden_states=True, output_attentions=True)
    got = call(fb, model, found, output_hidden_states=True, output_attentions=True)
    plain = call(fb, model, found)
    cache = {"past_key_values", "cache"}  # transformers is renaming the one to the other
    expected = {key: value for key, value in expected.items() if value != () and key not in cache}
    assert list(expected) == [key for key in got if key not in cache]
    real = found.get("attention_mask", np.ones_like(found["input_ids"])).astype(bool)

    def seen(values, key):
        """Without what is computed for padding, which is nobody's business."""
        decoder = key.startswith(("decoder", "cross")) or (key in ("logits", "last_hidden_state") and "decoder_input_ids" in found)
        if decoder or values.ndim < 2 or values.shape[1] != real.shape[1] and values.ndim < 4:
            return values
        return values[real] if values.ndim < 4 else values.transpose(0, 2, 1, 3)[real]

    for key, value in expected.items():
        for i, (one, other) in enumerate(zip(*((v if isinstance(v, tuple) else (v,)) for v in (value, got[key])), strict=True)):
            np.testing.assert_allclose(seen(other.numpy(), key), seen(one.numpy(), key), **TOLERANCE, err_msg=f"{key} {i}")
        if key in plain and not isinstance(value, tuple):
            np.testing.assert_allclose(seen(plain[key].numpy(), key), seen(value.numpy(), key), **TOLERANCE, err_msg=key)


@over("For", "LMHead", "MTModel")
def test_losses_and_gradients(pair, name):
    theirs, model = pair
    found = inputs(name, theirs.config)
    found.pop("decoder_input_ids", None)
    rng = np.random.default_rng(2)
    n = theirs.config.num_labels
    if "QuestionAnswering" in name:
        labels = {"start_positions": np.array([1, 3]), "end_positions": np.array([2, 5])}
    elif "Sequence" in name:
        labels = {"labels": rng.integers(0, n, 2)}
    else:
        values = rng.integers(3, n if "Token" in name else VOCAB - 2, (2, 9)) if "Token" not in name else rng.integers(0, n, (2, 9))
        values[0, 6:] = -100
        labels = {"labels": values}
    expected = theirs(**{key: torch.tensor(value) for key, value in {**found, **labels}.items()}).loss
    got = model(**{key: fb.tensor(value) for key, value in {**found, **labels}.items()}).loss
    close(expected.detach(), got.detach(), "loss")
    expected.backward()
    got.backward()
    mine = dict(model.named_parameters())
    for key, parameter in theirs.named_parameters():
        if parameter.grad is not None and key in mine:
            np.testing.assert_allclose(mine[key].grad.numpy(), parameter.grad.numpy(), rtol=2e-3, atol=2e-4, err_msg=key)


@over("GPT2LM", "GPT2Model", "CausalLM", "LlamaModel")
def test_caches(pair, name):
    theirs, model = pair
    found = inputs(name, theirs.config)
    ids = found["input_ids"]
    new = "cache" in inspect.signature(theirs.forward).parameters
    with torch.no_grad(), fb.no_grad():
        first, mine = theirs(torch.tensor(ids[:, :5]), use_cache=True), model(fb.tensor(ids[:, :5]), use_cache=True)
        past = first.cache if new else first.past_key_values
        for layer, held in enumerate(past.layers):  # a cache of a window holds the last ones only
            for one, other in zip((held.keys, held.values), mine.past_key_values[layer], strict=True):
                close(one, other[..., -one.shape[-2] :, :], f"layer {layer}")
        for stop in range(6, 10):
            token = torch.tensor(ids[:, stop - 1 : stop])
            first = theirs(token, cache=past) if new else theirs(token, past_key_values=past)
            mine = model(fb.tensor(ids[:, stop - 1 : stop]), past_key_values=mine.past_key_values)
            close(first[0], mine[0], f"step {stop}")
        whole = model(fb.tensor(ids))
        close(torch.tensor(whole[0].numpy()[:, -1:]), mine[0], "with and without a cache")


@each
def test_files_that_we_write(pair, name, tmp_path):
    theirs, model = pair
    model.save_pretrained(tmp_path / "ours")
    again = getattr(transformers, name).from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)


def test_shards_and_bin(tmp_path):
    torch.manual_seed(0)
    theirs = transformers.BertForMaskedLM(transformers.BertConfig(**BERT)).eval()
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="5KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    model = load_model(tmp_path / "shards")
    found = inputs("BertForMaskedLM", theirs.config)
    real = found["attention_mask"].astype(bool)
    np.testing.assert_allclose(call(fb, model, found).logits.numpy()[real], call(torch, theirs, found).logits.numpy()[real], **TOLERANCE)
    with pytest.warns(UserWarning, match=r"new weights for pooler\.dense\.weight"):
        base = load_model(tmp_path / "shards", task="base")
    expected = call(torch, theirs.bert, found).last_hidden_state.numpy()[real]
    np.testing.assert_allclose(call(fb, base, found).last_hidden_state.numpy()[real], expected, **TOLERANCE)
    for name in ("one", "several"):
        (tmp_path / name).mkdir()
        theirs.config.save_pretrained(tmp_path / name)
    state = theirs.state_dict()
    torch.save(state, tmp_path / "one" / "pytorch_model.bin")
    files = {key: f"pytorch_model-{i % 2}.bin" for i, key in enumerate(state)}
    for file in set(files.values()):
        torch.save({key: value for key, value in state.items() if files[key] == file}, tmp_path / "several" / file)
    index = tmp_path / "several" / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    for name in ("one", "several"):
        again = load_model(tmp_path / name, task="masked-lm")
        np.testing.assert_array_equal(call(fb, again, found).logits.numpy(), call(fb, model, found).logits.numpy())
    index.write_text(json.dumps({"weight_map": {"a": "../x.bin"}}))
    with pytest.raises(FileFormatError, match="a weight_map to .bin files beside it"):
        load_model(tmp_path / "several", task="masked-lm")


def test_files_with_a_head_of_their_own(tmp_path):
    """config.json says tied, the file has two tensors (T5 1.1 as transformers 5 writes it): both libraries take the file's head."""
    torch.manual_seed(0)
    transformers.T5ForConditionalGeneration(transformers.T5Config(**T5)).save_pretrained(tmp_path)
    state = dict(load_sharded(tmp_path))
    save_file({**state, "lm_head.weight": state["shared.weight"] * -0.5 + 1.0}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert not torch.equal(theirs.lm_head.weight, theirs.shared.weight)
    found = inputs("T5ForConditionalGeneration", theirs.config)
    ours = call(fb, load_model(tmp_path), found).logits.numpy()
    np.testing.assert_allclose(ours, call(torch, theirs, found).logits.numpy(), **TOLERANCE)
