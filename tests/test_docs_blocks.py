"""Every `python` and `sh` block of the README and the documentation runs, page by page."""

from pathlib import Path

import pytest
from support.checkout import copy_checkout
from support.doc_blocks import (
    RUN,
    SHOWN,
    Block,
    Made,
    Runner,
    blocks_of,
    commands_of,
    parts_of,
    running,
    spacy_commands,
)

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCKS = {page.relative_to(ROOT).as_posix(): blocks_of(page) for page in PAGES}
RUNNING = [page.relative_to(ROOT).as_posix() for page in PAGES if running(page)]
NOT_RUNNING = [block for blocks in BLOCKS.values() for block in blocks if block.reason is not None]


@pytest.fixture(scope="module")
def made(root):
    return Made(root / page for page in RUNNING)


@pytest.mark.parametrize("page", RUNNING)
def test_the_blocks_of_a_page_run(page, root, tmp_path, run_env, made):
    runner = Runner(copy_checkout(root, tmp_path / "copy"), run_env, tmp_path / "output.txt")
    failed = runner.run_page(root / page, made)
    assert failed is None, f"{failed} failed:\n" + runner.output.read_text("utf8", "replace")[-6000:]


@pytest.mark.parametrize("page", BLOCKS)
def test_a_block_has_a_language_that_is_run_or_one_that_is_for_reading(page):
    assert not [str(block) for block in BLOCKS[page] if block.language not in RUN | SHOWN]


@pytest.mark.parametrize("block", NOT_RUNNING, ids=lambda block: f"{block.page.relative_to(ROOT)}:{block.line}")
def test_a_block_that_does_not_run_says_why(block):
    assert len(block.reason.split()) >= 2 and block.language in RUN
    pytest.skip(f"{block.page.relative_to(ROOT)}:{block.line} does not run: {block.reason}")


PAGE = """
Text with ```code``` in it.

```python
x = 1
```

1. In a list:

   ```sh
   python -m spacy pretrain a.cfg \\
     out
   ```

```sh no-run="needs a download"
curl example.org
```

```ini {no-run="is for reading"}
[section]
```
"""


def test_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf8")
    assert blocks_of(page) == [
        Block(page, 4, "python", "x = 1\n", None),
        Block(page, 10, "sh", "python -m spacy pretrain a.cfg \\\n  out\n", None),
        Block(page, 15, "sh", "curl example.org\n", "needs a download"),
        Block(page, 19, "ini", "[section]\n", "is for reading"),
    ]


def test_commands_are_made_short(root, monkeypatch):
    monkeypatch.chdir(root)
    assert commands_of("python -m spacy pretrain a.cfg \\\n  out\n") == (
        "python -m spacy pretrain a.cfg out --pretraining.max_epochs 1"
    )
    assert commands_of("pip install '.[test,lint]'  # both\nmake test\necho make") == ":\n:\necho make"
    assert commands_of("python -m pytest tests/conftest.py::test -k x") == ":"


@pytest.mark.parametrize("command", ["pip install '.[tset]'", "make tests", "python -m pytest tests/no.py"])
def test_a_command_that_is_not_run_names_what_is_there(command, root, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match="there is no"):
        commands_of(command)


def test_a_block_is_cut_at_commands_that_need_no_shell():
    spacy = "python -m spacy info\n"
    shell = f"cat > a <<'END'\n{spacy}END\nfor x in 1 2; do\n{spacy}done\n"
    assert parts_of(spacy + shell + spacy + spacy) == [spacy, shell, spacy + spacy]
    for text in (f"cd a\n{spacy}", f"x=1\n{spacy}", f"export X=1\n{spacy}"):
        assert parts_of(text) == [text]


def test_only_commands_that_need_no_shell_run_without_one():
    text = "# Two.\npython -m spacy train 'a b' --x '{\"y\": 1}'  # a\n\npython -m spacy info\n"
    assert spacy_commands(text) == [["train", "a b", "--x", '{"y": 1}'], ["info"]]
    for command in ("cd a", "python -m spacy info > a", "python -m spacy info a | cat", "python -m spacy info *"):
        assert spacy_commands(f"python -m spacy info\n{command}\n") is None


FAILING = ["python\nassert False", "sh\nfalse\necho", "sh\npython -m spacy no-such-command\npython -m spacy info"]


@pytest.mark.parametrize("text", [f"```{block}\n```" for block in FAILING])
def test_a_block_that_fails_fails_its_page(text, tmp_path, run_env):
    (tmp_path / "page.md").write_text(f"```sh\ntrue\n```\n{text}\n```sh\ntouch next\n```\n", "utf8")
    runner = Runner(tmp_path, run_env, tmp_path / "output.txt")
    failed = runner.run_page(tmp_path / "page.md")
    assert failed is not None and failed.line == 4 and not (tmp_path / "next").exists()


SAME = """```sh
python -m spacy init config same.cfg
python -m spacy init config {page}.cfg
```
```sh
touch {page}
```
```python
page = "{page}"
```
```python
with open(f"{{page}}.txt", "w") as file:
    print(page, file=file)
```
"""


def test_what_pages_begin_with_runs_once(tmp_path, run_env):
    pages, folders = [tmp_path / "a.md", tmp_path / "b.md"], [tmp_path / "a", tmp_path / "b"]
    for page in pages:
        page.write_text(SAME.format(page=page.stem), "utf8")
    made = Made(pages)
    for page, folder in zip(pages, folders, strict=True):
        folder.mkdir()
        output = tmp_path / f"{page.stem}.txt"
        assert Runner(folder, run_env, output).run_page(page, made) is None, output.read_text("utf8")
        names = {path.name for path in folder.iterdir()}
        assert names == {"same.cfg", f"{page.stem}.cfg", page.stem, f"{page.stem}.txt"}
        assert (folder / f"{page.stem}.txt").read_text() == f"{page.stem}\n"
        # The second page makes only its own config.
        assert output.read_text("utf8").count("Saved config") == (2 if page.stem == "a" else 1)
