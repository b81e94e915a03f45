"""The client: all groups of calls over one connection."""

from collections.abc import Mapping, Sequence

from figureground.clients.label_studio.annotations import AnnotationCalls
from figureground.clients.label_studio.errors import ignore_missing
from figureground.clients.label_studio.images import ImageCalls
from figureground.clients.label_studio.projects import ProjectCalls
from figureground.clients.label_studio.records import Project


class LabelStudioClient(ProjectCalls, AnnotationCalls, ImageCalls):
    """A Label Studio server as an `figureground.clients.label_studio.AnnotationServer`; ``sdk`` is the SDK's own client."""

    def register_webhook(self, project: Project, address: str, headers: Mapping[str, str], actions: Sequence[str]) -> int:
        """Make the project call an address for these actions, once however often this is called; give its number."""
        settings = {
            "url": address,
            "headers": dict(headers),
            "send_payload": False,
            "send_for_all_actions": False,
            "actions": list(actions),
            "is_active": True,
        }
        webhooks = self.sdk.webhooks
        with self.translating(f"registering the webhook {address}"):
            same = sorted(row.id for row in webhooks.list(project=str(project.project_id)) if row.url == address)
            if not same:
                return int(webhooks.create(project=project.project_id, **settings).id)
            webhooks.update(same[0], **settings)
            for duplicate in same[1:]:
                webhooks.delete(duplicate)
        return int(same[0])

    def delete_webhook(self, webhook_id: int) -> None:
        """Delete a webhook, if it is there."""
        with self.translating(f"removing the webhook {webhook_id}"), ignore_missing():
            self.sdk.webhooks.delete(webhook_id)
