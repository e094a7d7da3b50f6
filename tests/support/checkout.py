"""A copy of the repository as others get it: with the tracked files only."""

import shutil
import subprocess
from pathlib import Path

MADE_HERE = shutil.ignore_patterns(".venv", "build", "*.egg-info", "__pycache__", ".*_cache")


def copy_tracked(root: Path, target: Path) -> Path:
    """Copy the tracked files to a new folder. Without Git (an unpacked archive), that is all but what is made here."""
    listing = ["git", "-c", "safe.directory=*", "-C", str(root), "ls-files", "-z"]
    try:
        names = subprocess.run(listing, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        return Path(shutil.copytree(root, target, ignore=MADE_HERE))
    for name in filter(None, names):
        if (root / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    return target
