"""A class made by `pixseek.types.dataclass` is compared with the standard library's twin of it."""

import copy
import dataclasses
import inspect
import pickle
import threading
import typing
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pixseek.types
from pixseek.types.dataclass import dataclass

FLAGS = [
    {"frozen": True, "slots": True},
    {"frozen": True},
    {"slots": True},
    {},
    {"frozen": True, "slots": True, "eq": False},
]


def declared() -> type:
    """Declare a class with every kind of field that is in use, with neither decorator."""

    class Photo:
        """A class to decorate."""

        name: str
        size: int = 3
        tags: list[str] = dataclasses.field(default_factory=list)
        raw: bytes = dataclasses.field(default=b"", repr=False)
        view: object = dataclasses.field(default=None, compare=False)
        kinds: typing.ClassVar[int] = 2

        def __post_init__(self) -> None:
            if self.size < 0:
                raise ValueError(self.size)

        @property
        def area(self) -> int:
            return self.size**2

    return Photo


def pair(flags: dict[str, bool], make: Callable[[], type] = declared) -> tuple[Any, Any]:
    return dataclass(**flags)(make()), dataclasses.dataclass(**flags)(make())


values = st.fixed_dictionaries(
    {"name": st.text(max_size=3)},
    optional={
        "size": st.integers(0, 3),
        "tags": st.lists(st.sampled_from("ab"), max_size=2),
        "raw": st.binary(max_size=1),
        "view": st.integers(0, 1),
    },
)


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@settings(max_examples=30)
@given(one=values, other=values)
def test_objects_are_as_the_standard_librarys(
    flags: dict[str, bool], one: dict[str, Any], other: dict[str, Any]
) -> None:
    ours, standard = pair(flags)
    (a, b), (x, y) = [(kind(**one), kind(**other)) for kind in (ours, standard)]
    assert repr(a) == repr(x)
    assert dataclasses.asdict(a) == dataclasses.asdict(x)
    assert (a == b) == (x == y)
    assert (a != b) == (x != y)
    assert a != x
    assert a == a
    assert dataclasses.asdict(dataclasses.replace(a, size=1)) == dataclasses.asdict(
        dataclasses.replace(x, size=1)
    )
    assert dataclasses.asdict(copy.copy(a)) == dataclasses.asdict(a)
    assert dataclasses.asdict(copy.deepcopy(a)) == dataclasses.asdict(a)


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_the_class_is_as_the_standard_librarys(flags: dict[str, bool]) -> None:
    ours, standard = pair(flags)
    assert str(inspect.signature(ours)) == str(inspect.signature(standard))
    assert ours.__match_args__ == standard.__match_args__
    assert getattr(ours, "__slots__", None) == getattr(standard, "__slots__", None)
    assert repr(ours.__dataclass_params__) == repr(standard.__dataclass_params__)
    assert [repr(f) for f in dataclasses.fields(ours)] == [
        repr(f) for f in dataclasses.fields(standard)
    ]
    assert (ours.__hash__ is None) == (standard.__hash__ is None)
    assert ours.__init__.__qualname__ == standard.__init__.__qualname__
    assert ours.__doc__ == standard.__doc__


@dataclass(frozen=True, slots=True)
class Point:
    """At the top of a module, as pickle needs it."""

    x: int
    y: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Single:
    """Of one field."""

    x: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """Of no field."""


@pytest.mark.parametrize("value", [Point(1), Point(1, (2, 3)), Single(4), Nothing()])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_gives_an_equal_object(value: Any, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(value, protocol)) == value


def test_equal_objects_have_equal_hashes_which_are_those_of_their_values() -> None:
    assert hash(Point(1, (2,))) == hash(Point(1, (2,))) == hash((1, (2,)))
    assert hash(Single(4)) == hash((4,))
    assert len({Point(1), Point(1), Single(1), Nothing(), Nothing()}) == 3


@pytest.mark.parametrize("flags", FLAGS[:2], ids=str)
def test_a_frozen_object_refuses_assignment_and_deletion(flags: dict[str, bool]) -> None:
    for kind in pair(flags):
        photo = kind("a")
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'size'"):
            photo.size = 4
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'size'"):
            del photo.size
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
            photo.other = 4
        assert photo.size == 3


def test_a_subclass_that_is_no_dataclass_has_attributes_of_its_own() -> None:
    class More(Point):
        pass

    more = More(1)
    more.note = "x"  # type: ignore[attr-defined]
    assert more.note == "x"  # type: ignore[attr-defined]
    with pytest.raises(dataclasses.FrozenInstanceError):
        more.x = 2  # type: ignore[misc]


def test_methods_that_a_class_has_are_kept() -> None:
    @dataclass(frozen=True)
    class Own:
        """Has all of them."""

        x: int

        def __init__(self) -> None:
            object.__setattr__(self, "x", 5)

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    assert (Own().x, repr(Own()), Own() == 3, hash(Own())) == (5, "own", True, 7)


@pytest.mark.parametrize("arguments", [(), ("a", 1, [], b"", 0, "too many")], ids=["few", "many"])
def test_a_wrong_number_of_arguments_is_a_type_error(arguments: tuple[Any, ...]) -> None:
    ours, standard = pair(FLAGS[0])
    with pytest.raises(TypeError) as theirs:
        standard(*arguments)
    with pytest.raises(TypeError) as error:
        ours(*arguments)
    assert str(error.value) == str(theirs.value)


def test_what_post_init_raises_comes_out() -> None:
    with pytest.raises(ValueError, match="-1"):
        pair(FLAGS[0])[0]("a", -1)


def test_a_default_factory_is_called_for_each_object() -> None:
    ours, _ = pair(FLAGS[0])
    assert ours("a").tags is not ours("a").tags


def test_many_threads_may_make_the_first_object_at_once() -> None:
    ours, _ = pair(FLAGS[0])
    start, made = threading.Barrier(8), []

    def make() -> None:
        start.wait()
        made.append(ours("a"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(made) == 8
    assert len(set(map(repr, made))) == 1


def test_a_match_statement_takes_the_fields_in_order() -> None:
    match Point(1, (2,)):
        case Point(x, (y,)):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("it did not match")


PUBLIC = [getattr(pixseek.types, name) for name in pixseek.types.__all__]
PUBLIC = [each for each in PUBLIC if isinstance(each, type) and dataclasses.is_dataclass(each)]


@pytest.mark.parametrize("kind", PUBLIC)
def test_a_public_type_has_the_signature_that_the_standard_library_would_give(kind: type) -> None:
    fields = [(f.name, f.type, f) for f in dataclasses.fields(kind)]
    twin = dataclasses.make_dataclass(kind.__name__, fields, frozen=True)
    assert str(inspect.signature(kind)) == str(inspect.signature(twin))
