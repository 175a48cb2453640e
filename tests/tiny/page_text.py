"""What a reader sees of a page."""

import html
import re


def shown(path):
    """The text of a page, without its scripts and its style."""
    text = re.sub(r'<(script|style).*?</\1>', ' ', path.read_text(), flags=re.S)
    return ' '.join(html.unescape(re.sub(r'<[^>]*>', ' ', text)).split())
