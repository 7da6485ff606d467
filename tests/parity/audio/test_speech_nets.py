"""Nets of torchaudio, speechbrain and HiFi-GAN's authors, whose libraries do not load here: their keys, and their formulas in PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "text"))

from reference import have_transformers, transformers  # noqa: E402
from torch.nn import functional as T  # noqa: E402

import flambeau as fb  # noqa: E402
from flambeau_audio import models  # noqa: E402

torch.set_num_threads(1)
TOLERANCE = dict(rtol=1e-4, atol=1e-5)


def filled(model, seed=0, scale=0.4):
    """Ours with random weights and batch statistics, and the same as PyTorch's state."""
    fb.manual_seed(seed)
    rng = np.random.default_rng(seed)
    state = {}
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            draw = rng.standard_normal(tuple(value.shape)).astype(np.float32) * scale
            state[name] = np.abs(draw) + 0.5 if name.endswith("running_var") else draw
        else:
            state[name] = value.numpy()
    model.load_state_dict({name: fb.tensor(value) for name, value in state.items()})
    return model.eval(), {name: torch.tensor(value) for name, value in state.items()}


def close(found, expected, **options):
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), **{**TOLERANCE, **options})


# -- speechbrain ------------------------------------------------------------------------------------------------------------------------
def conv_same(s, name, x, dilation=1):
    weight = s[f"{name}.conv.weight"]
    pad = dilation * (weight.shape[2] - 1) // 2
    return T.conv1d(T.pad(x, (pad, pad), mode="reflect") if pad else x, weight, s[f"{name}.conv.bias"], dilation=dilation)


