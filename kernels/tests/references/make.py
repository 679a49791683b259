"""Makes references.bin and references.txt: what NumPy, SciPy and OpenCV give, for kernels/tests/references.rs.

    python3 -m venv venv
    venv/bin/pip install numpy==2.4.6 scipy==1.17.1 opencv-python-headless==5.0.0.93
    venv/bin/python make.py

Each line of the text file describes one array of the binary one: its words, sample type, shape and first byte.
Image inputs are not stored for each case: they are cut from one crop of the bundled photograph, by the same few rules
here (`cut`) and in the test.
"""

import math
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

HERE = Path(__file__).parent
PHOTO = HERE / "../../../examples/photos/hubble_deep_field.jpg"
TYPES = {np.dtype(np.uint8): "u8", np.dtype(np.uint16): "u16", np.dtype(np.uint32): "u32"}
TYPES |= {np.dtype(np.uint64): "u64", np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}
BORDERS = {"reflect101": "mirror", "reflect": "reflect", "replicate": "nearest", "wrap": "wrap", "200": "constant"}

# What `keep` collects, for this script or for one that imports it.
lines, blob = [], bytearray()


def keep(words, array):
    array = np.ascontiguousarray(array)
    shape = " ".join(str(n) for n in array.shape)
    lines.append(f"{words}\t{TYPES[array.dtype]}\t{shape}\t{len(blob)}\n")
    blob.extend(array.astype(array.dtype.newbyteorder("<")).tobytes())


def crop():
    """40 x 56 pixels around a bright star: red, green, blue, and a made-up alpha."""
    photo = cv2.imread(str(PHOTO))[:, :, ::-1]
    y, x = 387, 81
    rgb = photo[y : y + 40, x : x + 56]
    rows, columns = np.indices(rgb.shape[:2])
    return np.dstack([rgb, ((3 * rows + 5 * columns) % 256).astype(np.uint8)])


def cut(image, height, width, channels, dtype):
    """The upper left part: red, (red, alpha), RGB or RGBA; u16 is v * 257, f32 is v / 255."""
    picked = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
    part = image[:height, :width, picked]
    if dtype == np.uint16:
        return part.astype(np.uint16) * 257
    return part.astype(np.float32) / np.float32(255) if dtype == np.float32 else part


def rounded(values, dtype):
    if dtype == np.float32:
        return values.astype(np.float32)
    return np.clip(np.rint(values), 0, np.iinfo(dtype).max).astype(dtype)


def per_channel(function, image):
    """`function` in f64 on every channel but alpha, which stays."""
    channels = image.shape[2]
    colours = channels - 1 if channels in (2, 4) else channels
    planes = [function(image[:, :, i].astype(np.float64)) for i in range(colours)]
    planes = [rounded(plane, image.dtype) for plane in planes]
    return np.dstack(planes + [image[:, :, i] for i in range(colours, channels)])


def gray(image):
    if image.shape[2] < 3:
        return image
    if image.dtype == np.uint16:  # exactly, since OpenCV rounds its weights
        red, green, blue = (image[:, :, i].astype(np.int64) for i in range(3))
        luma = ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint16)
    else:
        luma = cv2.cvtColor(np.ascontiguousarray(image[:, :, :3]), cv2.COLOR_RGB2GRAY)
    return np.dstack([luma] + [image[:, :, i] for i in range(3, image.shape[2])])


def gaussian(image, sigma, border):
    def blur(plane):
        return ndimage.gaussian_filter(plane, sigma, truncate=4, mode=BORDERS[border], cval=200.0)

    return per_channel(blur, image)


def sobel(image, border):
    def magnitude(plane):
        sides = [ndimage.sobel(plane, axis, mode=BORDERS[border], cval=200.0) for axis in (0, 1)]
        if border == "reflect101" and min(plane.shape) > 1:  # OpenCV agrees
            assert np.array_equal(sides[1], cv2.Sobel(plane, cv2.CV_64F, 1, 0))
        return np.sqrt(sides[0] ** 2 + sides[1] ** 2)

    return per_channel(magnitude, image)


