"""Modules and models: gradients of whole networks compared with jax.grad, threads, shapes, counts, storage, refusals."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from impl import functional as F
from impl import nn
from impl.models import convnet, mlp, resnet, resnet20
from impl.models.resnet import block
from impl.rule import Rule
from impl.train import loss_and_gradients
from impl.tree import flat, leaves, like, tree_map
from oracle.layers import LAYERS
from oracle.truth import Bounded, Floating, Precision, evaluate

# -- the networks' forward passes, written a second time --------------------------------------------------------------


def conv(x, w, stride=1):
    pad = w.shape[2] // 2
    return lax.conv_general_dilated(x, w, (stride, stride), [(pad, pad)] * 2)


def batch_norm(x, p):
    mean = x.mean((0, 2, 3), keepdims=True)
    var = ((x - mean) ** 2).mean((0, 2, 3), keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * p["gamma"][:, None, None] + p["beta"][:, None, None]


def mlp_logits(p, x):
    h = x.reshape(len(x), -1)
    for i in range(1, len(p) + 1):
        h = h @ p[f"affine{i}"]["w"] + p[f"affine{i}"]["b"]
        h = jnp.tanh(h) if i < len(p) else h
    return h


def convnet_logits(p, x):
    h = jax.nn.relu(conv(x, p["conv"]["w"]) + p["conv"]["b"][:, None, None])
    h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID").reshape(len(x), -1)
    h = jax.nn.relu(h @ p["affine1"]["w"] + p["affine1"]["b"])
    return h @ p["affine2"]["w"] + p["affine2"]["b"]


def resnet20_logits(p, x):
    h = jax.nn.relu(batch_norm(conv(x, p["conv"]["w"]), p["norm"]))
    for name, b in p.items():
        if not name.startswith("stage"):
            continue
        stride = 2 if "shortcut" in b else 1
        body = b["body"]
        a = jax.nn.relu(batch_norm(conv(h, body["conv1"]["w"], stride), body["norm1"]))
        a = batch_norm(conv(a, body["conv2"]["w"]), body["norm2"])
        by = batch_norm(conv(h, b["shortcut"]["conv"]["w"], stride), b["shortcut"]["norm"]) if "shortcut" in b else h
        h = jax.nn.relu(a + by)
    return h.mean((2, 3)) @ p["linear"]["w"].T + p["linear"]["b"]


NETWORKS = {
    "mlp": (lambda: mlp([12, 7, 6, 3], "tanh"), mlp_logits, (4, 3, 2, 2)),
    "convnet": (
        lambda: convnet((2, 6, 6), num_filters=3, filter_size=3, hidden_dim=5, num_classes=3),
        convnet_logits,
        (4, 2, 6, 6),
    ),
    "resnet20": (lambda: resnet20(3, 1), resnet20_logits, (4, 1, 8, 8)),
}


def setting(name, dtype):
    make, logits, shape = NETWORKS[name]
    network = make()
    parameters, state = network.init(1, dtype)
    rng = np.random.default_rng(2)
    x = rng.standard_normal(shape).astype(dtype)
    y = rng.integers(0, 3, shape[0])

    def loss(p):
        log_p = jax.nn.log_softmax(logits(p, x))
        return -(log_p * np.eye(3, dtype=dtype)[y]).sum() / len(y)

    return network, parameters, state, x, y, loss


@cache
def of_jax(name, dtype):
    """The loss and the gradients by jax.grad, as NumPy arrays. They are cached, because compiling them takes seconds."""
    *_, parameters, _, _, _, loss = setting(name, dtype)
    with jax.enable_x64(dtype == np.float64):
        value, gradients = jax.jit(jax.value_and_grad(loss))(parameters)
    return float(value), {path: np.asarray(g) for path, g in flat(gradients).items()}


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_whole_networks_equal_jax_grad(name, engine):
    network, parameters, state, x, y, _ = setting(name, np.float64)
    expected_loss, expected = of_jax(name, np.float64)
    with jax.enable_x64(True):
        if engine == "jax":
            parameters, state, x, y = jax.tree.map(jnp.asarray, (parameters, state, x, y))
            function = jax.jit(lambda p, s, a, b: loss_and_gradients(network, p, s, a, b))
        else:

            def function(p, s, a, b):
                return loss_and_gradients(network, p, s, a, b)

        got_loss, _, gradients, _ = function(parameters, state, x, y)
    assert float(got_loss) == pytest.approx(expected_loss, rel=1e-13)
    assert flat(gradients).keys() == expected.keys()
    for path, g in flat(gradients).items():
        want = expected[path]
        np.testing.assert_allclose(g, want, rtol=1e-9, atol=1e-12 * max(1.0, np.abs(want).max()), err_msg=path)


def mathematics(name):
    return LAYERS[name].mathematics


def oracle_logits(name, p, x):
    """The logits of the networks, built from the oracle's mathematics, whose derivatives it can bound."""
    if name == "mlp":
        h = x
        for i in range(1, len(p) + 1):
            h = mathematics("affine")(h, p[f"affine{i}"]["w"], p[f"affine{i}"]["b"])
            h = mathematics("tanh")(h) if i < len(p) else h
        return h
    if name == "convnet":
        h = mathematics("conv_relu_pool")(x, p["conv"]["w"], p["conv"]["b"], padding=1)
        h = mathematics("affine_relu")(h, p["affine1"]["w"], p["affine1"]["b"])
        return mathematics("affine")(h, p["affine2"]["w"], p["affine2"]["b"])
    h = mathematics("conv_bn_relu")(x, p["conv"]["w"], None, p["norm"]["gamma"], p["norm"]["beta"], padding=1)[0]
    for part, b in p.items():
        if part.startswith("stage"):
            body, by = b["body"], b.get("shortcut")
            norms = [body[n][part] for n in ("norm1", "norm2") for part in ("gamma", "beta")]
            projected = (by["conv"]["w"], by["norm"]["gamma"], by["norm"]["beta"]) if by else (None, None, None)
            arrays = (h, body["conv1"]["w"], body["conv2"]["w"], *norms, *projected)
            h = mathematics("residual_block")(*arrays, stride=2 if by else 1)[0]
    return mathematics("linear")(mathematics("global_avg_pool")(h), p["linear"]["w"], p["linear"]["b"])


