"""Python's process pool, asked for by shmpool-compare: a line in, a line out.

argument: workers
submit   answers how many nanoseconds a task takes there and back: the median of 200 calls
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor

N_CALLS = 200


def task(n):
    return n + 1


def main():
    with ProcessPoolExecutor(int(sys.argv[1])) as executor:
        executor.submit(task, 1).result()
        print(f"ready Python {sys.version.split()[0]}", flush=True)
        for _ in sys.stdin:
            took = []
            for _ in range(N_CALLS):
                start = time.perf_counter_ns()
                if executor.submit(task, 1).result() != 2:
                    sys.exit("submits.py: a wrong answer")
                took.append(time.perf_counter_ns() - start)
            print(sorted(took)[N_CALLS // 2], flush=True)


if __name__ == "__main__":
    main()
