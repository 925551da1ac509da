"""Entry points -> {kind: class}: how the router finds policies, clients, caches, sinks and redactors, its own included.

Nothing is registered by import: what is installed is read from the metadata of the distributions, and a plug-in's
module is imported when its kind is first used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, distributions, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from router.core.naming import allowed
from router.errors import ConfigError

OURS = "lowfare"
HOME = Path(__file__).resolve().parents[1]
"""The folder that holds both of our packages: site-packages, or the checkout of an editable install."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The plug-ins of one entry-point group, by kind; none is imported before it is loaded."""

    group: str
    entries: Mapping[str, EntryPoint] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every installed kind, sorted."""
        return tuple(sorted(self.entries))

    def load(self, kind: str, /) -> Any:
        """Returns the class registered as `kind`.

        Raises:
            ConfigError: no such kind is installed, or its module cannot be imported: a file of the user's shadows it,
                an extra is missing, or it lacks the name that its entry point promises.
        """
        if kind not in self.entries:
            hint = allowed(kind, self.kinds, none="none is installed")
            raise ConfigError(f"{kind!r} is not an installed kind of {self.group}; {hint}")
        entry = self.entries[kind]
        if shadow := _shadow(entry):
            raise ConfigError(_shadowed(entry, shadow))
        try:
            return entry.load()
        except (ImportError, AttributeError, SyntaxError) as error:
            raise ConfigError(_unloadable(entry, error)) from error


def installed(group: str, /, *, path: Sequence[str] | None = None) -> Registry:
    """Returns what is installed under an entry-point group.

    Args:
        group: such as "lowfare.policies".
        path: folders to look for distributions in; None is `sys.path`.

    Raises:
        ConfigError: two distributions register the same kind.
    """
    if path is None:
        entries: Iterable[EntryPoint] = entry_points(group=group)
    else:
        entries = (e for d in distributions(path=list(path)) for e in d.entry_points.select(group=group))
    found: dict[str, EntryPoint] = {}
    for entry in entries:
        if entry.name in found:
            raise ConfigError(
                f"two distributions register the kind {entry.name!r} of {group}: {_origin(found[entry.name])} and "
                f"{_origin(entry)}; uninstall one of them"
            )
        found[entry.name] = entry
    return Registry(group, found)


def _origin(entry: EntryPoint) -> str:
    distribution = entry.dist
    name = f"{distribution.name} {distribution.version}" if distribution else "an unnamed distribution"
    return f"{name} ({entry.value})"


def _shadow(entry: EntryPoint) -> Path | None:
    """Returns the file or folder that Python would import in place of the plug-in's package, if there is one.

    It is looked for before the import: a user's `policies/cheapest.py` would load without an error, and be wrong.
    """
    distribution = entry.dist
    top = entry.module.partition(".")[0]
    if distribution is None:
        return None
    # An editable install has its metadata in site-packages and its code elsewhere, so ours is told by where we are.
    home = HOME if distribution.name == OURS else Path(str(distribution.locate_file(""))).resolve()
    own = [place for place in (home / top, home / f"{top}.py") if place.exists()]
    if not own:
        return None
    try:
        spec = find_spec(top)
    except ValueError:  # a module put into sys.modules by hand has no spec
        return None
    places = [p for p in ((spec.origin, *(spec.submodule_search_locations or ())) if spec else ()) if p]
    found = {Path(place).resolve() for place in places}
    return None if not found or found & {*own, home / top / "__init__.py"} else Path(places[0])


def _shadowed(entry: EntryPoint, shadow: Path) -> str:
    top = entry.module.partition(".")[0]
    return (
        f"the kind {entry.name!r} of {entry.group} cannot be loaded: Python finds {shadow} where the package {top!r} "
        f"of {_origin(entry)} is meant. A script's own folder comes first on the path: rename that file or folder, or "
        f"start with `python -P`"
    )


def _unloadable(entry: EntryPoint, error: Exception) -> str:
    start = f"the kind {entry.name!r} of {entry.group} cannot be loaded from {_origin(entry)}: "
    distribution = entry.dist
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or missing.partition(".")[0] == entry.module.partition(".")[0]:
        return f"{start}{type(error).__name__}: {error}; reinstall that distribution, or report it to its authors"
    extras = f"[{','.join(entry.extras)}]" if entry.extras else ""
    what = f"{distribution.name}{extras}" if distribution and extras else missing.partition(".")[0]
    return f"{start}it needs {missing!r}, which is not installed: pip install '{what}'"
