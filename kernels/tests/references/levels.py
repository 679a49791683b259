"""Writes levels.txt and blend.txt: what Pillow makes of small pictures. Needs numpy and pillow (12 or newer)."""

import numpy as np
from PIL import Image, ImageChops, ImageOps

random = np.random.default_rng(7)


def hexed(image):
    return np.asarray(image).tobytes().hex()


with open("levels.txt", "w") as file:
    for cutoff in [0, 1, 2.5, 10, 49]:
        for low, high in [(0, 256), (40, 200), (100, 101), (7, 9)]:
            pixels = (low + (high - low) * random.random((12, 25)) ** 2).astype(np.uint8)
            image = Image.fromarray(pixels)
            print(cutoff, hexed(image), hexed(ImageOps.autocontrast(image, cutoff=cutoff)), file=file)

with open("blend.txt", "w") as file:
    a, b = (Image.fromarray(random.integers(0, 256, (16, 32), np.uint8)) for _ in range(2))
    modes = ["multiply", "screen", "add", "subtract", "difference", "lighter", "darker"]
    for mode in modes:
        print(mode, 1, hexed(a), hexed(b), hexed(getattr(ImageChops, mode)(a, b)), file=file)
    for opacity in [0, 0.25, 0.5, 1]:
        print("normal", opacity, hexed(a), hexed(b), hexed(Image.blend(a, b, opacity)), file=file)
    a, b = (Image.fromarray(random.integers(0, 256, (16, 32, 4), np.uint8), "RGBA") for _ in range(2))
    print("over", 1, hexed(a), hexed(b), hexed(Image.alpha_composite(a, b)), file=file)
