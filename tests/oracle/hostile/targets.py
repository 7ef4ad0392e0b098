"""Forty targets that do to their process what should not be done, each where the first element of x is positive.

Every class offers ``relu``, which is hostile there and right elsewhere, and ``tanh``, which is right.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np


def right_relu(x):
    return np.maximum(x, 0), lambda dy: (np.where(x <= 0, 0, dy).astype(x.dtype),)


def right_tanh(x):
    y = np.tanh(x)
    return y, lambda dy: (dy * ((1 - y) * (1 + y)),)


TARGETS = []


def hostile(function):
    """A target whose relu is the function where it is provoked: relu(x, value, pullback) -> (value, pullback)."""

    def relu(x):
        value, pullback = right_relu(x)
        provoked = x.size > 0 and x.flat[0] > 0
        return function(x, value, pullback) if provoked else (value, pullback)

    TARGETS.append(function.__name__)
    return SimpleNamespace(relu=relu, tanh=right_tanh)


harmless = SimpleNamespace(relu=right_relu, tanh=right_tanh)

# -- ending the process -----------------------------------------------------------------------------------------------


@hostile
def raises(x, value, pullback):
    raise ValueError("no such luck")


@hostile
def raises_in_the_pullback(x, value, pullback):
    def back(dy):
        raise KeyError("residual")

    return value, back


@hostile
def raises_what_is_no_exception(x, value, pullback):
    raise KeyboardInterrupt


@hostile
def raises_an_exception_that_cannot_be_printed(x, value, pullback):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    raise Mute


@hostile
def exits(x, value, pullback):
    sys.exit(0)


@hostile
def exits_at_once(x, value, pullback):
    os._exit(3)


@hostile
def exits_at_once_as_if_all_were_well(x, value, pullback):
    os._exit(0)


@hostile
def aborts(x, value, pullback):
    os.abort()


@hostile
def reads_address_zero(x, value, pullback):
    ctypes.string_at(0)


@hostile
def kills_itself(x, value, pullback):
    os.kill(os.getpid(), signal.SIGKILL)


@hostile
def kills_its_group(x, value, pullback):
    os.killpg(os.getpgid(0), signal.SIGKILL)


@hostile
def kills_its_parent(x, value, pullback):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@hostile
def dies_by_an_alarm(x, value, pullback):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(60)


@hostile
def dies_in_a_thread(x, value, pullback):
    threading.Thread(target=os._exit, args=(5,)).start()
    time.sleep(60)


# -- never ending -----------------------------------------------------------------------------------------------------


@hostile
def loops_for_ever(x, value, pullback):
    while True:
        pass


@hostile
def loops_for_ever_in_the_pullback(x, value, pullback):
    def back(dy):
        while True:
            time.sleep(1)

    return value, back


@hostile
def sleeps_and_ignores_signals(x, value, pullback):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


@hostile
def waits_for_input(x, value, pullback):
    reader, _ = os.pipe()
    os.read(reader, 1)


# -- without measure --------------------------------------------------------------------------------------------------


@hostile
def recurses_for_ever(x, value, pullback):
    def deeper():
        return deeper()

    return deeper()


@hostile
def recurses_off_the_stack(x, value, pullback):
    sys.setrecursionlimit(10**9)

    class Deep:
        def __getattr__(self, name):
            return getattr(self, name + "a")

    return repr(Deep().a)


@hostile
def takes_all_memory(x, value, pullback):
    taken = []
    while True:
        taken.append(np.ones(2**24))


@hostile
def returns_more_than_fits(x, value, pullback):
    return np.broadcast_to(value.ravel()[:1], (2**20, 2**20)), pullback


# -- its surroundings -------------------------------------------------------------------------------------------------


@hostile
def prints(x, value, pullback):
    print("noise on standard output")
    os.write(1, b"more noise\n")
    return value, pullback


@hostile
def closes_standard_output(x, value, pullback):
    sys.stdout.close()
    with contextlib.suppress(OSError):
        os.close(1)
    return value, pullback


@hostile
def closes_every_file(x, value, pullback):
    os.closerange(0, 4096)
    return value, pullback


@hostile
def replaces_standard_output(x, value, pullback):
    sys.stdout = sys.stderr = None
    return value, pullback


@hostile
def changes_numpy(x, value, pullback):
    np.seterr(all="raise")
    np.set_printoptions(precision=1)
    return value, pullback


@hostile
def replaces_numpy(x, value, pullback):
    np.add = np.multiply = np.matmul = None
    return value, pullback


@hostile
def changes_jax(x, value, pullback):
    import jax

    jax.config.update("jax_enable_x64", not jax.config.jax_enable_x64)
    jax.config.update("jax_debug_nans", True)
    jax.config.update("jax_disable_jit", True)
    return value, pullback


@hostile
def changes_directory(x, value, pullback):
    os.chdir("/")
    return value, pullback


@hostile
def changes_the_environment(x, value, pullback):
    os.environ.clear()
    sys.path.clear()
    return value, pullback


@hostile
def forks(x, value, pullback):
    os.fork()
    return value, pullback


@hostile
def forks_and_stays(x, value, pullback):
    if os.fork() == 0:
        time.sleep(600)
    return value, pullback


@hostile
def writes_to_every_pipe(x, value, pullback):
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(number, b"\x00\x00\x00\x04junk")
    return value, pullback


# -- its arrays -------------------------------------------------------------------------------------------------------


@hostile
def frees_its_input(x, value, pullback):
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    libc.free(x.ctypes.data + 8)  # no address that malloc gave: the C library ends the process
    return value, pullback


@hostile
def shrinks_its_input(x, value, pullback):
    if x.base is None:
        x.resize((0,), refcheck=False)
    else:
        x[...] = 0
    return value, pullback


@hostile
def returns_nothing(x, value, pullback):
    return None


@hostile
def returns_none_as_its_value(x, value, pullback):
    return None, pullback


@hostile
def returns_a_list(x, value, pullback):
    return value.tolist(), pullback


@hostile
def returns_a_list_as_cotangent(x, value, pullback):
    return value, lambda dy: (pullback(dy)[0].tolist(),)


@hostile
def returns_a_string(x, value, pullback):
    return str(value), pullback


@hostile
def returns_objects(x, value, pullback):
    return value.astype(object), pullback


@hostile
def returns_a_complex_cotangent(x, value, pullback):
    return value, lambda dy: (pullback(dy)[0] + 0j,)


@hostile
def returns_records(x, value, pullback):
    return value.astype([("a", np.float32), ("b", np.int8)]), pullback


@hostile
def returns_dates(x, value, pullback):
    return value, lambda dy: (np.zeros(dy.shape, "datetime64[s]"),)


@hostile
def returns_truth_values(x, value, pullback):
    return value, lambda dy: (x > 0,)


@hostile
def returns_a_dictionary(x, value, pullback):
    return {"y": value}, lambda dy: {"dx": dy}


@hostile
def returns_a_proxy(x, value, pullback):
    class Proxy:
        dtype, shape = value.dtype, value.shape

        def __array__(self, dtype=None, copy=None):
            return value

    return Proxy(), pullback


@hostile
def returns_a_proxy_that_cannot_be_read(x, value, pullback):
    class Proxy:
        dtype, shape = value.dtype, value.shape

        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("it is on another device")

    return value, lambda dy: (Proxy(),)


@hostile
def makes_its_input_read_only(x, value, pullback):
    x.flags.writeable = False
    return value, pullback


@hostile
def returns_another_shape(x, value, pullback):
    return value[None], pullback


@hostile
def returns_another_dtype(x, value, pullback):
    return value, lambda dy: (pullback(dy)[0].astype(np.float16),)


@hostile
def returns_read_only_arrays(x, value, pullback):
    def back(dy):
        dx = np.asarray(pullback(dy)[0])
        dx.flags.writeable = False
        return (dx,)

    value = np.asarray(value)
    value.flags.writeable = False
    return value, back


@hostile
def returns_its_workspace(x, value, pullback):
    workspace = np.empty_like(x)

    def back(dy):
        workspace[...] = pullback(dy)[0]
        return (workspace,)

    return value, back


@hostile
def returns_its_input(x, value, pullback):
    x[...] = value
    return x, pullback


@hostile
def returns_uninitialised_memory(x, value, pullback):
    def back(dy):
        fresh = np.empty_like(dy)
        if fresh.size:
            fresh.flat[0] = pullback(dy)[0].flat[0]
        return (fresh,)

    return value, back


@hostile
def returns_what_refuses_to_be_pickled(x, value, pullback):
    class Shy(np.ndarray):
        def __reduce__(self):
            raise RuntimeError("no")

    return value.view(Shy), pullback
