"""Files of PyTorch made by hand: pickles with any instruction, zip files with any header."""

import io
import pickle
import pickletools
import struct
import zipfile

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


def zip_file(data: bytes, extra: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of torch.save with this pickle."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", compression) as archive:
        archive.writestr("x/data.pkl", data)
        archive.writestr("x/byteorder", b"little")
        for name, content in (extra or {}).items():
            archive.writestr(f"x/{name}", content)
    return memory.getvalue()


def legacy_file(
    data: bytes, storages: dict[str, np.ndarray] | None = None, system: dict | None = None, counts: dict | None = None
) -> bytes:
    """A legacy stream of torch.save with this pickle."""
    storages = storages or {}
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, SYSTEM if system is None else system))
    raw = [struct.pack("<q", (counts or {}).get(key, array.size)) + array.tobytes() for key, array in storages.items()]
    return head + data + pickle.dumps(list(storages), 2) + b"".join(raw)


def op(value) -> bytes:
    """The instructions that push a plain value."""
    return pickletools.optimize(pickle.dumps(value, 2))[2:-1]  # optimised: it leaves the memo alone


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def storage(key="0", count=6, kind=("torch", "FloatStorage"), location="cpu") -> bytes:
    return b"(" + op("storage") + name(*kind) + op(key) + op(location) + op(count) + b"tQ"


def tensor(offset=0, size=(2, 3), stride=(3, 1), held: bytes | None = None) -> bytes:
    ordered = name("collections", "OrderedDict") + b")R"
    parts = op(offset) + op(size) + op(stride) + b"\x89" + ordered
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + (storage() if held is None else held) + parts + b"tR"


def whole(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."
