"""Calls about images and what an annotator's browser shows of them."""

from figureground.annotation import predictions
from figureground.annotation.label_interface import Interface
from figureground.clients.label_studio.connection import Connection
from figureground.clients.label_studio.records import image_address
from figureground.errors import ArrayError, LabelError
from figureground.imaging import jpeg


class ImageCalls(Connection):
    """What is asked of the server about served images and shown predictions."""

    def fetch_image(self, address: str) -> bytes:
        """Fetch an image through the server, as an annotator's browser does."""
        reply = self.get(address) if address.startswith("/") else self.get_elsewhere(address)
        kind = reply.headers.get("content-type", "")
        if reply.status_code != 200 or not kind.startswith("image/"):
            raise LabelError(
                f"the Label Studio at {self.url} does not serve {address} (answer {reply.status_code} {kind}): start it with "
                "LOCAL_FILES_SERVING_ENABLED=true and LOCAL_FILES_DOCUMENT_ROOT=<storage> (`local` of a storage behind a "
                "URL), or use `figureground studio up`"
            )
        return reply.content

    def fetch_task_image(self, task_id: int) -> tuple[str, bytes]:
        """Fetch a task's image: its address and its bytes."""
        with self.translating(f"fetching the picture of task {task_id}"):
            address = image_address(self.sdk.tasks.get(str(task_id)).data or {})
        if not address:
            raise LabelError(f"task {task_id} at {self.url} names no picture; push its source again")
        return address, self.fetch_image(address)

    def check_prediction(self, task_id: int, interface: Interface) -> str:
        """Check that an annotator sees a task's prediction, and describe it; see `AnnotationServer.check_prediction`."""
        with self.translating(f"reading the prediction of task {task_id}"):
            rows = [row.dict() for row in self.sdk.predictions.list(task=task_id)]
        if len(rows) != 1:
            raise LabelError(f"task {task_id} at {self.url} has {len(rows)} predictions, expected one; push its source again")
        address, content = self.fetch_task_image(task_id)
        try:
            width, height = jpeg.size(content)
        except ArrayError as error:
            raise LabelError(f"the Label Studio at {self.url} serves {address}, but that is no JPEG: {error}") from error
        predictions.check_prediction(rows[0], interface, width, height, f"task {task_id}")
        return f"{rows[0]['model_version']} fits task {task_id}'s picture of {width}x{height} and the label config"
