"""Recurrent networks over whole sequences: RNN, LSTM, GRU; several layers, both directions, packed sequences."""

from __future__ import annotations

import math
import warnings
from typing import Any

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter, blank
from flambeau.nn.recurrence import Step, gru_step, lstm_layer, lstm_step, rnn_step, run
from flambeau.nn.utils.rnn import PackedSequence
from flambeau.ops.joining import cat, stack
from flambeau.tensor.creation import zeros
from flambeau.tensor.tensor import Tensor

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


class RNNBase(Module):
    """Weights of all layers and directions, named `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, `weight_hr_l0`, with
    `_reverse` for the second direction; uniform in ±1/sqrt(hidden_size) at first. `mode` is RNN_TANH, RNN_RELU, GRU or LSTM.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._check()
        self._all_weights: list[list[str]] = []
        rows, out = _GATES[mode] * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else out * self._directions
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, out)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[: self._directions]:
                for name, shape in shapes.items():
                    self.register_parameter(f"{name}_l{layer}{suffix}", blank(*shape, device=device, dtype=dtype))
                self._all_weights.append([f"{name}_l{layer}{suffix}" for name in shapes])
        self.reset_parameters()

    def _check(self) -> None:
        op = type(self).__name__
        if self.mode not in _GATES:
            raise ArgumentError(explain(op, expected=f"a mode among {', '.join(_GATES)}", got=repr(self.mode)))
        for name in ("input_size", "hidden_size", "num_layers"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) <= 0:
                raise ArgumentError(explain(op, expected=f"{name} as an int above 0", got=repr(getattr(self, name))))
        if not 0 <= self.dropout <= 1:
            raise ArgumentError(explain(op, expected="dropout as a probability in [0, 1]", got=str(self.dropout)))
        if not 0 <= self.proj_size < self.hidden_size or (self.proj_size and self.mode != "LSTM"):
            expected = f"proj_size in [0, {self.hidden_size}), and only for LSTM"
            raise ArgumentError(explain(op, expected=expected, got=str(self.proj_size)))
        if self.dropout and self.num_layers == 1:
            warnings.warn(f"{op}: dropout={self.dropout} acts between layers, and there is only one.", stacklevel=4)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: the weights need no special memory layout. Kept for programs that call it."""

    # -- the computation ------------------------------------------------------------------------------------------------------------------
    def _run(self, input: Any, state: tuple[Any, ...] | None) -> tuple[Any, tuple[Any, ...]]:
        """Outputs and last states, in the form (packed, batched, single sequence) of the input."""
        if isinstance(input, PackedSequence):
            sizes = [int(b) for b in input.batch_sizes.tolist()]
            if state is not None and input.sorted_indices is not None:
                state = tuple(s.index_select(1, input.sorted_indices) for s in state)
            data, state = self._layers(input.data, sizes, self._state(input.data, sizes[0], state))
            if input.unsorted_indices is not None:
                state = tuple(s.index_select(1, input.unsorted_indices) for s in state)
            return PackedSequence(data, input.batch_sizes, input.sorted_indices, input.unsorted_indices), state
        if input.dim() not in (2, 3):
            got = f"shape {tuple(input.shape)}"
            raise ShapeError(explain(type(self).__name__, expected=f"{self._layout()} or (T, {self.input_size})", got=got))
        single = input.dim() == 2
        if single:
            state = None if state is None else tuple(self._batched(s) for s in state)
            x = input.unsqueeze(1)
        else:
            x = input.transpose(0, 1) if self.batch_first else input
        steps, batch, features = x.shape
        state = self._state(x, batch, state)
        if not steps:
            raise ShapeError(explain(type(self).__name__, expected="at least one time step", got=f"shape {tuple(input.shape)}"))
        data, state = self._layers(x.reshape(steps * batch, features), [batch] * steps, state)
        out = data.reshape(steps, batch, data.shape[-1])
        if single:
            return out.squeeze(1), tuple(s.squeeze(1) for s in state)
        return out.transpose(0, 1) if self.batch_first else out, state

    def _batched(self, s: Any) -> Any:
        if s.dim() != 2:
            raise ShapeError(explain(type(self).__name__, expected="a 2-d state for a 2-d input", got=f"shape {tuple(s.shape)}"))
        return s.unsqueeze(1)

    def _layout(self) -> str:
        return f"(N, T, {self.input_size})" if self.batch_first else f"(T, N, {self.input_size})"

    def _state(self, x: Any, batch: int, state: tuple[Any, ...] | None) -> tuple[Any, ...]:
        """The initial state, checked, or zeros."""
        op = type(self).__name__
        if x.shape[-1] != self.input_size:
            raise ShapeError(explain(op, expected=f"{self._layout()}", got=f"features of size {x.shape[-1]}"))
        lead = (self.num_layers * self._directions, batch)
        wanted = [(*lead, self.proj_size or self.hidden_size), (*lead, self.hidden_size)][: 2 if self.mode == "LSTM" else 1]
        if state is None:
            return tuple(zeros(*shape, dtype=x.dtype, device=x.device) for shape in wanted)
        for s, shape in zip(state, wanted, strict=True):
            if tuple(s.shape) != shape:
                raise ShapeError(explain(op, expected=f"a state of shape {shape}", got=str(tuple(s.shape))))
        return state

    def _layers(self, x: Any, sizes: list[int], state: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """All layers on rows (time-major, sizes[t] rows at step t)."""
        last = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self._directions):
                k = layer * self._directions + direction
                step, gates = self._step(k, x)
                first = tuple(s[k] for s in state)
                if self._is_one_row(sizes, (gates, *first)):
                    weight = getattr(self, self._all_weights[k][1])
                    out, final = lstm_layer(gates, weight, len(sizes), first, direction == 1)
                else:
                    out, final = run(step, gates, sizes, first, direction == 1)
                outputs.append(out)
                last.append(final)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, dim=1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(stack(s) for s in zip(*last, strict=True))

    def _is_one_row(self, sizes: list[int], tensors: tuple[Any, ...]) -> bool:
        """Whether a layer is one primitive: an LSTM without projection on sequences of one length, all of one dtype."""
        same = sizes[0] == sizes[-1] > 0 and len({t._a.dtype for t in tensors}) == 1
        return self.mode == "LSTM" and not self.proj_size and same

    def _step(self, k: int, x: Any) -> tuple[Step, Any]:
        """The step of layer and direction k, and the input's part of its gates for all time steps in one product."""
        weights: dict[str, Any] = {name.partition("_l")[0]: getattr(self, name) for name in self._all_weights[k]}
        w_ih, w_hh = weights["weight_ih"], weights["weight_hh"]
        b_ih, b_hh = weights.get("bias_ih"), weights.get("bias_hh")
        if self.mode == "GRU":
            return gru_step(w_hh, b_hh), F.linear(x, w_ih, b_ih)
        gates = F.linear(x, w_ih, None if b_ih is None else b_ih + b_hh)
        if self.mode == "LSTM":
            return lstm_step(w_hh, weights.get("weight_hr")), gates
        return rnn_step(F.tanh if self.mode == "RNN_TANH" else F.relu, w_hh), gates

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        for name, default in defaults.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text


