"""What a Vespa application of pixseek has, as data: its fields, spaces and rank profiles.

`application` writes the application package from this, and the store reads and writes the same
names. One document is one record with its vectors in all spaces.

A space is a group of fields whose names end in its slot, such as `vector_clip_b32_openai`. The slot
comes from the model's name and not from the fingerprint: a package can be made before a model is
downloaded, and its queries can be read. The fingerprint of each slot is kept by the store. Which
fields exist is decided by the deployed schema, so a space can't be added without deploying again.

Vespa has no null: a number that is missing is stored as the least of its type. So conditions on
numbers also ask for the token that says whether a column has a value (`tokens.exists`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from pixseek.engines.stored_fields import Column, Kind
from pixseek.types.dataclass import dataclass

#: The version of these fields; the store writes it into the library's list of spaces.
FORMAT = 1
#: The namespace in the ids of documents, `id:pixseek:NAME::RECORD`.
NAMESPACE = "pixseek"

#: How vectors are stored and searched: as numbers of 16 or 32 bits, or by their signs.
VectorType = Literal["bfloat16", "float", "binary"]
TYPES: tuple[VectorType, ...] = ("bfloat16", "float", "binary")

#: Limits of the generated query profile; Vespa's own are 400 hits and an offset of 1,000.
MAX_HITS = 10_000
MAX_OFFSET = 100_000

#: What a document type may be called here: also a file name and a word in YQL.
_NAME = "[a-z][a-z0-9_]{0,62}"
#: Words of YQL, of document selections and of schemas, and what Vespa itself calls so in each
#: application: it refuses them as names, or reads them otherwise.
_RESERVED = frozenset({
    "admin", "and", "asc", "by", "client", "contains", "default", "desc", "document", "expression",
    "false", "from", "hosts", "id", "in", "limit", "matches", "native", "not", "null", "offset",
    "or", "order", "position", "range", "routing", "select", "sources", "timeout", "true", "vespa",
    "where",
})  # fmt: skip
#: What is wrong with other names, for errors.
NAMES = (
    "Begin with a small letter; small letters, digits and _ may follow, 63 at most. Words of "
    "Vespa, such as from and admin, are not names."
)
#: Longest slot, in characters.
_LONGEST_SLOT = 48


class Field(NamedTuple):
    """A field of a schema.

    Attributes:
        name: in documents and queries.
        type: in the words of a schema, such as `array<string>`.
        indexing: what is done with it: `summary`, `attribute`, `index`, or a whole expression.
        settings: further lines of its body.
        derived: whether Vespa computes it from another field, outside of the document.
    """

    name: str
    type: str
    indexing: str
    settings: tuple[str, ...] = ()
    derived: bool = False

    @property
    def is_attribute(self) -> bool:
        """Whether it is in memory: it can be filtered, sorted and grouped."""
        return "attribute" in self.indexing


# ------------------------------------------------------------------ the fields of a record

_FAST = "attribute: fast-search"
#: By code point, as pixseek compares; the dictionary follows.
_EXACT = "match { word\n cased }"
_FILTER = "rank: filter"
_RAW_ORDER = "sorting { function: raw }"


def _number(name: str, type_: str = "long") -> Field:
    return Field(name, type_, "summary | attribute", (_FAST, _FILTER))


def _word(name: str) -> Field:
    settings = (_FAST, _EXACT, _RAW_ORDER, _FILTER)
    return Field(name, "string", "summary | attribute", settings)


def _words(name: str, indexing: str = "summary | attribute") -> Field:
    return Field(name, "array<string>", indexing, (_FAST, _EXACT, _FILTER))


def _stems(name: str) -> Field:
    # One element is one stem: nothing of Vespa may cut or fold it again.
    settings = ("match: word", "stemming: none", "normalizing: none", "index: enable-bm25")
    return Field(name, "array<string>", "index", settings)


def _own(name: str, value: str) -> Field:
    """Return a map from the names of a user's fields to numbers, for `sameElement`."""
    key = f"struct-field key {{ indexing: attribute\n {_FAST}\n match: cased }}"
    number = f"struct-field value {{ indexing: attribute\n {_FAST} }}"
    return Field(name, f"map<string, {value}>", "summary", (key, number))


