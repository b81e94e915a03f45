"""The one place that speaks to a Label Studio server, through its SDK.

`connect` gives a `Server`; the functions below are all that pushing, pulling and the stand-in annotator ask of it. The
SDK's own retries are off: repeating a call that may have worked is a decision, and it is made where the keys are known.
Foreign errors become `LabelError` (asking again changes nothing) or `TransientError` (the connection or the server broke).
"""

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any

import httpx

from figureground.annotation import class_resolution, labelling, sync_cursor
from figureground.catalog import Catalog
from figureground.clients import local_label_studio
from figureground.errors import ArrayError, CatalogError, LabelError, TransientError
from figureground.imaging import jpeg
from figureground.storage.store import Store

TOKEN = "LABEL_STUDIO_API_KEY"
_SECRET = "prefect:"
_KINDS = {"brush": labelling.BRUSH, "bitmask": labelling.BITMASK}
KEYS_AT_ONCE = 100
TASKS_AT_ONCE = 1000
REQUEST_SECONDS = 90.0  # so long after it was sent a request may still be done, though nobody listens any more
_TIMEOUT_SECONDS = 60
# two who make the same project see each other's after that, or after as many times as long as the making took: the other
# one's began before ours was to be seen, on the same server
_SETTLED_SECONDS, _SETTLED_TIMES = 1.0, 3.0
_BUSY = (408, 425, 429)
_TWIN, _TITLE_LETTERS = "unused twin of", 50
# The queue shows predictions of the one model version that a project has, and the first import sets that: so all have one
# name, and which remover made a prediction stands in the task's data.
MODEL = "figureground"
VIEW = "least sure first"
_SURENESS = "tasks:data.score"  # numbers of four digits after the point: their text has the same order
# the server applies `include` to what is inside a task, too: an annotation without "result" would look empty
_WHOLE = "id,result,score,completed_by,lead_time,parent_prediction,was_cancelled,created_at,updated_at"

_log = logging.getLogger(__name__)
_secrets: set[str] = set()


@dataclass(frozen=True, slots=True)
class Server:
    """A Label Studio that took our token. Printing it shows no secret; leaving a ``with``, or forgetting it, closes it."""

    url: str
    client: Any = field(repr=False)
    wire: httpx.Client = field(repr=False)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def __del__(self) -> None:
        self.wire.close()


@dataclass(frozen=True, slots=True)
class Project:
    """Where a catalog's tasks are. ``answered`` is how many of all its tasks had an answer when it was looked up."""

    project_id: int
    url: str
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Remote:
    """What the server knows about a task: ``predictions`` and ``annotations`` are counts, cancelled ones not counted.

    ``people`` is how many are asked: so many annotations by different people finish it.
    """

    task_id: int
    key: str
    predictions: int
    annotations: int
    updated_at: str
    content: Mapping[str, Any] = field(repr=False)
    people: int = 1


def connect(catalog: Catalog) -> Server:
    """Connect to the catalog's server.

    The token comes from the local studio's own file when the address is the local studio's, else from the environment
    variable ``LABEL_STUDIO_API_KEY``: a legacy token, a personal access token, or ``prefect:NAME`` for the Prefect Secret
    block of that name.

    Raises
    ------
    LabelError
        When there is no token, it is refused, nothing listens there, or what listens is no Label Studio.
    """
    from label_studio_sdk import LabelStudio

    url = catalog.label_studio.url.rstrip("/")
    local = local_label_studio.token(catalog, url)
    token = local or told(os.environ.get(TOKEN, "").strip())
    if not token:
        raise LabelError(
            f"no token for the Label Studio at {url}: set the environment variable {TOKEN} (its page Account & Settings "
            "shows one), or start a local one with `figureground studio up` and give its address as label_studio.url"
        )
    _check_kind(url)
    _secrets.add(token)
    whose = "the local studio's own, in <storage>/.studio/token" if local else f"the one in {TOKEN}"
    wire = httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True, trust_env=_far(url))
    try:
        with speaking(url, "asking who we are", token=whose):
            client = LabelStudio(base_url=url, api_key=token, timeout=_TIMEOUT_SECONDS, max_retries=0, httpx_client=wire)  # type: ignore[no-untyped-call]
            client.users.whoami()
    except BaseException:
        wire.close()
        raise
    return Server(url, client, wire)