class RNN(RNNBase):
    """`h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`, or relu: (T, N, input_size) to outputs (T, N, D * hidden_size) and last h.

    With `batch_first` sequences are (N, T, ...); one sequence may come without batch, several of different lengths as a PackedSequence.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(explain("RNN", expected="nonlinearity 'tanh' or 'relu'", got=repr(nonlinearity)))
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Outputs of the last layer at all steps, and the last h (num_layers * D, N, hidden_size) of all layers."""
        output, state = self._run(input, None if hx is None else (hx,))
        return output, state[0]


class GRU(RNNBase):
    """Gated recurrent units (Cho et al. 2014); inputs and outputs as RNN.

    >>> import flambeau as fb
    >>> output, h = fb.nn.GRU(10, 20, num_layers=2)(fb.zeros(5, 3, 10))
    >>> output.shape, h.shape
    (flambeau.Size([5, 3, 20]), flambeau.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Outputs of the last layer at all steps, and the last h (num_layers * D, N, hidden_size) of all layers."""
        output, state = self._run(input, None if hx is None else (hx,))
        return output, state[0]


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); inputs and outputs as RNN, the state being (h, c).

    `proj_size` projects h to a smaller size.

    >>> import flambeau as fb
    >>> output, (h, c) = fb.nn.LSTM(10, 20, bidirectional=True)(fb.zeros(5, 3, 10))
    >>> output.shape, h.shape
    (flambeau.Size([5, 3, 40]), flambeau.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype)

    def forward(self, input: Any, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        """Outputs of the last layer at all steps, and the last (h, c) of all layers."""
        output, (h, c) = self._run(input, hx)
        return output, (h, c)
