"""Which class of a package a folder's `config.json` means."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, did_you_mean, explain
from flambeau.base.files import read_json
from flambeau.base.registry import load_target
from flambeau.pretrained.config import Config


@dataclass(frozen=True)
class Families:
    """The families of models in a package.

    Attributes:
        package: where their modules are: "flambeau_text.models".
        modules: model_type -> (module, stem of the names of its classes).
        tasks: task -> what follows the stem in the name of its class; the first one that a family has is taken.
        same: parts of names that other libraries' files have for classes of ours.
    """

    package: str
    modules: dict[str, tuple[str, str]]
    tasks: dict[str, tuple[str, ...]]
    same: dict[str, str] = field(default_factory=dict)

    def model_class(self, found: dict[str, Any], task: str | None = None, source: str = "config.json") -> Any:
        """The class for the content of a `config.json`.

        Raises ArgumentError for a family, a task or a class that is not known, FileFormatError for a content that makes no sense.
        """
        kind = found.get("model_type")
        if not isinstance(kind, str) or kind not in self.modules:
            hint = did_you_mean(str(kind), self.modules) or f"one of {', '.join(self.modules)}"
            raise ArgumentError(explain(f"load_model {source}", expected="a model_type that is known", got=repr(kind), hint=hint))
        module, stem = self.modules[kind]
        if task is not None and task not in self.tasks:
            raise ArgumentError(explain("load_model", expected=f"a task of {', '.join(self.tasks)}", got=repr(task)))
        names = [stem + ending for ending in self.tasks[task]] if task is not None else self._architectures(found, stem, source)
        content = load_target(f"{self.package}.{module}:__dict__", f"models of {kind}")
        for name in names:
            if name in content:
                return content[name]
        known = [name for name in content if name.startswith(stem) and not name.endswith("Config")]
        raise ArgumentError(explain(f"load_model {source}", expected=f"a class of {', '.join(known)}", got=str(names)))

    def load(self, folder: Path, task: str | None = None, **options: Any) -> Any:
        """The model of a folder, in evaluation mode."""
        return self.model_class(read_json(folder / "config.json"), task, str(folder)).from_pretrained(folder, **options)

    def config(self, folder: Path) -> Config:
        """The configuration of a folder's model, of its family's class."""
        found = read_json(folder / "config.json")
        made: Config = self.model_class(found, "base", str(folder)).config_class(**found)
        return made

    def _architectures(self, found: dict[str, Any], stem: str, source: str) -> list[str]:
        names = found.get("architectures") or [f"{stem}Model"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise FileFormatError(explain(f"load_model {source}", expected="architectures, a list of names", got=repr(names)[:100]))
        renamed = []
        for name in names:
            for old, new in self.same.items():
                name = name.replace(old, new)
            renamed.append(name)
        return renamed
