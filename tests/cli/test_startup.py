import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TESTS, Run
from tiny_encoder import draw

HEAVY = ("numpy", "PIL", "rich", "onnxruntime", "huggingface_hub", "tokenizers", "filelock")


def imported_by(code: str) -> set[str]:
    """Return which heavy packages a process has imported after running `code`."""
    script = (
        f"import sys, io, contextlib\nsys.path.insert(0, {str(TESTS)!r})\n"
        "with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):\n"
        "    try:\n"
        + "".join(f"        {line}\n" for line in code.splitlines())
        + "    except SystemExit as end:\n        assert not end.code, end.code\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import pixseek",
        "from pixseek.cli import main; main(['--help'])",
        "from pixseek.cli import main; main(['search', '--help'])",
        "from pixseek.cli import main; main(['--version'])",
        "import os; os.environ.update(_PIXSEEK_COMPLETE='bash_complete', COMP_WORDS='pixseek ', "
        "COMP_CWORD='1')\nfrom pixseek.cli import main; main(prog_name='pixseek')",
    ],
    ids=["import", "help", "search help", "version", "completion"],
)
def test_starting_imports_nothing_heavy(code: str) -> None:
    assert imported_by(code) == set()


def test_the_check_sees_imports() -> None:
    assert imported_by("import numpy") == {"numpy"}


def test_a_search_in_a_pipe_imports_no_graphics(indexed: Run, photos_folder: Path) -> None:
    del indexed
    code = (
        "import pixseek.encoders\nfrom tiny_encoder import TinyEncoder\n"
        "pixseek.encoders.load = lambda *_, **__: TinyEncoder()\n"
        "from pixseek.cli import main\nmain(['search', 'red', '--paths'])"
    )
    assert photos_folder.is_dir()
    # The tiny encoder's module imports what it needs of pixseek and numpy, and nothing to draw.
    assert imported_by(code) & {"rich", "PIL", "huggingface_hub"} == set()


#: What a search does without. Each takes 0.3 to 40 ms to import.
UNUSED = (
    *("PIL", "rich", "huggingface_hub", "filelock", "onnx", "faiss", "openvino", "torch"),
    *("importlib.metadata", "importlib.resources", "secrets", "gzip", "html"),
    *("pixseek.indexing.pipeline", "pixseek.sources", "pixseek.images", "pixseek.encoders.torch"),
    *("pixseek.encoders.runtimes.acceleration", "pixseek.metadata.exif"),
)

SEARCH = """
import sys
from pixseek.cli import main
try:
    main(["-L", sys.argv[1], "search", "red"])
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *sys.modules)
"""


def test_a_search_with_a_real_model_imports_only_what_it_uses(tmp_path: Path) -> None:
    for n, colour in enumerate(("red", "green", "blue")):
        draw(tmp_path / "Photos" / f"{colour}.png", colour, seed=n)
    library = str(tmp_path / "library")
    index = ["-L", library, "index", str(tmp_path / "Photos"), "--model", "demo", "-q"]
    subprocess.run([sys.executable, "-m", "pixseek", *index], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, library], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    hits, _, imported = done.stdout.rpartition("imported:")
    assert "red.png" in hits
    assert "numpy" in imported.split()
    assert set(UNUSED) & set(imported.split()) == set()
