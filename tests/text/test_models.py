"""Models without transformers: golden outputs, files that contradict themselves, caches, tied weights, long inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, FileFormatError
from flambeau.nn.state import StateDictError
from flambeau.serialization import save_file
from flambeau_text.models import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ModelOutput,
    MT5Config,
    StaticCache,
    T5Config,
    T5ForConditionalGeneration,
    TransformerConfig,
    TransformerForConditionalGeneration,
    auto,
    load_config,
    load_model,
)

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "text_models.npz"))
NAMES = sorted({key.partition("/")[0] for key in GOLDEN})
TINY = dict(vocab_size=20, n_embd=8, n_layer=2, n_head=2, n_positions=16, bos_token_id=None, eos_token_id=None)


@pytest.fixture
def folder(tmp_path):
    """A folder with a small GPT-2."""
    fb.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(**TINY)).save_pretrained(tmp_path)
    return tmp_path


def golden_model(name):
    config = json.loads(str(GOLDEN[f"{name}/config"]))
    start = f"{name}/weight/"
    model = auto.families.model_class(config)(auto.families.model_class(config).config_class(**config))
    state = {key[len(start) :]: fb.tensor(value.astype(np.float32) / 64) for key, value in GOLDEN.items() if key.startswith(start)}
    model.load_weights(state, name)
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_golden_outputs(name):
    model = golden_model(name)
    start = f"{name}/input/"
    inputs = {key[len(start) :]: fb.tensor(value) for key, value in GOLDEN.items() if key.startswith(start)}
    with fb.no_grad():
        np.testing.assert_allclose(model(**inputs)[0].numpy(), GOLDEN[f"{name}/output"], rtol=1e-4, atol=1e-4)
    if f"{name}/greedy" in GOLDEN:
        ids = model.generate(inputs["input_ids"], max_new_tokens=8)
        np.testing.assert_array_equal(ids.numpy(), GOLDEN[f"{name}/greedy"])


def test_files_go_round(folder):
    model = load_model(folder)
    assert not model.training and isinstance(model, GPT2LMHeadModel)
    assert model.lm_head.weight is model.transformer.wte.weight
    assert model.num_parameters() == sum(v.numel() for k, v in model.state_dict().items() if k != "lm_head.weight")
    again = folder / "again"
    model.save_pretrained(again, max_shard_size=2000)
    assert (again / "model.safetensors.index.json").is_file()
    other = load_model(again)
    ids = fb.tensor([[1, 2, 3]])
    np.testing.assert_array_equal(model(ids).logits.detach().numpy(), other(ids).logits.detach().numpy())
    assert load_config(folder) == model.config


def test_other_heads(folder):
    base = load_model(folder, task="base")
    ids = fb.tensor([[1, 2, 3]])
    np.testing.assert_array_equal(base(ids)[0].detach().numpy(), load_model(folder).transformer(ids)[0].detach().numpy())
    with pytest.warns(UserWarning, match=r"GPT2ForSequenceClassification.*new weights for score\.weight"):
        classifier = load_model(folder, task="sequence-classification", num_labels=5)
    assert classifier(ids).logits.shape == (1, 5)


def test_configurations_that_contradict_weights(folder):
    config = json.loads((folder / "config.json").read_text())

    def write(**changes):
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    write(n_layer=3)
    with pytest.raises(FileFormatError, match=r"12 absent \(transformer\.h\.2"):
        load_model(folder)
    write(n_layer=1)
    with pytest.raises(FileFormatError, match=r"12 without a place \(transformer\.h\.1"):
        load_model(folder)
    write(n_embd=16)
    with pytest.raises(StateDictError, match="size mismatch"):
        load_model(folder)
    write(vocab_size=30)
    with pytest.raises(StateDictError, match="size mismatch for"):
        load_model(folder)
    write(n_head=3)
    with pytest.raises(ArgumentError, match="n_embd to be a multiple of n_head, got 8 and 3"):
        load_model(folder)
    for wrong in (0, -1, "many", 2.5, None):
        write(n_layer=wrong)
        with pytest.raises(ArgumentError, match=r"GPT2Config\.n_layer: expected a positive int"):
            load_model(folder)
    write(model_type="gtp2")
    with pytest.raises(ArgumentError, match="Did you mean 'gpt2'"):
        load_model(folder)
    write(architectures=["os.system"])
    with pytest.raises(ArgumentError, match="a class of"):
        load_model(folder)
    write(activation_function="__import__")
    with pytest.raises(ArgumentError, match="activation: expected a known name"):
        load_model(folder)
    write(num_beams="three")
    with pytest.raises(FileFormatError, match="generation settings"):
        load_model(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(FileFormatError, match="a JSON object"):
        load_model(folder)


def test_missing_and_damaged_files(folder, tmp_path):
    model = load_model(folder)
    model.save_pretrained(tmp_path / "shards", max_shard_size=2000)
    shards = sorted((tmp_path / "shards").glob("*.safetensors"))
    shards[1].unlink()
    with pytest.raises(FileFormatError, match=f"expected the shard {shards[1].name}"):
        load_model(tmp_path / "shards")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:200])
    with pytest.raises(FileFormatError):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ArgumentError, match=r"model\.safetensors or pytorch_model\.bin"):
        load_model(folder)
    with pytest.raises(ArgumentError, match=r"config\.json"):
        load_model(folder / "nowhere")


def test_old_names(tmp_path):
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=2)
    model = BertForSequenceClassification(config)
    model.save_pretrained(tmp_path)
    old = {key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
           for key, value in model.state_dict().items()}  # fmt: skip
    old["bert.embeddings.position_ids"] = fb.arange(512)[None]
    save_file(old, tmp_path / "model.safetensors")
    again = load_model(tmp_path)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[key].numpy(), value.numpy())


def test_too_long_texts():
    model = GPT2LMHeadModel(GPT2Config(**TINY)).eval()
    with pytest.raises(ArgumentError, match="GPT2Model: expected at most 16 tokens, got 17"):
        model(fb.zeros(1, 17, dtype=fb.int64))
    out = model(fb.zeros(1, 10, dtype=fb.int64), use_cache=True)
    with pytest.raises(ArgumentError, match=r"got 20 \(10 of them in the cache\)"):
        model(fb.zeros(1, 10, dtype=fb.int64), past_key_values=out.past_key_values)
    bert = BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
                                max_position_embeddings=12))  # fmt: skip
    with pytest.raises(ArgumentError, match="at most 12 tokens, got 13"):
        bert(fb.zeros(1, 13, dtype=fb.int64))


def test_static_cache():
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    ).eval()
    ids = fb.tensor([[1, 2, 3, 4, 5, 6]])
    cache = StaticCache(2, 1, 2, 8, 2)
    with fb.no_grad():
        whole = model(ids).logits
        model(ids[:, :4], past_key_values=cache)
        parts = [model(ids[:, i : i + 1], past_key_values=cache).logits for i in (4, 5)]
    np.testing.assert_allclose(fb.cat(parts, 1).numpy(), whole[:, 4:].numpy(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ArgumentError, match="at most 8 tokens"):
        cache.claim(9)


def test_training_the_transformer():
    fb.manual_seed(0)
    sizes = dict(d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2,
                 decoder_attention_heads=2, dropout=0.0)  # fmt: skip
    model = TransformerForConditionalGeneration(TransformerConfig(vocab_size=12, **sizes))
    source, target = fb.tensor([[3, 4, 5, 2]]), fb.tensor([[5, 4, 3, 2]])
    optimizer = fb.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(50):
        loss = model(source, labels=target).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.1
    assert model.eval().generate(source, max_new_tokens=4).tolist() == [[1, 5, 4, 3, 2]]


def test_small_things():
    out = ModelOutput(loss=None, logits=1)
    with pytest.raises(AttributeError, match="the output has logits, not 'logit'"):
        _ = out.logit
    assert T5Config(num_layers=3).num_decoder_layers == 3 and GPT2Config(n_embd=24, n_head=3).hidden_size == 24
    assert GPT2Config(id2label={"0": "no", "1": "yes", "2": "maybe"}).num_labels == 3
    model = GPT2LMHeadModel(GPT2Config(**TINY)).eval()
    assert isinstance(model(fb.tensor([[1]]), return_dict=False), tuple)


def test_files_with_two_tensors_for_tied_names(folder):
    """Such as T5 1.1 as transformers 5 writes it: config.json says tied, and the head is another tensor. The weights count."""
    tied = load_model(folder)
    state = {**tied.state_dict(), "lm_head.weight": tied.lm_head.weight.detach() * -2.0}
    save_file(state, folder / "model.safetensors")
    ids = fb.tensor([[1, 2, 3]])
    model = load_model(folder)
    with fb.no_grad():
        expected = tied(ids).logits.numpy() * -2.0
        np.testing.assert_allclose(model(ids).logits.numpy(), expected, rtol=1e-5, atol=1e-6)
        model.save_pretrained(folder)
        np.testing.assert_allclose(load_model(folder)(ids).logits.numpy(), expected, rtol=1e-5, atol=1e-6)
    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    state = dict(T5ForConditionalGeneration(config).state_dict())
    state["encoder.embed_tokens.weight"] = state["shared.weight"] + 1.0
    with pytest.raises(FileFormatError, match="one tensor as encoder.embed_tokens.weight and shared.weight"):
        T5ForConditionalGeneration(config).load_weights(state)


def test_mt5_does_not_scale_its_scores():
    options = dict(vocab_size=20, d_model=16, d_kv=4, d_ff=8, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu")
    assert isinstance(MT5Config(**options), T5Config) and not MT5Config(**options).scale_decoder_outputs
    models = [
        auto.families.model_class({"model_type": kind, "architectures": [f"{kind.upper()}ForConditionalGeneration"]})
        for kind in ("t5", "mt5")
    ]
    t5, mt5 = (cls(cls.config_class(**options)).eval() for cls in models)
    mt5.load_state_dict(t5.state_dict())
    ids = fb.tensor([[1, 2, 3]])
    with fb.no_grad():
        scaled, plain = (model(ids, decoder_input_ids=ids).logits.numpy() for model in (t5, mt5))
    np.testing.assert_allclose(scaled * 4.0, plain, rtol=1e-5)


ROPE = dict(rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8)


@pytest.mark.parametrize(
    "wrong",
    [
        dict(rms_norm_eps="x"), dict(initializer_range="x"), dict(rms_norm_eps=float("nan")), dict(rope_parameters="x"),
        dict(rope_parameters={"rope_theta": "a"}), dict(rope_parameters={**ROPE, "factor": None}), dict(rope_scaling={"type": "linear"}),
        dict(rope_scaling={"type": "yarn", "factor": 2.0}), dict(to_dict=3), dict(check=3),
    ],
    ids=str,
)  # fmt: skip
def test_options_that_make_no_sense(wrong):
    with pytest.raises(ArgumentError, match=r"a number|an object|rope_type|names of options"):
        LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, **wrong)


def test_families_and_counts_that_make_no_sense(folder):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "n_layer": 10**9}))
    with pytest.raises(FileFormatError, match="tensors for 1000000000 layers"):
        load_model(folder)
    (folder / "config.json").write_text(json.dumps({**content, "model_type": ["gpt2"]}))
    with pytest.raises(ArgumentError, match="a model_type that is known"):
        load_model(folder)