def told(text: str, variable: str = TOKEN) -> str:
    """Give the secret that an environment variable holds, or that of the Prefect Secret block it names.

    Raises
    ------
    LabelError
        When there is no such block, or no Prefect server to ask.
    """
    if not text.startswith(_SECRET):
        return text
    from prefect.blocks.system import Secret

    name = text.removeprefix(_SECRET)
    try:
        return str(Secret.load(name).get())  # type: ignore[union-attr]
    except ValueError as error:
        raise LabelError(
            f"{variable} names the Prefect Secret {name!r}, which cannot be read ({type(error).__name__}): make it in "
            "Prefect's page Blocks, and set PREFECT_API_URL to the server that has it"
        ) from error


def _check_kind(url: str) -> None:
    """Make sure that a Label Studio listens there, before a token is shown to it."""
    try:
        reply = httpx.get(f"{url}/api/version", timeout=_TIMEOUT_SECONDS, follow_redirects=True, trust_env=_far(url))
    except httpx.HTTPError as error:
        if not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)):
            raise TransientError(f"lost the server at {url} while asking what it is ({_cause(error)})") from error
        raise LabelError(
            f"no Label Studio answers at {url} ({_cause(error)}): start it (`figureground studio up` starts a local one), "
            "or set label_studio.url in the catalog to where it is"
        ) from error
    if reply.status_code >= 500 or reply.status_code in _BUSY:
        raise TransientError(f"the server at {url} answers {reply.status_code}; try again in a while")
    try:
        known = "release" in reply.json()
    except ValueError:
        known = False
    if not known:
        raise LabelError(
            f"what answers at {url} is not a Label Studio (its /api/version says {reply.status_code}); "
            "set label_studio.url in the catalog to the address of one, without a path"
        )


def _far(url: str) -> bool:
    """Tell whether a server is elsewhere: only then may a proxy of the environment stand between."""
    return httpx.URL(url).host not in ("127.0.0.1", "localhost", "::1")


def _api_error() -> type[Exception]:
    from label_studio_sdk.core.api_error import ApiError

    return ApiError


def _refused(url: str, whose: str) -> LabelError:
    return LabelError(
        f"the Label Studio at {url} refuses the token ({whose}): take a valid one from its page Account & Settings and set "
        f"{TOKEN}, or look whether label_studio.url is the server you mean"
    )


@contextlib.contextmanager
def speaking(url: str, doing: str, token: str = "the one it was connected with") -> Iterator[None]:
    """Translate what the SDK raises.

    Raises
    ------
    LabelError
        When the server says no.
    TransientError
        When the connection broke, the server took too long, or it says that it is broken or busy.
    """
    try:
        yield
    except httpx.HTTPError as error:
        raise TransientError(f"lost the Label Studio at {url} while {doing} ({_cause(error)})") from error
    except _api_error() as error:
        error.headers = None  # type: ignore[attr-defined]  # among them a session's cookie, which is as good as the token
        error.body = _clean(_detail(error.body))  # type: ignore[attr-defined]  # a server may repeat what it was sent
        raise _translated(url, doing, token, error) from error


@contextlib.contextmanager
def gone_is_fine() -> Iterator[None]:
    """Take it as done when what is to be deleted is not there: an earlier try may have worked unheard."""
    try:
        yield
    except _api_error() as error:
        if getattr(error, "status_code", None) != 404:
            raise


@contextlib.contextmanager
def _still_there(server: Server, task: "Remote") -> Iterator[None]:
    """Take it as something to look at again when a task is gone: two who push without one lock delete each other's twins."""
    try:
        yield
    except _api_error() as error:
        status, said = getattr(error, "status_code", None), _detail(getattr(error, "body", ""))
        if status == 404 or (status == 400 and "does not exist" in said):
            raise TransientError(f"task {task.task_id} at {server.url} is gone: somebody else deleted it just now") from None
        raise


