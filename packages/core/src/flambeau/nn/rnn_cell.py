"""Recurrent cells: one step for a batch (N, input_size) or a single sample (input_size)."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import blank
from flambeau.nn.recurrence import Step, gru_step, lstm_step, rnn_step
from flambeau.tensor.creation import zeros
from flambeau.tensor.tensor import Tensor


class RNNCellBase(Module):
    """`weight_ih`, `weight_hh`, `bias_ih`, `bias_hh` of `num_chunks` gates, uniform in ±1/sqrt(hidden_size) at first."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = blank(rows, input_size, device=device, dtype=dtype)
        self.weight_hh = blank(rows, hidden_size, device=device, dtype=dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, blank(rows, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _run(self, input: Any, state: Any, count: int) -> tuple[Any, ...]:
        op = type(self).__name__
        if input.dim() not in (1, 2) or input.shape[-1] != self.input_size:
            expected = f"(N, {self.input_size}) or ({self.input_size},)"
            raise ShapeError(explain(op, expected=expected, got=str(tuple(input.shape))))
        single = input.dim() == 1
        x = input.unsqueeze(0) if single else input
        if state is None:
            state = (zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device),) * count
        elif single:
            state = tuple(s.unsqueeze(0) for s in state)
        for s in state:
            if tuple(s.shape) != (x.shape[0], self.hidden_size):
                expected = f"a state of shape {(x.shape[0], self.hidden_size)}"
                raise ShapeError(explain(op, expected=expected, got=str(tuple(s.shape))))
        step, gates = self._step(x)
        return tuple(s.squeeze(0) for s in step(gates, state)) if single else step(gates, state)

    def _step(self, x: Any) -> tuple[Step, Any]:
        raise NotImplementedError

    def _both_biases(self) -> Any:
        return None if self.bias_ih is None else self.bias_ih + self.bias_hh

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text + ("" if nonlinearity == "tanh" else f", nonlinearity={nonlinearity}")


class RNNCell(RNNCellBase):
    """`h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`, or relu."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(explain("RNNCell", expected="nonlinearity 'tanh' or 'relu'", got=repr(nonlinearity)))
        self.nonlinearity = nonlinearity

    def _step(self, x: Any) -> tuple[Step, Any]:
        activation = F.tanh if self.nonlinearity == "tanh" else F.relu
        return rnn_step(activation, self.weight_hh), F.linear(x, self.weight_ih, self._both_biases())

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h."""
        return self._run(input, None if hx is None else (hx,), 1)[0]


class GRUCell(RNNCellBase):
    """One step of a GRU."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def _step(self, x: Any) -> tuple[Step, Any]:
        return gru_step(self.weight_hh, self.bias_hh), F.linear(x, self.weight_ih, self.bias_ih)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h."""
        return self._run(input, None if hx is None else (hx,), 1)[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM.

    >>> import flambeau as fb
    >>> h, c = fb.nn.LSTMCell(10, 20)(fb.zeros(3, 10))
    >>> h.shape
    flambeau.Size([3, 20])
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def _step(self, x: Any) -> tuple[Step, Any]:
        return lstm_step(self.weight_hh), F.linear(x, self.weight_ih, self._both_biases())

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next (h, c)."""
        h, c = self._run(input, hx, 2)
        return h, c
