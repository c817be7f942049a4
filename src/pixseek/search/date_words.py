"""The words of dates in the main European languages, as data; `dates` reads with them.

English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Danish, Norwegian and
Russian. In each table all words are in small letters without accents.
"""

from __future__ import annotations

import unicodedata


def folded(word: str) -> str:
    """Return a word in small letters without accents."""
    word = unicodedata.normalize("NFKD", word.casefold())
    return "".join(each for each in word if not unicodedata.combining(each))


#: Without its accent each of these is a word of another language.
_NEED_ACCENTS = {"vår", "höst", "våren", "hösten"}


def _numbered(text: str) -> dict[str, int]:
    """Return the words of each line with the number of the line, from 1."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.strip().splitlines(), 1):
        for word in line.split():
            found[word if word in _NEED_ACCENTS else folded(word)] = number
    return found


def _words(text: str) -> frozenset[str]:
    return frozenset(map(folded, text.split()))


MONTHS = _numbered("""
january jan januar jänner janvier enero gennaio janeiro januari
february feb februar feber février febrero febbraio fevereiro februari
march mar märz maerz mars marzo março maart marts
april apr avril abril aprile
may mai mayo maggio maio mei maj
june jun juni juin junio giugno junho
july jul juli juillet julio luglio julho
august aug août agosto augustus augusti
september sep sept septembre septiembre setiembre settembre setembro
october oct oktober octobre octubre ottobre outubro
november nov novembre noviembre novembro
december dec dezember décembre diciembre dicembre dezembro desember
""") | _numbered("""
styczeń stycznia styczniu январь января январе
luty lutego lutym февраль февраля феврале
marzec marca marcu март марта марте
kwiecień kwietnia kwietniu апрель апреля апреле
maj maja maju май мая мае
czerwiec czerwca czerwcu июнь июня июне
lipiec lipca lipcu июль июля июле
sierpień sierpnia sierpniu август августа августе
wrzesień września wrześniu сентябрь сентября сентябре
październik października październiku октябрь октября октябре
listopad listopada listopadzie ноябрь ноября ноябре
grudzień grudnia grudniu декабрь декабря декабре
""")
#: Spring, summer, autumn, winter.
SEASONS = _numbered("""
spring frühling frühjahr printemps primavera lente voorjaar wiosna wiosną vår våren forår весной
summer sommer sommeren été verano estate verão zomer lato latem sommar sommaren лето летом
autumn fall herbst automne otoño autunno outono herfst jesień höst hösten høst høsten efterår осенью
winter hiver invierno inverno zima zimą vinter vintern vinteren зимой
""")
CHRISTMAS = _words("christmas xmas weihnachten noël navidad natale natal kerst kerstmis")
#: Day, week, weekend, month, year.
UNITS = _numbered("""
day days tage tag jours jour días giorni dias dagen
week weeks woche wochen semaine semaines semana semanas settimana settimane weken veckan ugen uken
weekend wochenende week-end
month months monat monate monaten mois mes meses mese mesi mês maand maanden månaden måneden måned
year years jahr jahre jahren année années an año años anno anni ano anos jaar året år
""")
LAST = _words("last past letzte letzten letzter letztes letztem vorige voriges vorigen afgelopen "
               "förra sidste forrige dernier dernière derniers dernières pasado pasada scorso "
               "scorsa passado passada")  # fmt: skip
#: Of those, the ones that follow: "la semaine dernière".
LAST_AFTER = _words("dernier dernière pasado pasada scorso scorsa passado passada")
THIS = _words(
    "this diese diesen dieses diesem dieser cette cet ce esta este questa questo deze dit"
)
AGO = _words("ago")
#: Numbers in words, from 1.
NUMBERS = _numbered("a an one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten")
YESTERDAY = _words("yesterday gestern ayer ieri ontem gisteren wczoraj igår вчера")
TODAY = _words("today heute hoy oggi hoje vandaag dzisiaj сегодня")

BEFORE = _words("before vor avant antes prima voor przed före før до")
AFTER = _words("after nach après después despues dopo depois na po efter etter после")
SINCE = _words("since seit depuis desde sinds od sedan siden с")
UNTIL = _words("until till bis jusque hasta tot fino")
TO = _words("to bis à a al until till through thru hasta fino tot do - – —")
FROM = _words("from von de du da dal desde van od between zwischen entre tra fra tussen mellan")
AND = _words("and und et y e en i och og & bis")
LINKS = _words("and or und oder et ou y o e i & / ,")
NOT = _words("not no except without nicht ohne außer ausser kein keine pas sans sauf sin excepto "
              "non senza sem não niet zonder nie bez inte utan ikke uden uten не без")  # fmt: skip
#: Between a month and its year.
OF = _words("of de del di do von des the im in van ,")
#: Before a date; they go with it.
WITH_DATE = _words(
    "in from of on at during the taken shot im am vom von aus den dem der des en de du le la les "
    "au em da do nel nella di della del il el van uit op het w we z ze latem zimą i från på в year "
    "jahr jahre année año anno ano jaar året"
)
#: After a date; they go with it.
AFTER_YEAR = _words("roku r года году г")
#: A number before or after these is no year.
MEASURES = _words(
    "m km cm mm ft feet foot miles mile meter meters metre metres metern kg g lb lbs px pixel "
    "pixels people persons euro euros eur usd dollar dollars pounds pieces piece teile w watt "
    "watts hp ps rpm mah € $ £ %"
)
NUMBERED = _words("iso no nr number model page room # №")
#: What is left of "photos from july 2019" says nothing about what is in them.
PICTURES = _words(
    "photo photos picture pictures pic pics image images photograph photographs shots foto fotos "
    "bild bilder aufnahmen imagen imágenes foto's immagini imagem imagens zdjęcia bilde billeder "
    "фото my all meine alle mes mis tutte todas"
)
