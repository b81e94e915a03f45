"""What somebody who may label on the local Label Studio may try: to read the storage's tables and the server's secrets."""

import httpx
import pytest

from tasks.annotation.push import push


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
