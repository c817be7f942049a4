"""Vespa's own Java code as a judge of packages, queries and feed operations; no server runs.

One JVM checks all that the tests of a process ask: it starts in 2 seconds, and a check takes less
than one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

#: The oldest JDK that runs the checker.
_OLDEST = 17


class Verdict(NamedTuple):
    """What Vespa says of a package, a query or a feed operation.

    Attributes:
        ok: whether it is accepted.
        error: why not; "" if it is.
        warnings: what it warns of.
    """

    ok: bool
    error: str
    warnings: tuple[str, ...]


class Verdicts(NamedTuple):
    """What Vespa says of a package, and of each query and operation, in order.

    Of a package that is refused nothing else is looked at.
    """

    package: Verdict
    queries: list[Verdict]
    feed: list[Verdict]


class Checker:
    """Asks Vespa's code. Use it as a context; it ends with it."""

    def __init__(self, sources: Path, java_home: str, scratch: Path) -> None:
        """Start the JVM.

        Args:
            sources: folder of `VespaCheck.java`, and of Vespa's jars in `lib`.
            java_home: of a JDK.
            scratch: an empty folder.
        """
        programs = Path(java_home, "bin")
        jars = f"{sources / 'lib'}/*"
        files = sources / "VespaCheck.java", Path(__file__).with_name("VespaChecks.java")
        compiler = [programs / "javac", "-nowarn", "-cp", jars, "-d", scratch, *files]
        subprocess.run(compiler, check=True, capture_output=True)
        self._lines = scratch / "queries", scratch / "feed"
        self._said = (scratch / "stderr").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [
                programs / "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m",
                "-Dslf4j.internal.verbosity=ERROR", "-Dfile.encoding=UTF-8",
                "-cp", f"{scratch}{os.pathsep}{jars}", "VespaChecks",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, encoding="utf-8",
        )  # fmt: skip

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:  # nothing of it is needed any more
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def __call__(
        self,
        package: Path,
        queries: Sequence[str | Mapping[str, Any]] = (),
        feed: Sequence[Mapping[str, Any]] = (),
    ) -> Verdicts:
        """Check a package, then queries and operations for it.

        Args:
            package: its folder.
            queries: YQL, or parameters of a request.
            feed: operations as for `vespa feed`.
        """
        asked = [each if isinstance(each, str) else json.dumps(each) for each in queries]
        for path, content in zip(self._lines, (asked, list(map(json.dumps, feed))), strict=True):
            assert not any("\n" in line or line.startswith("#") for line in content)
            path.write_text("\n".join(content), encoding="utf-8")
        assert self._process.stdin and self._process.stdout
        arguments = "\t".join(map(str, (package, *self._lines)))
        self._process.stdin.write(f"{arguments}\n")
        self._process.stdin.flush()
        answers: dict[str, list[Verdict]] = {"package": [], "query": [], "feed": []}
        for line in self._process.stdout:
            said = json.loads(line)
            if said["kind"] == "end":
                break
            verdict = Verdict(said["ok"], said.get("error", ""), tuple(said.get("warnings", ())))
            answers[said["kind"]].append(verdict)
        else:
            raise AssertionError(f"the checker ended: {Path(self._said.name).read_text()}")
        [whole] = answers["package"]
        if whole.ok:
            assert (len(answers["query"]), len(answers["feed"])) == (len(asked), len(feed))
        return Verdicts(whole, answers["query"], answers["feed"])


def _java_home() -> str | None:
    homes = [os.environ.get("JAVA_HOME", ""), *map(str, sorted(Path("/usr/lib/jvm").glob("*")))]
    for home in filter(None, homes):
        java = Path(home, "bin", "java")
        # The checker is compiled when it runs, which a JRE can't.
        if java.is_file() and Path(home, "bin", "javac").is_file():
            said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
            found = re.search(r'version "(\d+)', said.stderr)
            if found and int(found[1]) >= _OLDEST:
                return home
    return None


def checker(material: Path, scratch: Path) -> Checker:
    """Return a checker; the test is skipped if it can't be run here.

    Args:
        material: the folder of test material, with `vespa-check`.
        scratch: an empty folder.
    """
    return Checker(*_found(material), scratch)


def run_java(material: Path, scratch: Path, program: str, *arguments: str) -> list[str]:
    """Return the lines that a program next to this file prints, which calls Vespa's classes.

    The last line is that of an error, if there is one. The test is skipped if it can't run here.

    Args:
        material: the folder of test material, with `vespa-check`.
        scratch: a folder for the compiled program.
        program: the class, with its package.
        *arguments: of the program.
    """
    sources, home = _found(material)
    jars = f"{sources / 'lib'}/*"
    source = Path(__file__).with_name(f"{program.rpartition('.')[2]}.java")
    if not scratch.exists():
        compiler = [Path(home, "bin/javac"), "-nowarn", "-cp", jars, "-d", scratch, source]
        subprocess.run(compiler, check=True, capture_output=True)
    java = [Path(home, "bin/java"), "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8"]
    classes = f"{scratch}{os.pathsep}{jars}"
    said = subprocess.run(
        [*java, "-cp", classes, program, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return said.stdout.splitlines() + said.stderr.splitlines()[:1]


def _found(material: Path) -> tuple[Path, str]:
    """Return the folder of the checker, and the home of a JDK that runs it."""
    sources = material / "vespa-check"
    if not (sources / "VespaCheck.java").is_file():
        pytest.skip("no checker of Vespa's packages in the test material")
    home = _java_home()
    if home is None:
        pytest.skip(f"no JDK {_OLDEST} or later to run Vespa's code")
    return sources, home
