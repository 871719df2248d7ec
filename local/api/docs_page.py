"""The HTTP API in a browser, beside the local stack: Swagger UI at ``/docs``, its document at ``/openapi.json``.

Swagger UI's files come from the installed package ``swagger-ui-bundle``. The page's content security policy lets the
browser load nothing from anywhere else.
"""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.api import openapi
from local.aws.runner import Answer

PAGE = "/docs"
DOCUMENT = "/openapi.json"
VIEW = f"{PAGE}/openapi-3.0.json"

_ASSETS: Mapping[str, str] = {  # file of the package -> content type
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTML = f"""\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Task cleanup</title>
    <link rel="stylesheet" href="{PAGE}/swagger-ui.css">
    <link rel="stylesheet" href="{PAGE}/phone.css">
    <link rel="icon" type="image/png" href="{PAGE}/favicon-32x32.png">
    <link rel="alternate" type="application/json" href="{DOCUMENT}" title="OpenAPI 3.1">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="{PAGE}/swagger-ui-bundle.js"></script>
    <script src="{PAGE}/start.js"></script>
  </body>
</html>
"""
# Swagger UI puts everything side by side: on a phone, path and summary are broken inside of words, and the table
# of replies is wider than the screen. No operation here has links, so their column may go.
_PHONE = """\
@media (max-width: 640px) {
  .swagger-ui .wrapper { padding: 0 10px; }
  .swagger-ui .opblock .opblock-summary-control { flex-wrap: wrap; min-width: 0; }
  .swagger-ui .opblock .opblock-summary-method { min-width: 70px; }
  .swagger-ui .opblock .opblock-summary-path { flex: 1 1 0; max-width: none; min-width: 0; word-break: normal; }
  .swagger-ui .opblock .opblock-summary-description { flex: 1 1 75%; padding: 6px 10px 2px; word-break: normal; }
  .swagger-ui .opblock-section-header { flex-wrap: wrap; }
  .swagger-ui .responses-inner { padding: 10px; }
  .swagger-ui table.parameters thead { display: none; }
  .swagger-ui table.parameters td { display: block; padding: 8px 0 0; }
  .swagger-ui table.responses-table { table-layout: fixed; }
  .swagger-ui .response-col_links { display: none; }
  .swagger-ui .response-col_status { width: 3em; }
  .swagger-ui .markdown { overflow-wrap: anywhere; }
}
"""
# Without a validator: its badge would send the document's address to another company's server.
_START = f"""\
SwaggerUIBundle({{
  url: "{VIEW}",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  docExpansion: "list",
  defaultModelExpandDepth: 3,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true
}});
"""


def pages() -> dict[str, Answer]:
    """The files of Swagger UI, the page and the document, by path."""
    bundle = Path(importlib.import_module("swagger_ui_bundle").swagger_ui_path)  # the package has no types
    document = {**openapi.document(), "servers": [{"url": "/", "description": "This local stack"}]}
    return {
        PAGE: _answer(_HTML, "text/html; charset=utf-8"),
        f"{PAGE}/start.js": _answer(_START, "text/javascript; charset=utf-8"),
        f"{PAGE}/phone.css": _answer(_PHONE, "text/css; charset=utf-8"),
        DOCUMENT: _answer(json.dumps(document), "application/json"),
        VIEW: _answer(json.dumps(as_openapi_30(document)), "application/json"),
        **{f"{PAGE}/{name}": _answer((bundle / name).read_bytes(), kind) for name, kind in _ASSETS.items()},
    }


def _answer(content: str | bytes, content_type: str) -> Answer:
    headers = {
        "Content-Type": content_type,
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return 200, headers, content.encode() if isinstance(content, str) else content


# -- for a viewer that is older than the document ------------------------------------------------


_UNKNOWN_TO_30 = frozenset({"if", "then", "else", "dependentRequired", "jsonSchemaDialect", "identifier"})


def as_openapi_30(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as an OpenAPI 3.0 viewer can show it: the bundled Swagger UI is version 4 and refuses 3.1.

    For reading only: conditions, which 3.0 does not have, are left out; where they choose between several kinds, the
    kinds are listed. ``null`` becomes ``nullable``. A GET loses its body, since no browser sends one.
    """
    view: dict[str, Any] = _older({**document, "openapi": "3.0.3"})
    for item in view.get("paths", {}).values():
        item.get("get", {}).pop("requestBody", None)
    return view


def _older(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_older(item) for item in value]
    if not isinstance(value, dict):
        return value
    older: dict[str, Any] = {}
    for name, item in value.items():
        if name in ("example", "default", "enum"):
            older[name] = item  # data, not a schema
        elif name == "examples":
            older["example"] = item[0]
        elif name == "properties":
            older[name] = {field: _older(schema) for field, schema in item.items()}
        elif name not in _UNKNOWN_TO_30:
            older |= _older_keyword(name, item)
    return older


def _older_keyword(name: str, item: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A keyword of JSON Schema 2020-12 as OpenAPI 3.0's dialect has it; any other member as it is."""
    if name == "const":
        return {"enum": [item]}
    if name == "required" and item == []:
        return {}  # 3.0 wants at least one
    if name == "allOf":
        kinds = [rule["then"] for rule in item if "$ref" in rule.get("then", {})]
        return {"anyOf": kinds} if kinds else {}
    if name == "type" and isinstance(item, list):
        kinds = [kind for kind in item if kind != "null"]
        kind = {"type": kinds[0]} if len(kinds) == 1 else {"anyOf": [{"type": kind} for kind in kinds]}
        return {**kind, "nullable": True} if "null" in item else kind
    if name in ("oneOf", "anyOf"):
        kinds = [_older(schema) for schema in item if schema != {"type": "null"}]
        return {**kinds[0], "nullable": True} if len(kinds) == 1 else {name: kinds}
    return {name: _older(item)}
