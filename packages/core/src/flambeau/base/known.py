"""Which official package brings which name: the answer to "where does this live?" when the package is not installed.

A test keeps the table equal to what the packages register.
"""

from __future__ import annotations

PROVIDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "flambeau-vision": {"datasets": ("optical_digits",), "models": ("digits_cnn",), "recipes": ("digits",)},
    "flambeau-audio": {},
    "flambeau-text": {},
    "flambeau-rl": {"agents": ("ppo",), "recipes": ("cartpole",)},
}

FIRST_PARTY = ("flambeau", *PROVIDERS)


def known_names(kind: str) -> dict[str, str]:
    """Names of one kind that official packages bring: name -> package.

    >>> known_names("agents")
    {'ppo': 'flambeau-rl'}
    """
    return {name: package for package, kinds in PROVIDERS.items() for name in kinds.get(kind, ())}


def provider(kind: str, name: str) -> str:
    """The official package that brings `name` (bare, or `owner/name`), or an empty string.

    >>> provider("recipes", "rl/anything")
    'flambeau-rl'
    """
    owner, slash, _ = name.rpartition("/")
    if slash:
        package = f"flambeau-{owner}"
        return package if package in PROVIDERS else ""
    return known_names(kind).get(name, "")
