"""JSON with exact numbers.

Reads numbers as Decimal (or int) and prints them from their decimal text. Must never let a number pass through a
binary float, and knows nothing about checkouts or HTTP.
"""

import base64
import decimal
import json
from decimal import Decimal
from json.encoder import encode_basestring, encode_basestring_ascii

decimal.DefaultContext.prec = 120
decimal.setcontext(decimal.Context(prec=120))


class Raw(str):
    """JSON text that is printed unchanged, also if it is not valid."""


class BadJson(ValueError):
    """The bytes are not the JSON that was expected."""


def _refuse_constant(text):
    raise BadJson("not a JSON number: " + text)


def _int(text):
    return int(text) if len(text) < 1000 else Decimal(text)


_reader = json.JSONDecoder(parse_float=Decimal, parse_int=_int, parse_constant=_refuse_constant)


def loads(data):
    """Bytes of one JSON document to Python objects."""
    try:
        return _reader.decode(data.decode("utf-8"))
    except (ValueError, RecursionError, decimal.InvalidOperation) as trouble:
        raise BadJson(str(trouble)) from None


def quote(text, _exponent=False):
    """One string as JSON; text that has no UTF-8 form is escaped."""
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return encode_basestring_ascii(text)
    return encode_basestring(text)


_keys = {}


def _key(name):
    known = _keys.get(name)
    if known is None:
        known = quote(name) + ":"
        if len(_keys) < 2000:
            _keys[name] = known
    return known


def _decimal(value, exponent):
    if not value.is_finite():
        raise TypeError("no JSON form for " + str(value))
    return format(value, "E" if exponent else "f")


def _integer(value, exponent):
    return format(Decimal(value), "E") if exponent else str(value)


def _object(value, exponent):
    return "{" + ",".join([_key(k) + _writers[type(v)](v, exponent) for k, v in value.items()]) + "}"


def _array(value, exponent):
    return "[" + ",".join([_writers[type(v)](v, exponent) for v in value]) + "]"


_writers = {
    str: quote,
    Raw: lambda value, exponent: value,
    bool: lambda value, exponent: "true" if value else "false",
    type(None): lambda value, exponent: "null",
    int: _integer,
    Decimal: _decimal,
    dict: _object,
    list: _array,
    tuple: _array,
}


def dumps(value, exponent=False):
    """Objects to JSON text; numbers in exponent form on request."""
    return _writers[type(value)](value, exponent)


def encode(text):
    """JSON text to bytes; raw bytes added by raw_bytes() come out unchanged."""
    return text.encode("utf-8", "surrogateescape")


def raw_bytes(data):
    """Any bytes, valid UTF-8 or not, as raw JSON text."""
    return Raw(data.decode("utf-8", "surrogateescape"))


def raw_from(spec):
    """Raw JSON text as control describes it: text, or {base64}, {hex}, {nest, close}."""
    if isinstance(spec, str):
        return Raw(spec)
    if isinstance(spec, dict) and "base64" in spec:
        return raw_bytes(base64.b64decode(spec["base64"]))
    if isinstance(spec, dict) and "hex" in spec:
        return raw_bytes(bytes.fromhex(spec["hex"]))
    if isinstance(spec, dict) and "nest" in spec:
        depth = spec["nest"]
        return Raw("[" * depth + ("]" * depth if spec.get("close", True) else ""))
    raise BadJson("raw JSON is given as text or as {base64}, {hex} or {nest}")


def number(value):
    """A control value as a plain int where it is whole, else a float: for times and counts, never for money."""
    exact = to_decimal(value)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def to_decimal(value):
    """A control value (number or decimal text) as Decimal."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise BadJson("not a number: " + repr(value))
    try:
        return Decimal(value)
    except decimal.InvalidOperation:
        raise BadJson("not a number: " + repr(value)) from None
