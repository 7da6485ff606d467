"""Sequences of different lengths in one tensor: padded, or packed (time step after time step, without padding)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.ops.joining import stack
from flambeau.tensor.creation import from_numpy
from flambeau.tensor.tensor import Tensor


class PackedSequence(NamedTuple):
    """Sequences sorted by falling length: `data` (sum of lengths, ...) holds all first elements, then all second ones, ...; `batch_sizes`
    says how many sequences reach each step. Made by `pack_padded_sequence` and `pack_sequence`.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Data on another device or of another dtype (`batch_sizes` stays on the CPU)."""
        data = self.data.to(*args, **kwargs)
        orders = [None if i is None else i.to(data.device) for i in (self.sorted_indices, self.unsorted_indices)]
        return PackedSequence(data, self.batch_sizes, *orders)

    def cpu(self) -> PackedSequence:
        """Data on the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> PackedSequence:
        """Data on an NVIDIA GPU."""
        return self.to(device)

    def double(self) -> PackedSequence:
        """Data as float64."""
        return PackedSequence(self.data.double(), *self[1:])

    def float(self) -> PackedSequence:
        """Data as float32."""
        return PackedSequence(self.data.float(), *self[1:])

    def half(self) -> PackedSequence:
        """Data as float16."""
        return PackedSequence(self.data.half(), *self[1:])

    def pin_memory(self) -> PackedSequence:
        """Data in page-locked memory."""
        return PackedSequence(self.data.pin_memory(), *self[1:])

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on an NVIDIA GPU."""
        return self.data.is_cuda


def _lengths(lengths: Any) -> np.ndarray:
    values = lengths.numpy(force=True) if isinstance(lengths, Tensor) else [int(n) for n in lengths]
    return np.asarray(values, dtype=np.int64)


def _places(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batch sizes of sorted lengths, and the step and the sequence of every packed row."""
    steps = np.arange(lengths[0])
    reached = steps[:, None] < lengths[None, :]
    step, sequence = reached.nonzero()
    return reached.sum(axis=1), step, sequence


def pack_padded_sequence(input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """Pack padded sequences (T, N, ...), or (N, T, ...) with `batch_first`, of the given lengths.

    Sequences must come by falling length unless `enforce_sorted=False`, which sorts them (and outputs are put back in order).

    >>> import flambeau as fb
    >>> from flambeau.nn.utils.rnn import pack_padded_sequence
    >>> packed = pack_padded_sequence(fb.tensor([[1, 2, 0], [3, 4, 5]]), [2, 3], batch_first=True, enforce_sorted=False)
    >>> packed.data, packed.batch_sizes
    (tensor([3, 1, 4, 2, 5]), tensor([2, 2, 1]))
    """
    counts = _lengths(lengths)
    steps, batch = (input.shape[1], input.shape[0]) if batch_first else (input.shape[0], input.shape[1])
    if counts.shape != (batch,):
        raise ShapeError(explain("pack_padded_sequence", expected=f"{batch} lengths", got=f"shape {counts.shape}"))
    if batch == 0 or counts.min() <= 0 or counts.max() > steps:
        got = str(counts.tolist())
        raise ArgumentError(explain("pack_padded_sequence", expected=f"lengths between 1 and {steps}", got=got))
    order = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        counts = counts[order]
    elif (np.diff(counts) > 0).any():
        hint = "enforce_sorted=False"
        raise ArgumentError(explain("pack_padded_sequence", expected="falling lengths", got=str(counts.tolist()), hint=hint))
    sizes, step, sequence = _places(counts)
    column = sequence if order is None else order[sequence]
    rows = column * steps + step if batch_first else step * batch + column
    data = input.reshape(steps * batch, *input.shape[2:]).index_select(0, from_numpy(rows).to(input.device))
    if order is None:
        return PackedSequence(data, from_numpy(sizes))
    return PackedSequence(data, from_numpy(sizes), *(from_numpy(i).to(input.device) for i in (order, np.argsort(order))))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded sequences (T, N, ...) and their lengths, in the order they had before packing; T is `total_length` where given."""
    sizes = sequence.batch_sizes.numpy(force=True)
    batch, longest = int(sizes[0]), len(sizes)
    steps = longest if total_length is None else total_length
    if steps < longest:
        got = str(total_length)
        raise ArgumentError(explain("pad_packed_sequence", expected=f"total_length of {longest} or more", got=got))
    lengths = (sizes[:, None] > np.arange(batch)[None, :]).sum(axis=0)
    _, step, column = _places(lengths)
    if sequence.sorted_indices is not None:
        order = sequence.sorted_indices.numpy(force=True)
        column = order[column]
        lengths = lengths[np.argsort(order)]
    rows = column * steps + step if batch_first else step * batch + column
    data = sequence.data
    out = data.new_full((steps * batch, *data.shape[1:]), padding_value).index_copy(0, from_numpy(rows).to(data.device), data)
    shape = (batch, steps) if batch_first else (steps, batch)
    return out.reshape(*shape, *data.shape[1:]), from_numpy(lengths)


def pad_sequence(sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right") -> Tensor:
    """Stack sequences (L_i, ...) padded to the longest: (T, N, ...), or (N, T, ...) with `batch_first`.

    >>> import flambeau as fb
    >>> fb.nn.utils.rnn.pad_sequence([fb.tensor([1, 2]), fb.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if padding_side not in ("right", "left"):
        raise ArgumentError(explain("pad_sequence", expected="padding_side 'right' or 'left'", got=repr(padding_side)))
    parts: list[Any] = list(sequences)
    if not parts:
        raise ArgumentError(explain("pad_sequence", expected="at least one sequence", got="none"))
    if any(p.shape[1:] != parts[0].shape[1:] for p in parts):
        got = ", ".join(str(tuple(p.shape)) for p in parts[:8])
        raise ShapeError(explain("pad_sequence", expected="sequences that agree in all axes but the first", got=got))
    longest = max(p.shape[0] for p in parts)
    padded = [_pad(p, longest - p.shape[0], padding_value, padding_side) for p in parts]
    return stack(padded, dim=0 if batch_first else 1)


def _pad(x: Any, count: int, value: float, side: str) -> Any:
    from flambeau.ops.joining import cat

    if not count:
        return x
    filler = x.new_full((count, *x.shape[1:]), value)
    return cat([x, filler] if side == "right" else [filler, x])


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences without their padding."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[i, : int(n)] for i, n in enumerate(_lengths(lengths))]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L_i, ...)."""
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a pack, in their order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