#: What a record has, whatever the spaces.
RECORD: tuple[Field, ...] = (
    _word("id"),
    # The 16 bytes of `tokens.placed`: scans go through documents in this order.
    Field("place_high", "long", "attribute", (_FAST, _FILTER)),
    Field("place_low", "long", "attribute", (_FILTER,)),
    # To be read, sorted, grouped and used in queries by hand.
    *(_word(name) for name in ("uri", "root", "folder", "name", "media", "format", "camera")),
    _word("folder_uri"),
    # Not in memory: each is another for each image, and `tokens` has them.
    *(Field(name, "string", "summary") for name in ("digest", "pixels")),
    Field("caption", "string", "summary | index", ("index: enable-bm25",)),
    *(_words(name) for name in ("tags", "people", "colours")),
    *(_number(name) for name in ("width", "height", "size", "mtime", "taken_at", "taken_at_utc")),
    *(_number(name, "double") for name in ("aspect", "megapixels")),
    _number("year", "int"),
    Field("away", "bool", "summary | attribute", (_FILTER,)),
    Field("location", "position", "summary | attribute"),
    # What pixseek's own filters, facets and searches by words ask for.
    _words("tokens", "attribute"),
    *(_words(name, "attribute") for name in ("tag_keys", "person_keys", "terms")),
    *(_own(name, "long") for name in ("own_integers", "own_times", "own_instants")),
    _own("own_reals", "double"),
    _stems("stems_strong"),
    _stems("stems_weak"),
    # All texts as they were written, for `userQuery()` and `userInput()` in queries by hand.
    Field("text", "string", "index", ("index: enable-bm25",)),
)

#: The attribute of each column that is stored as a value of its own.
COLUMNS: Mapping[Column, str] = {
    Column("uri", "written"): "uri",
    Column("name", "written"): "name",
    Column("width", "integer"): "width",
    Column("height", "integer"): "height",
    Column("size", "integer"): "size",
    Column("mtime", "integer"): "mtime",
    Column("aspect", "real"): "aspect",
    Column("megapixels", "real"): "megapixels",
    Column("taken_at", "wall"): "taken_at",
    Column("taken_at", "instant"): "taken_at_utc",
    Column("away", "truth"): "away",
    Column("location", "place"): "location",
}

#: The map that holds a user's numbers of each kind, by the field's name without "fields.".
OWN: Mapping[Kind, str] = {
    "integer": "own_integers", "real": "own_reals", "wall": "own_times", "instant": "own_instants",
}  # fmt: skip

#: The attribute that is grouped for each facet, and for the keys of those that have some
#: (`tokens.facet_values`). `year` has no value for images without a date.
FACETS: Mapping[str, str] = {
    "folder": "folder_uri", "year": "year", "camera": "camera", "tag": "tags", "person": "people",
    "colour": "colours", "format": "format", "tag_key": "tag_keys", "person_key": "person_keys",
}  # fmt: skip

#: The other document type, `NAME_library`: the list of spaces, and small texts about the library.
LIBRARY: tuple[Field, ...] = (
    _word("id"),
    _word("kind"),
    Field("place_high", "long", "attribute", (_FAST, _FILTER)),
    Field("place_low", "long", "attribute", (_FILTER,)),
    Field("content", "string", "summary"),
    Field("version", "long", "summary | attribute"),
)


def library_of(name: str) -> str:
    """Return the document type of what is about the whole library."""
    return f"{name}_library"


def is_name(name: str) -> bool:
    """Return whether a document type may have this name."""
    return re.fullmatch(_NAME, name) is not None and name not in _RESERVED


# ------------------------------------------------------------------ spaces


