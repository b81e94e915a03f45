"""Files' hashes and sizes in little room, asked for as a dict is."""

import pytest

from figureground.storage.hashing import FileIndex

FILES = {f"img/{number:02}.jpg": (f"{number:064x}", 2**33 + number) for number in range(20)}


def test_it_is_what_a_dict_of_the_same_would_be() -> None:
    found = FileIndex(FILES.items())
    assert found == FILES and len(found) == 20 and list(found) == sorted(FILES)
    assert dict(found.items()) == FILES and ("img/03.jpg", FILES["img/03.jpg"]) in found.items()
    assert "img/03" not in found and found.get("zzz") is None
    with pytest.raises(KeyError, match="img/99"):
        found["img/99"]


@pytest.mark.parametrize("name", ["img/00.jpg", "img/07.jpg", "img/19.jpg"])
def test_one_can_be_taken_out(name: str) -> None:
    found, left = FileIndex(FILES.items()), dict(FILES)
    assert found.pop(name) == left.pop(name)
    assert found == left
    with pytest.raises(KeyError):
        found.pop(name)


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a")])
def test_names_out_of_order_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="in order"):
        FileIndex((name, ("0" * 64, 1)) for name in names)
