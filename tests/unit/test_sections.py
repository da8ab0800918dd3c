"""URLs in the configuration: which are taken, and that none is repeated where it is refused."""

import pytest
from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from trunkline.http.urls import api_url, http_url, redis_url


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:6379/0", "rediss://u:pw@cache.example.com", "unix:///run/redis.sock"]
)
def test_a_store_url_is_one_of_a_redis(url: str) -> None:
    assert redis_url(url) == SecretStr(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://:planted@127.0.0.1",
        "redis://",
        "redis://:planted@host:port",
        "redis://planted[::1",
    ],
)
def test_what_is_no_redis_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(PydanticCustomError, match=r"must be a URL such as redis://") as caught:
        redis_url(url)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://api.bland.ai", "https://api.bland.ai"),
        ("https://us.api.bland.ai/", "https://us.api.bland.ai"),
        ("https://us.api.bland.ai/v1/", "https://us.api.bland.ai"),
        ("http://127.0.0.1:8089/bland", "http://127.0.0.1:8089/bland"),
    ],
)
def test_a_base_url_is_kept_without_what_the_paths_begin_with(url: str, kept: str) -> None:
    assert api_url(url) == kept


@pytest.mark.parametrize(
    "url",
    [
        "api.bland.ai",
        "ftp://h",
        "https://",
        "https://h/?key=planted",
        "https://h/#a",
        "https://h h",
        "https://u:planted@h",
    ],
)
def test_what_is_no_base_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        http_url(url)
    assert "planted" not in str(caught.value)
