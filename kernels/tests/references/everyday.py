"""Makes everyday.bin and everyday.txt: what NumPy, SciPy and OpenCV give, for kernels/tests/everyday.rs.

    venv/bin/python everyday.py         # the environment is that of make.py

The words of a line are those that the parser of shmpool reads, and then the channels of the input, which is cut from the
photograph as in make.py.
"""

import cv2
import numpy as np
from make import BORDERS, HERE, blob, crop, cut, keep, lines, per_channel, rounded
from scipy import ndimage

WHITE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
OPENCV_BORDERS = {
    "reflect101": cv2.BORDER_REFLECT_101,
    "reflect": cv2.BORDER_REFLECT,
    "replicate": cv2.BORDER_REPLICATE,
}


def point(function):
    """`function(x, white)` in f64, for every sample but alpha."""

    def run(image, border):
        return per_channel(lambda plane: function(plane, WHITE[image.dtype.name]), image)

    return run


def mode(image, border):
    """SciPy's name of a border, and its constant in samples."""
    constant = 200.0 * WHITE[image.dtype.name] / 255
    return {"mode": BORDERS[border], "cval": np.float64(np.float32(constant))}


def neighbours(function):
    """`function(plane, **mode)` in f64, for every channel but alpha."""

    def run(image, border):
        return per_channel(lambda plane: function(plane, **mode(image, border)), image)

    return run


def magnitude(side, middle, operator=None):
    """The length of the gradient that 3 x 3 weights give; `operator` agrees, but that it takes the constant border for
    the derivative's too."""
    weights = np.outer([side, middle, side], [-1.0, 0, 1])

    def run(plane, **mode):
        gx, gy = (ndimage.correlate(plane, w, **mode) for w in (weights, weights.T))
        if operator and mode["mode"] != "constant":
            assert np.allclose(gx, operator(plane, 1, **mode)) and np.allclose(gy, operator(plane, 0, **mode))
        if middle == 10 and mode["mode"] == "mirror" and min(plane.shape) > 1:
            assert np.allclose(gx, cv2.Scharr(plane, cv2.CV_64F, 1, 0))
        return np.hypot(gx, gy)

    return neighbours(run)


def check(image, border, found, call):
    """OpenCV agrees with what was made by other means, where it has the border and takes images so small."""
    if border in OPENCV_BORDERS and image.shape[2] != 2 and min(image.shape[:2]) > 2:
        colours = np.ascontiguousarray(image[:, :, : min(3, image.shape[2])])
        wanted = call(colours, OPENCV_BORDERS[border]).reshape(colours.shape)
        assert np.array_equal(wanted, found[:, :, : colours.shape[2]])
    return found


def box(radius):
    def run(image, border):
        side = 2 * radius + 1
        found = neighbours(lambda plane, **mode: ndimage.uniform_filter(plane, side, **mode))(image, border)
        if image.dtype != np.uint8:
            return found
        return check(image, border, found, lambda part, rule: cv2.blur(part, (side, side), borderType=rule))

    return run


def median(radius):
    def run(image, border):
        side = 2 * radius + 1
        found = neighbours(lambda plane, **mode: ndimage.median_filter(plane, side, **mode))(image, border)
        if border != "replicate" or (radius > 2 and image.dtype != np.uint8):
            return found
        return check(image, border, found, lambda part, rule: cv2.medianBlur(part, side))

    return run


def extreme(operators, radius):
    """OpenCV's operators with the border named, one after the other; SciPy where OpenCV has no such border."""

    def run(image, border):
        side = 2 * radius + 1
        found = image
        for operator in operators:
            scipy_s = {"erode": ndimage.grey_erosion, "dilate": ndimage.grey_dilation}[operator]
            filtered = neighbours(lambda plane, **mode: scipy_s(plane, side, **mode))(found, border)
            opencv_s = {"erode": cv2.erode, "dilate": cv2.dilate}[operator]
            square = np.ones((side, side), np.uint8)
            check(found, border, filtered, lambda part, rule: opencv_s(part, square, borderType=rule))
            if border == "replicate":  # and so does OpenCV's default, which does not count what lies beyond
                check(found, border, filtered, lambda part, rule: opencv_s(part, square))
            found = filtered
        return found

    return run


def convolve(weights, divisor=1, offset=0):
    weights = np.array(weights, np.float64)
    side = int(np.sqrt(weights.size))

    def run(image, border):
        level = offset * WHITE[image.dtype.name] / 255
        weighed = neighbours(
            lambda plane, **mode: ndimage.correlate(plane, weights.reshape(side, side), **mode) / divisor + level
        )
        return weighed(image, border)

    return run


def unsharp(sigma, amount, threshold=0):
    def run(image, border):
        if min(image.shape[:2]) > 4 * sigma and border == "reflect101" and image.dtype != np.float32:
            radius = round(4 * sigma)
            blurred = cv2.GaussianBlur(image, (2 * radius + 1, 2 * radius + 1), sigma).reshape(image.shape)
            recipe = cv2.addWeighted(image, 1 + amount, blurred, -amount, 0).reshape(image.shape)
        else:
            blur = neighbours(lambda plane, **mode: ndimage.gaussian_filter(plane, sigma, truncate=4, **mode))
            blurred = blur(image, border)
            recipe = rounded(image + amount * (image.astype(np.float64) - blurred), image.dtype)
        level = threshold * WHITE[image.dtype.name] / 255
        found = np.where(abs(image.astype(np.float64) - blurred) >= level, recipe, image)
        if image.shape[2] in (2, 4):
            found[:, :, -1] = image[:, :, -1]
        return found

    return run


