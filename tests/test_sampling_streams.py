"""The random numbers of samplers: by address, uniform, and independent of each other as far as tests can say."""

import numpy as np
import pytest
import samplers
from fastpair.mining._streams import Streams, distinct_ranks, heaviest


def test_any_part_is_that_of_the_whole():
    streams = Streams(3)
    whole = streams.uniform(np.arange(50)[:, np.newaxis], np.arange(40))
    np.testing.assert_array_equal(streams.uniform(np.arange(20, 30)[:, np.newaxis], np.arange(5, 9)), whole[20:30, 5:9])
    np.testing.assert_array_equal(streams.uniform(np.arange(50), np.full(50, 7)), whole[:, 7])
    np.testing.assert_array_equal(Streams(3).uniform(np.array([49]), np.array([39])), whole[49:, 39])
    assert (Streams(4).uniform(np.arange(50)[:, np.newaxis], np.arange(40)) != whole).any()


def test_draws_are_uniform_within_and_across_rows():
    draws = Streams(0).uniform(np.arange(1000)[:, np.newaxis], np.arange(1000))
    assert 0 < draws.min() < draws.max() < 1
    assert len(np.unique(draws)) == draws.size
    for series in (draws[0], draws[:, 0], draws.ravel(), draws.T.ravel()):
        samplers.assert_follows((series * 100).astype(int), np.full(100, 0.01))
    for first, second in ((draws[1:], draws[:-1]), (draws[:, 1:], draws[:, :-1]), (draws[1:, 1:], draws[:-1, :-1])):
        cells = (first * 10).astype(int) * 10 + (second * 10).astype(int)
        samplers.assert_follows(cells.ravel(), np.full(100, 0.01))


def test_streams_of_seeds_beside_each_other_differ():
    series = [Streams(seed).uniform(np.arange(5000), np.zeros(5000)) for seed in range(4)]
    assert (np.abs(np.corrcoef(series) - np.eye(4)) < 0.08).all()


def test_integers_below():
    drawn = Streams(0).below(np.arange(70000), np.array([1]), np.full(70000, 7))
    samplers.assert_follows(drawn, np.full(7, 1 / 7))
    assert Streams(0).below(np.arange(3), np.array([1]), np.array([0, 1, 1 << 52]))[:2].tolist() == [0, 0]


@pytest.mark.parametrize(("size", "k"), [(100, 3), (6, 5), (4, 4), (3, 9), (200, 150)])
def test_distinct_ranks_are_uniform_in_every_place(size, k):
    rows = np.arange(3000)
    ranks = distinct_ranks(Streams(1), rows, np.full(3000, size), k)
    taken = min(k, size)
    assert (ranks[:, taken:] == -1).all()
    assert (np.diff(np.sort(ranks[:, :taken], axis=1), axis=1) > 0).all()
    for place in {0, taken // 2, taken - 1}:
        samplers.assert_follows(ranks[:, place], np.full(size, 1 / size))


def test_distinct_ranks_depend_on_the_row_alone():
    sizes = np.array([0, 1, 5, 1000, 7, 2, 90])
    whole = distinct_ranks(Streams(2), np.arange(7), sizes, 6)
    for row in range(7):
        alone = distinct_ranks(Streams(2), np.array([row]), sizes[row : row + 1], 6)
        np.testing.assert_array_equal(alone[0], whole[row])
    assert distinct_ranks(Streams(2), np.arange(7), sizes, 0).shape == (7, 0)


def test_heaviest_draws_by_weight():
    weights = np.array([0.5, 0.0, 0.3, 0.2])
    with np.errstate(divide="ignore"):
        logs = np.tile(np.log(weights), (20000, 1))
    chosen, counts = heaviest(Streams(0), np.arange(20000), logs, 4)
    assert (counts == 3).all()
    assert (chosen[:, 3] == -1).all()
    samplers.assert_follows(chosen[:, 0], weights)
    far = heaviest(Streams(0), np.arange(2), np.array([[1e5, -1e5], [-1e300, 1e300]]), 1)[0]
    assert far.ravel().tolist() == [0, 1]
