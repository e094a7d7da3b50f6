"""The sdist and the wheel: what is in them, and that the wheel alone is enough to train."""

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from support import first_steps
from support.checkout import copy_checkout


@pytest.fixture(scope="module")
def built(tmp_path_factory, root):
    """A folder with the sdist and the wheel that is made of it."""
    folder = tmp_path_factory.mktemp("built")
    source = copy_checkout(root, folder / "source")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


def test_the_sdist_has_what_a_build_needs(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "spacy_lstm_ner/py.typed"} <= names


def test_the_wheel_has_the_package_and_nothing_else(wheel, root):
    names = zipfile.ZipFile(wheel).namelist()
    package = {path.relative_to(root).as_posix() for path in (root / "spacy_lstm_ner").rglob("*.py")}
    others = {name for name in names if not name.partition("/")[0].endswith(".dist-info")}
    pages = {"serve/page.html", "explain/page.html", "report/page.html.jinja", "report/page.md.jinja"}
    assert others == package | {f"spacy_lstm_ner/{name}" for name in ("py.typed", *pages)}


def test_the_wheel_alone_trains_and_its_pipeline_is_packaged(wheel, root, tmp_path):
    env = tmp_path / "env"
    venv.create(env, symlinks=sys.platform != "win32")
    python = env / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    (site,) = [path for path in env.rglob("site-packages") if path.is_dir()]
    # The installed dependencies. Other .pth files are not read from there, so our editable install is out of sight.
    shared = [path for path in sys.path if Path(path).name.endswith("-packages")]
    (site / "dependencies.pth").write_text("\n".join(shared), "utf8")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True)
    work = tmp_path / "work"
    work.mkdir()
    command = [str(python), first_steps.__file__, str(root)]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"loaded with {site / 'spacy_lstm_ner'}" in done.stdout
