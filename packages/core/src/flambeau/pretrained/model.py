"""The base of such models: configuration, weights in folders, tied weights."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import Any, ClassVar

from flambeau import nn
from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau.base.files import read_json
from flambeau.ops.compare import equal
from flambeau.pretrained.config import Config
from flambeau.serialization import load, load_sharded, save_sharded

# Buffers that older files carry and models make themselves.
_NOT_WEIGHTS = ("position_ids", ".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq", "embeddings.token_type_ids")
_LAYERS = ("num_hidden_layers", "encoder_layers", "decoder_layers", "num_decoder_layers")


class PretrainedModel(nn.Module):
    """A model with a configuration, whose weights come from a folder.

    Attributes:
        config_class: the family's configuration.
        base_model_prefix: the attribute that holds the model without a head; "" where the model is that itself.
        tied: {name: name of the tensor that it shares}, where the configuration ties them.
        bounded: whether there are no more positions than `config.max_position_embeddings`.
        computed: endings of names that files need not have, because the model computes those tensors.
    """

    config_class: ClassVar[type[Config]] = Config
    base_model_prefix: ClassVar[str] = ""
    tied: ClassVar[dict[str, str]] = {}
    computed: ClassVar[tuple[str, ...]] = ()
    bounded: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def __call__(self, *args: Any, return_dict: bool | None = None, **inputs: Any) -> Any:
        out = super().__call__(*args, **inputs)
        return out.to_tuple() if return_dict is False else out

    # -- making -------------------------------------------------------------------------------------------------------------------------
    def post_init(self) -> None:
        """Draw initial weights and tie those that are shared; called at the end of `__init__` of complete models."""
        self.init_weights()
        self.tie_weights()

    def init_weights(self) -> None:
        """Normal weights of the configured spread, biases 0, norms 1 (as in GPT-2 and BERT)."""
        std = getattr(self.config, "init_std", self.config.initializer_range)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)) or type(module).__name__ == "Conv1D":
                nn.init.normal_(module.weight, 0.0, std)
                if getattr(module, "bias", None) is not None:
                    nn.init.zeros_(module.bias)
                if getattr(module, "padding_idx", None) is not None:
                    with no_grad():
                        module.weight[module.padding_idx] = 0

    def tie_weights(self) -> None:
        """Let tied names hold the same parameter, if the configuration says so."""
        if not self.config.tie_word_embeddings:
            return
        for name, source in self.tied.items():
            parameter = self.get_parameter(source)
            owner, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(owner), leaf, parameter)

    @property
    def base_model(self) -> Any:
        """The model without its head."""
        return getattr(self, self.base_model_prefix) if self._has_base() else self

    def _has_base(self) -> bool:
        return bool(self.base_model_prefix) and self.base_model_prefix in self._modules

    def num_parameters(self) -> int:
        """How many numbers the model learns; tied ones count once."""
        return sum(parameter.numel() for parameter in self.parameters())

    # -- files --------------------------------------------------------------------------------------------------------------------------
    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], config: Config | None = None, **options: Any) -> Any:
        """The model in a folder (`config.json`, and `model.safetensors`, its shards, or `pytorch_model.bin`), in evaluation mode.

        Weights of a head that the file lacks are drawn anew, with a warning. Raises StateDictError when the configuration contradicts the
        weights, and FileFormatError or ArgumentError when files are damaged or missing. Nothing that the files say is executed.

        Args:
            folder: where the files are.
            config: replaces the folder's own.
            options: replace single options of the configuration, such as num_labels.
        """
        if config is None:
            made = cls.config_class.from_pretrained(folder)
            config = cls.config_class(**{**made.to_dict(), **_without_labels(options), **options}) if options else made
        state = read_weights(folder)
        layers = max(getattr(config, name, None) or 0 for name in _LAYERS)
        if layers > len(state):  # before a model of so many layers is made
            got = f"{len(state)} tensors for {layers} layers"
            raise FileFormatError(explain(f"weights of {cls.__name__} from {folder}", expected="tensors for each layer", got=got))
        model = cls(config)
        model.load_weights(state, str(folder))
        model.loaded_from(Path(folder))
        return model.eval()

    def load_weights(self, state: dict[str, Any], source: str = "state") -> None:
        """Take weights named for this model, for its base model, or for its base model with a head on top."""
        state = {name: value for name, value in map(_renamed, state.items()) if not name.endswith(_NOT_WEIGHTS)}
        state = self.rename_keys(state)
        own = self.state_dict()
        prefix = f"{self.base_model_prefix}."
        if self.base_model_prefix and not any(name in own for name in state):
            if self._has_base():
                state = {prefix + name: value for name, value in state.items()}
            else:
                state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if self.base_model_prefix and self._has_base() and not any(name.startswith(prefix) for name in state):
            state = {prefix + name if prefix + name in own else name: value for name, value in state.items()}
        elif self.base_model_prefix and not self._has_base() and any(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        self._check_names(state, own, source)
        self._untie(state, source)
        self.load_state_dict({name: value for name, value in state.items() if name in own}, strict=False)
        self.tie_weights()

    def loaded_from(self, folder: Path) -> None:
        """Called when the weights have been taken from a folder, for what else lies in it."""

    def rename_keys(self, state: dict[str, Any]) -> dict[str, Any]:
        """Names of old files to those of today; overridden where a family has such files."""
        return state

    def _untie(self, state: dict[str, Any], source: str) -> None:
        """Give a tied name a parameter of its own where the file has another tensor for it: the weights count, not the configuration."""
        for name, other in self.tied.items() if self.config.tie_word_embeddings else ():
            if name not in state or other not in state or equal(state[name], state[other]):
                continue
            (owner, _, leaf), (module, _, _) = name.rpartition("."), other.rpartition(".")
            if self.get_submodule(owner) is self.get_submodule(module):
                raise FileFormatError(
                    explain(f"weights of {type(self).__name__} from {source}", expected=f"one tensor as {name} and {other}", got="two")
                )
            setattr(self.get_submodule(owner), leaf, nn.Parameter(self.get_parameter(name).detach().clone()))
            self.config.tie_word_embeddings = False

    def _check_names(self, state: dict[str, Any], own: dict[str, Any], source: str) -> None:
        """An error for weights that a base model needs and lacks, or has no place for; a warning for a new head."""
        same = _same_tensors(self, own)
        absent = [name for name in own if name not in state and not name.endswith(self.computed)]
        missing = [name for name in absent if not any(other in state for other in same[name])]
        inside = (lambda name: name.startswith(self.base_model_prefix + ".")) if self._has_base() else (lambda name: True)
        optional = [name for name in missing if not inside(name) or ".pooler." in f".{name}" or name == "final_logits_bias"]
        needed = [name for name in missing if name not in optional]
        roots = {name.partition(".")[0] for name in own}
        foreign = [name for name in state if name not in own and inside(name) and name.partition(".")[0] in roots]
        foreign = [name for name in foreign if not _is_head(name)]
        if needed or foreign:
            got = f"{len(needed)} absent ({', '.join(needed[:4])}), {len(foreign)} without a place ({', '.join(foreign[:4])})"
            raise FileFormatError(
                explain(f"weights of {type(self).__name__} from {source}", expected="the tensors that config.json describes", got=got)
            )
        if optional:
            names = ", ".join(optional[:6])
            warnings.warn(f"{type(self).__name__} from {source}: new weights for {names}; train them before use", stacklevel=4)

    def save_pretrained(self, folder: str | os.PathLike[str], max_shard_size: int | str = "5GB") -> None:
        """Write `config.json` and `model.safetensors` (or shards) into a folder. Tied weights are stored once."""
        self.config.architectures = [type(self).__name__]
        self.config.save_pretrained(folder)
        state = self.state_dict()
        dropped = set(self.tied) if self.config.tie_word_embeddings else set()
        kept = {name: value.contiguous() for name, value in state.items() if name not in dropped}
        save_sharded(kept, folder, max_shard_size=max_shard_size, metadata={"format": "pt"})


def _without_labels(options: dict[str, Any]) -> dict[str, Any]:
    return {"id2label": None} if "num_labels" in options else {}


def _renamed(entry: tuple[str, Any]) -> tuple[str, Any]:
    """TensorFlow's names of norms, which old BERT files have."""
    name, value = entry
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(old):
            return name.removesuffix(old) + new, value
    return name, value


