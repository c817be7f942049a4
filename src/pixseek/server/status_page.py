"""The page about a library: what it holds, its indexing runs, what failed, models and spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pixseek.errors import PixseekError
from pixseek.library.status import Status
from pixseek.server import markup
from pixseek.server.facts import size_text
from pixseek.server.jobs import JobState
from pixseek.server.markup import escape, icon, told
from pixseek.server.problems import three_parts
from pixseek.server.texts import Texts
from pixseek.types import Failure
from pixseek.types.dataclass import dataclass

#: Failures that are listed.
FAILURES = 200


@dataclass(frozen=True, slots=True)
class Known:
    """What the page is about.

    Attributes:
        name: of the library.
        status: what it holds.
        failures: what could not be indexed.
        run: the last run that this server started; None for none.
        models: as `wire.model_to_plain` gives them.
        libraries: names and numbers of images of all libraries; None for one that can't be read.
        folders: that may be indexed from the page.
        may_write: whether the user may change the library.
        action: address of the page itself, to which forms are sent.
        library_addresses: of the pages of the libraries, by name.
        folder: what was typed as a folder, and refused; "" for nothing.
    """

    name: str
    status: Status
    failures: Sequence[Failure]
    run: JobState | None
    models: Sequence[Mapping[str, Any]]
    libraries: Mapping[str, int | None]
    folders: Sequence[str]
    may_write: bool
    action: str
    library_addresses: Mapping[str, str]
    folder: str = ""


def content(known: Known, texts: Texts, problem: tuple[str, str, str] | None) -> str:
    """Return what stands below the header, as HTML.

    Args:
        known: what the page is about.
        texts: of the user's language.
        problem: the three parts of what went wrong with a form; None for nothing.
    """
    writer = _Writer(known, texts.part("status"))
    return "".join(
        (
            writer.problem(problem),
            f"<h1><bdi>{escape(known.name)}</bdi></h1>",
            writer.run(),
            "<div class=parts>",
            writer.library(),
            writer.failures(),
            writer.models(),
            "</div>",
        )
    )


def run_to_plain(state: JobState, texts: Texts) -> dict[str, Any]:
    """Return how far a run is in words, for the page's script.

    `title`, `text` and `latest` are shown; `short` stands on other pages; `done` and `total` make
    the bar, and `is_over` tells the end.
    """
    t, progress = texts.part("status"), state.progress
    if state.ended_at is not None:
        return {"title": _ended(state, t), "text": _result(state, t), "is_over": True}
    if progress is None or progress.stage == "prepare":
        text = t("run_begins")
    elif progress.total:
        what = "run_builds" if progress.stage == "build" else "run_of"
        text = t(what, done=progress.done, total=progress.total)
    else:
        text = t("run_scans", n=progress.done)
    parts = [text]
    if progress and progress.rate:
        parts.append(t("run_rate", rate=f"{progress.rate:.3g}".replace(".", t("decimal"))))
    if progress and progress.left_s:
        parts.append(t("run_left", time=lasting(progress.left_s, t)))
    if progress and progress.failed:
        parts.append(t("run_failed_so_far", n=progress.failed))
    is_counted = progress is not None and bool(progress.total)
    return {
        "title": t("run_stopping" if state.state == "stopping" else "run_now"),
        "text": " · ".join(parts),
        "short": t("run_short", text=text),
        "latest": progress.latest if progress else "",
        "done": progress.done if progress and is_counted else None,
        "total": progress.total if progress and is_counted else None,
        "is_over": False,
    }


def lasting(seconds: float, t: Texts) -> str:
    """Return a time as people say it: "12 minutes"."""
    if seconds < 90:
        return t("seconds", n=max(1, round(seconds)))
    if seconds < 5400:
        return t("minutes", n=round(seconds / 60))
    return t("hours", n=round(seconds / 3600))


def _ended(state: JobState, t: Texts) -> str:
    return t({"failed": "run_failed", "stopped": "run_stopped"}.get(state.state, "run_done"))


def _result(state: JobState, t: Texts) -> str:
    report = state.report
    if report is None:
        return ""
    counts = {
        "added": report.added, "updated": report.updated, "moved": report.moved,
        "removed": report.removed, "broken": len(report.failures),
    }  # fmt: skip
    said = ", ".join(t(f"run_{name}", n=n) for name, n in counts.items() if n)
    return said or t("run_nothing")


class _Writer:
    """Writes the parts of one page."""

    def __init__(self, known: Known, t: Texts) -> None:
        self._known, self._t = known, t

    def problem(self, problem: tuple[str, str, str] | None) -> str:
        if problem is None:
            return ""
        return f"<p class=error role=alert>{markup.problem(problem, self._t)}</p>"

    def run(self) -> str:
        t, state = self._t, self._known.run
        if state is None:
            elsewhere = self._known.status.running is not None
            return f"<section id=run><h2>{t('run_elsewhere')}</h2></section>" if elsewhere else ""
        plain = run_to_plain(state, t)
        title, text, latest = (
            escape(str(plain.get(each, ""))) for each in ("title", "text", "latest")
        )
        is_over = plain["is_over"]
        bar = ""
        if not is_over:
            at = f"value={plain['done']} max={plain['total']}" if plain["total"] else ""
            bar = f'<progress aria-label="{title}" {at}></progress>'
        error = ""
        if state.error is not None:
            why = escape(t("run_see_log"))
            if isinstance(state.error, PixseekError) and self._known.may_write:
                why = markup.problem(three_parts(state.error, has_rights=True), t)
            error = f"<p class=error>{why}</p>"
        stop = ""
        if not is_over and self._known.may_write:
            stop = self._button("stop", t("run_stop"), "close", job=state.id)
        return (
            f'<section id=run data-job="{escape(state.id)}" data-over="{int(is_over)}">'
            f"<h2 class=title>{title}</h2>{bar}<p class=text role=status>{text}</p>"
            f"<p class='soft path latest'>{latest}</p>{error}{stop}</section>"
        )

    def library(self) -> str:
        t, status = self._t, self._known.status
        held = status.contents
        counts = (
            ("images", status.records), ("dated", held.dated), ("located", held.located),
            ("tagged", held.tagged), ("captioned", held.captioned), ("rated", held.rated),
            ("without_vectors", held.without_vectors), ("away", held.away),
        )  # fmt: skip
        rows = "".join(
            f"<dt>{t(f'held_{name}')}</dt><dd>{t.number(n)}</dd>"
            for name, n in counts
            if n or name == "images"
        )
        disk = size_text(status.bytes_on_disk, t) if status.bytes_on_disk else ""
        rows += f"<dt>{t('held_disk')}</dt><dd>{disk}</dd>" if disk else ""
        if status.watched:
            by = t("watched")
            if self._known.may_write:
                since = datetime.fromisoformat(status.watched["since"]).astimezone()
                by = t("watched_by", pid=str(status.watched["pid"]), at=f"{since:%Y-%m-%d %H:%M}")
            rows += f"<dt>{t('held_watched')}</dt><dd>{escape(by)}</dd>"
        roots = "".join(map(self._root, status.roots))
        adding = ""
        if self._known.may_write:
            adding = self._adding() + (
                self._button("index", t("index_all"), "refresh") if status.roots else ""
            )
        others = "".join(
            f'<li><a href="{escape(self._known.library_addresses[name])}"><bdi>{escape(name)}</bdi>'
            f"</a> <span class=soft>{'–' if n is None else t('held', n=n)}</span></li>"
            for name, n in self._known.libraries.items()
            if name != self._known.name
        )
        if others:
            others = f"<h2>{t('other_libraries')}</h2><ul class=rows>{others}</ul>"
        return (
            f"<section><h2>{t('library')}</h2><dl>{rows}</dl></section>"
            f"<section><h2>{t('folders')}</h2><ul class=rows>{roots}</ul>{adding}{others}</section>"
        )

    def _root(self, root: Any) -> str:
        t, may_write = self._t, self._known.may_write
        path = f"<span class='soft path'>{escape(str(root.path))}</span>" if may_write else ""
        away = "" if root.is_there else f" <strong class=away>{t('root_away')}</strong>"
        index = ""
        if may_write and root.is_there and isinstance(root.path, Path):
            label = t("index_folder", name=root.name)
            index = self._button("index", label, "refresh", bare=True, folder=str(root.path))
        return (
            f"<li><div><bdi>{escape(root.name)}</bdi> <span class=soft>"
            f"{t('held', n=root.records)}</span>{away}{path}</div>{index}</li>"
        )

    def _adding(self) -> str:
        t, folders = self._t, self._known.folders
        if not folders:
            return f"<p class=soft>{t('folder_by_command')}</p>"
        hint = f"{escape(folders[0])}/…"
        typed = escape(self._known.folder)
        focus = " autofocus" * bool(typed or not self._known.status.records)
        return (
            f'<form method=post action="{escape(self._known.action)}" class=add>'
            f"<input type=hidden name=do value=index><label>{t('folder_add')} "
            f"<input id=add name=folder required autocomplete=off spellcheck=false{focus} "
            f'placeholder="{hint}" value="{typed}">'
            f"</label><button class=button>{t('index')}</button></form>"
        )

    def failures(self) -> str:
        t, all_ = self._t, self._known.failures
        head = f"<section class=wide><h2>{t('failures', n=len(all_))}</h2>"
        if not all_:
            return f"{head}<p class=soft>{t('failures_none')}</p></section>"
        listed = "".join(
            f"<li><bdi class=path>{escape(each.uri)}</bdi><p>{told(each.message, t)}. "
            f"<span class=soft>{told(each.advice, t) if each.advice else ''}</span></p></li>"
            for each in all_[:FAILURES]
        )
        more = ""
        if len(all_) > FAILURES:
            more = f"<p class=soft>{t('failures_more', n=len(all_) - FAILURES)}</p>"
        retry = ""
        if self._known.may_write:
            retry = self._button("retry", t("failures_retry"), "refresh")
        return f"{head}{retry}<ul class=failures>{listed}</ul>{more}</section>"

    def models(self) -> str:
        t, status = self._t, self._known.status
        spaces = [(status.model, status.space, status.records, True)] if status.space else []
        spaces += [(each.model, each, n, False) for each, n in status.other_spaces]
        in_use = f" · {t('space_used')}"
        here = f" <span class=soft>{t('model_here')}</span>"
        held = "".join(
            f"<li><div><bdi>{escape(_name(model))}</bdi> <span class=soft>"
            f"{t('space', n=n, dim=space.dim)}{in_use * used}</span>"
            "</div></li>"
            for model, space, n, used in spaces
        )
        known = "".join(
            f"<li><div><bdi>{escape(_name(each['name']))}</bdi>"
            f"{here if each['folder'] else ''}"
            f"<span class='soft path'>{told(each['description'], t)} "
            f"({escape(str(each['licence']))})</span></div></li>"
            for each in self._known.models
        )
        return (
            f"<section class=wide><h2>{t('models')}</h2><ul class=rows>{held}</ul><details>"
            f"<summary>{t('models_known', n=len(self._known.models))}</summary>"
            f"<ul class=rows>{known}</ul></details></section>"
        )

    def _button(
        self, do: str, label: str, picture: str, *, bare: bool = False, **fields: str
    ) -> str:
        hidden = "".join(
            f'<input type=hidden name={name} value="{escape(value)}">'
            for name, value in {"do": do, **fields}.items()
        )
        text = escape(label)
        named = f' aria-label="{text}" title="{text}"' if bare else ""
        word = "" if bare else f"<span>{text}</span>"
        return (
            f'<form method=post action="{escape(self._known.action)}">{hidden}'
            f"<button class=tool{named}>{icon(picture)}{word}</button></form>"
        )


def _name(model: str) -> str:
    """Return the name of a model; of a folder its last part."""
    return model.replace("\\", "/").rstrip("/").rpartition("/")[2] if "/" in model[:1] else model
