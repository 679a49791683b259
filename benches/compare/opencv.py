"""OpenCV's GaussianBlur, asked for by shmpool-compare: a line in, a line (or the picture) out.

arguments: height, width, channels, size of the kernel, threads; then the picture itself on standard input
blur       answers how many nanoseconds one blur took
result     answers the bytes of the last blur
"""

import sys
import time

try:
    import cv2
    import numpy as np
except ImportError as error:
    print(f"missing {error.name}", flush=True)
    sys.exit()

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
        cv2.GaussianBlur(image, (ksize, ksize), 2, dst=blurred, borderType=cv2.BORDER_REFLECT_101)
        print(time.perf_counter_ns() - start, flush=True)
    elif line == b"result\n":
        sys.stdout.buffer.write(memoryview(blurred).cast("B"))
        sys.stdout.buffer.flush()
    else:
        sys.exit(f"opencv.py: unknown question {line!r}")