def _translated(url: str, doing: str, token: str, error: Any) -> LabelError | TransientError:
    status = error.status_code or 0
    if status in (401, 403):
        return _refused(url, token)
    if status >= 500 or status in _BUSY:
        return TransientError(f"the Label Studio at {url} answered {status} while {doing}")
    return LabelError(f"the Label Studio at {url} refused {doing}: {status} {_detail(error.body)}")


def _detail(body: Any) -> str:
    """Give the part of an error's body that says something."""
    if hasattr(body, "model_dump"):
        body = body.model_dump()
    if isinstance(body, Mapping):
        body = body.get("validation_errors") or body.get("detail") or dict(body)
    return (body if isinstance(body, str) else json.dumps(body, default=str, ensure_ascii=False))[:600]


def _cause(error: Exception) -> str:
    return _clean(str(error)) or type(error).__name__


def _clean(text: str) -> str:
    """Take out the tokens we were told: no message repeats one, whoever wrote it."""
    for secret in _secrets:
        text = text.replace(secret, "…")
    return text


def interface(catalog: Catalog) -> tuple[labelling.Interface, str]:
    """Read the catalog's label config: what it asks for, and its text with the masks stored as the catalog says.

    Raises
    ------
    CatalogError
        When the file cannot be read or does not ask for what the tables need.
    """
    file = catalog.label_config_file
    try:
        xml = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"label_studio.label_config: cannot read {file}: {error}; give a label config's path") from error
    xml = labelling.stored_as(xml, _KINDS[catalog.label_studio.mask])
    return class_resolution.read_interface(xml, str(file)), xml


def find_project(server: Server, catalog: Catalog) -> Project | None:
    """Find the catalog's project by its title, or None.

    Of several that have the title, the one with answers is taken, else the first with the catalog's labelling interface:
    two who make it at the same moment on a slow server may both have begun to fill theirs, and have to agree on one.

    Raises
    ------
    LabelError
        When there are several with answers, or it has another labelling interface than the catalog.
    """
    return _choose(server, catalog)[0]


def _choose(server: Server, catalog: Catalog) -> tuple[Project | None, list[int]]:
    """Find the catalog's project, and the numbers of its twins: title and interface are the same, but nobody has answered."""
    title = catalog.label_studio.project
    asked = {"include": "id,title,label_config,num_tasks_with_annotations", "page_size": 100}
    with speaking(server.url, f"looking for the project {title!r}"):
        there = [project for project in server.client.projects.list(title=title, **asked) if project.title == title]
    if not there:
        return None, []
    there.sort(key=lambda project: int(project.id))
    _, xml = interface(catalog)
    alike = [project for project in there if labelling.same_interface(project.label_config or "", xml)]
    answered = [project for project in there if project.num_tasks_with_annotations]
    if len(answered) > 1:
        raise LabelError(
            f"the Label Studio at {server.url} has {len(answered)} projects called {title!r} with answers in them "
            f"(numbers {', '.join(str(project.id) for project in answered)}): rename all but one"
        )
    found = [*answered, *alike, *there][0]
    place = f"{server.url}/projects/{found.id}"
    if found not in alike:
        tag = "BitmaskLabels for BrushLabels" if catalog.label_studio.mask == "bitmask" else ""
        raise LabelError(
            f"the project {title!r} ({place}) has another labelling interface than {catalog.label_config_file}"
            f"{tag and f' with {tag} (label_studio.mask is bitmask)'}: paste that {'so ' if tag else 'file '}into "
            f"{place}/settings/labeling, or name another project in label_studio.project"
        )
    twins = [project.id for project in alike if project.id != found.id]
    return Project(found.id, place, int(found.num_tasks_with_annotations or 0)), twins


