"""Random streams: Philox (ours) and PyTorch's Mersenne Twister, behind one interface."""

from flambeau.primitives.streams.base import Stream
from flambeau.primitives.streams.philox import PhiloxStream
from flambeau.primitives.streams.torch import TorchStream

STREAMS: dict[str, type[Stream]] = {"philox": PhiloxStream, "torch": TorchStream}

__all__ = ["STREAMS", "PhiloxStream", "Stream", "TorchStream"]
