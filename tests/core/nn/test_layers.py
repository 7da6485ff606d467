"""Layers: what PyTorch comparisons do not cover (independent references, errors, training behaviour)."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_is_the_textbook_recurrence():
    numbers = np.random.default_rng(0)
    lstm = nn.LSTM(3, 4).double()
    x, h, c = numbers.normal(size=(6, 2, 3)), numbers.normal(size=(2, 4)), numbers.normal(size=(2, 4))
    out, (hn, cn) = lstm(fb.tensor(x), (fb.tensor(h[None]), fb.tensor(c[None])))
    w = {k: v.numpy() for k, v in lstm.state_dict().items()}
    for t in range(6):
        gates = x[t] @ w["weight_ih_l0"].T + w["bias_ih_l0"] + h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
        i, f, g, o = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(out[t].detach().numpy(), h, rtol=1e-10)
    np.testing.assert_allclose(hn[0].detach().numpy(), h, rtol=1e-10)
    np.testing.assert_allclose(cn[0].detach().numpy(), c, rtol=1e-10)


def test_cells_agree_with_layers():
    for kind in ("RNN", "LSTM", "GRU"):
        layer, cell = getattr(nn, kind)(3, 4), getattr(nn, f"{kind}Cell")(3, 4)
        cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
        x = fb.randn(5, 2, 3)
        out, _ = layer(x)
        state = None
        for t in range(5):
            state = cell(x[t], state)
            h = state[0] if kind == "LSTM" else state
            np.testing.assert_allclose(h.detach().numpy(), out[t].detach().numpy(), rtol=1e-5, atol=1e-6)


def test_packed_rows_do_not_see_the_padding():
    gru = nn.GRU(3, 4, bidirectional=True).double()
    sequences = [fb.randn(n, 3, dtype=fb.float64) for n in (2, 5, 3)]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    output, last = gru(packed)
    for i, (sequence, got) in enumerate(zip(sequences, nn.utils.rnn.unpack_sequence(output), strict=True)):
        alone, h = gru(sequence)
        np.testing.assert_allclose(got.detach().numpy(), alone.detach().numpy(), rtol=1e-10)
        np.testing.assert_allclose(last[:, i].detach().numpy(), h.detach().numpy(), rtol=1e-10)


def test_recurrent_errors():
    lstm = nn.LSTM(3, 4)
    with pytest.raises(RuntimeError, match=r"\(T, N, 3\).*size 2"):
        lstm(fb.ones(5, 2, 2))
    with pytest.raises(RuntimeError, match=r"state of shape \(1, 2, 4\)"):
        lstm(fb.ones(5, 2, 3), (fb.ones(1, 3, 4), fb.ones(1, 3, 4)))
    with pytest.raises(RuntimeError, match="2-d state"):
        lstm(fb.ones(5, 3), (fb.ones(1, 1, 4), fb.ones(1, 1, 4)))
    with pytest.raises(RuntimeError, match="shape \\(3,\\)"):
        lstm(fb.ones(3))
    with pytest.raises(ValueError, match="proj_size"):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(ValueError, match="hidden_size"):
        nn.GRU(3, 0)
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.RNN(3, 4, nonlinearity="sigmoid")
    with pytest.warns(UserWarning, match="between layers"):
        nn.GRU(3, 4, dropout=0.5)
    with pytest.raises(ValueError, match="falling lengths.*enforce_sorted=False"):
        nn.utils.rnn.pack_padded_sequence(fb.ones(5, 2, 3), [2, 5])
    with pytest.raises(ValueError, match="between 1 and 5"):
        nn.utils.rnn.pack_padded_sequence(fb.ones(5, 2, 3), [6, 0], enforce_sorted=False)


def test_running_statistics_are_those_of_the_batches():
    bn = nn.BatchNorm1d(3, momentum=None).double()
    batches = np.random.default_rng(0).normal(2.0, 3.0, size=(4, 50, 3))
    for batch in batches:
        bn(fb.tensor(batch))
    np.testing.assert_allclose(bn.running_mean.numpy(), batches.mean(axis=(0, 1)), rtol=1e-9)
    np.testing.assert_allclose(bn.running_var.numpy(), batches.var(axis=1, ddof=1).mean(axis=0), rtol=1e-9)
    assert bn.num_batches_tracked.item() == 4
    bn.eval()(fb.tensor(batches[0]))
    assert bn.num_batches_tracked.item() == 4
    bn.reset_running_stats()
    assert bn.running_var.tolist() == [1.0] * 3 and bn.num_batches_tracked.item() == 0


def test_batch_norm_refuses_other_ranks():
    with pytest.raises(ValueError, match=r"2 or 3 axes.*\(2, 3, 4, 5\)"):
        nn.BatchNorm1d(3)(fb.ones(2, 3, 4, 5))
    with pytest.raises(ValueError, match="4 axes"):
        nn.BatchNorm2d(3)(fb.ones(2, 3))


def test_cross_map_normalisation_by_definition():
    numbers = np.random.default_rng(1)
    x = numbers.normal(size=(2, 7, 3, 2))
    for size in (3, 4, 5):
        half = (size - 1) // 2
        squares = np.stack([(x[:, max(0, c - half) : c + half + 1] ** 2).sum(axis=1) for c in range(7)], axis=1)
        expected = x * (2.0 + 0.3 / size * squares) ** -0.6
        np.testing.assert_allclose(nn.CrossMapLRN2d(size, 0.3, 0.6, 2.0)(fb.tensor(x)).numpy(), expected, rtol=1e-10)


def test_adaptive_softmax_is_a_distribution():
    layer = nn.AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7], div_value=2.0).double()
    x = fb.randn(5, 6, dtype=fb.float64)
    log_prob = layer.log_prob(x).detach().numpy()
    np.testing.assert_allclose(np.exp(log_prob).sum(axis=1), 1, rtol=1e-10)
    targets = np.array([0, 4, 11, 2, 8])
    output, loss = layer(x, fb.tensor(targets))
    np.testing.assert_allclose(output.detach().numpy(), log_prob[np.arange(5), targets], rtol=1e-10)
    np.testing.assert_allclose(loss.item(), -output.detach().numpy().mean())
    np.testing.assert_array_equal(layer.predict(x).numpy(), log_prob.argmax(axis=1))
    assert layer(x[0], fb.tensor(4)).output.shape == ()
    with pytest.raises(IndexError, match="below 12"):
        layer(x, fb.tensor([0, 1, 2, 3, 12]))
    with pytest.raises(ValueError, match="cutoffs"):
        nn.AdaptiveLogSoftmaxWithLoss(6, 12, [7, 3])


def test_embedding_rows():
    table = nn.Embedding(5, 3, padding_idx=2)
    assert table.weight[2].tolist() == [0.0] * 3
    table(fb.tensor([1, 2, 2, 4])).sum().backward()
    assert table.weight.grad.sum(1).tolist() == [0.0, 3.0, 0.0, 0.0, 3.0]
    frozen = nn.Embedding.from_pretrained(fb.ones(4, 2))
    assert not frozen.weight.requires_grad and frozen.num_embeddings == 4
    assert nn.EmbeddingBag.from_pretrained(fb.ones(4, 2), freeze=False, mode="sum").weight.requires_grad
    with pytest.raises(ValueError, match="padding_idx"):
        nn.Embedding(5, 3, padding_idx=5)


def test_dropout_only_in_training():
    x = fb.ones(1000)
    layer = nn.Dropout(0.25)
    dropped = layer(x).numpy()
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)} and 0.15 < (dropped == 0).mean() < 0.35
    assert layer.eval()(x) is x or bool((layer(x) == x).all())
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        nn.Dropout(1.5)


def test_convolution_arguments():
    with pytest.raises(ValueError, match="groups"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="padding_mode"):
        nn.Conv2d(3, 4, 3, padding_mode="mirror")
    with pytest.raises(ValueError, match="stride 1"):
        nn.Conv1d(3, 4, 3, padding="same", stride=2)
    with pytest.raises(ValueError, match=r"\[9, 10\]"):
        nn.ConvTranspose1d(2, 2, 3, stride=2)(fb.ones(1, 2, 4), output_size=[11])
    with pytest.raises(ValueError, match="padding_mode 'zeros'"):
        nn.ConvTranspose1d(2, 2, 3, padding_mode="reflect")
    assert nn.Conv2d(2, 3, 3, padding="same", dilation=2)(fb.ones(1, 2, 5, 6)).shape == (1, 3, 5, 6)


def test_losses_keep_the_old_spelling():
    assert nn.MSELoss(size_average=False).reduction == "sum"
    assert nn.MSELoss(reduce=False).reduction == "none"
    assert nn.CrossEntropyLoss(None, True).reduction == "mean"
    with pytest.raises(ValueError, match="above 0"):
        nn.TripletMarginLoss(margin=0)


def test_attention_arguments():
    with pytest.raises(ValueError, match="multiple"):
        nn.MultiheadAttention(7, 2)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2)
    first, second = encoder.layers
    assert first.linear1.weight is not second.linear1.weight
    assert bool((first.linear1.weight == second.linear1.weight).all())
    with pytest.raises(RuntimeError, match="one batch size"):
        nn.Transformer(4, 2, 1, 1, 8)(fb.ones(3, 2, 4), fb.ones(3, 1, 4))
    mask = nn.Transformer.generate_square_subsequent_mask(3).numpy()
    np.testing.assert_array_equal(mask, np.triu(np.full((3, 3), -np.inf), 1))


def test_causal_attention_does_not_look_ahead():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    x = fb.randn(1, 6, 8)
    y = x.clone()
    y[:, 4:] = 0
    a, b = layer(x, src_mask=mask, is_causal=True), layer(y, src_mask=mask, is_causal=True)
    np.testing.assert_allclose(a[:, :4].detach().numpy(), b[:, :4].detach().numpy(), rtol=1e-5, atol=1e-6)
    assert float((a[:, 4:] - b[:, 4:]).abs().max()) > 1e-3


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(3, 2),
        nn.Conv1d(3, 2, 2),
        nn.LSTM(3, 2, 2),
        nn.MultiheadAttention(4, 2),
        nn.BatchNorm1d(3),
        nn.TransformerDecoderLayer(4, 2, 4),
        nn.Embedding(3, 2),
    ],
    ids=lambda m: type(m).__name__,
)
def test_layers_are_made_on_any_device_and_dtype(layer):
    kind, args = (
        type(layer),
        {
            "LSTM": (3, 2, 2),
            "Conv1d": (3, 2, 2),
            "TransformerDecoderLayer": (4, 2, 4),
            "BatchNorm1d": (3,),
            "MultiheadAttention": (4, 2),
            "Linear": (3, 2),
            "Embedding": (3, 2),
        }[type(layer).__name__],
    )
    made = kind(*args, device="meta", dtype=fb.float64)
    for ours, theirs in zip(made.state_dict().values(), layer.state_dict().values(), strict=True):
        assert ours.is_meta and ours.shape == theirs.shape
        assert ours.dtype is (fb.int64 if theirs.dtype is fb.int64 else fb.float64)
