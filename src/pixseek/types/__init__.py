"""The core types: what is indexed, what is asked, what comes back, and the protocols between.

All are frozen. Numpy and Pillow are named in annotations only. A name is imported when it is first
used: a process that searches once needs half of them, and compiling them takes time.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixseek.types.encoders import Accelerable as Accelerable
    from pixseek.types.encoders import Acceleration as Acceleration
    from pixseek.types.encoders import Contrastive as Contrastive
    from pixseek.types.encoders import Encoder as Encoder
    from pixseek.types.encoders import Likelihood as Likelihood
    from pixseek.types.encoders import Literate as Literate
    from pixseek.types.encoders import Precision as Precision
    from pixseek.types.encoders import Separable as Separable
    from pixseek.types.encoders import TextTower as TextTower
    from pixseek.types.engines import Building as Building
    from pixseek.types.engines import Capabilities as Capabilities
    from pixseek.types.engines import Distant as Distant
    from pixseek.types.engines import Embedding as Embedding
    from pixseek.types.engines import Engine as Engine
    from pixseek.types.engines import FacetField as FacetField
    from pixseek.types.engines import Merge as Merge
    from pixseek.types.engines import Movable as Movable
    from pixseek.types.engines import Order as Order
    from pixseek.types.engines import Outlines as Outlines
    from pixseek.types.engines import Outlining as Outlining
    from pixseek.types.engines import WordMatch as WordMatch
    from pixseek.types.engines import WordMatches as WordMatches
    from pixseek.types.layouts import Layout as Layout
    from pixseek.types.queries import And as And
    from pixseek.types.queries import Compare as Compare
    from pixseek.types.queries import DateReading as DateReading
    from pixseek.types.queries import Filter as Filter
    from pixseek.types.queries import Not as Not
    from pixseek.types.queries import Operator as Operator
    from pixseek.types.queries import Or as Or
    from pixseek.types.queries import Query as Query
    from pixseek.types.queries import Region as Region
    from pixseek.types.queries import Sort as Sort
    from pixseek.types.queries import Strength as Strength
    from pixseek.types.queries import Term as Term
    from pixseek.types.records import WHOLE as WHOLE
    from pixseek.types.records import Known as Known
    from pixseek.types.records import Part as Part
    from pixseek.types.records import Picture as Picture
    from pixseek.types.records import Pixels as Pixels
    from pixseek.types.records import Record as Record
    from pixseek.types.records import Scalar as Scalar
    from pixseek.types.records import Space as Space
    from pixseek.types.records import Stamp as Stamp
    from pixseek.types.records import TextLine as TextLine
    from pixseek.types.records import Vectors as Vectors
    from pixseek.types.records import record_id as record_id
    from pixseek.types.results import Embeddings as Embeddings
    from pixseek.types.results import Exclusion as Exclusion
    from pixseek.types.results import Failure as Failure
    from pixseek.types.results import Hit as Hit
    from pixseek.types.results import Moment as Moment
    from pixseek.types.results import Neighbours as Neighbours
    from pixseek.types.results import Progress as Progress
    from pixseek.types.results import Reach as Reach
    from pixseek.types.results import Reason as Reason
    from pixseek.types.results import Report as Report
    from pixseek.types.results import Results as Results
    from pixseek.types.results import Skipped as Skipped
    from pixseek.types.results import WatchEvent as WatchEvent
    from pixseek.types.roots import Root as Root
    from pixseek.types.sources import Candidate as Candidate
    from pixseek.types.sources import FileSystem as FileSystem
    from pixseek.types.sources import Item as Item
    from pixseek.types.sources import Opening as Opening
    from pixseek.types.sources import Packed as Packed
    from pixseek.types.sources import PhotoLibrary as PhotoLibrary
    from pixseek.types.sources import Recognised as Recognised
    from pixseek.types.sources import Remote as Remote
    from pixseek.types.sources import Seekable as Seekable
    from pixseek.types.sources import Source as Source

_HOME = {
    "records": "Scalar Stamp Part WHOLE record_id TextLine Record Known Space Picture",
    "queries": "Operator Compare And Or Not Filter Region Term Strength Sort DateReading Query",
    "results": "Reason Embeddings Exclusion Neighbours Moment Hit Results Failure Report "
    "Skipped Progress Reach WatchEvent",
    "layouts": "Layout",
    "encoders": "Encoder Precision Acceleration Accelerable Likelihood Contrastive Literate "
    "Separable TextTower",
    "engines": "Capabilities WordMatch WordMatches Order FacetField Merge Engine Distant Building "
    "Embedding Outlines Outlining Movable",
    "roots": "Root",
    "sources": "Candidate FileSystem Item Opening Packed PhotoLibrary Recognised Remote Seekable "
    "Source",
}
_MODULES = {name: module for module, names in _HOME.items() for name in names.split()}
__all__ = [
    "WHOLE",
    "Accelerable",
    "Acceleration",
    "And",
    "Building",
    "Candidate",
    "Capabilities",
    "Compare",
    "Contrastive",
    "DateReading",
    "Distant",
    "Embedding",
    "Embeddings",
    "Encoder",
    "Engine",
    "Exclusion",
    "FacetField",
    "Failure",
    "FileSystem",
    "Filter",
    "Hit",
    "Item",
    "Known",
    "Layout",
    "Likelihood",
    "Literate",
    "Merge",
    "Moment",
    "Movable",
    "Neighbours",
    "Not",
    "Operator",
    "Or",
    "Order",
    "Outlines",
    "Outlining",
    "Part",
    "PhotoLibrary",
    "Picture",
    "Precision",
    "Progress",
    "Query",
    "Reach",
    "Reason",
    "Record",
    "Region",
    "Report",
    "Results",
    "Root",
    "Scalar",
    "Separable",
    "Skipped",
    "Sort",
    "Source",
    "Space",
    "Stamp",
    "Strength",
    "Term",
    "TextLine",
    "TextTower",
    "WordMatch",
    "WordMatches",
    "record_id",
]


def __getattr__(name: str) -> Any:
    """Import the module that a name lives in."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return all names, whether they were used or not."""
    return sorted({*globals(), *_MODULES})
