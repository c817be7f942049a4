"""What a file says of its image: EXIF, XMP, IPTC, sidecars, its name and its time.

Whatever metadata hold, they never fail an image: what is wrong is ignored and noted. All that
is kept has the names and types in `fields.FIELDS`. `merging.read_metadata` reads it all.

Nothing is imported here: a search needs `fields` alone, and the readers take 15 ms.
"""
