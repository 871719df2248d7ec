"""All pages of the reference, and their index."""

from pathlib import Path

from local.api.reference import of_account, of_code, of_template
from local.api.reference.markdown import Page, table
from local.aws import stack
from local.aws.expand import expand, parse

INDEX = "README.md"


def texts(root: Path = stack.ROOT) -> dict[str, str]:
    """The text of every page, by its file's name."""
    written = parse((root / "template.yaml").read_text())
    template = {**expand(written), "Mappings": written["Mappings"]}
    pages = {
        "requests.md": of_code.requests(template),
        "parameters.md": of_template.parameters(template),
        "outputs.md": of_template.outputs(template),
        "settings.md": of_code.settings(template),
        "results.md": of_code.results(),
        "error-codes.md": of_code.error_codes(),
        "provider-codes.md": of_code.provider_codes(),
        "alarms.md": of_template.alarms(template),
        "metrics.md": of_code.metrics(),
        "resources.md": of_account.resources(stack.translate(root / "template.yaml", {})),
    }
    return {INDEX: _index(pages).text(), **{name: page.text() for name, page in pages.items()}}


def costs(root: Path = stack.ROOT) -> str:
    """What a stack has and what it costs, for the README."""
    template = stack.translate(root / "template.yaml", {})
    return f"{of_account.contents(template)}\n\n{of_account.costs(template)}"


def _index(pages: dict[str, Page]) -> Page:
    rows = [
        (f"[{page.title}]({name})", page.intro.partition(". ")[0].rstrip(".") + ".") for name, page in pages.items()
    ]
    rows += [
        ("[Schemas](../schemas)", "One JSON Schema for the requests of each operation and of the sweep."),
        ("[HTTP API](../openapi.json)", "The OpenAPI document: routes, answers, examples."),
    ]
    return Page(
        "Reference", "Made from the code and the template, so it says what they do.", table(("page", ""), rows)
    )
