"""Tacotron 2 (Shen et al. 2017): from characters to mel bands, frame by frame, with attention that knows where it was.

Names of parameters, arguments and outputs are torchaudio's, so its files load.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F


def _linear(inputs: int, outputs: int, bias: bool = True, gain: str = "linear") -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain(gain))
    return layer


def _conv(inputs: int, outputs: int, kernel: int, bias: bool = True, gain: str = "linear") -> nn.Conv1d:
    layer = nn.Conv1d(inputs, outputs, kernel, padding=(kernel - 1) // 2, bias=bias)
    nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain(gain))
    return layer


def _padding(lengths: Any, width: int) -> Any:
    """(N,) lengths -> (N, width) bools, true for padding."""
    return flambeau.arange(width, device=lengths.device) >= lengths[:, None]


class LocationLayer(nn.Module):
    """Where attention has been: (N, 2, L) earlier weights -> (N, L, A)."""

    def __init__(self, filters: int, kernel: int, width: int) -> None:
        super().__init__()
        self.location_conv = _conv(2, filters, kernel, bias=False)
        self.location_dense = _linear(filters, width, bias=False, gain="tanh")

    def forward(self, x: Any) -> Any:
        return self.location_dense(self.location_conv(x).transpose(1, 2))


class Attention(nn.Module):
    """Location-sensitive attention (Chorowski et al. 2015)."""

    def __init__(self, rnn: int, memory: int, width: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.query_layer = _linear(rnn, width, bias=False, gain="tanh")
        self.memory_layer = _linear(memory, width, bias=False, gain="tanh")
        self.v = _linear(width, 1, bias=False)
        self.location_layer = LocationLayer(filters, kernel, width)

    def forward(self, query: Any, memory: Any, keys: Any, earlier: Any, padding: Any) -> tuple[Any, Any]:
        """-> what is read (N, E), weights (N, L)."""
        energies = self.v((self.query_layer(query)[:, None] + self.location_layer(earlier) + keys).tanh())[:, :, 0]
        weights = energies.masked_fill(padding, float("-inf")).softmax(1)
        return (weights[:, None] @ memory)[:, 0], weights


class Prenet(nn.Module):
    """Two layers with dropout, in evaluation too: what keeps the decoder from copying the frame before."""

    def __init__(self, inputs: int, sizes: list[int], dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.layers = nn.ModuleList(_linear(a, b, bias=False) for a, b in zip([inputs, *sizes[:-1]], sizes, strict=True))

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x).relu()
            x = F.dropout(x, self.dropout, training=True) if self.dropout else x
        return x


def _stack(sizes: list[int], kernel: int, gains: list[str]) -> nn.ModuleList:
    layers = zip(sizes, sizes[1:], gains, strict=False)
    return nn.ModuleList(nn.Sequential(_conv(a, b, kernel, gain=gain), nn.BatchNorm1d(b)) for a, b, gain in layers)


class Postnet(nn.Module):
    """Convolutions that say what to change in the bands: (N, M, T) -> (N, M, T)."""

    def __init__(self, n_mels: int, width: int, kernel: int, count: int) -> None:
        super().__init__()
        self.convolutions = _stack([n_mels, *[width] * (count - 1), n_mels], kernel, [*["tanh"] * (count - 1), "linear"])

    def forward(self, x: Any) -> Any:
        last = len(self.convolutions) - 1
        for i, layer in enumerate(self.convolutions):
            x = F.dropout(layer(x).tanh() if i < last else layer(x), 0.5, self.training)
        return x


class Encoder(nn.Module):
    """Convolutions and a bidirectional LSTM: (N, E, L) -> (N, L, E)."""

    def __init__(self, width: int, count: int, kernel: int) -> None:
        super().__init__()
        self.convolutions = _stack([width] * (count + 1), kernel, ["relu"] * count)
        self.lstm = nn.LSTM(width, width // 2, 1, batch_first=True, bidirectional=True)

    def forward(self, x: Any, lengths: Any) -> Any:
        for layer in self.convolutions:
            x = F.dropout(layer(x).relu(), 0.5, self.training)
        packed = nn.utils.rnn.pack_padded_sequence(x.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[2])[0]


class State(NamedTuple):
    """What the decoder carries from frame to frame."""

    attention: Any
    attention_cell: Any
    decoder: Any
    decoder_cell: Any
    weights: Any
    sum: Any
    read: Any


class Sizes(NamedTuple):
    """The decoder's numbers."""

    n_mels: int
    memory: int
    rnn: int
    max_step: int
    dropout: float
    early_stopping: bool
    attention_rnn: int
    attention: int
    filters: int
    kernel: int
    attention_dropout: float
    prenet: int
    prenet_dropout: float
    threshold: float


