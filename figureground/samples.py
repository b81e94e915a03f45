"""What every layout asks of a sample before it writes it."""

from figureground import jpeg
from figureground.errors import ArrayError, ReleaseError
from figureground.types import Sample


def check(sample: Sample) -> None:
    """Raise a `ReleaseError` unless names are file names, the picture is a JPEG and the label has its size."""
    for what, text in (("stem", sample.stem), *(("scene", scene) for scene in sample.scenes)):
        check_name(text, what)
    try:
        width, height = jpeg.size(sample.image)
    except ArrayError as error:
        raise ReleaseError(f"{sample.stem}: {error}") from error
    if sample.alpha.shape != (height, width):
        raise ReleaseError(
            f"{sample.stem}: the label has the shape {sample.alpha.shape}, its picture {(height, width)}; expected the same"
        )


def check_name(text: str, what: str) -> None:
    """Raise a `ReleaseError` unless a text can be part of a file's name on every system and one line of a list."""
    if not text or text[0] in ".- " or text[-1] in ". " or any(sign in '/\\:*?"<>|' or not sign.isprintable() for sign in text):
        raise ReleaseError(f"the {what} {text!r} cannot be a file's name; expected letters, digits, '_' and '-'. Rename it")
