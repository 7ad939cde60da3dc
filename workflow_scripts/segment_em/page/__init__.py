"""The report's page: template, style and scripts, each a file of its own beside this one.

Their bytes are part of this package's code digest (code_digest), so that an edit of the page makes
the report again.
"""

from pathlib import Path

import jinja2
from markupsafe import Markup

FOLDER = Path(__file__).parent


def render(template: str, **values: object) -> str:
    """The template with the values, escaped unless they are Markup."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["file"] = own_file
    return environment.get_template(template).render(**values)


def own_file(name: str) -> Markup:
    """A style or script of this folder, to stand in the page as it is."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))