class Decoder(nn.Module):
    """Frames one after the other, from a memory (N, L, E)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes, seen = sizes, sizes.rnn + sizes.memory
        self.prenet = Prenet(sizes.n_mels, [sizes.prenet] * 2, sizes.prenet_dropout)
        self.attention_rnn = nn.LSTMCell(sizes.prenet + sizes.memory, sizes.attention_rnn)
        self.attention_layer = Attention(sizes.attention_rnn, sizes.memory, sizes.attention, sizes.filters, sizes.kernel)
        self.decoder_rnn = nn.LSTMCell(sizes.attention_rnn + sizes.memory, sizes.rnn)
        self.linear_projection = _linear(seen, sizes.n_mels)
        self.gate_layer = _linear(seen, 1, gain="sigmoid")

    def begin(self, memory: Any) -> State:
        """Before the first frame."""

        def zeros(width: int) -> Any:
            return memory.new_zeros(memory.shape[0], width)

        rnn, length = self.sizes.attention_rnn, memory.shape[1]
        return State(*map(zeros, (rnn, rnn, self.sizes.rnn, self.sizes.rnn, length, length, memory.shape[2])))

    def step(self, x: Any, state: State, memory: Any, keys: Any, padding: Any) -> tuple[Any, Any, State]:
        """The frame before, after the prenet -> the next frame (N, M), how likely it is the last (N, 1; a score), and the state."""
        hidden, cell = self.attention_rnn(flambeau.cat([x, state.read], -1), state[:2])
        hidden = F.dropout(hidden, self.sizes.attention_dropout, self.training)
        earlier = flambeau.stack([state.weights, state.sum], 1)
        read, weights = self.attention_layer(hidden, memory, keys, earlier, padding)
        out, inner = self.decoder_rnn(flambeau.cat([hidden, read], -1), state[2:4])
        out = F.dropout(out, self.sizes.dropout, self.training)
        seen = flambeau.cat([out, read], 1)
        after = State(hidden, cell, out, inner, weights, state.sum + weights, read)
        return self.linear_projection(seen), self.gate_layer(seen), after

    def forward(self, memory: Any, mel_specgram: Any, lengths: Any) -> tuple[Any, Any, Any]:
        """Each frame from the true one before it -> bands (N, M, T), scores of the end (N, T), weights (N, T, L)."""
        frames = mel_specgram.permute(2, 0, 1)
        inputs = self.prenet(flambeau.cat([flambeau.zeros_like(frames[:1]), frames[:-1]]))
        state, keys, padding = self.begin(memory), self.attention_layer.memory_layer(memory), _padding(lengths, memory.shape[1])
        mels, gates, weights = [], [], []
        for x in inputs.unbind(0):
            mel, gate, state = self.step(x, state, memory, keys, padding)
            mels.append(mel)
            gates.append(gate[:, 0])
            weights.append(state.weights)
        return flambeau.stack(mels, 2), flambeau.stack(gates, 1), flambeau.stack(weights, 1)

    def infer(self, memory: Any, lengths: Any) -> tuple[Any, Any, Any]:
        """Each frame from the one before it, until all say that they end -> bands, lengths (N,), weights."""
        state, keys, padding = self.begin(memory), self.attention_layer.memory_layer(memory), _padding(lengths, memory.shape[1])
        counts = flambeau.zeros(memory.shape[0], dtype=flambeau.int64, device=memory.device)
        going = flambeau.ones(memory.shape[0], dtype=flambeau.bool, device=memory.device)

        def frame(mel: Any, *carried: Any) -> tuple[Any, ...]:
            mel, gate, after = self.step(self.prenet(mel), State(*carried), memory, keys, padding)
            return mel, gate, *after

        step = flambeau.compile(frame)
        mel = memory.new_zeros(memory.shape[0], self.sizes.n_mels)
        mels, weights = [], []
        for _ in range(self.sizes.max_step):
            mel, gate, *carried = step(mel, *state)
            state = State(*carried)
            mels.append(mel)
            weights.append(state.weights)
            counts = counts + going.long()
            going = going & (gate[:, 0].sigmoid() <= self.sizes.threshold)
            if self.sizes.early_stopping and not bool(going.any()):
                break
        return flambeau.stack(mels, 2), counts, flambeau.stack(weights, 1)


class Tacotron2(nn.Module):
    """Tokens (N, L) -> mel bands (N, n_mels, T); torchaudio's arguments and defaults.

    `forward(tokens, token_lengths, mel_specgram, mel_specgram_lengths)` is for training, each frame from the true one before it; it
    returns bands before and after the postnet (N, n_mels, T), scores of the end (N, T) and attention weights (N, T, L). `infer(tokens,
    lengths)` makes bands, their lengths (N,) and weights. One frame a step is what is supported.

    Args:
        mask_padding: zero what is padding in `forward`'s outputs.
        n_mels, n_symbol: bands, and how many tokens there are.
        prenet_dropout: 0.5 in the paper, in evaluation too; 0 makes `infer` the same each time.

    The others are the sizes of the parts.

    >>> import flambeau
    >>> sizes = dict(symbol_embedding_dim=8, encoder_embedding_dim=8, decoder_rnn_dim=8, attention_rnn_dim=8, attention_hidden_dim=4)
    >>> model = Tacotron2(n_mels=5, n_symbol=9, prenet_dim=4, postnet_embedding_dim=8, decoder_max_step=6, **sizes).eval()
    >>> with flambeau.no_grad():
    ...     mel, lengths, weights = model.infer(flambeau.tensor([[1, 2, 3]]))
    >>> mel.shape[:2], weights.shape[2]
    (flambeau.Size([1, 5]), 3)
    """

    def __init__(
        self,
        mask_padding: bool = False,
        n_mels: int = 80,
        n_symbol: int = 148,
        n_frames_per_step: int = 1,
        symbol_embedding_dim: int = 512,
        encoder_embedding_dim: int = 512,
        encoder_n_convolution: int = 3,
        encoder_kernel_size: int = 5,
        decoder_rnn_dim: int = 1024,
        decoder_max_step: int = 2000,
        decoder_dropout: float = 0.1,
        decoder_early_stopping: bool = True,
        attention_rnn_dim: int = 1024,
        attention_hidden_dim: int = 128,
        attention_location_n_filter: int = 32,
        attention_location_kernel_size: int = 31,
        attention_dropout: float = 0.1,
        prenet_dim: int = 256,
        postnet_n_convolution: int = 5,
        postnet_kernel_size: int = 5,
        postnet_embedding_dim: int = 512,
        gate_threshold: float = 0.5,
        prenet_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if n_frames_per_step != 1:
            raise ArgumentError(explain("Tacotron2", expected="n_frames_per_step of 1", got=str(n_frames_per_step)))
        if symbol_embedding_dim != encoder_embedding_dim or encoder_embedding_dim % 2:
            got = f"{symbol_embedding_dim} and {encoder_embedding_dim}"
            raise ArgumentError(explain("Tacotron2", expected="symbol and encoder embeddings of one even size", got=got))
        kernels = (encoder_kernel_size, attention_location_kernel_size, postnet_kernel_size)
        if any(size % 2 == 0 for size in kernels):
            raise ArgumentError(explain("Tacotron2", expected="odd kernel sizes", got=str(kernels)))
        self.mask_padding = mask_padding
        self.embedding = nn.Embedding(n_symbol, symbol_embedding_dim)
        nn.init.xavier_uniform_(self.embedding.weight)
        self.encoder = Encoder(encoder_embedding_dim, encoder_n_convolution, encoder_kernel_size)
        self.decoder = Decoder(
            Sizes(
                n_mels, encoder_embedding_dim, decoder_rnn_dim, decoder_max_step, decoder_dropout, decoder_early_stopping,
                attention_rnn_dim, attention_hidden_dim, attention_location_n_filter, attention_location_kernel_size, attention_dropout,
                prenet_dim, prenet_dropout, gate_threshold,
            )
        )  # fmt: skip
        self.postnet = Postnet(n_mels, postnet_embedding_dim, postnet_kernel_size, postnet_n_convolution)

    def forward(self, tokens: Any, token_lengths: Any, mel_specgram: Any, mel_specgram_lengths: Any) -> tuple[Any, Any, Any, Any]:
        memory = self.encoder(self.embedding(tokens).transpose(1, 2), token_lengths)
        mel, gates, weights = self.decoder(memory, mel_specgram, token_lengths)
        refined = mel + self.postnet(mel)
        if self.mask_padding:
            padding = _padding(mel_specgram_lengths, mel.shape[2])
            mel, refined = (value.masked_fill(padding[:, None], 0.0) for value in (mel, refined))
            gates = gates.masked_fill(padding, 1e3)
        return mel, refined, gates, weights

    def infer(self, tokens: Any, lengths: Any = None) -> tuple[Any, Any, Any]:
        """Tokens (N, L) and how many of each count (N,) -> bands (N, n_mels, T), their lengths (N,), attention weights (N, T, L).

        Ends after `decoder_max_step` frames at the latest; a length of that is a speaker who was cut off.
        """
        if lengths is None:
            lengths = flambeau.full((tokens.shape[0],), tokens.shape[1], dtype=flambeau.int64, device=tokens.device)
        memory = self.encoder(self.embedding(tokens).transpose(1, 2), lengths)
        mel, counts, weights = self.decoder.infer(memory, lengths)
        return mel + self.postnet(mel), counts, weights
