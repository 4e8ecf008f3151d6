"""cachetools' own tests of what a cache is, run on a cache: as they are in its source distribution, from PyPI."""

from __future__ import annotations

import importlib.util
import math
import unittest
from types import ModuleType
from typing import Any

import pytest
from support.anykeys import AnyKeyCache
from support.sdists import unpacked_sdist

from striate import Cache, PickleCodec

VERSION = "8.0.1"
SHA256 = "deb1d376d4d28c2f33f3e3058043b005e0af75c35c094bd54053e27d2906ad95"

# Test → why it fails. A ratchet: what passes must go, and a new entry needs a reason in the review.
NO_SIZES = "no getsizeof: the sizes are bytes, and the cache counts them"
NO_COPIES = "a cache is not copied or pickled: it has locks, and memory of its own"
NO_ZERO = "the test has a cache with no room at all; a bound is at least 1"
FAILS = {
    "test_clear_getsizeof": NO_SIZES,
    "test_copy": NO_COPIES,
    "test_copy_attributes": NO_COPIES,
    "test_copy_getsizeof": NO_COPIES,
    "test_copy_maxsize": NO_COPIES,
    "test_deepcopy": NO_COPIES,
    "test_deepcopy_maxsize": NO_COPIES,
    "test_defaults": NO_SIZES,
    "test_getsizeof_negative": NO_SIZES,
    "test_getsizeof_param": NO_SIZES,
    "test_getsizeof_replace_grow": NO_SIZES,
    "test_getsizeof_replace_same_size": NO_SIZES,
    "test_getsizeof_replace_shrink": NO_SIZES,
    "test_getsizeof_subclass": NO_SIZES,
    "test_maxsize_negative": "a bound is an int: minus infinity is a TypeError",
    "test_maxsize_zero": NO_ZERO,
    "test_missing": "no __missing__: a memoized function or a storage gives what is missing",
    "test_missing_getsizeof": NO_SIZES,
    "test_pickle": NO_COPIES,
    "test_pickle_maxsize": NO_COPIES,
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """cachetools' module of tests; it imports cachetools, which comes with it."""
    source = unpacked_sdist("cachetools", VERSION, SHA256, tmp_path_factory.mktemp("cachetools"))
    spec = importlib.util.spec_from_file_location("cachetools_tests", source / "tests" / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(source / "src")
        spec.loader.exec_module(module)
    return module


class SizedCache(AnyKeyCache):
    """A cache with the names that cachetools has."""

    policy: Any

    def __init__(self, maxsize: float) -> None:
        self.maxsize = maxsize
        most = None if maxsize == math.inf else maxsize
        self.cache = Cache(max_items=most, policy=self.policy, codec=PickleCodec())  # type: ignore[arg-type]

    @property
    def currsize(self) -> int:
        return self.cache.stats().entries


@pytest.mark.parametrize("policy", ["adaptive", "frequency", "recency"])
def test_what_cachetools_tests(suite: ModuleType, policy: str) -> None:
    kind = type("Cache", (SizedCache,), {"policy": policy})
    case = type("Tests", (unittest.TestCase, suite.CacheTestMixin), {"Cache": kind})
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    result = unittest.TestResult()
    tests.run(result)
    failed = {test.id().rpartition(".")[2]: trace for test, trace in result.failures + result.errors}
    assert result.testsRun > 20 and not result.skipped
    unexpected = "\n".join(trace for name, trace in failed.items() if name not in FAILS)
    assert not unexpected, unexpected
    assert failed.keys() == FAILS.keys(), "what passes is no exception any more"
