"""Try the wheel with every other Python of this machine: install it, train some steps, package, load the package.

    python .ci/smoke.py

Looked for are python3.10 and later on PATH, and the versions of pyenv. The tests run with one Python only; this shows
that the others can install the package and use it. It needs the package `build`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST_STEPS = ROOT / "tests" / "support" / "first_steps.py"
OLDEST, NEWEST = (3, 10), (3, 19)
VERSION = "import sys; print(*sys.version_info[:2])"


def version_of(python: str) -> tuple[int, ...]:
    """The version of an interpreter; () if it does not run, as a shim of pyenv for a version that is not chosen."""
    done = subprocess.run([python, "-c", VERSION], capture_output=True, text=True)
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()


def other_pythons() -> dict[tuple[int, ...], str]:
    """An interpreter for each version but the one that runs this."""
    names = [shutil.which(f"python3.{minor}") for minor in range(OLDEST[1], NEWEST[1] + 1)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names += [str(path) for path in sorted(pyenv.glob("versions/*/bin/python3"))]
    found = {version_of(name): name for name in reversed(names) if name}
    return {version: found[version] for version in sorted(found) if OLDEST <= version != sys.version_info[:2]}


def build_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def try_with(python: str, wheel: Path, folder: Path) -> str:
    """Install the wheel in a new environment and use it. RETURNS: the last lines of the output if that failed."""
    env = folder / "env"
    own = str(env / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    work = folder / "work"
    work.mkdir(parents=True)
    steps = [
        [python, "-m", "venv", str(env)],
        [own, "-m", "pip", "install", "--quiet", str(wheel)],
        [own, str(FIRST_STEPS), str(ROOT)],
    ]
    for step in steps:
        done = subprocess.run(step, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            return "\n".join(done.stdout.splitlines()[-30:]) or f"{step} ended with {done.returncode}"
    return ""


def main() -> None:
    pythons = other_pythons()
    running = f"3.{sys.version_info[1]}"
    if not pythons:
        print(f"smoke: no Python from 3.10 on was found beside {running}, which runs the tests")
        return
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build_wheel(folder)
        for (major, minor), python in pythons.items():
            error = try_with(python, wheel, folder / f"{major}.{minor}")
            print(f"smoke: Python {major}.{minor} ({python}): {'FAILED' if error else 'ok'}", flush=True)
            if error:
                failed.append(f"{major}.{minor}")
                print(error, flush=True)
    if failed:
        sys.exit(f"smoke: failed with Python {', '.join(failed)}")


if __name__ == "__main__":
    main()