def derivative_of_the_oracle(name, parameters, x, y):
    """The gradients of all parameters as a jaxpr, from the oracle's mathematics, and the parameters as its arguments."""
    names = list(flat(parameters))

    def loss(*arrays):
        p = like(parameters, dict(zip(names, arrays, strict=True)))
        return mathematics("cross_entropy")(oracle_logits(name, p, x.astype(np.float64)), y)

    arrays = [flat(parameters)[path].astype(np.float64) for path in names]
    with jax.enable_x64(True):
        return names, arrays, jax.make_jaxpr(jax.grad(loss, tuple(range(len(names)))))(*arrays)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_gradients_lie_within_the_rounding_bound(name, dtype):
    network, parameters, state, x, y, _ = setting(name, dtype)
    names, arrays, jaxpr = derivative_of_the_oracle(name, parameters, x, y)
    numbers = Bounded(Precision.of(dtype), integers_exact=False)
    truth = evaluate(jaxpr, [numbers.exactly(a) for a in arrays], numbers)
    _, _, gradients, _ = loss_and_gradients(network, parameters, state, x, y)
    for path, pair in zip(names, truth, strict=True):
        g = flat(gradients)[path]
        assert g.dtype == dtype
        assert (np.abs(g - pair.value) <= pair.error).all(), path
        assert pair.error.max() < 1e-2 * np.abs(pair.value).max(), "the bound says nothing"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resnet20_is_as_near_the_truth_as_jax_grad(dtype):
    """Running error analysis bounds nothing over twenty layers. So JAX's own distance from the truth is the measure."""
    network, parameters, state, x, y, _ = setting("resnet20", dtype)
    names, arrays, jaxpr = derivative_of_the_oracle("resnet20", parameters, x, y)
    truth = evaluate(jaxpr, [np.asarray(a, np.longdouble) for a in arrays], Floating(np.longdouble))
    _, theirs = of_jax("resnet20", dtype)
    _, _, gradients, _ = loss_and_gradients(network, parameters, state, x, y)
    ours = flat(gradients)
    unit = np.finfo(dtype).eps / 2
    worst = {"ours": 0.0, "theirs": 0.0}
    for path, value in zip(names, truth, strict=True):
        scale = np.abs(value).max()
        worst["ours"] = max(worst["ours"], float(np.abs(ours[path] - value).max() / scale / unit))
        worst["theirs"] = max(worst["theirs"], float(np.abs(theirs[path] - value).max() / scale / unit))
    assert worst["ours"] <= 4 * worst["theirs"], worst


@pytest.mark.parametrize(
    ("layers", "count"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)]
)
def test_parameter_counts_are_torchvisions(layers, count):
    assert resnet(layers).parameter_count() == count


