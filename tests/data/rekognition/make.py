"""Makes the pictures of this folder (Pillow needed; the results are kept in git).

Each is 96 x 80 or larger, one colour at the upper left corner, and exercises one decoder path.
"""
import pathlib
import struct
import zlib

from PIL import Image

HERE = pathlib.Path(__file__).parent
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color_type, pixel, interlaced):
    packer = zlib.compressobj(9)
    data = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        row = b"\0" + pixel * ((width - x0 + dx - 1) // dx)
        for _ in range((height - y0 + dy - 1) // dy):
            data += packer.compress(row)
    data += packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def main():
    (HERE / "alpha.png").write_bytes(png(96, 80, 8, 6, b"\x20\x40\x60\x00", False))
    (HERE / "interlaced.png").write_bytes(png(96, 80, 8, 2, b"\xc8\x64\x32", True))
    (HERE / "gray16.png").write_bytes(png(96, 80, 16, 0, b"\x80\x80", False))
    # more than 16 megapixels, so that only the first pass is read
    (HERE / "interlaced-large.png").write_bytes(png(4200, 4100, 8, 2, b"\xc8\x64\x32", True))
    Image.new("RGB", (96, 80), (10, 200, 30)).quantize(4).save(HERE / "palette.png")
    Image.new("RGB", (96, 80), (200, 40, 40)).convert("CMYK").save(HERE / "cmyk.jpg", quality=95)
    Image.new("L", (96, 80), 90).save(HERE / "gray.jpg", quality=95)


if __name__ == "__main__":
    main()