def make_project(server: Server, catalog: Catalog) -> Project:
    """Find the catalog's project or make it, with the storage its pictures are served from.

    Raises
    ------
    LabelError
        As `find_project`; also when the server cannot see the storage folder.
    """
    title = catalog.label_studio.project
    project, twins = _choose(server, catalog)
    if project is None:
        _, xml = interface(catalog)
        began = time.monotonic()
        with speaking(server.url, f"making the project {title!r}"):
            made = server.client.projects.create(title=title, label_config=xml, show_collab_predictions=True)
        time.sleep(max(_SETTLED_SECONDS, _SETTLED_TIMES * (time.monotonic() - began)))
        project, twins = _choose(server, catalog)
        project = project or Project(made.id, f"{server.url}/projects/{made.id}")
        _log.info("made the project %r: %s", title, project.url)
    for twin in twins:
        # Whoever still pushes to it finds in the end that it is not the project, and pushes again. It is not deleted: while
        # a project is deleted the server counts nothing, and after two at once never again (see `recount`).
        _log.warning("renaming project %d of %s, a twin of %s that nobody has answered in", twin, server.url, project.url)
        with speaking(server.url, f"renaming project {twin}, a twin that nobody has answered in"), gone_is_fine():
            server.client.projects.update(twin, title=f"{_TWIN} {title}"[:_TITLE_LETTERS])
    folder = Store(catalog.storage_root).served("crops")
    folder.mkdir(parents=True, exist_ok=True)  # of a storage behind a URL the first copy may be yet to come
    _serve_pictures(server, project, str(folder))
    return project


def _serve_pictures(server: Server, project: Project, folder: str) -> None:
    """Let the server serve a folder to whoever may see the project. It is never synced: tasks come from us alone."""
    with speaking(server.url, "looking at the project's storages"):
        rows = server.client.import_storage.local.list(project=project.project_id)
    if any((row.path or "").rstrip("/") == folder for row in rows):
        return
    try:
        with speaking(server.url, f"serving pictures from {folder}"):
            server.client.import_storage.local.create(
                project=project.project_id, path=folder, title="figureground crops", use_blob_urls=True
            )
    except LabelError as error:
        raise LabelError(
            f"{error}. Its machine must have this folder: start it with LOCAL_FILES_SERVING_ENABLED=true and "
            f"LOCAL_FILES_DOCUMENT_ROOT={folder.rpartition('/')[0]}, or use `figureground studio up`"
        ) from error


def look_up(server: Server, project: Project, keys: Sequence[str]) -> dict[str, list[Remote]]:
    """Find tasks by their keys, whatever their numbers are.

    Parameters
    ----------
    server, project
        Where.
    keys
        The keys to look for; they are asked for in portions.

    Returns
    -------
    dict
        From key to its tasks, lowest number first; keys without any are missing.
    """
    found: dict[str, list[Remote]] = {}
    include = "id,data,total_predictions,total_annotations,updated_at,overlap"
    for query in _queries(keys, annotated=False):
        for remote in _tasks(server, project, query=query, fields="task_only", include=include):
            found.setdefault(remote.key, []).append(remote)
    return {key: sorted(found[key], key=lambda remote: remote.task_id) for key in sorted(found)}


def changed(server: Server, project: Project, source_id: str, since: str) -> list[Remote]:
    """List a source's tasks that were touched since a time, oldest change first; "" lists all of them.

    Each page asks for tasks behind the last one's number, so that whoever edits, adds or deletes meanwhile can make us
    see a task in an older or newer state, but never make us skip one.

    Parameters
    ----------
    server, project
        Where.
    source_id
        The source in the tasks' data.
    since
        A time as the server writes it, such as ``2026-11-30T12:00:00.000000Z``: changes at that time count.
    """
    found: list[Remote] = []
    window = [_of_source(source_id), *([_item("updated_at", "greater_or_equal", "Datetime", since)] if since else [])]
    include = "id,data,total_annotations,updated_at"
    while True:
        last = found[-1].task_id if found else 0
        query = _query(*window, _item("id", "greater", "Number", last))
        with speaking(server.url, f"looking for changed tasks of {project.url}"):
            answer = server.client.tasks.list(
                project=project.project_id, page_size=TASKS_AT_ONCE, query=query, fields="task_only", include=include
            )
        page = sorted(map(_remote, answer.items), key=lambda remote: remote.task_id)
        found += page
        if not page or len(page) >= answer.response.total:
            return sorted(found, key=lambda remote: (remote.updated_at, remote.task_id))