def test_published_shapes():
    network = resnet(18, num_classes=7)
    parameters, state = network.init(0)
    y = network(parameters, state, np.zeros((1, 3, 32, 32), np.float32))
    assert y.shape == (1, 7)
    assert resnet20().parameter_count() == 272_474
    assert mlp([3, 4, 2]).parameter_count() == 26


def test_training_moves_running_statistics_and_evaluation_uses_them():
    net = nn.Sequential(norm=nn.BatchNorm(2))
    parameters, state = net.init()
    x = np.random.default_rng(0).normal(5, 2, (64, 2)).astype(np.float32)
    for _ in range(100):
        _, state, _ = net.vjp(parameters, state, x, training=True)
    np.testing.assert_allclose(state["norm"]["mean"], x.mean(0), rtol=1e-3)
    y = net(parameters, state, x)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-2)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_dropout_drops_only_in_training(engine):
    net = nn.Sequential(a=nn.Dropout(0.5), b=nn.Dropout(0.5))
    x = np.ones((50, 20), np.float32)
    seed = np.random.default_rng(0) if engine == "numpy" else jax.random.key(0)
    x = x if engine == "numpy" else jnp.asarray(x)
    y, _, back = net.vjp({}, {}, x, training=True, seed=seed)
    assert set(np.unique(y)) == {0.0, 4.0}
    assert 0.15 < float((y > 0).mean()) < 0.35
    np.testing.assert_array_equal(back(x)[0], y)
    np.testing.assert_array_equal(net({}, {}, x), x)


@pytest.mark.parametrize("init", ["gaussian", "xavier", "kaiming", "uniform", "zeros", "ones"])
def test_initialisers(init):
    w = nn.Linear(400, 300, init=init, scale=0.02).init(3)[0]["w"]
    deviation = {
        "gaussian": 0.02,
        "xavier": (2 / 700) ** 0.5,
        "kaiming": (2 / 400) ** 0.5,
        "uniform": (1 / 400 / 3) ** 0.5,
    }.get(init, 0)
    assert w.std() == pytest.approx(deviation, rel=0.02)
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w, nn.Linear(400, 300, init=init, scale=0.02).init(3)[0]["w"])
    affine = nn.Affine(400, 300, init="kaiming").init(0)[0]["w"]
    assert affine.shape == (400, 300) and affine.std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("channels", "stride"), [(8, 1), (6, 2)])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_residual_block_of_modules_is_the_rule(bottleneck, channels, stride, training):
    """The value, all gradients and the running statistics agree to the last bit."""
    net = block(channels, 2 if bottleneck else 8, stride, bottleneck)
    parameters, state = net.init(0, np.float64)
    assert ("shortcut" in parameters) == (stride == 2)
    rng = np.random.default_rng(1)
    for path, array in (flat(parameters) | flat(state)).items():
        if not path.endswith("w"):
            array += rng.uniform(0, 0.5, array.shape)
    x = rng.standard_normal((3, channels, 6, 6))
    places = ["1", "2", "3"] if bottleneck else ["1", "2"]

    def arrays(tree, conv, norm):
        """The arrays of a tree in the order of the rule: the body's, then the shortcut's, None without one."""
        body, by = tree["body"], tree.get("shortcut", {})
        made = [body[f"conv{i}"]["w"] for i in places] if conv else []
        made += [body[f"norm{i}"][name] for i in places for name in norm]
        made += [by["conv"]["w"] if by else None] if conv else []
        return made + [by["norm"][name] if by else None for name in norm]

    rule = F.bottleneck_block if bottleneck else F.residual_block
    given = arrays(parameters, True, ("gamma", "beta")) + arrays(state, False, ("mean", "var"))
    (expected, *running), rule_back = rule.vjp(x, *given, stride=stride, training=training)
    y, new_state, back = net.vjp(parameters, state, x, training=training)
    np.testing.assert_array_equal(y, expected)
    for got, want in zip(arrays(new_state, False, ("mean", "var")), running, strict=True):
        np.testing.assert_array_equal(got, want)
    dy = rng.standard_normal(y.shape)
    dx, gradients = back(dy)
    expected_dx, *expected_gradients = rule_back(dy)
    np.testing.assert_array_equal(dx, expected_dx)
    got = arrays(gradients, True, ("gamma", "beta"))
    for one, want in zip(got, expected_gradients[: len(got)], strict=True):
        np.testing.assert_array_equal(one, want)