def curve(points):
    table = np.rint(np.interp(np.arange(256) / 255, np.linspace(0, 1, len(points)), points))
    return point(lambda x, white: np.interp(x / white * 255, np.arange(256), table) * white / 255)


def stretch(low, high, gamma):
    def run(x, white):
        low_sample, high_sample = np.float64(np.float32([low * white / 255, high * white / 255]))
        t = (np.clip(x, low_sample, high_sample) - low_sample) / (high_sample - low_sample)
        return white * t ** np.float64(np.float32(gamma))

    return point(run)


def f32(x):
    return np.float64(np.float32(x))


LAPLACE = [0, 1, 0, 1, -4, 1, 0, 1, 0]
RAMP = list(range(-12, 13))
POINT = {
    "invert": point(lambda x, white: white - x),
    "gamma": point(lambda x, white: white * (x / white) ** 0.5),
    "gamma:gamma=2.2": point(lambda x, white: white * (x / white) ** f32(2.2)),
    "levels:low=20,high=180": stretch(20, 180, 1),
    "levels:low=10.5,high=240,gamma=0.7": stretch(10.5, 240, 0.7),
    "brightness": point(lambda x, white: x + f32(32 * white / 255)),
    "brightness:add=-20.5": point(lambda x, white: x + f32(-20.5 * white / 255)),
    "contrast": point(lambda x, white: white / 2 + (x - white / 2) * 1.5),
    "contrast:factor=0.3": point(lambda x, white: white / 2 + (x - white / 2) * f32(0.3)),
    "lut:points=0/30/128/220/255": curve([0, 30, 128, 220, 255]),
    "threshold": point(lambda x, white: np.where(x > f32(127 * white / 255), white, 0)),
    "threshold:level=30.5": point(lambda x, white: np.where(x > f32(30.5 * white / 255), white, 0)),
}
REFLECTED = {
    "box": box(1),
    "box:radius=3": box(3),
    "convolve": convolve([0, -1, 0, -1, 5, -1, 0, -1, 0]),
    "convolve:weights=" + "/".join(map(str, RAMP)) + ",divisor=16,offset=100": convolve(RAMP, 16, 100),
    "convolve:weights=" + "/".join(["0.02"] * 49): convolve([f32(0.02)] * 49),
    "sharpen": convolve([0, -1, 0, -1, 5, -1, 0, -1, 0]),
    "sharpen:amount=0.3": convolve([0, -f32(0.3), 0, -f32(0.3), 1 + 4 * f32(0.3), -f32(0.3), 0, -f32(0.3), 0]),
    "unsharp": unsharp(1, 1),
    "unsharp:sigma=1.7,amount=1.5": unsharp(1.7, 1.5),
    "scharr": magnitude(3, 10),
    "prewitt": magnitude(1, 1, ndimage.prewitt),
    "laplacian": neighbours(lambda plane, **mode: abs(ndimage.laplace(plane, **mode))),
}
REPLICATED = {
    "median": median(1),
    "median:radius=2": median(2),
    "median:radius=3": median(3),
    "erode": extreme(["erode"], 1),
    "erode:radius=4": extreme(["erode"], 4),
    "dilate": extreme(["dilate"], 1),
    "dilate:radius=2": extreme(["dilate"], 2),
    "open": extreme(["erode", "dilate"], 1),
    "close:radius=2": extreme(["dilate", "erode"], 2),
}


def keep_case(word, make, part, border):
    keep(f"{word} channels={part.shape[2]}", make(part, border))


def every_type(image, word, make, border):
    for channels in (1, 2, 3, 4):
        keep_case(word, make, cut(image, 3, 5, channels, np.uint8), border)
    keep_case(word, make, cut(image, 1, 1, 3, np.uint8), border)
    keep_case(word, make, cut(image, 11, 13, 3, np.uint8), border)
    for dtype in (np.uint16, np.float32):
        keep_case(word, make, cut(image, 11, 13, 1, dtype), border)
        keep_case(word, make, cut(image, 3, 5, 4, dtype), border)


def main():
    image = crop()
    table = cv2.LUT(image[:, :, 0], np.uint8(np.rint(255 * (np.arange(256) / 255) ** 0.5)))
    assert np.array_equal(POINT["gamma"](image[:, :, :1], None)[:, :, 0], table)
    for word, make in POINT.items():
        every_type(image, word, make, None)
    for default, kernels in (("reflect101", REFLECTED), ("replicate", REPLICATED)):
        for word, make in kernels.items():
            every_type(image, word, make, default)
            for border in BORDERS:
                named = f"{word}{',' if ':' in word else ':'}border={border}"
                keep_case(named, make, cut(image, 9, 11, 1, np.uint8), border)
                keep_case(named, make, cut(image, 2, 3, 1, np.uint16), border)
    whole = cut(image, 40, 56, 1, np.uint8)
    keep_case("median:radius=9", median(9), whole, "replicate")
    keep_case("erode:radius=12", extreme(["erode"], 12), whole, "replicate")
    keep_case("box:radius=8", box(8), whole, "reflect101")
    keep_case("box:radius=33", box(33), whole, "reflect101")
    keep_case("box:radius=127", box(127), whole, "reflect101")
    keep_case("unsharp:sigma=2,amount=1,threshold=3", unsharp(2, 1, 3), whole, "reflect101")
    (HERE / "everyday.txt").write_text("".join(lines))
    (HERE / "everyday.bin").write_bytes(blob)
    print(len(lines), "arrays,", len(blob), "bytes; OpenCV", cv2.__version__)


main()