def _same_tensors(model: nn.Module, own: dict[str, Any]) -> dict[str, list[str]]:
    """For each name, the names that hold the same parameter."""
    holders: dict[int, list[str]] = {}
    for name in own:
        owner, _, leaf = name.rpartition(".")
        holders.setdefault(id(getattr(model.get_submodule(owner), leaf)), []).append(name)
    return {name: names for names in holders.values() for name in names}


def _is_head(name: str) -> bool:
    return any(part in f".{name}" for part in (".pooler.", ".lm_head", ".cls.", ".classifier", ".qa_outputs", ".score.", ".vocab_"))


def read_weights(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """All tensors in a model's folder. Raises ArgumentError when it has none, FileFormatError for missing shards or damaged files."""
    base = Path(folder)
    if not base.is_dir():
        raise ArgumentError(explain("load_model", expected="a folder with config.json and weights", got=str(folder)))
    if any((base / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        return load_sharded(base)
    if (base / "pytorch_model.bin.index.json").is_file():
        return _read_shards(base)
    if (base / "pytorch_model.bin").is_file():
        return _read_bin(base / "pytorch_model.bin")
    files = sorted(path.name for path in base.iterdir())[:10]
    raise ArgumentError(explain("load_model", expected=f"model.safetensors or pytorch_model.bin in {base}", got=f"only {files}"))


def _read_bin(path: Path) -> dict[str, Any]:
    """A state dict that PyTorch wrote, read without executing anything."""
    state = load(path, map_location="cpu")
    if not isinstance(state, dict):
        raise FileFormatError(explain(f"{path}", expected="a dict of tensors", got=type(state).__name__))
    return dict(state)


def _read_shards(base: Path) -> dict[str, Any]:
    """All shards that `pytorch_model.bin.index.json` names."""
    index = base / "pytorch_model.bin.index.json"
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(n, str) and n.endswith(".bin") and Path(n).name == n for n in names.values()):
        raise FileFormatError(explain(f"{index}", expected="a weight_map to .bin files beside it", got=repr(names)[:100]))
    state: dict[str, Any] = {}
    for name in sorted(set(names.values())):
        if not (base / name).is_file():
            raise FileFormatError(explain(f"{index}", expected=f"the shard {name} beside it", got="no such file", hint="download it again"))
        state |= _read_bin(base / name)
    return state


def scaled_residuals(model: nn.Module, suffix: str, std: float, layers: int) -> None:
    """Draw the weights that end a residual branch smaller, by 1/sqrt(2 layers) (Radford et al. 2019)."""
    for name, parameter in model.named_parameters():
        if name.endswith(suffix):
            nn.init.normal_(parameter, 0.0, std / math.sqrt(2 * layers))