def norm(s, name, x):
    parts = [s[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return T.batch_norm(x, *parts)


def tdnn(s, name, x, dilation=1):
    return norm(s, f"{name}.norm.norm", T.relu(conv_same(s, f"{name}.conv", x, dilation)))


def ecapa(s, x, mask, dilations, scale):
    x = tdnn(s, "blocks.0", x.transpose(1, 2), dilations[0])
    states = []
    for i, dilation in enumerate(dilations[1:-1], 1):
        name, residual = f"blocks.{i}", x
        if f"{name}.shortcut.conv.weight" in s:
            residual = conv_same(s, f"{name}.shortcut", x)
        inner = tdnn(s, f"{name}.tdnn1", x)
        parts = inner.split(inner.shape[1] // scale, 1)
        done = [parts[0]]
        for j in range(1, scale):
            seen = parts[j] if j == 1 else parts[j] + done[-1]
            done.append(tdnn(s, f"{name}.res2net_block.blocks.{j - 1}", seen, dilation))
        inner = tdnn(s, f"{name}.tdnn2", torch.cat(done, 1))
        mean = (inner * mask).sum(2, keepdim=True) / mask.sum(2, keepdim=True)
        gate = conv_same(s, f"{name}.se_block.conv2", T.relu(conv_same(s, f"{name}.se_block.conv1", mean)))
        x = torch.sigmoid(gate) * inner + residual
        states.append(x)
    x = tdnn(s, "mfa", torch.cat(states, 1), dilations[-1])

    def statistics(weights):
        mean = (x * weights).sum(2)
        return mean, torch.sqrt((weights * (x - mean[:, :, None]) ** 2).sum(2).clamp(1e-12))

    around = [part[:, :, None].expand_as(x) for part in statistics(mask / mask.sum(2, keepdim=True))]
    scores = conv_same(s, "asp.conv", torch.tanh(tdnn(s, "asp.tdnn", torch.cat([x, *around], 1))))
    pooled = torch.cat(statistics(scores.masked_fill(mask == 0, -torch.inf).softmax(2)), 1)[:, :, None]
    return conv_same(s, "fc", norm(s, "asp_bn.norm", pooled)).transpose(1, 2)


@pytest.mark.parametrize("padded", [False, True])
def test_ecapa_tdnn(padded):
    channels, dilations = [8, 8, 12, 8, 10], [1, 2, 3, 4, 1]
    model, state = filled(models.ECAPA_TDNN(6, 5, channels, attention_channels=4, res2net_scale=4, se_channels=3))
    assert "blocks.1.res2net_block.blocks.2.norm.norm.running_mean" in state and "blocks.2.shortcut.conv.weight" in state
    x = np.random.default_rng(0).standard_normal((2, 21, 6)).astype(np.float32)
    lengths = np.array([1.0, 13 / 21 if padded else 1.0], np.float32)
    mask = (torch.arange(21) < torch.tensor(lengths * 21)[:, None])[:, None].float()
    expected = ecapa(state, torch.tensor(x), mask, dilations, 4)
    close(model(fb.tensor(x), fb.tensor(lengths)), expected)
    if not padded:
        close(model(fb.tensor(x)), expected)


def test_classifier_and_angular_margin():
    rng = np.random.default_rng(0)
    vectors, weight = rng.standard_normal((6, 1, 4)).astype(np.float32), rng.standard_normal((3, 4)).astype(np.float32)
    classes = np.array([0, 1, 2, 0, 1, 2])
    classifier = models.Classifier(4, 3)
    classifier.load_state_dict({"weight": fb.tensor(weight)})
    mine = fb.tensor(vectors, requires_grad=True)
    theirs = torch.tensor(vectors, requires_grad=True)
    cosines = T.cosine_similarity(theirs[:, 0, None], torch.tensor(weight)[None], dim=-1)
    close(classifier(mine)[:, 0], cosines)
    for easy in (False, True):
        loss = models.AAMSoftmaxLoss(0.3, 20.0, easy)(classifier(mine), fb.tensor(classes))
        angles = torch.arccos(cosines)
        moved = torch.cos(angles + 0.3)
        if easy:
            moved = torch.where(cosines > 0, moved, cosines)
        else:
            moved = torch.where(angles < np.pi - 0.3, moved, cosines - 0.3 * np.sin(0.3))
        right = T.one_hot(torch.tensor(classes), 3).bool()
        expected = T.cross_entropy(20.0 * torch.where(right, moved, cosines), torch.tensor(classes))
        close(loss, expected)
        (grad,) = torch.autograd.grad(expected, theirs, retain_graph=True)
        close(fb.autograd.grad(loss, [mine])[0], grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("padded", [False, True])
def test_xvector(padded):
    dilations = [1, 2, 3, 1, 1]
    model, s = filled(models.Xvector(tdnn_channels=[6, 7, 6, 5, 8], lin_neurons=4, in_channels=5))
    x = np.random.default_rng(0).standard_normal((2, 17, 5)).astype(np.float32)
    lengths = [17, 11 if padded else 17]
    y = torch.tensor(x).transpose(1, 2)
    for i, dilation in enumerate(dilations):
        y = norm(s, f"blocks.{3 * i + 2}.norm", T.leaky_relu(conv_same(s, f"blocks.{3 * i}", y, dilation)))
    pooled = torch.stack([torch.cat([row[:, :n].mean(1), row[:, :n].std(1) + 1e-5]) for row, n in zip(y, lengths, strict=True)])
    expected = (pooled @ s["blocks.16.w.weight"].T + s["blocks.16.w.bias"])[:, None]
    close(model(fb.tensor(x), fb.tensor(np.array(lengths, np.float32) / 17)), expected)
    if not padded:
        close(model(fb.tensor(x)), expected)


# -- torchaudio -------------------------------------------------------------------------------------------------------------------------
class ConformerLayer(torch.nn.Module):
    """The layer's parts under torchaudio's names."""

    def __init__(self, width, inner, heads, kernel, group, first):
        super().__init__()
        nn = torch.nn

        def mlp():
            part = nn.Module()
            part.sequential = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, inner), nn.SiLU(), nn.Dropout(0.0), nn.Linear(inner, width), nn.Dropout(0.0)
            )
            return part

        self.first = first
        self.ffn1, self.ffn2 = mlp(), mlp()
        self.self_attn_layer_norm, self.final_layer_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.conv_module = nn.Module()
        self.conv_module.layer_norm = nn.LayerNorm(width)
        between = nn.GroupNorm(1, width) if group else nn.BatchNorm1d(width)
        depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.conv_module.sequential = nn.Sequential(
            nn.Conv1d(width, 2 * width, 1), nn.GLU(1), depthwise, between, nn.SiLU(), nn.Conv1d(width, width, 1), nn.Dropout(0.0)
        )

    def convolve(self, x):
        return x + self.conv_module.sequential(self.conv_module.layer_norm(x).transpose(1, 2)).transpose(1, 2)

    def forward(self, x, padding):
        x = x + self.ffn1.sequential(x) / 2
        x = self.convolve(x) if self.first else x
        y = self.self_attn_layer_norm(x)
        x = x + self.self_attn(y, y, y, key_padding_mask=padding)[0]
        x = x if self.first else self.convolve(x)
        return self.final_layer_norm(x + self.ffn2.sequential(x) / 2)


@pytest.mark.parametrize(("group", "first"), [(False, False), (True, True)])
def test_conformer(group, first):
    model, state = filled(models.Conformer(8, 2, 12, 2, 5, use_group_norm=group, convolution_first=first))
    layers = torch.nn.ModuleDict({"conformer_layers": torch.nn.ModuleList(ConformerLayer(8, 12, 2, 5, group, first) for _ in range(2))})
    layers.load_state_dict(state)  # raises for a key that differs
    layers.eval()
    x, lengths = np.random.default_rng(0).standard_normal((3, 11, 8)).astype(np.float32), np.array([11, 7, 4])
    padding = torch.arange(11) >= torch.tensor(lengths)[:, None]
    expected = torch.tensor(x)
    for layer in layers["conformer_layers"]:
        expected = layer(expected, padding)
    found, given = model(fb.tensor(x), fb.tensor(lengths))
    assert given.tolist() == lengths.tolist()
    close(found, expected)


SIZES = dict(
    n_mels=4, n_symbol=9, symbol_embedding_dim=6, encoder_embedding_dim=6, encoder_n_convolution=2, decoder_rnn_dim=7, attention_rnn_dim=8,
    attention_hidden_dim=5, attention_location_n_filter=3, attention_location_kernel_size=5, prenet_dim=4, postnet_n_convolution=3,
    postnet_embedding_dim=5, prenet_dropout=0.0,
)  # fmt: skip


def tacotron_encoder(s, tokens, lengths):
    x = s["embedding.weight"][tokens].transpose(1, 2)
    for i in range(2):
        weight = s[f"encoder.convolutions.{i}.0.weight"]
        x = T.conv1d(x, weight, s[f"encoder.convolutions.{i}.0.bias"], padding=weight.shape[2] // 2)
        x = T.relu(norm(s, f"encoder.convolutions.{i}.1", x))
    lstm = torch.nn.LSTM(6, 3, batch_first=True, bidirectional=True)
    lstm.load_state_dict({name.removeprefix("encoder.lstm."): value for name, value in s.items() if name.startswith("encoder.lstm.")})
    out = torch.zeros(x.shape[0], x.shape[2], 6)
    for i, length in enumerate(lengths):
        out[i, :length] = lstm(x[i : i + 1, :, :length].transpose(1, 2))[0][0]
    return out


def cell(s, name, x, state):
    gates = x @ s[f"{name}.weight_ih"].T + state[0] @ s[f"{name}.weight_hh"].T + s[f"{name}.bias_ih"] + s[f"{name}.bias_hh"]
    i, f, g, o = gates.chunk(4, 1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def tacotron_decoder(s, memory, lengths, truth=None, steps=None, threshold=0.5):
    """Each frame from the true one before it, or from its own until all rows end."""
    count, width = memory.shape[:2]
    zeros = lambda n: torch.zeros(count, n)
    one, two, weights, total, read, frame = (zeros(8),) * 2, (zeros(7),) * 2, zeros(width), zeros(width), zeros(6), zeros(4)
    padding = torch.arange(width) >= torch.tensor(lengths)[:, None]
    p = "decoder.attention_layer"
    keys = memory @ s[f"{p}.memory_layer.weight"].T
    mels, gates, shares, ends = [], [], [], torch.zeros(count, dtype=torch.long)
    for step in range(truth.shape[2] if truth is not None else steps):
        x = frame
        for i in range(2):
            x = T.relu(x @ s[f"decoder.prenet.layers.{i}.weight"].T)
        one = cell(s, "decoder.attention_rnn", torch.cat([x, read], 1), one)
        where = T.conv1d(torch.stack([weights, total], 1), s[f"{p}.location_layer.location_conv.weight"], padding=2).transpose(1, 2)
        where = where @ s[f"{p}.location_layer.location_dense.weight"].T
        energy = torch.tanh((one[0] @ s[f"{p}.query_layer.weight"].T)[:, None] + where + keys) @ s[f"{p}.v.weight"].T
        weights = energy[:, :, 0].masked_fill(padding, -torch.inf).softmax(1)
        total = total + weights
        read = torch.einsum("nl,nle->ne", weights, memory)
        two = cell(s, "decoder.decoder_rnn", torch.cat([one[0], read], 1), two)
        seen = torch.cat([two[0], read], 1)
        mels.append(seen @ s["decoder.linear_projection.weight"].T + s["decoder.linear_projection.bias"])
        gates.append((seen @ s["decoder.gate_layer.weight"].T + s["decoder.gate_layer.bias"])[:, 0])
        shares.append(weights)
        frame = mels[-1] if truth is None else truth[:, :, step]
        ends = torch.where((ends == 0) & (gates[-1].sigmoid() > threshold), step + 1, ends)
        if truth is None and bool((ends > 0).all()):
            break
    return torch.stack(mels, 2), torch.stack(gates, 1), torch.stack(shares, 1), torch.where(ends == 0, len(mels), ends)


def tacotron_postnet(s, mel):
    x = mel
    for i in range(3):
        weight = s[f"postnet.convolutions.{i}.0.weight"]
        x = norm(s, f"postnet.convolutions.{i}.1", T.conv1d(x, weight, s[f"postnet.convolutions.{i}.0.bias"], padding=2))
        x = torch.tanh(x) if i < 2 else x
    return mel + x


@pytest.mark.parametrize("mask", [False, True])
def test_tacotron2(mask):
    model, state = filled(models.Tacotron2(mask_padding=mask, **SIZES))
    rng = np.random.default_rng(0)
    tokens, lengths, mel, counts = rng.integers(0, 9, (3, 7)), [7, 4, 5], rng.standard_normal((3, 4, 6)).astype(np.float32), [6, 5, 3]
    memory = tacotron_encoder(state, torch.tensor(tokens), lengths)
    bands, gates, weights, _ = tacotron_decoder(state, memory, lengths, torch.tensor(mel))
    refined = tacotron_postnet(state, bands)
    if mask:
        padding = torch.arange(6) >= torch.tensor(counts)[:, None]
        bands, refined = bands.masked_fill(padding[:, None], 0.0), refined.masked_fill(padding[:, None], 0.0)
        gates = gates.masked_fill(padding, 1e3)
    found = model(fb.tensor(tokens), fb.tensor(lengths), fb.tensor(mel), fb.tensor(counts))
    for one, other in zip(found, (bands, refined, gates, weights), strict=True):
        close(one, other)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 2.0])
def test_tacotron2_speaks(threshold):
    model, state = filled(models.Tacotron2(gate_threshold=threshold, decoder_max_step=9, **SIZES), seed=3, scale=0.7)
    tokens, lengths = np.random.default_rng(0).integers(0, 9, (3, 7)), [7, 4, 5]
    memory = tacotron_encoder(state, torch.tensor(tokens), lengths)
    bands, _, weights, counts = tacotron_decoder(state, memory, lengths, steps=9, threshold=threshold)
    with fb.no_grad():
        mel, ends, shares = model.infer(fb.tensor(tokens), fb.tensor(lengths))
    close(mel, tacotron_postnet(state, bands))
    close(shares, weights)
    assert ends.tolist() == counts.tolist() and (threshold < 0.4) == (mel.shape[2] < 9)


# -- HiFi-GAN ---------------------------------------------------------------------------------------------------------------------------
VOCODER = dict(
    model_in_dim=5, upsample_initial_channel=16, upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4], resblock_kernel_sizes=[3, 5],
    resblock_dilation_sizes=[[1, 3], [1, 2]], initializer_range=0.3,
)  # fmt: skip


@pytest.mark.skipif(not have_transformers, reason="transformers is not installed")
@pytest.mark.parametrize("before", [True, False])
def test_hifigan(before, tmp_path):
    torch.manual_seed(0)
    theirs = transformers.SpeechT5HifiGan(transformers.SpeechT5HifiGanConfig(**VOCODER, normalize_before=before)).eval()
    with torch.no_grad():
        for value in theirs.parameters():
            value.add_(0.1 * torch.randn_like(value))
        theirs.mean.normal_()
        theirs.scale.uniform_(0.5, 2.0)
    theirs.save_pretrained(tmp_path)
    model = models.load_model(tmp_path)
    assert sorted(model.state_dict()) == sorted(theirs.state_dict())
    mel = np.random.default_rng(0).standard_normal((2, 7, 5)).astype(np.float32)
    with torch.no_grad(), fb.no_grad():
        for value in (mel, mel[0]):
            close(model(fb.tensor(value)), theirs(torch.tensor(value)))
    model.save_pretrained(tmp_path / "again")
    again = transformers.SpeechT5HifiGan.from_pretrained(tmp_path / "again")
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)
    model.apply_weight_norm()
    with fb.no_grad():
        close(model(fb.tensor(mel)), torch.tensor(models.load_model(tmp_path)(fb.tensor(mel)).numpy()))
    model.remove_weight_norm()
    assert sorted(model.state_dict()) == sorted(theirs.state_dict())


