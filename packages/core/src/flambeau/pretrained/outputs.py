"""What models return: fields by name, with Hugging Face's names, and by number."""

from __future__ import annotations

from typing import Any


class ModelOutput(dict[str, Any]):
    """A dict whose entries are attributes too; fields that are None are left out, and read as None.

    >>> out = ModelOutput(loss=None, logits=1, hidden_states=(2, 3))
    >>> out.logits, out[0], out.loss, list(out)
    (1, 1, None, ['logits', 'hidden_states'])
    """

    def __init__(self, **fields: Any) -> None:
        super().__init__({name: value for name, value in fields.items() if value is not None})
        self.__dict__.update(fields)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the output has {', '.join(self)}, not {name!r}")

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are not None, in order."""
        return tuple(self.values())
