"""Finding, loading and calling plugins.

Entry points are listed without importing anything. Plugins are imported at the first name that the registries lack, official ones first.
A plugin that fails is set aside with its error, and everything else goes on.
"""

from __future__ import annotations

import re
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from typing import Any, Literal

import pluggy

from flambeau.__about__ import __version__
from flambeau.base.config import Settings, settings
from flambeau.base.errors import PluginError, PluginWarning, explain
from flambeau.base.known import FIRST_PARTY
from flambeau.plugins import builtin, specs
from flambeau.plugins.register import Register

GROUP = "flambeau"


@dataclass
class Plugin:
    """One plugin: where it comes from and how it fares."""

    id: str
    source: str  # its distribution
    version: str
    module: str
    state: Literal["found", "loaded", "disabled", "broken"] = "found"
    api: int | None = None
    milliseconds: float = 0.0
    error: str = ""
    registered: dict[str, int] = field(default_factory=dict)  # kind -> how many names
    hooks: tuple[str, ...] = ()

    @property
    def first_party(self) -> bool:
        """Whether it is an official package."""
        return self.source in FIRST_PARTY

    def __str__(self) -> str:
        return f"{self.id!r} ({self.source} {self.version})"


Found = tuple[Plugin, Callable[[], Any]]


def installed() -> list[Found]:
    """The plugins that entry points name, official ones first, each with the function that imports it."""
    found: list[Found] = []
    for entry in metadata.entry_points(group=GROUP):
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "0")
        found.append((Plugin(entry.name, re.sub(r"[-_.]+", "-", name).lower(), version, entry.value), entry.load))
    return sorted(found, key=lambda pair: (not pair[0].first_party, pair[0].source, pair[0].id))


