"""Images of a library: what is known of them, their pictures, what users say of them, uploads."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from pydantic import BeforeValidator, Field
from starlette.responses import StreamingResponse

from pixseek import wire
from pixseek.errors import QueryError
from pixseek.library.surfaces import (
    HeldFile,
    OpenFile,
    is_there,
    moving,
    original,
    originals_media,
)
from pixseek.server import shapes
from pixseek.server.answers import Answer, json_answer
from pixseek.server.documents import answers, files, having, list_of, problems
from pixseek.server.exports import FORMATS, Format, exported
from pixseek.server.films import cut_out
from pixseek.server.guard import is_head, may_write
from pixseek.server.pictures import SIZES
from pixseek.server.problems import Refused
from pixseek.server.queries import MOST_SECONDS, WHOLE, Given, LibraryGiven
from pixseek.server.ranges import asked_range
from pixseek.server.routing import router_of
from pixseek.server.search_routes import must_write, no_image
from pixseek.server.served import Server
from pixseek.types import WHOLE as WHOLE_PART
from pixseek.types import Record
from pixseek.types.clock import shot_at

#: Previews belong to a content, which their address names, so they never change.
_FOREVER = "private, max-age=31536000, immutable"

#: Frames of a video belong to its content too, but how it is cut into shots may change.
_AN_HOUR = "private, max-age=3600"

_CHUNK = 256 << 10

#: Media types of originals: those that browsers show, and that of all others.
_ORIGINALS = ("image/*", "video/*", "application/octet-stream")


def _scalar(value: Any) -> Any:
    """Refuse what a field cannot hold, in words for all kinds that it can."""
    if isinstance(value, dict | list):
        raise ValueError("give a text, a number, true, false or null")
    return value


_SCALAR = BeforeValidator(_scalar)


class PreviewGiven(LibraryGiven):
    """The content that is meant."""

    v: Annotated[
        str | None,
        Parameter(description="The record's digest: with it the answer may be kept for ever."),
    ] = None
    size: Annotated[
        Annotated[int, WHOLE] | None,
        Parameter(
            description="Most pixels a side, made of the file if it is there: "
            f"{', '.join(map(str, SIZES))}. If missing, the stored preview, of 384.",
            examples=[1600],
        ),
    ] = None
    at: Annotated[
        float | None,
        Parameter(
            ge=0, le=MOST_SECONDS, description="The second of a video: the shot that holds it."
        ),
    ] = None
    part: Annotated[
        Annotated[int, Field(ge=0), WHOLE] | None,
        Parameter(description="The shot of a video by its place among the record's parts."),
    ] = None


class ClipGiven(LibraryGiven):
    """The video that is meant, or a shot of it."""

    part: Annotated[
        Annotated[int, Field(ge=0), WHOLE] | None,
        Parameter(
            description="A shot by its place among the record's parts, which is cut out at the key "
            "frame before it and sent to be saved; all of the video if missing.",
        ),
    ] = None


class Said(Given):
    """What somebody says of images; see `Library.tag`."""

    ids: list[str] = Field(min_length=1, description="Of images of the library.")
    add: list[str] = Field(default=[], description="Tags to add.")
    remove: list[str] = Field(default=[], description="Tags to remove, yours or the file's.")
    caption: str | None = Field(default=None, description='"" clears yours.')
    rating: Annotated[int, Field(ge=-1, le=5), WHOLE] | None = Field(
        default=None, description="1 to 5, -1 for rejected; 0 clears yours."
    )
    fields: dict[str, Annotated[str | int | float | bool | None, _SCALAR]] = Field(
        default={}, description="Values of your own by name; null clears one."
    )
    clear: list[str] = Field(default=[], description="tags, caption, rating, fields or all.")


class Export(Given):
    """Images to list, and how."""

    ids: list[str] = Field(min_length=1, description="Of images of the library.")
    format: Format = Field(default="paths", description="paths, csv or json.")


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = router_of(prefix="/api", tags=["images"])

    def found(image_id: str, library: str | None) -> Record:
        record = server.named(library).library.get(image_id)
        if record is None:
            raise no_image(image_id)
        return record

    @router.get(
        "/images/{image_id}",
        operation_id="image",
        summary="What is known of an image",
        responses=answers("Record", shapes.RECORD, 404, 422, 503),
    )
    def record(
        image_id: str, given: Annotated[LibraryGiven, Parameter()], request: Request
    ) -> Answer:
        """Return all that is known of an image; where its file is, to those who may write."""
        known = found(image_id, given.library)
        plain = wire.record_to_plain(known)
        if known.shots:
            plain["shots"] = wire.shots_to_plain(known)
        if may_write(request.scope):
            library = server.named(given.library).library
            path = library.locate(known)
            plain["path"] = str(path) if path else None
            plain["is_there"] = is_there(library, known)
        return json_answer(plain)

    @router.delete(
        "/images/{image_id}",
        operation_id="delete_image",
        summary="Take an image out of the library",
        responses=answers(
            having(removed={"type": "integer"}), {"removed": 1}, 404, 409, 422, 503,
            text="What was said of it is kept; its file is not touched.",
        ),
    )  # fmt: skip
    def remove(
        image_id: str, given: Annotated[LibraryGiven, Parameter()], request: Request
    ) -> Answer:
        """Take an image out of the library. Its file stays, and later runs skip it."""
        must_write(request)
        found(image_id, given.library)
        return json_answer({"removed": server.named(given.library).library.remove(image_id)})

    @router.get(
        "/images/{image_id}/preview",
        response_class=Answer,
        summary="A picture to look at",
        responses={
            **files("image/jpeg", "A JPEG, upright, in sRGB.", 404, 422, 503),
            304: {"description": "It is as you have it."},
        },
    )
    async def preview(
        image_id: str, given: Annotated[PreviewGiven, Parameter()], request: Request
    ) -> Answer:
        """Return the small picture that the library keeps of an image, or a larger one of its file.

        If the file can't be read now, the answer is the small one. Of a video it is the best frame
        of all, or of a shot; frames have 384 pixels or fewer.
        """
        served = server.named(given.library)
        record = await asyncio.to_thread(found, image_id, given.library)
        place = _shot_of(record, given)
        if place is not None or record.is_video:
            part = WHOLE_PART if place is None else record.parts[place]
            frame = await asyncio.to_thread(served.library.preview, record, part)
            if frame is None:
                raise _no_preview(image_id)
            tag = f'"{hashlib.sha256(frame).hexdigest()[:32]}"'
            kept = {"ETag": tag, "Cache-Control": _AN_HOUR if given.v else "private, no-cache"}
            if _has(request, tag):
                return Answer(status_code=304, headers=kept)
            return Answer(frame, 200, kept, "image/jpeg")
        tag = f'"{record.digest[:32]}{"" if given.size is None else f"-{given.size}"}"'
        same = bool(given.v) and given.v == record.digest
        headers = {"ETag": tag, "Cache-Control": _FOREVER if same else "private, no-cache"}
        if record.digest and _has(request, tag):
            return Answer(status_code=304, headers=headers)
        content: bytes | None
        if given.size is None:
            content = await asyncio.to_thread(served.library.preview, record)
        else:
            made = await server.pictures.of(
                served.name, served.library, record, given.size, request
            )
            content = made.content if made else None
            if made and made.digest != record.digest:  # the file is away, or has changed
                tag = f'"{made.digest[:32] or "away"}-{given.size}"'
                headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
                if _has(request, tag):
                    return Answer(status_code=304, headers=headers)
        if content is None:
            raise _no_preview(image_id)
        return Answer(content, 200, headers, "image/jpeg")

    @router.get(
        "/images/{image_id}/original",
        operation_id="original",
        response_class=Answer,
        summary="The file",
        responses={
            **files(_ORIGINALS, "The file.", 404, 416, 422, 503),
            **files(_ORIGINALS, "A part of the file.", 404, 416, 422, status=206),
            304: {"description": "It is as you have it."},
        },
    )
    def whole(
        image_id: str, given: Annotated[LibraryGiven, Parameter()], request: Request
    ) -> Answer:
        """Return the file of an image, or the range of its bytes that is asked for.

        Only formats that browsers show as pictures or play are sent to be shown; all others, such
        as SVG, to be saved.
        """
        record = found(image_id, given.library)
        file = original(server.named(given.library).library, record)
        return sent(image_id, file, request, *originals_media(record))

    @router.get(
        "/images/{image_id}/clip",
        operation_id="clip",
        response_class=Answer,
        summary="The video, or the moving part of a photo",
        responses={
            **files(_ORIGINALS, "The video.", 404, 416, 422, 503),
            **files(_ORIGINALS, "A part of it.", 404, 416, 422, status=206),
            304: {"description": "It is as you have it."},
        },
    )
    def clip(image_id: str, given: Annotated[ClipGiven, Parameter()], request: Request) -> Answer:
        """Return the video of a record, or the range of its bytes that is asked for; or a shot."""
        record = found(image_id, given.library)
        library = server.named(given.library).library
        if given.part is not None:
            cut, name = cut_out(library, record, given.part)
            answer = sent(image_id, cut, request, "application/octet-stream", False)
            answer.headers["Content-Disposition"] = name
            return answer
        file = moving(library, record)
        shown = originals_media(record) if record.is_video else ("video/mp4", True)
        return sent(image_id, file, request, *shown)

    def sent(
        image_id: str,
        file: OpenFile | HeldFile | None,
        request: Request,
        media: str,
        is_shown: bool,
    ) -> Answer:
        """Return a file, or a range of it."""
        if file is None:
            raise Refused(
                404, "no-file", "The file of this image is not there now", image_id,
                "Its drive may be away.",
            )  # fmt: skip
        headers = {
            "ETag": f'"{file.version}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Disposition": "inline" if is_shown else "attachment",
        }
        if _has(request, headers["ETag"]):
            file.close()
            return Answer(status_code=304, headers=headers)
        if_range = request.headers.get("if-range")
        asked = request.headers.get("range") if if_range in (None, headers["ETag"]) else None
        try:
            part = asked_range(asked, file.size)
        except Refused:
            file.close()
            raise
        start, end = part or (0, file.size)
        headers["Content-Length"] = str(end - start)
        if part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        if is_head(request.scope):
            file.close()
            return Answer(None, 206 if part else 200, headers, media)

        def chunks() -> Iterator[bytes]:
            with file:
                at = start
                while at < end and (chunk := file.read_at(at, min(_CHUNK, end - at))):
                    at += len(chunk)
                    yield chunk

        return StreamingResponse(chunks(), 206 if part else 200, headers, media)

    @router.post(
        "/tags",
        operation_id="tag",
        summary="Tag, rate and caption images",
        responses=answers(
            having(changed={"type": "integer"}), {"changed": 1}, 404, 413, 415, 422, 503
        ),
    )
    def say(
        said: Annotated[
            Said,
            Field(examples=[{"ids": [shapes.RECORD["id"]], "add": ["dog"], "rating": 4}]),
        ],
        given: Annotated[LibraryGiven, Parameter()],
        request: Request,
    ) -> Answer:
        """Change what users say of images. Files are not touched, and nothing is embedded."""
        must_write(request)
        if len(said.ids) > server.settings.limits.most_ids:
            raise QueryError(
                "Too many images", str(len(said.ids)), f"At most {server.settings.limits.most_ids}."
            )
        if said.model_fields_set <= {"ids"}:
            raise QueryError(
                "Nothing to change", "",
                "Give at least one of add, remove, caption, rating, fields, clear.",
            )  # fmt: skip
        library = server.named(given.library).library
        for image_id, known in zip(said.ids, library.get_many(said.ids), strict=True):
            if known is None:  # `tag` takes paths too, which clients don't name
                raise no_image(image_id)
        changed = library.tag(
            said.ids, add=said.add, remove=said.remove, caption=said.caption,
            rating=said.rating, fields=said.fields, clear=said.clear,
        )  # fmt: skip
        return json_answer({"changed": changed})

    @router.post(
        "/export",
        response_class=Answer,
        summary="A list of images as a file",
        responses={
            200: {
                "description": "The file: paths, one a line; a table; or all that is known.",
                "content": {
                    media.partition(";")[0]: {"schema": {"type": "string"}, "example": "(the file)"}
                    if name != "json"
                    else {"schema": list_of("Record"), "example": [shapes.RECORD]}
                    for name, (media, _) in FORMATS.items()
                },
            },
            **problems(404, 413, 415, 422, 503),
        },
    )
    def export(
        what: Annotated[Export, Field(examples=[{"ids": [shapes.RECORD["id"]], "format": "csv"}])],
        given: Annotated[LibraryGiven, Parameter()],
        request: Request,
    ) -> Answer:
        """List images in a file, in the order that is asked for; those that are gone are left out.

        Without the right to write, paths are those in the library: root/folder/name.
        """
        return exported_file(server, given.library, what, request)

    @router.post(
        "/images",
        operation_id="upload_images",
        summary="Upload images and index them",
        status_code=202,
        responses=answers(
            "Job", shapes.JOB, 404, 409, 413, 415, 422, 501, 503, status=202,
            text="The run that indexes them.",
        ),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "images": {
                                    "type": "array",
                                    "items": {"type": "string", "format": "binary"},
                                }
                            },
                            "required": ["images"],
                        },
                        "example": {"images": ["(bytes of a JPEG)"]},
                    }
                },
            }
        },
    )  # fmt: skip
    async def upload(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """Store images in the server's folder for uploads, and index that folder."""
        must_write(request)
        served = server.named(given.library)
        from pixseek.server.library_routes import job_to_plain
        from pixseek.server.receiving import received, take_back

        # Else images would be stored and not indexed.
        await asyncio.to_thread(server.check_free, served)
        stored = await received(request, server)

        def start() -> Any:
            folder = stored[0].parent
            try:
                return server.jobs.start(
                    served.name, "upload", lambda stop: served.library.indexing(folder, stop=stop)
                )
            except BaseException:  # another run has begun, or the server ends
                take_back(stored)
                raise

        job = await asyncio.to_thread(start)
        return json_answer(job_to_plain(job.state, has_rights=True), 202)

    return router


