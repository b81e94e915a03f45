"""What an attacker who controls a Label Studio project may send back."""

import pytest

from figureground.annotation import label_interface
from figureground.errors import CatalogError


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_a_label_config_with_entities_is_refused(declaration: str) -> None:
    with pytest.raises(CatalogError, match=r"park\.xml: the label config is not XML, or not plain XML: .*Entit"):
        label_interface.parse_interface(f"{declaration}<View><Header value='&a;'/></View>", "park.xml")