def count_annotated(server: Server, project: Project, source_id: str = "") -> int:
    """Count a source's annotated tasks, or all: what a list of changes cannot tell is that a task was deleted."""
    query = _query(*([_of_source(source_id)] if source_id else []), _ANNOTATED)
    with speaking(server.url, f"counting annotated tasks of {project.url}"):
        answer = server.client.tasks.list(
            project=project.project_id, page_size=1, query=query, fields="task_only", include="id"
        )
    return int(answer.response.total)


def recount(server: Server, project: Project, source_id: str) -> int:
    """Have the server count the answers to a source's tasks that it missed, and say how many tasks there were.

    While a Label Studio (1.23) deletes a project it does not notice what else is saved, and after two such deletions at once
    it does so no more until it is started again: a task that was answered then looks open, whatever list is asked for. Saving
    its annotations again, as they are, makes a server that notices count them.

    Raises
    ------
    LabelError
        When the server still does not count.
    TransientError
        When the connection broke; asking again does the rest.
    """
    query = _query(_of_source(source_id), _item("total_annotations", "equal", "Number", 0))
    found = _tasks(server, project, query=query, fields="all", include=f"data,annotations,total_annotations,{_WHOLE}")
    missed = [task for task in found if any(not one.get("was_cancelled") for one in task.content.get("annotations") or ())]
    for task in missed:
        for one in task.content["annotations"]:
            with speaking(server.url, f"having annotation {one['id']} counted"), gone_is_fine():
                server.client.annotations.update(one["id"], was_cancelled=bool(one.get("was_cancelled")))
    if missed and not any(task.annotations for task in look_up(server, project, [missed[0].key])[missed[0].key]):
        raise LabelError(
            f"the Label Studio at {server.url} has stopped counting: {len(missed)} tasks of {source_id} have answers and look "
            "open to it (that comes from projects being deleted while it is used). Start that server again (a local one: "
            "`figureground studio down`, then `up`), and run this again; no answer is lost"
        )
    return len(missed)


def is_answered(server: Server, task: Remote) -> bool:
    """Tell whether anybody has answered a task, by its annotations and not by the server's count of them."""
    if task.annotations:
        return True
    with speaking(server.url, f"looking for answers to task {task.task_id}"), gone_is_fine():
        return any(not one.was_cancelled for one in server.client.annotations.list(task.task_id))
    return False


def clock(server: Server) -> str:
    """Give the server's own time, as it writes times: the end of the second it tells."""
    with speaking(server.url, "asking what time it is"):
        reply = server.wire.get(f"{server.url}/api/version")
    if reply.status_code != 200:
        raise TransientError(f"the Label Studio at {server.url} answered {reply.status_code} while asking what time it is")
    told = reply.headers.get("date", "")
    try:
        return (parsedate_to_datetime(told).astimezone(UTC) + timedelta(seconds=1)).strftime(sync_cursor.TIME)
    except ValueError as error:
        raise LabelError(f"the Label Studio at {server.url} does not say what time it is (its Date is {told!r})") from error


def details(server: Server, project: Project, keys: Sequence[str]) -> Iterator[Remote]:
    """Give the annotated tasks among the keys one by one, their whole annotations in ``content``."""
    for query in _queries(keys, annotated=True):
        include = f"data,annotations,total_annotations,overlap,{_WHOLE}"
        yield from _tasks(server, project, query=query, fields="all", include=include)


