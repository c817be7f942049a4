"""The vocabulary of the captions: the words and phrases for each property of a scene."""

from __future__ import annotations

from typing import Final

NOUNS: Final[dict[str, tuple[tuple[str, str], ...]]] = {  # one, several
    "car": (("car", "cars"), ("car", "cars"), ("auto", "autos"), ("automobile", "automobiles")),
    "house": (("house", "houses"), ("house", "houses"), ("home", "homes"),
              ("cottage", "cottages")),
    "tree": (("tree", "trees"),),
    "boat": (("boat", "boats"), ("boat", "boats"), ("ship", "ships"), ("sailboat", "sailboats")),
    "cat": (("cat", "cats"), ("cat", "cats"), ("kitten", "kittens"), ("kitty", "kitties")),
    "dog": (("dog", "dogs"), ("dog", "dogs"), ("puppy", "puppies"), ("pup", "pups")),
    "ball": (("ball", "balls"),),
    "balloon": (("balloon", "balloons"), ("balloon", "balloons"),
                ("hot air balloon", "hot air balloons")),
    "bird": (("bird", "birds"), ("bird", "birds"), ("seagull", "seagulls")),
}  # fmt: skip
ADJECTIVES: Final[dict[str, tuple[str, ...]]] = {
    "red": ("red", "red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "yellow", "golden"),
    "green": ("green", "green", "emerald"),
    "blue": ("blue", "blue", "azure"),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "rose"),
    "white": ("white",),
    "black": ("black",),
    "small": ("small", "small", "little", "tiny"),
    "medium": ("",),
    "big": ("big", "big", "large", "huge"),
}
NUMBERS: Final = {2: ("two", "two", "2", "a pair of"), 3: ("three", "three", "3")}
PLACES: Final[dict[str, tuple[str, ...]]] = {
    "beach": ("on a beach", "on the beach", "at the beach", "by the sea", "at the seaside",
              "on the sand by the ocean"),
    "city": ("in a city", "in the city", "in town", "in front of skyscrapers",
             "on a city street", "downtown"),
    "mountain": ("in the mountains", "in front of a mountain", "near a mountain",
                 "below the mountains", "by the mountains"),
    "lake": ("by a lake", "at a lake", "on a lake", "beside the lake", "near a pond"),
    "field": ("in a field", "in a meadow", "on the grass", "in the countryside", "in the fields"),
    "desert": ("in a desert", "in the desert", "among the dunes", "near a cactus"),
}  # fmt: skip
PLACE_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "beach": ("beach", "seaside", "sea", "ocean"),
    "city": ("city", "town", "street", "skyscrapers"),
    "mountain": ("mountain", "mountains"),
    "lake": ("lake", "pond"),
    "field": ("field", "meadow", "countryside"),
    "desert": ("desert", "dunes"),
}
HOURS: Final[dict[str, tuple[str, ...]]] = {
    "day": ("by day", "during the day", "in the daytime", "in daylight"),
    "sunset": ("at sunset", "at dusk", "in the evening"),
    "night": ("at night", "by night", "after dark", "in the dark"),
}
HOUR_NOUNS: Final = {
    "day": ("day", "daytime"), "sunset": ("sunset", "dusk", "evening"), "night": ("night",),
}  # fmt: skip
SKIES: Final[dict[str, tuple[str, ...]]] = {
    "clear": ("under a clear sky", "in clear weather", "with a clear sky"),
    "cloudy": ("under a cloudy sky", "under clouds", "in cloudy weather", "with clouds overhead"),
    "rain": ("in the rain", "in rainy weather", "while it rains", "on a rainy {}"),
    "snow": ("in the snow", "in snowy weather", "while it snows", "on a snowy {}"),
}
SKY_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "clear": ("clear sky", "clear weather"),
    "cloudy": ("clouds", "cloudy sky", "cloudy"),
    "rain": ("rain", "raining", "rainy", "rainy weather"),
    "snow": ("snow", "snowing", "snowy", "snowy weather", "winter"),
}
SKY_ADJECTIVES: Final = {"clear": "clear", "cloudy": "cloudy", "rain": "rainy", "snow": "snowy"}
LIGHTS: Final[dict[str, tuple[str, ...]]] = {
    "sun": ("under the sun", "in the sunshine", "with the sun in the sky"),
    "moon": ("under the moon", "in the moonlight", "with the moon in the sky"),
}
LEFT: Final = ("left of", "to the left of", "on the left of")
RIGHT: Final = ("right of", "to the right of", "on the right of")
ABOVE: Final = ("above", "over", "flying above", "high above")
OPENINGS: Final = (
    "a picture of", "a drawing of", "an illustration of", "an image of", "a photo of",
    "a scene with", "there is",
)  # fmt: skip
