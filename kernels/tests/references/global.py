"""Makes global.bin and global.txt: what OpenCV gives, for kernels/tests/global.rs.

    venv/bin/python global.py           # the environment is that of make.py
"""

import cv2
import numpy as np
from make import HERE, blob, crop, cut, keep, lines


def otsu(image):
    white = np.iinfo(image.dtype).max
    level, binary = cv2.threshold(image[:, :, 0], 0, int(white), cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    keep(f"otsu channels={image.shape[2]} threshold={int(level)}", np.dstack([binary, *image.transpose(2, 0, 1)[1:]]))


def equalize(image):
    equal = cv2.equalizeHist(np.ascontiguousarray(image[:, :, 0]))
    keep(f"equalize channels={image.shape[2]}", np.dstack([equal, *image.transpose(2, 0, 1)[1:]]))


def main():
    image = crop()
    for height, width in [(1, 1), (1, 2), (5, 7), (40, 56)]:
        for channels in (1, 2):
            otsu(cut(image, height, width, channels, np.uint8))
            equalize(cut(image, height, width, channels, np.uint8))
    for height, width in [(5, 7), (20, 30)]:
        otsu(cut(image, height, width, 1, np.uint16))
    (HERE / "global.txt").write_text("".join(lines))
    (HERE / "global.bin").write_bytes(blob)


if __name__ == "__main__":
    main()