def everything(server: Server, project: Project) -> list[Remote]:
    """Give all tasks of a project that have a key, by crop and number; their predictions and annotations in ``content``."""
    found = _tasks(server, project, fields="all", include=f"data,predictions,annotations,total_annotations,{_WHOLE}")
    ours = [task for task in found if task.key]
    return sorted(ours, key=lambda task: (str(task.content["data"].get("crop_id")), task.task_id))


def _queries(keys: Sequence[str], annotated: bool) -> Iterator[str]:
    for start in range(0, len(keys), KEYS_AT_ONCE):
        ours = _item("data.key", "in_list", "String", list(keys[start : start + KEYS_AT_ONCE]))
        yield _query(*([ours, _ANNOTATED] if annotated else [ours]))


def _query(*items: Mapping[str, Any]) -> str:
    return json.dumps({"filters": {"conjunction": "and", "items": items}})


def _item(name: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}


def _of_source(source_id: str) -> dict[str, Any]:
    return _item("data.source", "equal", "String", source_id)


_ANNOTATED = _item("total_annotations", "greater", "Number", 0)


def _tasks(server: Server, project: Project, **asked: Any) -> Iterator[Remote]:
    """Page by the total the server names: the SDK's own paging asks for one page too many."""
    for page in count(1):
        with speaking(server.url, f"looking up tasks of {project.url}"):
            answer = server.client.tasks.list(project=project.project_id, page=page, page_size=KEYS_AT_ONCE, **asked)
        yield from map(_remote, answer.items)
        if page * KEYS_AT_ONCE >= answer.response.total:
            return


def _remote(task: Any) -> Remote:
    content = task if isinstance(task, Mapping) else task.dict()
    return Remote(
        int(content["id"]),
        str((content.get("data") or {}).get("key") or ""),
        int(content.get("total_predictions") or 0),
        int(content.get("total_annotations") or 0),
        _time(content.get("updated_at")),
        content,
        int(content.get("overlap") or 1),
    )


def _time(found: Any) -> str:
    """Write a time the one way it can be compared and asked for: UTC, to the microsecond."""
    if not found:
        return ""
    when = found if isinstance(found, datetime) else datetime.fromisoformat(str(found).replace("Z", "+00:00"))
    return when.astimezone(UTC).strftime(sync_cursor.TIME)


