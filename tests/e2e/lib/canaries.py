"""Finding personal values in a heap of bytes, however they are spelled there."""
import base64
import json
import re
import urllib.parse

WINDOW = 10  # bytes at the front of each spelling by which it is looked for: none may be shorter


def base64_parts(raw):
    """The characters of base64 that these bytes decide alone, for each place they may stand at."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode()
        first = -(-before * 8 // 6)
        yield text[first:(before + len(raw)) * 8 // 6]


def spellings(value):
    """What a value may look like, in lower case; and those where case counts."""
    raw = value.encode()
    escaped = json.dumps(value)[1:-1]
    loose = {raw, raw.hex().encode(), urllib.parse.quote(value, safe="").encode(),
             urllib.parse.quote(urllib.parse.quote(value, safe=""), safe="").encode(),
             escaped.encode(), escaped.replace("\\", "\\\\").encode(), escaped.replace("\\", "\\\\\\\\").encode(),
             value.encode("utf-16-le"), value.encode("utf-16-be")}
    exact = {part.encode() for part in base64_parts(raw)}
    exact |= {part.replace(b"+", b"-").replace(b"/", b"_") for part in exact}
    return {s.lower() for s in loose}, exact


class Canaries:
    """Values that must never be found, each with the thing it is of."""

    def __init__(self):
        self.loose, self.exact, self.digits = {}, {}, {}

    def add(self, kind, value):
        for table, found in zip((self.loose, self.exact), spellings(value)):
            for spelling in found:
                if len(spelling) < WINDOW:
                    raise ValueError(f"{kind} '{value}' is too short to be looked for")
                table.setdefault(spelling[:WINDOW], set()).add((spelling, f"{kind} {value}"))

    def add_phone(self, phone):
        """By its last ten digits as a number of its own, with or without country code; inside a longer one they are chance."""
        digits = re.sub(r"\D", "", phone)[-10:]
        self.add("phone", phone)
        self.digits[digits.encode()] = f"digits of {phone}"

    def find(self, name, data):
        """All that stands in `data`: texts of "<name>: <what>"."""
        found = set()
        for text, table in ((data.lower(), self.loose), (data, self.exact)):
            for at in range(len(text) - WINDOW + 1):
                for spelling, what in table.get(text[at:at + WINDOW], ()):
                    if text.startswith(spelling, at):
                        found.add(f"{name}: {what}")
        for compact in (data, re.sub(rb"(?<=\d)[ ().\-]{1,2}(?=[\d(])", b"", data)):
            for match in re.finditer(rb"(?<!\d)(?:00)?[78]?(\d{10})(?!\d)", compact):
                if match.group(1) in self.digits:
                    found.add(f"{name}: {self.digits[match.group(1)]}")
        return found
