"""The client offers what the Protocol asks for, with the same parameters."""

import inspect

from figureground.clients.label_studio import AnnotationServer, LabelStudioClient


def test_the_client_has_every_method_of_the_protocol_with_its_parameters():
    methods = {name: method for name, method in vars(AnnotationServer).items() if inspect.isfunction(method)}
    asked = {name: list(inspect.signature(method).parameters) for name, method in methods.items() if name[0] != "_"}
    offered = {name: list(inspect.signature(getattr(LabelStudioClient, name)).parameters) for name in asked}
    assert asked
    assert offered == asked
