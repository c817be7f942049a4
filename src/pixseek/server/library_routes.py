"""Libraries: what they hold, their runs, their models; classes, copies, vectors."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from pydantic import Field
from starlette.datastructures import UploadFile

from pixseek import wire
from pixseek.errors import QueryError
from pixseek.server import shapes
from pixseek.server.answers import Answer, json_answer
from pixseek.server.documents import answers, events_of, having, list_of
from pixseek.server.guard import is_head, may_write
from pixseek.server.jobs import Job, JobState, watched
from pixseek.server.problems import Refused, answer_to
from pixseek.server.queries import WHOLE, LibraryGiven, NothingGiven
from pixseek.server.routing import router_of
from pixseek.server.search_routes import must_write
from pixseek.server.served import Server
from pixseek.server.settings import Settings
from pixseek.server.starting import Start, begun
from pixseek.server.telling import failure_told, report_told, without_reasons
from pixseek.server.uploads import json_body, picture_of, read_json, upload_form
from pixseek.types import Embeddings

if TYPE_CHECKING:
    from pixseek.library import Library

#: What of a status is about this machine, and told only to those who may change the library.
_OF_THE_MACHINE = ("path", "running", "watched", "disk", "folders", "engine")


class DuplicatesGiven(LibraryGiven):
    """Which copies."""

    exact: Annotated[bool, Parameter(description="Only files with the same content.")] = False
    threshold: Annotated[
        float | None, Parameter(ge=-1, le=1, description="Smallest cosine of what is compared.")
    ] = None


class Listed(LibraryGiven):
    """A part of a list."""

    limit: Annotated[int, Parameter(ge=1, le=1000), WHOLE] = 100
    offset: Annotated[int, Parameter(ge=0), WHOLE] = 0


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = router_of(prefix="/api", tags=["library"])

    @router.get(
        "/libraries",
        summary="The libraries that are served",
        responses=answers(
            list_of("Library"),
            [{"name": "photos", "records": 4222, "model": "clip-b32-datacomp"}], 422, 503,
        ),
    )  # fmt: skip
    def libraries(given: Annotated[NothingGiven, Parameter()]) -> Answer:
        """List the libraries by name, the default first; `records` is null if one can't be read."""
        counts = [(each, each.count()) for each in server.all()]
        return json_answer(
            [
                {
                    "name": each.name,
                    "records": count,
                    "model": "" if count is None else _name_of(each.library.model),
                }
                for each, count in counts
            ]
        )

    @router.get(
        "/status",
        summary="What a library holds",
        responses=answers("Status", shapes.STATUS, 404, 422, 503),
    )
    def status(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """Return what the library holds, and whether a run is going on."""
        plain = wire.status_to_plain(server.named(given.library).library.status())
        plain["is_running"] = plain["running"] is not None
        plain["is_watched"] = plain["watched"] is not None
        plain["folders"] = [str(each) for each in server.settings.folders]
        if not may_write(request.scope):
            for name in _OF_THE_MACHINE:
                plain.pop(name, None)
            for root in plain["roots"]:
                root.pop("path", None)
            plain["model"] = _name_of(plain["model"])
            plain = without_reasons(plain)
        return json_answer(plain)

    @router.get(
        "/failures",
        summary="What could not be indexed",
        responses=answers(
            having(total={"type": "integer"}, failures=list_of("Failure")),
            {"total": 1, "failures": [{
                "uri": "Photos/broken.jpg", "stage": "decode", "reason": "damaged",
                "message": "The image data is cut off", "advice": "Get the file again.",
            }]}, 404, 422, 503,
        ),
    )  # fmt: skip
    def failures(given: Annotated[Listed, Parameter()], request: Request) -> Answer:
        """List the files that could not be indexed, and why; what to do, to those who may write."""
        found = server.named(given.library).library.failures()
        has_rights = may_write(request.scope)
        page = [
            wire.failure_to_plain(failure_told(each, has_rights=has_rights))
            for each in found[given.offset : given.offset + given.limit]
        ]
        return json_answer({"total": len(found), "failures": page})

    @router.get(
        "/models",
        summary="The models that pixseek knows",
        responses=answers(list_of("Model"), [shapes.MODEL], 404, 422, 503),
    )
    def models(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """List the models, and which of them are on the server."""
        from pixseek import models as known

        plain = [
            wire.model_to_plain(each)
            for each in known.list_models(server.named(given.library).library.config)
        ]
        for each in plain:
            each["is_here"] = each["folder"] is not None
            if not may_write(request.scope):
                del each["folder"]
                each["name"] = _name_of(each["name"])
        return json_answer(plain)

    @router.get(
        "/duplicates",
        summary="Copies",
        responses=answers(
            list_of("DuplicateGroup"),
            [{"kind": "same", "exact": True, "records": [shapes.RECORD, shapes.RECORD]}],
            404, 422, 501, 503,
        ),
    )  # fmt: skip
    async def duplicates(given: Annotated[DuplicatesGiven, Parameter()]) -> Answer:
        """Return the groups of copies, and of images that are alike. It takes a while."""
        served = server.named(given.library)
        groups = await server.groups(served, given.threshold, exact=given.exact)
        return json_answer(
            [
                {
                    "kind": group.kind,
                    "exact": group.exact,
                    "records": [wire.record_to_plain(each) for each in group.records],
                }
                for group in groups
            ]
        )

    @router.post(
        "/classify",
        summary="The likeliest labels of an image",
        responses=answers(
            list_of("Guess"), [{"label": "a dog", "probability": 0.97, "score": 0.28}],
            404, 413, 415, 422, 501, 503,
        ),
        openapi_extra=_form_or_json(
            {
                "labels": {"type": "string", "description": "JSON: a list of labels."},
                "image": {"type": "string", "format": "binary"},
            },
            {"image": "(bytes of a JPEG)", "labels": '["a dog", "a cat"]'},
            having(id={"type": "string"}, labels={"type": "array", "items": {"type": "string"}}),
            {"id": shapes.RECORD["id"], "labels": ["a dog", "a cat"]},
        ),
    )  # fmt: skip
    async def classify(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """Say which of some labels an image shows: one of the library, or an upload."""
        library = server.named(given.library).library
        form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
        image: Any
        if form:
            async with upload_form(request, server, "image", "labels") as fields:
                labels, sent = _json_of(fields.get("labels")), fields.get("image")
                if not isinstance(sent, UploadFile):
                    raise QueryError("There is no image in the form", "", "Upload it as `image`.")
                image = await asyncio.to_thread(picture_of, await sent.read(), server.settings)
        else:
            plain = await json_body(request, "id", "labels")
            labels, image = plain.get("labels"), plain.get("id")
            if not isinstance(image, str):
                raise QueryError(
                    "There is no image", "", "Give its `id`, or upload one as the field `image`."
                )
            if await asyncio.to_thread(library.get, image) is None:
                raise QueryError("No image with this id", image[:200], "Search for it first.")
        if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
            raise QueryError("Not a list of labels", "", 'Send ["a dog", "a cat"].')
        if any(not label.strip() or len(label) > 10_000 for label in labels):
            raise QueryError("A label is empty or too long", "", "1 to 10,000 characters.")
        if not 0 < len(labels) <= server.settings.limits.most_texts:
            raise QueryError(
                "Wrong number of labels", str(len(labels)),
                f"1 to {server.settings.limits.most_texts}.",
            )  # fmt: skip
        (guesses,) = await asyncio.to_thread(library.classify, image, labels=labels, k=len(labels))
        return json_answer([asdict(each) for each in guesses])

    @router.post(
        "/embed",
        summary="Vectors of texts and images",
        responses={
            **answers(
                having(
                    model={"type": "string"}, fingerprint={"type": "string"},
                    dim={"type": "integer"},
                    texts={"type": "array", "items": {"type": "array"}},
                    images={"type": "array", "items": {"type": "array"}},
                ),
                {"model": "clip-b32-datacomp", "fingerprint": "9b1c", "dim": 3,
                 "texts": [[0.6, 0.8, 0.0]], "images": []},
                404, 413, 415, 422, 501, 503,
            )
        },
        openapi_extra=_form_or_json(
            {
                "texts": {"type": "string", "description": "JSON: a list of texts."},
                "images": {"type": "array", "items": {"type": "string", "format": "binary"}},
            },
            {"texts": '["a dog"]', "images": ["(bytes of a JPEG)"]},
            {
                "type": "object",
                "properties": {
                    "texts": {"type": "array", "items": {"type": "string"}},
                    "images": {
                        "type": "array",
                        "items": {"type": "string", "description": "A file in base64."},
                    },
                },
            },
            {"texts": ["a dog"], "images": []},
        ),
    )  # fmt: skip
    async def embed(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """Return unit vectors in the library's space.

        With `Accept: application/octet-stream` they come as float16 in little endian, texts before
        images, with the counts in `X-Texts`, `X-Images` and `X-Dim`.
        """
        library = server.named(given.library).library
        settings = server.settings
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            async with upload_form(request, server, "texts", many="images") as form:
                sent = [each for each in form.getlist("images") if isinstance(each, UploadFile)]
                texts = _texts(_json_of(form.get("texts")) or [], len(sent), settings)
                contents = [await each.read() for each in sent]
                found = await asyncio.to_thread(_embedded, library, texts, contents, settings)
        else:
            plain = await json_body(request, "texts", "images")
            async with server.decoding:
                contents = _contents(plain)
                texts = _texts(plain.get("texts", []), len(contents), settings)
                found = await asyncio.to_thread(_embedded, library, texts, contents, settings)
        if "application/octet-stream" not in request.headers.get("accept", ""):
            return json_answer(wire.embeddings_to_plain(found))
        import numpy as np

        both = np.concatenate([found.texts, found.images]).astype("<f2")
        headers = {
            "X-Texts": str(len(found.texts)),
            "X-Images": str(len(found.images)),
            "X-Dim": str(found.space.dim),
            "X-Fingerprint": found.space.fingerprint,
        }
        return Answer(both.tobytes(), 200, headers, "application/octet-stream")

    # ------------------------------------------------------------ runs

    def job(job_id: str) -> Job:
        found = server.jobs.get(job_id)
        if found is None:
            raise Refused(404, "no-job", "No such run", job_id[:100], "List them: /api/jobs")
        return found

    @router.get(
        "/jobs",
        summary="Runs of this server",
        responses=answers(list_of("Job"), [shapes.JOB], 422),
    )
    def jobs(given: Annotated[NothingGiven, Parameter()], request: Request) -> Answer:
        """List the runs that this server has started, the newest first."""
        return json_answer([_told(each, request) for each in server.jobs.all()])

    @router.post(
        "/jobs",
        operation_id="start_job",
        summary="Start an indexing run",
        status_code=202,
        responses=answers("Job", shapes.JOB, 404, 409, 413, 415, 422, 501, 503, status=202),
    )
    def start(
        what: Annotated[Start, Field(examples=[{"kind": "index", "retry": True}])],
        given: Annotated[LibraryGiven, Parameter()],
        request: Request,
    ) -> Answer:
        """Bring the folders of a library up to date, or add one."""
        must_write(request)
        served = server.named(given.library)
        began = begun(server, served, what)
        return json_answer(_told(began.state, request), 202)

    @router.get(
        "/jobs/{job_id}",
        operation_id="job",
        summary="How far a run is",
        responses=answers("Job", shapes.JOB, 404, 422),
    )
    def progress(
        job_id: str, given: Annotated[NothingGiven, Parameter()], request: Request
    ) -> Answer:
        """Return how far a run is, and at its end what it did."""
        return json_answer(_told(job(job_id).state, request))

    @router.post(
        "/jobs/{job_id}/stop",
        operation_id="stop_job",
        summary="Stop a run",
        responses=answers("Job", shapes.JOB, 404, 422),
    )
    def stop(job_id: str, given: Annotated[NothingGiven, Parameter()], request: Request) -> Answer:
        """Ask a run to stop; what was done until then is kept."""
        must_write(request)
        found = job(job_id)
        found.stop()
        return json_answer(_told(found.state, request))

    @router.get(
        "/jobs/{job_id}/events",
        operation_id="job_events",
        response_class=Answer,
        summary="Watch a run",
        responses=events_of("Job", "Server-sent events: the run's state whenever it changes.",
                            404, 422),
    )  # fmt: skip
    async def events(
        job_id: str, given: Annotated[NothingGiven, Parameter()], request: Request
    ) -> Answer:
        """Send the state of a run whenever it changes, until it ends."""
        found = job(job_id)
        if is_head(request.scope):
            return Answer(None, 200, None, "text/event-stream")

        return watched(found, lambda state: _told(state, request), "job")

    return router


def _told(state: JobState, request: Request) -> dict[str, Any]:
    return job_to_plain(state, has_rights=may_write(request.scope))


def job_to_plain(state: JobState, *, has_rights: bool) -> dict[str, Any]:
    """Return how far a run is as JSON, as somebody may read it."""
    error = None
    if state.error is not None:
        error = json.loads(bytes(answer_to(state.error, has_rights=has_rights).body))
    return {
        "id": state.id,
        "library": state.library,
        "kind": state.kind,
        "state": state.state,
        "began_at": state.began_at.isoformat(),
        "ended_at": state.ended_at.isoformat() if state.ended_at else None,
        "progress": asdict(state.progress) if state.progress else None,
        "report": report_told(state.report, has_rights=has_rights) if state.report else None,
        "error": error,
    }


def _contents(plain: dict[str, Any]) -> list[bytes]:
    """Return the files of images of a JSON object with texts and images."""
    given = plain.get("images", [])
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise QueryError("Not a list of files", "", "Send each in base64.")
    try:
        return [base64.b64decode(each, validate=True) for each in given]
    except ValueError as error:
        raise QueryError("A file is not in base64", "", f"{error}.") from error


def _texts(texts: Any, images: int, settings: Settings) -> list[str]:
    """Return the texts that a request wants embedded besides some images."""
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise QueryError("Not a list of texts", "", 'Send ["a dog"].')
    most = settings.limits.most_texts
    if not 0 < len(texts) + images <= most:
        raise QueryError("Wrong number of texts and images", "", f"1 to {most} together.")
    if any(not text.strip() or len(text) > 10_000 for text in texts):
        raise QueryError("A text is empty or too long", "", "1 to 10,000 characters.")
    return texts


def _embedded(
    library: Library, texts: list[str], contents: list[bytes], settings: Settings
) -> Embeddings:
    """Return the vectors of texts and files; one picture at a time is in memory."""
    import numpy as np

    found = library.embed(texts)
    if not contents:
        return found
    rows = [library.embed((), [picture_of(each, settings)]).images for each in contents]
    return replace(found, images=np.concatenate(rows))


def _json_of(given: Any) -> Any:
    if not isinstance(given, str) or not given.strip():
        return None
    return read_json(given, "A field of the form is not JSON")


def _form_or_json(
    form: dict[str, Any], form_example: Any, plain: dict[str, Any], plain_example: Any
) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": plain, "example": plain_example},
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": form},
                    "example": form_example,
                },
            },
        }
    }


def _name_of(model: str) -> str:
    """Return the name of a model; of a folder its last part."""
    return model.replace("\\", "/").rstrip("/").rpartition("/")[2] if "/" in model[:1] else model
