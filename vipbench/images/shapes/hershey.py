"""Hershey Simplex as OpenCV 4 writes it with lines of one pixel: capitals and digits in any size.

The Hershey Fonts were originally created by Dr. A. V. Hershey while working at the U.S. National
Bureau of Standards; the format of the font data was originally created by James Hurt, Cognition,
Inc. How OpenCV lays them out: OpenCV 4.12, modules/imgproc/src/drawing.cpp, `putText` and
`getTextSize`; version 5 writes with another font. Checked by tests/compare_with_opencv.py.
"""

from collections.abc import Iterator
from itertools import pairwise

from vipbench.errors import TaskError
from vipbench.images.shapes import raster
from vipbench.images.shapes.raster import Pixel, Run

BASE_LINE, CAP_LINE = 9, 12
"""Below and above the middle of a letter, in units of the font."""
LETTERS = {
    "A": r"I[RFJ[ RFZ[ MTWT",
    "B": r"G\KFK[ KFTFWGXHYJYLXNWOTP KPTPWQXRYTYWXYWZT[K[",
    "C": r"H]ZKYIWGUFQFOGMILKKNKSLVMXOZQ[U[WZYXZV",
    "D": r"G\KFK[ KFRFUGWIXKYNYSXVWXUZR[K[",
    "E": r"H[LFL[ LFYF LPTP L[Y[",
    "F": r"HZLFL[ LFYF LPTP",
    "G": r"H]ZKYIWGUFQFOGMILKKNKSLVMXOZQ[U[WZYXZVZS USZS",
    "H": r"G]KFK[ YFY[ KPYP",
    "I": r"NVRFR[",
    "J": r"JZVFVVUYTZR[P[NZMYLVLT",
    "K": r"G\KFK[ YFKT POY[",
    "L": r"HYLFL[ L[X[",
    "M": r"F^JFJ[ JFR[ ZFR[ ZFZ[",
    "N": r"G]KFK[ KFY[ YFY[",
    "O": r"G]PFNGLIKKJNJSKVLXNZP[T[VZXXYVZSZNYKXIVGTFPF",
    "P": r"G\KFK[ KFTFWGXHYJYMXOWPTQKQ",
    "Q": r"G]PFNGLIKKJNJSKVLXNZP[T[VZXXYVZSZNYKXIVGTFPF SWY]",
    "R": r"G\KFK[ KFTFWGXHYJYLXNWOTPKP RPY[",
    "S": r"H\YIWGTFPFMGKIKKLMMNOOUQWRXSYUYXWZT[P[MZKX",
    "T": r"JZRFR[ KFYF",
    "U": r"G]KFKULXNZQ[S[VZXXYUYF",
    "V": r"I[JFR[ ZFR[",
    "W": r"F^HFM[ RFM[ RFW[ \FW[",
    "X": r"H\KFY[ YFK[",
    "Y": r"I[JFRPR[ ZFRP",
    "Z": r"H\YFK[ KFYF K[Y[",
    "0": r"H\QFNGLJKOKRLWNZQ[S[VZXWYRYOXJVGSFQF",
    "1": r"H\NJPISFS[",
    "2": r"H\LKLJMHNGPFTFVGWHXJXLWNUQK[Y[",
    "3": r"H\MFXFRNUNWOXPYSYUXXVZS[P[MZLYKW",
    "4": r"H\UFKTZT UFU[",
    "5": r"H\WFMFLOMNPMSMVNXPYSYUXXVZS[P[MZLYKW",
    "6": r"H\XIWGTFRFOGMJLOLTMXOZR[S[VZXXYUYTXQVOSNRNOOMQLT",
    "7": r"H\YFO[ KFYF",
    "8": r"H\PFMGLILKMMONSOVPXRYTYWXYWZT[P[MZLYKWKTLRNPQOUNWMXKXIWGTFPF",
    "9": r"H\XMWPURRSQSNRLPKMKLLINGQFRFUGWIXMXRWWUZR[P[MZLX",
}
"""Left and right border, then lines as x, y, x, y, …; each a letter, of which R is zero."""


def text_size(text: str, scale: float) -> Pixel:
    """Return the width and height of a text in px.

    Raises:
        TaskError: A letter is unknown.
    """
    width = 0.0
    for letter in text:
        left, right = _numbers(_letter(letter, text)[:2])
        width += (right - left) * scale
    return round(width + 1), round((CAP_LINE + BASE_LINE) * scale + 1)


def text_runs(text: str, scale: float, origin: Pixel, size_wh: Pixel) -> Iterator[Run]:
    """Yield the pixels of a text; `origin` is the left end of its base line.

    Raises:
        TaskError: A letter is unknown.
    """
    unit = round(scale * raster.ONE)
    x, y = origin[0] * raster.ONE, origin[1] * raster.ONE - BASE_LINE * unit
    for letter in text:
        borders, *lines = _split(_letter(letter, text))
        x -= borders[0] * unit
        for line in lines:
            ends = [(x + line[i] * unit, y + line[i + 1] * unit) for i in range(0, len(line), 2)]
            for start, end in pairwise(ends):
                yield from raster.fixed_line(start, end, size_wh)
        x += borders[1] * unit


def _letter(letter: str, text: str) -> str:
    if letter not in LETTERS:
        raise TaskError(
            f"tag {text!r}: font hershey has no {letter!r} · expected capitals A-Z and digits · use"
            " font sans for other texts"
        )
    return LETTERS[letter]


def _split(code: str) -> list[list[int]]:
    return [_numbers(code[:2]), *(_numbers(line) for line in code[2:].split(" "))]


def _numbers(code: str) -> list[int]:
    return [ord(each) - ord("R") for each in code]
