"""OpenCV's and Pillow's image operations, asked for by shmpool-compare: a line in, a line (or a picture) out.

arguments: height, width, threads; then 256 bytes of a table and the RGB picture on standard input
NAME         answers how many nanoseconds one run of that operation took
result NAME  answers the bytes of its last result
"""

import sys
import time

try:
    import cv2
    import numpy as np
    import PIL
    from PIL import Image
except ImportError as error:
    print(f"missing {error.name}", flush=True)
    sys.exit()

height, width, threads = map(int, sys.argv[1:])
cv2.setNumThreads(threads)
versions = f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads; Pillow {PIL.__version__}, which has one"
print(f"ready {versions}", flush=True)


def read(array):
    if sys.stdin.buffer.readinto(memoryview(array).cast("B")) != array.nbytes:
        sys.exit("images.py: the input ended early")
    return array


table = read(np.empty(256, np.uint8))
image = read(np.empty((height, width, 3), np.uint8))
pillow = None
# Results and what lies between are kept from run to run, so that no page of them is new.
kept = {}
box = np.ones((3, 3), np.uint8)


def magnitude(source, name):
    """OpenCV has no Sobel magnitude for bytes: two derivatives in floats, their length, rounded and cut."""
    x = kept["x"] = cv2.Sobel(source, cv2.CV_32F, 1, 0, dst=kept.get("x"))
    y = kept["y"] = cv2.Sobel(source, cv2.CV_32F, 0, 1, dst=kept.get("y"))
    length = cv2.magnitude(x, y, magnitude=x)
    return cv2.convertScaleAbs(length, dst=kept.get(name))


def chain():
    gray = kept["gray"] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY, dst=kept.get("gray"))
    blurred = kept["blurred"] = cv2.GaussianBlur(gray, (17, 17), 2, dst=kept.get("blurred"))
    return magnitude(blurred, "chain")


def halved():
    return np.asarray(pillow.resize((width // 2, height // 2), Image.Resampling.LANCZOS))


operations = {
    "gray": lambda: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY, dst=kept.get("gray")),
    "lut": lambda: cv2.LUT(image, table, dst=kept.get("lut")),
    "median": lambda: cv2.medianBlur(image, 3, dst=kept.get("median")),
    "erode": lambda: cv2.erode(image, box, dst=kept.get("erode")),
    "sobel": lambda: magnitude(image, "sobel"),
    "chain": chain,
    "resize": halved,
}

for line in sys.stdin.buffer:
    words = line.decode().split()
    name = words[-1]
    if words[0] == "result":
        sys.stdout.buffer.write(np.ascontiguousarray(kept.pop(name)))
        sys.stdout.buffer.flush()
        kept.clear()
        continue
    if name == "resize" and pillow is None:
        pillow = Image.fromarray(image)
    start = time.perf_counter_ns()
    result = operations[name]()
    took = time.perf_counter_ns() - start
    kept[name] = result
    print(took, flush=True)
