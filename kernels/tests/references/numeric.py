"""Makes numeric.bin and numeric.txt: what mpmath, NumPy and SciPy give, for kernels/tests/math.rs and
kernels/tests/numeric_kernels.rs.

    python3 -m venv venv
    venv/bin/pip install numpy==2.4.6 mpmath==1.4.1
    venv/bin/python numeric.py            # 250 arguments of each function
    venv/bin/python numeric.py 20000 /some/directory    # as many as the errors in the docs were found with

Each line of the text file describes one array of little-endian f64 in the binary one: name, rows, columns, first byte.
A function's rows are its arguments, its value rounded to f64, and what the rounding took off.
"""

import sys
from pathlib import Path

import mpmath as mp
import numpy as np

N = int(sys.argv[1]) if len(sys.argv) > 1 else 250
HERE = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent
mp.mp.prec = 1300  # enough for the sine of 1e308
random = np.random.default_rng(20240611)
lines, blob = [], bytearray()


def keep(name, array):
    array = np.atleast_2d(np.asarray(array, dtype="<f8").T).T
    lines.append(f"{name}\t{array.shape[0]}\t{array.shape[1]}\t{len(blob)}\n")
    blob.extend(array.tobytes())


def split(value):
    high = float(value)
    low = 0.0 if high == 0.0 or np.isinf(high) else float(value - mp.mpf(high))
    return high, low


def function(name, f, arguments):
    rows = [(*row, *split(f(*map(mp.mpf, row)))) for row in arguments]
    keep(name, rows)


def signed(values):
    return values * random.choice([-1.0, 1.0], len(values))


def spread(low, high, n=N):
    """Numbers whose exponents, to base 2, are uniform."""
    return 2.0 ** random.uniform(low, high, n)


def unary(*parts):
    """Some of each part, every other one rounded to f32, so that the f32 functions can use it."""
    xs = np.concatenate([part[: -(-N // len(parts))] for part in parts])[:N]
    with np.errstate(over="ignore", under="ignore"):
        rounded = xs.astype(np.float32).astype(np.float64)
    fits = np.isfinite(rounded) & (rounded != 0.0)
    xs[::2] = np.where(fits, rounded, xs)[::2]
    return [(float(x),) for x in xs]


def functions():
    function("exp", mp.exp, unary(random.uniform(-745, 709.7, N), signed(spread(-60, 6)), random.uniform(-88, 88, N)))
    function("ln", mp.log, unary(spread(-1074, 1023.9), 1 + signed(spread(-52, -2)), random.uniform(0.5, 2, N)))
    quarters = np.array([float(mp.mpf(int(k)) * mp.pi / 2) for k in random.integers(1, 2**19, N)])
    huge = [float.fromhex("0x1.6ac5b262ca1ffp+849")]  # the f64 nearest to a multiple of pi / 2
    angles = unary(
        signed(spread(-30, 3)), random.uniform(-100, 100, N), signed(spread(5, 20)), quarters, signed(spread(20, 1023.9))
    ) + [(x,) for x in huge]
    function("sin", mp.sin, angles)
    function("cos", mp.cos, angles)
    function("tanh", mp.tanh, unary(signed(spread(-30, 4.5)), random.uniform(-3, 3, N)))
    function("erf", mp.erf, unary(signed(spread(-30, 2.5)), random.uniform(-3, 3, N)))
    function("erfc", mp.erfc, unary(random.uniform(-6, 26.5, N), random.uniform(-1, 6, N)))

    n = N // 4
    some = spread(-1020, 1020, n)
    near = 1 + signed(spread(-45, -2))[:n]
    powers = [(x, float(random.uniform(-1070, 1023)) / np.log2(x)) for x in [*some, *near, *random.uniform(0.3, 3, n)]]
    powers += [(-x, float(y)) for x, y in zip(random.uniform(0.1, 30, n), random.integers(-100, 100, n))]
    function("pow", mp.power, [row for row in powers if abs(mp.log(abs(row[0]), 2) * row[1]) < 1023])


def black_scholes():
    def below(x):
        return mp.erfc(-x / mp.sqrt(2)) / 2

    rows, rate, volatility = [], mp.mpf(0.05), mp.mpf(0.2)
    for spot in np.arange(60.0, 145.0, 5.0):
        for strike in (80.0, 100.0, 120.0):
            for time in (0.125, 0.5, 1.0, 3.0):
                s, k, t = mp.mpf(spot), mp.mpf(strike), mp.mpf(time)
                deviation = volatility * mp.sqrt(t)
                d1 = (mp.log(s / k) + (rate + volatility**2 / 2) * t) / deviation
                d2 = d1 - deviation
                call = s * below(d1) - k * mp.exp(-rate * t) * below(d2)
                put = k * mp.exp(-rate * t) * below(-d2) - s * below(-d1)
                rows.append((spot, strike, time, float(call), float(put)))
    keep("black_scholes", rows)


def arrays():
    draw = lambda seed, n, dtype: np.random.Generator(np.random.Philox(key=seed)).random(n, dtype=dtype)
    keep("uniform f64 seed=42", draw(42, 37, np.float64))
    keep("uniform f32 seed=42", draw(42, 37, np.float32))
    keep("uniform f64 seed=18446744073709551615", draw(2**64 - 1, 5, np.float64))

    # Of numbers far from 0, which a sum of squares would lose.
    xs = 1e9 + random.normal(size=700)
    exact = [mp.mpf(x) for x in xs]
    mean = mp.fsum(exact) / len(exact)
    squares = mp.fsum((x - mean) ** 2 for x in exact)
    keep("moments xs", xs)
    keep("moments", [float(mean), float(squares / 700), float(squares / 699)])
    ys = random.normal(size=700)
    keep("dot ys", ys)
    products = [x * mp.mpf(y) for x, y in zip(exact, ys)]
    keep("dot", [float(mp.fsum(products)), float(mp.fsum(map(abs, products))), float(mp.sqrt(mp.fsum(x * x for x in exact)))])
    keep("cumsum", [float(mp.fsum(map(mp.mpf, ys[: i + 1]))) for i in range(len(ys))])

    for dtype in (np.float32, np.float64):
        edges = np.histogram_bin_edges(np.array([0], dtype), 37, (-0.7, 2.3)).astype(dtype)
        values = np.concatenate([edges, np.nextafter(edges, dtype(9)), np.nextafter(edges, dtype(-9)), random.normal(size=300)])
        values = values.astype(dtype)
        counts, _ = np.histogram(values, 37, (-0.7, 2.3))
        keep(f"histogram {np.dtype(dtype)} xs", values)
        keep(f"histogram {np.dtype(dtype)}", counts)
    bytes_ = random.integers(0, 256, 500).astype(np.uint8)
    keep("histogram uint8 xs", bytes_)
    keep("histogram uint8", np.histogram(bytes_, 10, (13, 200))[0])


functions()
black_scholes()
arrays()
(HERE / "numeric.bin").write_bytes(blob)
(HERE / "numeric.txt").write_text("".join(lines))
