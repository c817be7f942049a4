"""Groups of images that are the same picture, edited or resized from one another, or alike.

Vectors and perceptual hashes say which images are worth comparing. They can't tell a copy from a
picture of the same kind, such as another white page. So each pair is compared by its digests and
pixels, and only pairs with such evidence are copies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pixseek.images import likeness
from pixseek.search.film_copies import Films, FramesOf, as_long, length
from pixseek.types import Engine, Neighbours, Record
from pixseek.types.dataclass import dataclass
from pixseek.video.motion import MOTION, moving_part

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Vectors

#: How the images of a group belong together, by falling evidence: the same coded picture in all,
#: whatever their metadata; made from one another; similar, but different pictures.
Kind = Literal["same", "edited", "alike"]

#: Records whose neighbours are asked for in one call.
_BATCH = 256
#: Neighbours of each that are looked at. A group may be larger: it is joined through its members.
_NEIGHBOURS = 20
#: Differing bits of the hashes of two images that are compared whatever their cosine, at most. Of
#: copies that were recompressed, resized, brighter or marked 19 of 20 have fewer.
_NEAR_HASH = 10
#: Hashes of which all pairs are looked at.
_ALL_PAIRS = 4096
#: Images after each that it is compared with, of those with the same quarter of a hash.
_WINDOW = 8
#: Pairs of near hashes whose records are fetched together.
_PAIRS = 1024
#: Pictures kept for the next comparisons: 256 kB each at most.
_LOOKS = 256
#: Differing bits of the hashes of two photos of one view, at most; of others 32 differ.
_SAME_VIEW = 20
#: Share of the first colour from which a picture is plain: of 300 photos 30 have more, and nearly
#: all documents, screenshots and charts.
_PLAIN_SHARE = 0.6
#: Hexadecimal digits of a digest that tell a million pictures apart: 96 bits.
_DIGITS = 24
#: Sources of a date that are written by cameras, and stay when a picture is edited.
_BY_CAMERA = frozenset(("exif", "xmp"))


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Images that belong together.

    Attributes:
        records: the one to keep first: one with a moving part before those without, then that
            with the most pixels, then bytes, then the oldest file, then by URI; of videos the
            longest.
        exact: whether all have the same content, byte for byte, and so have their moving parts.
        kind: "same" if all have the same picture, perhaps with other metadata; "edited" if some
            were made from others: recompressed, resized, cropped, marked; "alike" if they look
            alike and are different pictures: a burst, pages of one form. Never remove one of those
            without a look.
    """

    records: tuple[Record, ...]
    exact: bool
    kind: Kind = "edited"

    @property
    def kept(self) -> Record:
        """The one to keep."""
        return self.records[0]

    @property
    def rest(self) -> tuple[Record, ...]:
        """The others."""
        return self.records[1:]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where the pixels of records come from.

    Attributes:
        small: returns a picture of at least some 256 pixels a side, or smaller if the image is;
            None if there is none.
        full: returns the picture at full size; None if its file can't be read.
        frames: returns the frames of a video at some ascending seconds; none if it can't be read.
    """

    small: Callable[[Record], Image.Image | None]
    full: Callable[[Record], Image.Image | None]
    frames: FramesOf = lambda *_: ()


def exact(engine: Engine) -> Iterator[DuplicateGroup]:
    """Yield the groups of files with the same content, by the URI of the one to keep.

    A live photo and its picture without the clip do not make such a group.
    """
    ids: dict[tuple[str, object], list[str]] = {}
    for records, _ in engine.export(_BATCH):
        for record in records:
            if record.digest and not record.away:
                ids.setdefault((record.digest, moving_part(record)), []).append(record.id)
    groups = (_group(engine, each, "same") for each in ids.values() if len(each) > 1)
    yield from sorted((each for each in groups if each), key=lambda group: group.kept.uri)


def find(engine: Engine, least_cosine: float, pictures: Pictures) -> Iterator[DuplicateGroup]:
    """Yield the groups of a library: copies before those that are alike, by URI.

    Two images are compared if their cosine is at least `least_cosine`, or if their hashes are
    close; whole images, since one that is nearly a tile of another is a part of it. A chain of
    copies is one group, but two videos are not joined by what was cut out of both. Of each group
    of copies only the one to keep can be in a group of images that are alike, which are those with
    that cosine. Of videos see `film_copies`; no photo is a copy of one.

    Args:
        engine: holds the images.
        least_cosine: from which two are compared.
        pictures: their pixels.
    """
    found_copies, films = _Copies(pictures), Films(engine, pictures.frames)
    copies, alike = found_copies.sets, _Sets()
    by_digest: dict[str, str] = {}
    hashed: list[str] = []
    hashes: list[int] = []
    for exported, vectors in engine.export(_BATCH):
        records = [record for record in exported if record.parts]
        films.add(records, vectors)
        rows = _whole(records, vectors)
        found = engine.nearest(rows, _NEIGHBOURS)
        near: list[tuple[Record, list[str]]] = []
        for record, row, answer in zip(records, rows, found, strict=True):
            for digest in filter(None, (record.digest, record.pixels)):
                first = by_digest.setdefault(digest[:_DIGITS], record.id)
                if first != record.id:
                    copies.join(record.id, first)
            if record.perceptual_hash and not record.is_video:
                hashed.append(record.id)
                hashes.append(int(record.perceptual_hash, 16))
            like = _alike(engine, row, answer, least_cosine)
            near.append((record, [each for each in like if each != record.id]))
        held = _held(engine, {each for _, others in near for each in others})
        for record, others in near:
            for each in others:
                other = held.get(each)
                # A photo is not a copy of a video that shows the same, and the frames of two
                # videos of one room say little.
                if other is not None and not (record.is_video or other.is_video):
                    alike.join(record.id, other.id)
                    found_copies.compare(record, other)
    pairs = [(hashed[a], hashed[b]) for a, b in near_hashes(hashes)]
    for at in range(0, len(pairs), _PAIRS):
        some = pairs[at : at + _PAIRS]
        held = _held(engine, {each for pair in some for each in pair})
        for one_id, other_id in some:
            if one_id in held and other_id in held:
                found_copies.compare(held[one_id], held[other_id])
    found_copies.join_films(films.copies())
    yield from _groups(engine, copies, alike, found_copies.edited)


def _groups(
    engine: Engine, copies: _Sets, alike: _Sets, edited: set[str]
) -> Iterator[DuplicateGroup]:
    groups = []
    for ids in copies.all():
        kind: Kind = "edited" if not edited.isdisjoint(ids) else "same"
        if group := _group(engine, ids, kind):
            groups.append(group)
    yield from sorted(groups, key=lambda group: group.kept.uri)
    extra = {record.id for group in groups for record in group.rest}
    for group in groups:  # what is alike to a copy is alike to the one that is kept
        for record in group.rest:
            if record.id in alike:
                alike.join(group.kept.id, record.id)
    groups = []
    for ids in alike.all():
        if group := _group(engine, [each for each in ids if each not in extra], "alike"):
            groups.append(group)
    yield from sorted(groups, key=lambda group: group.kept.uri)


def _group(engine: Engine, ids: list[str], kind: Kind) -> DuplicateGroup | None:
    """Return the group of these records; None if fewer than two are left."""
    records = sorted((each for each in engine.get(ids) if each is not None), key=_merit)
    if len(records) < 2:
        return None
    contents = {(record.digest, moving_part(record)) for record in records}
    return DuplicateGroup(tuple(records), bool(records[0].digest) and len(contents) == 1, kind)


# ------------------------------------------------------------------ evidence


def same_picture(one: Record, other: Record) -> bool:
    """Return whether two files have the same content, or the same picture with other metadata."""
    same_content = bool(one.digest) and one.digest == other.digest
    return same_content or (bool(one.pixels) and one.pixels == other.pixels)


def taken_apart(one: Record, other: Record) -> bool:
    """Return whether a camera says that two images were taken at different times."""
    times = one.taken_at, other.taken_at
    for record in (one, other):
        if record.fields.get("taken_from") not in _BY_CAMERA:
            return False
    if not all(isinstance(time, datetime) for time in times):
        return False
    first, second = (time.replace(tzinfo=None) for time in times if time is not None)
    if not (first.microsecond and second.microsecond):  # one lacks the fraction of its second
        first, second = first.replace(microsecond=0), second.replace(microsecond=0)
    return first != second


def shown_once(one: Record, other: Record) -> bool:
    """Return whether a list of hits needs only one of two images whose vectors are close.

    Of photos, frames of a burst are shown once too. Documents, screenshots and other pictures that
    are mostly of one colour look alike even if they say different things: these are shown unless
    they are the same. Nothing is decoded, since that would take longer than the search.
    """
    if same_picture(one, other):
        return True
    if _is_plain(one) or _is_plain(other):
        return False
    return likeness.distance(one.perceptual_hash, other.perceptual_hash) <= _SAME_VIEW


def _is_plain(record: Record) -> bool:
    """Return whether one colour covers most of an image; True if that is unknown."""
    share = str(record.fields.get("colours", "")).partition(" ")[0].partition(":")[2]
    try:
        return not share or float(share) > _PLAIN_SHARE
    except ValueError:  # an image may bring a field of this name
        return True


class _Copies:
    """Compares records, and joins those that are copies of each other.

    Attributes:
        sets: of copies.
        edited: records that were joined by their pixels, not by a digest.
    """

    def __init__(self, pictures: Pictures) -> None:
        self.sets = _Sets()
        self.edited: set[str] = set()
        self._pictures = pictures
        self._compared: set[tuple[str, str]] = set()
        self._looks: OrderedDict[str, likeness.Look | None] = OrderedDict()

    def compare(self, one: Record, other: Record) -> None:
        """Join two images if they are copies, unless that is known; each content is read once."""
        pair = _pair(one, other)
        if pair in self._compared or self.sets.are_one(one.id, other.id):
            return
        self._compared.add(pair)
        if same_picture(one, other):
            self.sets.join(one.id, other.id)
        elif self._is_edited(one, other):
            self.sets.join(one.id, other.id)
            self.edited.add(one.id)

    def join_films(self, pairs: Iterable[tuple[Record, Record]]) -> None:
        """Join videos that were made from one another, once all that are equal are joined.

        A clip may be cut out of two films, which are not copies of each other. So it, with its own
        copies, is joined to one of them, the longest.

        Args:
            pairs: of videos, the shorter one first.
        """
        cut: list[tuple[Record, Record]] = []
        for short, long in pairs:
            self.edited.add(short.id)
            if as_long(short, long):
                self.sets.join(short.id, long.id)
            else:
                cut.append((short, long))
        longest: dict[str, tuple[float, str]] = {}
        for short, long in cut:
            clip, film = self.sets.leader(short.id), (length(long), long.id)
            longest[clip] = max(longest.get(clip, film), film)
        for clip, (_, id_) in longest.items():
            self.sets.join(clip, id_)

    def _is_edited(self, one: Record, other: Record) -> bool:
        """Return whether one image was made from the other; False without pixels."""
        if taken_apart(one, other):
            return False
        looks = self._look(one), self._look(other)
        if looks[0] is None or looks[1] is None or not likeness.is_copy(looks[0], looks[1]):
            return False
        if not (looks[0].is_plain or looks[1].is_plain):
            return True
        full = self._pictures.full(one), self._pictures.full(other)
        return (
            full[0] is not None
            and full[1] is not None
            and likeness.agree_in_detail(full[0], full[1])
        )

    def _look(self, record: Record) -> likeness.Look | None:
        key = record.digest or record.id
        if key not in self._looks:
            picture = self._pictures.small(record)
            self._looks[key] = None if picture is None else likeness.look(picture)
            if len(self._looks) > _LOOKS:
                self._looks.popitem(last=False)
        self._looks.move_to_end(key)
        return self._looks[key]


def near_hashes(hashes: Sequence[int]) -> list[tuple[int, int]]:
    """Return pairs of places of hashes that differ in few of their 64 bits.

    All such pairs of up to 4,096 hashes (0.5 s). Of more, each quarter is sorted by itself, and
    each hash is compared with the next ones that have the same: a million take 6 s, and of pairs
    that differ in 4 bits 87 % are found, in 8 bits 28 %.
    """
    import numpy as np

    every = np.array(hashes, np.uint64)
    bits = np.array([n.bit_count() for n in range(1 << 16)], np.uint8)
    found: set[tuple[int, int]] = set()
    if len(every) <= _ALL_PAIRS:
        for at in range(len(every) - 1):
            differing = (every[at + 1 :] ^ every[at]).view(np.uint16).reshape(-1, 4)
            near = np.flatnonzero(bits[differing].sum(1, dtype=np.int64) <= _NEAR_HASH)
            found.update((at, at + 1 + each) for each in near.tolist())
        return sorted(found)
    for shift in (0, 16, 32, 48):
        quarter = (every >> np.uint64(shift)).astype(np.uint16)
        order = np.lexsort((every, quarter))
        for step in range(1, min(_WINDOW + 1, len(order))):
            one, other = order[:-step], order[step:]
            same = quarter[one] == quarter[other]
            one, other = one[same], other[same]
            differing = (every[one] ^ every[other]).view(np.uint16).reshape(-1, 4)
            near = bits[differing].sum(1, dtype=np.int64) <= _NEAR_HASH
            pairs = np.sort(np.stack([one[near], other[near]], 1), axis=1)
            found.update((a, b) for a, b in pairs.tolist())
    return sorted(found)


def _pair(one: Record, other: Record) -> tuple[str, str]:
    """Return a key for two contents, in either order."""
    first, second = sorted((one.digest or one.id, other.digest or other.id))
    return first, second


def _held(engine: Engine, ids: Iterable[str]) -> Mapping[str, Record]:
    wanted = list(ids)
    records = engine.get(wanted) if wanted else []
    return {record.id: record for record in records if record is not None}


# ------------------------------------------------------------------ neighbours and sets


def _whole(records: list[Record], vectors: Vectors) -> Vectors:
    """Return the first vector of each record."""
    import numpy as np

    starts = np.cumsum([0, *(len(record.parts) for record in records)])[:-1]
    first: Vectors = vectors[starts]
    return first


def _alike(engine: Engine, whole: Vectors, near: Neighbours, least_cosine: float) -> Iterator[str]:
    """Yield the ids of those neighbours that are, as a whole, nearly the same."""
    by_tile: list[str] = []
    for other, part, score in zip(near.ids, near.parts, near.scores.tolist(), strict=True):
        if score >= least_cosine:
            if part == 0:
                yield other
            else:
                by_tile.append(other)
    for other, rows in zip(by_tile, engine.vectors(by_tile) if by_tile else (), strict=True):
        if rows is not None and len(rows) and float(rows[0] @ whole) >= least_cosine:
            yield other


def _merit(record: Record) -> tuple[bool, int, int, int, int, str]:
    size, mtime = (record.stamp.size, record.stamp.mtime_ns) if record.stamp else (0, 0)
    # What was cut out of a video has less than all of it, whatever its size.
    seconds = round(length(record)) if record.is_video else 0
    # A photo with its clip says more than the same photo without.
    is_still = not (record.shots or record.fields.get(MOTION))
    return (is_still, -seconds, -record.width * record.height, -size, mtime, record.uri)


class _Sets:
    """Disjoint sets of ids."""

    def __init__(self) -> None:
        self._leaders: dict[str, str] = {}

    def __contains__(self, each: str) -> bool:
        return each in self._leaders

    def join(self, one: str, other: str) -> None:
        """Put the sets of both together."""
        self._leaders[self.leader(one)] = self.leader(other)

    def are_one(self, one: str, other: str) -> bool:
        """Return whether both are in one set."""
        both = one in self._leaders and other in self._leaders
        return both and self.leader(one) == self.leader(other)

    def all(self) -> list[list[str]]:
        """Return the members of each set."""
        members: dict[str, list[str]] = {}
        for each in list(self._leaders):
            members.setdefault(self.leader(each), []).append(each)
        return list(members.values())

    def leader(self, each: str) -> str:
        """Return the id that stands for the set of one; it stands alone if it is in none yet."""
        self._leaders.setdefault(each, each)
        while self._leaders[each] != each:
            self._leaders[each] = self._leaders[self._leaders[each]]
            each = self._leaders[each]
        return each
