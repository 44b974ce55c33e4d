"""JSON in and out by type hints; how an exception becomes data.

| module | what it is |
|---|---|
| `payloads` | values to text and back |
| `arguments` | calls to text and back, checked by signature |
| `errors` | exceptions as data |
| `matching` | one text and hash for equal values |
| `hints` | type hints of functions, and who reads what back |
| `faults` | why a value cannot be stored |
| `places` | where in the code an exception came from |
| `redaction` | values and texts without passwords, for those who read them |
| `concealing` | where secrets stand in a text |
| `printing` | texts without what a terminal would obey |
| `native` | msgspec, configured |
"""

from django_workflows.codec.arguments import bind_arguments, call_arguments, decode_arguments
from django_workflows.codec.errors import encode_exception
from django_workflows.codec.hints import hint_of
from django_workflows.codec.matching import canonical, match_hash
from django_workflows.codec.payloads import MAX_BYTES, MAX_DEPTH, decode, encode, round_trip
from django_workflows.codec.places import place_of
from django_workflows.codec.printing import printable, printable_json
from django_workflows.codec.redaction import redact, redact_text

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "bind_arguments",
    "call_arguments",
    "canonical",
    "decode",
    "decode_arguments",
    "encode",
    "encode_exception",
    "hint_of",
    "match_hash",
    "place_of",
    "printable",
    "printable_json",
    "redact",
    "redact_text",
    "round_trip",
]
