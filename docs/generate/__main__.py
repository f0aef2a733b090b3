"""``python -m docs.generate``: write the reference pages and the manual pages anew."""

from docs.generate.written import DOCS, made_before, written

contents = written()
for file in made_before():
    file.unlink()
for place, content in contents.items():
    (DOCS / place).parent.mkdir(parents=True, exist_ok=True)
    (DOCS / place).write_text(content, encoding="utf-8")