class PluginManager:
    """Loads plugins once and calls their hooks.

    Args:
        find: gives the plugins that could be loaded; the default reads entry points.
    """

    def __init__(self, find: Callable[[], Iterable[Found]] = installed) -> None:
        self._find = find
        self._lock = threading.RLock()
        self._started = False
        self._plugins: list[Plugin] = []
        self._warnings: list[str] = []
        self._modules: dict[str, Any] = {}
        self._pluggy = pluggy.PluginManager(specs.PROJECT)
        self._pluggy.add_hookspecs(specs)

    def plugins(self) -> list[Plugin]:
        """Every plugin, loaded or not, in load order."""
        self.load()
        return list(self._plugins)

    def load(self) -> None:
        """Load what the settings allow; later calls do nothing. Never raises because of a plugin."""
        with self._lock:
            if self._started:  # done, or called by a plugin that asks for a name while it is being loaded
                return
            self._started = True
            current = settings()
            if current.trace_plugins:
                self._pluggy.add_hookcall_monitoring(_trace_call, lambda outcome, name, implementations, arguments: None)
            core = Plugin("flambeau", "flambeau", __version__, builtin.__name__)
            for plugin, load in [(core, lambda: builtin), *self._find()]:
                self._plugins.append(plugin)
                plugin.error = self._refusal(plugin, current)
                if plugin.error:
                    plugin.state = "disabled"
                    continue
                self._load_one(plugin, load)
                if current.trace_plugins:
                    _trace(f"{plugin.state} {plugin} in {plugin.milliseconds:.1f} ms")
            for message in self._warnings:  # at the end, so that a warning made an error leaves the others loaded
                warnings.warn(message, PluginWarning, stacklevel=2)

    def call(self, hook: str, /, **arguments: Any) -> Any:
        """Call a hook of every loaded plugin: a list of answers, or the first answer where the hook says so."""
        self.load()
        return getattr(self._pluggy.hook, hook)(**arguments)

    def call_each(self, hook: str, /, **arguments: Any) -> list[tuple[Plugin, Any]]:
        """Call a hook plugin by plugin. An exception is an answer like any other, so one failure hides nothing."""
        self.load()
        answers: list[tuple[Plugin, Any]] = []
        for plugin in self._plugins:
            if hook not in plugin.hooks:
                continue
            others = [module for name, module in self._modules.items() if name != plugin.id]
            try:
                result = self._pluggy.subset_hook_caller(hook, others)(**arguments)
                answers.extend((plugin, one) for one in (result if isinstance(result, list) else [result]))
            except Exception as error:
                answers.append((plugin, error))
        return answers

    @staticmethod
    def _refusal(plugin: Plugin, current: Settings) -> str:
        names = {plugin.id, plugin.source}
        if plugin.source == "flambeau":
            return ""
        if names & set(current.disable_plugins):
            return "switched off by FLAMBEAU_DISABLE_PLUGINS"
        if plugin.first_party or names & set(current.plugins):
            return ""
        if current.plugins:
            return "not named in FLAMBEAU_PLUGINS"
        return "" if current.plugin_autoload else "switched off by FLAMBEAU_PLUGIN_AUTOLOAD=0"

    def _load_one(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        start = time.perf_counter()
        module: Any = None
        try:
            self._refuse_twin(plugin)
            module = load()
            plugin.api = _api_version(plugin, module)
            self._pluggy.register(module, plugin.id)
            plugin.hooks = self._check_hooks(plugin, module)
            self._modules[plugin.id] = module
            self._register(plugin, module)
            plugin.state = "loaded"
        except (Exception, SystemExit) as error:  # a module that calls sys.exit() must not end the user's program
            plugin.state, plugin.hooks = "broken", ()
            plugin.error = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            if module is not None and self._pluggy.get_plugin(plugin.id) is module:
                self._pluggy.unregister(module)
                self._modules.pop(plugin.id, None)
            self._warnings.append(f"plugin {plugin} is set aside: {plugin.error}")
        finally:
            plugin.milliseconds = (time.perf_counter() - start) * 1e3

    def _refuse_twin(self, plugin: Plugin) -> None:
        for other in self._plugins:
            if other is not plugin and other.id == plugin.id:
                got = f"one in {plugin.source} ({plugin.module}) and one in {other.source} ({other.module})"
                raise PluginError(
                    explain(f"plugin {plugin.id!r}", expected="one plugin of that name", got=got, hint="uninstall one of them")
                )

    def _register(self, plugin: Plugin, module: Any) -> None:
        if "flambeau_register" not in plugin.hooks:
            return
        others = [other for name, other in self._modules.items() if name != plugin.id]
        facade = Register(plugin.id, plugin.source, plugin.id if plugin.first_party and plugin.id != "flambeau" else "")
        self._pluggy.subset_hook_caller("flambeau_register", others)(registry=facade)
        plugin.registered = dict(Counter(entry.kind for entry in facade.commit()))

    def _check_hooks(self, plugin: Plugin, module: Any) -> tuple[str, ...]:
        """The known hooks that `module` implements; warns about those that are unknown or unmarked."""
        callers = self._pluggy.get_hookcallers(module) or []
        known = sorted(caller.name for caller in callers if caller.has_spec())
        for caller in callers:
            if not caller.has_spec():
                self._warnings.append(
                    f"plugin {plugin} implements the unknown hook {caller.name!r}, which is ignored; this flambeau knows {_hook_names()}"
                )
        unmarked = [name for name in dir(module) if name in _hook_names() and name not in known]
        for name in unmarked:
            self._warnings.append(f"plugin {plugin} has a function {name!r} without @hookimpl, which is ignored")
        return tuple(known)


def _api_version(plugin: Plugin, module: Any) -> int:
    api = getattr(module, "FLAMBEAU_API", specs.API_VERSION)
    if api == specs.API_VERSION and isinstance(api, int):
        return api
    newer = isinstance(api, int) and api > specs.API_VERSION
    hint = f"pip install --upgrade {'flambeau' if newer else plugin.source}"
    raise PluginError(explain(f"plugin {plugin.id!r}", expected=f"FLAMBEAU_API = {specs.API_VERSION}", got=repr(api), hint=hint))


def _hook_names() -> list[str]:
    return [name for name in vars(specs) if name.startswith(specs.PREFIX)]


def _trace(message: str) -> None:
    print(f"flambeau plugins: {message}", file=sys.stderr)


def _trace_call(name: str, implementations: Any, arguments: Any) -> None:
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    _trace(f"{name}({given}) -> {', '.join(one.plugin_name for one in implementations) or 'nobody'}")


@lru_cache(maxsize=1)
def host() -> PluginManager:
    """The plugin manager of this process."""
    return PluginManager()
