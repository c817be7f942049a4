"""`pixseek search` and `pixseek similar`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar, get_args

import click
from click.core import ParameterSource

from pixseek.cli.engine_option import check_is_there, place_of
from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.options import Command, open_library, private_option, text_of, warn
from pixseek.cli.output import echo
from pixseek.cli.process import no_garbage_collector, one_blas_thread
from pixseek.cli.results import Form, write_page, write_results
from pixseek.cli.terminal_images import CHOICES
from pixseek.cli.usage import check_alone, check_writable
from pixseek.cli.wording import visible
from pixseek.types import Sort

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.types import Region, Results

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

#: The most windows that `--open` opens.
_MOST_OPENED = 10


class SearchCommand(Command):
    """A command whose `--html` takes the next word only if it names an HTML file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words of the query that follow a bare `--html` out of its value."""
        args = list(args)
        for n, arg in enumerate(args):
            if arg == "--":
                break
            after = args[n + 1] if n + 1 < len(args) else ""
            if arg == "--html" and not after.lower().endswith((".html", ".htm")):
                args[n] = "--html="
        return super().parse_args(ctx, args)


#: Options that are fields of `Query`.
OF_QUERY = (
    "k", "offset", "sort", "min_strength", "min_confidence", "show_excluded", "group", "group_by",
    "variety", "text_weight", "exact", "moments",
)  # fmt: skip


#: Options of which only one can be given: what one asks for, the other would not show.
_CONTRADICTIONS = (
    ("paths", "as_json"), ("null", "as_json"),
    ("paths", "why"), ("null", "why"), ("paths", "facets"), ("null", "facets"),
)  # fmt: skip

#: Options of a single search, which --queries does without.
_OF_ONE_SEARCH = (
    "image", "vector", "excluded", "liked", "disliked", "region", "paths", "null", "opened", "why",
    "facets", "clips",
)  # fmt: skip


def _with(
    options: Sequence[Callable[[_Decorated], _Decorated]], function: _Decorated
) -> _Decorated:
    for option in reversed(options):
        function = option(function)
    return function


def term_options(function: _Decorated) -> _Decorated:
    """Add the options that say what to search for, besides words."""
    return _with(
        (
            click.option("--image", metavar="FILE|URL",
                         help="Search with an example image, alone or with words."),
            click.option("--region", metavar="X,Y,W,H",
                         help="Use only this part of the example: in pixels, or as fractions of "
                         "its sides."),
            click.option("--vector", metavar="FILE.npy",
                         help="Search with a vector of the library's model, as numpy saves one."),
            click.option("--vector-of", type=click.Choice(("image", "text")), default=None,
                         help="What the vector was made of. [default: image]"),
            click.option("--not", "excluded", multiple=True, metavar="WORDS",
                         help="Leave out images that show this; repeatable. The same as -WORD in "
                         "the query."),
            click.option("--dates/--no-dates", default=True,
                         help="Read dates in plain words, such as july 2019 or last week, as "
                         "filters. [default: yes]"),
            click.option("--like", "liked", multiple=True, metavar="ID",
                         help="Find more like this hit."),
            click.option("--unlike", "disliked", multiple=True, metavar="ID",
                         help="Find less like this hit."),
        ),
        function,
    )  # fmt: skip


def query_options(function: _Decorated) -> _Decorated:
    """Add the options that are fields of a query."""
    return _with(
        (
            click.option("-k", type=click.IntRange(min=1), default=10, show_default=True,
                         metavar="N", help="Show at most N hits."),
            click.option("--offset", type=click.IntRange(min=0), default=0, metavar="N",
                         help="Skip the first N hits."),
            click.option("--sort", type=click.Choice(get_args(Sort)), default=None,
                         help="Order of the hits. Orders other than relevance show only strong "
                         "and likely hits."),
            click.option("--min-strength", type=click.Choice(("strong", "likely", "weak")),
                         default=None, help="Leave out hits that match less well."),
            click.option("--min-confidence", type=click.FloatRange(0, 1), default=None,
                         hidden=True),
            click.option("--show-excluded", is_flag=True, default=None,
                         help="Keep what -WORD or --not would leave out, marked."),
            click.option("--group/--no-group", default=None,
                         help="Show only one of several copies or frames of a burst. [default: on "
                         "a terminal and in --html]"),
            click.option("--group-by", metavar="FIELD", default=None,
                         help="Show only the best image of each value of FIELD (folder, year, "
                         "product), with the number of others."),
            click.option("--variety", type=click.FloatRange(0, 1), default=None, metavar="0..1",
                         help="Prefer hits that differ from earlier ones; 0.3 is a good start."),
            click.option("--text-weight", type=click.FloatRange(min=0), default=None, metavar="N",
                         help="Weight of captions, tags and names that contain the words; 0 looks "
                         "at the pixels only. [default: 1]"),
            click.option("--exact", is_flag=True, default=None,
                         help="Compare with every image, instead of with those that the index of "
                         "a large library chooses. Slower there."),
            click.option("--video", is_flag=True, default=None,
                         help="Only videos; the same as type:video in the query."),
            click.option("--moments", is_flag=True, default=None,
                         help="Show each shot of a video that matches as a hit of its own."),
        ),
        function,
    )  # fmt: skip


def _shown_options(function: _Decorated) -> _Decorated:
    """Add the options that say how to show hits."""
    return _with(
        (
            click.option("--why", is_flag=True, help="Explain each hit."),
            click.option("--facets", is_flag=True,
                         help="Count the matches by folder, year, camera, tag, person, "
                         "colour and format."),
            click.option("--paths", is_flag=True,
                         help="Print paths only, one per line: as they are in a pipe, with control "
                         "characters escaped on a terminal."),
            click.option("-0", "null", is_flag=True,
                         help="Print paths only, as they are, each followed by NUL, for xargs -0."),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
            click.option("--html", metavar="[FILE.html]", is_flag=False, flag_value="",
                         default=None,
                         help="Write a page with the pictures, to a temporary file unless you "
                         "name one."),
            click.option("--open", "opened", is_flag=True,
                         help="Open the best hit in the system's viewer; with -k N the best N "
                         f"(at most {_MOST_OPENED}), with --html the page. Of a video from its "
                         "moment on, if mpv or vlc is installed."),
            click.option("--export-clips", "clips", metavar="DIR",
                         help="Cut the shots that were found out of their videos, without "
                         "re-encoding: a clip begins at the key frame before. Never overwrites."),
            click.option("--exact-clips", is_flag=True,
                         help="Re-encode the clips, so that they begin at the shot."),
            click.option("--thumbnails", type=click.Choice(CHOICES), default="auto",
                         envvar="PIXSEEK_THUMBNAILS",
                         help="How to draw pictures in the terminal. auto: kitty, iTerm2 or sixel "
                         "graphics if the terminal has them. blocks: coloured characters, which "
                         "nearly every terminal has. [env: PIXSEEK_THUMBNAILS]"),
        ),
        function,
    )  # fmt: skip


def _complete_saved(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from pixseek.cli.completion import complete_saved

    return complete_saved(ctx, param, incomplete)


@click.command(
    cls=SearchCommand,
    takes_query=True,
    section="Index and search",
    short_help="Find images by words or by an example.",
    examples=(
        ('pixseek search "a dog catching a frisbee"', "the ten best hits"),
        ("pixseek search a red car at night -k 50", "quotes are not needed"),
        ("pixseek search --image sketch.png", "similar to this file"),
        ('pixseek search "in the snow" --image dog.jpg --not people', "all of it together"),
        ("pixseek search 'dog year:2021 -(folder:old OR tag:draft)'", "with filters"),
        ("pixseek search @dogs year:2021", "a saved search, and a filter"),
        ("pixseek search cutting the cake --video --moments", "where in which videos"),
        ("pixseek search --queries words.txt --json", "many searches at once"),
        ('pixseek search "a receipt" --paths | head -3', "paths, for scripts"),
        ('pixseek search "a boat" -0 | xargs -0 cp -t DIR', "safe with any file name"),
        ('pixseek search "our cat" --html --open', "a page in the browser"),
    ),
)
@click.argument("words", nargs=-1, metavar="[WORDS]...", shell_complete=_complete_saved)
@term_options
@click.option(
    "--queries",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Answer many searches at once, one per line of a file; - for standard input.",
)
@query_options
@_shown_options
@private_option()
@click.option(
    "--engine",
    metavar="URL",
    help="Search what is on a server, without a library of your own: a library that others index, "
    "or with ?vector=FIELD an index of Elasticsearch that another program made.",
)
@click.pass_context
def search(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    image: str | None,
    region: str | None,
    vector: str | None,
    vector_of: Literal["image", "text"] | None,
    excluded: tuple[str, ...],
    dates: bool,
    liked: tuple[str, ...],
    disliked: tuple[str, ...],
    queries: TextIO | None,
    engine: str | None,
    **options: Any,
) -> None:
    """Find images by words, by an example, or by both, with filters.

    WORDS describe the image. They may include "phrases in quotes", -words to leave out, 2*weights,
    and filters such as year:2021, camera:nikon, tag:holiday, width:>=1920, folder:2021 or
    near:48.86,2.35,5. AND, OR, NOT and parentheses combine filters, and words too. Put the whole
    query in single quotes so that the shell leaves it alone. @NAME runs a search that
    `pixseek save` keeps.

    On a terminal, prints a table, with the pictures above it if the terminal can draw them, and
    the number of strong and likely matches, which mean the same for every model. In a pipe,
    prints rank, score and path, separated by tabs; a path with a backslash, a line break or other
    control characters has them as \\\\, \\n, \\x1b.

    With --queries, each line begins with its query, and --json prints one object per line. A line
    of the file may also be a query as a JSON object, for instance with a vector:
    {"terms": [{"kind": "vector", "value": [0.1, ...], "of": "text"}], "k": 5}
    """
    check_alone(ctx, *_CONTRADICTIONS)
    if queries is not None:
        if words:
            raise click.UsageError("--queries can't be combined with words.", ctx)
        check_alone(ctx, *(("queries", each) for each in _OF_ONE_SEARCH))
    _check_page(options)
    asked = {**_asked(ctx, options), "dates": dates}
    if queries is not None:
        every = enumerate(text_of(queries).split("\n"), 1)
        lines = {number: line.strip() for number, line in every if line.strip()}
        from pixseek.cli import many_queries

        with open_library(**place_of(engine)) as library:
            check_is_there(library, engine)
            many_queries.show(ctx, library, lines, asked, file=queries.name, **options)
        return
    if not words and image is None and vector is None and not liked:
        if disliked or excluded:
            what = "--unlike" if disliked else "--not"
            raise click.UsageError(f"{what} needs something to search for.", ctx)
        raise click.UsageError(
            'Nothing to search for. Try: pixseek search "a dog", or pixseek search --image FILE',
            ctx,
        )
    example = example_of(ctx, image, region, vector, vector_of)
    with _library_for_one_answer(**place_of(engine)) as library:
        check_is_there(library, engine)
        query = library.query(" ".join(words), exclude=excluded, **example, **asked).refined(
            liked, disliked
        )
        _show(ctx, library, library.search(query), **options)


@contextlib.contextmanager
def _library_for_one_answer(**named: Any) -> Iterator[Library]:
    """Open the library in a process that answers once and ends."""
    with no_garbage_collector():
        with one_blas_thread():
            library = open_library(**named)
        with library:
            yield library


def asked_of(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Remove the fields of the query from the options of a command, and return those given."""
    asked = {name: options.pop(name) for name in OF_QUERY}
    if options.pop("video"):
        asked["where"] = "type:video"
    least = asked.pop("min_confidence")
    if least is not None:
        warn("--min-confidence is deprecated: use --min-strength.")
        if least and asked["min_strength"] is None:
            return {**_given(ctx, asked), "min_strength": "strong" if least > 0.5 else "likely"}
    return _given(ctx, asked)


