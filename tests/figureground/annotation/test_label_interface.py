"""What a label config asks for, and what is refused."""

import pytest

from figureground.annotation import label_interface
from figureground.errors import CatalogError
from tests.figureground.annotation.regions import INTERFACE

SMALL = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="person"/><Label value="bag"/></BrushLabels>
<Choices name="verdict" toName="image"><Choice value="keep"/><Choice value="blurred"/></Choices></View>"""


def test_the_label_config_asks_for_the_person_the_verdict_and_the_scenes():
    assert (INTERFACE.image, INTERFACE.value, INTERFACE.brush, INTERFACE.labels) == ("image", "image", "person", ("person",))
    reasons = ("occluded", "truncated", "blurred", "ghosted", "several people", "not a person", "other")
    assert INTERFACE.choices["verdict"] == ("keep", *reasons)
    assert INTERFACE.several == {"scenes"}
    assert {"park", "jumping", "indoor", "walking"} <= set(INTERFACE.choices["scenes"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("</View>", ""), "not XML"),
        (('<Label value="person"/>', ""), "needs the label 'person'; it has: bag"),
        (('<Choice value="keep"/>', ""), "the choice 'keep'"),
        (('name="verdict" toName="image"', 'name="verdict" toName="picture"'), "'verdict' needs a name, and toName='image'"),
        (("<View>", '<View><Image name="two" value="$two"/>'), "exactly one <Image>; found 2"),
    ],
)
def test_a_label_config_that_asks_for_something_else_is_refused(change, says):
    with pytest.raises(CatalogError, match=f"small.xml: .*{says}"):
        label_interface.parse_person_interface(SMALL.replace(*change), "small.xml")


def test_comments_and_white_space_do_not_make_another_interface():
    assert label_interface.same_interface(SMALL, SMALL.replace("\n", "\n\n <!-- new -->"))
    assert not label_interface.same_interface(SMALL, SMALL.replace("bag", "hat"))
