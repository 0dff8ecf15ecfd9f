"""Each kernel computes what the same operation does in plain tinygrad, and so do its gradients."""

import numpy as np
import pytest
from kernels import KERNELS, PLAIN, assert_agree, evaluated, leaf
from tinygrad.tensor import Tensor

from agents.parts.operations import Operations
from agents.parts.targets import IGNORED
from agents.trainer.kernels import implementation


def integers(*shape: int, below: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, below, shape).astype(np.int32)


@pytest.mark.parametrize(("rows", "width", "out"), [(1, 1, 1), (37, 19, 45), (3, 300, 32), (50, 64, 130)])
def test_product(rows: int, width: int, out: int) -> None:
    assert_agree(lambda o, x, w: o.product(x, w), leaf(1, rows, width), leaf(out, width))


def test_product_with_a_residual() -> None:
    assert_agree(lambda o, x, w, r: o.product(x, w, r), leaf(2, 7, 33), leaf(35, 33), leaf(2, 7, 35))


def test_operands_may_be_permuted_sliced_or_expanded() -> None:
    """Their gradients reach the leaves in the leaves' own layout."""
    assert_agree(
        lambda o, x, w, r: o.product(x.permute(1, 2, 0), w.T[1:], r.reshape(1, 1, 4).expand(5, 3, 4)).permute(2, 0, 1),
        leaf(6, 5, 3),
        leaf(6, 5),
        leaf(4),
    )


def test_what_follows_may_permute_and_slice_the_gradient() -> None:
    assert_agree(lambda o, x, w: o.norm(x.transpose(0, 1), w, 1e-5).transpose(0, 1)[1:, ::2], leaf(4, 6, 10), leaf(10))


def test_one_tensor_may_serve_several_operations() -> None:
    assert_agree(lambda o, x, w: o.swiglu(o.product(x, w), o.product(x, w, x)) + x, leaf(5, 12), leaf(12, 12))


@pytest.mark.parametrize("shape", [(2, 3, 1), (130, 37)])
def test_norm(shape: tuple[int, ...]) -> None:
    assert_agree(lambda o, x, gain: o.norm(x, gain, 1e-2), leaf(*shape), leaf(shape[-1]))


def test_swiglu() -> None:
    assert_agree(lambda o, gate, up: o.swiglu(gate, up), leaf(3, 7, 11, scale=5), leaf(3, 7, 11, seed=1))


def test_swiglu_of_large_numbers_stays_finite() -> None:
    gate = Tensor(np.array([-1e30, -200, -90, 90, 200, 1e30], np.float32)).realize()

    result, of_gate = evaluated(KERNELS, lambda o, gate: o.swiglu(gate, Tensor.ones(6)), [gate])

    np.testing.assert_allclose(result, [0, 0, 0, 90, 200, 1e30], atol=1e-30)
    assert np.isfinite(of_gate).all()


def test_embedding_of_tokens_that_repeat_and_of_some_that_do_not_exist() -> None:
    tokens = integers(2, 40, below=9)
    tokens[0, :2] = -1, 9

    assert_agree(lambda o, table: o.embedding(Tensor(tokens), table), leaf(9, 21))


def test_embedding_takes_tokens_of_any_integer_type() -> None:
    tokens, table = integers(2, 5, below=9), leaf(9, 21)

    wide = KERNELS.embedding(Tensor(tokens.astype(np.int64)), table).numpy()

    np.testing.assert_array_equal(wide, table.numpy()[tokens])


@pytest.mark.parametrize("width", [5, 33])
def test_cross_entropy_leaves_out_ignored_targets(width: int) -> None:
    targets = integers(2, 40, below=width)
    targets[0, :9] = IGNORED
    targets[1, 3] = width

    assert_agree(lambda o, logits: o.cross_entropy(logits, Tensor(targets)), leaf(2, 40, width, scale=9))


def test_cross_entropy_of_ignored_targets_alone_is_no_number() -> None:
    targets = Tensor(np.full((1, 3), IGNORED, np.int32))

    assert [np.isnan(o.cross_entropy(leaf(1, 3, 5), targets).item()) for o in (KERNELS, PLAIN)] == [True, True]


# batch, length, heads, heads of keys, width of a head, causal, rotary: around the sizes of the tiles, 32 queries and 128 keys
SHAPES = [
    (2, 37, 6, 2, 10, True, True),
    (1, 1, 1, 1, 4, True, True),
    (1, 161, 2, 1, 34, True, False),
    (1, 130, 2, 2, 6, False, True),
]


