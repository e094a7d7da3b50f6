"""A copy of the repository as a clone has it: without what is installed or made in the folder."""

import shutil
import subprocess
from pathlib import Path

MADE_HERE = shutil.ignore_patterns(".venv", "build", "*.egg-info", "__pycache__", ".*_cache")


def copy_checkout(root: Path, target: Path) -> Path:
    """Copy what Git does not ignore to a new folder. Without Git (an unpacked archive), leave out what is made here."""
    listing = ["git", "-c", "safe.directory=*", "-C", str(root), "ls-files", "-z", "--cached", "--others"]
    try:
        done = subprocess.run([*listing, "--exclude-standard"], capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return Path(shutil.copytree(root, target, ignore=MADE_HERE))
    for name in filter(None, done.stdout.split("\0")):
        if (root / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    return target
