"""What somebody who may label on the local Label Studio may try: to read the storage, and to reach this machine's services."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from figureground.clients import local_label_studio, webhook
from figureground.clients.annotation_server import connect
from flows.scheduling.webhook import make_receiver, serving
from tasks.annotation.push import push
from tests.ports import free_port


@pytest.mark.studio
def test_the_server_sees_crops_and_nothing_else(real_studio, studio_folder, make_catalog, make_material) -> None:
    catalog = make_catalog(studio_folder, real_studio.url, "what is served")
    material = make_material(catalog, "park-served", 2)
    push.fn(material.crops, material.mattes, material.source, catalog)
    storage = catalog.folder / "data"
    crop = next((storage / "crops/park-served").iterdir())
    with httpx.Client(base_url=real_studio.url, headers={"Authorization": f"Token {real_studio.token}"}, timeout=60) as client:

        def read(place: str) -> int:
            return client.get("/data/local-files/", params={"d": place}).status_code

        assert read(f"crops/park-served/{crop.name}") == 200
        project = client.get("/api/projects", params={"title": "what is served"}).json()["results"][0]["id"]
        served = storage / ".studio/served"
        for place in (storage / ".studio", storage / "tables", storage, served, served / "..", served / "crops/../../.studio"):
            body = {"project": project, "path": str(place), "use_blob_urls": True, "title": "everything"}
            for kind in ("localfiles", "export/localfiles"):
                answer = client.post(f"/api/storages/{kind}", json=body)
                assert answer.status_code == 400, (place, kind, answer.text)
        for place in (".studio/token", "../token", "crops/../../token", "tables/tasks/park-served.parquet", "../../tables"):
            assert read(place) != 200, place


@pytest.fixture
def private_service() -> Iterator[tuple[str, list[str]]]:
    """Give the address of a service of this machine that nobody else should reach, and the requests that it got."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'[{"data": {"image": "a private answer"}}]')

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", requests
        server.shutdown()


@pytest.mark.studio
def test_the_server_reaches_the_webhooks_receiver_and_no_other_service_of_this_machine(
    real_studio, studio_folder, make_catalog, make_material, private_service
) -> None:
    service, requests = private_service
    port = service.rpartition(":")[2]
    catalog = make_catalog(studio_folder, real_studio.url, "what is reached")
    material = make_material(catalog, "park-reached", 1)
    push.fn(material.crops, material.mattes, material.source, catalog)
    with httpx.Client(base_url=real_studio.url, headers={"Authorization": f"Token {real_studio.token}"}, timeout=60) as client:
        project = client.get("/api/projects", params={"title": "what is reached"}).json()["results"][0]["id"]

        def import_from(address: str) -> int:
            return client.post(f"/api/projects/{project}/import", data={"url": f"http://{address}/a.json"}).status_code

        reached, own = threading.Event(), free_port()
        receiver = f"http://127.0.0.1:{own}/"
        hosts = ("127.0.0.1", "localhost", "127.1", "127.0.0.7", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]")
        places = [f"{host}:{port}" for host in hosts]
        for place in places:
            assert import_from(place) >= 400, place
        with (
            serving(make_receiver("a-secret-of-the-receiver", lambda: None, reached), "127.0.0.1", own),
            connect(catalog) as server,
        ):
            found, hook = webhook.register(server, catalog, receiver, "a-secret-of-the-receiver")
            try:
                assert not webhook.try_webhook(server, found, catalog, reached.wait), "nothing lets it through yet"
                with local_label_studio.let_through(catalog, receiver):
                    assert webhook.try_webhook(server, found, catalog, reached.wait)
                    for place in places:
                        assert import_from(place) >= 400, place
                    other, second = webhook.register(server, catalog, f"http://{service}/", "a-secret-of-the-receiver")
                    webhook.try_webhook(server, other, catalog, lambda _: True)
                    server.delete_webhook(second)
            finally:
                server.delete_webhook(hook)
    assert requests == []
    assert not (catalog.folder / "data/.studio/receiver.json").exists()
