"""The colours of classes in a class map, and where classes are painted on a picture.

Class 0, the background as a rule, is black; classes 1 to 5 have the colours of all drawings, which
most people with colour blindness tell apart; those above have the colours of PASCAL VOC's maps,
as PaddleSeg paints them. All 256 differ.
"""

from __future__ import annotations

from functools import cache

from paddlesrv.tasks.drawing import colour

SIZE = 256
"""As many classes as a pixel of one byte can be of."""
_OWN = 5


@cache
def class_colours() -> tuple[tuple[int, int, int], ...]:
    """Red, green, blue of each class from 0 to 255."""
    own = (colour(number)[::-1] for number in range(1, _OWN + 1))
    return ((0, 0, 0), *own, *(_voc(number) for number in range(_OWN + 1, SIZE)))


def _voc(number: int) -> tuple[int, int, int]:
    """The number's bits, three at a time, are the highest, next highest, ... of the channels.

    See the function `VOClabelcolormap` of the PASCAL VOC development kit.
    """
    red = green = blue = 0
    for place in range(7, -1, -1):
        red |= (number & 1) << place
        green |= (number >> 1 & 1) << place
        blue |= (number >> 2 & 1) << place
        number >>= 3
    return red, green, blue
