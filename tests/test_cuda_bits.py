"""Roles of pairs and packed bits on the device are those of the kernels for processors."""

import libraries
import numpy as np
import pytest
from cases import generator
from fastpair import _core, mining
from fastpair._array import GpuCall, gpu_call
from fastpair._pair_sets import CompressedRows, Coordinates, packed, packed_pairs, unpacked
from fastpair._roles import parse_roles

SHAPES = ((0, 0), (0, 3), (3, 0), (1, 1), (5, 5), (7, 40), (33, 70), (2, 1050))
KINDS = ("diagonal", "integers", "floats", "columns", "bools", "bits", "csr", "coo")


@pytest.fixture(params=[False, True], ids=["forwards", "backwards"])
def device(request, cupy, monkeypatch):
    """A call that runs on the device, with threads in either order."""
    if hasattr(cupy.RawKernel, "backwards"):
        monkeypatch.setattr(cupy.RawKernel, "backwards", request.param)
    elif request.param:
        pytest.skip("a GPU has its own order")
    return cupy


def moved(cupy, value):
    """Copy arrays to the device, also inside of tuples that have names."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(cupy.asarray(part) for part in value))
    return libraries.on_device(cupy, value)


def on_device(cupy, call):
    """Run what a public function does inside."""
    token = gpu_call.set(GpuCall("x", 0))
    try:
        return call()
    finally:
        gpu_call.reset(token)


def given(kind, n, m):
    """Positives or labels of n rows and m columns, of some kind."""
    rng = generator(f"bits {kind} {n} {m}")
    mask = rng.random((n, m)) < 0.3
    if kind in ("integers", "floats"):
        dtype = np.int16 if kind == "integers" else np.float32
        return {"labels": ((rng.integers(-3, 3, n)).astype(dtype), rng.integers(-3, 3, m).astype(dtype))}
    if kind == "columns":
        return {"positives": rng.integers(-1, m, n) if m else np.full(n, -1)}
    if kind == "coo":
        return {"positives": Coordinates(*np.nonzero(mask))}
    if kind == "csr":
        starts = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
        return {"positives": CompressedRows(starts, np.nonzero(mask)[1].astype(np.int32))}
    if kind == "diagonal":
        return {}
    return {"positives": mask if kind == "bools" else np.packbits(mask, axis=1)}


def more(n, m, disjoint):
    """Further roles: identities and groups, and pairs that are ignored."""
    rng = generator(f"more {n} {m}")
    yield {}
    yield {
        "ids": (rng.integers(0, 4, n), rng.integers(0, 4, m)),
        "groups": (rng.integers(0, 2, n), rng.integers(0, 2, m)),
    }
    if not disjoint:
        yield {"ignore": rng.random((n, m)) < 0.2}
        yield {"neg_mask": np.packbits(rng.random((n, m)) < 0.5, axis=1)}


@pytest.mark.parametrize("kind", KINDS)
def test_roles(device, kind):
    for n, m in SHAPES:
        if kind == "diagonal" and n > m:
            continue
        for extra in more(n, m, disjoint="labels" not in given(kind, n, m)):
            options = {**given(kind, n, m), **extra}
            host = parse_roles((n, m), False, **options)
            bits, mask = host.packed(), host.positive_mask()
            found = on_device(device, lambda options=options, n=n, m=m: roles_on_device(device, n, m, options))
            for own, other in zip(
                found, (*bits, mask, host.negative_mask(mask), host.swapped().positive_mask()), strict=True
            ):
                np.testing.assert_array_equal(own.get(), other, err_msg=f"{n} {m} {list(extra)}")


def roles_on_device(cupy, n, m, options):
    roles = parse_roles((n, m), False, **{name: moved(cupy, value) for name, value in options.items()})
    positive = roles.positive_mask()
    return (*roles.packed(), positive, roles.negative_mask(positive), roles.swapped().positive_mask())


def test_a_row_and_itself_and_parts_of_rows(device):
    labels = generator("own").integers(0, 5, 70)
    host = parse_roles((70, 70), True, labels=labels)
    roles = on_device(device, lambda: parse_roles((70, 70), True, labels=device.asarray(labels)))
    for begin, end in ((0, 70), (3, 3), (5, 6), (32, 70)):
        bits = [np.empty((end - begin, 9), np.uint8) for _ in range(2)]
        found = [device.empty((end - begin, 9), np.uint8) for _ in range(2)]
        _core.pack_roles((70, 70), host.options(), (begin, end), *bits)
        libraries_kernels().pack_roles((70, 70), roles.options(), (begin, end), *found)
        for own, other in zip(found, bits, strict=True):
            np.testing.assert_array_equal(own.get(), other)


def libraries_kernels():
    from fastpair import _cuda

    return _cuda


def test_codes_are_equal_where_labels_are(device):
    for values in ([0.0, -0.0, 1.5, np.inf, -np.inf, 1.5], [True, False, True], np.array([2**63, 0, 2**63], np.uint64)):
        values = np.asarray(values)
        roles = on_device(
            device, lambda values=values: parse_roles((len(values),) * 2, True, labels=device.asarray(values))
        )
        codes = roles.labels[0].get()
        np.testing.assert_array_equal(codes[:, np.newaxis] == codes, values[:, np.newaxis] == values)
        assert (codes >= 0).all()


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (3, 16), (2, 17), (5, 64), (2, 8193), (1, 17000), (0, 5), (5, 0)]
)
def test_counts_lists_and_bools(device, rows, columns):
    kernels = libraries_kernels()
    for share in (0.0, 0.3):
        mask = generator(f"{rows} {columns} {share}").random((rows, columns)) < share
        bits = packed(device.asarray(mask))
        np.testing.assert_array_equal(bits.get(), np.packbits(mask, axis=1))
        np.testing.assert_array_equal(unpacked(bits, columns).get(), mask)
        counts = kernels.count_bits(bits)
        np.testing.assert_array_equal(counts.get(), mask.sum(axis=1), strict=True)
        for dtype in (np.int32, np.int64):
            indices = device.empty(int(mask.sum()), dtype)
            kernels.unpack_rows(bits, indices)
            np.testing.assert_array_equal(indices.get(), np.nonzero(mask)[1])
        owners, found = np.nonzero(mask)
        nth = np.arange(len(owners)) - np.searchsorted(owners, owners)
        some = slice(None, None, 1 + len(owners) // 20)
        own = kernels.nth_bits(bits, device.asarray(owners[some]), device.asarray(nth[some]))
        np.testing.assert_array_equal(own.get(), found[some])


def test_bools_go_into_any_part_of_a_mask(device):
    mask = generator("parts").random((9, 13)) < 0.5
    for begin in range(9):
        out = device.zeros((9, 13), np.bool_)
        libraries_kernels().unpack_bools(device.asarray(np.packbits(mask[begin:], axis=1)), 13, out[begin:])
        np.testing.assert_array_equal(out[begin:].get(), mask[begin:])
        assert not out[:begin].get().any()


@pytest.mark.parametrize("starts", [[0, 1], [0, 2, 1, 3], [1, 1, 2, 3], [0, 1, 2, 2]])
def test_wrong_compressed_rows(device, starts):
    def call(library):
        return packed_pairs((library.asarray(np.array(starts)), library.asarray(np.arange(3))), "positives", (3, 4))

    with pytest.raises(ValueError, match=r"positives\[0\] has . entries") as host:
        call(np)
    with pytest.raises(ValueError, match=r"positives\[0\] has . entries") as own:
        on_device(device, lambda: call(device))
    assert str(own.value) == str(host.value)


@pytest.mark.parametrize(
    "pairs",
    [
        Coordinates(np.array([0, 3]), np.array([1, 1])),
        Coordinates(np.array([0, -1]), np.array([9, 1])),
        Coordinates(np.array([0, 1]), np.array([1, 4], np.uint64)),
        Coordinates(np.array([0]), np.array([1, 2])),
        CompressedRows(np.array([0, 1, 2, 2]), np.array([0, -2])),
        (np.array([0.5]), np.array([1])),
    ],
)
def test_wrong_pairs(device, pairs):
    with pytest.raises(ValueError, match="positives") as host:
        packed_pairs(pairs, "positives", (3, 4))
    with pytest.raises(ValueError, match="positives") as own:
        on_device(device, lambda: packed_pairs(moved(device, pairs), "positives", (3, 4)))
    assert str(own.value) == str(host.value)


@pytest.mark.parametrize(
    "options",
    [
        {"positives": np.array([0, 4])},
        {"positives": np.array([-2, 0])},
        {"positives": np.array([0.5, 1])},
        {"positives": np.zeros((2, 3), bool)},
        {"labels": (np.array([0.0, np.nan]), np.arange(4.0))},
        {"labels": np.arange(2)},
        {"positives": np.array([0, 1]), "ignore": np.eye(2, 4, dtype=bool)},
    ],
)
def test_wrong_roles(device, options):
    with pytest.raises(ValueError, match=r".") as host:
        parse_roles((2, 4), False, **options)
    with pytest.raises(ValueError, match=r".") as own:
        on_device(device, lambda: parse_roles((2, 4), False, **libraries.on_device(device, options)))
    assert str(own.value) == str(host.value)


@pytest.mark.parametrize("form", ["mask", "bits", "csr", "coo", "triplets"])
def test_pair_masks(xp, form):
    rng = generator("pair_masks")
    labels, others, ignore = rng.integers(0, 4, 37), rng.integers(0, 4, 21), rng.random((37, 21)) < 0.1
    calls = [((labels,), {}), ((labels, others), {}), ((labels, others), {"ignore": ignore})]
    calls += [((), {"positives": rng.random((37, 21)) < 0.2, "ids": (others[rng.integers(0, 21, 37)], others)})]
    for args, options in calls:
        wanted = mining.pair_masks(*args, **options, format=form)
        found = mining.pair_masks(*libraries.on_device(xp, list(args)), **libraries.on_device(xp, options), format=form)
        same(xp, found, wanted)


def same(xp, found, wanted):
    if isinstance(wanted, tuple):
        assert type(found) is type(wanted)
        for own, other in zip(found, wanted, strict=True):
            same(xp, own, other)
        return
    assert isinstance(found, xp.ndarray)
    np.testing.assert_array_equal(libraries.on_host(found), wanted, strict=True)


def test_arrays_of_one_library(cupy):
    labels = np.arange(4)
    with pytest.raises(TypeError, match=r"labels is in GPU memory .*y_labels is a numpy.ndarray in host memory"):
        mining.pair_masks(cupy.asarray(labels), labels)