def test_hifigan_files_of_the_authors():
    """Their generator's state has other names, and lengths and directions of weights."""
    model, _ = filled(models.SpeechT5HifiGan(models.SpeechT5HifiGanConfig(**VOCODER, normalize_before=False)))
    old, rng = {}, np.random.default_rng(0)
    for name, value in model.state_dict().items():
        if name in ("mean", "scale"):
            continue
        name, weight = name.replace("upsampler.", "ups."), torch.tensor(value.numpy())
        if name.endswith(".weight"):
            lengths = weight.flatten(1).norm(dim=1)[:, None, None]
            old[f"{name}_g"] = fb.tensor(lengths.numpy())
            old[f"{name}_v"] = fb.tensor((weight * float(rng.uniform(0.5, 2))).numpy())
        else:
            old[name] = value
    again = models.SpeechT5HifiGan(models.SpeechT5HifiGanConfig(**VOCODER, normalize_before=False)).eval()
    again.load_weights(old)
    mel = fb.tensor(rng.standard_normal((1, 6, 5)).astype(np.float32))
    close(again(mel), torch.tensor(model(mel).detach().numpy()))


def test_discriminators():
    fb.manual_seed(0)
    periods, scales = models.MultiPeriodDiscriminator((2, 3), (4, 6, 6)).eval(), models.MultiScaleDiscriminator(16).eval()
    rng = np.random.default_rng(0)
    real, made = (rng.standard_normal((2, 1, 301)).astype(np.float32) for _ in range(2))
    found = periods(fb.tensor(real), fb.tensor(made))
    for i, period in enumerate((2, 3)):
        state = {name: torch.tensor(value.numpy()) for name, value in periods.discriminators[i].state_dict().items()}

        def weight(name, state=state):
            direction = state[f"{name}.parametrizations.weight.original1"]
            length = state[f"{name}.parametrizations.weight.original0"]
            return direction * length / direction.flatten(1).norm(dim=1)[:, None, None, None]

        x = torch.tensor(made)
        x = T.pad(x, (0, -301 % period), mode="reflect")
        x = x.reshape(2, 1, -1, period)
        states = []
        for j in range(3):
            x = T.leaky_relu(T.conv2d(x, weight(f"convs.{j}"), state[f"convs.{j}.bias"], (3 if j < 2 else 1, 1), (2, 0)), 0.1)
            states.append(x)
        states.append(T.conv2d(x, weight("conv_post"), state["conv_post.bias"], 1, (1, 0)))
        close(found[1][i], states[-1].flatten(1))
        for one, other in zip(found[3][i], states, strict=True):
            close(one, other)
    others = scales(fb.tensor(real), fb.tensor(made))
    assert [scores.shape[1] for scores in others[0]] == [5, 3, 2]
    names = list(scales.state_dict())
    assert "discriminators.0.convs.0.weight_orig" in names and "discriminators.1.convs.0.parametrizations.weight.original0" in names
    real_scores, made_scores = (np.concatenate([s.detach().numpy() for s in found[i]], 1) for i in (0, 1))
    total, one, other = models.discriminator_loss([fb.tensor(real_scores)], [fb.tensor(made_scores)])
    np.testing.assert_allclose(float(total), ((1 - real_scores) ** 2).mean() + (made_scores**2).mean(), rtol=1e-5)
    assert len(one) == len(other) == 1
    np.testing.assert_allclose(float(models.generator_loss([fb.tensor(made_scores)])[0]), ((1 - made_scores) ** 2).mean(), rtol=1e-5)
    expected = 2 * sum(
        np.abs(a.detach().numpy() - b.detach().numpy()).mean() for i in (0, 1) for a, b in zip(found[2][i], found[3][i], strict=True)
    )
    np.testing.assert_allclose(float(models.feature_loss(found[2], found[3])), expected, rtol=1e-5)


