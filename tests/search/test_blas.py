from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pixseek.search import blas


@pytest.fixture
def threads() -> Iterator[int]:
    """How many threads a matrix product takes; the test is skipped where that can't be told."""
    functions = blas._functions()
    if functions is None:
        pytest.skip("numpy computes without OpenBLAS, or with one thread")
    get, set_ = functions
    before = get()
    set_(2)
    if get() < 2:
        pytest.skip("numpy computes without OpenBLAS, or with one thread")
    yield 2
    set_(before)


def now() -> int:
    functions = blas._functions()
    assert functions is not None
    return functions[0]()


def test_products_use_one_thread_inside_the_block_only(
    threads: int,
) -> None:
    with blas.one_thread():
        assert now() == 1
        with blas.one_thread():
            assert now() == 1
        assert now() == 1
    assert now() == threads
    with pytest.raises(ValueError, match="inside"), blas.one_thread():
        raise ValueError("inside")
    assert now() == threads


def test_the_last_thread_to_leave_restores_what_was_before(threads: int) -> None:
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with blas.one_thread():
            inside.set()
            leave.wait(60)

    other = threading.Thread(target=stay)
    with blas.one_thread():
        other.start()
        assert inside.wait(60)
    assert now() == 1
    leave.set()
    other.join()
    assert now() == threads


def test_without_openblas_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_functions", lambda: None)
    with blas.one_thread():
        pass
