"""No token in an error, whoever wrote the message; files are looked through in the tests of push and listen."""

import logging
import traceback

import httpx
import pytest
import yaml

from figureground import catalog
from figureground.clients import webhook as hook
from figureground.clients.annotation_server import connect, read_secret
from figureground.clients.label_studio.errors import TOKEN_VARIABLE, Redactor, translate_errors
from figureground.errors import CatalogError, FiguregroundError, LabelError, TransientError

TOKEN = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff00112233"


def translating():
    """Translate errors as a connection with our token does."""
    return translate_errors("http://labels", "pushing", Redactor((TOKEN,)), "the test's")


def everything(error):
    """All that a traceback, a log or a report of an error could show, the errors behind it and their insides, too."""
    text = "".join(traceback.format_exception(error))
    while error is not None:
        text += f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__
    return text


def api_error(status):
    from label_studio_sdk.core.api_error import ApiError

    body = {"detail": f"the header said Token {TOKEN}", "validation_errors": {"url": [f"bad {TOKEN}"]}}
    return ApiError(status_code=status, headers={"set-cookie": f"sessionid={TOKEN}"}, body=body)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 502])
def test_an_error_of_the_sdk_that_repeats_the_token(status):
    with pytest.raises(FiguregroundError) as caught, translating():
        raise api_error(status)
    assert isinstance(caught.value, TransientError) == (status in (429, 500, 502))
    assert TOKEN not in everything(caught.value)


def test_an_error_of_the_wire_that_repeats_the_token():
    request = httpx.Request("GET", "http://labels", headers={"Authorization": f"Token {TOKEN}"})
    with pytest.raises(TransientError) as caught, translating():
        raise httpx.ReadError("broken pipe", request=request)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(TransientError) as caught, translating():
        raise httpx.ReadError(f"cannot send Token {TOKEN}", request=request)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:{}@labels",
        "http://{}@labels:80/",
        "https://labels/?token={}",
        "https://labels/#{}",
        "me:{}@labels",
        "ftp://{}@l",
    ],
)
def test_an_address_with_a_token_in_it_is_refused_and_not_repeated(tmp_path, write_down, make_catalog, make_material, url):
    file = write_down(make_material(make_catalog(tmp_path), "park", 0))
    content = yaml.safe_load(file.read_text())
    content["label_studio"]["url"] = url.format(TOKEN)
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(CatalogError, match=r"label_studio\.url: expected an address") as caught:
        catalog.load(file)
    assert TOKEN not in str(caught.value)


def test_a_token_in_the_catalog_is_an_unknown_key_and_not_repeated(tmp_path, write_down, make_catalog, make_material):
    file = write_down(make_material(make_catalog(tmp_path), "park", 0), token=TOKEN)
    with pytest.raises(CatalogError, match=r"label_studio\.token: unknown key") as caught:
        catalog.load(file)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("variable", [TOKEN_VARIABLE, hook.SECRET_VARIABLE])
def test_a_prefect_secret_that_cannot_be_read_says_its_name_only(monkeypatch, variable):
    class Secret:
        @staticmethod
        def load(name):
            raise ValueError(f"block {name} holds {TOKEN}")

    monkeypatch.setattr("prefect.blocks.system.Secret", Secret)
    monkeypatch.setenv(variable, "prefect:mine")
    with pytest.raises(LabelError, match=f"{variable} names the Prefect Secret 'mine', which cannot be read") as caught:
        read_secret(variable)
    assert TOKEN not in str(caught.value)


def test_a_server_that_is_no_label_studio_is_not_shown_the_token(tmp_path, monkeypatch, make_catalog, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with pytest.raises(LabelError) as caught:
        connect(make_catalog(tmp_path))
    assert TOKEN not in everything(caught.value) + caplog.text
