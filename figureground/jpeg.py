"""What a JPEG says about itself, without decoding it."""

import io

from PIL.JpegImagePlugin import JpegImageFile

from figureground.errors import ArrayError


def size(content: bytes) -> tuple[int, int]:
    """Read the picture's size from its header; the pixels are not decoded.

    Parameters
    ----------
    content
        A JPEG file, or at least its beginning up to the frame header.

    Returns
    -------
    tuple
        Width and height as stored, in pixels; a rotation tag is not looked at.

    Raises
    ------
    ArrayError
        When it is not a JPEG, or one that ends before its size.
    """
    try:
        # Not Image.open: once ultralytics is imported, that tries to install pi_heif when it cannot read a file.
        with JpegImageFile(io.BytesIO(content)) as picture:
            return picture.size
    except (OSError, SyntaxError) as error:
        found = content[:4].hex(" ") or "nothing"
        raise ArrayError(
            f"expected a JPEG, which starts with ff d8; found {len(content)} bytes that start with {found} and give no size"
        ) from error