@dataclass(frozen=True, slots=True)
class Hnsw:
    """The graph of the nearest neighbours.

    Attributes:
        links: `max-links-per-node`; the lowest level has twice as many.
        explore: `neighbors-to-explore-at-insert`.
    """

    links: int = 16
    explore: int = 200


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a space in the schema.

    Attributes:
        name: what the names of its fields end in; see `slot_name`.
        dim: length of its vectors.
    """

    name: str
    dim: int

    @property
    def vector(self) -> str:
        """Field of the vector of the first part, (dim,)."""
        return f"vector_{self.name}"

    @property
    def more(self) -> str:
        """Field of the vectors of further parts, by their index in the record: "1", "2", ..."""
        return f"more_{self.name}"

    @property
    def signs(self) -> str:
        """Field of the signs of `vector`, 8 in a byte; only of the type "binary"."""
        return f"signs_{self.name}"

    @property
    def more_signs(self) -> str:
        """Field of the signs of `more`; only of the type "binary"."""
        # Not "more_signs": a model called "signs" would have a field of that name.
        return f"moresigns_{self.name}"

    @property
    def record(self) -> str:
        """Field of the whole record as this space has it (`tokens.packed`)."""
        return f"record_{self.name}"

    @property
    def vectors(self) -> str:
        """Field of the vectors of all parts (`tokens.packed_vectors`)."""
        return f"vectors_{self.name}"

    @property
    def parts(self) -> str:
        """Attribute: how many parts have vectors."""
        return f"parts_{self.name}"

    @property
    def version(self) -> str:
        """Attribute: changes with each write in this space."""
        return f"version_{self.name}"

    @property
    def closeness(self) -> str:
        """Rank profile of searches by `query(q)`, (dim,) float: closeness of the best part."""
        return f"closeness_{self.name}"

    @property
    def hybrid(self) -> str:
        """Rank profile that fuses `closeness` and words by their ranks."""
        return f"hybrid_{self.name}"

    @property
    def binary(self) -> str:
        """Rank profile by `query(qb)`, (bytes,) int8, rescored by `query(q)`; of "binary" only."""
        return f"binary_{self.name}"

    @property
    def exact(self) -> str:
        """Rank profile that scores whatever the query matches by `query(q)`; no index is used."""
        return f"exact_{self.name}"

    @property
    def bytes(self) -> int:
        """How many bytes hold the signs of a vector."""
        return -(-self.dim // 8)

    @property
    def with_record(self) -> str:
        """Document summary of `id`, `record` and `version`."""
        return f"record_{self.name}"

    @property
    def with_vectors(self) -> str:
        """Document summary of `id` and `vectors`, by which hits are scored."""
        return f"vectors_{self.name}"

    @property
    def whole(self) -> str:
        """Document summary of `id`, `record`, `version` and `vectors`."""
        return f"whole_{self.name}"

    def fields(self, type_: VectorType, hnsw: Hnsw) -> Iterator[Field]:
        """Yield the fields of the space."""
        graph = (
            f"index {{ hnsw {{ max-links-per-node: {hnsw.links}\n"
            f" neighbors-to-explore-at-insert: {hnsw.explore} }} }}"
        )
        # Rows have length 1. Without the "pre" Vespa would normalise what is normalised.
        angular = "distance-metric: prenormalized-angular"
        cell = "float" if type_ == "float" else "bfloat16"
        for name, signs, part in (
            (self.vector, self.signs, ""),
            (self.more, self.more_signs, "part{},"),
        ):
            tensor = f"tensor<{cell}>({part}x[{self.dim}])"
            if type_ != "binary":
                settings = (f"attribute {{ {angular} }}", graph)
                yield Field(name, tensor, "attribute | index", settings)
                continue
            # Read for the few that are scored again, so it need not be in memory.
            paged = f"attribute {{ paged\n {angular} }}"
            yield Field(name, tensor, "attribute", (paged,))
            packed = f"input {name} | binarize | pack_bits | attribute | index"
            hamming = "attribute { distance-metric: hamming }"
            bits = f"tensor<int8>({part}x[{self.bytes}])"
            yield Field(signs, bits, packed, (hamming, graph), derived=True)
        yield Field(self.record, "string", "summary")
        yield Field(self.vectors, "string", "summary")
        yield Field(self.parts, "int", "summary | attribute", (_FAST, _FILTER))
        yield Field(self.version, "long", "summary | attribute")


def slot_name(model: str, taken: Collection[str] = ()) -> str:
    """Return the name of the slot of a model: its name in small letters, digits and "_".

    Args:
        model: its name, such as "clip-b32-openai".
        taken: slots of other spaces; a second model of the same name gets "_2".
    """
    plain = re.sub("[^a-z0-9]+", "_", model.lower()).strip("_")[:_LONGEST_SLOT].strip("_")
    plain = plain or "model"
    names = (plain if n == 1 else f"{plain}_{n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