def create_tasks(server: Server, project: Project, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Create tasks with their predictions. Nothing is created twice by this call alone; it is sent once."""
    with speaking(server.url, f"creating {len(tasks)} tasks"):
        server.client.projects.import_tasks(project.project_id, request=tasks, return_task_ids=True)


def replace_prediction(
    server: Server, task: Remote, predictions: Sequence[Mapping[str, Any]], content: Mapping[str, Any]
) -> None:
    """Give a task exactly these predictions (one, or none when it is left blank), and the data that says which.

    The data is written last: killed before, the next run sees the old data and does it all again.

    Raises
    ------
    TransientError
        When the connection broke, or somebody else who pushes has deleted the task: looking again settles it.
    """
    with speaking(server.url, f"replacing the prediction of task {task.task_id}"), _still_there(server, task):
        _check_key(server, task)
        for old in server.client.predictions.list(task=task.task_id):
            with gone_is_fine():
                server.client.predictions.delete(old.id)
        for prediction in predictions:
            server.client.predictions.create(task=task.task_id, **prediction)
        server.client.tasks.update(str(task.task_id), data=dict(content))


def count_predictions(server: Server, task: Remote) -> int:
    """Count a task's predictions themselves; `Remote` has the server's count of them."""
    with speaking(server.url, f"counting the predictions of task {task.task_id}"), _still_there(server, task):
        found = server.client.predictions.list(task=task.task_id)
    return len(found)


def ask_people(server: Server, task: Remote, people: int) -> None:
    """Leave a task in the queue until so many people have answered it.

    The number is the task's own ``overlap``: the project's share of overlapping tasks is drawn anew with each import.
    """
    with speaking(server.url, f"giving task {task.task_id} to {people} people"), _still_there(server, task):
        _patch(server, f"/api/tasks/{task.task_id}/", {"overlap": people})


def _patch(server: Server, path: str, content: Mapping[str, Any]) -> None:
    """Change what the SDK has no argument for."""
    reply = server.wire.patch(server.url + path, headers=server.client._client_wrapper.get_headers(), json=dict(content))
    if reply.status_code >= 300:
        raise _api_error()(status_code=reply.status_code, body=reply.text)  # type: ignore[call-arg]


def make_view(server: Server, project: Project) -> None:
    """Make sure that the project has the tab that lists the least sure tasks first, those of all sources."""
    with speaking(server.url, "looking at the project's tabs"):
        if any((view.data or {}).get("title") == VIEW for view in server.client.views.list(project=project.project_id)):
            return
    data = {"title": VIEW, "type": "list", "target": "tasks", "ordering": [_SURENESS]}
    with speaking(server.url, f"making the tab {VIEW!r}"):
        server.client.views.create(project=project.project_id, data=data)


def _check_key(server: Server, task: Remote) -> None:
    """Make sure that a number still means the task: a server on SQLite gives the number of a deleted one to the next."""
    key = str((server.client.tasks.get(str(task.task_id)).data or {}).get("key") or "")
    if key != task.key:
        raise TransientError(f"task {task.task_id} at {server.url} is another one now: somebody else deleted it just now")


def delete_task(server: Server, task: Remote) -> None:
    """Delete a task. Meant for a twin that nobody has worked on.

    Raises
    ------
    TransientError
        When the connection broke, or the number is another task's by now: looking again settles it.
    """
    with speaking(server.url, f"deleting task {task.task_id}, which is there twice"), gone_is_fine():
        _check_key(server, task)
        server.client.tasks.delete(str(task.task_id))


def delete_source(server: Server, project: int, source_id: str) -> int:
    """Delete all tasks of a source, what people drew there too, and say how many there were. Meant for a take-down.

    Raises
    ------
    LabelError, TransientError
        When the server refuses or is gone; whoever asks again deletes the rest.
    """
    where = Project(project, f"{server.url}/projects/{project}")
    found = list(_tasks(server, where, query=_query(_of_source(source_id)), fields="task_only", include="id,data"))
    for task in found:
        with speaking(server.url, f"deleting task {task.task_id} of {source_id}"), gone_is_fine():
            server.client.tasks.delete(str(task.task_id))
    return len(found)


def annotators(server: Server) -> dict[int, str]:
    """Give everybody's name by number: the user name where there is one, else the address."""
    with speaking(server.url, "asking who the annotators are"):
        return {user.id: user.username or user.email for user in server.client.users.list()}


def make_annotator(server: Server, name: str, email: str) -> int:
    """Find a user by address or make one, and give the number."""
    with speaking(server.url, f"looking for the annotator {name!r}"):
        for user in server.client.users.list():
            if user.email == email:
                return int(user.id)
        return int(server.client.users.create(username=name, email=email, first_name=name).id)


def annotate(
    server: Server, task: Remote, result: Sequence[Mapping[str, Any]], *, by: int, seconds: float, prediction: int | None
) -> None:
    """Add an annotation to a task, as an annotator's submit does."""
    more = {} if prediction is None else {"parent_prediction": prediction}
    with speaking(server.url, f"annotating task {task.task_id}"):
        server.client.annotations.create(task.task_id, result=list(result), completed_by=by, lead_time=seconds, **more)


def give_back(server: Server, task: Remote, annotations: Sequence[int], note: Mapping[str, Any]) -> None:
    """Put a task back into the annotators' queue: its annotations count as skipped, and nothing painted is lost.

    The note goes to the task's data under ``returned``, first: killed between, the next run does both again.
    """
    with speaking(server.url, f"giving task {task.task_id} back to the annotators"):
        server.client.tasks.update(str(task.task_id), data={**task.content["data"], "returned": dict(note)})
        for annotation in annotations:
            server.client.annotations.update(annotation, was_cancelled=True)


def fetch_picture(server: Server, task: int) -> str:
    """Fetch a task's picture the way an annotator's browser will, and say what came.

    Raises
    ------
    LabelError
        When the task is not there or the server does not serve its picture.
    TransientError
        When the connection broke.
    """
    address, content = _picture(server, task)
    return f"{server.url} serves {address}, {len(content) / 1000:.0f} kB"


def pictures(server: Server, project: Project) -> Iterator[tuple[int, str]]:
    """Give every task's number and the address of its picture, as its data says it; "" where it says none."""
    for task in _tasks(server, project, fields="task_only", include="id,data"):
        if task.key:
            yield task.task_id, _address(task.content["data"])


def fetch_address(server: Server, address: str) -> bytes:
    """Fetch a picture through the server, as an annotator's browser will.

    Raises
    ------
    LabelError
        When the server does not serve it.
    TransientError
        When the connection broke.
    """
    with speaking(server.url, f"fetching {address}"):
        own = address.startswith("/")  # the token is for this server, not for wherever a picture may be
        headers = server.client._client_wrapper.get_headers() if own else {}
        reply = server.wire.get(server.url + address if own else address, headers=headers)
    kind = reply.headers.get("content-type", "")
    if reply.status_code != 200 or not kind.startswith("image/"):
        raise LabelError(
            f"the Label Studio at {server.url} does not serve {address} (answer {reply.status_code} {kind}): start it with "
            "LOCAL_FILES_SERVING_ENABLED=true and LOCAL_FILES_DOCUMENT_ROOT=<storage> (`local` of one at an address), or use "
            "`figureground studio up`"
        )
    return reply.content


def check_queue(server: Server, project: Project) -> None:
    """Make sure that the project's queue shows what was predicted.

    Raises
    ------
    LabelError
        When the project is set to show no predictions, or those of a model version that is not ours.
    TransientError
        When the connection broke.
    """
    with speaking(server.url, f"looking at the settings of {project.url}"):
        found = server.client.projects.get(project.project_id)
    if not found.show_collab_predictions:
        raise LabelError(f"{project.url} shows no predictions: switch on 'Use predictions to prelabel tasks' in its settings")
    if found.model_version not in (None, "", MODEL):
        raise LabelError(
            f"{project.url} shows predictions of the model version {found.model_version!r} only, ours are called {MODEL!r}: "
            "choose that one in its settings, under Annotation"
        )


def see_prediction(server: Server, task: int, interface: labelling.Interface) -> str:
    """Make sure that an annotator will see a task's prediction, and say which.

    The server shows nothing, and says nothing, when a prediction names a tag, label or size that is not the project's or
    the picture's: so it is compared with the label config and with the picture as it is served.

    Raises
    ------
    LabelError
        When there is not exactly one prediction, or nobody would see it.
    TransientError
        When the connection broke.
    """
    with speaking(server.url, f"looking at the prediction of task {task}"):
        found = [one.dict() for one in server.client.predictions.list(task=task)]
    if len(found) != 1:
        raise LabelError(f"task {task} at {server.url} has {len(found)} predictions, expected one; push its source again")
    address, content = _picture(server, task)
    try:
        width, height = jpeg.size(content)
    except ArrayError as error:
        raise LabelError(f"the Label Studio at {server.url} serves {address}, but that is no JPEG: {error}") from error
    labelling.check_prediction(found[0], interface, width, height, f"task {task}")
    return f"{found[0]['model_version']} fits task {task}'s picture of {width}x{height} and the label config"


def _picture(server: Server, task: int) -> tuple[str, bytes]:
    """Fetch a task's picture: where it is, and what is there."""
    with speaking(server.url, f"fetching the picture of task {task}"):
        address = _address(server.client.tasks.get(str(task)).data or {})
    if not address:
        raise LabelError(f"task {task} at {server.url} names no picture; push its source again")
    return address, fetch_address(server, address)


def _address(content: Mapping[str, Any]) -> str:
    return next((str(value) for value in content.values() if str(value).startswith(("/data/", "http"))), "")
