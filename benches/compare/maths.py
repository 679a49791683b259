"""NumPy's and numexpr's functions, asked for by shmpool-compare: a line in, a line out.

arguments: elements, threads; then that many f32 on standard input
numpy NAME    answers how many nanoseconds NAME took with out=
numexpr NAME  the same with numexpr's threads
"""

import sys
import time

try:
    import numexpr
    import numpy as np
except ImportError as error:
    print(f"missing {error.name}", flush=True)
    sys.exit()

n, threads = map(int, sys.argv[1:])
numexpr.set_num_threads(threads)
print(f"ready NumPy {np.__version__}, one thread; numexpr {numexpr.__version__}, {threads} threads", flush=True)
xs = np.empty(n, np.float32)
ys = np.zeros(n, np.float32)
if sys.stdin.buffer.readinto(memoryview(xs).cast("B")) != xs.nbytes:
    sys.exit("maths.py: the input ended early")

for line in sys.stdin.buffer:
    library, name = line.decode().split()
    start = time.perf_counter_ns()
    if library == "numpy":
        getattr(np, name)(xs, out=ys)
    else:
        numexpr.evaluate(f"{name}(xs)", out=ys)
    print(time.perf_counter_ns() - start, flush=True)