# -- WaveNet ----------------------------------------------------------------------------------------------------------------------------
def test_wavenet():
    model, s = filled(models.WaveNet(7, 6, 2, 6, 8, 5, kernel_size=3, cin_channels=4, gin_channels=3, upsample_scales=(2, 3)))
    rng = np.random.default_rng(0)
    x, c, g = rng.integers(0, 7, (2, 24)), rng.standard_normal((2, 4, 4)).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    y = torch.tensor(c)
    for i, scale in enumerate((2, 3)):
        y = T.conv1d(y.repeat_interleave(scale, 2), s[f"upsample_net.convs.{i}.weight"], padding=scale, groups=4)
    before = torch.cat([torch.full((2, 1), 3), torch.tensor(x)[:, :-1]], 1)
    hidden, total = s["first_conv.weight"][before].transpose(1, 2), 0.0
    for i in range(6):
        p, dilation = f"conv_layers.{i}", 2 ** (i % 3)
        inner = T.conv1d(T.pad(hidden, (2 * dilation, 0)), s[f"{p}.conv.weight"], s[f"{p}.conv.bias"], dilation=dilation)
        inner = inner + T.conv1d(y, s[f"{p}.conv1x1c.weight"]) + T.conv1d(torch.tensor(g)[:, :, None], s[f"{p}.conv1x1g.weight"])
        out = torch.tanh(inner[:, :4]) * torch.sigmoid(inner[:, 4:])
        total = total + T.conv1d(out, s[f"{p}.conv1x1_skip.weight"], s[f"{p}.conv1x1_skip.bias"])
        if i < 5:
            hidden = (hidden + T.conv1d(out, s[f"{p}.conv1x1_out.weight"], s[f"{p}.conv1x1_out.bias"])) * 0.5**0.5
    out = total / 6**0.5
    for i in range(2):
        out = T.conv1d(T.relu(out), s[f"last_conv_layers.{i}.weight"], s[f"last_conv_layers.{i}.bias"])
    close(model(fb.tensor(x), fb.tensor(c), fb.tensor(g)), out)
    close(model.loss(fb.tensor(x), fb.tensor(c), fb.tensor(g)), T.cross_entropy(out, torch.tensor(x)))