def exported_file(server: Server, library: str | None, what: Export, request: Request) -> Answer:
    """Return the file that lists images.

    Raises:
        QueryError: there are too many.
    """
    most = server.settings.limits.most_layout
    if len(what.ids) > most:
        raise QueryError("Too many images", str(len(what.ids)), f"At most {most:,}.")
    found_in = server.named(library).library
    media, name = FORMATS[what.format]
    found = exported(found_in, what.ids, what.format, has_rights=may_write(request.scope))
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(found, 200, headers, media)


def _shot_of(record: Record, given: PreviewGiven) -> int | None:
    """Return the place of the shot that is meant among the parts of a video; None for the whole."""
    if given.part is not None:
        is_shot = given.part < len(record.parts) and record.parts[given.part].kind == "shot"
        return given.part if is_shot else None
    return None if given.at is None else shot_at(record.parts, given.at)


def _no_preview(image_id: str) -> Refused:
    return Refused(
        404, "no-preview", "There is no picture of this image", image_id,
        "Its file is not there now, or can't be read; ask for its original.",
    )  # fmt: skip


def _has(request: Request, tag: str) -> bool:
    """Return whether the client has this version already."""
    given = request.headers.get("if-none-match", "")
    return any(each.strip().removeprefix("W/") in (tag, "*") for each in given.split(","))