def keep_gaussian(image, sigma, border):
    keep(f"gaussian channels={image.shape[2]} sigma={sigma} border={border}", gaussian(image, sigma, border))


def keep_sobel(image, border):
    keep(f"sobel channels={image.shape[2]} border={border}", sobel(image, border))


def images():
    image = crop()
    keep("crop", image)
    triples = np.arange(0, 256, 15, dtype=np.uint8)
    red, green, blue = np.meshgrid(triples, triples, triples, indexing="ij")
    keep("gray-triples", cv2.cvtColor(np.dstack([a.reshape(18, -1) for a in (red, green, blue)]), cv2.COLOR_RGB2GRAY))
    for dtype in (np.uint8, np.uint16, np.float32):
        sizes = [(1, 1), (1, 7), (3, 5), (11, 13)] if dtype == np.uint8 else [(3, 5), (11, 13)]
        for height, width in sizes:
            for channels in (1, 2, 3, 4):
                part = cut(image, height, width, channels, dtype)
                keep(f"gray channels={channels}", gray(part))
                keep_gaussian(part, 2, "reflect101")
                keep_sobel(part, "reflect101")
    for border in BORDERS:
        for height, width in [(3, 5), (14, 18)]:
            part = cut(image, height, width, 1, np.uint8)
            keep_gaussian(part, 1.5, border)
            keep_sobel(part, border)
    whole = cut(image, 40, 56, 3, np.uint8)
    keep("gray channels=3", gray(whole))
    keep_gaussian(whole, 2, "reflect101")
    keep_gaussian(whole, 0.6, "reflect101")
    keep_gaussian(whole[:, :, :1], 9, "reflect101")
    keep_gaussian(cut(image, 16, 20, 1, np.uint8), 20, "reflect101")  # beyond the radius of the 16-bit sums
    keep_sobel(whole, "reflect101")


def mandelbrot(points, iterations):
    """Counts z with |z|^2 <= 4, from z = 0, in the type of the points."""
    re, im = points
    x, y, counts = np.zeros_like(re), np.zeros_like(im), np.zeros(re.shape, np.uint32)
    inside = np.ones(re.shape, bool)
    for _ in range(iterations):
        inside &= x * x + y * y <= 4
        counts[inside] += 1
        x, y = np.where(inside, x * x - y * y + re, x), np.where(inside, 2 * x * y + im, y)
    return counts


def numbers():
    rng = np.random.default_rng(2)
    for dtype in (np.float32, np.float64):
        x = np.concatenate([rng.normal(0, 1e3, 56), [0, -0.0, 1e-40, 1e30, -1e30, np.inf, -np.inf, np.nan]]).astype(dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            keep("numbers", x)
            keep("sqrt", np.sqrt(x))
            keep("axpb a=0.1 b=-3.7", dtype(0.1) * x + dtype(-3.7))
        re, im = np.meshgrid(np.linspace(-2, 0.5, 40), np.linspace(-1.25, 1.25, 40))
        keep(f"mandelbrot iterations=100 {TYPES[np.dtype(dtype)]}", mandelbrot((re.astype(dtype), im.astype(dtype)), 100))
    positive = rng.exponential(1, 1000).astype(np.float32)
    keep("summands", positive)
    keep("sum", np.array([math.fsum(positive.astype(float))]))
    counts = mandelbrot(np.meshgrid(np.linspace(-2, 0.5, 512), np.linspace(-1.25, 1.25, 512)), 256)
    assert (counts.sum(), (counts == 256).sum()) == (17_608_978, 63_612)  # what kernels/tests/numeric.rs says


if __name__ == "__main__":
    images()
    numbers()
    (HERE / "references.txt").write_text("".join(lines))
    (HERE / "references.bin").write_bytes(blob)
    print(len(lines), "arrays,", len(blob), "bytes; OpenCV", cv2.__version__)
