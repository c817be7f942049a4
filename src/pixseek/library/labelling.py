"""Saying what images show: tags by hand, with the library's model, with a classifier."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, get_args

from pixseek.errors import QueryError, unknown
from pixseek.indexing import tagging
from pixseek.library.asking import Asking, both
from pixseek.library.model import LibraryModel
from pixseek.library.opened import Opened
from pixseek.metadata.annotations import LABEL_CONFIDENCES, LABELLED, Change
from pixseek.search.strength import strengths
from pixseek.types import (
    Compare,
    Contrastive,
    Filter,
    Not,
    Progress,
    Record,
    Strength,
    record_id,
)

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.encoders.classifiers import Classifier
    from pixseek.search.classification import Guess
    from pixseek.types import Pixels

#: Images looked up at once.
TARGETS = 1024


class Labelling:
    """What is said about the images of one open library."""

    def __init__(self, opened: Opened, model: LibraryModel, asking: Asking) -> None:
        """Label the images of this library, with its model."""
        self._opened, self._model, self._asking = opened, model, asking

    def tag(
        self,
        images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        what: Change,
        *,
        write_xmp: bool,
    ) -> int:
        """Change what users say about images; see `Library.tag`."""
        wanted = [images] if isinstance(images, str | os.PathLike) else list(images)
        return tagging.tag(
            dict.fromkeys(self._ids([os.fspath(each) for each in wanted]), what),
            engine=self._opened.engine,
            places=self._place_of if write_xmp else None,
        )

    def _place_of(self, record: Record) -> tagging.Place | None:
        path = self._opened.locate(record)
        return None if path is None else (path, self._opened.roots.within(record.uri))

    def tag_zero_shot(
        self,
        labels: Sequence[str],
        *,
        min_strength: Strength,
        where: Filter | str | None,
        again: bool,
    ) -> dict[str, int]:
        """Tag images with the labels the model finds in them; see `Library.tag_zero_shot`."""
        engine = self._opened.engine
        labels = tuple(dict.fromkeys(label.strip() for label in labels if label.strip()))
        if not labels:
            raise QueryError("There is no label to look for", "", "Give some: 'a lake', 'a cat'.")
        if min_strength not in get_args(Strength):
            raise QueryError(
                "unknown strength",
                min_strength,
                unknown("strength", min_strength, get_args(Strength)),
            )
        only = self._asking.filter(where)
        if engine.space is None or self._asking.is_empty():
            return {"": 0, **dict.fromkeys(labels, 0)}
        mark = tagging.name_of(engine.space.fingerprint, labels, min_strength)
        if not again:
            only = both(only, _not_labelled(mark))
        # Read before the model looks: what gets other content meanwhile is looked at next time.
        digests = {known.id: known.digest for known in engine.known()}
        found: dict[str, dict[str, float]] = {each: {} for each in engine.matching_ids(only)}
        with self._model.waiting("Looking for the labels in all images"):
            matches = self._asking.searcher().matching(labels, only, min_strength)
        for label, rated in zip(labels, matches, strict=True):
            for each, score in rated.items():
                found.setdefault(each, {})[label] = score
        calibration = self._model.backgrounds().calibration

        def shown(score: float) -> str:
            import numpy as np

            scores = np.array([score])
            if calibration is not None:
                return f"{calibration.probabilities(scores)[0]:.2f}"
            return strengths(scores)[0]

        tagging.label(
            found, mark, field=LABEL_CONFIDENCES, engine=engine, digests=digests, shown=shown
        )
        return {
            "": len(found),
            **{label: len(rated) for label, rated in zip(labels, matches, strict=True)},
        }

    def tag_from(
        self,
        labels_from: str | os.PathLike[str],
        *,
        min_score: float,
        where: Filter | str | None,
        again: bool,
        on_progress: Callable[[Progress], None] | None,
    ) -> dict[str, int]:
        """Tag images with what a classifier sees in them; see `Library.tag_from`."""
        engine = self._opened.engine
        if not 0 < min_score <= 1:
            raise QueryError("min_score lies above 0, up to 1", min_score, "Such as 0.5.")
        only = self._asking.filter(where)
        if self._asking.is_empty():
            return {"": 0}
        classifier = self.classifier(labels_from)
        mark = tagging.name_of(classifier.fingerprint, (), min_score)
        if not again:
            only = both(only, _not_labelled(mark))
        ids = list(engine.matching_ids(only))
        counts: Counter[str] = Counter()
        looking = tagging.classified(
            ids, classifier, min_score, mark, engine=engine, picture_of=self._seen
        )
        with contextlib.closing(looking):  # what was seen is written, also if it breaks off
            for done, found in enumerate(looking, 1):
                counts.update(found)
                if on_progress is not None:
                    on_progress(Progress("index", done, len(ids)))
        return {"": len(ids), **dict(counts.most_common())}

    def classify(
        self,
        images: Sequence[str | os.PathLike[str] | Image.Image | Pixels],
        *,
        labels: Sequence[str],
        templates: Sequence[str],
        labels_from: str | os.PathLike[str],
        k: int,
    ) -> list[tuple[Guess, ...]]:
        """Return the likeliest labels of each image; see `Library.classify`."""
        with self._model.waiting("Classifying"):
            if not labels:
                return self._classified(images, labels_from, k)
            return self._chosen(images, labels, templates, k)

    def _chosen(
        self,
        images: Sequence[str | os.PathLike[str] | Image.Image | Pixels],
        labels: Sequence[str],
        templates: Sequence[str],
        k: int,
    ) -> list[tuple[Guess, ...]]:
        import numpy as np

        from pixseek.search import classification, term_vectors

        # Before the model, which may have to be downloaded: an image may not exist.
        terms = [self._opened.image_term(each) for each in images]
        encoder = self._model.encoder()
        texts = classification.label_vectors(encoder, labels, templates or classification.TEMPLATES)
        known = encoder.likelihood() if isinstance(encoder, Contrastive) else None
        rows = term_vectors.embed(
            terms,
            engine=self._opened.engine,
            encoder=self._model.encoder,
            picture_of=self._opened.content,
            fetch=self._opened.fetch,
            texts_of=self._model.texts_of,
        )
        vectors = np.stack(rows) if rows else np.empty((0, texts.shape[1]), np.float32)
        return classification.classify(
            vectors, labels, texts, known or classification.CLIP, k=max(1, k)
        )

    def _classified(
        self,
        images: Sequence[str | os.PathLike[str] | Image.Image | Pixels],
        name: str | os.PathLike[str],
        k: int,
    ) -> list[tuple[Guess, ...]]:
        from pixseek.search import classification, term_vectors

        terms = [self._opened.image_term(each) for each in images]
        classifier = self.classifier(name)
        found = []
        for term in terms:
            picture = term_vectors.picture(
                term,
                at_least=2 * classifier.input_side,
                engine=self._opened.engine,
                picture_of=self._opened.content,
                fetch=self._opened.fetch,
            )
            likely = classifier.probabilities(classifier.prepare(picture)[None])
            found += classification.best(likely, classifier.labels, k=max(1, k))
        return found

    def classifier(self, name: str | os.PathLike[str]) -> Classifier:
        """Return a classifier, downloading it if needed; see `Library.classifier`."""
        from pixseek.encoders import classifiers

        config = self._opened.config
        named = os.fspath(name) or classifiers.DEFAULT
        with self._model.waiting(f"Loading the classifier {os.path.basename(named)}"):
            return classifiers.load(
                named,
                models_dir=config.models_dir,
                offline=config.offline,
                threads=config.threads,
                on_progress=self._model.on_download,
            )

    def _seen(self, record: Record) -> bytes | None:
        """Return the preview of a record, which is quick to decode, or its file."""
        return self._opened.preview(record) or self._opened.content(record)

    def _ids(self, targets: Sequence[str]) -> list[str]:
        """Return the ids of records given by ids, files or URIs, each once."""
        found: dict[str, None] = {}
        engine, roots = self._opened.engine, self._opened.roots
        for start in range(0, len(targets), TARGETS):
            some = targets[start : start + TARGETS]
            uris = [roots.uri_of(each) or each for each in some]
            by_id = engine.get(some)
            by_uri = engine.get([record_id(uri) for uri in uris])
            for target, one, other in zip(some, by_id, by_uri, strict=True):
                record = one or other
                if record is None:
                    raise QueryError(
                        "Not in the library",
                        target,
                        "Name an id, or a file of the library. New files: pixseek index",
                    )
                found[record.id] = None
        return list(found)


def _not_labelled(mark: str) -> Filter:
    """Return the filter for images in which these labels were not looked for yet."""
    return Not(Compare(f"fields.{LABELLED}", "eq", mark))
