"""Makes geometry.bin and geometry.txt: what NumPy and Pillow give, for kernels/tests/geometry.rs.

    venv/bin/pip install pillow==13.0.0
    venv/bin/python geometry.py         # the environment is that of make.py otherwise

The words of a line name the kernel and the height, width and channels of its input, which is cut from the photograph as
in make.py.
"""

import math

import numpy as np
from make import HERE, blob, crop, cut, keep, lines
from PIL import Image

TURNS = {
    "flip-horizontal": np.fliplr,
    "flip-vertical": np.flipud,
    "rotate90": lambda image: np.rot90(image, -1),
    "rotate180": lambda image: np.rot90(image, 2),
    "rotate270": np.rot90,
    "transpose": lambda image: image.transpose(1, 0, 2),
    "transverse": lambda image: np.rot90(image, 2).transpose(1, 0, 2),
}
PADS = {"reflect101": "reflect", "reflect": "symmetric", "replicate": "edge", "wrap": "wrap", "200": "constant"}
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "catmull-rom": Image.Resampling.BICUBIC,
    "mitchell": None,
    "lanczos3": Image.Resampling.LANCZOS,
}
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def named(kernel, image):
    height, width, channels = image.shape
    return f"{kernel} height={height} width={width} channels={channels}"


def turned(image):
    for name, turn in TURNS.items():
        keep(named(name, image), turn(image))


def padded(image, left, top, right, bottom):
    for border, mode in PADS.items():
        constant = {"constant_values": 200} if mode == "constant" else {}
        sides = ((top, bottom), (left, right), (0, 0))
        words = f"{named('pad', image)} left={left} top={top} right={right} bottom={bottom} border={border}"
        keep(words, np.pad(image, sides, mode=mode, **constant))


def mitchell(x):
    x = abs(x)
    if x < 1:
        return (7 * x**3 - 12 * x**2 + 16 / 3) / 6
    return (-7 / 3 * x**3 + 12 * x**2 - 20 * x + 32 / 3) / 6 if x < 2 else 0.0


def catmull_rom(x):
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def weights(function, source, result):
    """A row of weights for each pixel of the result: Pillow's `precompute_coeffs` for filters of radius 2."""
    matrix = np.zeros((result, source))
    scale = source / result
    widened = max(scale, 1)
    for position in range(result):
        centre = (position + 0.5) * scale
        first = int(max(centre - 2 * widened + 0.5, 0))
        end = min(int(centre + 2 * widened + 0.5), source)
        row = [function((i - centre + 0.5) / widened) for i in range(first, end)]
        matrix[position, first:end] = np.array(row) / math.fsum(row)
    return matrix if source != result else np.eye(result)


def by_weights(plane, width, height, function):
    """Rows, then columns; u8 is rounded and cut in between, as Pillow does."""
    bytes_ = plane.dtype == np.uint8
    for_bytes = (lambda x: np.clip(np.floor(x + 0.5), 0, 255)) if bytes_ else (lambda x: x)
    across = for_bytes(plane.astype(np.float64) @ weights(function, plane.shape[1], width).T)
    return for_bytes(weights(function, plane.shape[0], height) @ across).astype(plane.dtype)


def plane_resized(plane, width, height, filter):
    """One channel, in mode L or F."""
    if filter == "mitchell":
        return by_weights(plane, width, height, mitchell)
    found = np.asarray(Image.fromarray(plane).resize((width, height), FILTERS[filter]))
    if filter == "catmull-rom" and plane.dtype == np.float32:
        assert np.allclose(found, by_weights(plane, width, height, catmull_rom), atol=2e-6)
    return found


def resized(image, width, height, filter):
    channels = image.shape[2]
    if image.dtype == np.uint8 and filter != "mitchell":
        squeezed = image[:, :, 0] if channels == 1 else image
        found = Image.fromarray(squeezed, MODES[channels]).resize((width, height), FILTERS[filter])
        return np.asarray(found).reshape(height, width, channels)
    white = 65535 if image.dtype == np.uint16 else 1
    planes = image if image.dtype == np.uint8 else (image / white).astype(np.float32)
    alpha = channels in (2, 4) and filter != "nearest"
    if alpha:
        planes = np.dstack([planes[:, :, :-1] * planes[:, :, -1:], planes[:, :, -1:]])
    found = [plane_resized(np.ascontiguousarray(planes[:, :, i]), width, height, filter) for i in range(channels)]
    found = np.dstack(found)
    if alpha:
        left = found[:, :, -1:]
        found[:, :, :-1] /= np.where(left > 0, left, 1)
    if image.dtype == np.uint16:
        return np.clip(np.rint(found.astype(np.float64) * white), 0, white).astype(np.uint16)
    return found


def keep_resized(image, width, height, filters=FILTERS):
    for filter in filters:
        words = f"{named('resize', image)} to-height={height} to-width={width} filter={filter}"
        keep(words, resized(image, width, height, filter))


def main():
    image = crop()
    for dtype in (np.uint8, np.uint16, np.float32):
        for height, width, channels in [(1, 1, 1), (3, 5, 1), (5, 3, 2), (17, 19, 3), (4, 33, 4)]:
            if dtype == np.uint8 or height * width < 20:
                turned(cut(image, height, width, channels, dtype))
    for height, width, channels in [(1, 1, 3), (3, 4, 1), (5, 6, 4)]:
        padded(cut(image, height, width, channels, np.uint8), 3, 1, 0, 4)
        padded(cut(image, height, width, channels, np.uint8), 0, 9, 14, 0)
    padded(cut(image, 2, 3, 3, np.uint16), 1, 2, 3, 4)

    whole = [cut(image, 40, 56, channels, np.uint8) for channels in (1, 2, 3, 4)]
    for width, height in [(28, 20), (17, 13), (7, 40), (56, 3)]:
        keep_resized(whole[2], width, height)
    for part in (whole[0], whole[1], whole[3]):
        keep_resized(part, 28, 20, [name for name in FILTERS if name != "mitchell" or part.shape[2] == 1])
    keep_resized(whole[0], 83, 61, ["lanczos3"])
    keep_resized(whole[0], 1, 1)
    keep_resized(cut(image, 5, 3, 3, np.uint8), 9, 2)
    keep_resized(cut(image, 1, 1, 3, np.uint8), 4, 3)
    keep_resized(cut(image, 28, 3, 1, np.uint8), 3, 6)
    for dtype in (np.uint16, np.float32):
        for channels in (1, 2, 3, 4):
            keep_resized(cut(image, 20, 23, channels, dtype), 7, 6)
        keep_resized(cut(image, 7, 5, 3, dtype), 9, 13)
    (HERE / "geometry.txt").write_text("".join(lines))
    (HERE / "geometry.bin").write_bytes(blob)


if __name__ == "__main__":
    main()
