"""The texts of the files in a Vespa application package: schemas, XML and the README.

They differ from those of the study that pixseek grew out of: vectors have length 1, so the distance
is `prenormalized-angular` and not `euclidean`; each model has a rank profile with inputs of its own
size; limits on hits are raised; words are fused with vectors by rank.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from pixseek.engines.vespa import schema
from pixseek.engines.vespa.schema import Field, Slot

if TYPE_CHECKING:
    from pixseek.engines.vespa.application import Application

#: Hits of a search that each node scores again: by vectors after signs, or by the fusion of ranks.
RESCORED = 1_000

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'

QUERY_PROFILE = f"""{_XML}<query-profile id="default">
  <field name="maxHits">{schema.MAX_HITS}</field>
  <field name="maxOffset">{schema.MAX_OFFSET}</field>
  <field name="timeout">10s</field>
  <!-- A library has as many folders and tags as it has; this can be set here only. -->
  <field name="grouping.globalMaxGroups">-1</field>
</query-profile>
"""


# ------------------------------------------------------------------ schemas


def images_schema(application: Application) -> str:
    """Return the schema of the images."""
    slots = [model.slot for model in application.models]
    fields = [*schema.RECORD]
    for slot in slots:
        fields += slot.fields(application.type, application.hnsw)
    more = [
        "fieldset default { fields: text }",
        _summary("facts", ("id", "uri", "caption", "tags", "taken_at", "width", "height")),
        _profile("words", "", "2 * bm25(stems_strong) + bm25(stems_weak)"),
        _profile("text", "", "bm25(text)"),
    ]
    for slot in slots:
        more.append(_summary(slot.with_record, ("id", slot.record, slot.version)))
        more.append(_summary(slot.with_vectors, ("id", slot.vectors)))
        more.append(_summary(slot.whole, ("id", slot.record, slot.version, slot.vectors)))
        more += _profiles(slot, is_binary=application.type == "binary")
    return _schema(application.name, fields, more)


def library_schema(name: str) -> str:
    """Return the schema of what is about the whole library."""
    return _schema(name, schema.LIBRARY, ())


def _schema(name: str, fields: Iterable[Field], more: Iterable[str]) -> str:
    each = list(fields)
    body = "\n".join(_field(field) for field in each if not field.derived)
    derived = "\n".join(_field(field) for field in each if field.derived)
    whole = f"schema {name} {{\ndocument {name} {{\n{body}\n}}\n{derived}\n"
    return _indented("\n".join((whole, *more, "}")))


def _field(field: Field) -> str:
    body = "\n".join((f"indexing: {field.indexing}", *field.settings))
    return f"field {field.name} type {field.type} {{\n{body}\n}}"


def _summary(name: str, fields: Iterable[str]) -> str:
    # Not all of them are attributes; without "from-disk" Vespa warns of that.
    each = "\n".join(f"summary {field} {{}}" for field in fields)
    return f"document-summary {name} {{\n{each}\nfrom-disk\n}}"


def _profile(name: str, body: str, first: str) -> str:
    return f"rank-profile {name} {{\n{body}\nfirst-phase {{\nexpression: {first}\n}}\n}}"


def _profiles(slot: Slot, *, is_binary: bool) -> Iterator[str]:
    """Yield the rank profiles of a space. Closeness is 1 / (2 - cosine), here and in all phases."""
    asked = f"query(q) tensor<float>(x[{slot.dim}])"
    inputs = f"inputs {{\n{asked}\n}}"
    near = f"max(closeness(field, {slot.vector}), closeness(field, {slot.more}))"
    seen = f"match-features {{\ncloseness(field, {slot.vector})\ncloseness(field, {slot.more})\n}}"
    cosine = f"""
        function cosine() {{
            expression: sum(query(q) * attribute({slot.vector}))
        }}
        function best_cosine() {{
            expression: if (attribute({slot.parts}) > 1, max(cosine, \
reduce(sum(query(q) * attribute({slot.more}), x), max, part)), cosine)
        }}
    """
    yield _profile(slot.closeness, f"{inputs}\n{seen}", near)
    yield _profile(slot.exact, f"{inputs}\n{cosine}", "1 / (2 - best_cosine)")
    if is_binary:
        signs = f"query(qb) tensor<int8>(x[{slot.bytes}])"
        inputs = f"inputs {{\n{asked}\n{signs}\n}}"
        near = f"max(closeness(field, {slot.signs}), closeness(field, {slot.more_signs}))"
        again = f"""second-phase {{
            rerank-count: {RESCORED}
            expression: 1 / (2 - best_cosine)
        }}"""
        yield _profile(slot.binary, f"{inputs}\n{cosine}\n{again}", near)
    fusion = f"""
        function words() {{
            expression: bm25(text)
        }}
        function meaning() {{
            expression: {near}
        }}
        global-phase {{
            rerank-count: {RESCORED}
            expression: reciprocal_rank_fusion(words, meaning)
        }}
        match-features {{
            words
            meaning
        }}
    """
    # Of each kind the best must be among those that are fused: both lie between 0 and 1.
    yield _profile(slot.hybrid, f"{inputs}\n{fusion}", "meaning + words / (words + 10)")


def _indented(text: str) -> str:
    """Return a schema with one statement or brace a line, indented by the braces."""
    text = re.sub(r"{(?=\s)", "{\n", text)
    text = re.sub(r"(?<=\s)}(?=\s|$)", "\n}\n", text)
    lines, depth = list[str](), 0
    for line in filter(None, map(str.strip, text.splitlines())):
        depth -= line == "}"
        if depth == 1 and line != "}" and len(lines) > 1:
            lines.append("")
        lines.append("    " * depth + line)
        depth += line.endswith("{")
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------ services and hosts


def services(application: Application) -> str:
    """Return services.xml: a container cluster for queries and writes, and a content cluster."""
    one = application
    hosts = _aliases(one)
    admin = list[str]()
    if one.hosts:
        # An odd number of them, so that a majority is left when one fails.
        chosen = hosts[:3] if len(hosts) >= 3 else hosts[:1]
        admin = [
            '<admin version="2.0">',
            f'  <adminserver hostalias="{hosts[0]}"/>',
            "  <configservers>",
            *(f'    <configserver hostalias="{host}"/>' for host in chosen),
            "  </configservers>",
            "</admin>",
        ]
    container = [
        '<container id="default" version="1.0">',
        "  <search/>",
        "  <document-api/>",
        *_lines(_access(one)),
        *(line for model in one.models for line in _lines(model.component.splitlines())),
        *_lines(['<nodes count="2"/>'] if one.cloud else _nodes(hosts, keyed=False)),
        "</container>",
    ]
    content = [
        f'<content id="{one.name}" version="1.0">',
        f"  <min-redundancy>{one.redundancy}</min-redundancy>"
        if one.cloud
        else f"  <redundancy>{one.redundancy}</redundancy>",
        "  <documents>",
        f'    <document type="{one.name}" mode="index"/>',
        f'    <document type="{schema.library_of(one.name)}" mode="index"/>',
        "  </documents>",
        *_lines(_content(one, hosts)),
        "</content>",
    ]
    body = "\n".join(_lines([*admin, *container, *content]))
    return f'{_XML}<services version="1.0">\n{body}\n</services>\n'


def _lines(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _aliases(one: Application) -> list[str]:
    return [f"node{n}" for n in range(1, max(1, len(one.hosts)) + 1)]


def _access(one: Application) -> list[str]:
    """Return who may connect."""
    if one.mtls:
        folder = escape(one.mtls.rstrip("/"))
        return [
            "<http>",
            '  <server id="mtls" port="8443">',
            "    <ssl>",
            f"      <private-key-file>{folder}/key.pem</private-key-file>",
            f"      <certificate-file>{folder}/cert.pem</certificate-file>",
            f"      <ca-certificates-file>{folder}/ca.pem</ca-certificates-file>",
            "      <client-authentication>need</client-authentication>",
            "    </ssl>",
            "  </server>",
            "</http>",
        ]
    if not (one.tokens or one.certificates):
        return []
    allowed = list[str]()
    if one.certificates:
        allowed += [
            '  <client id="mtls" permissions="read,write">',
            '    <certificate file="security/clients.pem"/>',
            "  </client>",
        ]
    for n, token in enumerate(one.tokens, 1):
        allowed += [
            f'  <client id="token{n}" permissions="read,write">',
            f'    <token id="{token}"/>',
            "  </client>",
        ]
    return ["<clients>", *allowed, "</clients>"]


def _content(one: Application, hosts: list[str]) -> list[str]:
    """Return on which nodes documents are."""
    if one.cloud:
        groups = f' groups="{one.groups}"' if one.groups > 1 else ""
        return [f'<nodes count="{one.nodes}"{groups}/>']
    if one.groups == 1:
        return _nodes(hosts, keyed=True)
    each, size = one.redundancy // one.groups, len(hosts) // one.groups
    # So many copies in each group, and the rest in the last one, which is as many.
    partitions = "|".join([str(each)] * (one.groups - 1) + ["*"])
    lines = ["<group>", f'  <distribution partitions="{partitions}"/>']
    for n in range(one.groups):
        lines.append(f'  <group name="group{n}" distribution-key="{n}">')
        keys = range(n * size, (n + 1) * size)
        lines += [f'    <node hostalias="{hosts[k]}" distribution-key="{k}"/>' for k in keys]
        lines.append("  </group>")
    copies = f"<searchable-copies>{one.redundancy}</searchable-copies>"
    return [f"<engine><proton>{copies}</proton></engine>", *lines, "</group>"]


def _nodes(hosts: list[str], *, keyed: bool) -> list[str]:
    keys = [f' distribution-key="{n}"' if keyed else "" for n in range(len(hosts))]
    each = (f'  <node hostalias="{h}"{key}/>' for h, key in zip(hosts, keys, strict=True))
    return ["<nodes>", *each, "</nodes>"]


def hosts_file(application: Application) -> str:
    """Return hosts.xml: the names of the nodes."""
    lines = [f"{_XML}<hosts>"]
    for alias, host in zip(_aliases(application), application.hosts, strict=True):
        lines += [f'  <host name="{host}">', f"    <alias>{alias}</alias>", "  </host>"]
    return "\n".join([*lines, "</hosts>", ""])


# ------------------------------------------------------------------ README


def readme(application: Application) -> str:
    """Return how to deploy the package, fill it and ask it."""
    one = application
    first = one.models[0]
    rows = [
        f"| {_shown(model.name)} | {model.slot.dim} | `{_searched(one, model.slot)}` | "
        f"`{_ranked(one, model.slot)}` |"
        for model in one.models
    ]
    index = f"pixseek index ~/Pictures --engine '{engine_url(one)}' --model {_quoted(first.name)}"
    more = [f"pixseek reindex --keep --model {_quoted(model.name)}" for model in one.models[1:]]
    parts = [
        f"# Vespa application `{one.name}`",
        "Made by `pixseek vespa app`. The same command with the same folder brings it up to date, "
        "unless one of\nits files was edited. `pixseek.json` says what it was made of.",
        f"| model | dimensions | field | rank profile |\n|---|---|---|---|\n{_joined(rows)}",
        "## Deploy",
        *_deploy(one),
        "A model that is not in the table needs a package with it: name all of them and deploy "
        "again. Models that\nare left out lose their fields, and with them their vectors.",
        "## Index",
        _code([index, *more]),
        *_secrets(one),
        "A library that exists moves by `pixseek migrate --to` and the same address.",
        "## Search",
        _code(["pixseek search 'a dog catching a frisbee'"]),
        "By hand, with Vespa's own command line:",
        _code(_queries(one)),
    ]
    return "\n\n".join(parts) + "\n"


def engine_url(application: Application) -> str:
    """Return the address of the library for `--engine`, as far as it is known."""
    one = application
    host, port = one.hosts[0] if one.hosts else "localhost", 8080
    options = list[str]()
    if one.cloud:
        host, port = "ENDPOINT", 443
        options += [] if one.tokens else ["cert=CERTIFICATE.pem", "key=KEY.pem"]
    elif one.mtls:
        port = 8443
        options += ["cert=CLIENT.pem", "key=CLIENT.key", "ca=CA.pem"]
    options += ["type=binary"] if one.type == "binary" else []
    scheme = "vespa+https" if port != 8080 else "vespa+http"
    asked = f"?{'&'.join(options)}" if options else ""
    return f"{scheme}://{host}:{port}/{one.name}{asked}"


def _searched(one: Application, slot: Slot) -> str:
    return slot.signs if one.type == "binary" else slot.vector


def _ranked(one: Application, slot: Slot) -> str:
    return slot.binary if one.type == "binary" else slot.closeness


def _deploy(one: Application) -> list[str]:
    if one.cloud:
        # Vespa Cloud takes 20 characters at most, and no two dashes in a row.
        name = re.sub("_+", "-", one.name)[:20].strip("-")
        lines = [
            "vespa config set target cloud",
            f"vespa config set application TENANT.{name}",
            "vespa auth login",
            "vespa auth cert",
            "vespa deploy --wait 900 .",
        ]
        return [
            "In this folder, with your tenant's name:",
            _code(lines),
            "The nodes have Vespa Cloud's default resources; write `<resources>` into services.xml "
            "for others.",
        ]
    run = "docker run --detach --name vespa"
    if not one.hosts:
        ports = "--publish 8443:8443" if one.mtls else "--publish 8080:8080"
        mounted = f" --volume '{one.mtls}:{one.mtls}:ro'" if one.mtls else ""
        lines = [
            f"{run} --hostname vespa {ports} --publish 19071:19071{mounted} vespaengine/vespa",
            "vespa deploy --wait 300 .",
        ]
        return ["On this machine, in this folder:", _code(lines)]
    chosen = one.hosts[:3] if len(one.hosts) >= 3 else one.hosts[:1]
    settings = f"--env VESPA_CONFIGSERVERS={','.join(chosen)}"
    lines = [f"{run} --network host --hostname {h} {settings} vespaengine/vespa" for h in one.hosts]
    target = f"vespa deploy --wait 600 --target http://{one.hosts[0]}:19071 ."
    return [
        "Start Vespa on each node, the first ones with the configuration servers:",
        _code(
            [
                f"{line}{'' if host in chosen else ' services'}"
                for line, host in zip(lines, one.hosts, strict=True)
            ]
        ),
        "Then, in this folder:",
        _code([target]),
    ]


def _secrets(one: Application) -> list[str]:
    if one.tokens:
        return [
            "Put the token into `PIXSEEK_ENGINE_API_KEY`, or into a file that `?api_key_file=` "
            "names. The\nendpoint for tokens is another than that for certificates; the console "
            "shows both."
        ]
    if one.cloud:
        return ["`vespa auth cert` says where the certificate and the key are."]
    if one.mtls:
        return [
            f"The nodes read `key.pem`, `cert.pem` and `ca.pem` in `{one.mtls}`; `ca.pem` is the "
            "authority of the\ncertificates of clients."
        ]
    return []


def _queries(one: Application) -> list[str]:
    lines = list[str]()
    for model in one.models if any(each.component for each in one.models) else one.models[:1]:
        slot = model.slot
        field, q = (slot.signs, "qb") if one.type == "binary" else (slot.vector, "q")
        yql = (
            f"select id, uri from {one.name} where {{targetHits: 100}}nearestNeighbor({field}, {q})"
        )
        value = model.query or "[NUMBERS]"
        asked = ("q", "qb") if one.type == "binary" else ("q",)
        given = " ".join(f"'input.query({name})={value}'" for name in asked)
        text = " 'text=a dog catching a frisbee'" if model.component else ""
        lines.append(f"vespa query 'yql={yql}' ranking={_ranked(one, slot)} {given}{text}")
    lines.append(
        f"vespa query 'yql=select id, uri from {one.name} where userQuery()' query=frisbee "
        "ranking=text"
    )
    return lines


def _code(lines: Iterable[str]) -> str:
    return f"```sh\n{_joined(lines)}\n```"


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _shown(name: str) -> str:
    """Return a model's name for a table of Markdown; it may be the name of a folder."""
    return re.sub(r"[^\w./:@ +-]", "?", name)


def _quoted(name: str) -> str:
    return shlex.quote(name if name.isprintable() else _shown(name))