def _given(ctx: click.Context, asked: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in asked.items()
        # What was not given is left to a saved search.
        if name == "where" or ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    }


def _asked(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the query, after removing them from the options of a command."""
    asked = asked_of(ctx, options)
    # A program wants every image; people don't want to see the same one ten times.
    for_programs = options["paths"] or options["null"] or options["as_json"]
    if not for_programs and (options["html"] is not None or sys.stdout.isatty()):
        asked.setdefault("group", True)
    return asked


def _check_page(options: dict[str, Any]) -> None:
    """Check what only makes sense together, and that the page can be written."""
    if options["variety"] and options["sort"] not in (None, "relevance"):
        raise click.UsageError(
            f"--variety can't be combined with --sort {options['sort']}: it is an order too."
        )
    if options["html"]:
        check_writable(options["html"], "--html")


def example_of(
    ctx: click.Context,
    image: str | None,
    region: str | None,
    vector: str | None,
    vector_of: Literal["image", "text"] | None,
) -> dict[str, Any]:
    """Return the arguments of `Library.query` that an example image and a vector stand for."""
    for name, given, needs, there in (
        ("--region", region, "--image", image),
        ("--vector-of", vector_of, "--vector", vector),
    ):
        if given is not None and there is None:
            raise click.UsageError(f"{name} needs {needs}.", ctx)
    example: dict[str, Any] = {"image": image, "region": region_of(region)}
    if vector is not None:
        from pixseek.library.surfaces import read_vector

        example |= {"vector": read_vector(vector), "vector_of": vector_of or "image"}
    return example


def region_of(text: str | None) -> Region | None:
    """Return the rectangle that an option names."""
    if text is None:
        return None
    from pixseek.types import Region

    try:
        x, y, width, height = (float(each) for each in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a rectangle; write x,y,width,height.", param_hint="--region"
        ) from None
    return Region(x, y, width, height)


@click.command(
    cls=SearchCommand,
    section="Index and search",
    short_help="Find images that look like a given one.",
    examples=(
        ("pixseek similar Pictures/2019/dog.jpg", "by a file"),
        ("pixseek similar https://example.org/dog.jpg", "by a picture on the web"),
        ("pixseek similar k3v5xq7mzr2a4bcd -k 30", "by an id that search --json shows"),
        ("pixseek similar clip.mp4@0:12", "by what a video shows at 12 seconds"),
    ),
)
@click.argument("to", metavar="ID_OR_FILE")
@query_options
@_shown_options
@private_option()
@click.pass_context
def similar(ctx: click.Context, /, to: str, **options: Any) -> None:
    """Find images that look like a given one: an id, or a file or URL, which need not be indexed.

    An indexed image is not embedded again, and is left out of its own hits. A FILE.npy holds the
    vector of an image, made by the library's model. VIDEO@SECONDS or VIDEO@M:SS is one frame of a
    video.
    """
    check_alone(ctx, *_CONTRADICTIONS)
    _check_page(options)
    with _library_for_one_answer() as library:
        like: Any = to
        if to.lower().endswith(".npy"):
            from pixseek.library.surfaces import read_vector

            like = read_vector(to)
        results = library.similar(like, **_asked(ctx, options))
        _show(ctx, library, results, heading=f"Like {Path(to).name}", **options)


def _show(
    ctx: click.Context,
    library: Library,
    results: Results,
    *,
    heading: str = "",
    paths: bool,
    null: bool,
    as_json: bool,
    html: str | None,
    opened: bool,
    thumbnails: str,
    why: bool,
    facets: bool,
    clips: str | None,
    exact_clips: bool,
) -> None:
    if exact_clips and clips is None:
        raise click.UsageError("--exact-clips needs --export-clips.", ctx)
    form: Form = "json" if as_json else "paths0" if null else "paths" if paths else "auto"
    # On a page they are folded, so it always has them.
    counted = library.facets(results.query) if facets or (html is not None and results) else None
    if html is None or form != "auto":
        shown = counted if facets else None
        write_results(results, form, thumbnails=thumbnails, why=why, facets=shown)
    page = None
    if html is not None:
        page = write_page(
            [results],
            html,
            headings=[heading] if heading else None,
            facets=[counted] if counted else (),
            opened=[*(["why"] if why else []), *(["facets"] if facets else [])],
        )
        # The note must not get into an answer that a program reads.
        echo(f"Contact sheet: {visible(str(page))}", err=form != "auto")
    if clips is not None:
        from pixseek.cli.clips import export_clips

        export_clips(library, results, clips, exact=exact_clips, quiet=form != "auto")
    if opened and page is not None:
        _open(page)
    elif opened:
        from pixseek.library.surfaces import is_named_as_image

        asked = ctx.get_parameter_source("k") is not ParameterSource.DEFAULT
        there = [hit for hit in results if hit.path is not None]
        for hit in there[: min(results.query.k, _MOST_OPENED) if asked else 1]:
            path = library.file_of(hit.record)
            if path is None:
                reason = "it is not a file in its folder" if hit.is_there else "it is missing"
            elif not is_named_as_image(path):
                # An import may name any file of a folder, and systems start programs.
                reason = "its name does not end as names of images do"
            else:
                _open(path, hit.part.start_s)
                continue
            warn(f"It can't be opened, because {reason}: {visible(str(hit.path))}")
    if not results:
        ctx.exit(FOUND_NOTHING)


#: Players that can begin at a second, and the option for it.
_PLAYERS = (("mpv", "--start={:.2f}"), ("vlc", "--start-time={:.2f}"))


def _open(path: Path, second: float | None = None) -> None:
    import shutil

    for player, option in _PLAYERS if second else ():
        if program := shutil.which(player):
            import subprocess

            subprocess.Popen(
                [program, option.format(second), "--", os.fspath(path)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            return
    if click.launch(os.fspath(path)):
        warn(f"No program was found to open {visible(str(path))} with.")