# -- no gradient with respect to x if nobody wants it -----------------------------------------------------------------


@pytest.fixture
def gone_back(monkeypatch):
    """The name of each rule whose backward is called, and whether it is asked for dx."""
    calls = []
    backward = Rule.backward

    def watch(self, kept, dy, wanted=None, **configuration):
        calls.append((self.name, wanted is None or "x" in wanted))
        return backward(self, kept, dy, wanted, **configuration)

    monkeypatch.setattr(Rule, "backward", watch)
    return calls


def two_pullbacks(net, shape, calls):
    """The gradients with and without dx, and the rules that the second way calls."""
    parameters, state = net.init(0, np.float64)
    x = np.random.default_rng(0).standard_normal(shape)
    y, _, back = net.vjp(parameters, state, x, training=True, seed=np.random.default_rng(1))
    dx, with_dx = back(y)
    assert dx.shape == x.shape and flat(with_dx).keys() == flat(parameters).keys()
    calls.clear()
    nothing, without = back(y, False)
    assert nothing is None
    for path, g in flat(without).items():
        np.testing.assert_array_equal(g, flat(with_dx)[path])
    assert flat(without).keys() == flat(with_dx).keys()
    return calls


@pytest.mark.parametrize(
    ("net", "shape", "expected"),
    [
        (nn.Linear(3, 2), (4, 3), [("linear", False)]),
        (nn.BatchNorm(3), (4, 3), [("batch_norm", False)]),
        (nn.ReLU(), (4, 3), []),
        (nn.Dropout(), (4, 3), []),
        (nn.Sequential(pool=nn.MaxPool2d(2), flat=nn.Flatten(), drop=nn.Dropout(), out=nn.Linear(4, 2), relu=nn.ReLU()),
         (3, 1, 4, 4), [("relu", True), ("linear", False)]),
        (nn.Sequential(one=nn.Linear(3, 3), two=nn.Linear(3, 2)), (4, 3), [("linear", True), ("linear", False)]),
        (nn.Sequential(inner=nn.Sequential(relu=nn.ReLU()), norm=nn.BatchNorm(3)), (4, 3), [("batch_norm", False)]),
        (nn.Sequential(relu=nn.ReLU(), tanh=nn.Tanh()), (4, 3), []),
        (nn.Residual(nn.Sequential(norm=nn.BatchNorm(3), tanh=nn.Tanh())), (4, 3),
         [("relu", True), ("tanh", True), ("batch_norm", False)]),
        (nn.Residual(nn.Linear(3, 2), nn.Linear(3, 2)), (4, 3), [("relu", True), ("linear", False), ("linear", False)]),
    ],
    ids=["linear", "norm", "relu", "dropout", "no parameters in front", "two layers", "nested", "none", "identity", "projected"],
)  # fmt: skip
def test_no_dx_is_asked_for_that_nobody_wants(net, shape, expected, gone_back):
    assert two_pullbacks(net, shape, gone_back) == expected


def test_the_dx_of_the_first_convolutions_is_not_computed(monkeypatch):
    from impl.functional import conv as module

    computed = []
    conv_dx = module.conv_dx
    monkeypatch.setattr(module, "conv_dx", lambda dy, *a: computed.append(dy.shape) or conv_dx(dy, *a))
    body = nn.Sequential(one=nn.Conv2d(1, 2, 3, padding=1), two=nn.Conv2d(2, 3, 3, padding=1))
    net = nn.Residual(body, nn.Conv2d(1, 3, 1))
    parameters, state = net.init()
    x = np.ones((1, 1, 4, 4), np.float32)
    y, _, back = net.vjp(parameters, state, x)
    back(y, False)
    assert computed == [(1, 3, 4, 4)], "only the second convolution of the body needs its dx"
    back(y)
    assert len(computed) == 1 + 3


# -- threads ----------------------------------------------------------------------------------------------------------


class Meeting(nn.Module):
    """Waits, forward and back, until every thread is here: all are inside of their networks at the same time."""

    def __init__(self, threads):
        self.barrier = threading.Barrier(threads)

    def vjp(self, parameters, state, x, *, training=False, seed=None):
        self.barrier.wait(60)

        def pullback(dy, wants_dx=True):
            self.barrier.wait(60)
            return dy, {}

        return x, {}, pullback


