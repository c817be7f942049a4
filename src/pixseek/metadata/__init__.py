"""Read an image's metadata from EXIF, XMP, IPTC, PNG texts, sidecars, file name and file time.

Metadata never make an image fail: broken values are ignored and noted. Every value kept has a
name and type in `fields.FIELDS`. `merging.read_metadata` calls all readers; each takes bytes and
returns `Findings`. `annotations` combines metadata with what users add, and `sidecar_writing`
writes that to XMP: it is the only module here that reads or writes a user's files.

Nothing is imported here: a search needs only `fields`, and importing the readers takes 15 ms.
"""
