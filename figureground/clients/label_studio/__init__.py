"""The client of a Label Studio server: the only package that uses its SDK.

Tasks and flows see the `AnnotationServer` Protocol; `LabelStudioClient` implements it, and tests implement it in memory.
"""

from figureground.clients.label_studio.client import LabelStudioClient
from figureground.clients.label_studio.protocol import AnnotationServer
from figureground.clients.label_studio.records import MODEL_VERSION, Project, ServerTask

__all__ = ["MODEL_VERSION", "AnnotationServer", "LabelStudioClient", "Project", "ServerTask"]