def in_a_thread(number, meeting):
    """What one thread computes, what its observer sees, and the error that it gets."""
    block = nn.Residual(nn.Sequential(conv=nn.Conv2d(3, 3, 3, padding=1), meet=meeting, norm=nn.BatchNorm(3)))
    named = {f"entry{number}": nn.Conv2d(2, 3, 1), f"block{number}": block, "drop": nn.Dropout(0.3)}
    net = nn.Sequential(**named, mean=nn.GlobalAvgPool(), out=nn.Linear(3, 2))
    parameters, state = net.init(number)
    x = np.random.default_rng(number).standard_normal((4, 2, 5, 5)).astype(np.float32)
    seen = {}
    with nn.observed(lambda path, y: seen.setdefault(path, y)):
        y, state, back = net.vjp(parameters, state, x, training=True, seed=np.random.default_rng(number))
    dx, gradients = back(y)
    wrong = nn.Sequential(**{f"outer{number}": nn.Sequential(meet=meeting, bad=nn.Conv2d(1, 1, 1))})
    with pytest.raises(ValueError, match="conv2d: x has 2 channels") as refused:
        wrong(wrong.init()[0], {}, x)
    return str(refused.value), flat({"dx": dx, "y": y, "gradients": gradients, "state": state, "seen": seen})


def test_networks_in_several_threads_do_not_disturb_each_other():
    count = 6
    alone = [in_a_thread(number, Meeting(1)) for number in range(count)]
    meeting = Meeting(count)
    with ThreadPoolExecutor(count) as pool:
        together = list(pool.map(lambda number: in_a_thread(number, meeting), range(count)))
    for number, ((error, arrays), (expected_error, expected)) in enumerate(zip(together, alone, strict=True)):
        assert error == expected_error and error.startswith(f"outer{number}.bad: conv2d")
        assert arrays.keys() == expected.keys() and f"seen.block{number}.body.norm" in arrays
        for path, value in arrays.items():
            np.testing.assert_array_equal(value, expected[path], err_msg=f"thread {number}: {path}")


def test_an_observer_sees_only_while_it_watches_and_observers_nest():
    net = nn.Sequential(a=nn.Sequential(b=nn.ReLU()), c=nn.Tanh())
    outer, inner = [], []
    x = np.array([-1.0, 1.0])
    with nn.observed(lambda path, y: outer.append((path, y.tolist()))):
        with nn.observed(lambda path, y: inner.append(path)):
            net({}, {}, x)
        net.modules["a"]({}, {}, x)
    net({}, {}, x)
    assert inner == ["a.b", "a", "c"]
    tanh = [0.0, float(np.tanh(1.0))]
    assert outer == [("a.b", [0, 1]), ("a", [0, 1]), ("c", tanh), ("b", [0, 1])]


# -- storage ----------------------------------------------------------------------------------------------------------


