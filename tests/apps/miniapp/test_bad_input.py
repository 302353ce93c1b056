"""Whatever is sent, the answer is an error in the one shape, or the thing that was asked for; never a 500."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils.translation import override
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework import serializers

from apps.miniapp import api
from apps.miniapp.authentication import token_for
from apps.orders.models import Order
from apps.wallet.models import Recharge
from tests import factories
from tests.apps.miniapp.conftest import Caller, refusal
from tests.apps.miniapp.test_openapi import COMMITTED

pytestmark = pytest.mark.usefixtures("tenant")
DOCUMENT = yaml.safe_load(COMMITTED.read_text())
OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
BODIES = [
    (
        re.sub(r"\{.*?\}", "C1", path.replace("{vehicle_id}", "1")),
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1],
    )
    for _, path, operation in OPERATIONS
    if "requestBody" in operation
]
NASTY = ["", "\x00", "a\x00b", "\ud800", "9" * 40, "-1", "1e999", "NaN", "Infinity", "0x10", "٣", "𝟙"]
NASTY += ["'; --", "%00", "../..", "x" * 3000]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(NASTY),
    st.text(st.characters(), max_size=40),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
fuzz = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def fields_of(name: str) -> list[str]:
    return list(DOCUMENT["components"]["schemas"][name]["properties"])


def bodies_of(name: str) -> st.SearchStrategy[Any]:
    return st.one_of(anything, st.fixed_dictionaries({}, optional=dict.fromkeys(fields_of(name), anything)))


def send(app: Caller, path: str, raw: bytes, content_type: str = "application/json", **headers: str) -> Any:
    headers = {"idempotency-key": "fuzz", **headers}
    return app.client.generic("POST", path, raw, content_type, headers=headers)


def fresh() -> None:
    """Forget the limits of signing in: this is about input, and all of it comes from one address."""
    from django.core.cache import cache

    cache.clear()


@pytest.mark.parametrize(("path", "name"), BODIES)
def test_bodies_made_from_the_description(app_of, path: str, name: str) -> None:
    # A reason alone asks for all the money back, which is right where there is any.
    app = app_of(factories.a_customer("0" if name == "RefundInput" else "100.00"))

    @fuzz
    @given(bodies_of(name))
    def check(body: Any) -> None:
        fresh()
        answer = send(app, path, json.dumps(body).encode())
        assert refusal(answer)[0] in ({400, 401} if path.endswith("/auth/refresh") else {400, 404}), body

    check()
    assert (Order.objects.count(), Recharge.objects.filter(state="created").count()) == (0, 0)


QUERIES = [
    (path, [p["name"] for p in operation["parameters"] if p["in"] == "query"])
    for method, path, operation in OPERATIONS
    if any(p["in"] == "query" for p in operation.get("parameters", []))
]


@pytest.mark.parametrize(("path", "names"), QUERIES)
def test_parameters_made_from_the_description(app_of, path: str, names: list[str]) -> None:
    app = app_of(factories.a_customer("0"))
    text = st.one_of(
        st.sampled_from([word for word in NASTY if word != "\ud800"]),
        st.text(max_size=20),
        st.floats().map(str),
        st.integers().map(str),
    )

    @fuzz
    @given(st.fixed_dictionaries({}, optional=dict.fromkeys(names, text)))
    def check(parameters: dict[str, str]) -> None:
        answer = app.client.get(path, parameters)
        if answer.status_code != 200:
            assert refusal(answer) == (400, "invalid"), parameters

    check()


PATHS = [(method, path) for method, path, _ in OPERATIONS if "{" in path]
EXAMPLES = {
    path: next(iter(operation["requestBody"]["content"]["application/json"]["examples"].values()))["value"]
    for _, path, operation in OPERATIONS
    if "requestBody" in operation
}


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_numbers_in_paths(app_of, method: str, path: str) -> None:
    app = app_of(factories.a_customer("0"))
    right = json.dumps(EXAMPLES.get(path, {})).encode()
    before, _, rest = path.partition("{")
    after = rest.partition("}")[2]

    @fuzz
    @given(
        st.one_of(
            st.sampled_from([w for w in NASTY if w not in ("", "\ud800")]), st.text(min_size=1, max_size=40)
        )
    )
    def check(text: str) -> None:
        from urllib.parse import quote

        answer = app.client.generic(
            method.upper(),
            f"{before}{quote(text, safe='')}{after}",
            right,
            "application/json",
            headers={"idempotency-key": "fuzz"},
        )
        assert refusal(answer)[0] == 404, text

    check()


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"\xff\xfe",
        b"NaN",
        b'{"phone": NaN}',
        b'{"phone": 1e999}',
        b'{"phone": ' + b"9" * 6000 + b"}",
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b'"' + b"x" * 70_000 + b'"',
        b"\x00",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b"",
        '{"phone": "\ud800"}'.encode("utf-8", "surrogatepass"),
        b'{"phone": "\\ud800"}',
    ],
    ids=range(17),
)
def test_bodies_that_are_no_object(app_of, raw: bytes) -> None:
    app = app_of(factories.a_customer("100.00"))
    for path, _ in BODIES:
        assert refusal(send(app, path, raw))[0] == 400, path


def test_a_body_of_nothing_has_the_one_shape(app_of) -> None:
    answer = send(app_of(factories.a_customer("0")), "/api/v1/vehicles", b"null")
    assert answer.json()["data"] == {"fields": {"non_field_errors": ["This field may not be null."]}}


def test_each_reader_is_told_in_their_own_language(app_of) -> None:
    """Rules are made once for all requests; their texts are the reader's, also of the parts of a list."""
    customer = factories.a_customer("0")
    english, chinese = app_of(customer), app_of(customer, **{"accept-language": "zh-CN"})
    for _ in range(2):
        for app, most, longest in (
            (chinese, "请确保该值小于或者等于 50。", "请确保这个字段不能超过 50 个字符。"),
            (
                english,
                "Ensure this value is less than or equal to 50.",
                "Ensure this field has no more than 50 characters.",
            ),
        ):
            assert app.get("stations", limit=99).json()["data"]["fields"] == {"limit": [most]}
            assert app.get("stations", search="x" * 51).json()["data"]["fields"] == {"search": [longest]}


