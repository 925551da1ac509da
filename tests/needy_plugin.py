"""A plug-in whose dependency is not installed anywhere; `test_registry` loads it."""

import a_package_nobody_has  # type: ignore[import-not-found]  # noqa: F401 - that it cannot be found is its purpose
