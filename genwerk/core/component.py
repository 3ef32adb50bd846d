"""Settings of a part of which there are several kinds: a network, an objective, a schedule.

A kind is a frozen dataclass that builds its part, known by a name within its open registry:

    class AdversarialNetwork(Component): ...                      # opens a registry
    class DCGANConfig(AdversarialNetwork, kind="dcgan"): ...      # is a kind in it; so is one in a user's own file

A family's settings have a field of the first type, in Python ``GANConfig(network=DCGANConfig(width=32))``, on the
command line ``--model.network dcgan --model.network.width 32``, in a run's ``config.json`` under ``$type``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from genwerk.core.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Component:
    """Base of the settings of a part; every field of a kind has a default."""

    kind: ClassVar[str] = ""
    """Name of this kind, as it is typed."""
    kinds: ClassVar[dict[str, type[Any]]] = {}
    """All kinds of this part by name."""

    def __init_subclass__(cls, *, kind: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not kind:
            if Component in cls.__bases__:  # others are what some kinds of a part share
                cls.kinds = {}
            return
        taken = cls.kinds.get(kind, cls)
        if (taken.__module__, taken.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):  # else defined again, in a cell
            raise TypeError(f"{taken.__name__} is called {kind!r} already; name {cls.__name__} otherwise")
        cls.kind, cls.kinds[kind] = kind, cls

    @classmethod
    def of(cls, kind: str) -> type[Self]:
        """The settings called ``kind``; BadInput names those that there are."""
        if kind not in cls.kinds:
            raise BadInput(f"{kind!r} is none of {', '.join(cls.kinds)}")
        return cls.kinds[kind]