def test_texts_that_keep_the_first_language_are_in_no_rule() -> None:
    """What DRF makes for limits remembers the language that it was first read in."""

    class Part(serializers.Serializer):
        number = serializers.IntegerField(max_value=5)

    class Whole(serializers.Serializer):
        parts = Part(many=True)
        words = serializers.ListField(child=serializers.CharField(max_length=3), max_length=2)

    bad = {"parts": [{"number": 9}], "words": ["long", "x", "x"]}
    said = []
    for language in ("zh-hans", "en", "zh-hans"):
        with override(language), pytest.raises(serializers.ValidationError) as wrong:
            api._checked(Whole, bad)
        said.append(str(wrong.value.detail))
    assert said[0] == said[2] != said[1]
    assert "请确保" not in said[1]
    assert "Ensure" not in said[0]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "x",
        "/",
    ],
)
def test_other_content_types(app_of, content_type: str) -> None:
    app = app_of(factories.a_customer("100.00"))
    for path, _ in BODIES:
        answer = send(app, path, b'{"phone": "13800000001"}', content_type)
        assert refusal(answer) == (400, "parse_error"), path


@pytest.mark.parametrize("charset", ["hex", "rot13", "utf-16", "nonsense", "undefined"])
def test_charsets_of_the_clients_choice(app_of, charset: str) -> None:
    app = app_of(factories.a_customer("0"))
    content_type = f"application/json; charset={charset}"
    answer = send(app, "/api/v1/auth/sms-code", b'{"phone": "13800000001"}', content_type)
    assert answer.status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "x", "application/xml;q=0", "*/*"])
def test_answers_are_json_whatever_is_asked_for(app_of, accept: str) -> None:
    answer = app_of(factories.a_customer("0"), accept=accept).get("me")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


def test_methods_that_are_none(app_of) -> None:
    app = app_of(factories.a_customer("0"))
    for _, path, _ in OPERATIONS:
        for method in ("PUT", "PATCH", "DELETE"):
            answer = app.client.generic(
                method, re.sub(r"\{\w+_id\}", "1", path).translate({123: "", 125: ""})
            )
            assert refusal(answer)[0] == 405, path


@pytest.mark.parametrize("language", ["xx", "zh-CN,en;q=x", "\u00e9", "en;q=" + "9" * 400, "*", "x" * 5000])
def test_languages_that_are_none(tenant, language: str) -> None:
    token = str(token_for(factories.a_customer("0")))
    client = Client(
        headers={"host": "alpha.test", "authorization": f"Bearer {token}", "accept-language": language}
    )
    assert client.get("/api/v1/me").status_code == 200
