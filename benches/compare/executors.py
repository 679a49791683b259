"""Python's process pools, asked for by shmpool-compare: a line in, a line out.

arguments: elements, workers
executor   answers how many nanoseconds x*2+1 took through ProcessPoolExecutor.map, result put together
joblib     the same through joblib.Parallel, which hands its inputs over as memory maps
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor

try:
    import joblib
    import numpy as np
except ImportError as error:
    print(f"missing {error.name}", flush=True)
    sys.exit()


def double_plus_one(xs):
    return xs * np.float32(2) + np.float32(1)


def main():
    n, workers = map(int, sys.argv[1:])
    i = np.arange(n, dtype=np.float32) % np.float32(1 << 24)
    xs = i / np.float32(1 << 23) - np.float32(1)
    expected = double_plus_one(xs)
    parts = np.array_split(xs, workers)
    python = sys.version.split()[0]
    with ProcessPoolExecutor(workers) as executor, joblib.Parallel(n_jobs=workers) as parallel:
        work = joblib.delayed(double_plus_one)
        ways = {
            "executor": lambda: np.concatenate(list(executor.map(double_plus_one, parts))),
            "joblib": lambda: np.concatenate(parallel(work(part) for part in parts)),
        }
        print(f"ready Python {python}, NumPy {np.__version__}, joblib {joblib.__version__}", flush=True)
        for line in sys.stdin:
            way = ways[line.strip()]
            start = time.perf_counter_ns()
            result = way()
            took = time.perf_counter_ns() - start
            if not np.array_equal(result, expected):
                sys.exit(f"executors.py: {line.strip()} gave a wrong answer")
            print(took, flush=True)


if __name__ == "__main__":
    main()
