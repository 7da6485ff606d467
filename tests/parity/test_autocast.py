"""The dtypes that operations give under autocast on the CPU, and the steps of GradScaler, are PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb

torch = pytest.importorskip("torch")

# One expression for each operation; x is (2, 4), i an image (2, 3, 8, 8), s a sequence (2, 3, 8), v a volume, p probabilities, t classes.
CODE = """
x @ x.mT
m.matmul(x, x.mT)
m.mm(x, x.mT)
m.bmm(s, s.mT)
m.addmm(m.ones(2, 2), x, x.mT)
m.baddbmm(m.ones(2, 3, 3), s, s.mT)
m.addbmm(m.ones(3, 3), s, s.mT)
m.einsum('ij,kj->ik', x, x)
F.linear(x, w)
F.linear(x, w, m.ones(5))
F.conv1d(s, m.ones(4, 3, 3))
F.conv2d(i, k, m.ones(4))
F.conv3d(v, m.ones(4, 3, 2, 2, 2))
F.conv_transpose1d(s, m.ones(3, 4, 3))
F.conv_transpose2d(i, k.transpose(0, 1))
F.conv_transpose3d(v, m.ones(3, 4, 2, 2, 2))
F.prelu(x, m.ones(1))
F.scaled_dot_product_attention(s, s, s)
m.linalg.vecdot(x, x)
F.softmax(x, 1)
F.log_softmax(x, 1)
F.layer_norm(x, (4,), m.ones(4), m.ones(4))
F.group_norm(s, 3, m.ones(3), m.ones(3))
F.batch_norm(i, m.ones(3), m.ones(3), m.ones(3), m.ones(3))
F.batch_norm(i, None, None, training=True)
F.instance_norm(i)
F.relu(x)
F.gelu(x)
x.exp()
x.sum()
x.mean(1)
x.norm()
x + 1.0
x * x
x + f
m.cat([x, f])
m.stack([x, f])
m.where(x > 0, x, f)
F.mse_loss(x, f)
F.l1_loss(x, f)
F.smooth_l1_loss(x, f)
F.huber_loss(x, f)
F.cross_entropy(x, t)
F.nll_loss(x, t)
F.binary_cross_entropy(p, p)
F.binary_cross_entropy_with_logits(x, p)
F.kl_div(x, p, reduction='batchmean')
F.poisson_nll_loss(x, p)
F.cosine_embedding_loss(x, f, m.ones(2))
F.margin_ranking_loss(x, f, m.ones(2, 4))
F.hinge_embedding_loss(x, m.ones(2, 4))
F.soft_margin_loss(x, m.ones(2, 4))
F.triplet_margin_loss(x, x, f)
F.multi_margin_loss(x, t)
F.max_pool2d(i, 2)
F.avg_pool2d(i, 2)
F.avg_pool3d(v, 2)
F.max_pool3d(v, 2)
F.adaptive_avg_pool2d(i, 2)
F.adaptive_avg_pool3d(v, 2)
F.interpolate(i, scale_factor=2)
F.grid_sample(i, m.zeros(2, 2, 2, 2, dtype=i.dtype), align_corners=False)
m.cdist(x, x)
F.dropout(x, 0.5)
F.embedding(t, f)
(x.double() @ x.double().mT)
""".strip().splitlines()


def names(m, low):
    made = m.bfloat16 if low else m.float32
    f = m.ones(2, 4)
    shapes = {"x": (2, 4), "s": (2, 3, 8), "i": (2, 3, 8, 8), "v": (2, 3, 4, 4, 4), "p": (2, 4)}
    values = {name: m.full(shape, 0.5).to(made) for name, shape in shapes.items()}
    return {"m": m, "F": m.nn.functional, "f": f, "w": m.ones(5, 4), "k": m.ones(4, 3, 3, 3), "t": m.tensor([1, 0]), **values}


def dtype_of(m, code, low):
    with m.autocast("cpu"):
        return str(eval(code, names(m, low)).dtype).partition(".")[2]


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("code", CODE)
def test_dtypes(code, low):
    try:
        expected = dtype_of(torch, code, low)
    except RuntimeError:
        return  # PyTorch does not compute it in bfloat16
    assert dtype_of(fb, code, low) == expected


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN", "MultiheadAttention", "TransformerEncoderLayer"])
def test_layers_run(name):
    """Parameters stay float32, gradients are float32."""
    with fb.autocast("cpu"):
        if name in ("LSTM", "GRU", "RNN"):
            model = getattr(fb.nn, name)(4, 8)
            out = model(fb.randn(3, 2, 4))[0]
        elif name == "MultiheadAttention":
            model = fb.nn.MultiheadAttention(8, 2)
            out = model(*[fb.randn(3, 2, 8)] * 3)[0]
        else:
            model = fb.nn.TransformerEncoderLayer(8, 2, 16)
            out = model(fb.randn(3, 2, 8))
        out.float().sum().backward()
    assert {p.grad.dtype for p in model.parameters()} == {fb.float32}


def scaled_training(m, bad):
    w = m.nn.Parameter(m.tensor([1.0, 2.0]))
    optimizer = m.optim.SGD([w], lr=0.1)
    scaler = m.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    seen = []
    for step in range(7):
        optimizer.zero_grad()
        loss = (w * w).sum() * (float("inf") if step in bad else 1.0)
        scaler.scale(loss).backward()
        if step % 2:
            scaler.unscale_(optimizer)
            seen.append(w.grad.tolist())
        scaler.step(optimizer)
        scaler.update()
        seen.append((w.tolist(), scaler.get_scale()))
    state = dict(scaler.state_dict())
    return seen, state


@pytest.mark.parametrize("bad", [(), (2,), (0, 1, 5)])
def test_grad_scaler(bad):
    (ours, state), (theirs, wanted) = scaled_training(fb, bad), scaled_training(torch, bad)
    assert state == wanted
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.array(a[0] if isinstance(a, tuple) else a), np.array(b[0] if isinstance(b, tuple) else b), rtol=1e-6)
        if isinstance(a, tuple):
            assert a[1] == b[1]
