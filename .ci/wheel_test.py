"""Tests the built wheel as a stranger installs it: a fresh environment, a folder full of names that shadow ours.

python .ci/wheel_test.py CHECKOUT SCRATCH_FOLDER
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

OURS = {"router", "policies", "lowfare_plugins"}
WANTED = {f"{package}/{file}" for package in OURS for file in ("__init__.py", "py.typed")}
DECOY = 'raise SystemExit("the decoy was imported")\n'
WHERE = "import router, policies; print(router.__file__); print(policies.__file__)"


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command without the caller's import path; returns its exit code and both streams."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE"))}
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def check(what: str, result: subprocess.CompletedProcess[str], *, holds: bool) -> None:
    """Prints one line that holds, or ends the test with what was seen."""
    if not holds:
        sys.exit(f"FAILED  {what}\nexit code {result.returncode}\n{result.stdout}\n{result.stderr}")
    print(f"ok      {what}")


def build(checkout: Path, scratch: Path) -> Path:
    """Builds the wheel; returns its path after a look at what is in it."""
    built = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", scratch, checkout, cwd=scratch)
    wheels = sorted(scratch.glob("lowfare-*.whl"))
    check("the wheel builds", built, holds=built.returncode == 0 and len(wheels) == 1)
    with zipfile.ZipFile(wheels[0]) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names}
    check(
        "the wheel has our packages, typed and licensed, and nothing else",
        built,
        holds=names >= WANTED
        and {top for top in tops if not top.endswith(".dist-info")} == OURS
        and any(name.endswith(".dist-info/licenses/LICENSE") for name in names),
    )
    return wheels[0]


def main(checkout: Path, scratch: Path) -> None:
    """Builds, installs, and uses the wheel beside decoys named like our own packages."""
    scratch.mkdir(parents=True, exist_ok=True)
    wheel = build(checkout, scratch)
    venv.create(scratch / "venv", with_pip=True)
    python, lowfare = scratch / "venv/bin/python", scratch / "venv/bin/lowfare"
    installed = run(python, "-m", "pip", "install", "-q", wheel, cwd=scratch)
    check("the wheel installs with the newest versions of what it needs", installed, holds=installed.returncode == 0)

    foreign = scratch / "foreign"
    (foreign / "policies").mkdir(parents=True)
    (foreign / "router.py").write_text(DECOY)
    (foreign / "policies" / "__init__.py").write_text(DECOY)

    result = run(lowfare, "--help", cwd=foreign)
    check("`lowfare --help` ignores the decoys", result, holds=result.returncode == 0 and "demo" in result.stdout)
    result = run(lowfare, "demo", cwd=foreign)
    check("`lowfare demo` ignores the decoys", result, holds=result.returncode == 0 and "simulated" in result.stdout)
    result = run(python, "-P", "-c", WHERE, cwd=foreign)
    check(
        "`python -P` imports ours",
        result,
        holds=result.returncode == 0 and all("site-packages" in line for line in result.stdout.splitlines()),
    )
    # Decoys that do not stop the import: the user's own modules of these names.
    (foreign / "router.py").write_text("")
    (foreign / "policies" / "__init__.py").write_text("")
    result = run(python, "-c", "from router import Router", cwd=foreign)
    check("a user's own router.py comes first, and Python says so", result, holds="ImportError" in result.stderr)
    (foreign / "router.py").unlink()
    (foreign / "route.py").write_text("from router import Router\nRouter.from_toml('config.toml')\n")
    (foreign / "config.toml").write_text(
        '[models.small]\nid = "deepseek/deepseek-v3.2"\nclient = "simulated"\n\n'
        '[policies.default]\nkind = "fallback"\nmodels = ["small"]\n'
    )
    result = run(python, "route.py", cwd=foreign)
    check(
        "a user's own policies/ is named as what shadows ours, with the way out",
        result,
        holds=result.returncode != 0
        and str(foreign / "policies") in result.stderr
        and "python -P" in result.stderr
        and "ConfigError" in result.stderr,
    )
    result = run(python, "-P", "route.py", cwd=foreign)
    check("`python -P` is that way out", result, holds=result.returncode == 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