def test_save_and_load_keep_every_bit(tmp_path):
    network = resnet20(3, 1)
    parameters, state = network.init(4)
    nn.save(tmp_path / "net.safetensors", parameters=parameters, state=state)
    empty = network.init(5)
    found = nn.load(tmp_path / "net.safetensors", parameters=empty[0], state=empty[1])
    for a, b in zip(leaves(parameters), leaves(found["parameters"]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_wrong_files_are_refused_in_a_line(tmp_path):
    small, large = mlp([2, 3]), mlp([2, 3, 3])
    path = tmp_path / "net.safetensors"
    nn.save(path, parameters=small.init()[0])
    cases = [
        (tmp_path / "none", small, "cannot be read: No such file"),
        (path, large, r"lacks parameters.affine2.w of shape \(3, 3\)"),
        (path, mlp([2, 4]), r"parameters.affine1.w is \(2, 3\) float32; expected \(2, 4\)"),
    ]
    for where, network, message in cases:
        with pytest.raises(nn.StorageError, match=message):
            nn.load(where, parameters=network.init()[0])
    nn.save(path, parameters=large.init()[0])
    with pytest.raises(nn.StorageError, match=r"net.safetensors has parameters.affine2"):
        nn.load(path, parameters=small.init()[0])
    path.write_bytes(b"no such thing")
    with pytest.raises(nn.StorageError, match="is not a safetensors file"):
        nn.load(path, parameters=small.init()[0])
    with pytest.raises(nn.StorageError, match="cannot be written"):
        nn.save(tmp_path / "no" / "such", parameters=small.init()[0])


def residual_of_another_shape(shortcut):
    net = nn.Residual(nn.Linear(3, 1), shortcut)
    return net(*net.init(), np.ones((4, 3), np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(2, 3, init="magic").init(), "init must be"),
        (lambda: nn.Dropout(1.0), "p must lie"),
        (lambda: nn.Dropout().vjp({}, {}, np.ones(2), training=True), "needs a seed"),
        (lambda: nn.Sequential(a=F.relu), "Sequential: a must be a Module, got Rule"),
        (lambda: nn.Residual(F.relu), "Residual: body must be a Module, got Rule"),
        (lambda: residual_of_another_shape(None), r"Residual: .*\(4, 1\), but that of x is \(4, 3\)"),
        (lambda: residual_of_another_shape(nn.Linear(3, 2)), r"Residual: .*\(4, 1\), but the shortcut's is \(4, 2\)"),
        (lambda: mlp([3]), "widths"),
        (lambda: mlp([3, 2], "gelu"), "activation"),
        (lambda: convnet(filter_size=4), "filter_size must be odd"),
        (lambda: convnet((3, 1, 1)), "at least 2 x 2"),
        (lambda: resnet(35), "layers must be one of 18, 34"),
    ],
)  # fmt: skip
def test_refusals(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_an_error_inside_a_network_names_the_layer():
    network = resnet20()
    parameters, state = network.init()
    with pytest.raises(ValueError, match=r"^conv: conv2d: x has 1 channels"):
        network(parameters, state, np.ones((1, 1, 8, 8), np.float32))
    spoilt = tree_map(lambda w: w, parameters)
    spoilt["stage2_block1"]["body"]["conv2"]["w"] = np.ones((32, 9, 3, 3), np.float32)
    with pytest.raises(ValueError, match=r"^stage2_block1\.body\.conv2: conv2d"):
        network(spoilt, state, np.ones((1, 3, 8, 8), np.float32))


def test_an_error_of_another_kind_keeps_its_kind_and_gets_the_path():
    class Odd(nn.Module):
        def vjp(self, parameters, state, x, *, training=False, seed=None):
            raise self.error

    net, odd = nn.Sequential(a=nn.Sequential(b=Odd())), Odd
    odd.error = UnicodeDecodeError("ascii", b"\xff", 0, 1, "odd")
    with pytest.raises(UnicodeDecodeError, match="odd"):
        net({}, {}, np.ones(1))
    odd.error = TypeError("of its own")
    with pytest.raises(TypeError, match=r"^a\.b: of its own$"):
        net({}, {}, np.ones(1))
    odd.error = KeyError("w")
    with pytest.raises(KeyError, match=r"^'w'$"):
        net({}, {}, np.ones(1))


def test_descriptions_show_the_sizes():
    assert repr(nn.Conv2d(3, 8, 5, stride=2)) == "Conv2d(w=(8, 3, 5, 5), bias=True, stride=2, padding=0)"
    assert repr(nn.Layer(F.softmax, axis=1)) == "Layer(rule='softmax', axis=1)"
    net = nn.Sequential(drop=nn.Dropout(0.1), block=nn.Residual(nn.BatchNorm(2)))
    lines = [line.strip() for line in repr(net).splitlines()]
    assert lines == ["Sequential(", "drop=Dropout(p=0.1),", "block=Residual(", "body=BatchNorm(channels=2)", ")", ")"]


# -- bridges ----------------------------------------------------------------------------------------------------------


@pytest.mark.framework("torch")
def test_a_rule_as_a_torch_function():
    import torch

    from impl.bridge import torch_function

    ours = torch_function(F.conv2d, stride=2, padding=1)
    tensors = [
        torch.randn(2, 3, 5, 5, dtype=torch.float64),
        torch.randn(4, 3, 3, 3, dtype=torch.float64),
        torch.randn(4, dtype=torch.float64),
    ]
    tensors = [t.requires_grad_() for t in tensors]
    assert torch.autograd.gradcheck(ours, tensors)
    y, expected = ours(*tensors), torch.nn.functional.conv2d(*tensors, stride=2, padding=1)
    torch.testing.assert_close(y, expected)
    frozen = ours(tensors[0].detach(), tensors[1], None)
    frozen.sum().backward()
    assert tensors[0].grad is None and tensors[1].grad is not None
    norm = torch_function(F.batch_norm)
    x = torch.randn(6, 2, requires_grad=True)
    y, mean, _ = norm(x, None, None, torch.zeros(2), torch.ones(2))
    assert not mean.requires_grad
    y.square().sum().backward()
    assert x.grad.shape == (6, 2)
    with pytest.raises(TypeError, match="relu: x must be a CPU tensor"):
        torch_function(F.relu)(torch.ones(2, dtype=torch.bfloat16))
