"""Makes photographs of about 2 megapixels for the row `photos`: crops of the large pictures that it is given.

arguments: folder to fill, how many, pictures to cut from
"""

import sys
from pathlib import Path

from PIL import Image

folder, n, sources = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
folder.mkdir(parents=True, exist_ok=True)
WIDTH, HEIGHT = 1920, 1080
pictures = [Image.open(source).convert("RGB") for source in sources]
pictures = [picture for picture in pictures if picture.width >= WIDTH and picture.height >= HEIGHT]
if not pictures:
    sys.exit(f"photos.py: no picture of at least {WIDTH} x {HEIGHT}")
for i in range(n):
    picture = pictures[i % len(pictures)]
    # Spread over the picture, by a step that does not divide it.
    x = i * 7919 % (picture.width - WIDTH + 1)
    y = i * 104729 % (picture.height - HEIGHT + 1)
    picture.crop((x, y, x + WIDTH, y + HEIGHT)).save(folder / f"photo{i:03}.jpg", quality=90)
