"""OpenCV's GaussianBlur, asked for by shmpool-compare: a line in, a line (or the picture) out.

arguments: height, width, channels, size of the kernel, threads; then the picture itself on standard input
blur       answers how many nanoseconds one blur took
result     answers the bytes of the last blur
exact      answers the bytes of the same sum in double precision, rounded once
"""

import sys
import time

try:
    import cv2
    import numpy as np
except ImportError as error:
    print(f"missing {error.name}", flush=True)
    sys.exit()

SIGMA = 2


def exact(image, ksize):
    """The blur in strips, since the doubles of the whole picture would take a gigabyte."""
    radius = ksize // 2
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    result = np.empty_like(image)
    for top in range(0, len(image), 500):
        first = max(0, top - radius)
        strip = image[first : top + 500 + radius].astype(np.float64)
        blurred = cv2.sepFilter2D(strip, cv2.CV_64F, weights, weights, borderType=cv2.BORDER_REFLECT_101)
        kept = result[top : top + 500]
        kept[:] = np.rint(blurred[top - first : top - first + len(kept)])
    return result


height, width, channels, ksize, threads = map(int, sys.argv[1:])
cv2.setNumThreads(threads)
print(f"ready OpenCV {cv2.__version__} GaussianBlur, {cv2.getNumThreads()} threads", flush=True)

image = np.empty((height, width, channels), np.uint8)
blurred = np.empty_like(image)
if sys.stdin.buffer.readinto(memoryview(image).cast("B")) != image.nbytes:
    sys.exit("opencv.py: the picture ended early")

for line in sys.stdin.buffer:
    if line == b"blur\n":
        start = time.perf_counter_ns()
        cv2.GaussianBlur(image, (ksize, ksize), SIGMA, dst=blurred, borderType=cv2.BORDER_REFLECT_101)
        print(time.perf_counter_ns() - start, flush=True)
    elif line == b"result\n":
        sys.stdout.buffer.write(memoryview(blurred).cast("B"))
        sys.stdout.buffer.flush()
    elif line == b"exact\n":
        sys.stdout.buffer.write(memoryview(exact(image, ksize)).cast("B"))
        sys.stdout.buffer.flush()
    else:
        sys.exit(f"opencv.py: unknown question {line!r}")
