"""What is said of the licences of installed packages, and the page that lists them."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pixseek import licences
from pixseek.cli import main
from pixseek.licences import NOT_STATED, Bundled, Part, parts

MIT = "Permission is hereby granted, free of\n  charge, to any person"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a package: its metadata, and files with their content."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, metadata: str = "", **files: str) -> Part:
        info = tmp_path / f"{name}-1.0.dist-info"
        named = {path.replace("__", "/"): text for path, text in files.items()}
        named[f"{info.name}/METADATA"] = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n" + (
            metadata
        )
        for path, text in named.items():
            file = tmp_path / path.replace("INFO", info.name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        listed = "".join(f"{path.replace('INFO', info.name)},,\n" for path in named)
        (info / "RECORD").write_text(listed)
        [found] = [each for each in parts({"": [name]}) if each.name == name]
        return found

    return make


@pytest.mark.parametrize(
    ("metadata", "files", "licence", "says"),
    [
        ("License-Expression: MIT OR Zlib\nLicense: other\n", {}, "MIT OR Zlib",
         "License-Expression"),
        ("License: lgpl\nClassifier: License :: OSI Approved :: BSD License\n", {}, "lgpl",
         "License"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: BSD License\n", {},
         "BSD License", "Classifier"),
        ("Classifier: License :: A\nClassifier: License :: B :: C\n", {}, "A and C", "Classifier"),
        ("", {"INFO__licenses__LICENSE": MIT}, "MIT", "odd-1.0.dist-info/licenses/LICENSE"),
        ("", {"INFO__COPYING": "GNU Lesser General Public License, like the GNU General Public "
              "License"}, "LGPL", "odd-1.0.dist-info/COPYING"),
        ("", {"INFO__LICENSE": "Mozilla Public License Version 2.0 ... GNU Lesser General Public "
              "License"}, "MPL-2.0", "odd-1.0.dist-info/LICENSE"),
        ("", {"odd__license.py": MIT, "INFO__LICENSE": "do as you like"}, NOT_STATED, ""),
        ("", {}, NOT_STATED, ""),
    ],
)  # fmt: skip
def test_where_a_package_says_its_licence(
    install, metadata: str, files: dict[str, str], licence: str, says: str
) -> None:
    found = install("odd", metadata, **files)
    assert (found.licence, found.says) == (licence, says)
    assert (found.name, found.version, found.extras) == ("odd", "1.0", ())


@pytest.mark.parametrize(
    ("files", "bundles"),
    [
        ({"INFO__licenses__LICENSE.txt": "MIT\n\nName: x265\nLicense: GPLv2\nFiles: x\n\n"
          "Name: b\nFiles: b.so\nDescription: of b\nLicense: BSD-3-Clause\n"},
         [("x265", "GPLv2"), ("b", "BSD-3-Clause")]),
        ({"INFO__LICENSE.LibRaw": "GNU LESSER GENERAL PUBLIC LICENSE"}, [("LibRaw", "LGPL")]),
        ({"odd.libs__libfoo-1a2b3c4d.so.1.2": "", "odd.libs__libbar.so": "", "odd__core.so": "",
          "odd__libodd_core.so": ""}, [("libbar, libfoo", NOT_STATED)]),
        ({"odd.libs__libfoo.so": "",
          "INFO__LICENSES_bundled.txt": "libfoo, dynamically linked, LGPL-3.0-or-later"},
         [("libfoo", "LGPL-3.0-or-later")]),
        ({"odd.libs__libx265-217.so": "", "INFO__LICENSE": "Name: x265\nLicense: GPLv2\n"},
         [("x265", "GPLv2")]),
        ({"INFO__sboms__a.cdx.json": json.dumps({"components": [
            {"name": "one", "licenses": [{"license": {"id": "MIT"}}]},
            {"name": "two", "licenses": [{"expression": "A OR B"}]}, {"name": "none"}]})},
         [("one", "MIT"), ("two", "A OR B")]),
        ({"INFO__sboms__a.cdx.json": json.dumps({"components": [
            {"name": f"c{n}", "licenses": [{"expression": "MPL-2.0" if n == 7 else "MIT"}]}
            for n in range(99)]})}, [("c7", "MPL-2.0"), ("98 components", "MIT")]),
        ({"INFO__sboms__a.json": "[]", "INFO__sboms__b.json": "{"}, []),
    ],
)  # fmt: skip
def test_what_a_wheel_bundles(
    install, files: dict[str, str], bundles: list[tuple[str, str]]
) -> None:
    assert install("odd", **files).bundles == tuple(Bundled(*each) for each in bundles)


def test_requirements_of_requirements_count_with_the_extras_that_lead_to_them(install) -> None:
    install("leaf")
    install("twig", "Requires-Dist: leaf; extra == 'more'\nRequires-Dist: gone\n")
    install("bough", "Requires-Dist: twig[more]\nRequires-Dist: nothing; sys_platform == 'x'\n")
    extras = {"": ["twig"], "formats": ["bough"], "large": ["bough; python_version < '3'"]}
    found = {each.name: each.extras for each in parts(extras)}
    assert found == {
        "pixseek": (), "twig": (), "bough": ("formats",), "leaf": ("formats",)
    }  # fmt: skip


@pytest.mark.slow
def test_doctor_lists_what_is_installed() -> None:
    plain = CliRunner().invoke(main, ["doctor", "--licences"])
    whole = CliRunner().invoke(main, ["doctor", "--licences", "--json"])
    assert plain.exit_code == whole.exit_code == 0
    listed = json.loads(whole.output)["parts"]
    assert listed[0]["name"] == "pixseek"
    assert listed[0]["licence"] == "Apache-2.0"
    numpy = next(each for each in listed if each["name"] == "numpy")
    assert numpy["version"] == distribution("numpy").version
    assert "BSD-3-Clause" in numpy["licence"]
    assert numpy["notices"]
    lines = [line.split("\t") for line in plain.output.splitlines()]
    assert [line[0] for line in lines] == [each["name"] for each in listed]
    assert {len(line) for line in lines} == {6}


# ------------------------------------------------------------------ the page

#: Extras of which the page names only what pixseek requires itself.
BIG = {"torch", "int8"}


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    path = Path(__file__).parents[1] / "docs" / "generate_licences.py"
    spec = importlib.util.spec_from_file_location("generate_licences", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_names_every_requirement(generator: ModuleType) -> None:
    listed = generator.rows(generator.PAGE.read_text(encoding="utf-8"))
    for lines in generator.requirements().values():
        for line in lines:
            assert canonicalize_name(Requirement(line).name) in listed


def test_the_page_says_what_the_packages_say(generator: ModuleType) -> None:
    listed = generator.rows(generator.PAGE.read_text(encoding="utf-8"))
    own, *found = licences.parts(generator.requirements())
    assert own.licence == "Apache-2.0"
    # A version other than the one of the page may bundle something else.
    for each in found:
        if each.name not in listed and set(each.extras) and set(each.extras) <= BIG:
            continue  # the page was made where these are not installed
        assert each.name in listed, "run docs/generate_licences.py"
        assert listed[each.name].split(" | ")[1] == each.licence.replace("|", "/")


def test_nothing_that_pixseek_installs_is_under_the_gpl(generator: ModuleType) -> None:
    for each in licences.parts(generator.requirements()):
        stated = [
            each.licence,
            *(one.licence for one in each.bundles if one.name != "libimagequant"),
        ]
        for licence in stated:
            choices = licence.replace("LGPL", "").split(" OR ")
            assert "exception" in licence or any("GPL" not in choice for choice in choices), each
