"""How Sphinx builds the site of the documentation (`make docs`).

The pages are plain Markdown, readable without it; MyST reads them and checks every link and anchor.
"""

project = "pixseek"
html_title = "pixseek"
html_theme = "furo"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}

# Every heading gets the anchor that GitHub gives it, so that links work in both places.
myst_heading_anchors = 4
myst_links_external_new_tab = False

# `console` blocks show a prompt and what follows as it is typed: no language to check.
highlight_language = "text"
pygments_style = "friendly"

html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False

# `make links`: a site may answer a robot otherwise than a reader, or be slow.
linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False
