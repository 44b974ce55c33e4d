r"""Where secrets stand in a text, by the shapes in which a key and its value are written.

| shape | examples |
|---|---|
| quoted key | `"password": "…"`, `'password' => '…'`, `conf["password"] = "…"`, however deep it is quoted |
| plain key | `password=…`, `password = '…'`, `password: str = "…"`, `self.token == …`, `{password: '…'}` |
| header | `X-Api-Key: …`, `Authorization: Basic …`, `Cookie: …` |
| pair | `("Authorization", "Bearer …")`, `{"name": "DB_PASSWORD", "value": "…"}` |
| option | `--password …`, `"--password", "…"` |
| element | `<password>…</password>` |
| no key | `scheme://user:…@host`, `Bearer …`, a private key in PEM |

In prose a colon follows many a word, so after a plain key it counts before what cannot be prose. One pass from the
left, no recursion, and no part of an expression that tries one place twice: whoever fails writes the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HIDDEN = "[redacted]"

_KEY = re.compile(
    r"""
    (?<!\\)(?P<slashes>\\*+)(?P<quote>["'])(?P<quoted>[^"'\\\n:=]{1,100}+)(?P=slashes)(?P=quote)(?:
        \s*+:\s*+
      | \]?+[ \t]*+(?:=>|:=|==?+)[ \t]*+
      | \s*+,\s*+(?P=slashes)(?P=quote)[Vv]alue(?P=slashes)(?P=quote)\s*+:\s*+
      | (?P<pair>\s*+,\s*+)
    )
    | (?<![\w.-])(?P<plain>[\w.-]{1,100}+)(?:
        [ \t]*+(?:=>|:=|==?+)[ \t]*+
      | :[ \t]*+[\w.]{1,40}+[ \t]++=[ \t]*+
      | (?P<colon>:[ \t]*+)
    )
    | (?<![\w.-])(?P<option>--?[\w-]{1,100}+)[ \t]++(?=[^-\s])
    | <(?P<element>[\w:.-]{1,100}+)(?:\s[^<>]{0,200}+)?>
    """,
    re.VERBOSE,
)
_KEYLESS = re.compile(
    r"""
    (?P<before>
        ://[^\s/?#"'<>@:\\]{0,128}+:(?!\d{1,5}(?:[/?#\s"'\\]|$)) (?=[^\s"'<>@]{0,128}+@)
      | :// (?=[^\s/?#"'<>@:\\]{20,128}+@)
    ) [^\s"'<>@]{0,128}+ (?:@[^\s"'<>@/]{0,128}+(?=@)){0,4}+
    | (?P<scheme>(?<!\w)(?:bearer|basic)[ \t]++)(?=[A-Za-z+/.~_-]{0,60}+[0-9=])[\w+/=.~-]{16,}+
    | (?P<pem>-----BEGIN[ ][A-Z0-9 ]{0,40}PRIVATE[ ]KEY-----)(?:[^-]|-(?!----))*+
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MARKS = ("://", "PRIVATE KEY", "earer ", "EARER ", "asic ", "ASIC ")  # a text that _KEYLESS finds something in has one
_OPENING = re.compile(r"""b?(?P<slashes>\\*+)(?P<quote>["'])|(?P<bracket>[\[{(])""")
_NOTHING = re.compile(r"(?:null|None)\b")
_SCHEME = re.compile(r"(?:basic|bearer|token)\s++", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"(?:basic|bearer|digest|token)\s", re.IGNORECASE)
_WORD = re.compile(r"""(?:(?:basic|bearer|digest|token)\s++)?[^\s,;&"'\\)\]}]++""", re.IGNORECASE)
_LAST_WORD = re.compile(r"""[^\s,;"'\\)\]}]++(?=[ \t]*+(?:[\r\n,;)\]}\\"']|$))""")
_LINE = re.compile(r"[^\r\n\\]*+")
_STRUCTURE = re.compile(r"""(?<!\\)(?P<slashes>\\*+)(?P<quote>["'])|(?P<open>[\[{(])|[\]})]""")
_QUOTES = {quote: re.compile(rf"(?<!\\)(\\*+){quote}") for quote in "\"'"}
_BEFORE_PAIR = re.compile(r"[\[(]\s*+b?$")
_AFTER_PAIR = re.compile(r"\s*+(?:[\])]|$)")

_SEPARATORS = str.maketrans("", "", "_- ")
_WHOLE_LINES = ("authorization", "cookie")  # headers whose value has spaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Which keys are secret. Case, hyphens and underscores do not count: `apiKey` and `API-KEY` are `api_key`."""

    words: frozenset[str]
    globs: re.Pattern[str] | None
    marks: tuple[str, ...]  # of which a text that has a secret key has one

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        word = simple(key)
        return word in self.words or (self.globs is not None and self.globs.match(word) is not None)

    def may_occur_in(self, text: str) -> bool:
        """A quick look, as most texts have nothing to hide."""
        word = simple(text)
        return any(mark in word for mark in self.marks)


def simple(key: str) -> str:
    return key.translate(_SEPARATORS).lower()


def conceal(text: str, names: Names) -> str:
    """The text without the values of these keys, and without what is a secret by its own shape."""
    if names.may_occur_in(text):
        text = _conceal_named(text, names)
    if any(mark in text for mark in _MARKS):
        text = _KEYLESS.sub(lambda found: f"{found['before'] or found['scheme'] or found['pem']}{HIDDEN}", text)
    return text


def _conceal_named(text: str, names: Names) -> str:
    kept: list[str] = []
    at = 0
    for found in _KEY.finditer(text):
        if found.start() < at or not _is_secret(found, names):
            continue
        start, end = found.end(), _end(text, found)
        if end > start:
            mark = f"{found['slashes']}{found['quote']}" if found["quoted"] else ""
            kept += (text[at:start], mark, HIDDEN, mark)
            at = end
    return "".join((*kept, text[at:])) if kept else text


def _is_secret(found: re.Match[str], names: Names) -> bool:
    key = found["quoted"] or found["plain"] or found["option"] or found["element"]
    return key in names or key.replace(":", ".").rpartition(".")[2] in names


def _end(text: str, found: re.Match[str]) -> int:
    """Where the value of a key ends; where it begins, when this is no value."""
    start = found.end()
    if found["element"]:
        end = text.find("<", start)
        return end if text.startswith("</", end) else start
    if found["colon"]:
        return _end_after_colon(text, start, found["plain"])
    end = _end_of_value(text, start)
    return start if found["pair"] and not _is_pair(text, found, end) else end


def _end_after_colon(text: str, start: int, key: str) -> int:
    """Of a header, or what cannot be prose: something quoted, or the last word of its line."""
    if simple(key).endswith(_WHOLE_LINES) and not _OPENING.match(text, start):
        found = None if _SCHEME.match(text, start) else _LINE.match(text, start)
        return found.end() if found else _end_of_value(text, start)
    is_header = "-" in key.strip("-") or _ANY_SCHEME.match(text, start) or _OPENING.match(text, start)
    return _end_of_value(text, start) if is_header or _LAST_WORD.match(text, start) else start


def _is_pair(text: str, found: re.Match[str], end: int) -> bool:
    """Whether key and value are alone in brackets, or the key is an option: lists of names are no secret."""
    if found["quoted"].startswith("-"):
        return True
    before = text[max(found.start() - 20, 0) : found.start()]
    return _BEFORE_PAIR.search(before) is not None and _AFTER_PAIR.match(text, end) is not None


def _end_of_value(text: str, start: int) -> int:
    """Where the value ends that begins at `start`; there itself when there is none worth hiding."""
    if _NOTHING.match(text, start):
        return start
    if opening := _OPENING.match(text, start):
        if opening["bracket"]:
            return _end_of_bracket(text, opening.end())
        return _end_of_quoted(text, opening.end(), opening["quote"], len(opening["slashes"]))
    word = _WORD.match(text, start)
    return word.end() if word else start


def _end_of_quoted(text: str, start: int, quote: str, slashes: int) -> int:
    """Behind the quote that closes; the end of a text that was cut. JSON within JSON has its quotes behind slashes."""
    for found in _QUOTES[quote].finditer(text, start):
        run = len(found[1])
        if run <= slashes if slashes else run % 2 == 0:
            return found.end()
    return len(text)


def _end_of_bracket(text: str, start: int) -> int:
    """Behind the bracket that closes, whatever its kind; brackets within quotes do not count."""
    depth, at = 1, start
    while depth and (found := _STRUCTURE.search(text, at)):
        at = found.end()
        if found["quote"]:
            at = _end_of_quoted(text, at, found["quote"], len(found["slashes"]))
        else:
            depth += 1 if found["open"] else -1
    return at if depth == 0 else len(text)