@pytest.mark.parametrize(("batch", "length", "heads", "kv", "width", "causal", "rotary"), SHAPES)
def test_attention(batch: int, length: int, heads: int, kv: int, width: int, causal: bool, rotary: bool) -> None:
    tables = (leaf(length + 3, width, seed=5), leaf(length + 3, width, seed=6)) if rotary else None

    assert_agree(
        lambda o, query, key, value: o.attention(query, key, value, tables, width, causal),
        *(leaf(batch, length, count * width, seed=seed) for seed, count in enumerate((heads, kv, kv))),
        tolerance=3e-5,
    )


def test_attention_to_scores_that_are_far_apart() -> None:
    """The largest comes late, so what was added up before it must shrink."""
    query, key = leaf(1, 140, 8, scale=30), Tensor(np.linspace(-9, 9, 140 * 8).reshape(1, 140, 8).astype(np.float32)).realize()

    assert_agree(lambda o, value: o.attention(query, key, value, None, 8, True), leaf(1, 140, 8), tolerance=1e-4)


REFUSED = {
    "weight is dtypes.half": lambda o: o.product(leaf(2, 3), leaf(4, 3).half()),
    r"x is dtypes.float \(2, 3\)": lambda o: o.product(leaf(2, 3), leaf(4, 5)),
    "the residual": lambda o: o.product(leaf(2, 3), leaf(4, 3), leaf(4)),
    "the gain": lambda o: o.norm(leaf(2, 3), leaf(2), 1e-5),
    "up": lambda o: o.swiglu(leaf(2, 3), leaf(3)),
    "logits": lambda o: o.cross_entropy(leaf(2, 3, 5), Tensor(integers(2, 4, below=5))),
    "value": lambda o: o.attention(leaf(1, 2, 8), leaf(1, 2, 8), leaf(1, 2, 4), None, 4, True),
    "3 heads cannot share 2": lambda o: o.attention(leaf(1, 2, 12), leaf(1, 2, 8), leaf(1, 2, 8), None, 4, True),
    "a rotary table": lambda o: o.attention(*[leaf(1, 9, 4)] * 3, (leaf(8, 4), leaf(8, 4)), 4, True),
    "no halves": lambda o: o.attention(*[leaf(1, 2, 3)] * 3, (leaf(2, 3), leaf(2, 3)), 3, True),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_operands_that_do_not_fit_are_refused(reason: str) -> None:
    """A kernel would read past their ends."""
    with pytest.raises(ValueError, match=reason):
        REFUSED[reason](KERNELS)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    """In shapes large enough to be shared, and again and again, since threads take the chunks in another order each time."""
    tokens, targets = (Tensor(integers(3, 130, below=70, seed=seed)) for seed in (0, 1))
    table, gain, weight, head = leaf(70, 96), leaf(96), leaf(96, 96), leaf(70, 96)

    def run(threads: int) -> list[bytes]:
        operations = implementation(threads).operations

        def loss(_: Operations, table: Tensor, gain: Tensor, weight: Tensor, head: Tensor) -> Tensor:
            x = operations.norm(operations.embedding(tokens, table), gain, 1e-5)
            projected = operations.product(x, weight)
            mixed = operations.attention(projected, projected, x, None, 32, True)
            return operations.cross_entropy(operations.product(operations.swiglu(mixed, x), head), targets)

        return [each.tobytes() for each in evaluated(operations, loss, [table, gain, weight, head])]

    expected = run(1)
    assert all(run(threads) == expected for threads in (2, 3, 8, 3, 2, 8))


def test_a_number_that_is_none_shows_in_what_is_made_of_it() -> None:
    """An evaluation has no gradient whose norm would show it."""
    logits, values = np.zeros((3, 21), np.float32), np.zeros((1, 5, 16), np.float32)
    logits[1, 7], values[0, 1, 2] = np.nan, np.nan

    loss = KERNELS.cross_entropy(Tensor(logits), Tensor(np.zeros(3, np.int32))).item()
    mixed = KERNELS.attention(Tensor(np.ones_like(values)), Tensor(values), Tensor(np.ones_like(values)), None, 8, True).numpy()

    assert np.isnan(loss)
    assert np.isnan(mixed[0, 1:, :8]).all() and np.isfinite(mixed[0, 0]).all() and np.isfinite(mixed[0, :, 8:]).all()
