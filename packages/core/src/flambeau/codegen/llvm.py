"""LLVM through llvmlite: which processor to write for, IR text to object code, object code to callable addresses.

The only file that imports llvmlite. Everything here works on text and bytes, so that the rest of the compiler can be read, tested and
cached without it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import hashlib
import itertools
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flambeau.base.errors import ArgumentError, explain

LEVELS = ("avx512", "avx2", "neon", "generic")
_PLAIN = {"avx512": "skylake-avx512", "avx2": "haswell"}  # processors that stand for a level, whatever this machine is
_numbers = itertools.count()


@dataclass(frozen=True)
class Target:
    """A processor to write code for. `level` is one of LEVELS; `bytes` is the size of its vectors and `registers` their number."""

    level: str
    triple: str
    cpu: str
    features: str
    bytes: int
    registers: int

    def lanes(self, itemsize: int) -> int:
        """How many elements fit in a vector."""
        return max(self.bytes // itemsize, 1)


@functools.cache
def available() -> bool:
    """Whether llvmlite can be imported and knows this machine."""
    try:
        host()
    except (ImportError, OSError, RuntimeError):
        return False
    return True


@functools.cache
def _binding() -> Any:
    import llvmlite.binding as binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@functools.cache
def host(level: str | None = None) -> Target:
    """This machine, or a lesser one that this machine can stand in for: `host("avx2")` writes code for any processor with AVX2.

    The processor's name is chosen from its features, because LLVM's own guess is wrong on virtual machines that hide the model.
    """
    binding = _binding()
    found = binding.get_host_cpu_features()
    triple = binding.get_process_triple()
    best = _level_of(found, triple)
    if level is None or level == best:
        return _target(best, triple, _cpu_name(best, found), found.flatten())
    possible = LEVELS[LEVELS.index(best) :] if best != "neon" else ("neon", "generic")
    if level not in possible or (level == "neon" and best != "neon"):
        raise ArgumentError(explain("codegen target", expected=f"one of {', '.join(possible)}", got=repr(level)))
    return _target(level, triple, _PLAIN.get(level, _generic_cpu(triple)), "")


def other(level: str, triple: str) -> Target:
    """A machine of another kind, to write and assemble code for (not to run it): `other("neon", "aarch64-unknown-linux-gnu")`."""
    binding = _binding()
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    return _target(level, triple, _PLAIN.get(level, _generic_cpu(triple)), "")


def _level_of(found: Any, triple: str) -> str:
    if all(found.get(name) for name in ("avx512f", "avx512vl", "avx512bw", "avx512dq", "fma")):
        return "avx512"
    if found.get("avx2") and found.get("fma"):
        return "avx2"
    return "neon" if triple.startswith(("aarch64", "arm64")) else "generic"


def _cpu_name(level: str, found: Any) -> str:
    if level == "avx512" and found.get("amx-tile"):
        return "sapphirerapids"
    if level == "avx512" and found.get("sse4a"):
        return "znver4"
    return _PLAIN.get(level) or str(_binding().get_host_cpu_name())


def _generic_cpu(triple: str) -> str:
    return "x86-64" if triple.startswith(("x86_64", "amd64")) else "generic"


def _target(level: str, triple: str, cpu: str, features: str) -> Target:
    size, registers = {"avx512": (64, 32), "avx2": (32, 16), "neon": (16, 32)}.get(level, (16, 16))
    return Target(level, triple, cpu, features, size, registers)


@functools.cache
def _machine(target: Target) -> Any:
    binding = _binding()
    found = binding.Target.from_triple(target.triple)
    return found.create_target_machine(cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="jitdefault", jit=True)


def version() -> str:
    """llvmlite's version and LLVM's: code of another version is not reused."""
    import llvmlite

    return f"{llvmlite.__version__}/{'.'.join(map(str, _binding().llvm_version_info))}"


def compile_text(text: str, target: Target) -> bytes:
    """Object code of a module given as IR text. The text is already vectorised, so LLVM's own vectorisers stay off."""
    binding, machine = _binding(), _machine(target)
    module = binding.parse_assembly(text)
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = True
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.emit_object(module))


def assembly(text: str, target: Target) -> str:
    """The assembly of a module, for reading."""
    module = _binding().parse_assembly(text)
    module.triple, module.data_layout = target.triple, str(_machine(target).target_data)
    return str(_machine(target).emit_assembly(module))


@functools.cache
def _jit(target: Target) -> Any:
    linker = sys.platform == "darwin" or platform.machine().lower() in ("aarch64", "arm64")  # the older loader may crash there
    return _binding().create_lljit_compiler(_machine(target), use_jit_link=linker and sys.platform != "win32")


class Library:
    """Linked code: `addresses` of its entry points. The code is unloaded when the library is collected.

    `symbols` are functions of the C library that the code calls, `known` other functions by address.
    """

    def __init__(
        self,
        objects: Iterable[bytes],
        entries: Iterable[str],
        target: Target,
        symbols: Iterable[str] = (),
        known: Mapping[str, int] | None = None,
    ) -> None:
        builder = _binding().JITLibraryBuilder()
        for image in objects:
            builder.add_object_img(image)
        for name in symbols:
            builder.import_symbol(name, _symbol(name))
        for name, address in (known or {}).items():
            builder.import_symbol(name, address)
        wanted = list(entries)
        for name in wanted:
            builder.export_symbol(name)
        self._tracker = builder.link(_jit(target), f"flambeau{next(_numbers)}")
        self.addresses = {name: int(self._tracker[name]) for name in wanted}


@functools.cache
def _symbol(name: str) -> int:
    """The address of a function of the C library or its maths library."""
    for library in _system_libraries():
        try:
            return int(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0)
        except AttributeError:
            continue
    raise RuntimeError(explain("codegen", expected=f"the C library to have {name}", got="no such symbol"))


@functools.cache
def _system_libraries() -> list[Any]:
    if sys.platform == "win32":
        return [ctypes.CDLL("ucrtbase"), ctypes.CDLL("vcruntime140")]
    maths = ctypes.util.find_library("m")
    return [ctypes.CDLL(None), *([ctypes.CDLL(maths)] if maths else [])]


def digest(*parts: str) -> str:
    """A name for content."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
